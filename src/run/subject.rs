//! What is to be run, and how questions and reports call it.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::approval::Risk;

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A program and its arguments; at least the program.
    Argv(Vec<OsString>),
    /// Text for a shell.
    Shell(OsString),
    Tool(Tool),
}

/// A program of our own that carries out one operation, whose risk is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    pub argv: Vec<OsString>,
    /// For questions and reports.
    pub line: String,
    pub risk: Risk,
    /// The files that it changes.
    pub writes: Vec<PathBuf>,
}

impl Subject {
    /// The argument vector that is executed.
    pub(super) fn argv(&self) -> Vec<OsString> {
        match self {
            Self::Argv(argv) => argv.clone(),
            Self::Shell(text)
                if text.as_encoded_bytes().starts_with(b"-") || text.as_encoded_bytes().starts_with(b"+") =>
            {
                // Bash would take it for an option.
                vec!["bash".into(), "-c".into(), "--".into(), text.clone()]
            }
            Self::Shell(text) => vec!["bash".into(), "-c".into(), text.clone()],
            Self::Tool(tool) => tool.argv.clone(),
        }
    }

    /// In one line, for questions.
    pub(super) fn line(&self) -> String {
        self.words().join(" ")
    }

    /// As questions and reports show it.
    pub(super) fn words(&self) -> Vec<String> {
        match self {
            Self::Argv(argv) => argv.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
            Self::Shell(text) => vec![text.to_string_lossy().into_owned()],
            Self::Tool(tool) => vec![tool.line.clone()],
        }
    }
}
