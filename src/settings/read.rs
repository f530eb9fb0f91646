//! Text → [`Document`], with the line and column of every value and of every mistake.
//!
//! What is wrong is named by its key path, what was expected there, and for an unknown key the nearest
//! known one. Opens no file.

use std::fmt;

use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde::Deserialize;

pub use super::at::{At, Position, Text};
use super::node::{Lines, Node};
use super::schema::Document;

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub position: Position,
    pub problem: Problem,
}

/// What is wrong with a settings file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("not UTF-8 text")]
    NotText,
    #[error("not JSON: {0}")]
    Syntax(String),
    #[error("unknown key {key:?} in {within}{}", Hint(.nearest, .known))]
    UnknownKey { key: String, within: String, nearest: Option<String>, known: &'static [&'static str] },
    #[error("{key}: expected {expected}, found {found}")]
    WrongType { key: String, expected: String, found: &'static str },
    #[error("{key}: expected {expected}, found {found:?}")]
    WrongValue { key: String, expected: String, found: String },
    #[error("the key {key:?} belongs in profiles, not in settings")]
    OnlyInProfiles { key: &'static str },
    #[error("the key {key:?} stands here twice")]
    DuplicateKey { key: String },
}

struct Hint<'a>(&'a Option<String>, &'a &'static [&'static str]);

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(nearest) => write!(f, ", did you mean {nearest:?}?"),
            None => write!(f, ", expected one of {}", self.1.join(", ")),
        }
    }
}

/// Comments and trailing commas; otherwise JSON.
pub(super) const SYNTAX: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Reads one settings file's content. Nothing, or only comments, is an empty document.
pub fn read(bytes: &[u8]) -> Result<Document, Mistake> {
    let text = text(bytes)?;
    let lines = Lines::of(text);
    let collect = CollectOptions::default();
    let tree = parse_to_ast(text, &collect, &SYNTAX).map_err(|error| Mistake {
        position: lines.position(error.range().start),
        problem: Problem::Syntax(lower_first(error.kind().to_string())),
    })?;
    let Some(value) = &tree.value else { return Ok(Document::default()) };
    Document::deserialize(Node { value, lines: &lines }).map_err(|unfit| unfit.into_mistake(&lines, value.start()))
}

fn text(bytes: &[u8]) -> Result<&str, Mistake> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let good = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
        Mistake { position: Lines::of(good).position(good.len()), problem: Problem::NotText }
    })
}

fn lower_first(mut text: String) -> String {
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    text
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
