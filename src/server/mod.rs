//! Machine interfaces: JSON-RPC for agent hosts (sessions, commands with live output, questions to
//! whoever may answer), and what the hooks of agents say.
//!
//! Owns the protocol (`docs/protocol.md`, `askance serve --schema`) and nothing of a run: each command
//! is a child askance that tells events, so a crash of one touches no other, and the server stays small.

mod child;
mod command;
mod connection;
mod events;
mod files;
mod frames;
pub mod hook;
mod hub;
mod listen;
#[cfg(feature = "mcp")]
pub mod mcp;
mod methods;
mod protocol;
mod rpc;
mod schema;
mod session;
mod token;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

pub use hub::Config;
pub use listen::SocketError;
pub use schema::schema;
pub use token::{Token, TokenError};

use hub::Hub;
use listen::Socket;

/// How often a client that sends no more is looked at: does it still read?
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long commands may take to end when the server does.
const ENDING: Duration = Duration::from_secs(3);

/// Why a server cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error("start the server")]
    Start(#[source] io::Error),
    #[error("settings demand an approver (server.requireApprover): use --socket and --approver-token FILE")]
    NoApprover,
    #[error("{inner} lies in {outer}: a command there could put another directory in its place; name one of them")]
    Nested { inner: PathBuf, outer: PathBuf },
}

/// Serves one client until it closes its end and its commands are over.
pub fn on_standard_streams(config: Config) -> Result<(), ServeError> {
    demand_approver(&config)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(ServeError::Start)?;
    runtime
        .block_on(async {
            let hub = Hub::new(config);
            let mut ends = ends().map_err(ServeError::Start)?;
            let served = Arc::clone(&hub);
            let streams = async {
                connection::serve_to_the_end(&served, tokio::io::stdin(), tokio::io::stdout()).await;
            };
            tokio::select! {
                () = streams => {}
                () = ends.wait() => {}
                () = reader_gone() => {}
            }
            end(&hub).await;
            Ok(())
        })
        // A thread that reads standard input may still wait for it: nobody waits for that thread.
        .inspect(|()| runtime.shutdown_background())
}

/// Serves any number of clients until a signal ends it.
pub fn on_socket(mut config: Config, path: &Path) -> Result<(), ServeError> {
    demand_approver(&config)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(ServeError::Start)?;
    runtime.block_on(async {
        let mut ends = ends().map_err(ServeError::Start)?;
        let socket = Socket::open(path)?;
        config.private.push(socket.path().to_owned());
        let hub = Hub::new(config);
        tokio::select! {
            () = socket.serve(&hub) => {}
            () = ends.wait() => {}
        }
        end(&hub).await;
        Ok(())
    })
}

fn demand_approver(config: &Config) -> Result<(), ServeError> {
    if !config.settings.require_approver {
        return Ok(());
    }
    if config.token.is_none() {
        return Err(ServeError::NoApprover);
    }
    for inner in &config.workspaces {
        let outer = config.workspaces.iter().find(|outer| inner != *outer && inner.starts_with(outer));
        if let Some(outer) = outer {
            return Err(ServeError::Nested { inner: inner.clone(), outer: outer.clone() });
        }
    }
    Ok(())
}

/// The signals that end a server.
struct Ends {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

fn ends() -> io::Result<Ends> {
    Ok(Ends {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
        hang_up: signal(SignalKind::hangup())?,
    })
}

impl Ends {
    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

/// Returns when nobody reads standard output any more.
async fn reader_gone() {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let stdout = rustix::stdio::stdout();
        let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
        let gone = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0);
        if gone {
            return;
        }
    }
}

/// Ends every command.
async fn end(hub: &Arc<Hub>) {
    hub.close();
    for session in hub.sessions() {
        session.give_up();
        for command in session.commands() {
            // One that is over needs no end.
            let _ = command.control(command::Control::Cancel(Duration::from_millis(500)));
        }
    }
    let all_over = async {
        while hub.running() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // What is left ends by itself: nobody reads its events any more.
    let _ = tokio::time::timeout(ENDING, all_over).await;
}
