//! What is said: the parameters and results of every method, and of every notification.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::journal::event::{Ask, Data, Exited, Output, Refused, Resolved, Started};
use crate::journal::{Denied, FileEntry};
use crate::settings::{AutonomyLevel, InteractionMode};

/// The newest version of the protocol that is spoken, and the oldest.
pub(super) const VERSION: u32 = 1;

/// Bytes of one frame.
pub(super) const FRAME_MAX: usize = 8 << 20;

/// Anything at all: most methods answer an empty object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Done {}

/// `initialize`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Initialize {
    /// The newest version that the client speaks.
    pub protocol_version: u32,
    #[serde(default)]
    pub client_capabilities: ClientCapabilities,
    /// Makes this an approver's connection, which answers the questions of every session.
    #[serde(default)]
    pub approver_token: Option<String>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ClientCapabilities {
    /// The client answers `session/request_permission`. A session without anybody who does denies.
    pub request_permission: bool,
}

impl Default for ClientCapabilities {
    fn default() -> Self {
        Self { request_permission: true }
    }
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Initialized {
    /// The version that is spoken from now on.
    pub protocol_version: u32,
    pub server_info: ServerInfo,
    pub server_capabilities: ServerCapabilities,
    /// Whether the token was the approver's.
    pub approver: bool,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct ServerInfo {
    pub name: &'static str,
    pub version: &'static str,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServerCapabilities {
    /// Only approvers answer questions and raise levels.
    pub require_approver: bool,
    /// Bytes of the longest frame that is read.
    pub frame_max: usize,
    /// Commands that run at once at most.
    pub commands_max: usize,
    /// How long questions wait for a client that went away.
    pub grace_period_ms: u64,
    /// Where connections that are no approver's work, if `requireApprover`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspaces: Option<Vec<PathBuf>>,
}

/// `session/new`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewSession {
    /// Absolute; what commands write without asking.
    pub workspace: PathBuf,
    /// Where commands start; the workspace unless said.
    #[serde(default)]
    pub cwd: Option<PathBuf>,
    /// What runs without asking; what the settings say unless said.
    #[serde(default)]
    pub level: Option<AutonomyLevel>,
    #[serde(default)]
    pub mode: Option<InteractionMode>,
    /// Who works in it; `exec` unless said.
    #[serde(default)]
    pub kind: Option<SessionKind>,
    /// Names or files of profiles.
    #[serde(default)]
    pub profiles: Vec<String>,
}

/// Who works in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum SessionKind {
    Interactive,
    Exec,
    Subagent,
    Mission,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionMade {
    pub session_id: String,
}

/// `session/load`, `session/close`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SessionNamed {
    pub session_id: String,
}

/// What a client that comes back needs to know.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionLoaded {
    pub session_id: String,
    /// What runs without asking now.
    pub level: AutonomyLevel,
    pub mode: InteractionMode,
    /// Commands that run.
    pub commands: Vec<CommandState>,
    /// Each is asked again as well.
    pub pending_questions: Vec<RequestPermission>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CommandState {
    pub command_id: String,
    /// In one line.
    pub command: String,
}

/// `session/set_level`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SetLevel {
    pub session_id: String,
    pub level: AutonomyLevel,
}

/// `session/set_mode`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SetMode {
    pub session_id: String,
    pub mode: InteractionMode,
}

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a text for bash, or a list: a program and its arguments")]
pub(super) enum Line {
    /// Text for bash.
    Shell(String),
    /// A program and its arguments.
    Argv(Vec<String>),
}

/// What a caller says of the risk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum DeclaredRisk {
    ReadOnly,
    Low,
    Medium,
    High,
}

impl DeclaredRisk {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// `command/check`; answers what `askance check -o json` prints.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Check {
    pub session_id: String,
    pub command: Line,
    #[serde(default)]
    pub cwd: Option<PathBuf>,
    #[serde(default)]
    pub risk: Option<DeclaredRisk>,
}

/// `command/run`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Run {
    pub session_id: String,
    pub command: Line,
    /// Where it starts; the session's directory unless said.
    #[serde(default)]
    pub cwd: Option<PathBuf>,
    /// The risk that the caller declares, and why.
    #[serde(default)]
    pub risk: Option<DeclaredRisk>,
    #[serde(default)]
    pub reason: Option<String>,
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub timeout_ms: Option<u64>,
    /// `true`: standard input is what `command/input` sends; else it is empty.
    #[serde(default)]
    pub input: bool,
    /// A pseudo-terminal as all three standard streams; `command/input` types.
    #[serde(default)]
    pub terminal: Option<Terminal>,
}

/// A terminal that a client shows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Terminal {
    #[schemars(range(min = 1))]
    pub rows: u16,
    #[schemars(range(min = 1))]
    pub columns: u16,
    /// `TERM` of the command; `xterm-256color` unless said.
    #[serde(default)]
    pub term: Option<String>,
}

/// `command/resize`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Resize {
    pub session_id: String,
    pub command_id: String,
    #[schemars(range(min = 1))]
    pub rows: u16,
    #[schemars(range(min = 1))]
    pub columns: u16,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CommandMade {
    pub command_id: String,
}

/// `command/input`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Input {
    pub session_id: String,
    pub command_id: String,
    #[serde(flatten)]
    pub data: Option<Data>,
    /// Nothing follows. On a terminal its end-of-file character is typed.
    #[serde(default)]
    pub end: bool,
}

/// Signals that reach a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum SignalName {
    Hup,
    Int,
    Quit,
    Term,
    Usr1,
    Usr2,
    Tstp,
    Cont,
}

/// `command/signal`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Signal {
    pub session_id: String,
    pub command_id: String,
    pub signal: SignalName,
}

/// `command/cancel`: SIGTERM, and after the grace the end of everything that the command started.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Cancel {
    pub session_id: String,
    pub command_id: String,
    /// 2,000 unless said.
    #[serde(default)]
    pub grace_ms: Option<u64>,
}

/// What is known elsewhere, in a session: an operation as `askance file` takes it (`file/read` and its kin, answered when
/// it is done; relative paths count from the session's directory), a call as `askance check --mcp` takes it
/// (`mcp/check`, which answers what that prints with `-o json`).
#[derive(Debug, Clone, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct InSession<T> {
    pub session_id: String,
    #[serde(flatten)]
    pub what: T,
}

/// By hand, because `flatten` takes unknown fields for known ones.
impl<'de, T: DeserializeOwned> Deserialize<'de> for InSession<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut all = Map::deserialize(deserializer)?;
        let session = all.remove("sessionId").ok_or_else(|| D::Error::missing_field("sessionId"))?;
        let session_id = String::deserialize(session).map_err(D::Error::custom)?;
        let what = T::deserialize(Value::Object(all)).map_err(D::Error::custom)?;
        Ok(Self { session_id, what })
    }
}

/// `data` of error -32006: why an operation on files was not done.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct NotDone {
    /// `refused` or `cancelled` as a whole; else `not_found`, `denied`, `exists`, `io`, `not_regular`, `too_large`,
    /// `no_match`, `half_done`, `bad_input`.
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
    /// What the policy denied, each with the command that would allow it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub denied: Vec<Denied>,
}

/// `question/answer`: what a response to `session/request_permission` says, as a request of its own.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Answer {
    pub session_id: String,
    pub question_id: String,
    pub option_id: String,
}

/// A notification about one command, or a request about it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct About<T> {
    pub session_id: String,
    pub command_id: String,
    #[serde(flatten)]
    pub what: T,
}

/// `command/started`.
pub(super) type CommandStarted = About<Started>;
/// `command/output`.
pub(super) type CommandOutput = About<Output>;
/// `command/file_changed`.
pub(super) type CommandFileChanged = About<FileEntry>;
/// `command/exited`; nothing about the command follows.
pub(super) type CommandExited = About<Exited>;
/// `question/resolved`.
pub(super) type QuestionResolved = About<Resolved>;

/// `session/request_permission`, from the server to the client, in the shape of the Agent Client Protocol.
pub(super) type RequestPermission = About<Permission>;

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Permission {
    pub tool_call: ToolCall,
    #[serde(flatten)]
    pub ask: Ask,
}

/// The command, as the Agent Client Protocol names it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolCall {
    pub tool_call_id: String,
    pub title: String,
    pub kind: &'static str,
    pub status: &'static str,
}

/// A client's response to `session/request_permission`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(super) struct PermissionResponse {
    pub outcome: PermissionOutcome,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum PermissionOutcome {
    /// Denies.
    Cancelled,
    Selected {
        option_id: String,
    },
}

/// `question/rejected`: an answer that had no effect.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct QuestionRejected {
    /// The id of the response.
    pub id: Value,
    pub reason: String,
}
