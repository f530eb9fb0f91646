//! What all connections share: the sessions, the clients, and who may answer whom.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

use super::frames::Outbox;
use super::protocol::{RequestPermission, SessionNamed};
use super::rpc::{self, RpcError};
use super::session::Session;
use super::token::Token;
use crate::settings;

/// Commands that run at once, in all sessions.
pub(super) const COMMANDS_MAX: usize = 512;

/// Sessions at once.
const SESSIONS_MAX: usize = 4096;

/// Frames beyond what everybody may have, while they are read and carried out.
const LONG_FRAMES: usize = 4;

/// Answers of operations on files that wait for one client; each may be as long as a frame.
const ANSWERS: usize = 4;

/// How long an approver may read nothing while questions wait for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a server is started with.
#[derive(Debug)]
pub struct Config {
    pub settings: settings::Server,
    pub approval: settings::Approval,
    /// Where sessions are kept.
    pub locations: settings::Locations,
    /// What an approver's connection has to show.
    pub token: Option<Token>,
    /// Where sessions work that no approver opened, if the settings demand approvers: real paths.
    pub workspaces: Vec<PathBuf>,
    /// The token and the socket: no command reaches them.
    pub private: Vec<PathBuf>,
    /// This program, to be started for each command.
    pub program: PathBuf,
}

/// One connection, once it has introduced itself.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: u64,
    pub(super) outbox: Outbox,
    pub(super) approver: bool,
    /// Answers `session/request_permission`.
    pub(super) asks: bool,
    /// Ends the connection.
    pub(super) leave: Notify,
    /// Answers of operations on files that may wait for it.
    pub(super) answers: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct State {
    sessions: HashMap<String, Arc<Session>>,
    clients: HashMap<u64, Arc<Client>>,
    next_client: u64,
}

#[derive(Debug)]
pub(super) struct Hub {
    pub(super) config: Config,
    state: Mutex<State>,
    running: AtomicUsize,
    /// Nobody can come back: what nobody answers is denied at once.
    closing: AtomicBool,
    pub(super) idle: Notify,
    /// Long frames that are read at once, of all connections.
    pub(super) long_frames: Arc<Semaphore>,
}

/// One of the commands that may run at once.
#[derive(Debug)]
pub(super) struct Slot(Arc<Hub>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
        self.0.idle.notify_waiters();
    }
}

impl Hub {
    pub(super) fn new(config: Config) -> Arc<Self> {
        let (state, running, closing) = (Mutex::default(), AtomicUsize::new(0), AtomicBool::new(false));
        let long_frames = Arc::new(Semaphore::new(LONG_FRAMES));
        Arc::new(Self { config, state, running, closing, idle: Notify::new(), long_frames })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn slot(self: &Arc<Self>) -> Result<Slot, RpcError> {
        let more = |running| (running < COMMANDS_MAX).then_some(running + 1);
        match self.running.fetch_update(Ordering::AcqRel, Ordering::Acquire, more) {
            Ok(_) => Ok(Slot(Arc::clone(self))),
            Err(_) => Err(RpcError::too_much(format!("{COMMANDS_MAX} commands run already"))),
        }
    }

    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::Acquire)
    }

    /// Takes a new client in.
    pub(super) fn admit(self: &Arc<Self>, outbox: Outbox, approver: bool, asks: bool) -> Arc<Client> {
        let mut state = self.state();
        let id = state.next_client;
        state.next_client += 1;
        let client = Arc::new(Client {
            id,
            outbox,
            approver,
            asks,
            leave: Notify::new(),
            answers: Arc::new(Semaphore::new(ANSWERS)),
        });
        state.clients.insert(id, Arc::clone(&client));
        let sessions: Vec<_> = state.sessions.values().cloned().collect();
        drop(state);
        for session in sessions {
            self.attend(&session, &client);
        }
        client
    }

    /// The client may be one that the session's questions wait for.
    pub(super) fn attend(&self, session: &Session, client: &Client) {
        if client.asks && self.may_answer(session, client) {
            session.attended();
        }
    }

    /// A client is gone: its sessions have nobody, until somebody loads them.
    pub(super) fn dismiss(self: &Arc<Self>, client: &Client) {
        let sessions: Vec<_> = {
            let mut state = self.state();
            state.clients.remove(&client.id);
            state.sessions.values().cloned().collect()
        };
        for session in sessions {
            let was_owner = session.detach(client);
            if was_owner || client.approver {
                self.watch_over(&session);
            }
        }
    }

    /// Nobody can come back any more.
    pub(super) fn close(self: &Arc<Self>) {
        self.closing.store(true, Ordering::Release);
        for session in self.sessions() {
            session.deny_all();
        }
    }

    /// Nobody is told anything any more.
    pub(super) fn forget_clients(&self) {
        self.state().clients.clear();
    }

    pub(super) fn sessions(&self) -> Vec<Arc<Session>> {
        self.state().sessions.values().cloned().collect()
    }

    pub(super) fn add(&self, session: &Arc<Session>) -> Result<(), RpcError> {
        let mut state = self.state();
        if state.sessions.len() >= SESSIONS_MAX {
            return Err(RpcError::too_much(format!("there are {SESSIONS_MAX} sessions already")));
        }
        state.sessions.insert(session.id.clone(), Arc::clone(session));
        Ok(())
    }

    /// The session is over.
    pub(super) fn remove(&self, session: &Session) {
        if self.state().sessions.remove(&session.id).is_some() {
            session.forget();
        }
    }

    /// The session, if there is one and this client may see it.
    pub(super) fn session(&self, id: &str) -> Result<Arc<Session>, RpcError> {
        self.state().sessions.get(id).cloned().ok_or_else(|| no_session(id))
    }

    /// The session, if it is this client's.
    pub(super) fn own_session(&self, id: &str, client: &Client) -> Result<Arc<Session>, RpcError> {
        let session = self.session(id)?;
        if session.is_owned_by(client) { Ok(session) } else { Err(no_session(id)) }
    }

    /// May this client answer the session's questions?
    pub(super) fn may_answer(&self, session: &Session, client: &Client) -> bool {
        client.approver || !self.config.settings.require_approver && session.is_owned_by(client)
    }

    /// Everybody who is asked the session's questions; the owner first.
    pub(super) fn audience(&self, session: &Session) -> Vec<Arc<Client>> {
        let state = self.state();
        let mut found: Vec<_> =
            state.clients.values().filter(|client| client.asks && self.may_answer(session, client)).cloned().collect();
        found.sort_by_key(|client| !session.is_owned_by(client));
        found
    }

    /// Asks everybody who may answer. Nobody there: the question waits for somebody, for a while.
    pub(super) async fn ask(self: &Arc<Self>, session: &Arc<Session>, question: &RequestPermission) {
        if self.closing.load(Ordering::Acquire) {
            session.deny_all();
            return;
        }
        let frame = permission_request(question);
        let audience = self.audience(session);
        for client in &audience {
            self.tell(session, client, frame.clone()).await;
        }
        if audience.is_empty() {
            self.watch_over(session);
        }
    }

    /// The owner is waited for, as its output is; no command waits for an approver, and one that does
    /// not read for a while has to go.
    async fn tell(&self, session: &Session, client: &Arc<Client>, frame: Vec<u8>) {
        if session.is_owned_by(client) {
            // A client that is gone has its question re-offered when it comes back.
            let _ = client.outbox.send(frame).await;
        } else if let Err(frame) = client.outbox.try_send(frame) {
            let client = Arc::clone(client);
            tokio::spawn(async move {
                if tokio::time::timeout(PATIENCE, client.outbox.send(frame)).await.is_err() {
                    client.leave.notify_one();
                }
            });
        }
    }

    /// Tells everybody who is asked.
    pub(super) async fn announce(&self, session: &Session, frame: Vec<u8>) {
        for client in self.audience(session) {
            self.tell(session, &client, frame.clone()).await;
        }
    }

    /// Denies what is asked when nobody who may answer comes within the grace; a session that nobody
    /// has and nothing runs in is over then.
    fn watch_over(self: &Arc<Self>, session: &Arc<Session>) {
        // Without a token there will be no other than the owner, who had the whole grace once.
        let hopeless = self.config.token.is_none() && (session.has_owner() || session.is_given_up());
        let grace = if hopeless { 0 } else { self.config.settings.grace_period_ms };
        let (hub, session) = (Arc::clone(self), Arc::clone(session));
        let (attended, owners) = (session.attendance(), session.owners());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(grace)).await;
            if session.attendance() == attended && hub.audience(&session).is_empty() {
                session.deny_all();
            }
            if !session.has_owner() && session.owners() == owners {
                session.give_up();
                if session.is_idle() {
                    hub.remove(&session);
                }
            }
        });
    }
}

pub(super) fn permission_request(question: &RequestPermission) -> Vec<u8> {
    let id = permission_id(&question.session_id, &question.what.ask.question_id);
    rpc::request(&id, "session/request_permission", question)
}

/// The id of the request that asks a question: its response names what it answers.
fn permission_id(session: &str, question: &str) -> String {
    format!("{session}/{question}")
}

/// The session and the question that a response's id names.
pub(super) fn asked_by(id: &str) -> Option<(SessionNamed, &str)> {
    let (session, question) = id.split_once('/')?;
    Some((SessionNamed { session_id: session.to_owned() }, question))
}

fn no_session(id: &str) -> RpcError {
    RpcError::no_session(format!("no session {id:?} of this connection"))
}
