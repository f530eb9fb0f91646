//! The terminal as a place to show questions: taking it, drawing, erasing, giving it back.

use std::io;
use std::path::PathBuf;

use rustix::termios::InputModes;

use super::layout::{Ending, Face, Line};
use super::menu::Menu;
use super::pty::Hold;
use super::sanitize::Charset;
use super::terminal::AskingPlace;
use crate::policy::Question;
use crate::supervisor::context::Asked;
use crate::sys::terminal::{Output, Tty};

/// What of a question is on the screen: the widths of its lines.
#[derive(Debug, Default)]
pub(super) struct Drawn {
    widths: Vec<usize>,
}

pub(super) struct Surface {
    place: AskingPlace,
    home: Option<PathBuf>,
    state: Held,
    /// Can lines be taken away again?
    cursor: bool,
    colour: bool,
}

/// Whose the terminal is.
enum Held {
    Not,
    /// Ours, with the relay standing still where there is one.
    Taken {
        _hold: Option<Hold>,
    },
}

impl Surface {
    pub(super) fn new(place: AskingPlace, home: Option<PathBuf>) -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let cursor = set("TERM").is_some_and(|term| term != "dumb");
        let colour = cursor && set("NO_COLOR").is_none();
        Self { place, home, state: Held::Not, cursor, colour }
    }

    pub(super) fn tty(&self) -> &Tty {
        self.place.tty()
    }

    /// Takes the terminal from the command and makes it show plain text; `false` while another job
    /// has it.
    pub(super) fn take(&mut self) -> io::Result<bool> {
        if !self.tty().is_foreground()? {
            self.state = Held::Not;
            return Ok(false);
        }
        if matches!(self.state, Held::Taken { .. }) {
            return Ok(true);
        }
        let (hold, output) = match &self.place {
            AskingPlace::Relayed(gate) => (Some(gate.hold()?), gate.output()),
            AskingPlace::Own(_) => (None, Output::Processed),
        };
        self.tty().make_raw(output)?;
        let plain = match &hold {
            Some(hold) if self.cursor => hold.plain(),
            _ => b"\r".to_vec(),
        };
        self.state = Held::Taken { _hold: hold };
        self.tty().write_all(&plain)?;
        Ok(true)
    }

    /// The terminal was used by somebody else in between: taking it sets its modes again.
    pub(super) fn forget(&mut self) {
        self.state = Held::Not;
    }

    /// Gives the terminal back to the command.
    pub(super) fn leave(&mut self) {
        let Held::Taken { _hold: hold } = std::mem::replace(&mut self.state, Held::Not) else { return };
        match hold {
            Some(hold) => {
                if self.cursor {
                    // A terminal that is gone needs nothing.
                    let _ = self.tty().write_all(&hold.restored()).and_then(|()| hold.redraw());
                }
            }
            None => self.tty().restore(),
        }
    }

    pub(super) fn flush_keys(&self) -> io::Result<()> {
        self.tty().flush_input()
    }

    /// Draws a question in the place of what was drawn of it before.
    pub(super) fn draw(&self, before: &Drawn, (asked, menu, others): (&Asked, &Menu, usize)) -> io::Result<Drawn> {
        let lines = self.face().question(asked, menu, others);
        let mut bytes = self.erasing(before);
        for (index, Line { text, .. }) in lines.iter().enumerate() {
            if index > 0 {
                bytes.extend_from_slice(self.newline());
            }
            bytes.extend_from_slice(text.as_bytes());
        }
        self.tty().write_all(&bytes)?;
        Ok(Drawn { widths: lines.iter().map(|line| line.width).collect() })
    }

    pub(super) fn erase(&self, drawn: &Drawn) -> io::Result<()> {
        self.tty().write_all(&self.erasing(drawn))
    }

    /// Puts the line that says how it ended in the place of a question.
    pub(super) fn end(&self, drawn: &Drawn, question: &Question, ending: Ending<'_>) -> io::Result<()> {
        let mut bytes = self.erasing(drawn);
        bytes.extend_from_slice(self.face().ending(question, ending).text.as_bytes());
        bytes.extend_from_slice(self.newline());
        self.tty().write_all(&bytes)
    }

    /// Says on another job's terminal that a question waits.
    pub(super) fn call(&self, question: &Question) -> io::Result<()> {
        let mut bytes = self.newline().to_vec();
        bytes.extend_from_slice(self.face().ending(question, Ending::Background).text.as_bytes());
        bytes.extend_from_slice(self.newline());
        self.tty().write_all(&bytes)
    }

    fn erasing(&self, drawn: &Drawn) -> Vec<u8> {
        let Some((last, above)) = drawn.widths.split_last() else { return Vec::new() };
        if !self.cursor {
            return self.newline().to_vec();
        }
        let face = self.face();
        // A window that became narrower has wrapped lines that fitted.
        let rows = |width: &usize| width.saturating_sub(1) / face.columns + 1;
        let up = above.iter().map(rows).sum::<usize>() + rows(last) - 1;
        match up.min(face.rows - 1) {
            0 => b"\r\x1b[J".to_vec(),
            up => format!("\r\x1b[{up}A\x1b[J").into_bytes(),
        }
    }

    fn newline(&self) -> &'static [u8] {
        match self.tty().raw() {
            Some(Output::Raw) => b"\r\n",
            _ => b"\n",
        }
    }

    fn face(&self) -> Face {
        let (columns, rows) = match self.tty().size() {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (usize::from(size.ws_col), usize::from(size.ws_row)),
            _ => (80, 24),
        };
        Face { columns, rows, colour: self.colour, charset: self.charset(), home: self.home.clone() }
    }

    fn charset(&self) -> Charset {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
            .unwrap_or_default()
            .to_ascii_lowercase();
        let says_utf8 = locale.contains("utf-8") || locale.contains("utf8");
        // Terminals that decode UTF-8 tell the line discipline, whatever the locale is.
        let decodes = self.tty().modes().is_ok_and(|modes| modes.input_modes.contains(InputModes::IUTF8));
        if says_utf8 || decodes { Charset::Utf8 } else { Charset::Ascii }
    }
}
