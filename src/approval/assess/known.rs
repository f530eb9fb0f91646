//! Commands of programs that the data knows: what their arguments make of them, and what they pass on.

use std::path::{Path, PathBuf};

use super::command::Call;
use super::state::{Output, State};
use super::{Said, Walk};
use crate::approval::arg::{Arg, base_name};
use crate::approval::languages::{awk, git, sed};
use crate::approval::options::{self, Weighed};
use crate::approval::programs::{self, Program, Reader};
use crate::approval::request::Surroundings;
use crate::approval::verdict::Risk;

/// Programs that bring data from the network.
const FETCHERS: [&str; 18] = [
    "curl",
    "wget",
    "wget2",
    "aria2c",
    "fetch",
    "http",
    "https",
    "xh",
    "lwp-request",
    "lynx",
    "w3m",
    "nc",
    "ncat",
    "netcat",
    "socat",
    "telnet",
    "ftp",
    "lftp",
];

/// A known program with its weighed arguments.
pub(super) struct Run<'a> {
    pub(super) base: &'a str,
    pub(super) argv: &'a [Arg],
    pub(super) weighed: &'a Weighed,
}

impl Run<'_> {
    pub(super) fn fetches(&self) -> bool {
        FETCHERS.contains(&self.base)
    }
}

/// A risk with a reason of its own.
type Judged = (Said, Option<String>);

impl Walk<'_> {
    /// A command by a name that stands for one program. `resolved`: the file that it runs, where one was found.
    pub(super) fn known(&mut self, argv: &[Arg], resolved: Option<&Path>, state: &mut State, call: Call) -> Output {
        let base = base_name(&argv[0].text);
        let Some(program) = programs::lookup(base) else {
            let said = Said::new(Risk::High, "a program that askance does not know");
            self.report(argv, said, None, resolved);
            self.look_at_endings(argv, state);
            return Output::unknown(call.input.downloaded || FETCHERS.contains(&base));
        };
        let weighed = options::weigh(&program, &argv[1..]);
        let run = Run { base, argv, weighed: &weighed };
        let (said, why) = self.judged(&run, &program, state, &call);
        self.report(argv, said, why, resolved);
        self.look_for_embedded(&run, program.reader.as_ref(), state, &call.input);
        match program.reader {
            Some(Reader::Shell) => return self.shell(argv, state, &call),
            Some(Reader::Find) => return self.find_commands(argv, state, &call),
            Some(Reader::Interpreter) => return self.interpreter(&run, state, &call),
            Some(Reader::Sed | Reader::Awk | Reader::Git) | None => {}
        }
        self.note_downloads(&run, state, &call);
        self.option_commands(&run, state, &call);
        match self.wrapped_command(&run, state, &call) {
            Some(inner) => Output { downloaded: inner.downloaded || run.fetches(), ..inner },
            None => self.output_of(&run, state, &call),
        }
    }

    /// The risk of a command by its arguments, its redirections and the variables before it.
    fn judged(&mut self, run: &Run<'_>, program: &Program, state: &State, call: &Call) -> Judged {
        let mut judged: Judged = (run.weighed.said, None);
        let raised = &call.raised;
        if raised.said.risk > judged.0.risk {
            judged = (raised.said, raised.why.clone());
        }
        let args = &run.argv[1..];
        let closer = match program.reader {
            Some(Reader::Sed) => sed::risk(args, run.weighed),
            Some(Reader::Awk) => awk::risk(args, run.weighed),
            Some(Reader::Git) => self.git(run.weighed, judged.0.risk, state),
            _ => None,
        };
        if let Some(closer) = closer
            && closer.0.risk > judged.0.risk
        {
            judged = closer;
        }
        // Writing redirections and dangerous variables are no part of what an allow rule allows.
        if raised.said.risk > Risk::ReadOnly && judged.1.is_none() {
            judged.1 = Some(judged.0.why.to_owned());
        }
        judged
    }

    fn git(&mut self, weighed: &Weighed, risk: Risk, state: &State) -> Option<Judged> {
        let place = self.place(state);
        let here =
            |dir: &str| place.absolute(dir).is_some_and(|dir| dir == self.request.cwd || dir == self.request.workspace);
        if let Some(why) = git::configured(weighed, here) {
            return Some((Said::new(Risk::Medium, ""), Some(why)));
        }
        if risk > Risk::ReadOnly {
            return None;
        }
        if state.moved {
            let why = "the configuration of a repository in another directory may name programs";
            return Some((Said::new(Risk::Medium, why), Some(why.to_owned())));
        }
        if let Some(key) = state.cwd.as_deref().and_then(|cwd| self.machine.repository_runs(cwd)) {
            let why = format!("the repository's configuration runs a program ({key})");
            return Some((Said::new(Risk::Medium, ""), Some(why)));
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
            let directory = run
                .weighed
                .options
                .iter()
                .find(|(name, _)| matches!(name.as_str(), "-P" | "--directory-prefix" | "--output-dir"));
            let directory = directory.and_then(|(_, value)| value.as_ref()).map_or(".", |value| value.text.as_str());
            for operand in run.argv[1..].iter().filter(|arg| arg.text.contains("://")) {
                let file = operand.text.rsplit('/').next().unwrap_or_default();
                saved.push(place.absolute(&format!("{directory}/{file}")));
            }
        }
        if call.input.downloaded && matches!(run.base, "tee" | "sponge") {
            saved.extend(run.argv[1..].iter().map(|arg| place.absolute(&arg.text)));
        }
        let written = call.input.text.as_deref().filter(|_| matches!(run.base, "tee" | "sponge"));
        let targets = run.weighed.operands.iter().filter_map(|&at| place.absolute(&run.argv[at + 1].text));
        let targets: Vec<PathBuf> = targets.filter(|_| written.is_some()).collect();
        for target in targets {
            self.saved.keep(target, written.unwrap_or_default());
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
            "printf" => {
                words().map(|words| words.join(" ").replace("\\n", "\n").replace("\\0", "\n").replace("%s", ""))
            }
            "tee" => call.input.text.clone(),
            "cat" if run.weighed.operands.iter().all(|&at| args[at].is_exactly("-")) => call.input.text.clone(),
            _ => None,
        };
        let place = self.place(state);
        let reads_download = run.base == "cat"
            && args.iter().filter_map(|arg| place.absolute(&arg.text)).any(|path| self.downloads.contains(&path));
        let downloaded = run.fetches() || reads_download || call.input.downloaded || call.fetched_argument;
        Output { text, downloaded, found: None }
    }
}
