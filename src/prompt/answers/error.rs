//! What is wrong with a line of an answers file.

use std::fmt;

/// What is wrong with a line, and where.
#[derive(Debug, thiserror::Error)]
#[error("expected {expected}")]
pub struct LineError {
    /// One-based, in characters.
    pub column: usize,
    pub expected: Expected,
    pub source: Option<globset::Error>,
}

impl LineError {
    pub(super) fn new(column: usize, expected: Expected) -> Self {
        Self { column, expected, source: None }
    }
}

/// What a line should have had where it is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    Operation,
    Target,
    Answer,
    FileScope,
    HostScope,
    Place,
    End,
    Path,
    Host,
    Port,
    Glob,
    Escaped,
    ClosingQuote,
    Utf8Home,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Operation => "an operation: read, write, connect, bind, unix or command",
            Self::Target => "a target",
            Self::Answer => "an answer: once, run, session, always, raise, unlist, deny or never",
            Self::FileScope => "a scope or a place: file, directory, project or user",
            Self::HostScope => "a scope or a place: domain, subdomains, port, project or user",
            Self::Place => "a place: project or user",
            Self::End => "the end of the line",
            Self::Path => "an absolute path, ~/… or **/…",
            Self::Host => "a host name or an address, with an optional :port",
            Self::Port => "a port from 1 to 65535",
            Self::Glob => "a glob pattern",
            Self::Escaped => "a character after the backslash",
            Self::ClosingQuote => "a closing quote",
            Self::Utf8Home => "a home directory whose path is UTF-8",
        })
    }
}
