//! Shell builtins that change what is known, or evaluate what they are given. Plain ones are data.

use super::command::Call;
use super::simple::is_armed;
use super::state::{Input, State};
use super::{Said, Walk};
use crate::approval::arg::{Arg, UNKNOWN};
use crate::approval::environment::{self, Reach};
use crate::approval::interlock::Interlock;
use crate::approval::verdict::Risk;

const BUILTINS: [&str; 60] = [
    ".", ":", "[", "alias", "bg", "bind", "break", "builtin", "caller", "cd", "command", "compgen", "complete", "compopt", "continue",
    "declare", "dirs", "disown", "echo", "enable", "eval", "exec", "exit", "export", "false", "fc", "fg", "getopts", "hash", "help",
    "history", "jobs", "kill", "let", "local", "logout", "mapfile", "popd", "printf", "pushd", "pwd", "read", "readarray", "readonly",
    "return", "set", "shift", "shopt", "source", "suspend", "test", "times", "trap", "true", "type", "typeset", "ulimit", "umask", "unalias",
    "unset",
];

pub(super) fn is_builtin(name: &str) -> bool {
    BUILTINS.contains(&name) || name == "wait"
}

const NAMES_EVALUATED: &str = "a name that the shell evaluates";

impl Walk<'_> {
    /// Handles a builtin that data cannot describe; false for all others.
    pub(super) fn builtin(&mut self, name: &str, argv: &[Arg], state: &mut State, call: &Call) -> bool {
        let args = &argv[1..];
        match name {
            "cd" | "pushd" | "popd" => self.change_directory(name, args, state),
            "export" | "declare" | "typeset" | "local" | "readonly" => return self.declare(name, argv, state, call),
            "eval" => self.eval(argv, state, call),
            "." | "source" => self.source(argv, state, call),
            "alias" => {
                if args.iter().any(|arg| arg.text.contains('=') || arg.exact().is_none()) {
                    self.report(argv, Said { risk: Risk::High, why: "changes what a command's name means" }, None, None);
                    self.out.undecidable.get_or_insert_with(|| "an alias changes what a command's name means".into());
                    return true;
                }
                return false;
            }
            "trap" => return self.trap(argv, state, call),
            "read" | "mapfile" | "readarray" | "getopts" => {
                for arg in args.iter().filter(|arg| !arg.text.starts_with('-')) {
                    self.evaluated_name(arg, state);
                    state.variables.forget(&arg.text);
                }
                return false;
            }
            "unset" => {
                for arg in args {
                    self.evaluated_name(arg, state);
                    state.functions.remove(&arg.text);
                }
                return false;
            }
            "printf" => {
                if let Some(at) = args.iter().position(|arg| arg.text.starts_with("-v")) {
                    let target = if args[at].text.len() > 2 { Some(&args[at]) } else { args.get(at + 1) };
                    if let Some(target) = target {
                        self.evaluated_name(target, state);
                        state.variables.forget(target.text.trim_start_matches("-v"));
                    }
                }
                return false;
            }
            "set" => {
                if let Some(at) = args.iter().position(|arg| arg.is_exactly("--") || !arg.text.starts_with(['-', '+'])) {
                    let from = at + usize::from(args[at].is_exactly("--"));
                    state.set_positional(&args[from..]);
                }
                return false;
            }
            "wait" => {
                if let Some(at) = args.iter().position(|arg| arg.is_exactly("-p"))
                    && let Some(target) = args.get(at + 1)
                {
                    self.evaluated_name(target, state);
                }
                return false;
            }
            "let" => {
                args.iter().for_each(|arg| self.evaluated_text(&arg.text, state));
                return false;
            }
            "test" | "[" => {
                if let Some(at) = args.iter().position(|arg| arg.is_exactly("-v"))
                    && let Some(target) = args.get(at + 1)
                {
                    self.evaluated_name(target, state);
                }
                return false;
            }
            _ => return false,
        }
        true
    }

    /// A variable's name as an argument: a subscript in it is evaluated.
    fn evaluated_name(&mut self, arg: &Arg, state: &State) {
        if arg.text.contains('[') {
            self.evaluated_text(&arg.text, state);
        }
        if arg.text.contains(['$', '`']) {
            self.undecidable(NAMES_EVALUATED.into());
        }
    }

    fn change_directory(&mut self, name: &str, args: &[Arg], state: &mut State) {
        let target = args.iter().find(|arg| !matches!(arg.text.as_str(), "-P" | "-L" | "-e" | "-@" | "--"));
        let home = || self.request.home.map(std::path::Path::to_owned);
        let path = match target {
            None if name == "cd" => home(),
            None => None,
            Some(arg) if arg.text == "-" || arg.text.starts_with(['+', '-']) => None,
            Some(arg) => arg.exact().and_then(|text| self.place(state).absolute(text)),
        };
        state.change_directory(path, self.request);
        let shown = std::iter::once(name.to_owned()).chain(args.iter().map(Arg::shown)).collect();
        self.find(shown, Said { risk: Risk::ReadOnly, why: "changes the directory" }, None);
    }

    /// `export NAME=value` and its kin: an assignment, and a reach into the environment.
    fn declare(&mut self, name: &str, argv: &[Arg], state: &mut State, call: &Call) -> bool {
        let exports = name == "export" || argv[1..].iter().any(|arg| arg.text.starts_with('-') && arg.text.contains('x'));
        let mut worst: Option<(Risk, String)> = None;
        for arg in argv[1..].iter().filter(|arg| !arg.text.starts_with(['-', '+'])) {
            let (variable, value) = match arg.text.split_once('=') {
                Some((variable, value)) => (variable, Some(value)),
                None => (arg.text.as_str(), None),
            };
            self.evaluated_name(&Arg::literal(variable), state);
            let reach = if exports { Reach::Environment } else { Reach::Shell };
            if let Some((risk, effect)) = environment::effect(variable, reach)
                && value.is_some()
                && worst.as_ref().is_none_or(|(before, _)| risk > *before)
            {
                worst = Some((risk, format!("`{variable}` {effect}")));
            }
            if let Some(value) = value {
                if is_armed(value) {
                    self.undecidable(NAMES_EVALUATED.into());
                }
                state.variables.set(variable, value.to_owned());
            }
        }
        // Functions in the environment, name references, evaluated integers.
        let tricky = argv[1..].iter().any(|arg| arg.text.starts_with('-') && arg.text.contains(['f', 'n', 'i']) && name != "readonly");
        match worst {
            Some((risk, why)) => self.report(argv, Said { risk, why: "" }, Some(why), None),
            None if tricky && name != "export" => {
                let said = Said { risk: Risk::Medium, why: "changes how the variable is evaluated" };
                self.report(argv, said, None, None);
            }
            None => {
                let said = Said { risk: call.raised.said.risk, why: "sets variables" };
                self.report(argv, said, call.raised.why.clone(), None);
            }
        }
        true
    }

    fn eval(&mut self, argv: &[Arg], state: &mut State, call: &Call) {
        let words: Option<Vec<&str>> = argv[1..].iter().map(Arg::exact).collect();
        if call.fetched_argument {
            self.trip(Interlock::new("download-and-run", "evaluates what it downloads"), argv);
        }
        if let Some(words) = words {
            self.via.push("eval".into());
            self.script(&words.join(" "), state, &call.input);
            self.via.pop();
        }
        self.report(argv, Said { risk: Risk::High, why: "evaluates text" }, None, None);
        self.out.undecidable.get_or_insert_with(|| "`eval` runs text that is only complete when it runs".into());
    }

    fn source(&mut self, argv: &[Arg], state: &mut State, call: &Call) {
        let file = argv.get(1).map(|arg| arg.text.clone()).unwrap_or_default();
        let path = self.place(state).absolute(&file);
        let stdin = matches!(file.as_str(), "/dev/stdin" | "/dev/fd/0" | "/proc/self/fd/0");
        let fetched = call.fetched_argument || (stdin && call.input.downloaded) || path.is_some_and(|path| self.downloads.contains(&path));
        if fetched {
            self.trip(Interlock::new("download-and-run", "runs what it downloads"), argv);
        }
        if let Some(text) = call.input.text.as_deref().filter(|_| stdin) {
            self.via.push(format!("source {file}"));
            self.script(text, state, &Input::default());
            self.via.pop();
        }
        self.report(argv, Said { risk: Risk::High, why: "runs a file in this shell" }, None, None);
        self.out.undecidable.get_or_insert_with(|| format!("`{file}` is run in this shell", file = file.replace(UNKNOWN, "…")));
    }

    fn trap(&mut self, argv: &[Arg], state: &State, call: &Call) -> bool {
        let args: Vec<&Arg> = argv[1..].iter().filter(|arg| !matches!(arg.text.as_str(), "--" | "-l" | "-p")).collect();
        if args.len() > 1
            && let Some(text) = args[0].exact()
            && text != "-"
        {
            let text = text.to_owned();
            self.nested_script("trap", &text, state, &call.input);
        }
        false
    }
}
