//! From the events of a run to the notifications and questions of a session.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;

use super::command::Command;
use super::hub::Hub;
use super::protocol::{About, Permission, ToolCall};
use super::rpc;
use super::session::{Recipient, Session};
use crate::journal::Exit;
use crate::journal::event::{Event, Exited};

/// The way of one command's events.
pub(super) struct Pump<'a> {
    hub: &'a Arc<Hub>,
    session: &'a Arc<Session>,
    command: &'a Arc<Command>,
    exited: Option<Exited>,
}

impl<'a> Pump<'a> {
    pub(super) fn new(hub: &'a Arc<Hub>, session: &'a Arc<Session>, command: &'a Arc<Command>) -> Self {
        Self { hub, session, command, exited: None }
    }

    /// Waits until the session's owner has room for it.
    pub(super) async fn tell(&mut self, event: Event) {
        match event {
            Event::Started(what) => self.notify("command/started", what).await,
            Event::Output(what) => self.notify("command/output", what).await,
            Event::FileChanged(what) => self.notify("command/file_changed", what).await,
            Event::Question(mut ask) => {
                ask.question_id = self.question_id(&ask.question_id);
                let tool_call = ToolCall {
                    tool_call_id: self.command.id.clone(),
                    title: self.command.line.clone(),
                    kind: "execute",
                    status: "pending",
                };
                let question = self.about(Permission { tool_call, ask: *ask });
                self.command.questions().insert(question.what.ask.question_id.clone(), question.clone());
                self.hub.ask(self.session, &question).await;
            }
            Event::QuestionResolved(mut resolved) => {
                resolved.question_id = self.question_id(&resolved.question_id);
                self.command.questions().remove(&resolved.question_id);
                let frame = rpc::notification("question/resolved", &self.about(resolved));
                self.hub.announce(self.session, frame).await;
            }
            // It was withdrawn while its answer was on the way, which its resolution has told.
            Event::AnswerRejected(_) => {}
            Event::Exited(exited) => self.exited = Some(exited),
        }
    }

    /// Tells the end: what the run said of it, else how the child came to its end.
    pub(super) async fn finish(mut self, status: Option<ExitStatus>) {
        self.command.questions().clear();
        let exited = self.exited.take().unwrap_or_else(|| without_a_word(status));
        self.notify("command/exited", exited).await;
    }

    fn about<T>(&self, what: T) -> About<T> {
        About { session_id: self.session.id.clone(), command_id: self.command.id.clone(), what }
    }

    /// Unique in the session.
    fn question_id(&self, in_the_run: &str) -> String {
        format!("{}.{in_the_run}", self.command.id)
    }

    async fn notify<T: serde::Serialize>(&self, method: &str, what: T) {
        let mut frame = rpc::notification(method, &self.about(what));
        loop {
            let changed = self.session.changed.notified();
            match self.session.recipient() {
                Recipient::Nobody => return,
                Recipient::Awaited => changed.await,
                Recipient::Owner(owner) => match owner.outbox.send(frame).await {
                    Ok(()) => return,
                    // Its connection is about to leave the session.
                    Err(unsent) => {
                        frame = unsent;
                        changed.await;
                    }
                },
            }
        }
    }
}

/// The end of a run that was cut off, or whose supervisor died.
fn without_a_word(status: Option<ExitStatus>) -> Exited {
    let cut = status.and_then(|status| status.code()) == Some(128 + libc::SIGPIPE);
    if cut {
        let notes = vec!["cancelled".to_owned()];
        return Exited { status: 137, exit: Some(Exit::Signal(libc::SIGKILL)), notes, ..Exited::default() };
    }
    let how = match status {
        Some(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("with status {code}"),
            (None, signal) => format!("by signal {}", signal.unwrap_or_default()),
        },
        None => "and left no status".to_owned(),
    };
    Exited {
        status: 125,
        error: Some(format!("the supervisor of this command ended without a word, {how}")),
        ..Exited::default()
    }
}
