//! What holds for any answers file: checked with random input by the tests and by `fuzz/`.

use std::path::Path;

use super::line::Line;

/// Any text as lines: a mistake is named with a column that is in its line, and a line that is understood is
/// understood with spaces around it.
pub fn answers(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for line in text.lines() {
        match Line::parse(line, Path::new("/home/u")) {
            Err(mistake) => {
                let columns = 1..=line.chars().count() + 1;
                assert!(columns.contains(&mistake.column), "{mistake:?} in {line:?}");
            }
            Ok(understood) => {
                let spaced = format!("  {line}");
                let again =
                    Line::parse(&spaced, Path::new("/home/u")).unwrap_or_else(|error| panic!("{error:?}: {spaced:?}"));
                assert_eq!(again.is_some(), understood.is_some(), "{line:?}");
            }
        }
    }
}

#[cfg(test)]
#[test]
fn any_input_at_all() {
    crate::sys::fuzzing::drive("answers", answers);
}
