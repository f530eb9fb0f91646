//! The tools: their names, what they take, what they are said to do, and the child that does it.

use std::ffi::OsString;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::protocol::DeclaredRisk;
use super::run::Keep;
use crate::tools::{Edit, List, Operation, Patch, Read, Write};

/// Output of a command that is handed on, of each stream.
const COMMAND_OUTPUT: Keep = Keep(256 << 10);
/// A file tool's answer: what it reads is bounded already.
const FILE_OUTPUT: Keep = Keep(64 << 20);

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RunCommand {
    /// The command line, for bash.
    command: String,
    /// Where it starts, seen from where the server works: in the workspace.
    #[serde(default)]
    cwd: Option<String>,
    /// End it after so many milliseconds.
    #[serde(default)]
    #[schemars(range(min = 1))]
    timeout_ms: Option<u64>,
    /// What it could do, as far as you know. Only raises what is assessed.
    #[serde(default)]
    risk: Option<DeclaredRisk>,
    /// Why, in one line.
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CheckCommand {
    /// The command line, for bash.
    command: String,
}

/// The child that a call comes to.
#[derive(Debug)]
pub(super) enum Work {
    /// A run with events, and questions.
    Run { subcommand: &'static str, arguments: Vec<OsString>, input: Option<Vec<u8>>, keep: Keep, file: bool },
    /// What approval would say.
    Check { arguments: Vec<OsString>, line: Vec<u8> },
}

/// Every tool.
pub(super) fn all() -> Vec<Tool> {
    let looks = || annotations(true, false);
    vec![
        tool::<RunCommand>(
            "run_command",
            "Run a shell command in the sandbox. What it reads, writes or reaches beyond the policy is asked about, or \
             denied with what would allow it.",
            annotations(false, true).open_world(true),
        ),
        tool::<CheckCommand>(
            "check_command",
            "Say what a shell command could do and whether it may start; runs nothing.",
            looks(),
        ),
        tool::<Read>("read_file", "Read a file, or a part of it.", looks()),
        tool::<List>("list_directory", "List a directory.", looks()),
        tool::<Write>(
            "write_file",
            "Put content into a file, whole; creates it where there is none.",
            annotations(false, true).idempotent(true),
        ),
        tool::<Edit>("edit_file", "Replace a text that stands exactly once in a file.", annotations(false, true)),
        tool::<Patch>(
            "apply_patch",
            "Apply a unified diff of one or more files: everything or nothing.",
            annotations(false, true),
        ),
    ]
}

fn annotations(reads_only: bool, destroys: bool) -> ToolAnnotations {
    ToolAnnotations::new().read_only(reads_only).destructive(destroys).open_world(false)
}

fn tool<T: JsonSchema + 'static>(name: &'static str, description: &'static str, hints: ToolAnnotations) -> Tool {
    Tool::new(name, description, JsonObject::new()).with_input_schema::<T>().with_annotations(hints)
}

/// What a call comes to; `Err` says what is wrong with it. `None`: there is no such tool.
pub(super) fn work(name: &str, arguments: Option<JsonObject>) -> Option<Result<Work, String>> {
    let arguments = Value::Object(arguments.unwrap_or_default());
    let file = |operation: Result<Operation, String>| operation.and_then(|operation| file(&operation));
    Some(match name {
        "run_command" => read(arguments).and_then(command),
        "check_command" => read(arguments).map(|CheckCommand { command }| Work::Check {
            arguments: ["-o".into(), "json".into(), "-c".into(), "-".into()].into(),
            line: command.into(),
        }),
        "read_file" => file(read(arguments).map(Operation::Read)),
        "list_directory" => file(read(arguments).map(Operation::List)),
        "write_file" => file(read(arguments).map(Operation::Write)),
        "edit_file" => file(read(arguments).map(Operation::Edit)),
        "apply_patch" => file(read(arguments).map(Operation::Patch)),
        _ => return None,
    })
}

fn read<T: DeserializeOwned>(arguments: Value) -> Result<T, String> {
    serde_json::from_value(arguments).map_err(|error| format!("the arguments: {error}"))
}

fn command(asked: RunCommand) -> Result<Work, String> {
    let RunCommand { command, cwd, timeout_ms, risk, reason } = asked;
    if timeout_ms == Some(0) {
        return Err("the arguments: timeout_ms has to be at least 1".to_owned());
    }
    let mut arguments: Vec<OsString> = Vec::new();
    let mut flag = |name: &str, value: Option<String>| {
        arguments.extend(value.map(|value| OsString::from(format!("--{name}={value}"))));
    };
    flag("cwd", cwd);
    flag("timeout", timeout_ms.map(|time| format!("{time}ms")));
    flag("reason", reason.filter(|_| risk.is_some()));
    flag("risk", risk.map(|risk| risk.word().to_owned()));
    arguments.extend(["-c".into(), command.into()]);
    Ok(Work::Run { subcommand: "exec", arguments, input: None, keep: COMMAND_OUTPUT, file: false })
}

fn file(operation: &Operation) -> Result<Work, String> {
    let input = serde_json::to_vec(operation).map_err(|error| error.to_string())?;
    let (arguments, input) = (Vec::new(), Some(input));
    Ok(Work::Run { subcommand: "file", arguments, input, keep: FILE_OUTPUT, file: true })
}
