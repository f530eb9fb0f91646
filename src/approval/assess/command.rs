//! One command with its arguments: which program it is, what its arguments make of it, what lists say.

use std::path::Path;

use super::identity::Identity;
use super::simple::Raised;
use super::state::{Input, Output, State};
use super::{MAX_COMMANDS, MAX_STEPS, MAX_WORDS, Named, Said, Walk};
use crate::approval::arg::{self, Arg, shown};
use crate::approval::execution;
use crate::approval::interlock::{self, Interlock};
use crate::approval::verdict::Risk;

/// What surrounds a command.
pub(super) struct Call {
    pub(super) input: Input,
    pub(super) raised: Raised,
    /// Read by a shell: builtins and functions count.
    pub(super) in_shell: bool,
    /// A function of this name stands in front of the program. `command` and `builtin` go past it.
    pub(super) functions: bool,
    /// An argument's substitution fetched something from the network.
    pub(super) fetched_argument: bool,
    /// What the one process writes whose output is an argument: `<(…)`.
    pub(super) substituted: Option<Input>,
}

impl Call {
    pub(super) fn direct() -> Call {
        Call {
            input: Input::default(),
            raised: Raised::default(),
            in_shell: false,
            functions: false,
            fetched_argument: false,
            substituted: None,
        }
    }

    /// The same surroundings for a command that this one starts.
    pub(super) fn for_inner(&self, in_shell: bool) -> Call {
        Call {
            input: self.input.clone(),
            raised: Raised::default(),
            in_shell,
            functions: in_shell && self.functions,
            fetched_argument: self.fetched_argument,
            substituted: self.substituted.clone(),
        }
    }
}

impl Walk<'_> {
    /// Judges a command and everything that it is known to start.
    pub(super) fn command(&mut self, argv: &[Arg], state: &mut State, call: Call) -> Output {
        // However much there is of it: no padding hides a command from these.
        self.lists_and_interlocks(argv, state);
        self.commands += 1;
        self.words += argv.len();
        if self.commands > MAX_COMMANDS || self.words > MAX_WORDS {
            if self.steps <= MAX_STEPS {
                self.undecidable("too many commands".into());
                self.steps = MAX_STEPS + 1;
            }
            return Output::default();
        }
        let Some(name) = argv[0].exact().filter(|_| !argv[0].expanded) else {
            self.report(argv, Said::new(Risk::High, ""), Some("the program's name is not literal".into()), None);
            self.cannot_know(|| format!("the program's name in `{}` is not literal", argv[0].shown()));
            return Output::default();
        };
        let name = name.to_owned();
        if call.in_shell && !name.contains('/') {
            if call.functions && !self.guessing && state.unsure.contains(&name) {
                let why = format!("`{name}` is perhaps a function, and perhaps not");
                self.report(argv, Said::new(Risk::High, ""), Some(why.clone()), None);
                self.cannot_know(|| why);
            }
            if let Some(body) = state.functions.get(&name).filter(|_| call.functions).cloned() {
                return self.call_function(body, argv, state, &call);
            }
            if self.builtin(argv, state, &call) {
                return Output::default();
            }
        }
        match self.identity(&name, state, call.in_shell) {
            Identity::Known { resolved } => self.known(argv, resolved.as_deref(), state, call),
            Identity::Shadowed(path) => {
                let why = format!("`{name}` is {}, which a sandboxed command may have written", path.display());
                self.report(argv, Said::new(Risk::High, ""), Some(why), None);
                Output::default()
            }
            Identity::Itself => {
                self.run_file(&name, argv, state);
                self.look_at_endings(argv, state);
                let loaded = execution::loaded(argv);
                if execution::is_loader(arg::base_name(&name)) && !loaded.is_empty() {
                    self.lists_and_interlocks(loaded, state);
                }
                Output::default()
            }
        }
    }

    pub(super) fn lists_and_interlocks(&mut self, argv: &[Arg], state: &State) {
        let line = || shown(argv).join(" ");
        if let Some(pattern) = self.rules.block.iter().find(|pattern| pattern.forbids(argv)) {
            self.out.blocked.get_or_insert_with(|| (pattern.rule().clone(), line()));
        }
        if let Some(pattern) = self.rules.deny.iter().find(|pattern| pattern.forbids(argv)) {
            self.out.denied.get_or_insert_with(|| (pattern.rule().clone(), Named::new(argv, state)));
        }
        if let Some(interlock) = interlock::of(argv, &self.place(state)) {
            self.trip(interlock, argv, state);
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
                None => match arg::exactly(argv).filter(|_| plain) {
                    Some(words) => {
                        self.out.uncovered = true;
                        self.out.coverable.push(words);
                    }
                    None => self.out.uncover(),
                },
            }
        }
        self.find(shown(argv), said, why);
    }

    /// A file named by its path is whatever it holds.
    pub(super) fn run_file(&mut self, name: &str, argv: &[Arg], state: &State) {
        let path = self.place(state).absolute(name);
        if path.is_some_and(|path| self.downloads.contains(&path)) {
            self.trip(Interlock::new("download-and-run", "runs a file that the same request downloads"), argv, state);
        }
        let path = self.place(state).absolute(name);
        self.run_saved(path.as_deref(), None, state);
        self.report(argv, Said::new(Risk::High, "a program that is only known by its path"), None, None);
    }
}
