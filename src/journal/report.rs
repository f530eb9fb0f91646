//! The report of one run: one JSON object, written when the run ends.

use std::io;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::place::Place;

/// `--report FILE`.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The run's id.
    pub run: String,
    pub request: Request,
    pub decision: Decision,
    pub exit: Exit,
    pub duration_ms: u64,
    pub questions: Vec<Question>,
    pub denied: Vec<Denied>,
    pub files: Vec<FileEntry>,
    pub floor: FloorReport,
    /// Names of removed variables, never their values.
    pub environment_removed: Vec<String>,
    /// What the run did that its user should know: listeners confined, limits that could not be set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Request {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argv: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    #[serde(serialize_with = "as_text")]
    pub cwd: PathBuf,
    #[serde(serialize_with = "as_text")]
    pub workspace: PathBuf,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    pub verdict: String,
    pub risk: Option<String>,
    pub declared_risk: Option<String>,
    pub assessed_risk: Option<String>,
    pub reason: String,
    pub rule: Option<RuleReport>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleReport {
    pub text: String,
    /// `FILE:LINE`, or the layer's name where no file wrote it.
    pub source: String,
}

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Exit {
    Code(i32),
    Signal(i32),
}

#[derive(Debug, Clone, Serialize)]
pub struct Question {
    pub operation: String,
    pub target: String,
    pub reason: String,
    pub rule: Option<RuleReport>,
    pub process: ProcessReport,
    pub answer: String,
    pub scope: Option<String>,
    pub waited_ms: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessReport {
    pub pid: i32,
    pub program: String,
    pub argv: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Denied {
    pub operation: String,
    pub target: String,
    pub count: u64,
    pub rule: Option<String>,
    /// The `askance allow …` that would let it through; none where a rule forbids it whatever is allowed.
    pub hint: Option<String>,
    /// Programs cope without it, so nobody was asked.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub quiet: bool,
}

impl Denied {
    /// What could be done about it, as the rest of a line that says what was denied.
    pub fn way_out(&self) -> String {
        match (&self.hint, &self.rule) {
            (Some(hint), _) => format!("; to allow it: {hint}"),
            (None, Some(rule)) => format!(" ({rule})"),
            (None, None) => String::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileEntry {
    #[serde(serialize_with = "as_text")]
    pub path: PathBuf,
    pub change: FileChangeKind,
    #[serde(skip_serializing_if = "Option::is_none", default, serialize_with = "as_text_if_any")]
    pub from: Option<PathBuf>,
}

/// How a file changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileChangeKind {
    Created,
    Modified,
    Deleted,
    Renamed,
}

/// A name need not be text, and the report is written whatever a program named its files.
fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

fn as_text_if_any<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => as_text(path, serializer),
        None => serializer.serialize_none(),
    }
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct FloorReport {
    pub landlock_abi: u32,
    pub missing: Vec<String>,
}

/// The report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("put the report into words")]
    Words(#[source] serde_json::Error),
    #[error("write the report {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error("find a place for the report {path}")]
    Place { path: PathBuf, source: io::Error },
}

impl Report {
    pub fn write(&self, place: &Place) -> Result<(), ReportError> {
        let mut text = serde_json::to_string_pretty(self).map_err(ReportError::Words)?;
        text.push('\n');
        place.write(text.as_bytes()).map_err(|source| ReportError::Write { path: place.path().to_owned(), source })
    }
}
