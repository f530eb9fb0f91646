//! Commands in another's arguments: wrappers such as `env` and `xargs`, `find -exec`, functions.

use std::rc::Rc;

use super::command::Call;
use super::known::Run;
use super::state::{Going, Input, Output, State};
use super::{Said, Walk};
use crate::approval::arg::{Arg, UNKNOWN};
use crate::approval::environment::{self, Reach};
use crate::approval::interlock;
use crate::approval::languages::find;
use crate::approval::options::{self, Weighed, Wrapped};
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

    /// `body` is `None` while the function is walked already.
    pub(super) fn call_function(
        &mut self,
        body: Option<Rc<Node>>,
        argv: &[Arg],
        state: &mut State,
        call: &Call,
    ) -> Output {
        let name = argv[0].text.as_str();
        let said = Said::new(call.raised.said.risk, "a function of this request");
        self.report(argv, said, call.raised.why.clone(), None);
        let Some(body) = body else {
            self.cannot_know(|| format!("the function `{name}` calls itself"));
            self.find(Vec::new(), Said::new(Risk::High, "a function that calls itself"), None);
            return Output::default();
        };
        let outside = state.variables.clone();
        let mark = state.mark();
        state.functions.insert(name.to_owned(), None);
        state.set_positional(&argv[1..]);
        self.via.push(format!("{name}()"));
        let output = self.node(&body, state, &call.input);
        self.via.pop();
        state.functions.insert(name.to_owned(), Some(body));
        // It may return early, and what is local to it is as before.
        self.doubt(state, mark);
        state.variables.take_positional(&outside);
        output
    }

    pub(super) fn find_commands(&mut self, argv: &[Arg], state: &State, call: &Call) -> Output {
        let looked = find::look(&argv[1..]);
        if let Some((said, why)) = looked.said {
            self.report(argv, said, why, None);
        }
        for command in looked.commands {
            let inside = &mut state.clone();
            self.inner("find -exec", &command, inside, call.for_inner(false));
        }
        Output { found: Some(argv.to_vec()), ..Output::default() }
    }

    /// Commands that options name.
    pub(super) fn option_commands(&mut self, run: &Run<'_>, state: &State, call: &Call) {
        for command in &run.weighed.runs {
            match command {
                // `tar --checkpoint-action=exec=COMMAND`
                options::Run::Shell(text) if text.text.starts_with("exec=") => {
                    let command = Arg { text: text.text["exec=".len()..].to_owned(), ..text.clone() };
                    self.shell_text(run.base, &command, state.clone(), call);
                }
                options::Run::Shell(text) => self.shell_text(run.base, text, state.clone(), call),
                options::Run::Words(words) => {
                    let mut argv = words.clone();
                    argv.push(Arg::below("."));
                    let inside = &mut state.clone();
                    self.inner(run.base, &argv, inside, call.for_inner(false));
                }
            }
        }
    }

    /// The command that a wrapper starts; `None` where there is none.
    pub(super) fn wrapped_command(&mut self, run: &Run<'_>, state: &mut State, call: &Call) -> Option<Output> {
        let wrapped = run.weighed.inner.as_ref()?;
        self.environment_of(run.base, wrapped);
        let Some(first) = wrapped.argv.first() else {
            if !wrapped.how.optional {
                self.undecidable(format!("`{}` without a command", run.base));
            }
            return None;
        };
        let text = match wrapped.argv.get(1) {
            Some(text) if first.is_exactly("-c") => Some(text.clone()),
            _ => wrapped.how.shell.then(|| joined(&wrapped.argv)),
        };
        if let Some(text) = text {
            self.shell_text(run.base, &text, state.clone(), call);
            return Some(Output::default());
        }
        Some(self.start_wrapped(run, wrapped, state, call))
    }

    fn start_wrapped(&mut self, run: &Run<'_>, wrapped: &Wrapped, state: &mut State, call: &Call) -> Output {
        let argv = match wrapped.how.appends {
            true => appended(&wrapped.argv, run.weighed, &arguments(run, call)),
            false => wrapped.argv.clone(),
        };
        if let Some(found) = call.input.found.as_ref().filter(|_| wrapped.how.appends) {
            // The same as if `find` had started it.
            let words = [&found[..], &[Arg::literal("-exec")], &wrapped.argv, &[Arg::literal(";")]].concat();
            if let Some(interlock) = interlock::of(&words, &self.place(state)) {
                self.trip(interlock, &wrapped.argv, state);
            }
        }
        let builtins = call.in_shell && matches!(run.base, "command" | "builtin" | "time");
        let inner = Call {
            functions: run.base == "time" && call.functions,
            // What is appended, or replaced, comes from the input.
            fetched_argument: call.fetched_argument || (wrapped.how.appends && call.input.downloaded),
            ..call.for_inner(builtins)
        };
        // These change this very shell; all others start a process.
        if matches!(run.base, "command" | "builtin" | "exec" | "time") {
            return self.inner(run.base, &argv, state, inner);
        }
        let mut inside = state.clone();
        let elsewhere = run.weighed.options.iter().find(|(name, _)| {
            let option = (run.base, name.as_str());
            matches!(option, ("env", "-C" | "--chdir") | ("sudo", "-D" | "--chdir"))
        });
        if let Some((_, directory)) = elsewhere {
            let text = directory.as_ref().and_then(Arg::exact);
            let target = text.and_then(|text| self.place(state).absolute(text));
            inside.change_directory(target, self.request, Going::Relative);
        }
        self.inner(run.base, &argv, &mut inside, inner)
    }

    /// `env NAME=value …`
    fn environment_of(&mut self, base: &str, wrapped: &Wrapped) {
        for assignment in &wrapped.assignments {
            let name = assignment.text.split('=').next().unwrap_or_default();
            if let Some((risk, effect)) = environment::effect(name, Reach::Environment) {
                let argv = vec![base.to_owned(), assignment.shown()];
                let why = format!("`{name}` {effect}");
                self.find(argv, Said::new(risk, effect), Some(why));
                self.out.uncover();
            }
        }
    }

    /// A text that a shell runs, given as an argument.
    pub(super) fn shell_text(&mut self, label: &str, text: &Arg, state: State, call: &Call) {
        if let Some(text) = text.exact() {
            self.nested_script(&format!("{label} -c"), text, state, &call.input);
            return;
        }
        if call.fetched_argument {
            self.trip_download(std::slice::from_ref(text), &state);
        }
        self.undecidable(format!("the text that `{label}` runs is not known before it runs"));
    }
}

/// What `xargs` reads its arguments from: a file that it is told, or its input.
fn arguments(run: &Run<'_>, call: &Call) -> Input {
    let file = run.weighed.options.iter().find(|(name, _)| matches!(name.as_str(), "-a" | "--arg-file"));
    match file.and_then(|(_, value)| value.as_ref()) {
        Some(value) if value.exact().is_none() => call.substituted.clone().unwrap_or_default(),
        Some(_) => Input::default(),
        None => call.input.clone(),
    }
}

fn joined(argv: &[Arg]) -> Arg {
    let words: Option<Vec<&str>> = argv.iter().map(Arg::exact).collect();
    words.map_or_else(Arg::anything, |words| Arg::literal(&words.join(" ")))
}

/// What `xargs` adds: known words where they are piped in, anything else otherwise.
fn appended(argv: &[Arg], weighed: &Weighed, input: &Input) -> Vec<Arg> {
    let replaced = weighed.options.iter().find_map(|(name, value)| match name.as_str() {
        "-I" | "--replace" | "-i" | "-J" => Some(value.as_ref().map_or("{}", |value| value.text.as_str())),
        _ => None,
    });
    if let Some(mark) = replaced.filter(|mark| !mark.is_empty()) {
        let known = input.text.as_deref().map(str::trim);
        let known = known.filter(|text| !text.contains(['\n', '"', '\'', '\\']));
        let fill = |arg: &Arg| Arg {
            text: arg.text.replace(mark, known.unwrap_or(&UNKNOWN.to_string())),
            expanded: known.is_none(),
            ..arg.clone()
        };
        return argv.iter().map(|arg| if arg.text.contains(mark) { fill(arg) } else { arg.clone() }).collect();
    }
    let mut argv = argv.to_vec();
    let text = input.text.as_deref();
    match text.filter(|text| !text.contains(['"', '\'', '\\'])) {
        Some(text) => argv.extend(text.split_whitespace().map(Arg::literal)),
        None => argv.push(input.found.as_ref().map_or_else(Arg::anything, |found| find::file(&found[1..]))),
    }
    argv
}
