//! The form of one agent's hook, as its file says it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::settings::AutonomyLevel;

/// The formats that come along.
const SHIPPED: [(&str, &str); 6] = [
    ("claude-code", include_str!("../../../policies/agents/claude-code.jsonc")),
    ("codex", include_str!("../../../policies/agents/codex.jsonc")),
    ("copilot-cli", include_str!("../../../policies/agents/copilot-cli.jsonc")),
    ("cursor", include_str!("../../../policies/agents/cursor.jsonc")),
    ("droid", include_str!("../../../policies/agents/droid.jsonc")),
    ("gemini-cli", include_str!("../../../policies/agents/gemini-cli.jsonc")),
];

/// An agent that nothing is known of.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    #[error("no agent {name:?}: expected one of {}, or the file {file:?}", known.join(", "))]
    Unknown { name: String, known: Vec<&'static str>, file: PathBuf },
    #[error("read the agent's file {file:?}")]
    Read { file: PathBuf, source: io::Error },
    #[error("{file}: not JSON: {problem}")]
    Syntax { file: String, problem: String },
    #[error("{file}")]
    Malformed { file: String, source: serde_json::Error },
}

/// How one agent's hooks speak.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Format {
    pub title: String,
    pub(super) input: Input,
    /// Permission modes; absent where the agent says none.
    #[serde(default)]
    pub(super) modes: BTreeMap<String, Level>,
    pub(super) tools: Tools,
    pub(super) answers: Answers,
    pub install: Install,
}

/// What a permission mode amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Off,
    Low,
    Medium,
    High,
    /// Plan only.
    Spec,
}

impl Level {
    /// `None` for spec mode.
    pub fn autonomy(self) -> Option<AutonomyLevel> {
        match self {
            Self::Off => Some(AutonomyLevel::Off),
            Self::Low => Some(AutonomyLevel::Low),
            Self::Medium => Some(AutonomyLevel::Medium),
            Self::High => Some(AutonomyLevel::High),
            Self::Spec => None,
        }
    }
}

/// JSON pointers; the first that leads to something counts.
pub(super) type Pointers = Vec<String>;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Input {
    pub(super) event: Option<Event>,
    #[serde(default)]
    pub(super) session: Pointers,
    pub(super) cwd: Pointers,
    #[serde(default)]
    pub(super) mode: Pointers,
    pub(super) tool: Pointers,
    pub(super) arguments: Pointers,
    #[serde(default)]
    pub(super) risk: Pointers,
    #[serde(default)]
    pub(super) risk_reason: Pointers,
}

/// The event that the hook is for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Event {
    pub(super) at: Pointers,
    pub(super) is: String,
}

/// What the agent's tools do.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Tools {
    pub(super) shell: Vec<ShellTool>,
    pub(super) files: Vec<FileTool>,
    pub(super) patches: Vec<PatchTool>,
    pub(super) remote: Vec<RemoteTool>,
    pub(super) free: Vec<String>,
    pub(super) mcp: Option<McpNames>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShellTool {
    pub(super) name: String,
    pub(super) command: String,
    /// Where it starts, if not in the agent's directory.
    pub(super) cwd: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileTool {
    pub(super) names: Vec<String>,
    pub(super) paths: Pointers,
    pub(super) changes: bool,
    /// Without a path the agent's directory is meant.
    #[serde(default)]
    pub(super) optional: bool,
}

/// A tool whose text names the files that it changes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PatchTool {
    pub(super) name: String,
    pub(super) text: String,
    /// What stands before a path at the beginning of a line.
    pub(super) after: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RemoteTool {
    pub(super) name: String,
    pub(super) url: String,
}

/// How tools of MCP servers are named: `PREFIX SERVER SEPARATOR TOOL`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct McpNames {
    pub(super) prefix: String,
    pub(super) separator: String,
}

/// Templates of answers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answers {
    pub(super) allow: Value,
    /// In place of `allow` where the arguments are rewritten.
    pub(super) rewrite: Option<Value>,
    /// Absent where the agent cannot be made to ask: it is denied then.
    pub(super) ask: Option<Value>,
    pub(super) deny: Value,
}

/// Where the agent's settings are, and how a hook stands in them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Install {
    pub user: String,
    pub project: String,
    /// The keys that lead to the list of hooks.
    pub list: Vec<String>,
    pub entry: Value,
    /// What a new file has to say too.
    #[serde(default)]
    pub beside: serde_json::Map<String, Value>,
}

impl Format {
    /// The names of the formats that come along.
    pub fn shipped() -> Vec<&'static str> {
        SHIPPED.iter().map(|(name, _)| *name).collect()
    }

    /// The format of the agent `name`: the user's own (in `directory`) or one that came along.
    pub fn find(name: &str, directory: &Path) -> Result<Self, FormatError> {
        let file = directory.join(format!("{name}.jsonc"));
        let unknown = || FormatError::Unknown { name: name.to_owned(), known: Self::shipped(), file: file.clone() };
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
            return Err(unknown());
        }
        match std::fs::read_to_string(&file) {
            Ok(text) => Self::read(&text, &file.to_string_lossy()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let found = SHIPPED.iter().find(|(shipped, _)| *shipped == name).ok_or_else(unknown)?;
                Self::read(found.1, found.0)
            }
            Err(source) => Err(FormatError::Read { file, source }),
        }
    }

    pub(super) fn read(text: &str, file: &str) -> Result<Self, FormatError> {
        let file = || file.to_owned();
        let value: Value = jsonc_parser::parse_to_serde_value(text, &jsonc_parser::ParseOptions::default())
            .map_err(|error| FormatError::Syntax { file: file(), problem: error.to_string() })?;
        serde_json::from_value(value).map_err(|source| FormatError::Malformed { file: file(), source })
    }
}
