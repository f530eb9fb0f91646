//! Who answers: `--prompt auto|tty|deny|answers=FILE|fd=N`.

use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use super::{AnswersError, AnswersFile, Gate, Interrupt, Nobody, Remote, Terminal};
use crate::journal::Stream;
use crate::supervisor::Asker;

/// The argument of `--prompt`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Choice {
    /// The terminal where somebody seems to sit at one, else nobody.
    #[default]
    Auto,
    /// The terminal; without one the run does not start.
    Tty,
    Deny,
    Answers(PathBuf),
    /// The program at the other end of this inherited descriptor; it reads the questions from the
    /// stream of events.
    Descriptor(RawFd),
}

/// The argument of `--prompt` is none of its words.
#[derive(Debug, thiserror::Error)]
#[error("expected auto, tty, deny, answers=FILE or fd=N")]
pub struct ChoiceError;

impl FromStr for Choice {
    type Err = ChoiceError;

    fn from_str(text: &str) -> Result<Self, ChoiceError> {
        if let Some(number) = text.strip_prefix("fd=") {
            return number.parse().ok().filter(|&number| number > 2).map(Self::Descriptor).ok_or(ChoiceError);
        }
        match (text, text.strip_prefix("answers=")) {
            ("auto", _) => Ok(Self::Auto),
            ("tty", _) => Ok(Self::Tty),
            ("deny", _) => Ok(Self::Deny),
            (_, Some(file)) if !file.is_empty() => Ok(Self::Answers(PathBuf::from(file))),
            _ => Err(ChoiceError),
        }
    }
}

/// Why nobody can be asked.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    #[error("ask on the terminal")]
    Terminal { source: io::Error },
    #[error(transparent)]
    Answers(#[from] AnswersError),
    #[error("read answers from descriptor {number}, which has to be passed open")]
    Descriptor { number: RawFd, source: io::Error },
    #[error("--prompt fd={number} needs -o stream-json, where the questions are read")]
    NoStream { number: RawFd },
}

/// What askers need of the run.
pub struct Situation {
    /// `~` of answers files, and of the lines that answers leave on the terminal.
    pub home: PathBuf,
    /// Of the console, where the command has one.
    pub gate: Option<Gate>,
    /// What Ctrl-C at a question does after denying it: signals the command.
    pub interrupt: Interrupt,
    /// Where events are told.
    pub stream: Option<Arc<Stream>>,
}

impl std::fmt::Debug for Situation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Situation").field("home", &self.home).field("gate", &self.gate).finish_non_exhaustive()
    }
}

impl Choice {
    /// Does a person sit where questions appear?
    pub fn is_attended(&self) -> bool {
        matches!(self, Self::Auto | Self::Tty) && somebody_is_there()
    }

    /// The asker of a run.
    pub fn asker(&self, situation: Situation) -> Result<Arc<dyn Asker>, PromptError> {
        Ok(match self {
            Self::Deny => Arc::new(Nobody),
            Self::Answers(file) => Arc::new(AnswersFile::load(file, &situation.home)?),
            Self::Tty => Arc::new(terminal(situation).map_err(|source| PromptError::Terminal { source })?),
            Self::Auto if somebody_is_there() => match terminal(situation) {
                Ok(terminal) => Arc::new(terminal),
                Err(_) => Arc::new(Nobody),
            },
            Self::Auto => Arc::new(Nobody),
            &Self::Descriptor(number) => {
                let stream = situation.stream.ok_or(PromptError::NoStream { number })?;
                Arc::new(Remote::on(number, stream).map_err(|source| PromptError::Descriptor { number, source })?)
            }
        })
    }
}

fn terminal(situation: Situation) -> io::Result<Terminal> {
    Terminal::open(situation.gate, situation.interrupt, Some(situation.home))
}

/// Somebody who sees messages or types input.
fn somebody_is_there() -> bool {
    rustix::termios::isatty(rustix::stdio::stdin()) || rustix::termios::isatty(rustix::stdio::stderr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_parsed() {
        let table = [
            ("auto", Some(Choice::Auto)),
            ("tty", Some(Choice::Tty)),
            ("deny", Some(Choice::Deny)),
            ("answers=a b", Some(Choice::Answers("a b".into()))),
            ("answers=", None),
            ("fd=3", Some(Choice::Descriptor(3))),
            ("fd=2", None),
            ("fd=-1", None),
            ("fd=", None),
            ("answers", None),
            ("Auto", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse().ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn an_answers_file_that_is_missing_stops_the_run() {
        let situation = Situation { home: "/".into(), gate: None, interrupt: Arc::new(|| {}), stream: None };
        let asker = Choice::Answers("/nonexistent/answers".into()).asker(situation);
        assert!(matches!(asker, Err(PromptError::Answers(AnswersError::Read { .. }))));
    }
}
