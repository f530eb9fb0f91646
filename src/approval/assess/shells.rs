//! Shells and interpreters: what they run is a text, a file, or their input.

use super::command::Call;
use super::known::Run;
use super::state::{Input, Output, State};
use super::{Said, Walk};
use crate::approval::arg::{Arg, base_name};
use crate::approval::expand;
use crate::approval::interlock::Interlock;
use crate::approval::verdict::Risk;

const STANDARD_INPUT: [&str; 4] = ["/dev/stdin", "-", "/dev/fd/0", "/proc/self/fd/0"];

impl Walk<'_> {
    pub(super) fn trip_download(&mut self, argv: &[Arg], state: &State) {
        let interlock = Interlock::new("download-and-run", "runs what it downloads");
        self.trip(interlock, argv, state);
    }

    /// `sh`, `bash` and their kin.
    pub(super) fn shell(&mut self, argv: &[Arg], state: &State, call: &Call) -> Output {
        let label = base_name(&argv[0].text);
        let invocation = Invocation::read(&argv[1..]);
        if invocation.harmless {
            return Output::default();
        }
        if invocation.startup_file {
            self.undecidable(format!("`{label}` reads a startup file"));
        }
        match (invocation.text, invocation.file) {
            (Some(text), _) => {
                let mut inside = state.clone();
                if let Some((zeroth, rest)) = invocation.rest.split_first() {
                    inside.variables.set("0", expand::value_of(zeroth));
                    inside.set_positional(rest);
                }
                self.shell_text(label, text, inside, call);
            }
            (None, Some(file)) if !STANDARD_INPUT.contains(&file.text.as_str()) => {
                self.shell_file(file, argv, state, call);
            }
            (None, _) => return self.shell_input(argv, state, call),
        }
        Output::default()
    }

    fn shell_file(&mut self, file: &Arg, argv: &[Arg], state: &State, call: &Call) {
        let known = file.exact().is_some();
        let path = self.place(state).absolute(&file.text);
        self.run_saved(path.as_deref(), Some("sh"), state);
        let saved = path.is_some_and(|path| self.downloads.contains(&path));
        if saved || (call.fetched_argument && !known) {
            self.trip_download(argv, state);
        }
        let why = match known {
            true => "runs a script",
            false => "runs a script that is not known before it runs",
        };
        self.report(argv, Said::new(Risk::High, why), None, None);
    }

    fn shell_input(&mut self, argv: &[Arg], state: &State, call: &Call) -> Output {
        if call.input.downloaded {
            self.trip_download(argv, state);
        }
        let label = base_name(&argv[0].text);
        if let Some(text) = &call.input.text {
            return self.nested_script(&format!("… | {label}"), text, state.clone(), &Input::default());
        }
        let said = Said::new(Risk::High, "runs what it reads from its standard input");
        self.report(argv, said, None, None);
        self.cannot_know(|| format!("`{label}` runs what it reads from its standard input"));
        Output::default()
    }

    /// `python`, `node` and their kin: the data says how risky, here only where the program comes from.
    pub(super) fn interpreter(&mut self, run: &Run<'_>, state: &State, call: &Call) -> Output {
        const TEXT_OPTIONS: [&str; 11] =
            ["-c", "-e", "-E", "-m", "-r", "-p", "-n", "-x", "--eval", "--print", "--execute"];
        let given =
            run.weighed.options.iter().any(|(name, value)| TEXT_OPTIONS.contains(&name.as_str()) && value.is_some());
        let file = run.weighed.operands.first().map(|&at| &run.argv[at + 1]);
        let file = file.filter(|file| !given && !STANDARD_INPUT.contains(&file.text.as_str()));
        let path = file.and_then(|file| self.place(state).absolute(&file.text));
        self.run_saved(path.as_deref(), Some(run.base), state);
        let fetched = match file {
            _ if given => call.fetched_argument,
            Some(file) => {
                path.is_some_and(|path| self.downloads.contains(&path))
                    || (call.fetched_argument && file.exact().is_none())
            }
            None => call.input.downloaded,
        };
        if fetched && run.weighed.said.risk > Risk::ReadOnly {
            self.trip_download(run.argv, state);
        }
        self.option_commands(run, state, call);
        Output::unknown(call.input.downloaded)
    }
}

/// How a shell was called.
#[derive(Default)]
struct Invocation<'a> {
    text: Option<&'a Arg>,
    /// What stands after the text: `$0` and the positional parameters.
    rest: &'a [Arg],
    file: Option<&'a Arg>,
    startup_file: bool,
    /// Only prints something about itself, or checks syntax.
    harmless: bool,
}

impl<'a> Invocation<'a> {
    fn read(args: &'a [Arg]) -> Self {
        let mut invocation = Invocation::default();
        let mut wants_text = false;
        let mut wants_stdin = false;
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            let text = arg.text.as_str();
            match text {
                "--" | "-" => {
                    invocation.take(rest.next(), wants_text, wants_stdin);
                    invocation.rest = rest.as_slice();
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
                _ if text.starts_with("--") => {
                    invocation.startup_file |= text.starts_with("--rcfile=") || text.starts_with("--init-file=");
                }
                _ if text.len() > 1 && text.starts_with(['-', '+']) && arg.exact().is_some() => {
                    let set = text.starts_with('-');
                    wants_text |= set && text.contains('c');
                    wants_stdin |= set && text.contains('s');
                    invocation.harmless |= set && text.contains('n') && !text.contains(['c', 'i']);
                    if text.ends_with('o') {
                        rest.next();
                    }
                }
                _ => {
                    invocation.take(Some(arg), wants_text, wants_stdin);
                    invocation.rest = rest.as_slice();
                    return invocation;
                }
            }
        }
        invocation
    }

    fn take(&mut self, arg: Option<&'a Arg>, wants_text: bool, wants_stdin: bool) {
        if wants_text {
            self.text = arg;
        } else if !wants_stdin {
            self.file = arg;
        }
    }
}
