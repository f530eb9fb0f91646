//! How a question looks: pure, from a question to lines.
//!
//! Every line is broken here, never by the terminal, so that the question can be taken away again.
//! Whatever comes from outside passes through [`visible`](super::sanitize::visible).

mod names;
#[cfg(test)]
mod tests;
mod text;

use std::path::PathBuf;

use names::{COMMAND_LINE, place_text, process_line, target_bytes};
pub(super) use text::Line;
use text::{Chunk, Style, clip, clip_middle, flow, literal, rendered, width};

use super::menu::Menu;
use super::sanitize::{Charset, Unit};
use crate::policy::{Answer, Operation, Place, Question, Reason};
use crate::settings::{AutonomyLevel, Layer};
use crate::supervisor::context::Asked;

/// What the terminal is like.
#[derive(Debug, Clone)]
pub(super) struct Face {
    pub(super) columns: usize,
    pub(super) rows: usize,
    pub(super) colour: bool,
    pub(super) charset: Charset,
    /// Shown as `~` in the line that an answer leaves behind.
    pub(super) home: Option<PathBuf>,
}

/// How a question ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending<'a> {
    Answered(&'a Answer),
    /// Nobody waits for an answer any more.
    Withdrawn,
    /// The terminal's foreground belongs to another job.
    Background,
}

/// Lines of a command line or request that are shown.
const COMMAND_LINES: usize = 2;
const LABEL: usize = 9;
/// Narrower, labels stand in the text.
const NARROW: usize = 40;
/// Even the narrowest window has this.
const NARROWEST: usize = 8;

/// One labelled paragraph.
struct Row {
    label: &'static str,
    chunks: Vec<Chunk>,
    gap: usize,
    most_lines: usize,
}

impl Row {
    fn new(label: &'static str, chunks: Vec<Chunk>, gap: usize) -> Self {
        Self { label, chunks, gap, most_lines: usize::MAX }
    }
}

impl Face {
    /// The question, as much of it as the window has room for; the cursor belongs behind its last
    /// line. The target is always whole.
    pub(super) fn question(&self, asked: &Asked, menu: &Menu, waiting: usize) -> Vec<Line> {
        let question = asked.question.as_ref();
        let whole = self.laid_out(self.all_rows(asked, menu), waiting);
        if whole.len() <= self.rows {
            return whole;
        }
        let target = || target_row(self, question);
        let short = vec![target(), self.reason_row(question), self.short_options(question, menu)];
        let short = self.laid_out(short, waiting);
        if short.len() <= self.rows {
            return short;
        }
        self.laid_out(vec![target(), self.shortest_options(menu)], waiting)
    }

    fn all_rows(&self, asked: &Asked, menu: &Menu) -> Vec<Row> {
        let mut rows = vec![
            target_row(self, &asked.question),
            self.reason_row(&asked.question),
            self.text_row("process", &process_line(&asked.process)),
            self.text_row("request", asked.request.as_bytes()),
        ];
        rows.extend(self.option_rows(&asked.question, menu));
        rows
    }

    fn reason_row(&self, question: &Question) -> Row {
        let mut text = question.reason.to_string();
        if let Reason::Denied(rule) = &question.reason {
            match rule.source.layer {
                Layer::Default => text.push_str(" (built in)"),
                _ => text.push_str(&format!(" ({})", rule.source)),
            }
        }
        if question.organisation {
            text.push_str(" (organisation policy)");
        }
        if question.operation == Operation::Unix {
            text.push_str("; a service may hand over open files");
        }
        let words = text.split(' ').map(|word| self.shown(word.as_bytes(), Style::Plain)).collect();
        Row::new("because", words, 1)
    }

    fn text_row(&self, label: &'static str, text: &[u8]) -> Row {
        let text = &text[..text.len().min(COMMAND_LINE)];
        Row { most_lines: COMMAND_LINES, ..Row::new(label, vec![self.shown(text, Style::Plain)], 1) }
    }

    fn option_rows(&self, question: &Question, menu: &Menu) -> Vec<Row> {
        let (mut allow, mut always, mut deny) = (Vec::new(), Vec::new(), Vec::new());
        for (key, answer) in menu.options() {
            let (row, text) = match answer {
                Answer::Once => (&mut allow, literal("once", Style::Plain)),
                Answer::Run => (&mut allow, literal("this run", Style::Plain)),
                Answer::Session => (&mut allow, literal("this session", Style::Plain)),
                Answer::Raise { level } => (&mut allow, raise(*level)),
                Answer::Always { .. } => (&mut always, self.reach(question, answer)),
                Answer::Unlist => (&mut always, literal("take the rule out", Style::Plain)),
                Answer::Deny => (&mut deny, literal("once", Style::Plain)),
                Answer::Never { .. } => (&mut deny, literal("always", Style::Plain)),
            };
            row.push(option(key, text));
        }
        let saved = places(menu);
        [("allow", allow), ("always", always), ("deny", deny), ("saved", saved)]
            .into_iter()
            .filter(|(_, chunks)| !chunks.is_empty())
            .map(|(label, chunks)| Row::new(label, chunks, 3))
            .collect()
    }

    /// The options in one paragraph.
    fn short_options(&self, question: &Question, menu: &Menu) -> Row {
        let mut chunks: Vec<Chunk> = menu
            .options()
            .map(|(key, answer)| {
                let text = match answer {
                    Answer::Once => "once",
                    Answer::Run => "this run",
                    Answer::Session => "this session",
                    Answer::Raise { .. } => "raise the level",
                    Answer::Always { .. } => "always ",
                    Answer::Unlist => "take the rule out",
                    Answer::Deny => "deny",
                    Answer::Never { .. } => "deny always",
                };
                option(key, [literal(text, Style::Plain), self.reach(question, answer)].concat())
            })
            .collect();
        chunks.extend(places(menu));
        Row::new("", chunks, 2)
    }

    /// Yes, no, and that there is more.
    fn shortest_options(&self, menu: &Menu) -> Row {
        let (mut chunks, mut others) = (Vec::new(), Vec::new());
        for (key, answer) in menu.options() {
            match answer {
                Answer::Once => chunks.push(option(key, literal("once", Style::Plain))),
                Answer::Deny => chunks.push(option(key, literal("deny", Style::Plain))),
                _ => others.push(literal(&key.to_string(), Style::Key)),
            }
        }
        chunks.extend(others);
        Row::new("", chunks, 1)
    }

    fn laid_out(&self, rows: Vec<Row>, waiting: usize) -> Vec<Line> {
        let (top, side, bottom) = match self.charset {
            Charset::Utf8 => ("╭ ", "│ ", "╰ "),
            Charset::Ascii => ("+ ", "| ", "+ "),
        };
        let narrow = self.columns < NARROW;
        let indent = if narrow { 0 } else { LABEL };
        // One column is left free: a terminal may break a line that fills it.
        let room = self.columns.saturating_sub(1 + 2 + indent).max(NARROWEST);
        let mut title = literal("askance asks", Style::Frame);
        if waiting > 0 {
            title.extend(literal(&format!("  ({waiting} more waiting)"), Style::Faint));
        }
        let mut lines: Vec<(&str, Chunk)> = vec![(top, clip(title, room + indent, self.charset))];
        for mut row in rows {
            let mut label = literal(row.label, Style::Faint);
            if narrow && !label.is_empty() {
                row.chunks.insert(0, std::mem::take(&mut label));
            }
            for text in self.row_lines(row, room) {
                let mut line = std::mem::take(&mut label);
                line.resize(line.len().max(indent), (Unit::plain(' '), Style::Plain));
                line.extend(text);
                lines.push((side, line));
            }
        }
        lines.push((bottom, literal("answer: ", Style::Frame)));
        let framed = |(edge, text): (&str, Chunk)| rendered([literal(edge, Style::Frame), text].concat(), self.colour);
        lines.into_iter().map(framed).collect()
    }

    fn row_lines(&self, row: Row, room: usize) -> Vec<Chunk> {
        let mut lines = flow(row.chunks, row.gap, room);
        if lines.len() > row.most_lines {
            let rest: Chunk = lines.drain(row.most_lines - 1..).flatten().collect();
            lines.push(clip(rest, room, self.charset));
        }
        lines
    }

    /// The one line that a question leaves behind.
    pub(super) fn ending(&self, question: &Question, ending: Ending<'_>) -> Line {
        let (mark, style) = match (ending, self.charset) {
            (Ending::Answered(Answer::Deny | Answer::Never { .. }), Charset::Utf8) => ("✗ ", Style::Bad),
            (Ending::Answered(Answer::Deny | Answer::Never { .. }), Charset::Ascii) => ("no ", Style::Bad),
            (Ending::Answered(_), Charset::Utf8) => ("✓ ", Style::Good),
            (Ending::Answered(_), Charset::Ascii) => ("ok ", Style::Good),
            (Ending::Withdrawn | Ending::Background, Charset::Utf8) => ("· ", Style::Faint),
            (Ending::Withdrawn | Ending::Background, Charset::Ascii) => ("-- ", Style::Faint),
        };
        let words = match ending {
            Ending::Answered(answer) => self.answered(question, answer),
            Ending::Withdrawn => literal("no longer asked", Style::Faint),
            Ending::Background => literal("askance waits for the foreground (fg)", Style::Faint),
        };
        let operation = literal(question.operation.word(), Style::Plain);
        let before = [literal(mark, style), operation, literal(" ", Style::Plain)].concat();
        let dash = if self.charset == Charset::Utf8 { " — " } else { " - " };
        let after = [literal(dash, Style::Faint), words].concat();
        let columns = self.columns.saturating_sub(1);
        let room = columns.saturating_sub(width(&before) + width(&after)).max(NARROWEST);
        let target = clip_middle(self.short_target(&question.target), room, self.charset);
        let line = clip([before, target, after].concat(), columns.max(NARROWEST), self.charset);
        rendered(line, self.colour)
    }

    fn answered(&self, question: &Question, answer: &Answer) -> Chunk {
        let plain = |text: &str| literal(text, Style::Plain);
        let saved = |place: &Place| [plain(", "), plain(place_text(*place))].concat();
        match answer {
            Answer::Once => plain("once"),
            Answer::Run => plain("this run"),
            Answer::Session => plain("this session"),
            Answer::Raise { level } => plain(&format!("level {}", level.word())),
            Answer::Unlist => plain("rule taken out"),
            Answer::Deny => plain("denied"),
            Answer::Never { place } => [plain("denied always"), saved(place)].concat(),
            Answer::Always { place, .. } => [plain("always "), self.reach(question, answer), saved(place)].concat(),
        }
    }
}

fn target_row(face: &Face, question: &Question) -> Row {
    let target = face.shown(&target_bytes(&question.target), Style::Strong);
    Row::new(question.operation.word(), vec![target], 1)
}

fn raise(level: AutonomyLevel) -> Chunk {
    literal(&format!("all of level {}", level.word()), Style::Plain)
}

fn option(key: char, text: Chunk) -> Chunk {
    [literal(&key.to_string(), Style::Key), literal(" ", Style::Plain), text].concat()
}

/// Where "always" goes, and the key for elsewhere.
fn places(menu: &Menu) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    chunks.extend(menu.place().map(|place| literal(place_text(place), Style::Faint)));
    chunks.extend(menu.other_place().map(|place| option('u', literal(place_text(place), Style::Faint))));
    chunks
}
