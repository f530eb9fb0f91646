//! How a question looks: pure, from a question to lines.
//!
//! Every line is broken here, never by the terminal, so that the question can be taken away again.
//! Whatever comes from outside passes through [`visible`].

use std::path::{Path, PathBuf};

use super::menu::Menu;
use super::sanitize::{Charset, Unit, visible};
use crate::policy::{Answer, Place, Question, Reason, Scope, Target, UnixName};
use crate::settings::Layer;
use crate::supervisor::context::{Asked, Process};

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

/// A line as sent, and how wide it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) width: usize,
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

/// Longest command line that is looked at; more would not be shown.
const COMMAND_LINE: usize = 4096;
/// Lines of a command line or request that are shown.
const COMMAND_LINES: usize = 2;
const LABEL: usize = 9;
/// Narrower, labels stand in the text.
const NARROW: usize = 40;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Strong,
    Faint,
    Key,
    Frame,
    Good,
    Bad,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Strong => "\x1b[1m",
            Self::Faint => "\x1b[2m",
            Self::Key => "\x1b[1;36m",
            Self::Frame => "\x1b[33m",
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[31m",
        }
    }
}

/// Text that is broken only where it does not fit a line of its own.
type Chunk = Vec<(Unit, Style)>;

fn literal(text: &str, style: Style) -> Chunk {
    text.chars().map(|character| (Unit::plain(character), style)).collect()
}

fn width(chunk: &[(Unit, Style)]) -> usize {
    chunk.iter().map(|(unit, _)| unit.width).sum()
}

/// One labelled paragraph.
struct Row {
    label: &'static str,
    chunks: Vec<Chunk>,
    gap: usize,
    most_lines: usize,
}

impl Face {
    /// The question; the cursor belongs behind its last line.
    pub(super) fn question(&self, asked: &Asked, menu: &Menu, waiting: usize) -> Vec<Line> {
        let lines = self.laid_out(self.all_rows(asked, menu), waiting);
        if lines.len() <= self.rows.max(1) {
            return lines;
        }
        let mut rows = vec![self.target_row(&asked.question), self.reason_row(&asked.question)];
        let mut options = Vec::new();
        for row in self.option_rows(&asked.question, menu) {
            options.extend(row.chunks);
        }
        rows.push(Row { label: "", chunks: options, gap: 2, most_lines: usize::MAX });
        self.laid_out(rows, waiting)
    }

    fn all_rows(&self, asked: &Asked, menu: &Menu) -> Vec<Row> {
        let mut rows = vec![
            self.target_row(&asked.question),
            self.reason_row(&asked.question),
            self.text_row("process", &process_line(&asked.process)),
            self.text_row("request", asked.request.as_bytes()),
        ];
        rows.extend(self.option_rows(&asked.question, menu));
        rows
    }

    fn target_row(&self, question: &Question) -> Row {
        let chunk = self.shown(&target_bytes(&question.target), Style::Strong);
        Row { label: question.operation.word(), chunks: vec![chunk], gap: 0, most_lines: usize::MAX }
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
        let chunks = text.split(' ').map(|word| self.shown(word.as_bytes(), Style::Plain)).collect();
        Row { label: "because", chunks, gap: 1, most_lines: usize::MAX }
    }

    fn text_row(&self, label: &'static str, text: &[u8]) -> Row {
        let text = &text[..text.len().min(COMMAND_LINE)];
        Row { label, chunks: vec![self.shown(text, Style::Plain)], gap: 1, most_lines: COMMAND_LINES }
    }

    fn option_rows(&self, question: &Question, menu: &Menu) -> Vec<Row> {
        let (mut allow, mut always, mut deny) = (Vec::new(), Vec::new(), Vec::new());
        for (key, answer) in menu.options() {
            let option = self.option(key, &self.answer(question, answer));
            match answer {
                Answer::Once | Answer::Run | Answer::Session => allow.push(option),
                Answer::Always { .. } | Answer::Unlist => always.push(option),
                Answer::Deny | Answer::Never { .. } => deny.push(option),
            }
        }
        if deny.is_empty() {
            deny.push(self.option('n', &literal("once", Style::Plain)));
        }
        let mut saved = Vec::new();
        if let Some(place) = menu.place() {
            saved.push(literal(place_text(place), Style::Faint));
        }
        if let Some(place) = menu.other_place() {
            saved.push(self.option('u', &literal(place_text(place), Style::Faint)));
        }
        [("allow", allow), ("always", always), ("deny", deny), ("saved", saved)]
            .into_iter()
            .filter(|(_, chunks)| !chunks.is_empty())
            .map(|(label, chunks)| Row { label, chunks, gap: 3, most_lines: usize::MAX })
            .collect()
    }

    fn option(&self, key: char, text: &[(Unit, Style)]) -> Chunk {
        let mut option = literal(&key.to_string(), Style::Key);
        option.push((Unit::plain(' '), Style::Plain));
        option.extend_from_slice(text);
        option
    }

    /// What an answer is called among the options of its row.
    fn answer(&self, question: &Question, answer: &Answer) -> Chunk {
        let plain = |text| literal(text, Style::Plain);
        match answer {
            Answer::Once | Answer::Deny => plain("once"),
            Answer::Run => plain("this run"),
            Answer::Session => plain("this session"),
            Answer::Unlist => plain("take the rule out"),
            Answer::Never { .. } => plain("always"),
            Answer::Always { scope: Scope::File, .. } => plain("this path"),
            Answer::Always { scope: Scope::Socket, .. } => plain("this socket"),
            Answer::Always { scope: Scope::Command, .. } => plain("this command"),
            Answer::Always { scope: Scope::Directory, root, .. } => {
                let directory = match (&question.target, root) {
                    (_, Some(root)) => Some(root.as_path()),
                    (Target::Path(path), None) => Some(path.parent().unwrap_or(path)),
                    _ => None,
                };
                let shown = directory.map(|directory| self.shown(directory.as_os_str().as_encoded_bytes(), Style::Plain));
                [plain("all of "), shown.unwrap_or_else(|| plain("its directory"))].concat()
            }
            Answer::Always { scope, .. } => match question.grant(answer) {
                Some(grant) => self.shown(grant.entry.as_bytes(), Style::Plain),
                None => plain(scope.word()),
            },
        }
    }

    fn shown(&self, bytes: &[u8], style: Style) -> Chunk {
        visible(bytes, self.charset).into_iter().map(|unit| (unit, style)).collect()
    }

    fn laid_out(&self, rows: Vec<Row>, waiting: usize) -> Vec<Line> {
        let (top, side, bottom) = match self.charset {
            Charset::Utf8 => ("╭ ", "│ ", "╰ "),
            Charset::Ascii => ("+ ", "| ", "+ "),
        };
        let narrow = self.columns < NARROW;
        let indent = if narrow { 0 } else { LABEL };
        // One column is left free: a terminal may break a line that fills it.
        let room = self.columns.saturating_sub(1 + 2 + indent).max(8);
        let mut title = literal("askance asks", Style::Frame);
        if waiting > 0 {
            title.extend(literal(&format!("  ({waiting} more waiting)"), Style::Faint));
        }
        let mut lines: Vec<(&str, Chunk)> = vec![(top, clip(title, room + indent, self.charset))];
        for mut row in rows {
            let mut label = literal(row.label, Style::Faint);
            if narrow && !label.is_empty() {
                row.chunks.insert(0, label.clone());
                row.gap = row.gap.max(1);
            }
            for (index, text) in self.flow(row, room).into_iter().enumerate() {
                let mut line = if index == 0 && !narrow { std::mem::take(&mut label) } else { Chunk::new() };
                while !narrow && width(&line) < indent {
                    line.push((Unit::plain(' '), Style::Plain));
                }
                line.extend(text);
                lines.push((side, line));
            }
        }
        lines.push((bottom, literal("answer: ", Style::Frame)));
        lines.into_iter().map(|(edge, text)| self.line(literal(edge, Style::Frame).into_iter().chain(text))).collect()
    }

    /// Breaks a row into lines of `room` columns: between chunks, and within one only where it is
    /// longer than a line.
    fn flow(&self, row: Row, room: usize) -> Vec<Chunk> {
        let mut lines: Vec<Chunk> = Vec::new();
        for chunk in row.chunks {
            let fits = lines.last().is_some_and(|line| width(line) + row.gap + width(&chunk) <= room);
            match lines.last_mut() {
                Some(line) if fits => {
                    line.extend(literal(&" ".repeat(row.gap), Style::Plain));
                    line.extend(chunk);
                }
                _ => {
                    lines.push(Chunk::new());
                    for cell in chunk {
                        if lines.last().is_some_and(|line| width(line) + cell.0.width > room) {
                            lines.push(Chunk::new());
                        }
                        if let Some(line) = lines.last_mut() {
                            line.push(cell);
                        }
                    }
                }
            }
        }
        if lines.len() > row.most_lines {
            let rest: Chunk = lines.drain(row.most_lines - 1..).flatten().collect();
            lines.push(clip(rest, room, self.charset));
        }
        lines
    }

    fn line(&self, cells: impl Iterator<Item = (Unit, Style)>) -> Line {
        let mut line = Line { text: String::new(), width: 0 };
        let mut current = (Style::Plain, false);
        for (unit, style) in cells {
            let next = (style, unit.escaped);
            if self.colour && next != current {
                line.text.push_str("\x1b[0m");
                line.text.push_str(style.code());
                if unit.escaped {
                    line.text.push_str("\x1b[7m");
                }
                current = next;
            }
            line.text.push_str(&unit.text);
            line.width += unit.width;
        }
        if current != (Style::Plain, false) {
            line.text.push_str("\x1b[0m");
        }
        line
    }

    /// The one line that a question leaves behind.
    pub(super) fn ending(&self, question: &Question, ending: Ending<'_>) -> Line {
        let utf8 = self.charset == Charset::Utf8;
        let (mark, style) = match ending {
            Ending::Answered(Answer::Deny | Answer::Never { .. }) => (if utf8 { "✗ " } else { "no " }, Style::Bad),
            Ending::Answered(_) => (if utf8 { "✓ " } else { "ok " }, Style::Good),
            Ending::Withdrawn | Ending::Background => (if utf8 { "· " } else { "-- " }, Style::Faint),
        };
        let words = match ending {
            Ending::Answered(answer) => self.answered(question, answer),
            Ending::Withdrawn => literal("no longer asked", Style::Faint),
            Ending::Background => literal("askance waits for the foreground (fg)", Style::Faint),
        };
        let mut before = literal(mark, style);
        before.extend(literal(question.operation.word(), Style::Plain));
        before.push((Unit::plain(' '), Style::Plain));
        let mut after = literal(if utf8 { " — " } else { " - " }, Style::Faint);
        after.extend(words);
        let room = self.columns.saturating_sub(1 + width(&before) + width(&after)).max(8);
        before.extend(clip_middle(self.short_target(&question.target), room, self.charset));
        before.extend(after);
        let all = clip(before, self.columns.saturating_sub(1).max(8), self.charset);
        self.line(all.into_iter())
    }

    fn answered(&self, question: &Question, answer: &Answer) -> Chunk {
        let plain = |text: &str| literal(text, Style::Plain);
        let saved = |place: &Place| plain(match place {
            Place::Project => " (project)",
            Place::User => " (user)",
        });
        match answer {
            Answer::Once => plain("once"),
            Answer::Run => plain("for this run"),
            Answer::Session => plain("for this session"),
            Answer::Unlist => plain("rule taken out"),
            Answer::Deny => plain("denied"),
            Answer::Never { place } => [plain("denied always"), saved(place)].concat(),
            Answer::Always { place, .. } => {
                [plain("always "), self.answer(question, answer), saved(place)].concat()
            }
        }
    }

    fn short_target(&self, target: &Target) -> Chunk {
        if let (Target::Path(path), Some(home)) = (target, &self.home)
            && let Ok(rest) = path.strip_prefix(home)
            && home != Path::new("/")
        {
            let mut chunk = literal("~", Style::Plain);
            if !rest.as_os_str().is_empty() {
                chunk.extend(literal("/", Style::Plain));
                chunk.extend(self.shown(rest.as_os_str().as_encoded_bytes(), Style::Plain));
            }
            return chunk;
        }
        self.shown(&target_bytes(target), Style::Plain)
    }
}

fn place_text(place: Place) -> &'static str {
    match place {
        Place::Project => "for this project",
        Place::User => "for all your projects",
    }
}

/// Paths and abstract names as their bytes: what is not UTF-8 shows as such.
fn target_bytes(target: &Target) -> Vec<u8> {
    match target {
        Target::Path(path) | Target::Unix(UnixName::Path(path)) => path.as_os_str().as_encoded_bytes().to_vec(),
        Target::Unix(UnixName::Abstract(name)) => [b"@".as_slice(), name].concat(),
        Target::Command(argv) => {
            let line = command_line(argv).into_bytes();
            match line.len().checked_sub(COMMAND_LINE) {
                None | Some(0) => line,
                // Both ends: a flood of arguments must not push either out of sight.
                Some(more) => {
                    let half = COMMAND_LINE / 2;
                    let note = format!(" [{more} bytes not shown] ");
                    [&line[..half], note.as_bytes(), &line[line.len() - half..]].concat()
                }
            }
        }
        other => other.to_string().into_bytes(),
    }
}

fn process_line(process: &Process) -> Vec<u8> {
    format!("{} ({}): {}", process.program, process.pid, command_line(&process.argv)).into_bytes()
}

/// Words as a shell would have to be told them.
fn command_line(argv: &[String]) -> String {
    let quoted = argv.iter().map(|word| {
        let safe = |character: char| character.is_ascii_alphanumeric() || "%+,-./:=@_^~".contains(character) || !character.is_ascii();
        if !word.is_empty() && word.chars().all(safe) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

fn ellipsis(charset: Charset) -> Chunk {
    literal(if charset == Charset::Utf8 { "…" } else { "..." }, Style::Faint)
}

/// The beginning, where it does not fit.
fn clip(mut chunk: Chunk, room: usize, charset: Charset) -> Chunk {
    if width(&chunk) <= room {
        return chunk;
    }
    let dots = ellipsis(charset);
    let beginning = fitting(chunk.iter(), room.saturating_sub(width(&dots)));
    chunk.truncate(beginning);
    chunk.extend(dots);
    chunk
}

/// How many cells fit into `room` columns.
fn fitting<'a>(cells: impl Iterator<Item = &'a (Unit, Style)>, room: usize) -> usize {
    let mut used = 0;
    cells
        .take_while(|(unit, _)| {
            used += unit.width;
            used <= room
        })
        .count()
}

/// Both ends, where it does not fit.
fn clip_middle(chunk: Chunk, room: usize, charset: Charset) -> Chunk {
    if width(&chunk) <= room {
        return chunk;
    }
    let dots = ellipsis(charset);
    let half = room.saturating_sub(width(&dots)) / 2;
    let (start, end) = (fitting(chunk.iter(), half), fitting(chunk.iter().rev(), half));
    [&chunk[..start], &dots, &chunk[chunk.len() - end..]].concat()
}
