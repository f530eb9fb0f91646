//! The answers file of `--prompt answers=FILE`: scripted answers for tests and unattended runs.
//!
//! One answer a line, the first line that covers a question counts, `#` begins a comment, and what
//! no line covers is denied:
//!
//! ```text
//! # OPERATION  TARGET                 ANSWER [SCOPE] [WHERE]
//! read         ~/.ssh/config          once
//! write        /srv/out/**            always directory user
//! connect      api.example.test:8443  always domain
//! unix         /run/docker.sock       deny
//! command      git push *             once
//! ```
//!
//! * OPERATION: `read`, `write`, `connect`, `bind`, `unix`, `command`.
//! * TARGET: a glob over the real path (`*` stays within a component, `**` does not, and `DIR/**`
//!   covers `DIR` too); `~` is the home directory. Hosts take an optional `:port`; `*.example.com`
//!   is every name beneath it. A name that resolved to an address that is not public is only
//!   covered by `name=address[:port]`. Commands are words: a `*` word is any one word, a trailing
//!   `*` any rest, `=` before the first makes the words the whole command. Double quotes keep
//!   spaces together, a backslash makes the next character stand for itself.
//! * ANSWER: `once`, `run`, `session`, `always`, `raise` (the level, to what a command needs), `unlist`,
//!   `deny`, `never`. SCOPE (after `always`):
//!   `file` or `directory`, `domain`, `subdomains` or `port`; the narrowest unless said. With
//!   `DIR/**`, `directory` is `DIR`. WHERE (after `always` and `never`): `project` (the local
//!   file, unless said) or `user`.
//!
//! The file is read once, before the command starts: a command that rewrites it changes nothing.

mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod line;
mod pattern;
#[cfg(test)]
mod tests;
mod words;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use error::{Expected, LineError};
use line::Line;

use super::narrow::narrow;
use crate::policy::{Answer, Question};
use crate::supervisor::Asker;
use crate::supervisor::call::AnswerTo;
use crate::supervisor::context::Asked;

/// Why an answers file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AnswersError {
    #[error("read answers file {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("parse answers file {path}:{line}:{column}")]
    Parse {
        path: PathBuf,
        /// One-based.
        line: usize,
        /// One-based, in characters.
        column: usize,
        source: LineError,
    },
}

/// Answers from a file.
#[derive(Debug)]
pub struct AnswersFile {
    lines: Vec<Line>,
}

impl AnswersFile {
    /// Reads and parses the whole file; `~` in it is `home`.
    pub fn load(path: &Path, home: &Path) -> Result<Self, AnswersError> {
        let text = std::fs::read(path)
            .and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other))
            .map_err(|source| AnswersError::Read { path: path.to_owned(), source })?;
        // Questions name real paths, and a home directory may be reached by a link.
        let home = home.canonicalize().unwrap_or_else(|_| home.to_owned());
        Self::parse(&text, &home).map_err(|(line, error)| AnswersError::Parse {
            path: path.to_owned(),
            line,
            column: error.column,
            source: error,
        })
    }

    fn parse(text: &str, home: &Path) -> Result<Self, (usize, LineError)> {
        let mut lines = Vec::new();
        for (index, text) in text.lines().enumerate() {
            lines.extend(Line::parse(text, home).map_err(|error| (index + 1, error))?);
        }
        Ok(Self { lines })
    }

    /// The answer of the first line that covers the question, within what the question offers.
    pub fn answer(&self, question: &Question) -> Answer {
        let wanted = self.lines.iter().find_map(|line| line.answer(question)).unwrap_or(Answer::Deny);
        narrow(question, wanted)
    }
}

impl Asker for AnswersFile {
    fn ask(&self, asked: Arc<Asked>, answer: AnswerTo) {
        answer(self.answer(&asked.question));
    }

    fn withdraw(&self, _: u64) {}
}
