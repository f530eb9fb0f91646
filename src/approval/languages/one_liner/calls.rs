//! What calls of programs in other languages do, by their names.

/// Calls that start a program. Those that mean much else count only beside a word of [`STARTERS`].
const STARTS: [&str; 26] = [
    "system",
    "popen",
    "Popen",
    "popen2",
    "popen3",
    "check_call",
    "check_output",
    "getoutput",
    "getstatusoutput",
    "execSync",
    "execFile",
    "execFileSync",
    "spawn",
    "spawnSync",
    "execvp",
    "execv",
    "execl",
    "execlp",
    "execve",
    "posix_spawn",
    "spawnlp",
    "shell_exec",
    "passthru",
    "proc_open",
    "pcntl_exec",
    "capture2",
];
const STARTS_BESIDE: [&str; 8] = ["run", "call", "exec", "Command", "execute", "shell", "script", "capture"];
const STARTERS: [&str; 12] = [
    "subprocess",
    "child_process",
    "Deno",
    "Bun",
    "process",
    "os",
    "Open3",
    "Process",
    "Kernel",
    "shell",
    "sys",
    "pty",
];
/// Languages in which `exec` and `execute` start programs, whatever stands around them.
const EXECUTING: [&str; 11] =
    ["perl", "ruby", "jruby", "php", "tclsh", "wish", "groovy", "lua", "luajit", "julia", "osascript"];
/// Calls that remove a directory with all that is in it.
const REMOVES: [&str; 14] = [
    "rmtree",
    "remove_tree",
    "rmSync",
    "rm_r",
    "rm_rf",
    "RemoveAll",
    "remove_dir_all",
    "rimraf",
    "removeSync",
    "emptyDirSync",
    "deleteDir",
    "remove_entry_secure",
    "deleteRecursively",
    "rm_f_r",
];
/// The same if they are told to recurse.
const REMOVES_RECURSIVELY: [&str; 5] = ["rm", "rmdir", "rmdirSync", "unlink", "remove"];
/// Calls that run a string as a program of the same language.
pub(super) const EVALUATES: [&str; 3] = ["eval", "exec", "compile"];
/// Calls that do nothing with a string but print, compare, search or look up.
const INERT: [&str; 62] = [
    "print",
    "printf",
    "println",
    "puts",
    "p",
    "pp",
    "echo",
    "say",
    "warn",
    "warning",
    "log",
    "info",
    "debug",
    "error",
    "die",
    "exit",
    "raise",
    "Exception",
    "Error",
    "RuntimeError",
    "SystemExit",
    "replace",
    "replaceAll",
    "split",
    "rsplit",
    "strip",
    "lstrip",
    "rstrip",
    "startswith",
    "endswith",
    "startsWith",
    "endsWith",
    "sub",
    "gsub",
    "match",
    "search",
    "findall",
    "test",
    "includes",
    "indexOf",
    "index",
    "count",
    "get",
    "getenv",
    "open",
    "write",
    "write_text",
    "writeFileSync",
    "readFileSync",
    "readdirSync",
    "read_text",
    "loads",
    "dumps",
    "encode",
    "decode",
    "format",
    "urlopen",
    "fetch",
    "assert",
    "require",
    "cat",
    "getElementById",
];
/// Calls that list what is in a directory, and spare the directory.
pub(super) const LISTS: [&str; 8] = ["walk", "glob", "rglob", "iglob", "iterdir", "listdir", "scandir", "Dir"];
/// Names of arguments that are no part of a command or a path.
pub(super) const ASIDE: [&str; 14] = [
    "cwd", "env", "encoding", "mode", "stdout", "stderr", "stdin", "stdio", "input", "text", "chdir", "errors",
    "timeout", "onerror",
];
/// Names in an argument that stand for no unknown value.
pub(super) const KNOWN: [&str; 40] = [
    "True",
    "False",
    "None",
    "true",
    "false",
    "null",
    "undefined",
    "nil",
    "new",
    "await",
    "os",
    "path",
    "shutil",
    "fs",
    "File",
    "Path",
    "pathlib",
    "PosixPath",
    "Pathname",
    "join",
    "resolve",
    "abspath",
    "realpath",
    "expanduser",
    "normalize",
    "dirname",
    "str",
    "sys",
    "subprocess",
    "process",
    "Dir",
    "FileUtils",
    "recursive",
    "force",
    "ignore_errors",
    "shell",
    "check",
    "TRUE",
    "my",
    "const",
];
/// Values that name a place without a string.
pub(super) const ROOTS: [&str; 2] = ["sep", "root"];
pub(super) const HOMES: [&str; 4] = ["home", "homedir", "HOME", "expanduser"];

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// Starts a program.
    Starts,
    /// Removes a directory with all that is in it.
    Removes,
    /// Does nothing with a string.
    Inert,
    Other,
}

impl Call {
    /// A call of this name in a text for this interpreter.
    pub(super) fn of(name: &str, base: &str, text: &str) -> Call {
        let beside = || STARTERS.iter().any(|word| text.contains(word)) || EXECUTING.contains(&base);
        let recurses = || text.to_ascii_lowercase().contains("recurs");
        if STARTS.contains(&name) || (STARTS_BESIDE.contains(&name) && beside()) {
            Call::Starts
        } else if REMOVES.contains(&name) || (REMOVES_RECURSIVELY.contains(&name) && recurses()) {
            Call::Removes
        } else if INERT.contains(&name) {
            Call::Inert
        } else {
            Call::Other
        }
    }
}
