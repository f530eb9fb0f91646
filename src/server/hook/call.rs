//! What the agent sends: which tool it is about to call, where, with what.

use std::path::PathBuf;

use serde_json::Value;

use super::format::{FileTool, Format, Level, Pointers};

/// What the agent sent is nothing that can be judged: the tool must not run.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("the hook's input is not JSON")]
    NotJson(#[source] serde_json::Error),
    #[error("the hook's input is no JSON object")]
    NotObject,
    #[error(
        "the hook's input is of the event {found:?}, expected {expected:?}: the hook is registered in the wrong place"
    )]
    OtherEvent { found: String, expected: String },
    #[error("the hook's input says no {what} at {at}")]
    Missing { what: &'static str, at: String },
    #[error("the hook's input: {what} is no text, or holds a NUL character")]
    NotText { what: &'static str },
    #[error("the hook's input: {cwd:?} is no absolute path")]
    Relative { cwd: String },
    #[error("the patch names no file")]
    EmptyPatch,
}

/// One call of a tool, before it happens.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub session: Option<String>,
    /// Where the agent works.
    pub cwd: PathBuf,
    /// Where the command starts, which the model says for some tools.
    pub starts: PathBuf,
    /// What the permission mode amounts to; `None` where the agent says none.
    pub level: Option<Level>,
    pub tool: String,
    pub arguments: Value,
    pub act: Act,
    /// The risk that the model declares, in its own word, and why.
    pub risk: Option<String>,
    pub risk_reason: Option<String>,
}

/// What the tool would do.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Run a command line. `at` is where it stands in the arguments.
    Shell {
        command: String,
        at: String,
    },
    Files {
        paths: Vec<String>,
        changes: bool,
    },
    Remote {
        url: String,
    },
    Mcp {
        server: String,
        tool: String,
    },
    /// Nothing that reaches beyond the agent.
    Free,
    Unknown,
}

impl Call {
    /// Reads what the agent sent.
    pub fn read(text: &[u8], format: &Format) -> Result<Self, CallError> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let sent: Value = serde_json::from_slice(text).map_err(CallError::NotJson)?;
        if !sent.is_object() {
            return Err(CallError::NotObject);
        }
        let input = &format.input;
        if let Some(event) = &input.event {
            let found = needed(&sent, &event.at, "event")?;
            if found != event.is {
                return Err(CallError::OtherEvent { found, expected: event.is.clone() });
            }
        }
        let tool = needed(&sent, &input.tool, "tool name")?;
        let arguments = arguments(&sent, &input.arguments)?;
        let cwd = needed(&sent, &input.cwd, "working directory")?;
        let mut starts = PathBuf::from(&cwd);
        if let Some(shell) = format.tools.shell.iter().find(|shell| shell.name == tool)
            && let Some(at) = &shell.cwd
            && let Some(own) = text_at(&arguments, at, "working directory")?
            && !own.is_empty()
        {
            starts = starts.join(own);
        }
        if !cwd.starts_with('/') {
            return Err(CallError::Relative { cwd });
        }
        Ok(Self {
            session: optional(&sent, &input.session, "session")?,
            cwd: cwd.into(),
            starts,
            level: level(&sent, format)?,
            act: act(&tool, &arguments, format)?,
            // Something else than a word is no word that is known.
            risk: optional(&sent, &input.risk, "risk").unwrap_or_else(|_| Some(String::new())),
            risk_reason: optional(&sent, &input.risk_reason, "reason").unwrap_or_default(),
            tool,
            arguments,
        })
    }
}

/// What the permission mode amounts to. One that is not known counts as the least.
fn level(sent: &Value, format: &Format) -> Result<Option<Level>, CallError> {
    if format.input.mode.is_empty() {
        return Ok(None);
    }
    let mode = optional(sent, &format.input.mode, "permission mode")?;
    Ok(Some(mode.and_then(|mode| format.modes.get(&mode).copied()).unwrap_or(Level::Off)))
}

fn act(tool: &str, arguments: &Value, format: &Format) -> Result<Act, CallError> {
    let tools = &format.tools;
    if let Some(shell) = tools.shell.iter().find(|shell| shell.name == tool) {
        let at = &shell.command;
        let missing = || CallError::Missing { what: "command", at: at.clone() };
        let command = text_at(arguments, at, "command")?.ok_or_else(missing)?;
        return Ok(Act::Shell { command, at: at.clone() });
    }
    if let Some(file) = tools.files.iter().find(|file| file.names.iter().any(|name| name == tool)) {
        return Ok(Act::Files { paths: paths(file, arguments)?, changes: file.changes });
    }
    if let Some(patch) = tools.patches.iter().find(|patch| patch.name == tool) {
        let missing = || CallError::Missing { what: "patch", at: patch.text.clone() };
        let text = text_at(arguments, &patch.text, "patch")?.ok_or_else(missing)?;
        return Ok(Act::Files { paths: named(&text, &patch.after)?, changes: true });
    }
    if let Some(remote) = tools.remote.iter().find(|remote| remote.name == tool) {
        let missing = || CallError::Missing { what: "URL", at: remote.url.clone() };
        return Ok(Act::Remote { url: text_at(arguments, &remote.url, "URL")?.ok_or_else(missing)? });
    }
    if tools.free.iter().any(|free| free == tool) {
        return Ok(Act::Free);
    }
    if let Some(mcp) = &tools.mcp
        && let Some(rest) = tool.strip_prefix(&mcp.prefix)
    {
        let (server, tool) = rest.split_once(&mcp.separator).unwrap_or(("", rest));
        return Ok(Act::Mcp { server: server.to_owned(), tool: tool.to_owned() });
    }
    Ok(Act::Unknown)
}

fn paths(file: &FileTool, arguments: &Value) -> Result<Vec<String>, CallError> {
    let mut found = Vec::new();
    for at in &file.paths {
        found.extend(text_at(arguments, at, "path")?.filter(|path| !path.is_empty()));
    }
    match (found.is_empty(), file.optional) {
        (false, _) => Ok(found),
        (true, true) => Ok(vec![".".to_owned()]),
        (true, false) => Err(CallError::Missing { what: "path", at: file.paths.join(" or ") }),
    }
}

/// The files that the lines of a patch name.
fn named(text: &str, after: &[String]) -> Result<Vec<String>, CallError> {
    let mut found = Vec::new();
    for line in text.lines().map(str::trim_start) {
        found.extend(
            after.iter().find_map(|start| line.strip_prefix(start.as_str())).map(|path| path.trim().to_owned()),
        );
    }
    if found.is_empty() || found.iter().any(String::is_empty) {
        return Err(CallError::EmptyPatch);
    }
    Ok(found)
}

/// An object, or one as JSON text.
fn arguments(sent: &Value, at: &Pointers) -> Result<Value, CallError> {
    let found = at.iter().find_map(|at| sent.pointer(at));
    let found = found.ok_or_else(|| CallError::Missing { what: "arguments", at: at.join(" or ") })?;
    match found {
        Value::Object(_) => Ok(found.clone()),
        Value::String(text) => match serde_json::from_str(text).map_err(CallError::NotJson)? {
            Value::Object(fields) => Ok(Value::Object(fields)),
            _ => Err(CallError::NotText { what: "arguments" }),
        },
        _ => Err(CallError::NotText { what: "arguments" }),
    }
}

fn needed(sent: &Value, at: &Pointers, what: &'static str) -> Result<String, CallError> {
    optional(sent, at, what)?.ok_or_else(|| CallError::Missing { what, at: at.join(" or ") })
}

fn optional(sent: &Value, at: &Pointers, what: &'static str) -> Result<Option<String>, CallError> {
    for at in at {
        if let Some(text) = text_at(sent, at, what)? {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// `None` where nothing stands; an error where something else than text does.
fn text_at(value: &Value, at: &str, what: &'static str) -> Result<Option<String>, CallError> {
    match value.pointer(at) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.contains('\0') => Ok(Some(text.clone())),
        Some(_) => Err(CallError::NotText { what }),
    }
}
