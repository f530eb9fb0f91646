//! One JSON document that describes every message.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::protocol as say;
use super::rpc::CODES;
use crate::approval::McpCall;
use crate::tools;

/// Methods, notifications and the server's own request, each with the schemas of what they carry.
pub fn schema() -> Value {
    let mut all = SchemaSettings::draft2020_12().into_generator();
    let methods = methods(&mut all);
    let notifications = notifications(&mut all);
    let requests = json!({
        "session/request_permission": {
            "params": of::<say::RequestPermission>(&mut all),
            "result": of::<say::PermissionResponse>(&mut all),
        },
    });
    let errors: Map<String, Value> = CODES.iter().map(|(code, means)| (code.to_string(), json!(means))).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "askance serve: JSON-RPC 2.0, one message a line",
        "protocolVersion": say::VERSION,
        "frameMax": say::FRAME_MAX,
        "methods": methods,
        "notifications": notifications,
        "serverRequests": requests,
        "errors": errors,
        "errorData": { "-32006": of::<say::NotDone>(&mut all) },
        "$defs": all.take_definitions(true),
    })
}

fn of<T: JsonSchema>(all: &mut SchemaGenerator) -> Value {
    all.subschema_for::<T>().to_value()
}

fn method<P: JsonSchema, R: JsonSchema>(all: &mut SchemaGenerator) -> Value {
    json!({ "params": of::<P>(all), "result": of::<R>(all) })
}

fn methods(all: &mut SchemaGenerator) -> Value {
    json!({
        "initialize": method::<say::Initialize, say::Initialized>(all),
        "session/new": method::<say::NewSession, say::SessionMade>(all),
        "session/load": method::<say::SessionNamed, say::SessionLoaded>(all),
        "session/close": method::<say::SessionNamed, say::Done>(all),
        "session/set_level": method::<say::SetLevel, say::Done>(all),
        "session/set_mode": method::<say::SetMode, say::Done>(all),
        "command/check": method::<say::Check, Value>(all),
        "command/run": method::<say::Run, say::CommandMade>(all),
        "command/input": method::<say::Input, say::Done>(all),
        "command/resize": method::<say::Resize, say::Done>(all),
        "command/signal": method::<say::Signal, say::Done>(all),
        "command/cancel": method::<say::Cancel, say::Done>(all),
        "file/read": method::<say::InSession<tools::Read>, tools::ReadOut>(all),
        "file/list": method::<say::InSession<tools::List>, tools::Listing>(all),
        "file/write": method::<say::InSession<tools::Write>, tools::Written>(all),
        "file/edit": method::<say::InSession<tools::Edit>, tools::Edited>(all),
        "file/patch": method::<say::InSession<tools::Patch>, tools::Patched>(all),
        "mcp/check": method::<say::InSession<McpCall>, Value>(all),
        "question/answer": method::<say::Answer, say::Done>(all),
    })
}

fn notifications(all: &mut SchemaGenerator) -> Value {
    let notification = |params: Value| json!({ "params": params });
    json!({
        "command/started": notification(of::<say::CommandStarted>(all)),
        "command/output": notification(of::<say::CommandOutput>(all)),
        "command/file_changed": notification(of::<say::CommandFileChanged>(all)),
        "command/exited": notification(of::<say::CommandExited>(all)),
        "question/resolved": notification(of::<say::QuestionResolved>(all)),
        "question/rejected": notification(of::<say::QuestionRejected>(all)),
    })
}
