//! Layers, merge, trust, and edits that keep comments.

use std::path::PathBuf;

/// Where a value comes from, lowest first: the order is the precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    Default,
    User,
    Project,
    Folder,
    Runtime,
    Organisation,
}

/// The origin of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub layer: Layer,
    /// `None` for built-in values and flags.
    pub file: Option<PathBuf>,
    /// One-based.
    pub line: Option<u32>,
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
    pub source: std::sync::Arc<Source>,
}

/// The merged sandbox settings: lists are unions over all layers, each entry with its source.
#[derive(Debug, Clone, Default)]
pub struct Sandbox {
    pub filesystem: Filesystem,
    pub network: Network,
    pub env: Env,
    pub limits: Limits,
    /// `sandbox.capabilities`: `None` = the caller's default (see SPEC §3), `Some(false)` = "none".
    pub keep_root_capabilities: bool,
    pub enabled: bool,
}

/// `sandbox.filesystem`. Entries as written: `~/x`, `/x`, `./x` or `x` (below the workspace),
/// `**/x` (any depth below the workspace), globs.
#[derive(Debug, Clone, Default)]
pub struct Filesystem {
    pub allow_read: Vec<Sourced<String>>,
    pub deny_read: Vec<Sourced<String>>,
    pub block_read: Vec<Sourced<String>>,
    pub allow_write: Vec<Sourced<String>>,
    pub deny_write: Vec<Sourced<String>>,
    pub block_write: Vec<Sourced<String>>,
    /// Well-known optional accesses that are refused without a question.
    pub quiet_read: Vec<Sourced<String>>,
    pub quiet_write: Vec<Sourced<String>>,
}

/// `sandbox.network`. Entries: `example.com`, `*.example.com`, an address, a CIDR block, each with
/// an optional `:port`; `name=address[:port]` lets a public name reach a private address.
#[derive(Debug, Clone, Default)]
pub struct Network {
    pub allowed_domains: Vec<Sourced<String>>,
    pub denied_domains: Vec<Sourced<String>>,
    pub blocked_domains: Vec<Sourced<String>>,
    pub allow_local_binding: bool,
    /// Socket paths, globs of them, or `@abstract`.
    pub allow_unix_sockets: Vec<Sourced<String>>,
    pub deny_unix_sockets: Vec<Sourced<String>>,
    pub block_unix_sockets: Vec<Sourced<String>>,
    pub quiet_unix_sockets: Vec<Sourced<String>>,
    pub nameservers: Vec<Sourced<String>>,
}

/// `sandbox.env`.
#[derive(Debug, Clone, Default)]
pub struct Env {
    pub allow: Vec<Sourced<String>>,
    /// Name patterns of credentials, removed before the start.
    pub remove: Vec<Sourced<String>>,
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
