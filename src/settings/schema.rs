//! The shape of one settings file: the same for every layer.
//!
//! Owns the keys, their types and their descriptions (the JSON Schema is made from these). Says
//! nothing about layers: a [`Document`] is what one file said, before anything is merged.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::read::{At, Text};

/// What runs without asking: requests whose risk is at most this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AutonomyLevel {
    /// Only the built-in read-only commands and allowlisted ones.
    Off,
    /// Also file edits and low-risk commands.
    Low,
    /// Also reversible changes to the workspace.
    Medium,
    /// Also everything that no rule, interlock or sandbox check stops.
    High,
}

impl AutonomyLevel {
    pub const ALL: [Self; 4] = [Self::Off, Self::Low, Self::Medium, Self::High];

    /// The word used in settings and flags.
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// `auto` works; `spec` only plans, in a sandbox without writes and network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InteractionMode {
    Auto,
    Spec,
}

impl InteractionMode {
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Spec => "spec",
        }
    }
}

/// What a root caller's command keeps of root's capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Capabilities {
    /// Root callers keep CHOWN, DAC_OVERRIDE, FOWNER and FSETID; others have none.
    Default,
    /// None for anybody.
    None,
}

impl Capabilities {
    pub fn word(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::None => "none",
        }
    }
}

/// A package manager whose own configuration names the registries that it may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PackageManager {
    Cargo,
    Npm,
    Pip,
    Go,
}

impl PackageManager {
    pub fn word(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Npm => "npm",
            Self::Pip => "pip",
            Self::Go => "go",
        }
    }
}

/// Settings of askance. JSON with comments; every key is optional.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(title = "askance settings")]
pub struct Document {
    /// The schema of this file, for editors.
    #[serde(rename = "$schema")]
    pub schema: Option<String>,
    /// Profiles only: the name shown by `askance profiles`.
    #[schemars(skip)]
    pub name: Option<At<Text>>,
    /// Profiles only: what the profile is for, in a sentence or two.
    #[schemars(skip)]
    pub description: Option<At<Text>>,
    /// What a new session starts with.
    pub session_default_settings: SessionDefaults,
    /// The highest level that any session may have. The organisation's clamps everything.
    pub max_autonomy_level: Option<At<AutonomyLevel>>,
    /// The highest level that a subagent may have.
    pub subagent_autonomy_level: Option<At<AutonomyLevel>>,
    /// Who may run missions: long, unattended work.
    pub mission_policy: MissionPolicy,
    /// Commands that run at every level. Shell words; `*` is any one word, a trailing `*` any rest,
    /// a leading `=` means exactly these words.
    pub command_allowlist: Vec<At<Text>>,
    /// Commands that ask at every level.
    pub command_denylist: Vec<At<Text>>,
    /// Commands that are refused without a question.
    pub command_blocklist: Vec<At<Text>>,
    /// The level that a tool of an MCP server needs, by server name.
    pub mcp_autonomy_overrides: BTreeMap<String, McpServer>,
    /// Programs that are asked about each request.
    pub hooks: Hooks,
    /// `true` refuses `--skip-permissions-unsafe`.
    pub forbid_skip_permissions: Option<At<bool>>,
    /// How `askance serve` deals with its clients.
    pub server: ServerSection,
    /// What a running command may read, write and reach.
    pub sandbox: SandboxSection,
}

/// How `askance serve` deals with its clients.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "Server")]
pub struct ServerSection {
    /// How long questions wait for a client that went away before they are denied, in milliseconds.
    pub grace_period_ms: Option<At<u64>>,
    /// `true`: only connections that show the approver's token answer questions and raise levels.
    pub require_approver: Option<At<bool>>,
}

/// What a new session starts with.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SessionDefaults {
    /// What runs without asking.
    pub autonomy_level: Option<At<AutonomyLevel>>,
    /// Work, or plan only.
    pub interaction_mode: Option<At<InteractionMode>>,
}

/// Who may run missions. Each key counts whole from the highest layer that sets it; where the organisation restricts
/// access, its own list alone counts.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MissionPolicy {
    /// `true`: only `allowedUserIds` may run missions.
    pub restricted_access: Option<At<bool>>,
    /// User names or numeric user ids.
    pub allowed_user_ids: Option<Vec<At<Text>>>,
}

/// The levels that one MCP server's tools need.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct McpServer {
    /// For tools that `tools` does not name. From the organisation: the least for those that it does not name itself.
    pub default_level: Option<At<AutonomyLevel>>,
    /// By tool name.
    pub tools: BTreeMap<String, At<AutonomyLevel>>,
}

/// Programs that are asked about each request. From project and folder files only when trusted.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Hooks {
    /// Each gets the request as JSON on its standard input. Exit status 0: no opinion, or
    /// `{"decision": "allow"|"ask"|"refuse", "reason": …, "command": …}` on standard output, where `command`
    /// replaces the request and is judged in its place. Exit status 2 refuses, and so does any failure.
    pub pre_command: Vec<At<HookCommand>>,
    /// How long a hook may take, in milliseconds, at most 60000: a late one refuses.
    #[schemars(range(min = 1, max = 60000))]
    pub time_limit_ms: Option<At<u64>>,
}

/// A hook's program: a path alone, or a list of the path and its arguments. No shell is involved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookCommand(pub Vec<String>);

impl<'de> Deserialize<'de> for HookCommand {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Argv;
        impl<'de> serde::de::Visitor<'de> for Argv {
            type Value = Vec<String>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a program's path, or a list of it and its arguments")
            }
            fn visit_str<E>(self, path: &str) -> Result<Self::Value, E> {
                Ok(vec![path.to_owned()])
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut words: A) -> Result<Self::Value, A::Error> {
                let mut argv = Vec::new();
                while let Some(word) = words.next_element()? {
                    argv.push(word);
                }
                Ok(argv)
            }
        }
        deserializer.deserialize_any(Argv).map(Self)
    }
}

impl JsonSchema for HookCommand {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "HookCommand".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "oneOf": [
                { "type": "string" },
                { "type": "array", "items": { "type": "string" }, "minItems": 1 }
            ]
        })
    }
}

/// What a running command may read, write and reach.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "Sandbox")]
pub struct SandboxSection {
    /// `false` switches the sandbox off; only from the organisation, the user or a flag.
    pub enabled: Option<At<bool>>,
    /// What a root caller's command keeps of root's capabilities.
    pub capabilities: Option<At<Capabilities>>,
    pub filesystem: FilesystemSection,
    pub network: NetworkSection,
    pub env: EnvSection,
    pub limits: LimitsSection,
}

/// Paths: `/x`, `~/x` (home), `x` or `./x` (the workspace), `**/x` (at any depth below the
/// workspace); `*`, `?`, `[…]` and `{…,…}` are globs. A path covers what is beneath it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "Filesystem")]
pub struct FilesystemSection {
    /// Read without asking.
    pub allow_read: Vec<At<Text>>,
    /// Reading asks.
    pub deny_read: Vec<At<Text>>,
    /// Reading is refused.
    pub block_read: Vec<At<Text>>,
    /// Written without asking.
    pub allow_write: Vec<At<Text>>,
    /// Writing asks.
    pub deny_write: Vec<At<Text>>,
    /// Writing is refused.
    pub block_write: Vec<At<Text>>,
    /// Reads that programs try and do without: refused without a question, counted apart.
    pub quiet_read: Vec<At<Text>>,
    /// Writes that programs try and do without: refused without a question, counted apart.
    pub quiet_write: Vec<At<Text>>,
}

/// Domains: `example.com`, `*.example.com` (not the apex), an address, a CIDR block, `*` (anything;
/// as an allow no address that is not public), each with an optional `:port`; `name=address` lets a
/// public name reach an address that is not public.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "Network")]
pub struct NetworkSection {
    /// Reached without asking.
    pub allowed_domains: Vec<At<Text>>,
    /// Reaching these asks.
    pub denied_domains: Vec<At<Text>>,
    /// Reaching these is refused.
    pub blocked_domains: Vec<At<Text>>,
    /// Listen on loopback, any port, without asking.
    pub allow_local_binding: Option<At<bool>>,
    /// Unix sockets connected to without asking: paths, globs, or `@name` for an abstract socket.
    pub allow_unix_sockets: Vec<At<Text>>,
    /// Connecting to these asks.
    pub deny_unix_sockets: Vec<At<Text>>,
    /// Connecting to these is refused.
    pub block_unix_sockets: Vec<At<Text>>,
    /// Sockets that programs try and do without: refused without a question, counted apart.
    pub quiet_unix_sockets: Vec<At<Text>>,
    /// Name servers in place of the system's: `127.0.0.1:5353`, `tls://…`, `https://…`.
    pub nameservers: Vec<At<Text>>,
    /// Reach the registries that these package managers are configured to use.
    pub package_registries: Vec<At<PackageManager>>,
}

/// The command's environment. `*` in a name matches anything.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "Env")]
pub struct EnvSection {
    /// Variables passed although `remove` names them.
    pub allow: Vec<At<Text>>,
    /// Variables that hold credentials: removed, and reported by name.
    pub remove: Vec<At<Text>>,
}

/// Bounds on one run; what is absent is unbounded.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "Limits")]
pub struct LimitsSection {
    /// Wall time in milliseconds; the run ends with status 124.
    #[schemars(range(min = 1))]
    pub wall_time_ms: Option<At<u64>>,
    /// Processes and threads alive at once.
    #[schemars(range(min = 1))]
    pub processes: Option<At<u64>>,
    /// Memory of the whole run, in bytes.
    #[schemars(range(min = 1))]
    pub memory_bytes: Option<At<u64>>,
    /// Open files of each process.
    #[schemars(range(min = 1))]
    pub open_files: Option<At<u64>>,
    /// What the command writes to standard output and error together, in bytes.
    #[schemars(range(min = 1))]
    pub output_bytes: Option<At<u64>>,
}

/// The JSON Schema of a settings file.
pub fn json_schema() -> Schema {
    schemars::schema_for!(Document)
}
