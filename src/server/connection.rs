//! One connection: frames in, dispatched one after the other; frames out from a bounded queue.

use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinHandle;

use super::events::Answer;
use super::files;
use super::frames::{Frame, Incoming, LONG_TAKES, Outbox, Outgoings, USUAL};
use super::hub::{Client, Hub, asked_by};
use super::methods::{self, Checking};
use super::protocol::{FRAME_MAX, PermissionOutcome, PermissionResponse, QuestionRejected};
use super::rpc::{self, Message, RpcError};
use super::session::Session;

/// Requests of one connection that are worked on at the same time.
const AT_ONCE: usize = 16;

/// What a request comes to.
pub(super) struct Handled {
    pub(super) result: Value,
    pub(super) after: After,
}

/// What happens once the client has the result.
pub(super) enum After {
    Nothing,
    /// Events may be told.
    Tell(oneshot::Sender<()>),
    /// What is open is asked.
    Offer(Vec<Arc<Session>>),
}

/// What is answered while other frames are read.
enum Later {
    Check(Checking, OwnedSemaphorePermit),
    File(oneshot::Receiver<Answer>),
}

impl Later {
    async fn answer(self, id: Option<Value>, outbox: Outbox) {
        // Both hold what bounds them until the answer is on its way.
        let (result, _room) = match self {
            Self::Check(check, permit) => (check.carry_out().await, Some(permit)),
            Self::File(answer) => match answer.await {
                Ok(Answer { result, room }) => (result, room),
                Err(_) => (Err(RpcError::internal("the operation ended without a word")), None),
            },
        };
        if let Some(id) = id {
            // A client that is gone needs no answer.
            let _ = outbox.send(rpc::response(&id, &result)).await;
        }
    }
}

/// What is known of the other end.
pub(super) struct Connection {
    hub: Arc<Hub>,
    outbox: Outbox,
    client: Option<Arc<Client>>,
    at_once: Arc<Semaphore>,
}

/// Serves a client until it goes away.
pub(super) async fn serve(
    hub: &Arc<Hub>,
    read: impl AsyncRead + Unpin,
    write: impl AsyncWrite + Unpin + Send + 'static,
) {
    let (client, writer) = converse(hub, read, write).await;
    if let Some(client) = client {
        hub.dismiss(&client);
    }
    writer.abort();
}

/// Serves the only client there will be. When it has said everything, its commands still run to their
/// end and are told; what they ask is denied.
pub(super) async fn serve_to_the_end(
    hub: &Arc<Hub>,
    read: impl AsyncRead + Unpin,
    write: impl AsyncWrite + Unpin + Send + 'static,
) {
    let (client, mut writer) = converse(hub, read, write).await;
    if writer.is_finished() {
        // Nobody reads: there is nothing to wait for.
        return;
    }
    hub.close();
    while hub.running() > 0 && !writer.is_finished() {
        let idle = hub.idle.notified();
        if hub.running() > 0 {
            tokio::select! {
                () = idle => {}
                _ = &mut writer => return,
            }
        }
    }
    drop(client);
    for session in hub.sessions() {
        hub.remove(&session);
    }
    hub.forget_clients();
    // Everything that was said is on its way; whoever reads no more is not waited for.
    let _ = writer.await;
}

/// Takes what a client says until it says no more. Gives the client, if it introduced itself, and what writes to it.
async fn converse(
    hub: &Arc<Hub>,
    read: impl AsyncRead + Unpin,
    write: impl AsyncWrite + Unpin + Send + 'static,
) -> (Option<Arc<Client>>, JoinHandle<()>) {
    let (outbox, frames) = Outbox::new();
    let mut writer = tokio::spawn(deliver(frames, write));
    let at_once = Arc::new(Semaphore::new(AT_ONCE));
    let mut connection = Connection { hub: Arc::clone(hub), outbox, client: None, at_once };
    connection.listen(read, &mut writer).await;
    (connection.client, writer)
}

async fn deliver(mut frames: Outgoings, mut to: impl AsyncWrite + Unpin) {
    while let Some(frame) = frames.next().await {
        if to.write_all(&frame.bytes).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
}

impl Connection {
    /// Takes frames until there are no more, or nobody reads the answers.
    async fn listen(&mut self, read: impl AsyncRead + Unpin, writer: &mut JoinHandle<()>) {
        let mut read =
            Incoming::new(BufReader::with_capacity(16 << 10, read), Arc::clone(&self.hub.long_frames), LONG_TAKES);
        loop {
            let leave = self.client.clone();
            // Who has not said who it is needs no more.
            let most = if leave.is_some() { FRAME_MAX } else { USUAL };
            let frame = tokio::select! {
                frame = read.next(most) => frame,
                _ = &mut *writer => return,
                () = asked_to_leave(leave.as_deref()) => return,
            };
            let taken = match frame {
                Ok(Frame::Line(line)) if line.trim_ascii().is_empty() => Ok(()),
                Ok(Frame::Line(line)) => tokio::select! {
                    taken = self.take(&line) => taken,
                    () = asked_to_leave(leave.as_deref()) => return,
                },
                Ok(Frame::TooLong) => {
                    let error = RpcError::invalid(format!("the frame is longer than {most} bytes"));
                    self.respond(&Value::Null, &Err(error)).await
                }
                Ok(Frame::End) | Err(_) => return,
            };
            if taken.is_err() {
                return;
            }
        }
    }
}

async fn asked_to_leave(client: Option<&Client>) {
    match client {
        Some(client) => client.leave.notified().await,
        None => std::future::pending().await,
    }
}

/// The client reads no more.
struct Left;

impl Connection {
    async fn respond(&self, id: &Value, result: &Result<Value, RpcError>) -> Result<(), Left> {
        self.outbox.send(rpc::response(id, result)).await.map_err(|_| Left)
    }

    async fn take(&mut self, line: &[u8]) -> Result<(), Left> {
        match Message::parse(line) {
            Err(bad) => self.respond(&bad.id, &Err(bad.error)).await,
            Ok(Message::Response { id, result }) => {
                if let Err(error) = self.answered(&id, result) {
                    let rejected = QuestionRejected { id, reason: error.message };
                    self.outbox.send(rpc::notification("question/rejected", &rejected)).await.map_err(|_| Left)?;
                }
                Ok(())
            }
            Ok(Message::Request { id, method, params }) => self.request(id, &method, params).await,
        }
    }

    async fn request(&mut self, id: Option<Value>, method: &str, params: Value) -> Result<(), Left> {
        let Some(client) = self.client.clone() else {
            let introduced = self.introduce(method, params);
            return self.conclude(id, introduced).await;
        };
        let at_once = Arc::clone(&self.at_once);
        let later = match method {
            "command/check" | "mcp/check" => {
                // Nobody is asked: it takes a moment, in which no more is read.
                let Ok(permit) = at_once.acquire_owned().await else { return Err(Left) };
                methods::check(&self.hub, &client, method, params).map(|check| Later::Check(check, permit))
            }
            _ => match files::begin(&self.hub, &client, method, &params) {
                Some(begun) => begun.map(Later::File),
                None => return self.conclude(id, methods::handle(&self.hub, &client, method, params)).await,
            },
        };
        match later {
            Ok(later) => {
                tokio::spawn(later.answer(id, self.outbox.clone()));
                Ok(())
            }
            Err(error) => self.conclude(id, Err(error)).await,
        }
    }

    /// Answers a request, where somebody waits for an answer, and goes on from there.
    async fn conclude(&self, id: Option<Value>, handled: Result<Handled, RpcError>) -> Result<(), Left> {
        let (result, after) = match handled {
            Ok(Handled { result, after }) => (Ok(result), after),
            Err(error) => (Err(error), After::Nothing),
        };
        if let Some(id) = id {
            self.respond(&id, &result).await?;
        }
        match (after, &self.client) {
            (After::Tell(go), _) => {
                // Who waits for it is there as long as the run is.
                let _ = go.send(());
            }
            (After::Offer(sessions), Some(client)) => {
                let (hub, client) = (Arc::clone(&self.hub), Arc::clone(client));
                tokio::spawn(async move {
                    for session in sessions {
                        session.offer(&client, &hub).await;
                    }
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn introduce(&mut self, method: &str, params: Value) -> Result<Handled, RpcError> {
        if method != "initialize" {
            return Err(RpcError::not_initialized("initialize comes first"));
        }
        let (introduction, result) = methods::initialize(&self.hub, params)?;
        let client = self.hub.admit(self.outbox.clone(), introduction.approver, introduction.asks);
        self.client = Some(client);
        let sessions = if introduction.approver { self.hub.sessions() } else { Vec::new() };
        Ok(Handled { result, after: After::Offer(sessions) })
    }

    /// A response to `session/request_permission`. One that cannot be understood has no effect; one that
    /// is an error, or cancelled, denies.
    fn answered(&self, id: &Value, result: Result<Value, Value>) -> Result<(), RpcError> {
        let none = || RpcError::no_question("no request with this id is open");
        let client = self.client.as_ref().ok_or_else(none)?;
        let (named, question) = id.as_str().and_then(asked_by).ok_or_else(none)?;
        let session = self.hub.session(&named.session_id)?;
        if !self.hub.may_answer(&session, client) {
            return Err(none());
        }
        let option = match result {
            Err(_) => "deny".to_owned(),
            Ok(result) => match serde_json::from_value::<PermissionResponse>(result) {
                Ok(PermissionResponse { outcome: PermissionOutcome::Selected { option_id } }) => option_id,
                Ok(PermissionResponse { outcome: PermissionOutcome::Cancelled }) => "deny".to_owned(),
                Err(error) => return Err(RpcError::params(format!("not an outcome: {error}"))),
            },
        };
        session.answer(question, &option)
    }
}
