//! The assessor: what could a request do? Walks the tree of commands with what is known of the working
//! directory, variables and functions, and weighs every simple command, nested ones too.
//!
//! Whatever it cannot follow is `high` and undecidable; it never takes silence for safety.

mod builtins;
mod command;
mod embedded;
mod identity;
mod known;
mod machine;
mod saved;
mod shells;
mod simple;
mod state;
mod wrapped;

use std::collections::HashMap;
use std::path::PathBuf;

use super::interlock::{Interlock, Place};
use super::lists::Rules;
use super::programs::Said;
use super::request::{Request, Subject, Surroundings};
use super::shell::{self, Joint, Node, Word};
use super::verdict::{Finding, Risk, Spoken};
use crate::approval::arg::{self, Arg};
use crate::approval::expand;
use crate::policy::Rule;
use machine::Machine;
use saved::Saved;
use state::{Input, Mark, Output, State};

/// More simple commands than this in one request are not followed.
const MAX_COMMANDS: usize = 1_000;
/// Words of all commands together, those in other commands' arguments again: as many as the longest text can hold.
const MAX_WORDS: usize = shell::MAX_TEXT_BYTES / 2;
/// More nodes of the tree, repeated rounds and calls included, are not either.
const MAX_STEPS: usize = 10_000;
/// Nodes in nodes, through nested texts and functions: bounds the stack.
const MAX_DEPTH: usize = 200;
/// Shell text, nested texts counted again.
const MAX_BYTES: usize = 128 * 1024;
/// Shell texts in shell texts.
const MAX_LEVELS: usize = 12;
/// A `for` over at most this many known words is followed word by word.
const MAX_ROUNDS: usize = 8;

/// What the walk found.
#[derive(Debug, Default)]
pub(super) struct Assessment {
    pub(super) findings: Vec<Finding>,
    pub(super) blocked: Option<(Rule, String)>,
    pub(super) denied: Option<(Rule, Named)>,
    pub(super) interlock: Option<(Interlock, Named)>,
    /// Why part of it cannot be known.
    pub(super) undecidable: Option<String>,
    /// The allow rule of the first command, while every command has one or needs none.
    pub(super) allowed: Option<Rule>,
    /// A command that no allow rule covers.
    pub(super) uncovered: bool,
    /// The words of those that an allow rule of just these words would cover.
    pub(super) coverable: Vec<Vec<String>>,
    /// Something that no allow rule could cover.
    pub(super) beyond_rules: bool,
    /// A command is read-only only if Git runs nothing that the repository configures.
    pub(super) quiet_git: bool,
}

impl Assessment {
    /// Nothing is known of the request.
    pub(super) fn unknown(why: &str) -> Self {
        let finding = Finding { argv: Vec::new(), risk: Risk::High, why: why.to_owned(), via: Vec::new() };
        Self {
            findings: vec![finding],
            undecidable: Some(why.to_owned()),
            uncovered: true,
            beyond_rules: true,
            ..Self::default()
        }
    }

    /// The command that the deny list, or else an interlock, speaks of.
    pub(super) fn spoken_of(&self) -> Option<Spoken> {
        let denied = self.denied.as_ref().map(|(_, named)| named);
        denied.or(self.interlock.as_ref().map(|(_, named)| named))?.spoken.clone()
    }

    /// Notes something that no allow rule could cover.
    pub(super) fn uncover(&mut self) {
        self.uncovered = true;
        self.beyond_rules = true;
    }

    pub(super) fn risk(&self) -> Risk {
        self.findings.iter().map(|found| found.risk).max().unwrap_or(Risk::ReadOnly)
    }
}

/// The command that a rule speaks of.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) line: String,
    spoken: Option<Spoken>,
}

impl Named {
    /// A tool has no argument vector.
    pub(super) fn tool(name: &str) -> Self {
        Self { line: name.to_owned(), spoken: None }
    }

    fn new(command: &[Arg], state: &State) -> Self {
        let spoken = |argv| Spoken { argv, cwd: state.cwd.clone() };
        Self { line: arg::shown(command).join(" "), spoken: arg::exactly(command).map(spoken) }
    }
}

/// Assesses a whole request.
pub(super) fn assess(rules: &Rules, request: &Request<'_>, surroundings: &dyn Surroundings) -> Assessment {
    let mut walk = Walk {
        rules,
        request,
        machine: Machine::new(surroundings),
        out: Assessment::default(),
        via: Vec::new(),
        commands: 0,
        words: 0,
        steps: 0,
        bytes: 0,
        depth: 0,
        downloads: Vec::new(),
        saved: Saved::default(),
        found: HashMap::new(),
        doubted: false,
        guessing: false,
    };
    let mut state = State::new(request);
    match request.subject {
        Subject::Shell(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => {
                walk.script(text, &mut state, &Input::default());
                if walk.doubted {
                    walk.guess(text);
                }
            }
            Err(_) => walk.unreadable(shell::Unreadable::NotUtf8),
        },
        Subject::Argv(words) => {
            let argv: Vec<Arg> = words.iter().map(|word| Arg::literal(&word.to_string_lossy())).collect();
            if argv.is_empty() {
                walk.unreadable(shell::Unreadable::Syntax);
            } else {
                walk.command(&argv, &mut state, command::Call::direct());
            }
        }
    }
    if walk.machine.is_exhausted() {
        walk.undecidable("names too many files to look at".into());
    }
    walk.out
}

struct Walk<'a> {
    rules: &'a Rules,
    request: &'a Request<'a>,
    machine: Machine<'a>,
    out: Assessment,
    /// How the place that is walked is reached.
    via: Vec<String>,
    commands: usize,
    words: usize,
    steps: usize,
    bytes: usize,
    depth: usize,
    /// Files that the request itself fetches from the network.
    downloads: Vec<PathBuf>,
    /// Files that the request itself writes, with what it writes.
    saved: Saved,
    /// Where a command stands among the findings, by its words and how it is reached.
    found: HashMap<(Vec<String>, Vec<String>), usize>,
    /// Something is likely, and not known: a value that was perhaps not set, a default.
    doubted: bool,
    /// Takes the likely for the known, to see what lists and interlocks say then.
    guessing: bool,
}

impl<'a> Walk<'a> {
    fn place<'s>(&'s self, state: &'s State) -> Place<'s> {
        Place {
            cwd: state.cwd.as_deref(),
            workspace: self.request.workspace,
            home: self.request.home,
            surroundings: &self.machine,
        }
    }

    /// Walks a text as a shell would run it.
    fn script(&mut self, text: &str, state: &mut State, input: &Input) -> Output {
        self.bytes += text.len();
        if self.via.len() >= MAX_LEVELS || self.bytes > MAX_BYTES {
            self.unreadable(shell::Unreadable::Nesting);
            return Output::default();
        }
        match shell::read(text) {
            Ok(node) => self.node(&node, state, input),
            Err(unreadable) => {
                self.unreadable(unreadable);
                Output::default()
            }
        }
    }

    /// The same, reached through something: its own variables and directory are lost afterwards.
    fn nested_script(&mut self, label: &str, text: &str, mut state: State, input: &Input) -> Output {
        self.via.push(label.to_owned());
        let output = self.script(text, &mut state, input);
        self.via.pop();
        output
    }

    fn unreadable(&mut self, why: shell::Unreadable) {
        self.undecidable(format!("cannot be read: {why}"));
    }

    /// Notes something that only the run will tell, as a finding of its own.
    fn undecidable(&mut self, why: String) {
        self.find(Vec::new(), Said::new(Risk::High, ""), Some(why.clone()));
        self.out.uncover();
        self.out.undecidable.get_or_insert(why);
    }

    /// Notes why part of the request cannot be known; what it belongs to is reported apart.
    fn cannot_know(&mut self, why: impl FnOnce() -> String) {
        self.out.undecidable.get_or_insert_with(why);
    }

    fn find(&mut self, argv: Vec<String>, said: Said, why: Option<String>) {
        let finding =
            Finding { argv, risk: said.risk, why: why.unwrap_or_else(|| said.why.to_owned()), via: self.via.clone() };
        // A function's body is walked where it is defined and where it is called; a closer look may raise what was said.
        let at = *self.found.entry((finding.argv.clone(), finding.via.clone())).or_insert(self.out.findings.len());
        match self.out.findings.get_mut(at) {
            Some(before) if before.risk < finding.risk => *before = finding,
            Some(_) => {}
            None => self.out.findings.push(finding),
        }
    }

    fn trip(&mut self, interlock: Interlock, command: &[Arg], state: &State) {
        self.out.interlock.get_or_insert_with(|| (interlock, Named::new(command, state)));
    }

    /// Walks the text once more with what is likely. How risky it is is not said by that.
    fn guess(&mut self, text: &str) {
        let mut state = State::new(self.request);
        state.variables.guesses = true;
        self.guessing = true;
        (self.commands, self.words, self.steps, self.bytes) = (0, 0, 0, 0);
        self.saved = Saved::default();
        self.probing(|walk| {
            walk.script(text, &mut state, &Input::default());
        });
    }

    /// What was set since then was perhaps not set. True if anything was.
    fn doubt(&mut self, state: &mut State, since: Mark) -> bool {
        let doubted = !self.guessing && state.doubt(since);
        self.doubted |= doubted;
        doubted
    }

    fn node(&mut self, node: &Node, state: &mut State, input: &Input) -> Output {
        self.steps += 1;
        if self.steps > MAX_STEPS || self.depth >= MAX_DEPTH {
            if self.out.undecidable.is_none() {
                self.undecidable("too much to follow".into());
            }
            return Output::default();
        }
        self.depth += 1;
        if let Some(text) =
            input.text.as_deref().filter(|_| state.reading.is_none() && !matches!(node, Node::Simple(_)))
        {
            self.try_reads(node, state, text);
        }
        let output = self.kind_of_node(node, state, input);
        self.depth -= 1;
        output
    }

    /// What lists and interlocks say of commands that `read` lines of a known input.
    fn try_reads(&mut self, node: &Node, state: &State, text: &str) {
        for line in text.lines().take(MAX_ROUNDS) {
            let inside = &mut State { reading: Some(line.trim().to_owned()), ..state.clone() };
            self.probing(|walk| {
                walk.kind_of_node(node, inside, &Input::default());
            });
        }
    }

    fn kind_of_node(&mut self, node: &Node, state: &mut State, input: &Input) -> Output {
        match node {
            Node::Simple(simple) => self.simple(simple, state, input),
            Node::Pipeline(stages) => self.pipeline(stages, state, input),
            Node::List(list) => self.list(list, state, input),
            Node::Subshell(inner) => self.node(inner, &mut state.clone(), input),
            Node::Redirected(inner, redirects) => self.redirected(inner, redirects, state, input),
            Node::Function { name, body } => {
                self.function(name, body, state);
                Output::default()
            }
            Node::For { .. } => self.for_each(node, state, input),
            Node::Branches(parts) => {
                let mut output = Output::default();
                for (at, part) in parts.iter().enumerate() {
                    let mark = state.mark();
                    output.join(self.node(part, state, input));
                    if at > 0 {
                        self.doubt(state, mark);
                    }
                }
                output
            }
            Node::Loop(parts) => {
                let mark = state.mark();
                let mut output = self.round(parts, state, input);
                // The next round finds what this one left.
                if self.doubt(state, mark) {
                    output.join(self.round(parts, state, input));
                    self.doubt(state, mark);
                }
                output
            }
            Node::Words(words) => {
                self.look_into(words, state, input);
                Output::default()
            }
            Node::Test { words, evaluates } => {
                self.look_into(words, state, input);
                if *evaluates {
                    words.iter().for_each(|word| self.evaluated(word, state));
                }
                Output::default()
            }
            Node::Arithmetic(word) => {
                self.look_into(std::slice::from_ref(word), state, input);
                self.evaluated(word, state);
                Output::default()
            }
        }
    }

    fn round(&mut self, parts: &[Node], state: &mut State, input: &Input) -> Output {
        let mut output = Output::default();
        for part in parts {
            output.join(self.node(part, state, input));
        }
        output
    }

    fn for_each(&mut self, node: &Node, state: &mut State, input: &Input) -> Output {
        let Node::For { name, values, body } = node else { return Output::default() };
        let mut rounds = self.rounds(values.as_deref(), state, input);
        let mut output = Output::default();
        let before = state.mark();
        let mut at = 0;
        while at < rounds.len() {
            state.assign(name, rounds[at].clone());
            let mark = state.mark();
            output.join(self.node(body, state, input));
            // The next round finds what this one left, and there may be one.
            if self.doubt(state, mark) && at == 0 && rounds.len() == 1 {
                rounds.push(rounds[0].clone());
            }
            at += 1;
        }
        self.doubt(state, before);
        output
    }

    fn list(&mut self, list: &[(Node, Joint)], state: &mut State, input: &Input) -> Output {
        let mut output = Output::default();
        let mut rest = list;
        while !rest.is_empty() {
            let end = rest.iter().position(|(_, joint)| matches!(joint, Joint::Then | Joint::Beside));
            let (chain, after) = rest.split_at(end.map_or(rest.len(), |at| at + 1));
            output.join(match chain.last() {
                Some((_, Joint::Beside)) => self.chain(chain, &mut state.clone(), input),
                _ => self.chain(chain, state, input),
            });
            rest = after;
        }
        output
    }

    /// Commands joined by `&&` and `||`: all but the first may be skipped.
    fn chain(&mut self, chain: &[(Node, Joint)], state: &mut State, input: &Input) -> Output {
        let mut output = Output::default();
        let mut optional = None;
        for (at, (node, _)) in chain.iter().enumerate() {
            match optional {
                None if at > 0 => optional = Some(state.mark()),
                // In `a && b || c` the last finds what the first left, and perhaps the second.
                Some(mark) if chain[at - 1].1 != chain[at - 2].1 => {
                    self.doubt(state, mark);
                }
                _ => {}
            }
            output.join(self.node(node, state, input));
        }
        if let Some(mark) = optional {
            self.doubt(state, mark);
        }
        output
    }

    fn pipeline(&mut self, stages: &[Node], state: &State, input: &Input) -> Output {
        let mut flowing = input.clone();
        let mut output = Output::default();
        for stage in stages {
            output = self.node(stage, &mut state.clone(), &flowing);
            output.downloaded |= flowing.downloaded;
            flowing = Input { text: output.text.clone(), downloaded: output.downloaded, found: output.found.clone() };
        }
        output
    }

    fn function(&mut self, name: &str, body: &Node, state: &mut State) {
        if state::multiplies(name, body) {
            let interlock =
                Interlock::new("fork-bomb", format!("the function `{name}` starts copies of itself without end"));
            self.trip(interlock, &[Arg::literal(name)], state);
        }
        let mut inside = state.clone();
        inside.functions.insert(name.to_owned(), None);
        self.via.push(format!("{name}()"));
        self.node(body, &mut inside, &Input::default());
        self.via.pop();
        state.define(name, Some(std::rc::Rc::new(body.clone())));
    }

    /// The values that a loop's variable takes, or what they have in common.
    fn rounds(&mut self, values: Option<&[Word]>, state: &State, input: &Input) -> Vec<String> {
        let words = values.unwrap_or_default();
        self.look_into(words, state, input);
        let args = expand::all(words, &state.variables);
        let known = args.iter().all(|arg| arg.exact().is_some());
        if known && (1..=MAX_ROUNDS).contains(&args.len()) {
            return args.into_iter().map(|arg| arg.text).collect();
        }
        vec![state::in_common(&args, values.is_some())]
    }

    /// Substitutions in words run; some expansions evaluate what they expand. True if something was downloaded.
    fn look_into(&mut self, words: &[Word], state: &State, input: &Input) -> bool {
        let mut texts = Vec::new();
        let mut downloaded = false;
        for word in words {
            word.substitutions(&mut |text| texts.push(text));
            self.expansions(word, state);
            downloaded |= state.holds_download(word);
        }
        for text in texts {
            downloaded |= self.nested_script("$(…)", text, state.clone(), input).downloaded;
        }
        downloaded
    }
}
