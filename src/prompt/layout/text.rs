//! Styled text, broken into lines and clipped by columns.

use crate::prompt::sanitize::{Charset, Unit};

/// A line as sent, and how wide it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::prompt) struct Line {
    pub(in crate::prompt) text: String,
    pub(in crate::prompt) width: usize,
}

/// How text stands out; never the only thing that tells it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
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
pub(super) type Chunk = Vec<(Unit, Style)>;

pub(super) fn literal(text: &str, style: Style) -> Chunk {
    text.chars().map(|character| (Unit::plain(character), style)).collect()
}

pub(super) fn width(chunk: &[(Unit, Style)]) -> usize {
    chunk.iter().map(|(unit, _)| unit.width).sum()
}

/// Breaks chunks into lines of `room` columns: between them, and within one only where it is longer
/// than a line. Chunks that share a line stand `gap` columns apart.
pub(super) fn flow(chunks: Vec<Chunk>, gap: usize, room: usize) -> Vec<Chunk> {
    let mut lines: Vec<Chunk> = Vec::new();
    let mut used = 0;
    for chunk in chunks {
        match lines.last_mut() {
            Some(line) if used + gap + width(&chunk) <= room => {
                used += gap + width(&chunk);
                line.extend(literal(&" ".repeat(gap), Style::Plain));
                line.extend(chunk);
            }
            _ => {
                let mut line = Chunk::new();
                used = 0;
                for cell in chunk {
                    if used + cell.0.width > room && !line.is_empty() {
                        lines.push(std::mem::take(&mut line));
                        used = 0;
                    }
                    used += cell.0.width;
                    line.push(cell);
                }
                lines.push(line);
            }
        }
    }
    lines
}

/// The line's bytes; colour and escapes only where the terminal can.
pub(super) fn rendered(cells: impl IntoIterator<Item = (Unit, Style)>, colour: bool) -> Line {
    let mut line = Line { text: String::new(), width: 0 };
    let mut current = (Style::Plain, false);
    for (unit, style) in cells {
        let next = (style, unit.escaped);
        if colour && next != current {
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

fn ellipsis(charset: Charset) -> Chunk {
    literal(if charset == Charset::Utf8 { "…" } else { "..." }, Style::Faint)
}

/// The beginning, where it does not fit.
pub(super) fn clip(mut chunk: Chunk, room: usize, charset: Charset) -> Chunk {
    if width(&chunk) <= room {
        return chunk;
    }
    let dots = ellipsis(charset);
    let beginning = fitting(chunk.iter(), room.saturating_sub(width(&dots)));
    chunk.truncate(beginning);
    chunk.extend(dots);
    chunk
}

/// Both ends, where it does not fit.
pub(super) fn clip_middle(chunk: Chunk, room: usize, charset: Charset) -> Chunk {
    if width(&chunk) <= room {
        return chunk;
    }
    let dots = ellipsis(charset);
    let half = room.saturating_sub(width(&dots)) / 2;
    let (start, end) = (fitting(chunk.iter(), half), fitting(chunk.iter().rev(), half));
    [&chunk[..start], &dots, &chunk[chunk.len() - end..]].concat()
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
