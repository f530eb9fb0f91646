//! Variables whose value decides what runs.

use super::verdict::Risk;

/// Patterns of names, the first match counts. `*` stands for anything.
const EXECUTING: &[(&str, Risk, &str)] = &[
    // Harmless though a later pattern covers them.
    ("GIT_OPTIONAL_LOCKS", Risk::ReadOnly, ""),
    ("GIT_TERMINAL_PROMPT", Risk::ReadOnly, ""),
    ("GIT_AUTHOR_*", Risk::ReadOnly, ""),
    ("GIT_COMMITTER_*", Risk::ReadOnly, ""),
    ("GIT_MERGE_AUTOEDIT", Risk::ReadOnly, ""),
    ("GIT_LITERAL_PATHSPECS", Risk::ReadOnly, ""),
    ("GIT_PAGER_IN_USE", Risk::ReadOnly, ""),
    ("NODE_ENV", Risk::ReadOnly, ""),
    ("PYTHONUNBUFFERED", Risk::ReadOnly, ""),
    ("PYTHONDONTWRITEBYTECODE", Risk::ReadOnly, ""),
    ("PYTHONIOENCODING", Risk::ReadOnly, ""),
    ("PYTHONHASHSEED", Risk::ReadOnly, ""),
    ("PYTHONUTF8", Risk::ReadOnly, ""),
    ("PYTHONWARNINGS", Risk::ReadOnly, ""),
    ("CARGO_TERM_*", Risk::ReadOnly, ""),
    ("CARGO_INCREMENTAL", Risk::ReadOnly, ""),
    ("CARGO_NET_OFFLINE", Risk::ReadOnly, ""),
    ("CARGO_PROFILE_*", Risk::ReadOnly, ""),
    ("npm_config_loglevel", Risk::ReadOnly, ""),
    // Loaded into every program, or looked up before every program.
    ("PATH", Risk::High, "decides which program a name runs"),
    ("LD_*", Risk::High, "loads code into every program"),
    ("DYLD_*", Risk::High, "loads code into every program"),
    ("GLIBC_TUNABLES", Risk::High, "changes how every program is loaded"),
    ("GCONV_PATH", Risk::High, "loads code into every program"),
    ("LOCPATH", Risk::High, "changes what every program loads"),
    ("NLSPATH", Risk::High, "changes what every program loads"),
    ("HOSTALIASES", Risk::High, "changes which host a name means"),
    ("RES_OPTIONS", Risk::High, "changes how names are looked up"),
    // The shell's own.
    ("BASH_ENV", Risk::High, "is run by every shell"),
    ("ENV", Risk::Medium, "is run by some shells"),
    ("BASH_FUNC_*", Risk::High, "defines a function in every shell"),
    ("BASHOPTS", Risk::High, "changes how the shell reads"),
    ("SHELLOPTS", Risk::High, "changes how the shell reads"),
    ("BASH_LOADABLES_PATH", Risk::High, "loads code into the shell"),
    ("BASH_COMPAT", Risk::High, "changes how the shell reads"),
    ("POSIXLY_CORRECT", Risk::Medium, "changes how programs read their arguments"),
    ("PROMPT_COMMAND", Risk::High, "is run by the shell"),
    ("PS0", Risk::High, "is expanded by the shell"),
    ("PS1", Risk::High, "is expanded by the shell"),
    ("PS2", Risk::High, "is expanded by the shell"),
    ("PS3", Risk::High, "is expanded by the shell"),
    ("PS4", Risk::High, "is expanded by the shell"),
    ("IFS", Risk::High, "changes where words end"),
    ("CDPATH", Risk::High, "changes where `cd` goes"),
    ("GLOBIGNORE", Risk::Medium, "changes what patterns match"),
    ("FPATH", Risk::High, "is searched for functions"),
    ("ZDOTDIR", Risk::High, "is run by every shell"),
    ("SHELL", Risk::High, "is run by other programs"),
    ("HOME", Risk::High, "decides which settings programs read"),
    ("XDG_*", Risk::High, "decides which settings programs read"),
    ("TMPDIR", Risk::Medium, "decides where programs write"),
    // Programs that others start.
    ("*PAGER", Risk::High, "is run to show output"),
    ("*EDITOR", Risk::High, "is run to edit"),
    ("VISUAL", Risk::High, "is run to edit"),
    ("*BROWSER", Risk::High, "is run to show a page"),
    ("*ASKPASS", Risk::High, "is run to ask for a password"),
    ("*_COMMAND", Risk::High, "is run by another program"),
    ("PAGER", Risk::High, "is run to show output"),
    ("GIT_PAGER", Risk::High, "is run to show output"),
    ("MANPAGER", Risk::High, "is run to show output"),
    ("EDITOR", Risk::High, "is run to edit"),
    ("GIT_EDITOR", Risk::High, "is run to edit"),
    ("BROWSER", Risk::High, "is run to show a page"),
    ("LESS", Risk::High, "is read by `less` as options or commands"),
    ("LESSOPEN", Risk::High, "is run by `less`"),
    ("LESSCLOSE", Risk::High, "is run by `less`"),
    ("LESSKEY*", Risk::High, "is read by `less` as commands"),
    ("LESSEDIT", Risk::High, "is run by `less`"),
    ("MANOPT", Risk::High, "is read by `man` as options"),
    ("MANPATH", Risk::Medium, "decides which pages `man` formats"),
    ("MANROFFOPT", Risk::High, "is read by `man` as options"),
    ("MORE", Risk::High, "is read by `more` as options"),
    ("GIT_DIR", Risk::High, "changes which repository's configuration counts"),
    ("GIT_WORK_TREE", Risk::High, "changes which repository's configuration counts"),
    ("GIT_EXTERNAL_DIFF", Risk::High, "is run by Git"),
    ("GIT_SSH", Risk::High, "is run by Git"),
    ("GIT_SSH_COMMAND", Risk::High, "is run by Git"),
    ("GIT_SEQUENCE_EDITOR", Risk::High, "is run by Git"),
    ("GIT_EXEC_PATH", Risk::High, "is searched for Git's parts"),
    ("GIT_*", Risk::High, "changes what Git runs or where"),
    ("SSH_*", Risk::High, "changes what ssh runs or whom it trusts"),
    ("RSYNC_*", Risk::High, "changes what rsync runs"),
    ("RIPGREP_CONFIG_PATH", Risk::High, "names options, among them programs to run"),
    ("FZF_*", Risk::High, "names programs to run"),
    ("GREP_OPTIONS", Risk::High, "adds options"),
    ("TAR_OPTIONS", Risk::High, "adds options, among them programs to run"),
    ("GZIP", Risk::Medium, "adds options"),
    ("ZIPOPT", Risk::High, "adds options, among them programs to run"),
    ("UNZIP", Risk::Medium, "adds options"),
    ("TREE_*", Risk::Medium, "adds options"),
    ("TERMINFO*", Risk::High, "is loaded by terminal programs"),
    ("CURL_HOME", Risk::High, "names options"),
    ("WGETRC", Risk::High, "names options"),
    ("SYSTEM_WGETRC", Risk::High, "names options"),
    ("*_PROXY", Risk::High, "sends connections elsewhere"),
    ("*_proxy", Risk::High, "sends connections elsewhere"),
    ("SSL_*", Risk::High, "changes who is trusted"),
    ("OPENSSL_*", Risk::High, "loads code into programs that use OpenSSL"),
    ("DOCKER_*", Risk::High, "changes which machine is commanded"),
    ("KUBECONFIG", Risk::High, "names programs to run and machines to command"),
    ("AWS_*", Risk::Medium, "changes which account is used"),
    ("PG*", Risk::Medium, "changes which database is used"),
    ("MYSQL_*", Risk::Medium, "changes which database is used"),
    // Interpreters and build tools.
    ("NODE_OPTIONS", Risk::High, "loads code into every Node program"),
    ("NODE_PATH", Risk::High, "is searched for modules"),
    ("NODE_*", Risk::Medium, "changes how Node runs"),
    ("PYTHONSTARTUP", Risk::High, "is run by Python"),
    ("PYTHONPATH", Risk::Medium, "is searched for modules"),
    ("PYTHON*", Risk::High, "changes what Python runs"),
    ("PERL5*", Risk::High, "loads code into every Perl program"),
    ("PERLLIB", Risk::High, "is searched for modules"),
    ("PERL_*", Risk::High, "changes what Perl runs"),
    ("RUBY*", Risk::High, "loads code into every Ruby program"),
    ("GEM_*", Risk::High, "is searched for libraries"),
    ("BUNDLE_*", Risk::High, "changes what Bundler runs"),
    ("PHPRC", Risk::High, "names code to run"),
    ("PHP_INI_SCAN_DIR", Risk::High, "names code to run"),
    ("LUA_*", Risk::High, "is run by Lua"),
    ("R_*", Risk::High, "changes what R runs"),
    ("JAVA_TOOL_OPTIONS", Risk::High, "loads code into every Java program"),
    ("_JAVA_OPTIONS", Risk::High, "loads code into every Java program"),
    ("JDK_JAVA_OPTIONS", Risk::High, "loads code into every Java program"),
    ("CLASSPATH", Risk::High, "is searched for classes"),
    ("DOTNET_*", Risk::High, "loads code into every .NET program"),
    ("MAVEN_*", Risk::Medium, "adds options"),
    ("GRADLE_*", Risk::Medium, "adds options"),
    ("GOFLAGS", Risk::High, "adds options, among them programs to run"),
    ("RUSTC*", Risk::High, "is run in the compiler's place"),
    ("RUSTDOC", Risk::High, "is run in the compiler's place"),
    ("CARGO*", Risk::High, "changes what cargo runs"),
    ("MAKEFLAGS", Risk::High, "adds options, among them makefile text"),
    ("MAKEFILES", Risk::High, "names makefiles to run"),
    ("npm_config_*", Risk::High, "changes what npm runs"),
    ("NPM_CONFIG_*", Risk::High, "changes what npm runs"),
    ("YARN_*", Risk::High, "changes what yarn runs"),
    ("PIP_*", Risk::High, "changes where packages come from"),
    ("UV_*", Risk::High, "changes where packages come from"),
    ("GCC_EXEC_PREFIX", Risk::High, "is searched for the compiler's parts"),
    ("COMPILER_PATH", Risk::High, "is searched for the compiler's parts"),
    ("CC", Risk::Medium, "is run as the compiler"),
    ("CXX", Risk::Medium, "is run as the compiler"),
    ("DEBUGINFOD_URLS", Risk::Medium, "connects elsewhere"),
    ("*_WRAPPER", Risk::High, "is run in another program's place"),
    ("TERM_PROGRAM", Risk::ReadOnly, ""),
];

/// Where a variable is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// `NAME=value command`, `export NAME=value`: programs see it.
    Environment,
    /// `NAME=value`: programs see it only if it was in the environment before, which names made up for a script are not.
    Shell,
}

/// Why setting this variable could change what runs.
pub(super) fn effect(name: &str, reach: Reach) -> Option<(Risk, &'static str)> {
    let counts = |pattern: &str| reach == Reach::Environment || !pattern.contains('*');
    let (_, risk, why) = EXECUTING.iter().find(|(pattern, ..)| matches(pattern, name) && counts(pattern))?;
    (*risk > Risk::ReadOnly).then_some((*risk, *why))
}

fn matches(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(suffix), _) => name.ends_with(suffix),
        (None, Some(prefix)) => name.starts_with(prefix),
        (None, None) => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_choose_programs_are_known() {
        for name in [
            "PAGER",
            "GIT_PAGER",
            "LD_PRELOAD",
            "BASH_ENV",
            "EDITOR",
            "GIT_EXTERNAL_DIFF",
            "PATH",
            "NODE_OPTIONS",
            "LESSOPEN",
            "IFS",
            "PS4",
        ] {
            assert_eq!(effect(name, Reach::Environment).map(|(risk, _)| risk), Some(Risk::High), "{name}");
        }
        for name in [
            "LC_ALL",
            "TZ",
            "RUST_LOG",
            "NO_COLOR",
            "CI",
            "FOO",
            "GIT_OPTIONAL_LOCKS",
            "NODE_ENV",
            "DEBUG",
            "RUSTFLAGS",
            "x",
        ] {
            assert_eq!(effect(name, Reach::Environment), None, "{name}");
        }
        assert_eq!(effect("GIT_ROOT", Reach::Shell), None, "a script's own name");
        assert!(effect("PAGER", Reach::Shell).is_some());
    }
}
