//! One line of an answers file: an operation, a target, an answer.

use std::path::Path;

use super::error::{Expected, LineError};
use super::pattern::Pattern;
use super::words::{Word, split};
use crate::policy::{Answer, Operation, Place, Question, Scope};
use crate::settings::AutonomyLevel;

/// A parsed line.
#[derive(Debug)]
pub(super) struct Line {
    operation: Operation,
    pattern: Pattern,
    answer: Answer,
}

impl Line {
    /// `None` for a line without words.
    pub(super) fn parse(text: &str, home: &Path) -> Result<Option<Self>, LineError> {
        let words = split(text)?;
        let Some(first) = words.first() else { return Ok(None) };
        let operation = first.keyword().and_then(operation).ok_or(LineError::new(first.column, Expected::Operation))?;
        let end = text.trim_end().chars().count() + 1;
        let rest = &words[1..];
        let Some(target) = rest.first() else { return Err(LineError::new(end, Expected::Target)) };
        // A command's target is as many words as stand before its answer.
        let length = match operation {
            Operation::Command => command_length(rest).ok_or(LineError::new(end, Expected::Answer))?,
            _ => 1,
        };
        if length == 0 {
            return Err(LineError::new(target.column, Expected::Target));
        }
        let answer = answer(operation, &rest[length..], end)?;
        let pattern = Pattern::parse(operation, &rest[..length], home)?;
        Ok(Some(Self { operation, pattern, answer }))
    }

    /// The answer, if the line covers the question.
    pub(super) fn answer(&self, question: &Question) -> Option<Answer> {
        if self.operation != question.operation || !self.pattern.covers(&question.target) {
            return None;
        }
        let mut answer = self.answer.clone();
        if let Answer::Always { scope: Scope::Directory, root, .. } = &mut answer {
            *root = self.pattern.directory(&question.target);
        }
        Some(answer)
    }
}

fn operation(word: &str) -> Option<Operation> {
    use Operation::{Bind, Command, Connect, Read, Unix, Write};
    [Read, Write, Connect, Bind, Unix, Command].into_iter().find(|operation| operation.word() == word)
}

/// How many words stand before the last answer that only a scope and a place follow.
fn command_length(words: &[Word]) -> Option<usize> {
    words.iter().rposition(|word| word.keyword().is_some_and(is_answer))
}

fn is_answer(word: &str) -> bool {
    matches!(word, "once" | "run" | "session" | "always" | "raise" | "unlist" | "deny" | "never")
}

fn answer(operation: Operation, words: &[Word], end: usize) -> Result<Answer, LineError> {
    let Some((word, rest)) = words.split_first() else { return Err(LineError::new(end, Expected::Answer)) };
    let (answer, rest) = match word.keyword() {
        Some("once") => (Answer::Once, rest),
        Some("run") => (Answer::Run, rest),
        Some("session") => (Answer::Session, rest),
        // To what the question offers.
        Some("raise") => (Answer::Raise { level: AutonomyLevel::High }, rest),
        Some("unlist") => (Answer::Unlist, rest),
        Some("deny") => (Answer::Deny, rest),
        Some("never") => {
            let (place, rest) = place(rest, Expected::Place)?;
            (Answer::Never { place }, rest)
        }
        Some("always") => always(operation, rest)?,
        _ => return Err(LineError::new(word.column, Expected::Answer)),
    };
    match rest.first() {
        Some(extra) => Err(LineError::new(extra.column, Expected::End)),
        None => Ok(answer),
    }
}

fn always(operation: Operation, words: &[Word]) -> Result<(Answer, &[Word]), LineError> {
    let (scopes, narrowest, expected): (&[(&str, Scope)], _, _) = match operation {
        Operation::Read | Operation::Write => {
            (&[("file", Scope::File), ("directory", Scope::Directory)], Scope::File, Expected::FileScope)
        }
        Operation::Connect | Operation::Bind => (
            &[("domain", Scope::Domain), ("subdomains", Scope::Subdomains), ("port", Scope::Port)],
            Scope::Port,
            Expected::HostScope,
        ),
        Operation::Unix => (&[], Scope::Socket, Expected::Place),
        Operation::Command => (&[], Scope::Command, Expected::Place),
    };
    let said = words.first().and_then(Word::keyword).and_then(|word| scopes.iter().find(|(name, _)| *name == word));
    let (scope, rest, expected) = match said {
        Some((_, scope)) => (*scope, &words[1..], Expected::Place),
        None => (narrowest, words, expected),
    };
    let (place, rest) = place(rest, expected)?;
    Ok((Answer::Always { scope, place, root: None }, rest))
}

fn place(words: &[Word], expected: Expected) -> Result<(Place, &[Word]), LineError> {
    match words.split_first() {
        None => Ok((Place::Project, words)),
        Some((word, rest)) => match word.keyword() {
            Some("project") => Ok((Place::Project, rest)),
            Some("user") => Ok((Place::User, rest)),
            _ => Err(LineError::new(word.column, expected)),
        },
    }
}
