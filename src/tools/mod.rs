//! File tools: one operation on files in, one result out.
//!
//! What is done here is done inside the ordinary sandbox, as a run of its own, so that floor, broker, questions
//! and journal are the very same as for commands. Nothing here judges anything: paths are followed as any program
//! follows them, and what the policy does not cover stops in its system call. Bounded in memory and in what it
//! answers.

mod edit;
mod look;
mod patch;
mod save;

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use edit::{Edit, Edited};
pub use look::{Kind, List, Listed, Listing, Read, ReadOut};
pub use patch::{Applied, Patch, Patched};
pub use save::{Write, Written};

/// The most that one operation may be, as JSON.
pub const LARGEST_OPERATION: u64 = 32 << 20;

/// The largest file that is edited or patched.
const LARGEST_FILE: u64 = 16 << 20;

/// One operation on files. Paths that are not absolute count from the working directory of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "operation", rename_all = "lowercase")]
pub enum Operation {
    Read(Read),
    List(List),
    Write(Write),
    Edit(Edit),
    Patch(Patch),
}

/// An operation and how it is carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    pub operation: Operation,
    /// New content may be written beside a file and renamed onto it: nobody is asked about the name beside it.
    pub beside: bool,
}

/// What came of an operation.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Outcome {
    Read(ReadOut),
    List(Listing),
    Write(Written),
    Edit(Edited),
    Patch(Patched),
}

/// An operation that failed. Files are as they were, unless the message says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    #[error("{path:?}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{path:?} is not a regular file")]
    NotRegular { path: PathBuf },
    #[error("{path:?} has more than {most} bytes: read it in parts, or change it with a command")]
    TooLarge { path: PathBuf, most: u64 },
    #[error("the path holds a NUL character")]
    Nul,
    #[error("the path is empty")]
    NoPath,
    #[error("the content is not base64")]
    Base64(#[source] base64::DecodeError),
    #[error("old_text is empty: say which text is to be replaced")]
    NothingToReplace,
    #[error("old_text is not in {path:?}{hint}")]
    NotFound { path: PathBuf, hint: &'static str },
    #[error("old_text is in {path:?} {count} times (lines {lines}): add lines around it, or set \"all\"")]
    Ambiguous { path: PathBuf, count: usize, lines: String },
    #[error("the patch: {problem}")]
    BadPatch { problem: String },
    #[error("{path:?}: hunk {hunk} of the patch does not match{hint}; nothing was changed")]
    Mismatch { path: String, hunk: usize, hint: &'static str },
    #[error("{failure}; putting back {path:?} failed too: {source}")]
    HalfDone { failure: Box<ToolError>, path: PathBuf, source: Box<ToolError> },
}

impl ToolError {
    /// One word for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => "not_found",
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "denied",
                io::ErrorKind::AlreadyExists => "exists",
                _ => "io",
            },
            Self::NotRegular { .. } => "not_regular",
            Self::TooLarge { .. } => "too_large",
            Self::NotFound { .. } | Self::Ambiguous { .. } | Self::Mismatch { .. } => "no_match",
            Self::HalfDone { .. } => "half_done",
            Self::Nul | Self::NoPath | Self::Base64(_) | Self::NothingToReplace | Self::BadPatch { .. } => "bad_input",
        }
    }

    /// The failure as a program reads it.
    pub fn to_json(&self) -> serde_json::Value {
        failure(self.kind(), &self.to_string())
    }
}

/// A failure in the form that every end of a file tool prints.
pub fn failure(kind: &str, message: &str) -> serde_json::Value {
    serde_json::json!({ "error": { "kind": kind, "message": message } })
}

impl Operation {
    /// As questions, reports and the protocol name it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Read(_) => "file/read",
            Self::List(_) => "file/list",
            Self::Write(_) => "file/write",
            Self::Edit(_) => "file/edit",
            Self::Patch(_) => "file/patch",
        }
    }

    /// Does it change nothing?
    pub fn reads_only(&self) -> bool {
        matches!(self, Self::Read(_) | Self::List(_))
    }

    /// The files that it names, as it names them.
    pub fn targets(&self) -> Result<Vec<PathBuf>, ToolError> {
        let named = |path: &str| checked(path).map(|path| vec![path]);
        match self {
            Self::Read(read) => named(&read.path),
            Self::List(list) => named(&list.path),
            Self::Write(write) => named(&write.path),
            Self::Edit(edit) => named(&edit.path),
            Self::Patch(patch) => patch.targets(),
        }
    }

    /// In one line, for questions and reports.
    pub fn line(&self) -> String {
        let targets = self.targets().unwrap_or_default();
        let shown: Vec<_> = targets.iter().map(|path| path.to_string_lossy()).collect();
        format!("{} {}", self.name(), shown.join(" "))
    }
}

impl Job {
    /// Carries the operation out with the rights of this process; relative paths count from `base`.
    pub fn carry_out(&self, base: &Path) -> Result<Outcome, ToolError> {
        match &self.operation {
            Operation::Read(read) => read.carry_out(base).map(Outcome::Read),
            Operation::List(list) => list.carry_out(base).map(Outcome::List),
            Operation::Write(write) => write.carry_out(base, self.beside).map(Outcome::Write),
            Operation::Edit(edit) => edit.carry_out(base, self.beside).map(Outcome::Edit),
            Operation::Patch(patch) => patch.carry_out(base, self.beside).map(Outcome::Patch),
        }
    }
}

/// The name beside a file under which its new content is written first.
pub fn beside(target: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    // Names have 255 bytes.
    let mut name = name.into_vec();
    name.truncate(200);
    name.extend_from_slice(b".askance-new");
    target.with_file_name(OsString::from_vec(name))
}

fn checked(path: &str) -> Result<PathBuf, ToolError> {
    match path {
        "" => Err(ToolError::NoPath),
        _ if path.contains('\0') => Err(ToolError::Nul),
        _ => Ok(PathBuf::from(path)),
    }
}

/// Wraps what the system says about a file.
fn at(path: &Path) -> impl Fn(io::Error) -> ToolError + '_ {
    |source| ToolError::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
