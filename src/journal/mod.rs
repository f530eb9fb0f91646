//! What happened: the record of one run, told as events while it runs and written as its report.
//!
//! Owns the shapes of the report (SPEC §5) and of the events. Holds plain words only: it knows nothing of policies.

pub mod event;
mod place;
mod record;
mod report;
mod stream;

pub use place::Place;
pub use record::{Change, FileChange, Finality, Journal, QuestionRecord, quoted};
pub use report::{
    Decision, Denied, Exit, FileChangeKind, FileEntry, FloorReport, ProcessReport, Question, Report, ReportError,
    Request, RuleReport,
};
pub use stream::{Stream, without_signals};

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        line.push_str(": ");
        line.push_str(&source.to_string());
        cause = source.source();
    }
    line
}

/// The text with control, bidirectional and other invisible characters spelled out: names that a
/// hostile program chose must not draw on the terminal.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\'' | '"' | '\\' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    shown
}
