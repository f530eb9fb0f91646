//! Splits a line of an answers file into words.

use super::error::{Expected, LineError};

/// One word. `glob` is its text as a glob pattern: what a backslash protects stays escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// One-based, in characters.
    pub(super) column: usize,
    pub(super) glob: String,
    /// A word in quotes, or with a backslash, is never a keyword.
    pub(super) quoted: bool,
}

impl Word {
    /// The word as a keyword, or nothing where it is quoted.
    pub(super) fn keyword(&self) -> Option<&str> {
        (!self.quoted).then_some(self.glob.as_str())
    }
}

/// The words of a line up to its comment. `#` begins a comment only where a word could begin.
pub(super) fn split(line: &str) -> Result<Vec<Word>, LineError> {
    let mut words = Vec::new();
    let mut characters = line.chars().zip(1..).peekable();
    while let Some(&(character, column)) = characters.peek() {
        match character {
            '#' => break,
            _ if character.is_whitespace() => {
                characters.next();
            }
            _ => words.push(word(column, &mut characters)?),
        }
    }
    Ok(words)
}

fn word(
    column: usize,
    characters: &mut std::iter::Peekable<impl Iterator<Item = (char, usize)>>,
) -> Result<Word, LineError> {
    let mut word = Word { column, glob: String::new(), quoted: false };
    let mut open_quote = None;
    while let Some(&(character, at)) = characters.peek() {
        if character.is_whitespace() && open_quote.is_none() {
            break;
        }
        characters.next();
        match character {
            '"' => {
                word.quoted = true;
                open_quote = if open_quote.is_some() { None } else { Some(at) };
            }
            '\\' => {
                word.quoted = true;
                let Some((escaped, _)) = characters.next() else {
                    return Err(LineError::new(at, Expected::Escaped));
                };
                push_literal(&mut word.glob, escaped);
            }
            _ => word.glob.push(character),
        }
    }
    match open_quote {
        Some(at) => Err(LineError::new(at, Expected::ClosingQuote)),
        None => Ok(word),
    }
}

/// Appends a character that stands for itself in a glob.
fn push_literal(glob: &mut String, character: char) {
    if r"*?[]{},!\~=@".contains(character) {
        glob.push('\\');
    }
    glob.push(character);
}

/// `text` as a glob that matches only itself.
pub(super) fn literal(text: &str) -> String {
    let mut glob = String::new();
    for character in text.chars() {
        push_literal(&mut glob, character);
    }
    glob
}
