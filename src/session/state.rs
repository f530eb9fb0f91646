//! What runs of one session share, as a value and as JSON.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::policy::{Effect, Grant, Operation};
use crate::settings::{AutonomyLevel, InteractionMode};

/// More grants than this are no session any more; the oldest go.
const GRANTS_MAX: usize = 1000;

/// A session's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct State {
    /// The start of the machine that the session belongs to: no session outlives it.
    pub(super) boot: String,
    pub(super) level: Option<AutonomyLevel>,
    pub(super) mode: Option<InteractionMode>,
    grants: Vec<Allowed>,
    commands: Vec<CommandGrant>,
}

/// An access that is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowed {
    operation: Operation,
    entry: String,
}

/// What a command is given as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    Argv,
    Shell,
    /// A tool of our own, by the line that questions show.
    Tool,
}

/// A command that was allowed for a session: these words, in this workspace, over this rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandGrant {
    pub workspace: PathBuf,
    /// The argument vector; or one text.
    pub words: Vec<String>,
    pub form: Form,
    /// The rule that asked: another one asks again.
    pub rule: String,
}

impl State {
    pub(super) fn grant(&mut self, grant: Grant) {
        // A session only ever allows: refusals that last are written to settings.
        if grant.effect != Effect::Allow || grant.operation == Operation::Command {
            return;
        }
        push(&mut self.grants, Allowed { operation: grant.operation, entry: grant.entry });
    }

    pub(super) fn grant_command(&mut self, command: CommandGrant) {
        push(&mut self.commands, command);
    }

    pub(super) fn grants(&self) -> Vec<Grant> {
        let grant = |allowed: &Allowed| Grant {
            operation: allowed.operation,
            effect: Effect::Allow,
            entry: allowed.entry.clone(),
        };
        self.grants.iter().map(grant).collect()
    }

    pub(super) fn allows_command(&self, command: &CommandGrant) -> bool {
        self.commands.contains(command)
    }
}

fn push<T: PartialEq>(list: &mut Vec<T>, entry: T) {
    if !list.contains(&entry) {
        list.push(entry);
    }
    if list.len() > GRANTS_MAX {
        list.remove(0);
    }
}
