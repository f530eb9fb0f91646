//! Layers, merge, trust, and edits that keep comments.
//!
//! Owns every settings file: where they are, what they may say, which of two values counts, and who
//! wrote it. Judges nothing: it hands over lists and levels with their sources. Starts no program
//! but the package managers that are asked for their registries ([`registries`]), and `getent` ([`users`]).

mod at;
mod defaults;
pub mod edit;
pub mod entry;
mod env;
pub mod foreign;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod list;
pub mod load;
pub mod locations;
mod merge;
mod nearest;
mod node;
pub mod profile;
pub mod read;
pub mod registries;
pub(crate) mod replace;
pub mod schema;
mod show;
#[cfg(test)]
pub(crate) mod testing;
pub mod trust;
pub mod users;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub use at::Text;
pub use defaults::DEFAULTS;
pub use list::List;
pub use load::{Runtime, SettingsError};
pub use locations::{LocationError, Locations};
pub use merge::{Ignored, IgnoredBecause, Shown, widens};
pub use schema::{AutonomyLevel, Capabilities, Document, InteractionMode, PackageManager};
pub use show::scalars_of;

/// Where a value comes from, lowest first: the order is the precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    Default,
    User,
    Project,
    Folder,
    Runtime,
    Organisation,
}

impl Layer {
    /// The word used in messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::User => "user",
            Self::Project => "project",
            Self::Folder => "folder",
            Self::Runtime => "runtime",
            Self::Organisation => "organisation",
        }
    }
}

/// The origin of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub layer: Layer,
    /// `None` for built-in values and flags.
    pub file: Option<Arc<Path>>,
    /// One-based.
    pub line: Option<u32>,
}

/// What no file wrote.
impl From<Layer> for Source {
    fn from(layer: Layer) -> Self {
        Self { layer, file: None, line: None }
    }
}

impl std::fmt::Display for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::User => "user",
            Self::Project => "project",
            Self::Folder => "folder",
            Self::Runtime => "runtime",
            Self::Organisation => "organisation",
        })
    }
}

/// `FILE:LINE`, or the layer's name where no file wrote it.
impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{}:{line}", file.display()),
            (Some(file), None) => write!(f, "{}", file.display()),
            (None, _) => write!(f, "{}", self.layer),
        }
    }
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    pub value: T,
    pub source: Source,
}

/// Everything that the layers say together.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub sandbox: Sandbox,
    pub approval: Approval,
    pub server: Server,
    /// Every value that is not a list, with its source: for `askance settings show`.
    pub scalars: Vec<Shown>,
    /// What project and folder files say that does not count, because nobody trusted them or
    /// because their layer may not say it.
    pub ignored: Vec<Ignored>,
}

/// What `approval` judges by.
#[derive(Debug, Clone, Default)]
pub struct Approval {
    pub autonomy_level: Option<Sourced<AutonomyLevel>>,
    pub interaction_mode: Option<Sourced<InteractionMode>>,
    /// Clamps every level, whoever set it.
    pub max_autonomy_level: Option<Sourced<AutonomyLevel>>,
    pub subagent_autonomy_level: Option<Sourced<AutonomyLevel>>,
    pub mission_policy: MissionPolicy,
    pub command_allowlist: Vec<Sourced<Text>>,
    pub command_denylist: Vec<Sourced<Text>>,
    pub command_blocklist: Vec<Sourced<Text>>,
    /// By server name.
    pub mcp_autonomy_overrides: BTreeMap<String, McpOverrides>,
    pub hooks: Hooks,
    pub forbid_skip_permissions: bool,
}

/// `server`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Server {
    pub grace_period_ms: u64,
    pub require_approver: bool,
}

/// `missionPolicy`.
#[derive(Debug, Clone, Default)]
pub struct MissionPolicy {
    pub restricted_access: bool,
    /// User names or numeric ids; those of the highest layer that has the key.
    pub allowed_user_ids: Vec<Sourced<Text>>,
}

/// `mcpAutonomyOverrides` of one server.
#[derive(Debug, Clone, Default)]
pub struct McpOverrides {
    pub default_level: Option<Sourced<AutonomyLevel>>,
    /// By tool name.
    pub tools: BTreeMap<String, Sourced<AutonomyLevel>>,
}

/// `hooks`: argument vectors.
#[derive(Debug, Clone, Default)]
pub struct Hooks {
    pub pre_command: Vec<Sourced<Vec<String>>>,
    pub time_limit_ms: Option<u64>,
}

/// The merged sandbox settings: lists are unions over all layers, each entry with its source.
#[derive(Debug, Clone, Default)]
pub struct Sandbox {
    pub filesystem: Filesystem,
    pub network: Network,
    pub env: Env,
    pub limits: Limits,
    /// `sandbox.capabilities`: a root caller's command keeps some of them unless this is "none".
    pub keep_root_capabilities: bool,
    pub enabled: bool,
}

/// `sandbox.filesystem`. Entries as written: `~/x`, `/x`, `./x` or `x` (below the workspace),
/// `**/x` (any depth below the workspace), globs.
#[derive(Debug, Clone, Default)]
pub struct Filesystem {
    pub allow_read: Vec<Sourced<Text>>,
    pub deny_read: Vec<Sourced<Text>>,
    pub block_read: Vec<Sourced<Text>>,
    pub allow_write: Vec<Sourced<Text>>,
    pub deny_write: Vec<Sourced<Text>>,
    pub block_write: Vec<Sourced<Text>>,
    /// Well-known optional accesses that are refused without a question.
    pub quiet_read: Vec<Sourced<Text>>,
    pub quiet_write: Vec<Sourced<Text>>,
}

/// `sandbox.network`. Entries: `example.com`, `*.example.com`, an address, a CIDR block, each with
/// an optional `:port`; `name=address[:port]` lets a public name reach a private address.
#[derive(Debug, Clone, Default)]
pub struct Network {
    pub allowed_domains: Vec<Sourced<Text>>,
    pub denied_domains: Vec<Sourced<Text>>,
    pub blocked_domains: Vec<Sourced<Text>>,
    pub allow_local_binding: bool,
    /// Socket paths, globs of them, or `@abstract`.
    pub allow_unix_sockets: Vec<Sourced<Text>>,
    pub deny_unix_sockets: Vec<Sourced<Text>>,
    pub block_unix_sockets: Vec<Sourced<Text>>,
    pub quiet_unix_sockets: Vec<Sourced<Text>>,
    pub nameservers: Vec<Sourced<Text>>,
    /// Package managers whose configured registries are reached without asking.
    pub package_registries: Vec<Sourced<PackageManager>>,
}

/// `sandbox.env`.
#[derive(Debug, Clone, Default)]
pub struct Env {
    pub allow: Vec<Sourced<Text>>,
    /// Name patterns of credentials, removed before the start.
    pub remove: Vec<Sourced<Text>>,
}

/// `sandbox.limits`; `None` = unlimited.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    pub wall_time_ms: Option<u64>,
    pub processes: Option<u64>,
    pub memory_bytes: Option<u64>,
    pub open_files: Option<u64>,
    pub output_bytes: Option<u64>,
}
