//! What is known while a request is walked: directory, variables, functions, and what flows through pipes.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::rc::Rc;

use crate::approval::arg::{Arg, UNKNOWN};
use crate::approval::expand::{self, Variables};
use crate::approval::request::Request;
use crate::approval::shell::{Joint, Node, Piece, Word};

#[derive(Debug, Clone)]
pub(super) struct State {
    /// `None` after a `cd` whose target is not known.
    pub(super) cwd: Option<PathBuf>,
    /// In another directory than the request began in, and not the workspace's root.
    pub(super) moved: bool,
    pub(super) variables: Variables,
    /// Bodies of functions; `None` while a body is walked, so that recursion ends.
    pub(super) functions: HashMap<String, Option<Rc<Node>>>,
    /// Variables that hold what was fetched from the network.
    pub(super) fetched: HashSet<String>,
    /// The line that `read` gets, while one is tried.
    pub(super) reading: Option<String>,
    /// Names of variables that were set, and of functions that were defined (with `()`), in order.
    pub(super) written: Vec<String>,
    /// Functions that may or may not be what they are here.
    pub(super) unsure: HashSet<String>,
    /// Variables whose value is not what is assigned: read-only ones, those that change what they are given.
    pub(super) frozen: HashSet<String>,
}

/// A moment in a walk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark(usize);

impl State {
    pub(super) fn new(request: &Request<'_>) -> State {
        let mut variables = Variables::default();
        if let Some(home) = request.home.and_then(|home| home.to_str()) {
            variables.set("HOME", home.to_owned());
        }
        if let Some(cwd) = request.cwd.to_str() {
            variables.set("PWD", cwd.to_owned());
        }
        if let Some(workspace) = request.workspace.to_str() {
            variables.set(expand::WORKSPACE, workspace.to_owned());
        }
        variables.set("IFS", " \t\n".to_owned());
        State {
            cwd: Some(request.cwd.to_owned()),
            moved: false,
            variables,
            functions: HashMap::new(),
            fetched: HashSet::new(),
            reading: None,
            written: Vec::new(),
            unsure: HashSet::new(),
            frozen: HashSet::new(),
        }
    }

    /// Gives a variable a value.
    pub(super) fn assign(&mut self, name: &str, value: String) {
        match self.frozen.contains(name) {
            true => self.variables.forget(name),
            false => self.variables.set(name, value),
        }
        self.written.push(name.to_owned());
    }

    /// A variable has a value that is not known.
    pub(super) fn forget(&mut self, name: &str) {
        self.assign(name, UNKNOWN.to_string());
    }

    /// `body`: `None` where the function is gone.
    pub(super) fn define(&mut self, name: &str, body: Option<Rc<Node>>) {
        match body {
            Some(body) => self.functions.insert(name.to_owned(), Some(body)),
            None => self.functions.remove(name),
        };
        self.written.push(format!("{name}()"));
    }

    pub(super) fn mark(&self) -> Mark {
        Mark(self.written.len())
    }

    /// What was set since then was perhaps not set. True if anything was.
    pub(super) fn doubt(&mut self, since: Mark) -> bool {
        let names: HashSet<String> = self.written[since.0.min(self.written.len())..].iter().cloned().collect();
        for name in &names {
            match name.strip_suffix("()") {
                Some(function) => {
                    self.unsure.insert(function.to_owned());
                }
                None => self.variables.forget(name),
            }
            if name == "PWD" {
                self.cwd = None;
                self.moved = true;
            }
        }
        !names.is_empty()
    }

    /// What another state wrote since then can be written here between any two commands.
    pub(super) fn may_change_any_time(&mut self, other: &State, since: Mark) {
        for name in &other.written[since.0.min(other.written.len())..] {
            match name.strip_suffix("()") {
                Some(function) => {
                    self.unsure.insert(function.to_owned());
                }
                None => {
                    self.frozen.insert(name.clone());
                    self.forget(name);
                }
            }
            if name == "PWD" {
                self.cwd = None;
                self.moved = true;
            }
        }
    }

    /// What runs later finds whatever is there then.
    pub(super) fn later(&self) -> State {
        let mut state = self.clone();
        for name in state.variables.names() {
            if name != "HOME" && name != expand::WORKSPACE {
                state.forget(&name);
            }
        }
        state.cwd = None;
        state.moved = true;
        state
    }

    /// Sets `$1`, `$2`, … and `$@`.
    pub(super) fn set_positional(&mut self, args: &[Arg]) {
        self.variables.take_positional(&Variables::default());
        for (at, arg) in args.iter().enumerate() {
            let value = arg.exact().map_or_else(|| UNKNOWN.to_string(), str::to_owned);
            self.assign(&(at + 1).to_string(), value);
        }
        let all: Option<Vec<&str>> = args.iter().map(Arg::exact).collect();
        for list in ["@", "*"] {
            self.assign(list, all.as_ref().map_or_else(|| UNKNOWN.to_string(), |words| words.join(" ")));
        }
    }

    /// `shift`: by so many, or by a number that is not known.
    pub(super) fn shift(&mut self, by: Option<usize>) {
        let values: Vec<Arg> = (1..)
            .map_while(|at: usize| self.variables.get(&at.to_string()))
            .map(|value| if value.contains(UNKNOWN) { Arg::anything() } else { Arg::literal(value) })
            .collect();
        match by {
            Some(by) => self.set_positional(values.get(by..).unwrap_or_default()),
            None => self.set_positional(&vec![Arg::anything(); values.len()]),
        }
    }

    /// Is a variable expanded in it that holds what was fetched?
    pub(super) fn holds_download(&self, word: &Word) -> bool {
        !self.fetched.is_empty()
            && word
                .pieces
                .iter()
                .any(|piece| matches!(piece, Piece::Parameter(parameter) if self.fetched.contains(&parameter.name)))
    }

    /// Goes to a directory; `None` where it is not known.
    pub(super) fn change_directory(&mut self, target: Option<PathBuf>, request: &Request<'_>, how: Going) {
        let before = self.variables.get("PWD").map_or_else(|| UNKNOWN.to_string(), str::to_owned);
        self.assign("OLDPWD", before);
        let known = target.as_deref().is_some_and(|target| target == request.cwd || target == request.workspace);
        // A `cd` may have failed: back again is certain only by the whole path, of a directory that is there.
        self.moved = !known || (self.moved && how == Going::Relative);
        let text = target.as_deref().and_then(|target| target.to_str());
        self.assign("PWD", text.map_or_else(|| UNKNOWN.to_string(), str::to_owned));
        self.cwd = target;
    }
}

/// How a directory was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Going {
    Absolute,
    Relative,
}

/// What a command reads from its standard input.
#[derive(Debug, Clone, Default)]
pub(super) struct Input {
    /// All of it, where known.
    pub(super) text: Option<String>,
    /// Some of it came from the network.
    pub(super) downloaded: bool,
    /// The `find` that printed it.
    pub(super) found: Option<Vec<Arg>>,
}

/// What a command writes to its standard output.
#[derive(Debug, Clone, Default)]
pub(super) struct Output {
    pub(super) text: Option<String>,
    pub(super) downloaded: bool,
    /// The `find` that printed it.
    pub(super) found: Option<Vec<Arg>>,
}

impl Output {
    pub(super) fn unknown(downloaded: bool) -> Output {
        Output { downloaded, ..Output::default() }
    }

    /// The output of one command after another.
    pub(super) fn join(&mut self, next: Output) {
        self.downloaded |= next.downloaded;
        self.text = match (self.text.take(), next.text) {
            (Some(mut first), Some(second)) => {
                first.push_str(&second);
                Some(first)
            }
            (None, only) | (only, None) => only,
        };
    }
}

/// What can be said of a loop's variable without knowing the round: the beginning that all its values share.
pub(super) fn in_common(args: &[Arg], listed: bool) -> String {
    let mut common: Option<&str> = None;
    for arg in args {
        let known = arg.text.split(['*', '?', '[', UNKNOWN]).next().unwrap_or_default();
        let known = if arg.glob || arg.exact().is_none() { known } else { &arg.text };
        common = Some(match common {
            None => known,
            Some(before) => {
                let same = before.char_indices().zip(known.chars()).take_while(|((_, a), b)| a == b).last();
                &before[..same.map_or(0, |((at, c), _)| at + c.len_utf8())]
            }
        });
    }
    let mut text = if listed { common.unwrap_or_default().to_owned() } else { String::new() };
    if args.iter().all(|arg| arg.text == crate::approval::arg::NUMBER.to_string()) && !args.is_empty() {
        return text;
    }
    // No shared beginning, and yet none that makes an option.
    let literal_start = |arg: &Arg| !arg.may_become_option() && !arg.text.starts_with('-');
    if text.is_empty() && listed && !args.is_empty() && args.iter().all(literal_start) {
        text.push(crate::approval::arg::NUMBER);
    }
    text.push(UNKNOWN);
    text
}

/// Does the function start itself more than once, or beside itself?
pub(super) fn multiplies(name: &str, body: &Node) -> bool {
    let mut calls = Calls { name, total: 0, beside: 0 };
    calls.count(body, false);
    calls.beside > 0 || (calls.total > 1 && name.len() == 1 && !name.chars().all(char::is_alphanumeric))
}

struct Calls<'n> {
    name: &'n str,
    total: usize,
    /// In a pipeline or the background.
    beside: usize,
}

impl Calls<'_> {
    fn count(&mut self, node: &Node, beside: bool) {
        match node {
            Node::Simple(simple) => {
                let calls = simple.words.first().is_some_and(|word| match word.pieces.as_slice() {
                    [Piece::Bare(text) | Piece::Quoted(text)] => text == self.name,
                    _ => false,
                });
                self.total += usize::from(calls);
                self.beside += usize::from(calls && beside);
            }
            Node::Pipeline(stages) => stages.iter().for_each(|stage| self.count(stage, true)),
            Node::List(list) => {
                list.iter().for_each(|(node, joint)| self.count(node, beside || *joint == Joint::Beside))
            }
            Node::Subshell(inner) | Node::Redirected(inner, _) | Node::For { body: inner, .. } => {
                self.count(inner, beside)
            }
            Node::Branches(parts) | Node::Loop(parts) => parts.iter().for_each(|part| self.count(part, beside)),
            Node::Function { .. } | Node::Words(_) | Node::Test { .. } | Node::Arithmetic(_) => {}
        }
    }
}
