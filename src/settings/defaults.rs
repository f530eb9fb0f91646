//! The built-in settings, which a start does not parse: the build has turned them into code.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};

use super::at::{At, Position, Text};
use super::schema::Document;

/// Their text, as `askance settings defaults` prints it.
pub const DEFAULTS: &str = include_str!("../../policies/default.jsonc");

/// What their text says.
pub(super) fn document() -> Document {
    include!(concat!(env!("OUT_DIR"), "/defaults.rs"))
}

fn at<T>(value: T, line: u32, column: u32) -> At<T> {
    At { value, position: Position { line, column } }
}

/// Entries by their first byte in the text, their length, their line and their column.
fn entries(places: &[(u16, u8, u16, u8)]) -> Vec<At<Text>> {
    let entry = |&(start, length, line, column): &(u16, u8, u16, u8)| {
        let start = usize::from(start);
        let text = &DEFAULTS[start..start + usize::from(length)];
        at(Cow::Borrowed(text), line.into(), column.into())
    };
    places.iter().map(entry).collect()
}

fn word<T: for<'de> Deserialize<'de>>(word: &'static str) -> T {
    let word: StrDeserializer<'_, Error> = word.into_deserializer();
    T::deserialize(word).expect("the built-in settings use known words")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::read::read;

    #[test]
    fn the_code_says_what_the_text_says() {
        let read = read(DEFAULTS.as_bytes()).unwrap();
        assert_eq!(format!("{:#?}", document()), format!("{read:#?}"));
    }
}
