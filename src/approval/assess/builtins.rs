//! Shell builtins that change what is known, or evaluate what they are given. Plain ones are data.

use super::command::Call;
use super::simple::is_armed;
use super::state::{Going, Input, State};
use super::{Said, Walk};
use crate::approval::arg::{Arg, UNKNOWN, shown};
use crate::approval::environment::{self, Reach};
use crate::approval::interlock::Interlock;
use crate::approval::verdict::Risk;

const BUILTINS: [&str; 61] = [
    ".",
    ":",
    "[",
    "alias",
    "bg",
    "bind",
    "break",
    "builtin",
    "caller",
    "cd",
    "command",
    "compgen",
    "complete",
    "compopt",
    "continue",
    "declare",
    "dirs",
    "disown",
    "echo",
    "enable",
    "eval",
    "exec",
    "exit",
    "export",
    "false",
    "fc",
    "fg",
    "getopts",
    "hash",
    "help",
    "history",
    "jobs",
    "kill",
    "let",
    "local",
    "logout",
    "mapfile",
    "popd",
    "printf",
    "pushd",
    "pwd",
    "read",
    "readarray",
    "readonly",
    "return",
    "set",
    "shift",
    "shopt",
    "source",
    "suspend",
    "test",
    "times",
    "trap",
    "true",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "wait",
];

pub(super) fn is_builtin(name: &str) -> bool {
    BUILTINS.contains(&name)
}

const NAMES_EVALUATED: &str = "a name that the shell evaluates";

impl Walk<'_> {
    /// Follows what a builtin does to the shell. True: it has been reported, and data has nothing to add.
    pub(super) fn builtin(&mut self, argv: &[Arg], state: &mut State, call: &Call) -> bool {
        let args = &argv[1..];
        match argv[0].text.as_str() {
            "cd" | "pushd" | "popd" => self.change_directory(argv, state),
            "export" | "declare" | "typeset" | "local" | "readonly" => {
                self.declare(argv, state, call);
            }
            "eval" => self.eval(argv, state, call),
            "." | "source" => self.source(argv, state, call),
            "alias" => return self.alias(argv, state),
            other => {
                match other {
                    "trap" => self.trap(args, state, call),
                    "set" => set_positional(args, state),
                    "shift" => self.shift(args, state),
                    "let" => args.iter().for_each(|arg| self.evaluated_text(&arg.text, state)),
                    _ => {}
                }
                for name in named_variables(other, args) {
                    self.evaluated_name(&name, state);
                    state.forget(&name.text);
                    if other == "unset" {
                        state.define(&name.text, None);
                    }
                }
                match other {
                    "read" => self.read_line(args, state, call),
                    "printf" if self.guessing => print_to_variable(args, state),
                    "printf" => self.doubted |= args.iter().any(|arg| arg.text.starts_with("-v")),
                    _ => {}
                }
                return false;
            }
        }
        true
    }

    fn alias(&mut self, argv: &[Arg], state: &State) -> bool {
        let defines = |arg: &Arg| arg.text.contains('=') || arg.exact().is_none();
        if !argv[1..].iter().any(defines) {
            return false;
        }
        for (name, text) in argv[1..].iter().filter_map(|arg| arg.exact()?.split_once('=')) {
            self.probe(name, text, state);
        }
        let said = Said::new(Risk::High, "changes what a command's name means");
        self.report(argv, said, None, None);
        self.cannot_know(|| "an alias changes what a command's name means".into());
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
        // It may be `PATH`, or any that was set before.
        if arg.text.contains(UNKNOWN) {
            self.undecidable("a variable whose name is not known before it runs".into());
        }
    }

    fn change_directory(&mut self, argv: &[Arg], state: &mut State) {
        let (name, args) = (argv[0].text.as_str(), &argv[1..]);
        let target = args.iter().find(|arg| !matches!(arg.text.as_str(), "-P" | "-L" | "-e" | "-@" | "--"));
        let home = || self.request.home.map(std::path::Path::to_owned);
        let path = match target {
            None if name == "cd" => home(),
            None => None,
            Some(arg) if arg.text == "-" => {
                state.variables.get("OLDPWD").and_then(|text| self.place(state).absolute(text))
            }
            Some(arg) if arg.text.starts_with(['+', '-']) => None,
            Some(arg) => arg.exact().and_then(|text| self.place(state).absolute(text)),
        };
        let whole = target.is_some_and(|arg| arg.text.starts_with('/'));
        state.change_directory(path, self.request, if whole { Going::Absolute } else { Going::Relative });
        self.find(shown(argv), Said::new(Risk::ReadOnly, "changes the directory"), None);
    }

    /// `export NAME=value` and its kin: an assignment, and a reach into the environment.
    fn declare(&mut self, argv: &[Arg], state: &mut State, call: &Call) {
        let export = argv[0].is_exactly("export");
        let has =
            |letters: &[char]| argv[1..].iter().any(|arg| arg.text.starts_with('-') && arg.text.contains(letters));
        let reach = if export || has(&['x']) { Reach::Environment } else { Reach::Shell };
        let mut raised = call.raised.clone();
        if has(&['n']) && !export && !argv[0].is_exactly("readonly") {
            self.undecidable(NAMES_EVALUATED.into());
        }
        for arg in &argv[1..] {
            if arg.text.starts_with(['-', '+']) {
                continue;
            }
            // What it is given from then on is not what it is assigned.
            let freezes = argv[0].is_exactly("readonly") || (!export && has(&['r', 'i', 'l', 'u', 'c', 'n']));
            let Some((name, value)) = arg.text.split_once('=') else {
                self.evaluated_name(arg, state);
                if freezes {
                    state.frozen.insert(arg.text.clone());
                }
                continue;
            };
            self.evaluated_name(&Arg::literal(name), state);
            if let Some((risk, effect)) = environment::effect(name, reach) {
                raised.raise(risk, || format!("`{name}` {effect}"));
            }
            if is_armed(value) {
                self.undecidable(NAMES_EVALUATED.into());
            }
            let home = state.variables.get("HOME").filter(|_| value == "~" || value.starts_with("~/"));
            let value = home.map_or_else(|| value.to_owned(), |home| format!("{home}{}", &value[1..]));
            state.assign(name, value);
            if freezes {
                state.frozen.insert(name.to_owned());
            }
        }
        // Name references, and integers that are evaluated.
        if has(&['n', 'i']) && !export && !argv[0].is_exactly("readonly") {
            raised.raise(Risk::Medium, || "changes how the variable is evaluated".into());
        }
        let said = Said::new(raised.said.risk, "sets variables");
        self.report(argv, said, raised.why, None);
    }

    fn eval(&mut self, argv: &[Arg], state: &mut State, call: &Call) {
        let words: Option<Vec<&str>> = argv[1..].iter().map(Arg::exact).collect();
        if call.fetched_argument {
            self.trip(Interlock::new("download-and-run", "evaluates what it downloads"), argv, state);
        }
        if let Some(words) = words {
            self.via.push("eval".into());
            self.script(&words.join(" "), state, &call.input);
            self.via.pop();
        }
        self.report(argv, Said::new(Risk::High, "evaluates text"), None, None);
        self.cannot_know(|| "`eval` runs text that is only complete when it runs".into());
    }

    fn source(&mut self, argv: &[Arg], state: &mut State, call: &Call) {
        let file = argv.get(1).map(|arg| arg.text.clone()).unwrap_or_default();
        let path = self.place(state).absolute(&file);
        let stdin = matches!(file.as_str(), "/dev/stdin" | "/dev/fd/0" | "/proc/self/fd/0");
        self.run_saved(path.as_deref(), Some("sh"), state);
        let fetched = call.fetched_argument
            || (stdin && call.input.downloaded)
            || path.is_some_and(|path| self.downloads.contains(&path));
        if fetched {
            self.trip(Interlock::new("download-and-run", "runs what it downloads"), argv, state);
        }
        if let Some(text) = call.input.text.as_deref().filter(|_| stdin) {
            self.via.push(format!("source {file}"));
            self.script(text, state, &Input::default());
            self.via.pop();
        }
        self.report(argv, Said::new(Risk::High, "runs a file in this shell"), None, None);
        self.cannot_know(|| format!("`{file}` is run in this shell", file = file.replace(UNKNOWN, "…")));
    }

    fn trap(&mut self, args: &[Arg], state: &mut State, call: &Call) {
        let mut args = args.iter().filter(|arg| !matches!(arg.text.as_str(), "--" | "-l" | "-p"));
        let action = args.next().and_then(Arg::exact);
        if let (Some(text), Some(_)) = (action.filter(|text| *text != "-"), args.next()) {
            self.doubted = true;
            let mut then = if self.guessing { state.clone() } else { state.later() };
            let mark = then.mark();
            self.via.push("trap".into());
            self.script(text, &mut then, &call.input);
            self.via.pop();
            if !self.guessing {
                state.may_change_any_time(&then, mark);
            }
        }
    }

    fn shift(&mut self, args: &[Arg], state: &mut State) {
        self.doubted = true;
        let by = args.first().map_or(Some(1), |arg| arg.exact()?.parse().ok());
        state.shift(by.filter(|_| self.guessing));
    }

    /// `read`: what is known of the input are lines, not which one this is.
    fn read_line(&mut self, args: &[Arg], state: &mut State, call: &Call) {
        if call.input.downloaded {
            let names = args.iter().filter(|arg| !arg.text.starts_with('-')).map(|arg| arg.text.clone());
            state.fetched.extend(names);
        }
        self.doubted |= call.input.text.is_some();
        let first = call.input.text.as_deref().and_then(|text| text.lines().next()).filter(|_| self.guessing);
        if let Some(line) = state.reading.clone().or(first.map(str::to_owned)) {
            split_line(&line, args, state);
        }
    }
}

/// `printf -v NAME TEXT`
fn print_to_variable(args: &[Arg], state: &mut State) {
    if let [option, name, text] = args
        && option.is_exactly("-v")
        && let Some(text) = text.exact().filter(|text| !text.contains(['%', '\\']))
    {
        state.assign(&name.text, text.to_owned());
    }
}

/// Gives the variables of `read` the words of a line.
fn split_line(line: &str, args: &[Arg], state: &mut State) {
    let names: Vec<&Arg> = args.iter().filter(|arg| !arg.text.starts_with('-')).collect();
    let mut words = line.split_whitespace();
    let Some((last, first)) = names.split_last() else { return };
    for name in first {
        state.assign(&name.text, words.next().unwrap_or_default().to_owned());
    }
    state.assign(&last.text, words.collect::<Vec<_>>().join(" "));
}

fn set_positional(args: &[Arg], state: &mut State) {
    let first = args.iter().position(|arg| arg.is_exactly("--") || !arg.text.starts_with(['-', '+']));
    if let Some(first) = first {
        let from = first + usize::from(args[first].is_exactly("--"));
        state.set_positional(&args[from..]);
    }
}

/// What is no option, nor the value of one of those that take one.
fn operands(args: &[Arg], takes: &str) -> Vec<Arg> {
    let mut found = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.text.strip_prefix('-') {
            Some(letters) => {
                let first = letters.find(|c| takes.contains(c));
                // Its value stands in the next word, unless it is attached.
                if first.is_some_and(|at| at + 1 == letters.len()) {
                    rest.next();
                }
            }
            None => found.push(arg.clone()),
        }
    }
    found
}

/// The arguments that name variables which a builtin sets or tests.
fn named_variables(builtin: &str, args: &[Arg]) -> Vec<Arg> {
    let value_of = |option: &str| {
        let at = args.iter().position(|arg| arg.text.starts_with(option));
        let attached = |arg: &Arg| arg.text.strip_prefix(option).filter(|text| !text.is_empty()).map(Arg::literal);
        at.and_then(|at| attached(&args[at]).or_else(|| args.get(at + 1).cloned()))
    };
    match builtin {
        "read" => operands(args, "ptdnNui"),
        "mapfile" | "readarray" => operands(args, "dnOsuCc"),
        "getopts" | "unset" => operands(args, ""),
        "printf" | "test" | "[" => value_of("-v").into_iter().collect(),
        "wait" => value_of("-p").into_iter().collect(),
        _ => Vec::new(),
    }
}
