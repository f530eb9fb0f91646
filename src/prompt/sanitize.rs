//! Makes every character of a name visible.
//!
//! A name comes from whoever made the file; shown as it is, it could move the cursor, colour the
//! text around it, run backwards, hide, or look like part of the question. What does not show as
//! itself is shown as an escape that no name can forge: a backslash is always doubled.

/// Characters that `char::escape_debug` takes for visible and that are not: fillers, blanks and
/// selectors (Unicode's `Default_Ignorable_Code_Point` as far as it is not in category Cf).
const INVISIBLE: [(u32, u32); 11] = [
    (0x034f, 0x034f),
    (0x115f, 0x1160),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xfe00, 0xfe0f),
    (0xffa0, 0xffa0),
    (0xfff0, 0xffff),
    (0x1d173, 0x1d17a),
    (0xe0000, 0xe0fff),
];

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charset {
    Ascii,
    Utf8,
}

/// What is shown of a character, or of an invalid byte: never broken over two lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) text: String,
    /// Columns; never less than the terminal uses for what is common.
    pub(super) width: usize,
    pub(super) escaped: bool,
}

impl Unit {
    pub(super) fn plain(character: char) -> Self {
        Self { text: character.to_string(), width: width(character), escaped: false }
    }

    fn escape(text: String) -> Self {
        let width = text.len();
        Self { text, width, escaped: true }
    }
}

/// The units of `name`. Spaces that could hide (at an end, or after another) are escaped too.
pub(super) fn visible(name: &[u8], charset: Charset) -> Vec<Unit> {
    let mut units = Vec::with_capacity(name.len());
    let mut marks = 0;
    let mut after_space = true;
    for chunk in name.utf8_chunks() {
        let mut characters = chunk.valid().chars().peekable();
        while let Some(character) = characters.next() {
            let last = characters.peek().is_none() && chunk.invalid().is_empty();
            if character == ' ' {
                let hides = after_space || last || characters.peek() == Some(&' ');
                units.push(if hides { Unit::escape("\\x20".to_owned()) } else { Unit::plain(' ') });
                (after_space, marks) = (true, 0);
                continue;
            }
            after_space = false;
            marks = if width(character) == 0 { marks + 1 } else { 0 };
            // A mark needs something to stand on; a pile of them covers the lines around it.
            let floating = marks > 0 && (marks > 2 || units.last().is_none_or(|unit| unit.escaped));
            units.push(if floating { Unit::escape(escape(character)) } else { unit(character, charset) });
        }
        for byte in chunk.invalid() {
            units.push(Unit::escape(format!("\\x{byte:02x}")));
            after_space = false;
        }
    }
    units
}

fn unit(character: char, charset: Charset) -> Unit {
    match character {
        '\\' => Unit::escape("\\\\".to_owned()),
        ' '..='~' => Unit::plain(character),
        _ if charset == Charset::Ascii || !shows(character) => Unit::escape(escape(character)),
        _ => Unit::plain(character),
    }
}

fn escape(character: char) -> String {
    match character {
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\0'..='\x7f' => format!("\\x{:02x}", u32::from(character)),
        _ => format!("\\u{{{:x}}}", u32::from(character)),
    }
}

/// Does the character show as itself? Controls, formats (bidirectional, zero width, tags), private
/// and unassigned characters, and spaces other than U+0020 do not.
fn shows(character: char) -> bool {
    let invisible = INVISIBLE.iter().any(|&(first, last)| (first..=last).contains(&u32::from(character)));
    // The standard library's table of printable characters; behind a letter, where combining marks
    // count as what they are.
    let mut text = String::from("a");
    text.push(character);
    !invisible && text.escape_debug().count() == 2
}

/// Columns of a character that shows, generously: what is counted too wide only wraps early.
fn width(character: char) -> usize {
    match u32::from(character) {
        0x0300..=0x036f
        | 0x0483..=0x0489
        | 0x0591..=0x05bd
        | 0x064b..=0x065f
        | 0x1ab0..=0x1aff
        | 0x1dc0..=0x1dff
        | 0x20d0..=0x20f0
        | 0x302a..=0x302d
        | 0x3099..=0x309a
        | 0xfe20..=0xfe2f => 0,
        0..=0x10ff | 0x1e00..=0x2319 | 0x231c..=0x23e8 | 0x2400..=0x25fc | 0x25ff..=0x2613 => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(name: &[u8]) -> String {
        visible(name, Charset::Utf8).into_iter().map(|unit| unit.text).collect()
    }

    #[test]
    fn plain_names_stay_as_they_are() {
        for name in [
            "/home/me/.ssh/config",
            "/srv/Größe/naïve",
            "/srv/日本語",
            "/a b/c",
            "/हिन्दी",
            "it's \"quoted\"",
            "/e\u{301}",
        ] {
            assert_eq!(shown(name.as_bytes()), name, "{name}");
        }
    }

    #[test]
    fn what_does_not_show_as_itself_is_escaped() {
        let table: [(&[u8], &str); 14] = [
            (b"a\x1b[2Jb", "a\\x1b[2Jb"),
            (b"a\nb\r\tc\0\x7f", "a\\nb\\r\\tc\\x00\\x7f"),
            (b"a\\nb", "a\\\\nb"),
            (b"a\xffb\xc3", "a\\xffb\\xc3"),
            ("a\u{85}\u{9b}31m".as_bytes(), "a\\u{85}\\u{9b}31m"),
            ("a\u{202e}txt.exe".as_bytes(), "a\\u{202e}txt.exe"),
            ("a\u{200b}b\u{200d}\u{feff}".as_bytes(), "a\\u{200b}b\\u{200d}\\u{feff}"),
            ("a\u{e0041}\u{e007f}".as_bytes(), "a\\u{e0041}\\u{e007f}"),
            ("a\u{a0}b\u{3000}\u{2028}".as_bytes(), "a\\u{a0}b\\u{3000}\\u{2028}"),
            ("a\u{3164}\u{2800}\u{fe0f}\u{34f}".as_bytes(), "a\\u{3164}\\u{2800}\\u{fe0f}\\u{34f}"),
            ("\u{301}a".as_bytes(), "\\u{301}a"),
            ("a\u{301}\u{301}\u{301}".as_bytes(), "a\u{301}\u{301}\\u{301}"),
            (" a  b ".as_bytes(), "\\x20a\\x20\\x20b\\x20"),
            ("\u{e000}\u{fffe}\u{378}".as_bytes(), "\\u{e000}\\u{fffe}\\u{378}"),
        ];
        for (name, expected) in table {
            assert_eq!(shown(name), expected, "{name:?}");
        }
    }

    #[test]
    fn every_control_bidi_zero_width_and_tag_character_is_escaped() {
        let ranges = [
            0..=0x1f,
            0x7f..=0x9f,
            0xad..=0xad,
            0x61c..=0x61c,
            0x180b..=0x180f,
            0x200b..=0x200f,
            0x2028..=0x202e,
            0x2060..=0x206f,
            0xfe00..=0xfe0f,
            0xfeff..=0xfeff,
            0xfff9..=0xfffb,
            0xe0000..=0xe007f,
            0xe0100..=0xe01ef,
        ];
        for character in ranges.into_iter().flatten().filter_map(char::from_u32) {
            let units = visible(format!("a{character}").as_bytes(), Charset::Utf8);
            assert!(units[1].escaped, "{character:?}");
        }
    }

    #[test]
    fn an_ascii_terminal_is_sent_ascii() {
        let text: String = visible("/srv/Größe".as_bytes(), Charset::Ascii).into_iter().map(|unit| unit.text).collect();
        assert_eq!(text, "/srv/Gr\\u{f6}\\u{df}e");
    }

    proptest! {
        #[test]
        fn no_byte_reaches_the_terminal_that_could_move_it(name in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(!shown(&name).chars().any(char::is_control));
        }

        #[test]
        fn two_names_never_look_the_same(one in "\\PC{0,6}|[\\\\x20n ]{0,8}|.{0,4}", other in "\\PC{0,6}|[\\\\x20n ]{0,8}|.{0,4}") {
            prop_assert_eq!(shown(one.as_bytes()) == shown(other.as_bytes()), one == other);
        }
    }
}
