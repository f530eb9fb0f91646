//! Runs the real binary, or a program bare, with a clean environment and a hard time limit.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::scene::{Scene, User, binary};

/// Where programs are found, bare and sandboxed.
pub const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

const TIME_LIMIT: Duration = Duration::from_secs(60);

/// One invocation in the making.
#[derive(Debug)]
pub struct Launch<'a> {
    scene: &'a Scene,
    /// `None` runs the program bare.
    subcommand: Option<Vec<String>>,
    flags: Vec<String>,
    answers: Option<String>,
    environment: Vec<(String, OsString)>,
    cwd: PathBuf,
    stdin: Option<Stdio>,
    time_limit: Duration,
    /// A shell line that ends in `exec "$@"`: what surrounds the start of askance.
    wrapper: Option<String>,
}

impl<'a> Launch<'a> {
    pub fn new(scene: &'a Scene, subcommand: Option<Vec<String>>) -> Self {
        Self {
            scene,
            subcommand,
            flags: Vec::new(),
            answers: None,
            environment: Vec::new(),
            cwd: scene.workspace.clone(),
            stdin: None,
            time_limit: TIME_LIMIT,
            wrapper: None,
        }
    }

    /// Lines of an answers file.
    pub fn answers(mut self, lines: impl Into<String>) -> Self {
        self.answers = Some(lines.into());
        self
    }

    pub fn flags<S: AsRef<str>>(mut self, flags: &[S]) -> Self {
        self.flags.extend(flags.iter().map(|flag| flag.as_ref().to_owned()));
        self
    }

    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    pub fn cwd(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cwd = dir.into();
        self
    }

    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.stdin = Some(stdin.into());
        self
    }

    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Starts askance from a shell line that ends in `exec "$@"`.
    pub fn wrapped(mut self, line: &str) -> Self {
        self.wrapper = Some(line.into());
        self
    }

    /// Where this invocation's report goes.
    fn report_path(&self) -> PathBuf {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let dir = self.scene.beside("reports");
        self.scene.make_dir(&dir);
        dir.join(format!("{}.json", NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// The whole command line: user change, wrapper, askance, its flags, the program.
    fn argv(&self, program: &[&str], report: Option<&PathBuf>) -> Vec<OsString> {
        let mut argv: Vec<OsString> = Vec::new();
        if self.scene.user == User::Nobody {
            for word in ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] {
                argv.push(word.into());
            }
        }
        if let Some(line) = &self.wrapper {
            for word in ["sh", "-c", line, "sh"] {
                argv.push(word.into());
            }
        }
        if let Some(subcommand) = &self.subcommand {
            argv.push(binary(self.scene.user).into());
            argv.extend(subcommand.iter().map(Into::into));
            if let Some(report) = report {
                argv.extend(["--report".into(), report.into()]);
                argv.push("--prompt".into());
                match &self.answers {
                    None => argv.push("deny".into()),
                    Some(lines) => {
                        let file = report.with_extension("answers");
                        self.scene.file(&file, lines);
                        argv.push(format!("answers={}", file.display()).into());
                    }
                }
            }
            argv.extend(self.flags.iter().map(Into::into));
            if report.is_some() {
                argv.push("--".into());
            }
        }
        argv.extend(program.iter().map(Into::into));
        argv
    }

    /// The command, not started: for tests that need the process itself.
    pub fn command(&self, program: &[&str], report: Option<&PathBuf>) -> Command {
        let argv = self.argv(program, report);
        let home = &self.scene.home;
        let mut command = Command::new(&argv[0]);
        command
            .args(&argv[1..])
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", home)
            .env("USER", "tester")
            .env("LANG", "C.UTF-8")
            .env("TERM", "xterm")
            .env("XDG_CONFIG_HOME", home.join(".config"))
            .env("XDG_STATE_HOME", home.join(".local/state"))
            .env("XDG_DATA_HOME", home.join(".local/share"))
            .env("XDG_CACHE_HOME", home.join(".cache"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.cwd);
        command
    }

    /// Starts `askance run … -- program` (or the program bare) without waiting for it.
    pub fn start(mut self, program: &[&str]) -> Running {
        let is_run = self.subcommand.as_ref().is_some_and(|words| words == &["run"]);
        let report = is_run.then(|| self.report_path());
        let mut command = self.command(program, report.as_ref());
        let argv = command.get_args().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let mut child = command
            .stdin(self.stdin.take().unwrap_or_else(Stdio::null))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("start {argv}: {error}"));
        let stdout = drain(child.stdout.take().unwrap());
        let stderr = drain(child.stderr.take().unwrap());
        Running { child, stdout, stderr, report, argv, deadline: Instant::now() + self.time_limit }
    }

    pub fn run(self, program: &[&str]) -> Finished {
        self.start(program).wait()
    }

    pub fn shell(self, line: &str) -> Finished {
        self.run(&["sh", "-c", line])
    }

    /// Runs a subcommand that takes no program.
    pub fn finish(self, rest: &[&str]) -> Finished {
        self.start(rest).wait()
    }
}

fn drain(mut stream: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        bytes
    })
}

/// A started invocation.
#[derive(Debug)]
pub struct Running {
    pub child: Child,
    stdout: JoinHandle<Vec<u8>>,
    stderr: JoinHandle<Vec<u8>>,
    report: Option<PathBuf>,
    argv: String,
    deadline: Instant,
}

impl Running {
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Waits for the process and for the end of its output, which is the end of everything that holds it.
    pub fn wait(mut self) -> Finished {
        let mut late = false;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > self.deadline {
                late = true;
                self.kill_group();
                break self.child.wait().unwrap();
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let until = self.deadline.max(Instant::now() + Duration::from_secs(5));
        while !(self.stdout.is_finished() && self.stderr.is_finished()) {
            assert!(Instant::now() < until, "{} ended and left processes that hold its output", self.argv);
            std::thread::sleep(Duration::from_millis(1));
        }
        let finished = Finished {
            status,
            stdout: String::from_utf8_lossy(&self.stdout.join().unwrap()).into_owned(),
            stderr: String::from_utf8_lossy(&self.stderr.join().unwrap()).into_owned(),
            report: self.report.and_then(|path| File::open(path).ok()).map_or(Value::Null, |file| {
                match serde_json::from_reader(file) {
                    Ok(report) => report,
                    // Killed while it wrote.
                    Err(_) if status.signal().is_some() => Value::Null,
                    Err(error) => panic!("the report is not JSON: {error}"),
                }
            }),
            argv: self.argv,
        };
        assert!(!late, "did not end in time\n{finished}");
        finished
    }

    fn kill_group(&mut self) {
        let group = nix::unistd::Pid::from_raw(self.pid());
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _ = self.child.kill();
    }
}

/// What came of an invocation.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    /// `Null` where no report was written whole.
    pub report: Value,
    argv: String,
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}\n{}", self.argv, self.status)?;
        writeln!(f, "-- stdout\n{}-- stderr\n{}-- report\n{:#}", self.stdout, self.stderr, self.report)
    }
}

impl Finished {
    /// The exit code; 128+n where a signal ended the process itself.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    pub fn success(self) -> Self {
        self.exits(0)
    }

    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{self}");
        self
    }

    pub fn fails(self) -> Self {
        assert_ne!(self.code(), 0, "{self}");
        self
    }

    pub fn says(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "standard output lacks {text:?}\n{self}");
        self
    }

    pub fn complains(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "standard error lacks {text:?}\n{self}");
        self
    }

    fn list(&self, key: &str) -> Vec<Value> {
        self.report[key].as_array().cloned().unwrap_or_else(|| panic!("the report has no list {key}\n{self}"))
    }

    /// `operation target answer` of each question, in order.
    pub fn questions(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        self.list("questions")
            .iter()
            .map(|question| {
                format!("{} {} {}", text(&question["operation"]), text(&question["target"]), text(&question["answer"]))
            })
            .collect()
    }

    /// `operation target` of each denial, but for what programs are known to cope without.
    pub fn denied(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        self.list("denied")
            .iter()
            .filter(|denial| denial["quiet"] != true)
            .map(|denial| format!("{} {}", text(&denial["operation"]), text(&denial["target"])))
            .collect()
    }

    /// The hint of the denial of this `operation target`.
    pub fn hint(&self, denied: &str) -> String {
        let found = self.list("denied").into_iter().find(|denial| {
            format!("{} {}", denial["operation"].as_str().unwrap_or(""), denial["target"].as_str().unwrap_or(""))
                == denied
        });
        let found = found.unwrap_or_else(|| panic!("{denied} was not denied\n{self}"));
        found["hint"].as_str().unwrap_or_else(|| panic!("no hint for {denied}\n{self}")).to_owned()
    }

    /// Nothing was asked and nothing denied.
    pub fn asks_nothing(self) -> Self {
        assert_eq!(self.questions(), Vec::<String>::new(), "{self}");
        assert_eq!(self.denied(), Vec::<String>::new(), "{self}");
        self
    }

    pub fn asks(self, expected: &[&str]) -> Self {
        assert_eq!(self.questions(), expected, "{self}");
        self
    }

    pub fn denies(self, expected: &str) -> Self {
        assert!(self.denied().iter().any(|denied| denied == expected), "{expected} was not denied\n{self}");
        self
    }
}

/// All processes whose command line mentions `text`, as `pid: command line`.
pub fn processes_that_mention(text: &str) -> String {
    let mut found = String::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(bytes) = fs::read(entry.path().join("cmdline")) else {
            continue;
        };
        let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
        if line.contains(text) {
            let _ = writeln!(found, "{}: {line}", entry.file_name().to_string_lossy());
        }
    }
    found
}
