//! Simple commands before their program: assignments, redirections, expansions that evaluate.

use std::path::PathBuf;

use super::command::Call;
use super::state::{Input, Output, State};
use super::{Said, Walk};
use crate::approval::arg::{Arg, UNKNOWN};
use crate::approval::environment::{self, Reach};
use crate::approval::expand;
use crate::approval::interlock;
use crate::approval::shell::{Node, Operator, Piece, Redirect, Simple, Word};
use crate::approval::verdict::Risk;

/// Names below which a written file is executed later by something else.
const EXECUTED_LATER: [&str; 12] = [
    "/.git/hooks/",
    "/.git/config",
    "/.envrc",
    "/.bashrc",
    "/.bash_profile",
    "/.profile",
    "/.zshrc",
    "/.ssh/",
    "/.husky/",
    "/.vscode/",
    "/.config/",
    "/.mcp.json",
];

impl Walk<'_> {
    pub(super) fn simple(&mut self, simple: &Simple, state: &mut State, input: &Input) -> Output {
        let mut fetched = false;
        let mut substituted = None;
        for process in &simple.process_substitutions {
            let output = self.process(process, state);
            fetched |= output.downloaded;
            let alone = simple.process_substitutions.len() == 1;
            substituted =
                alone.then_some(Input { text: output.text, downloaded: output.downloaded, found: output.found });
        }
        fetched |= self.look_into(&simple.words, state, input);
        let mut raised = Raised::default();
        let stdin = self.redirects(&simple.redirects, state, input, &mut raised);
        let args = expand::all(&simple.words, &state.variables);
        let values = simple.assignments.iter().flat_map(|assignment| &assignment.values);
        simple.words.iter().chain(values).for_each(|word| assign_defaults(word, state));
        self.assign(simple, state, input, &mut raised);
        if args.is_empty() {
            self.only_assigns(simple, &raised);
            return Output::unknown(fetched);
        }
        let to_file = raised.target.take();
        let call =
            Call { input: stdin, raised, in_shell: true, functions: true, fetched_argument: fetched, substituted };
        let output = self.command(&args, state, call);
        match to_file {
            Some(path) => self.save(path, output.text.as_deref(), output.downloaded || input.downloaded),
            None => output,
        }
    }

    /// Output that goes to a file.
    fn save(&mut self, path: PathBuf, text: Option<&str>, downloaded: bool) -> Output {
        if let Some(text) = text {
            self.saved.keep(path.clone(), text);
        }
        if downloaded {
            self.downloads.push(path);
        }
        Output::unknown(downloaded)
    }

    /// Assignments and redirections without a command.
    fn only_assigns(&mut self, simple: &Simple, raised: &Raised) {
        if raised.said.risk > Risk::ReadOnly {
            let names = simple.assignments.iter().map(|assignment| format!("{}=…", assignment.name));
            self.find(names.collect(), raised.said, raised.why.clone());
            self.out.uncover();
        }
    }

    fn process(&mut self, process: &Node, state: &State) -> Output {
        self.via.push("<(…)".into());
        let output = self.node(process, &mut state.clone(), &Input::default());
        self.via.pop();
        output
    }

    fn assign(&mut self, simple: &Simple, state: &mut State, input: &Input, raised: &mut Raised) {
        let reach = match simple.words.is_empty() {
            true => Reach::Shell,
            false => Reach::Environment,
        };
        for assignment in &simple.assignments {
            let name = &assignment.name;
            if self.look_into(&assignment.values, state, input) {
                state.fetched.insert(name.clone());
            }
            if let Some(subscript) = &assignment.subscript {
                self.look_into(std::slice::from_ref(subscript), state, input);
                self.evaluated(subscript, state);
            }
            if let Some((risk, effect)) = environment::effect(name, reach) {
                raised.raise(risk, || format!("`{name}` {effect}"));
                for value in assignment.values.iter().map(|value| expand::value(value, &state.variables)) {
                    self.probe(name, &value, state);
                }
            }
            let plain = !assignment.compound && assignment.subscript.is_none();
            match assignment.values.as_slice() {
                // Before a command it holds for that command's environment alone, but for some builtins of some shells.
                _ if reach == Reach::Environment => {
                    if !self.guessing && state.variables.get(name).is_some() {
                        state.forget(name);
                    }
                }
                [value] if plain => {
                    let value = expand::value(value, &state.variables);
                    if is_armed(&value) {
                        self.undecidable(ARMED.into());
                    }
                    state.assign(name, value);
                }
                _ => state.forget(name),
            }
        }
    }

    /// Judges what is opened for writing, and returns what the command will read.
    fn redirects(&mut self, redirects: &[Redirect], state: &mut State, input: &Input, raised: &mut Raised) -> Input {
        let mut stdin = input.clone();
        for redirect in redirects {
            match redirect {
                Redirect::Descriptor => {}
                Redirect::Read(word) => {
                    self.look_into(std::slice::from_ref(word), state, input);
                    let file = expand::all(std::slice::from_ref(word), &state.variables);
                    let path = file.first().and_then(|arg| self.place(state).absolute(&arg.text));
                    let downloaded = path.is_some_and(|path| self.downloads.contains(&path));
                    stdin = Input { downloaded, ..Input::default() };
                }
                Redirect::Write(word) => {
                    self.look_into(std::slice::from_ref(word), state, input);
                    for target in expand::all(std::slice::from_ref(word), &state.variables) {
                        self.write_target(&target, state, raised);
                    }
                }
                Redirect::Text { text, literal } => {
                    let downloaded = self.look_into(std::slice::from_ref(text), state, input);
                    let text = expand::value(text, &state.variables);
                    let known = *literal || !text.contains(UNKNOWN);
                    stdin = Input { text: known.then_some(text), downloaded, found: None };
                }
                Redirect::Process { body, reads } => {
                    let output = self.process(body, state);
                    if *reads {
                        stdin = Input { text: output.text, downloaded: output.downloaded, found: output.found };
                    }
                }
            }
        }
        stdin
    }

    fn write_target(&mut self, target: &Arg, state: &State, raised: &mut Raised) {
        if let Some(interlock) = interlock::of_write(target, &self.place(state)) {
            self.trip(interlock, &[Arg::literal(">"), target.clone()], state);
        }
        let text = target.text.as_str();
        if matches!(text, "/dev/null" | "/dev/stdout" | "/dev/stderr" | "/dev/tty" | "/dev/zero")
            || text.starts_with("/dev/fd/")
        {
            return;
        }
        let path = self.place(state).absolute(text);
        let later = path
            .as_deref()
            .and_then(|path| path.to_str())
            .is_some_and(|path| EXECUTED_LATER.iter().any(|name| path.contains(name)));
        let inside =
            path.as_deref().is_none_or(|path| path.starts_with(self.request.workspace) || path.starts_with("/tmp"));
        let risk = if later || !inside { Risk::Medium } else { Risk::Low };
        raised.raise(risk, || format!("writes to {}", target.shown()));
        raised.target = path;
    }

    pub(super) fn redirected(
        &mut self,
        inner: &Node,
        redirects: &[Redirect],
        state: &mut State,
        input: &Input,
    ) -> Output {
        let mut raised = Raised::default();
        let stdin = self.redirects(redirects, state, input, &mut raised);
        if raised.said.risk > Risk::ReadOnly {
            self.find(Vec::new(), raised.said, raised.why.clone());
            self.out.uncover();
        }
        let output = self.node(inner, state, &stdin);
        match raised.target {
            Some(path) => self.save(path, output.text.as_deref(), output.downloaded),
            None => output,
        }
    }

    /// Expansions that take a value as code: `${x@P}`, `${!x}`, subscripts.
    pub(super) fn expansions(&mut self, word: &Word, state: &State) {
        for piece in &word.pieces {
            match piece {
                Piece::Parameter(parameter) => {
                    if let Operator::Evaluates(_) = parameter.operator
                        && !lists_names(&parameter.name)
                    {
                        self.undecidable(format!("`${{{}…}}` evaluates the value of a variable", parameter.name));
                    }
                    if matches!(parameter.operator, Operator::Default(_) | Operator::Assign(_)) {
                        self.doubted |= state.variables.get(&parameter.name).is_none();
                    }
                    if let Operator::Computes(inner) = &parameter.operator {
                        self.evaluated(inner, state);
                    }
                    if let Some(inner) = parameter.operator.operand() {
                        self.expansions(inner, state);
                    }
                }
                Piece::Arithmetic(inner) => {
                    self.expansions(inner, state);
                    self.evaluated(inner, state);
                }
                Piece::Quoted(_) | Piece::Bare(_) | Piece::Tilde(_) | Piece::Substitution { .. } | Piece::Unknown => {}
            }
        }
    }

    /// A word that is taken as arithmetic, or as a variable's name: subscripts in it run substitutions,
    /// and the values of variables in it are evaluated in turn.
    pub(super) fn evaluated(&mut self, word: &Word, state: &State) {
        let mut text = String::new();
        for piece in &word.pieces {
            match piece {
                Piece::Quoted(part) | Piece::Bare(part) => text.push_str(part),
                // What the caller's environment holds is the caller's own.
                Piece::Parameter(parameter) => text.push_str(state.variables.get(&parameter.name).unwrap_or_default()),
                Piece::Substitution { .. } | Piece::Unknown => text.push(UNKNOWN),
                Piece::Tilde(_) | Piece::Arithmetic(_) => {}
            }
        }
        self.evaluated_text(&text, state);
    }

    pub(super) fn evaluated_text(&mut self, text: &str, state: &State) {
        let names = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|name| !name.is_empty());
        let mut unknown = text.contains(UNKNOWN);
        let mut armed = is_armed(text);
        for value in names.filter_map(|name| state.variables.get(name)) {
            unknown |= value.contains(UNKNOWN);
            armed |= is_armed(value);
        }
        if armed {
            self.undecidable(ARMED.into());
        } else if unknown {
            let said = Said::new(Risk::Medium, "the shell evaluates a value that is not known before it runs");
            self.find(Vec::new(), said, None);
        }
    }
}

/// `${x:=y}` sets the variable where it had no value.
fn assign_defaults(word: &Word, state: &mut State) {
    for piece in &word.pieces {
        let Piece::Parameter(parameter) = piece else { continue };
        if let Operator::Assign(value) = &parameter.operator
            && state.variables.get(&parameter.name).is_none_or(str::is_empty)
        {
            let known = state.variables.guesses || state.variables.get(&parameter.name).is_some();
            let value = if known { expand::value(value, &state.variables) } else { UNKNOWN.to_string() };
            state.assign(&parameter.name, value);
        }
        if let Some(inner) = parameter.operator.operand() {
            assign_defaults(inner, state);
        }
    }
}

const ARMED: &str = "a subscript that the shell may evaluate holds a substitution";

/// A subscript with a substitution in it.
pub(super) fn is_armed(text: &str) -> bool {
    text.find('[').is_some_and(|at| text[at..].contains("$(") || text[at..].contains('`') || text[at..].contains("${"))
}

/// `${!prefix@}`, `${!array[@]}`: names and keys, evaluating nothing.
fn lists_names(name: &str) -> bool {
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    ["[@]", "[*]", "@", "*"].iter().any(|end| name.strip_suffix(end).is_some_and(plain))
}

/// What assignments and redirections add to a command.
#[derive(Debug, Clone)]
pub(super) struct Raised {
    pub(super) said: Said,
    pub(super) why: Option<String>,
    /// The file that standard output or another descriptor is written to.
    pub(super) target: Option<PathBuf>,
}

impl Default for Raised {
    fn default() -> Self {
        Raised { said: Said::new(Risk::ReadOnly, ""), why: None, target: None }
    }
}

impl Raised {
    pub(super) fn raise(&mut self, risk: Risk, why: impl FnOnce() -> String) {
        if risk > self.said.risk {
            self.said.risk = risk;
            self.why = Some(why());
        }
    }
}
