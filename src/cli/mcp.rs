//! `askance mcp`: from flags to a server.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::Outcome;
use super::agent_args::McpArgs;
use super::flags::{ApprovalFlags, PolicyFlags};
use super::layers;
use crate::server::mcp::{Askance, McpError, Turns, random, serve_http, serve_stdio};
use crate::server::{Token, TokenError};

/// The server did not come about.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("find askance itself")]
    Own(#[source] io::Error),
    #[error(transparent)]
    Workspace(Box<layers::LayersError>),
    #[error("name the session")]
    Random(#[source] io::Error),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Mcp(#[from] McpError),
}

pub(super) fn run(args: &McpArgs) -> Outcome {
    serve(args)?;
    Ok(0)
}

fn serve(args: &McpArgs) -> Result<(), StartError> {
    let program: PathBuf = std::env::current_exe().map_err(StartError::Own)?;
    // Found once: a child that a client starts elsewhere must not make that place its workspace.
    let found = layers::bounded(args.policy.workspace.as_deref(), args.policy.cwd.as_deref());
    let locations = found.map_err(|error| StartError::Workspace(Box::new(error)))?;
    let mut policy = policy(&args.policy, &locations.workspace);
    if let Some(token) = args.token_file.as_ref().and_then(|path| path.canonicalize().ok()) {
        // No command speaks in its client's name.
        policy.extend(["--block".into(), token.into()]);
    }
    let askance = Askance {
        program,
        cwd: if locations.cwd.starts_with(&locations.workspace) { locations.cwd } else { locations.workspace },
        policy,
        approval: approval(&args.approval)?,
        turns: Turns::default(),
    };
    let (Some(address), Some(token)) = (args.http, &args.token_file) else {
        return Ok(serve_stdio(askance)?);
    };
    let token = Token::load(token)?;
    let ready = |address| eprintln!("askance: serving http://{address}/mcp");
    Ok(serve_http(askance, address, token, ready)?)
}

/// The flags again, for the children.
fn policy(flags: &PolicyFlags, workspace: &Path) -> Vec<OsString> {
    let mut words = Vec::new();
    let mut flag = |name: &str, value: OsString| {
        words.push(OsString::from(name));
        words.push(value);
    };
    flags.profile.iter().for_each(|profile| flag("--profile", profile.clone()));
    flag("--workspace", workspace.into());
    flags.allow_read.iter().for_each(|path| flag("--allow-read", path.clone()));
    flags.allow_write.iter().for_each(|path| flag("--allow-write", path.clone()));
    flags.allow_domain.iter().for_each(|domain| flag("--allow-domain", domain.into()));
    flags.allow_unix.iter().for_each(|socket| flag("--allow-unix", socket.clone()));
    flags.block.iter().for_each(|path| flag("--block", path.clone()));
    words
}

fn approval(flags: &ApprovalFlags) -> Result<Vec<OsString>, StartError> {
    let mut words: Vec<OsString> = Vec::new();
    words.extend(flags.auto.map(|level| format!("--auto={}", level.word()).into()));
    words.extend(flags.spec.then(|| "--spec".into()));
    let session = match &flags.session {
        Some(session) => session.to_string(),
        // What is allowed "for this session" is allowed to all calls of this server.
        None => format!("mcp-{}", random().map_err(StartError::Random)?),
    };
    words.push(format!("--session={session}").into());
    words.extend(flags.kind.map(|kind| format!("--kind={}", kind.word()).into()));
    Ok(words)
}
