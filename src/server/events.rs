//! From the events of a run to the notifications and questions of a session.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::command::Command;
use super::hub::Hub;
use super::protocol::{About, FRAME_MAX, NotDone, Permission, ToolCall};
use super::rpc::{self, RpcError};
use super::session::{Recipient, Session};
use crate::journal::Exit;
use crate::journal::event::{Event, Exited, Output};

/// What an operation on files came to.
pub(super) struct Answer {
    pub(super) result: Result<Value, RpcError>,
    /// Given back when the client has it: few answers wait at a time.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

/// An answer in the making, of a run that is no command to its client.
pub(super) struct Collected {
    printed: Vec<u8>,
    answer: oneshot::Sender<Answer>,
    answers: Arc<Semaphore>,
    room: Option<OwnedSemaphorePermit>,
}

/// The way of one command's events.
pub(super) struct Pump<'a> {
    hub: &'a Arc<Hub>,
    session: &'a Arc<Session>,
    command: &'a Arc<Command>,
    exited: Option<Exited>,
    collected: Option<Collected>,
}

impl<'a> Pump<'a> {
    pub(super) fn new(
        hub: &'a Arc<Hub>,
        session: &'a Arc<Session>,
        command: &'a Arc<Command>,
        collected: Option<Collected>,
    ) -> Self {
        Self { hub, session, command, exited: None, collected }
    }

    /// Waits until the session's owner has room for it.
    pub(super) async fn tell(&mut self, event: Event) {
        match (event, &mut self.collected) {
            (Event::Started(_), Some(_)) => {}
            (Event::Output(output), Some(collected)) => collected.take(&output).await,
            (event, _) => self.tell_of_a_command(event).await,
        }
    }

    async fn tell_of_a_command(&mut self, event: Event) {
        match event {
            Event::Started(what) => self.notify("command/started", what).await,
            Event::Output(what) => self.notify("command/output", what).await,
            Event::FileChanged(what) => self.notify("command/file_changed", what).await,
            Event::Question(mut ask) => {
                ask.question_id = self.question_id(&ask.question_id);
                let tool_call = ToolCall {
                    tool_call_id: self.command.id.clone(),
                    title: self.command.line.clone(),
                    kind: self.command.kind,
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

    /// The run has told its end.
    pub(super) fn is_over(&self) -> bool {
        self.exited.is_some()
    }

    /// Tells the end: what the run said of it, else how the child came to its end.
    pub(super) async fn finish(mut self, status: Option<ExitStatus>, cut: bool) {
        self.command.questions().clear();
        let exited = self.exited.take();
        let signal = status.and_then(|status| status.signal()).filter(|_| self.command.is_signalled());
        let exited = exited.unwrap_or_else(|| match (cut, signal) {
            (true, _) => ended(libc::SIGKILL, "cancelled"),
            (false, Some(signal)) => ended(signal, "the signal came before the command began"),
            (false, None) => without_a_word(status),
        });
        match self.collected.take() {
            Some(collected) => collected.finish(exited).await,
            None => self.notify("command/exited", exited).await,
        }
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

impl Collected {
    pub(super) fn new(answer: oneshot::Sender<Answer>, answers: Arc<Semaphore>) -> Self {
        Self { printed: Vec::new(), answer, answers, room: None }
    }

    /// Waits until the client has read other answers.
    async fn make_room(&mut self) {
        if self.room.is_none() {
            self.room = Arc::clone(&self.answers).acquire_owned().await.ok();
        }
    }

    async fn take(&mut self, output: &Output) {
        self.make_room().await;
        let bytes = output.data.bytes().unwrap_or_default();
        // One byte more says that there was more.
        let most = (FRAME_MAX + 1).saturating_sub(self.printed.len());
        self.printed.extend_from_slice(&bytes[..bytes.len().min(most)]);
    }

    async fn finish(mut self, exited: Exited) {
        self.make_room().await;
        let result = result(&self.printed, exited);
        // A client that is gone needs no answer.
        let _ = self.answer.send(Answer { result, room: self.room });
    }
}

/// What the operation printed, or why it was not done.
fn result(printed: &[u8], exited: Exited) -> Result<Value, RpcError> {
    let failed = |kind: &str, message: String, exited: Exited| {
        let not_done = NotDone { kind: kind.to_owned(), refused: exited.refused, denied: exited.denied };
        Err(RpcError { data: serde_json::to_value(not_done).ok().map(Box::new), ..RpcError::not_done(message) })
    };
    if printed.len() > FRAME_MAX {
        return failed("too_large", format!("the answer has more than {FRAME_MAX} bytes: ask for less"), exited);
    }
    if let Some(refused) = &exited.refused {
        return failed("refused", format!("refused: {}; to allow it: {}", refused.reason, refused.hint), exited);
    }
    let said = serde_json::from_slice::<Value>(printed).unwrap_or_default();
    if exited.status == 0 && said.is_object() {
        return Ok(said);
    }
    if let (Some(kind), Some(message)) = (said["error"]["kind"].as_str(), said["error"]["message"].as_str()) {
        return failed(kind, message.to_owned(), exited);
    }
    match &exited.error {
        Some(error) => Err(RpcError::internal(error.clone())),
        None => failed("cancelled", "the operation was ended before it was done".to_owned(), exited),
    }
}

/// The end of a run by its client, which the run could not tell.
fn ended(signal: i32, note: &str) -> Exited {
    let status = u8::try_from(128 + signal).unwrap_or(u8::MAX);
    Exited { status, exit: Some(Exit::Signal(signal)), notes: vec![note.to_owned()], ..Exited::default() }
}

/// The end of a run whose supervisor died.
fn without_a_word(status: Option<ExitStatus>) -> Exited {
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
