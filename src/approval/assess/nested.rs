//! Commands inside commands: wrappers, `find -exec`, shells and their texts, interpreters and their input.

use std::rc::Rc;

use super::command::Call;
use super::state::{Input, Output, State};
use super::{Said, Walk};
use crate::approval::arg::{Arg, UNKNOWN, base_name};
use crate::approval::environment::{self, Reach};
use crate::approval::interlock::Interlock;
use crate::approval::languages::find;
use crate::approval::options::{Run, Weighed, Wrapped};
use crate::approval::programs::Reader;
use crate::approval::shell::Node;
use crate::approval::verdict::Risk;

impl Walk<'_> {
    fn inner(&mut self, label: &str, argv: &[Arg], state: &mut State, call: Call) -> Output {
        if argv.is_empty() {
            return Output::default();
        }
        if self.via.len() >= super::MAX_LEVELS {
            self.undecidable("nested too deeply".into());
            return Output::default();
        }
        self.via.push(label.to_owned());
        let output = self.command(argv, state, call);
        self.via.pop();
        output
    }

    pub(super) fn call_function(&mut self, name: &str, body: Option<Rc<Node>>, argv: &[Arg], state: &mut State, call: Call) -> Output {
        let said = call.raised.said;
        self.report(argv, Said { risk: said.risk, why: "a function of this request" }, call.raised.why.clone(), None);
        let Some(body) = body else { return Output::default() };
        state.functions.insert(name.to_owned(), None);
        state.set_positional(&argv[1..]);
        self.via.push(format!("{name}()"));
        let output = self.node(&body, state, &call.input);
        self.via.pop();
        state.functions.insert(name.to_owned(), Some(body));
        output
    }

    /// Commands that the data says options and operands are.
    pub(super) fn nested_by_data(&mut self, base: &str, weighed: &Weighed<'_>, state: &mut State, call: &Call) -> Option<Output> {
        for run in &weighed.runs {
            match run {
                Run::Shell(text) => self.shell_text(base, text, state, call),
                Run::Words(words) => {
                    let with_file: Vec<Arg> = words.iter().cloned().chain([Arg { text: format!("./{UNKNOWN}"), expanded: true, many: true, glob: false }]).collect();
                    self.inner(base, &with_file, &mut state.clone(), call.for_inner(false));
                }
            }
        }
        let Wrapped { assignments, argv, how } = weighed.inner.as_ref()?;
        for assignment in assignments {
            let name = assignment.text.split('=').next().unwrap_or_default();
            if let Some((risk, effect)) = environment::effect(name, Reach::Environment) {
                self.find(vec![base.to_owned(), assignment.shown()], Said { risk, why: effect }, Some(format!("`{name}` {effect}")));
                self.out.uncovered = true;
            }
        }
        if argv.is_empty() {
            if !how.optional {
                self.undecidable(format!("`{base}` without a command"));
            }
            return None;
        }
        if argv[0].is_exactly("-c") && argv.len() > 1 {
            self.shell_text(base, &argv[1], state, call);
            return Some(Output::default());
        }
        if how.shell {
            let words: Option<Vec<&str>> = argv.iter().map(Arg::exact).collect();
            let text = words.map_or_else(|| Arg::anything(), |words| Arg::literal(&words.join(" ")));
            self.shell_text(base, &text, state, call);
            return Some(Output::default());
        }
        let argv = if how.appends { appended(argv, weighed, call) } else { argv.clone() };
        // What is appended, or replaced, comes from the input.
        let fetched = call.fetched_argument || (how.appends && call.input.downloaded);
        let with = |in_shell| Call { fetched_argument: fetched, ..call.for_inner(in_shell) };
        let builtins = matches!(base, "command" | "builtin" | "time");
        let replaces = matches!(base, "command" | "builtin" | "exec" | "time");
        if replaces {
            return Some(self.inner(base, &argv, state, with(builtins && call.in_shell)));
        }
        let mut inside = state.clone();
        let elsewhere = weighed.options.iter().find(|(name, _)| matches!((base, name.as_str()), ("env", "-C" | "--chdir") | ("sudo", "-D" | "--chdir")));
        if let Some((_, directory)) = elsewhere {
            let target = directory.as_ref().and_then(|arg| arg.exact()).and_then(|text| self.place(state).absolute(text));
            inside.change_directory(target, self.request);
        }
        Some(self.inner(base, &argv, &mut inside, with(false)))
    }

    fn shell_text(&mut self, label: &str, text: &Arg, state: &State, call: &Call) {
        match text.exact() {
            Some(text) => {
                let text = text.to_owned();
                self.nested_script(&format!("{label} -c"), &text, state, &call.input);
            }
            None => {
                // Where all that is not known are file names, the commands around them still show.
                if call.fetched_argument {
                    self.trip(Interlock::new("download-and-run", "runs a text from the network"), std::slice::from_ref(text));
                }
                self.undecidable(format!("the text that `{label}` runs is not known before it runs"));
            }
        }
    }

    pub(super) fn nested_by_reader(&mut self, reader: Option<Reader>, argv: &[Arg], weighed: &Weighed<'_>, state: &mut State, call: &Call) -> Output {
        match reader {
            Some(Reader::Shell) => self.shell(argv, state, call),
            Some(Reader::Find) => {
                let looked = find::look(&argv[1..]);
                if let Some((said, why)) = looked.said {
                    self.report(argv, said, why, None);
                }
                for command in looked.commands {
                    self.inner("find -exec", &command, &mut state.clone(), call.for_inner(false));
                }
                Output { text: None, downloaded: false }
            }
            _ => self.interpreter(argv, weighed, state, call),
        }
    }

    /// `sh`, `bash` and their kin: a text, a file, or standard input.
    fn shell(&mut self, argv: &[Arg], state: &State, call: &Call) -> Output {
        let label = base_name(&argv[0].text).to_owned();
        let invocation = Invocation::read(&argv[1..]);
        if invocation.harmless {
            return Output::default();
        }
        if invocation.startup_file {
            self.undecidable(format!("`{label}` reads a startup file"));
        }
        match (invocation.text, invocation.file) {
            (Some(text), _) => self.shell_text(&label, &text, state, call),
            (None, Some(file)) => {
                let path = self.place(state).absolute(&file.text);
                let stdin = matches!(file.text.as_str(), "/dev/stdin" | "-" | "/dev/fd/0" | "/proc/self/fd/0");
                if stdin {
                    return self.shell_input(&label, argv, state, call);
                }
                let fetched = call.fetched_argument && file.exact().is_none();
                if fetched || path.is_some_and(|path| self.downloads.contains(&path)) {
                    self.trip(Interlock::new("download-and-run", "runs what it downloads"), argv);
                }
                let why = if file.exact().is_some() { "runs a script" } else { "runs a script that is not known before it runs" };
                self.report(argv, Said { risk: Risk::High, why }, None, None);
            }
            (None, None) => return self.shell_input(&label, argv, state, call),
        }
        Output::default()
    }

    fn shell_input(&mut self, label: &str, argv: &[Arg], state: &State, call: &Call) -> Output {
        if call.input.downloaded {
            self.trip(Interlock::new("download-and-run", "runs what it downloads"), argv);
        }
        match &call.input.text {
            Some(text) => self.nested_script(&format!("… | {label}"), text, state, &Input::default()),
            None => {
                self.report(argv, Said { risk: Risk::High, why: "runs what it reads from its standard input" }, None, None);
                self.out.undecidable.get_or_insert_with(|| format!("`{label}` runs what it reads from its standard input"));
                Output::default()
            }
        }
    }

    fn interpreter(&mut self, argv: &[Arg], weighed: &Weighed<'_>, state: &State, call: &Call) -> Output {
        let given = weighed.options.iter().any(|(name, value)| {
            matches!(name.as_str(), "-c" | "-e" | "-E" | "-m" | "-r" | "-p" | "-n" | "--eval" | "--print" | "-x" | "--execute" | "-pe" | "-ne") && value.is_some()
        });
        let file = weighed.operands.first().map(|&at| &argv[at + 1]);
        let reads_stdin = !given && file.is_none_or(|file| matches!(file.text.as_str(), "-" | "/dev/stdin"));
        let saved = file.filter(|_| !given).and_then(|file| self.place(state).absolute(&file.text)).is_some_and(|path| self.downloads.contains(&path));
        let fetched_text = call.fetched_argument && (given || file.is_some_and(|file| file.exact().is_none()));
        if weighed.said.risk > Risk::ReadOnly && (saved || fetched_text || (reads_stdin && call.input.downloaded)) {
            self.trip(Interlock::new("download-and-run", "runs what it downloads"), argv);
        }
        Output { text: None, downloaded: call.input.downloaded }
    }
}

/// What `xargs` adds: known words where they are piped in, anything else otherwise.
fn appended(argv: &[Arg], weighed: &Weighed<'_>, call: &Call) -> Vec<Arg> {
    let replaced = weighed.options.iter().find_map(|(name, value)| match name.as_str() {
        "-I" | "--replace" | "-i" | "-J" => Some(value.as_ref().map_or("{}", |value| value.text.as_str())),
        _ => None,
    });
    if let Some(mark) = replaced.filter(|mark| !mark.is_empty()) {
        let known = call.input.text.as_deref().map(str::trim).filter(|text| !text.contains(['\n', '"', '\'', '\\']));
        let fill = |arg: &Arg| match known {
            Some(known) => Arg { text: arg.text.replace(mark, known), ..arg.clone() },
            None => Arg { text: arg.text.replace(mark, &UNKNOWN.to_string()), expanded: true, ..arg.clone() },
        };
        return argv.iter().map(|arg| if arg.text.contains(mark) { fill(arg) } else { arg.clone() }).collect();
    }
    let mut argv = argv.to_vec();
    match call.input.text.as_deref().filter(|text| !text.contains(['"', '\'', '\\'])) {
        Some(text) => argv.extend(text.split_whitespace().map(Arg::literal)),
        None => argv.push(Arg::anything()),
    }
    argv
}

/// How a shell was called.
#[derive(Default)]
struct Invocation {
    text: Option<Arg>,
    file: Option<Arg>,
    startup_file: bool,
    /// Only prints something about itself, or checks syntax.
    harmless: bool,
}

impl Invocation {
    fn read(args: &[Arg]) -> Invocation {
        let mut invocation = Invocation::default();
        let mut wants_text = false;
        let mut wants_stdin = false;
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            let text = arg.text.as_str();
            match text {
                "--" | "-" => {
                    invocation.take(rest.next(), wants_text, wants_stdin);
                    return invocation;
                }
                "--rcfile" | "--init-file" => {
                    rest.next();
                    invocation.startup_file = true;
                }
                "-o" | "-O" | "+o" | "+O" => {
                    rest.next();
                }
                "--version" | "--help" => invocation.harmless = true,
                _ if text.starts_with("--") => invocation.startup_file |= text.starts_with("--rcfile=") || text.starts_with("--init-file="),
                _ if text.len() > 1 && text.starts_with(['-', '+']) && arg.exact().is_some() => {
                    wants_text |= text.starts_with('-') && text.contains('c');
                    wants_stdin |= text.starts_with('-') && text.contains('s');
                    invocation.harmless |= text.starts_with('-') && text.contains('n') && !text.contains(['c', 'i']);
                    if text.ends_with('o') {
                        rest.next();
                    }
                }
                _ => {
                    invocation.take(Some(arg), wants_text, wants_stdin);
                    return invocation;
                }
            }
        }
        invocation
    }

    fn take(&mut self, arg: Option<&Arg>, wants_text: bool, wants_stdin: bool) {
        if wants_text {
            self.text = arg.cloned();
        } else if !wants_stdin {
            self.file = arg.cloned();
        }
    }
}
