//! A server of the Model Context Protocol: commands and files for agents that speak it, on standard input and
//! output or over HTTP on a loopback address.
//!
//! Every call is a child askance of its own; nothing is judged or carried out here. Questions go to the client.

mod handler;
mod http;
mod questions;
mod run;
mod tools;

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rmcp::ServiceExt;
use rmcp::transport::async_rw::AsyncRwTransport;
use tokio::sync::Semaphore;

use super::Token;
use handler::Handler;

/// What every child is told, and how it is started.
#[derive(Debug)]
pub struct Askance {
    /// The program itself.
    pub program: PathBuf,
    /// Where it starts.
    pub cwd: PathBuf,
    /// Flags of the policy: workspace, profiles and the like.
    pub policy: Vec<OsString>,
    /// Flags of approval: level, mode, session.
    pub approval: Vec<OsString>,
    /// Calls that are carried out at once; others wait.
    pub turns: Turns,
}

/// Calls at once, each a run.
#[derive(Debug)]
pub struct Turns(Semaphore);

impl Default for Turns {
    fn default() -> Self {
        Self(Semaphore::new(128))
    }
}

/// The server ended otherwise than by its client.
#[derive(Debug, thiserror::Error)]
pub enum McpError {
    #[error("start the runtime")]
    Runtime(#[source] io::Error),
    #[error("speak with the client")]
    Client(#[source] Box<rmcp::service::ServerInitializeError>),
    #[error("serve the client")]
    Serve(#[source] tokio::task::JoinError),
    #[error("{0} is no loopback address: this server has no encryption")]
    NotLoopback(SocketAddr),
    #[error("listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("serve HTTP")]
    Http(#[source] io::Error),
}

impl Askance {
    /// A child that is told all that, and nothing yet of what it is for.
    fn command(&self, subcommand: &str) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.program);
        command.arg(subcommand).args(&self.policy).args(&self.approval).current_dir(&self.cwd).kill_on_drop(true);
        command
    }
}

/// A word that nobody guesses.
pub fn random() -> io::Result<String> {
    let mut bytes = [0; 24];
    let read = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes[..read].iter().map(|byte| format!("{byte:02x}")).collect())
}

fn runtime() -> Result<tokio::runtime::Runtime, McpError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(McpError::Runtime)
}

/// Serves one client on standard input and output, until it goes away.
pub fn serve_stdio(askance: Askance) -> Result<(), McpError> {
    runtime()?.block_on(async {
        let (input, output) = rmcp::transport::stdio_pipes();
        let transport = AsyncRwTransport::new_server(input, output);
        let handler = Handler::new(Arc::new(askance));
        let service = match handler.serve(transport).await {
            Ok(service) => service,
            // Gone before it said anything.
            Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
            Err(error) => return Err(McpError::Client(Box::new(error))),
        };
        service.waiting().await.map(|_| ()).map_err(McpError::Serve)
    })
}

/// Serves clients that show the token over HTTP on a loopback address. `ready` is told where.
pub fn serve_http(
    askance: Askance,
    address: SocketAddr,
    token: Token,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), McpError> {
    if !address.ip().is_loopback() {
        return Err(McpError::NotLoopback(address));
    }
    runtime()?.block_on(http::serve(Arc::new(askance), address, token, ready))
}
