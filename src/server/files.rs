//! `file/read` and its kin: each a child `askance file`, a run of its own with questions to the client like a command's.
//! What it prints is the answer to the request.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::oneshot;

use super::command::{Command, Input, Launch};
use super::events::Answer;
use super::hub::{Client, Hub};
use super::methods::{arguments, understand};
use super::protocol::InSession;
use super::rpc::RpcError;
use crate::tools::Operation;

type Begun = Result<oneshot::Receiver<Answer>, RpcError>;

/// Starts the operation; `None`: the method is none of them.
pub(super) fn begin(hub: &Arc<Hub>, client: &Client, method: &str, params: &Value) -> Option<Begun> {
    let named: Named = match method {
        "file/read" => |params| of(params, Operation::Read),
        "file/list" => |params| of(params, Operation::List),
        "file/write" => |params| of(params, Operation::Write),
        "file/edit" => |params| of(params, Operation::Edit),
        "file/patch" => |params| of(params, Operation::Patch),
        _ => return None,
    };
    Some(named(params).and_then(|(session, operation)| start(hub, client, &session, &operation)))
}

/// The session that parameters name, and the operation.
type Named = fn(&Value) -> Result<(String, Operation), RpcError>;

fn of<T: DeserializeOwned>(params: &Value, operation: fn(T) -> Operation) -> Result<(String, Operation), RpcError> {
    let InSession { session_id, what } = understand(params.clone())?;
    Ok((session_id, operation(what)))
}

fn start(hub: &Arc<Hub>, client: &Client, session: &str, operation: &Operation) -> Begun {
    let session = hub.own_session(session, client)?;
    operation.targets().map_err(|error| RpcError::params(error.to_string()))?;
    let input = serde_json::to_vec(operation).map_err(|error| RpcError::internal(error.to_string()))?;
    let (answer, answered) = oneshot::channel();
    let launch = Launch {
        arguments: arguments("file", (hub, &session), None),
        line: operation.line(),
        kind: if operation.reads_only() { "read" } else { "edit" },
        input: Input::Whole(input),
        terminal: None,
        answer: Some((answer, Arc::clone(&client.answers))),
    };
    // Its events may be told at once: the client learns its id from them.
    Command::start(hub, &session, launch)?;
    Ok(answered)
}
