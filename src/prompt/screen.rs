//! What the command has done to the screen, as far as a question has to undo it for a moment.
//!
//! Follows the terminal control sequences (ECMA-48, the xterm private modes) in the output that
//! passes by. It interprets nothing else, and looks only at what follows an escape character.

use std::collections::BTreeSet;

/// Private modes that hide, move or garble a question, or make the terminal send what was not typed.
const WATCHED: [u16; 18] = [1, 6, 7, 9, 25, 47, 69, 1000, 1002, 1003, 1004, 1005, 1006, 1015, 1047, 1049, 2004, 2026];
/// Modes that are on unless the command turned them off: wrapping, and the cursor.
const ON_BY_DEFAULT: [u16; 2] = [7, 25];
const ALTERNATE: [u16; 3] = [47, 1047, 1049];

/// Longest control sequence that is followed; a longer one is none of those watched.
const LONGEST: usize = 64;
/// Terminals keep at least this many.
const KEYBOARDS: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Screen {
    state: State,
    sequence: Vec<u8>,
    /// Watched modes that are not as they are by default.
    changed: BTreeSet<u16>,
    /// A scrolling region smaller than the screen may be set.
    region: bool,
    /// Colours were redefined: text may be as dark as what is behind it.
    colours: bool,
    /// Flags of the enhanced keyboard protocol that were pushed and not popped.
    keyboard: Vec<u16>,
    /// The last character written was not a newline.
    mid_line: bool,
    /// The terminal was made plain and the command has not got its modes back: it stays so where the
    /// job was stopped at a question.
    plain: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    Escape,
    Control,
    /// The number of an operating system command.
    Command(u16),
}

impl Screen {
    /// Follows what is about to be shown.
    pub(super) fn follow(&mut self, output: &[u8]) {
        let Some(&last) = output.last() else { return };
        self.mid_line = last != b'\n';
        let mut rest = output;
        while !rest.is_empty() {
            rest = match self.state {
                State::Text => match rest.iter().position(|&byte| byte == 0x1b) {
                    None => return,
                    Some(at) => {
                        self.state = State::Escape;
                        &rest[at + 1..]
                    }
                },
                State::Escape => {
                    self.state = match rest[0] {
                        b'[' => State::Control,
                        b']' => State::Command(0),
                        0x1b => State::Escape,
                        b'c' => {
                            // A full reset: everything is as it is by default.
                            *self = Self { mid_line: self.mid_line, plain: self.plain, ..Self::default() };
                            State::Text
                        }
                        _ => State::Text,
                    };
                    self.sequence.clear();
                    &rest[1..]
                }
                State::Control => {
                    self.control(rest[0]);
                    &rest[1..]
                }
                State::Command(number) => {
                    self.state = match rest[0] {
                        digit @ b'0'..=b'9' => {
                            State::Command(number.saturating_mul(10).saturating_add(u16::from(digit - b'0')))
                        }
                        0x1b => State::Escape,
                        _ => {
                            self.colours |= matches!(number, 4 | 5 | 10..=19);
                            State::Text
                        }
                    };
                    &rest[1..]
                }
            };
        }
    }

    fn control(&mut self, byte: u8) {
        match byte {
            0x1b => self.state = State::Escape,
            0x18 | 0x1a => self.state = State::Text,
            0x40..=0x7e => {
                self.state = State::Text;
                let sequence = std::mem::take(&mut self.sequence);
                self.finish(&sequence, byte);
                self.sequence = sequence;
            }
            _ if self.sequence.len() < LONGEST => self.sequence.push(byte),
            _ => {}
        }
    }

    fn finish(&mut self, sequence: &[u8], end: u8) {
        match (sequence.first(), end) {
            (Some(b'?'), b'h' | b'l') => {
                for mode in numbers(&sequence[1..]) {
                    if !WATCHED.contains(&mode) {
                        continue;
                    }
                    if (end == b'h') == ON_BY_DEFAULT.contains(&mode) {
                        self.changed.remove(&mode);
                    } else {
                        self.changed.insert(mode);
                    }
                }
            }
            (None, b'r') => self.region = false,
            (Some(b'0'..=b'9' | b';'), b'r') => self.region = true,
            (Some(b'>'), b'u') if self.keyboard.len() < KEYBOARDS => {
                self.keyboard.push(numbers(&sequence[1..]).next().unwrap_or(0));
            }
            (Some(b'<'), b'u') => {
                let count = numbers(&sequence[1..]).next().unwrap_or(1).max(1);
                self.keyboard.truncate(self.keyboard.len().saturating_sub(usize::from(count)));
            }
            _ => {}
        }
    }

    /// Is the command drawing a whole screen that a question must not be mixed with?
    pub(super) fn is_alternate(&self) -> bool {
        ALTERNATE.iter().any(|mode| self.changed.contains(mode))
    }

    /// Makes the terminal show plain text at the start of a line, whatever the command left it in:
    /// an unfinished control string is cancelled, invisible or garbled text ended, the main screen
    /// shown, and keys sent as characters.
    pub(super) fn plain(&mut self) -> Vec<u8> {
        if std::mem::replace(&mut self.plain, true) {
            return b"\x1b[0m\r".to_vec();
        }
        // CAN and ST end what is unfinished; SGR 0, ASCII in G0, no insert mode, no hyperlink.
        let mut bytes = b"\x18\x1b\\\x1b[0m\x1b(B\x0f\x1b[4l\x1b]8;;\x1b\\".to_vec();
        if self.colours {
            bytes.extend_from_slice(
                b"\x1b]104\x1b\\\x1b]105\x1b\\\x1b]110\x1b\\\x1b]111\x1b\\\x1b]112\x1b\\\x1b]117\x1b\\\x1b]119\x1b\\",
            );
        }
        if !self.keyboard.is_empty() {
            bytes.extend_from_slice(format!("\x1b[<{}u", self.keyboard.len()).as_bytes());
        }
        for mode in self.changed.iter().rev() {
            bytes.extend_from_slice(&set(*mode, ON_BY_DEFAULT.contains(mode)));
        }
        if self.region {
            // Ending a region moves the cursor to the top: go on below everything.
            bytes.extend_from_slice(b"\x1b[r\x1b[999;1H");
        }
        if !self.is_alternate() && (self.mid_line || self.region) {
            bytes.extend_from_slice(b"\r\n");
        } else {
            bytes.push(b'\r');
        }
        bytes
    }

    /// Gives the command, below the last line of a question, the modes back that it had set. What was
    /// on its screen it draws again itself when the window changes.
    pub(super) fn restored(&mut self) -> Vec<u8> {
        (self.plain, self.mid_line, self.region) = (false, false, false);
        let mut bytes = Vec::new();
        for mode in &self.changed {
            bytes.extend_from_slice(&set(*mode, !ON_BY_DEFAULT.contains(mode)));
        }
        for flags in &self.keyboard {
            bytes.extend_from_slice(format!("\x1b[>{flags}u").as_bytes());
        }
        bytes
    }
}

fn set(mode: u16, on: bool) -> Vec<u8> {
    format!("\x1b[?{mode}{}", if on { 'h' } else { 'l' }).into_bytes()
}

fn numbers(parameters: &[u8]) -> impl Iterator<Item = u16> {
    parameters.split(|&byte| byte == b';').filter_map(|number| std::str::from_utf8(number).ok()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(output: &[u8]) -> Screen {
        let mut screen = Screen::default();
        screen.follow(output);
        screen
    }

    fn plain(output: &[u8]) -> String {
        String::from_utf8(after(output).plain()).unwrap()
    }

    #[test]
    fn a_question_begins_on_a_line_of_its_own() {
        for (output, ends) in [
            (&b""[..], "\\\r"),
            (b"text\r\n", "\\\r"),
            (b"Password: ", "\r\n"),
            (b"\x1b[1;5r", "\x1b[r\x1b[999;1H\r\n"),
            (b"\x1b[1;5r\x1b[rtext\n", "\\\r"),
        ] {
            assert!(plain(output).ends_with(ends), "{output:?}: {:?}", plain(output));
        }
    }

    #[test]
    fn changed_modes_are_undone_and_given_back() {
        let mut screen = after(b"\x1b[?1049h\x1b[?25l\x1b[?1;1002;1006h\x1b[>5utext");
        assert!(screen.is_alternate());
        let plain = String::from_utf8(screen.plain()).unwrap();
        for undone in ["\x1b[<1u", "\x1b[?1049l", "\x1b[?25h", "\x1b[?1l", "\x1b[?1002l", "\x1b[?1006l"] {
            assert!(plain.contains(undone), "{undone:?} in {plain:?}");
        }
        let restored = String::from_utf8(screen.restored()).unwrap();
        for given_back in ["\x1b[?1049h", "\x1b[?25l", "\x1b[?1h", "\x1b[?1002h", "\x1b[?1006h", "\x1b[>5u"] {
            assert!(restored.contains(given_back), "{given_back:?} in {restored:?}");
        }
    }

    #[test]
    fn a_plain_terminal_is_not_made_plain_again() {
        let mut screen = after(b"\x1b[?1049h");
        assert!(String::from_utf8(screen.plain()).unwrap().contains("1049l"));
        assert!(!String::from_utf8(screen.plain()).unwrap().contains("1049l"));
        screen.restored();
        assert!(String::from_utf8(screen.plain()).unwrap().contains("1049l"));
    }

    #[test]
    fn modes_that_the_command_took_back_are_left_alone() {
        for output in [
            &b"\x1b[?1049h\x1b[?25l\x1b[>1u\x1b[<u\x1b[?25h\x1b[?1049l"[..],
            b"\x1b[?1049h\x1bc",
            b"\x1b[1049h",
            b"\x1b[?99h",
        ] {
            assert!(after(output).restored().is_empty(), "{output:?}");
        }
    }

    #[test]
    fn redefined_colours_are_reset() {
        for (output, redefined) in [
            (&b"\x1b]11;#000000\x07"[..], true),
            (b"\x1b]4;0;#ffffff\x1b\\", true),
            (b"\x1b]0;title 11\x07", false),
            (b"\x1b]8;;http://x\x1b\\", false),
            (b"\x1b]112\x07", false),
        ] {
            assert_eq!(plain(output).contains("\x1b]110\x1b\\"), redefined, "{output:?}");
        }
    }

    #[test]
    fn sequences_are_followed_across_reads() {
        let mut screen = Screen::default();
        for byte in b"abc\x1b[?1049h" {
            screen.follow(&[*byte]);
        }
        assert!(screen.is_alternate());
    }

    #[test]
    fn an_endless_sequence_is_bounded() {
        let mut screen = Screen::default();
        screen.follow(b"\x1b[");
        screen.follow(&vec![b'1'; 1 << 20]);
        assert!(screen.sequence.capacity() <= 2 * LONGEST);
    }

    #[test]
    fn unfinished_strings_and_hidden_text_are_ended_first() {
        assert!(plain(b"\x1b]0;swallow").starts_with("\x18\x1b\\\x1b[0m\x1b(B\x0f"));
    }
}
