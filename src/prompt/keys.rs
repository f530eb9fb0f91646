//! From a terminal's bytes to the keys that a person pressed.
//!
//! A terminal also sends what nobody pressed: answers to queries that the command made (a window
//! title that the command chose, for one), mouse and focus reports, pasted text. Control sequences
//! and strings are swallowed whole, and nothing in them is ever a key.

use std::time::{Duration, Instant};

/// What was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Character(char),
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D.
    EndOfFile,
    /// Ctrl-Z.
    Suspend,
    /// Ctrl-L.
    Redraw,
}

/// Longest control sequence whose parameters are looked at.
const PARAMETERS: usize = 16;
/// A lone escape key is followed by nothing for so long.
const LONE_ESCAPE: Duration = Duration::from_millis(100);
/// A control string that does not end within this never will.
const UNFINISHED: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Keys {
    state: State,
    parameters: Vec<u8>,
    last_byte: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ground,
    /// More bytes of a UTF-8 character follow.
    Utf8 {
        value: u32,
        missing: u8,
    },
    Escape,
    Control,
    /// So many bytes of an old mouse report follow.
    Skip(u8),
    /// Until ST or BEL.
    Text,
    TextEscape,
    /// Pasted, until `CSI 201 ~`.
    Paste,
    PasteEscape,
    PasteControl,
}

impl Keys {
    pub(super) fn new(now: Instant) -> Self {
        Self { state: State::Ground, parameters: Vec::new(), last_byte: now }
    }

    /// The keys in what was read at `now`. Sequences may be split over reads.
    pub(super) fn read(&mut self, bytes: &[u8], now: Instant) -> Vec<Key> {
        let silence = now.saturating_duration_since(self.last_byte);
        let patience = if self.state == State::Escape { LONE_ESCAPE } else { UNFINISHED };
        if silence > patience {
            self.state = State::Ground;
        }
        self.last_byte = now;
        bytes.iter().filter_map(|&byte| self.byte(byte)).collect()
    }

    fn byte(&mut self, byte: u8) -> Option<Key> {
        let (state, key) = match self.state {
            State::Ground => ground(byte),
            State::Utf8 { value, missing } => match (byte, missing) {
                (0x80..=0xbf, 1) => {
                    (State::Ground, char::from_u32(value << 6 | u32::from(byte & 0x3f)).map(Key::Character))
                }
                (0x80..=0xbf, _) => {
                    (State::Utf8 { value: value << 6 | u32::from(byte & 0x3f), missing: missing - 1 }, None)
                }
                _ => ground(byte),
            },
            State::Escape => (self.escape(byte), None),
            State::Control => self.control(byte),
            State::Skip(left) => (if left > 1 { State::Skip(left - 1) } else { State::Ground }, None),
            State::Text => match byte {
                0x1b => (State::TextEscape, None),
                0x07 | 0x18 | 0x1a | 0x9c => (State::Ground, None),
                _ => (State::Text, None),
            },
            State::TextEscape => match byte {
                b'\\' => (State::Ground, None),
                _ => (self.escape(byte), None),
            },
            State::Paste => (if byte == 0x1b { State::PasteEscape } else { State::Paste }, None),
            State::PasteEscape => {
                self.parameters.clear();
                (if byte == b'[' { State::PasteControl } else { State::Paste }, None)
            }
            State::PasteControl => match byte {
                b'~' if self.parameters == b"201" => (State::Ground, None),
                b'0'..=b'9' if self.parameters.len() < PARAMETERS => {
                    self.parameters.push(byte);
                    (State::PasteControl, None)
                }
                _ => (State::Paste, None),
            },
        };
        self.state = state;
        key
    }

    /// A key without modifiers where the command made the terminal report all of them as sequences.
    fn reported(&self) -> Option<Key> {
        let parameters = std::str::from_utf8(&self.parameters).ok()?;
        let code = parameters.strip_suffix(";1").unwrap_or(parameters);
        let character = code.parse().ok().and_then(char::from_u32)?;
        (!character.is_control()).then_some(Key::Character(character))
    }

    fn escape(&mut self, byte: u8) -> State {
        match byte {
            b'[' => {
                self.parameters.clear();
                State::Control
            }
            // SS3: a function key's letter follows.
            b'O' => State::Skip(1),
            b'P' | b'X' | b']' | b'^' | b'_' => State::Text,
            0x1b => State::Escape,
            // Alt and a key is not that key.
            _ => State::Ground,
        }
    }

    fn control(&mut self, byte: u8) -> (State, Option<Key>) {
        match byte {
            0x1b => (State::Escape, None),
            0x18 | 0x1a => (State::Ground, None),
            b'M' if self.parameters.is_empty() => (State::Skip(3), None),
            b'~' if self.parameters == b"200" => (State::Paste, None),
            // Ctrl-C where the command left an enhanced keyboard protocol on.
            b'u' if self.parameters == b"99;5" => (State::Ground, Some(Key::Interrupt)),
            b'u' => (State::Ground, self.reported()),
            b'~' if self.parameters == b"27;5;99" => (State::Ground, Some(Key::Interrupt)),
            0x40..=0x7e => (State::Ground, None),
            _ => {
                if self.parameters.len() < PARAMETERS {
                    self.parameters.push(byte);
                }
                (State::Control, None)
            }
        }
    }
}

fn ground(byte: u8) -> (State, Option<Key>) {
    let state = match byte {
        0x03 => return (State::Ground, Some(Key::Interrupt)),
        0x04 => return (State::Ground, Some(Key::EndOfFile)),
        0x0c => return (State::Ground, Some(Key::Redraw)),
        0x1a => return (State::Ground, Some(Key::Suspend)),
        0x20..=0x7e => return (State::Ground, Some(Key::Character(char::from(byte)))),
        0x1b => State::Escape,
        // Eight-bit forms of the same introducers; never the start of a UTF-8 character.
        0x8f => State::Skip(1),
        0x90 | 0x98 | 0x9d..=0x9f => State::Text,
        0x9b => State::Control,
        0xc2..=0xdf => State::Utf8 { value: u32::from(byte & 0x1f), missing: 1 },
        0xe0..=0xef => State::Utf8 { value: u32::from(byte & 0x0f), missing: 2 },
        0xf0..=0xf4 => State::Utf8 { value: u32::from(byte & 0x07), missing: 3 },
        _ => State::Ground,
    };
    (state, None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let now = Instant::now();
        Keys::new(now).read(bytes, now)
    }

    #[test]
    fn keys_are_what_was_pressed() {
        let table: [(&[u8], &[Key]); 14] = [
            (b"y", &[Key::Character('y')]),
            ("é".as_bytes(), &[Key::Character('é')]),
            (b"\x03", &[Key::Interrupt]),
            (b"\x04", &[Key::EndOfFile]),
            (b"\x1a", &[Key::Suspend]),
            (b"\x0c", &[Key::Redraw]),
            (b"\x1b[99;5u", &[Key::Interrupt]),
            (b"\x1b[27;5;99~", &[Key::Interrupt]),
            (b"\x1b[121u", &[Key::Character('y')]),
            (b"\x1b[121;1u", &[Key::Character('y')]),
            (b"\x1b[121;3u", &[]),
            (b"\x1b[121;1:3u", &[]),
            (b"\x1b[?121u", &[]),
            (b"\r\n\t\x7f", &[]),
        ];
        for (bytes, expected) in table {
            assert_eq!(keys(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn what_nobody_pressed_is_no_key() {
        let table: [(&str, &[u8]); 15] = [
            ("cursor position report", b"\x1b[24;80R"),
            ("device attributes", b"\x1b[?62;1;6c"),
            ("a title that says yes", b"\x1b]ly\x1b\\"),
            ("a title ended by BEL", b"\x1b]0;y\x07"),
            ("DECRQSS reply", b"\x1bP1$ry\x1b\\"),
            ("application program command", b"\x1b_y\x1b\\"),
            ("privacy message", b"\x1b^y\x1b\\"),
            ("start of string", b"\x1bXy\x1b\\"),
            ("eight-bit OSC", b"\x9dly\x9c"),
            ("eight-bit CSI", b"\x9b24;80R"),
            ("old mouse report", b"\x1b[Myyy"),
            ("new mouse report", b"\x1b[<0;1;1M"),
            ("paste", b"\x1b[200~yes\x1b[20y\r\x1b[201~"),
            ("alt-y", b"\x1by"),
            ("a function key", b"\x1bOy"),
        ];
        for (name, bytes) in table {
            assert_eq!(keys(bytes), [], "{name}");
            let mut with_key = bytes.to_vec();
            with_key.push(b'n');
            assert_eq!(keys(&with_key), [Key::Character('n')], "{name} and a key");
        }
    }

    #[test]
    fn a_split_sequence_is_still_a_sequence() {
        let now = Instant::now();
        let mut keys = Keys::new(now);
        for byte in b"\x1b]ly\x1b\\\x1b[24;80R" {
            assert_eq!(keys.read(&[*byte], now), []);
        }
    }

    #[test]
    fn a_lone_escape_key_does_not_swallow_the_next_key() {
        let now = Instant::now();
        let mut keys = Keys::new(now);
        assert_eq!(keys.read(b"\x1b", now), []);
        assert_eq!(keys.read(b"y", now + Duration::from_millis(50)), []);
        assert_eq!(keys.read(b"\x1b", now + Duration::from_secs(1)), []);
        assert_eq!(keys.read(b"y", now + Duration::from_secs(2)), [Key::Character('y')]);
    }

    proptest! {
        #[test]
        fn any_string_reply_is_swallowed(kind in "[P\\]X^_]", text in "[ -~]{0,40}") {
            let reply = format!("\x1b{kind}{text}\x1b\\");
            prop_assert_eq!(keys(reply.as_bytes()), []);
        }

        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(keys(&bytes).len() <= bytes.len());
        }
    }
}
