//! One session: the span over which a level and a mode hold, its commands and their questions.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::command::Command;
use super::hub::{Client, Hub, permission_request};
use super::protocol::{CommandState, RequestPermission, SessionLoaded};
use super::rpc::RpcError;
use crate::approval::{Authority, Chosen};
use crate::journal::event::Reply;
use crate::session;
use crate::settings::AutonomyLevel;

#[derive(Debug, Default)]
struct State {
    owner: Option<Arc<Client>>,
    /// Grows whenever somebody comes who answers.
    attendance: u64,
    /// Grows with each owner.
    owners: u64,
    commands: BTreeMap<u64, Arc<Command>>,
    next_command: u64,
    /// Nobody came back in time: output is thrown away.
    given_up: bool,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) workspace: PathBuf,
    pub(super) cwd: PathBuf,
    pub(super) profiles: Vec<String>,
    /// Level, mode and grants, which every command of the session reads.
    pub(super) shared: session::Session,
    /// An approver opened it. One that loads another's session answers its questions, and leaves it to whoever comes back.
    approvers: bool,
    state: Mutex<State>,
    /// The owner is another, or nobody is waited for any more.
    pub(super) changed: Notify,
}

/// What a client asks for.
pub(super) struct Made {
    pub(super) id: String,
    pub(super) workspace: PathBuf,
    pub(super) cwd: PathBuf,
    pub(super) profiles: Vec<String>,
}

/// Where the output of a session goes now.
pub(super) enum Recipient {
    Owner(Arc<Client>),
    /// Somebody may come back.
    Awaited,
    Nobody,
}

impl Session {
    pub(super) fn new(made: Made, shared: session::Session, owner: &Arc<Client>) -> Self {
        let Made { id, workspace, cwd, profiles } = made;
        let state = Mutex::new(State { owner: Some(Arc::clone(owner)), ..State::default() });
        let approvers = owner.approver;
        Self { id, workspace, cwd, profiles, shared, approvers, state, changed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much starts unasked now.
    pub(super) fn authority(&self, hub: &Hub) -> Result<Authority, RpcError> {
        let authority = self.shared.authority(&hub.config.approval, Chosen::default(), AutonomyLevel::Off);
        authority.map_err(|error| RpcError::not_allowed(error.to_string()))
    }

    /// Removes what the session shared. Commands that still run go on without it.
    pub(super) fn forget(&self) {
        if let Some(file) = self.shared.file() {
            // There is none before somebody chooses or grants something.
            let _ = std::fs::remove_file(file);
        }
    }

    pub(super) fn has_owner(&self) -> bool {
        self.state().owner.is_some()
    }

    pub(super) fn is_owned_by(&self, client: &Client) -> bool {
        self.state().owner.as_ref().is_some_and(|owner| owner.id == client.id)
    }

    /// Makes the client the owner, unless somebody else is, or it is an approver come to another's session.
    pub(super) fn attach(&self, client: &Arc<Client>) -> bool {
        if client.approver && !self.approvers {
            return false;
        }
        let mut state = self.state();
        if state.owner.as_ref().is_some_and(|owner| owner.id != client.id) {
            return false;
        }
        state.owner = Some(Arc::clone(client));
        state.owners += 1;
        state.given_up = false;
        drop(state);
        self.changed.notify_waiters();
        true
    }

    /// Was the client the owner?
    pub(super) fn detach(&self, client: &Client) -> bool {
        let mut state = self.state();
        if state.owner.as_ref().is_none_or(|owner| owner.id != client.id) {
            return false;
        }
        state.owner = None;
        drop(state);
        self.changed.notify_waiters();
        true
    }

    /// Somebody came who answers.
    pub(super) fn attended(&self) {
        self.state().attendance += 1;
    }

    pub(super) fn attendance(&self) -> u64 {
        self.state().attendance
    }

    pub(super) fn owners(&self) -> u64 {
        self.state().owners
    }

    pub(super) fn give_up(&self) {
        self.state().given_up = true;
        self.changed.notify_waiters();
    }

    pub(super) fn recipient(&self) -> Recipient {
        let state = self.state();
        match &state.owner {
            Some(owner) => Recipient::Owner(Arc::clone(owner)),
            None if state.given_up => Recipient::Nobody,
            None => Recipient::Awaited,
        }
    }

    /// Its owner went away and did not come back in time.
    pub(super) fn is_given_up(&self) -> bool {
        self.state().given_up
    }

    pub(super) fn is_idle(&self) -> bool {
        self.state().commands.is_empty()
    }

    /// Nobody has it, nobody is waited for, nothing runs.
    pub(super) fn is_over(&self) -> bool {
        let state = self.state();
        state.owner.is_none() && state.given_up && state.commands.is_empty()
    }

    /// A number for the next command.
    pub(super) fn number(&self) -> u64 {
        let mut state = self.state();
        state.next_command += 1;
        state.next_command
    }

    pub(super) fn add(&self, command: &Arc<Command>) {
        self.state().commands.insert(command.number, Arc::clone(command));
    }

    pub(super) fn remove(&self, command: &Command) {
        self.state().commands.remove(&command.number);
    }

    pub(super) fn commands(&self) -> Vec<Arc<Command>> {
        self.state().commands.values().cloned().collect()
    }

    pub(super) fn command(&self, id: &str) -> Result<Arc<Command>, RpcError> {
        let found = number(id).and_then(|number| self.state().commands.get(&number).cloned());
        found.ok_or_else(|| RpcError::no_command(format!("no command {id:?} runs in this session")))
    }

    pub(super) fn loaded(&self, hub: &Hub) -> Result<SessionLoaded, RpcError> {
        let commands = self.commands();
        let Authority { level, mode, .. } = self.authority(hub)?;
        Ok(SessionLoaded {
            session_id: self.id.clone(),
            level,
            mode,
            commands: commands
                .iter()
                .map(|command| CommandState { command_id: command.id.clone(), command: command.line.clone() })
                .collect(),
            pending_questions: self.pending(),
        })
    }

    fn pending(&self) -> Vec<RequestPermission> {
        self.commands().iter().flat_map(|command| command.questions().values().cloned().collect::<Vec<_>>()).collect()
    }

    /// Asks a client that has just come what is open.
    pub(super) async fn offer(&self, client: &Client, hub: &Hub) {
        if !client.asks || !hub.may_answer(self, client) {
            return;
        }
        for question in self.pending() {
            if client.outbox.send(permission_request(&question)).await.is_err() {
                return;
            }
        }
    }

    /// Gives an answer to the command that asked; an error has no effect.
    pub(super) fn answer(&self, question: &str, option: &str) -> Result<(), RpcError> {
        let none = || RpcError::no_question(format!("no question {question:?} is open in this session"));
        let (command, inner) = question.split_once('.').ok_or_else(none)?;
        let command = self.command(command).map_err(|_| none())?;
        let mut open = command.questions();
        let found = open.get(question).ok_or_else(none)?;
        if !found.what.ask.options.iter().any(|choice| choice.option_id == option) {
            return Err(RpcError::no_question(format!("the option {option:?} was not offered for {question:?}")));
        }
        open.remove(question);
        drop(open);
        let reply = Reply { question_id: inner.to_owned(), option_id: option.to_owned() };
        command.reply(reply)
    }

    pub(super) fn deny_all(&self) {
        for question in self.pending() {
            // Somebody was quicker.
            let _ = self.answer(&question.what.ask.question_id, "deny");
        }
    }
}

/// The number in a command's id.
fn number(id: &str) -> Option<u64> {
    id.strip_prefix('c')?.parse().ok()
}
