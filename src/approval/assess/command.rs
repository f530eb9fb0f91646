//! One command with its arguments: which program it is, what its arguments make of it, what lists say.

use std::path::{Path, PathBuf};

use super::simple::Raised;
use super::state::{Input, Output, State};
use super::{MAX_COMMANDS, Said, Walk};
use crate::approval::arg::{Arg, base_name};
use crate::approval::interlock::{self, Interlock};
use crate::approval::languages::{awk, git, sed};
use crate::approval::options::{self, Weighed};
use crate::approval::programs::{self, Reader};
use crate::approval::verdict::Risk;

/// Directories of programs that a package manager or an administrator puts there.
const SYSTEM_PROGRAMS: [&str; 6] = ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];

/// Programs that bring data from the network.
const FETCHERS: [&str; 18] = [
    "curl", "wget", "wget2", "aria2c", "fetch", "http", "https", "xh", "lwp-request", "lynx", "w3m", "nc", "ncat", "netcat", "socat",
    "telnet", "ftp", "lftp",
];

/// What surrounds a command.
pub(super) struct Call {
    pub(super) input: Input,
    pub(super) raised: Raised,
    /// Read by a shell: builtins and functions count.
    pub(super) in_shell: bool,
    /// An argument's substitution fetched something from the network.
    pub(super) fetched_argument: bool,
}

impl Call {
    pub(super) fn direct() -> Call {
        Call { input: Input::default(), raised: Raised::default(), in_shell: false, fetched_argument: false }
    }

    /// The same surroundings for a command that this one starts.
    pub(super) fn for_inner(&self, in_shell: bool) -> Call {
        Call { input: self.input.clone(), raised: Raised::default(), in_shell, fetched_argument: self.fetched_argument }
    }
}

/// Which program a word names.
enum Identity {
    Known { resolved: Option<PathBuf> },
    /// Found in a directory that the sandbox may write.
    Shadowed(PathBuf),
    /// A path that is only itself.
    Itself,
}

impl Walk<'_> {
    /// Judges a command and everything that it is known to start.
    pub(super) fn command(&mut self, argv: &[Arg], state: &mut State, call: Call) -> Output {
        self.commands += 1;
        if self.commands > MAX_COMMANDS {
            if self.commands == MAX_COMMANDS + 1 {
                self.undecidable("too many commands".into());
            }
            return Output::default();
        }
        self.lists_and_interlocks(argv, state);
        let Some(name) = argv[0].exact().filter(|_| !argv[0].expanded) else {
            self.report(argv, Said { risk: Risk::High, why: "" }, Some("the program's name is not literal".into()), None);
            self.out.undecidable.get_or_insert_with(|| format!("the program's name in `{}` is not literal", argv[0].shown()));
            return Output::default();
        };
        let name = name.to_owned();
        if call.in_shell && !name.contains('/') {
            if let Some(body) = state.functions.get(&name).cloned() {
                return self.call_function(&name, body, argv, state, call);
            }
            if self.builtin(&name, argv, state, &call) {
                return Output::default();
            }
        }
        match self.identity(&name, state, call.in_shell) {
            Identity::Known { resolved } => self.known(&name, argv, resolved.as_deref(), state, call),
            Identity::Shadowed(path) => {
                let why = format!("`{name}` is {}, which a sandboxed command may have written", path.display());
                self.report(argv, Said { risk: Risk::High, why: "" }, Some(why), None);
                Output::default()
            }
            Identity::Itself => {
                self.run_file(&name, argv, state);
                Output::default()
            }
        }
    }

    pub(super) fn lists_and_interlocks(&mut self, argv: &[Arg], state: &State) {
        let shown = || argv.iter().map(Arg::shown).collect::<Vec<_>>().join(" ");
        if let Some(pattern) = self.rules.block.iter().find(|pattern| pattern.forbids(argv)) {
            self.out.blocked.get_or_insert_with(|| (pattern.rule().clone(), shown()));
        }
        if let Some(pattern) = self.rules.deny.iter().find(|pattern| pattern.forbids(argv)) {
            self.out.denied.get_or_insert_with(|| (pattern.rule().clone(), shown()));
        }
        if let Some(interlock) = interlock::of(argv, &self.place(state)) {
            self.trip(interlock, argv);
        }
    }

    /// Records a command, and whether an allow rule covers it.
    pub(super) fn report(&mut self, argv: &[Arg], said: Said, why: Option<String>, resolved: Option<&Path>) {
        let plain = why.is_none();
        if said.risk > Risk::ReadOnly {
            let rule = self.rules.allow.iter().find(|pattern| plain && pattern.permits(argv, resolved));
            match rule {
                Some(pattern) => {
                    self.out.allowed.get_or_insert_with(|| pattern.rule().clone());
                }
                None => self.out.uncovered = true,
            }
        }
        self.find(argv.iter().map(Arg::shown).collect(), said, why);
    }

    fn identity(&self, name: &str, state: &State, in_shell: bool) -> Identity {
        if !name.contains('/') {
            if in_shell && super::builtins::is_builtin(name) {
                return Identity::Known { resolved: None };
            }
            return match self.surroundings.find_program(name) {
                Some(path) if self.may_be_replaced(&path) => Identity::Shadowed(path),
                resolved => Identity::Known { resolved },
            };
        }
        let Some(path) = self.place(state).absolute(name) else { return Identity::Itself };
        let by_system = path.parent().and_then(Path::to_str).is_some_and(|parent| SYSTEM_PROGRAMS.contains(&parent));
        let by_name = || self.surroundings.find_program(base_name(name)).is_some_and(|found| found == path);
        if name.starts_with('/') && (by_system || by_name()) && !self.may_be_replaced(&path) {
            Identity::Known { resolved: Some(path) }
        } else {
            Identity::Itself
        }
    }

    fn may_be_replaced(&self, path: &Path) -> bool {
        self.surroundings.sandbox_may_write(path) || path.parent().is_some_and(|parent| self.surroundings.sandbox_may_write(parent))
    }

    /// A file named by its path is whatever it holds.
    pub(super) fn run_file(&mut self, name: &str, argv: &[Arg], state: &State) {
        let path = self.place(state).absolute(name);
        if path.is_some_and(|path| self.downloads.contains(&path)) {
            self.trip(Interlock::new("download-and-run", "runs a file that the same request downloads"), argv);
        }
        self.report(argv, Said { risk: Risk::High, why: "a program that is only known by its path" }, None, None);
    }

    fn known(&mut self, name: &str, argv: &[Arg], resolved: Option<&Path>, state: &mut State, call: Call) -> Output {
        let base = base_name(name);
        let Some(program) = programs::lookup(base) else {
            self.report(argv, Said { risk: Risk::High, why: "a program that askance does not know" }, None, resolved);
            return Output { text: None, downloaded: call.input.downloaded };
        };
        let weighed = options::weigh(&program, &argv[1..]);
        let mut said = weighed.said;
        let mut why = None;
        if call.raised.said.risk > said.risk {
            said = call.raised.said;
            why.clone_from(&call.raised.why);
        }
        let closer = match program.reader {
            Some(Reader::Sed) => sed::risk(&argv[1..], &weighed),
            Some(Reader::Awk) => awk::risk(&argv[1..], &weighed),
            Some(Reader::Git) => self.git(&weighed, said.risk, state),
            _ => None,
        };
        if let Some(closer) = closer
            && closer.0.risk > said.risk
        {
            (said, why) = closer;
        }
        // Writing redirections and dangerous variables are no part of what an allow rule allows.
        let why = why.or_else(|| (call.raised.said.risk > Risk::ReadOnly).then(|| said.why.to_owned()));
        self.report(argv, said, why, resolved);
        let reads_program = matches!(program.reader, Some(Reader::Shell | Reader::Interpreter | Reader::Find));
        if reads_program {
            return self.nested_by_reader(program.reader, argv, &weighed, state, &call);
        }
        let run = Run { base, argv, weighed: &weighed };
        self.note_downloads(&run, state, &call);
        match self.nested_by_data(base, &weighed, state, &call) {
            Some(inner) => Output { downloaded: inner.downloaded || run.fetches(), ..inner },
            None => self.output_of(&run, state, &call),
        }
    }

    fn git(&mut self, weighed: &Weighed<'_>, risk: Risk, state: &State) -> Option<(Said, Option<String>)> {
        let place = self.place(state);
        let here = |dir: &str| place.absolute(dir).is_some_and(|dir| dir == self.request.cwd || dir == self.request.workspace);
        if let Some(why) = git::configured(weighed, here) {
            return Some((Said { risk: Risk::Medium, why: "" }, Some(why)));
        }
        if risk > Risk::ReadOnly {
            return None;
        }
        if state.moved {
            let why = "the configuration of a repository in another directory may name programs";
            return Some((Said { risk: Risk::Medium, why }, Some(why.to_owned())));
        }
        if let Some(key) = state.cwd.as_deref().and_then(|cwd| self.surroundings.repository_runs(cwd)) {
            let why = format!("the repository's configuration runs a program ({key})");
            return Some((Said { risk: Risk::Medium, why: "" }, Some(why)));
        }
        self.out.quiet_git = true;
        None
    }

    /// Files that a command fetches, by name.
    fn note_downloads(&mut self, run: &Run<'_>, state: &State, call: &Call) {
        let place = self.place(state);
        let mut saved: Vec<Option<PathBuf>> = Vec::new();
        if run.fetches() {
            for (name, value) in &run.weighed.options {
                let saves = matches!(name.as_str(), "-o" | "--output" | "-O" | "--output-document" | "--out");
                saved.extend(value.as_ref().filter(|_| saves).map(|value| place.absolute(&value.text)));
            }
            let directory = run.weighed.options.iter().find(|(name, _)| matches!(name.as_str(), "-P" | "--directory-prefix" | "--output-dir"));
            let directory = directory.and_then(|(_, value)| value.as_ref()).map_or(".", |value| value.text.as_str());
            for operand in run.argv[1..].iter().filter(|arg| arg.text.contains("://")) {
                let file = operand.text.rsplit('/').next().unwrap_or_default();
                saved.push(place.absolute(&format!("{directory}/{file}")));
            }
        }
        if call.input.downloaded && matches!(run.base, "tee" | "sponge") {
            saved.extend(run.argv[1..].iter().map(|arg| place.absolute(&arg.text)));
        }
        self.downloads.extend(saved.into_iter().flatten());
    }

    /// What a command writes to its output, as far as the next in a pipe cares.
    fn output_of(&self, run: &Run<'_>, state: &State, call: &Call) -> Output {
        let args = &run.argv[1..];
        let words = || args.iter().map(Arg::exact).collect::<Option<Vec<_>>>();
        let text = match run.base {
            "echo" => words().map(|words| {
                let said = words.iter().skip_while(|word| matches!(**word, "-n" | "-e" | "-ne" | "-en"));
                format!("{}\n", said.copied().collect::<Vec<_>>().join(" "))
            }),
            "printf" => words().map(|words| words.join(" ").replace("\\n", "\n").replace("%s", "")),
            "tee" => call.input.text.clone(),
            "cat" if run.weighed.operands.is_empty() => call.input.text.clone(),
            _ => None,
        };
        let place = self.place(state);
        let reads_download = run.base == "cat" && args.iter().filter_map(|arg| place.absolute(&arg.text)).any(|path| self.downloads.contains(&path));
        Output { text, downloaded: run.fetches() || reads_download || call.input.downloaded || call.fetched_argument }
    }
}

/// A known program with its weighed arguments.
struct Run<'a> {
    base: &'a str,
    argv: &'a [Arg],
    weighed: &'a Weighed<'a>,
}

impl Run<'_> {
    fn fetches(&self) -> bool {
        FETCHERS.contains(&self.base)
    }
}
