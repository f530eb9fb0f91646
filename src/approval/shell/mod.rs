//! Shell text → a tree of commands with their words.
//!
//! Two readers make the same tree: [`strict`] takes the plain commands that most requests are, in one
//! pass; everything else goes to `brush-parser`, behind the limits of [`scan`], and what it found is
//! held against an independent look. Whatever is not understood for certain is [`Unreadable`], never empty.

mod ansi;
mod case;
mod parameter;
mod scan;
mod strict;
mod tree;
mod word;

#[cfg(test)]
mod tests;

pub(super) use word::{Operator, Parameter, Piece, Word};

/// Longer text is not read at all.
pub(super) const MAX_TEXT_BYTES: usize = 64 * 1024;

/// Why a text was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("too long")]
    TooLong,
    #[error("nested too deeply")]
    Nesting,
    #[error("quotes or brackets do not balance")]
    Unbalanced,
    #[error("a here-document that does not end, or whose end is not literal")]
    HereDocument,
    #[error("brackets that can be read in two ways")]
    Ambiguous,
    #[error("a NUL byte")]
    Nul,
    #[error("bytes that are not UTF-8")]
    NotUtf8,
    #[error("not shell syntax")]
    Syntax,
    #[error("an expansion that the parser did not show")]
    Hidden,
}

/// How one command follows another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joint {
    /// `;`, a newline, or the end.
    Then,
    And,
    Or,
    /// `&`: runs beside what follows.
    Beside,
}

/// A command, simple or compound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Simple(Simple),
    Pipeline(Vec<Node>),
    /// Commands, each with what stands after it.
    List(Vec<(Node, Joint)>),
    /// `(…)`, `<(…)`: changes of directory and variables stay inside.
    Subshell(Box<Node>),
    /// Contents of `<(…)` or `>(…)` stand in [`Simple::process_substitutions`]; this one for compound commands.
    Redirected(Box<Node>, Vec<Redirect>),
    Function {
        name: String,
        body: Box<Node>,
    },
    /// `for NAME in WORDS; do …`: `values` is `None` for the positional parameters.
    For {
        name: String,
        values: Option<Vec<Word>>,
        body: Box<Node>,
    },
    /// `if`, `case`: parts of which any may run, in this order, the first in any case.
    Branches(Vec<Node>),
    /// `while`, `until`: the condition, then the body, any number of times.
    Loop(Vec<Node>),
    /// Words that are expanded and not run: the subject of `case`.
    Words(Vec<Word>),
    /// `[[ … ]]`: its operands; `evaluates` where one is taken as arithmetic or a variable's name.
    Test {
        words: Vec<Word>,
        evaluates: bool,
    },
    Arithmetic(Word),
}

/// A simple command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Simple {
    pub(super) assignments: Vec<Assignment>,
    pub(super) words: Vec<Word>,
    pub(super) redirects: Vec<Redirect>,
    /// Commands of `<(…)` and `>(…)` arguments; `words` holds an unknown word at each one's place.
    pub(super) process_substitutions: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) name: String,
    /// `name[subscript]=…`
    pub(super) subscript: Option<Word>,
    pub(super) values: Vec<Word>,
    /// `name=(…)`, or `+=`: the value is not just this text.
    pub(super) compound: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Redirect {
    Read(Word),
    /// `>`, `>>`, `>|`, `&>`, `<>`
    Write(Word),
    /// Onto a descriptor, or closing one.
    Descriptor,
    /// `<<<` and `<<`: what the command reads. `literal`: nothing in it is expanded.
    Text {
        text: Word,
        literal: bool,
    },
    /// `< <(…)`, `> >(…)`
    Process {
        body: Box<Node>,
        reads: bool,
    },
}

/// Reads a whole command text.
pub(super) fn read(text: &str) -> Result<Node, Unreadable> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(Unreadable::TooLong);
    }
    if text.contains('\0') {
        return Err(Unreadable::Nul);
    }
    match strict::read(text) {
        Some(node) => Ok(node),
        None => tree::read(text),
    }
}
