//! What holds for any settings file: checked with random input by the tests and by `fuzz/`.

use super::read::read;

/// Any bytes as a settings file: what is not understood is named with a place that is in the file, and an
/// edit leaves a file that is understood one, with the entry in it.
pub fn file(bytes: &[u8]) {
    match read(bytes) {
        Err(mistake) => {
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
            let line = usize::try_from(mistake.position.line).unwrap_or(usize::MAX);
            assert!((1..=lines).contains(&line), "{mistake:?}");
            assert!(mistake.position.column >= 1 && !mistake.problem.to_string().is_empty());
        }
        Ok(before) => {
            let Some(text) = super::edit::with_entry(bytes, "/fuzzed") else { return };
            let after = read(text.as_bytes()).unwrap_or_else(|mistake| panic!("{mistake:?} after an edit:\n{text}"));
            let entries = |document: &super::schema::Document| format!("{document:?}").matches("\"/fuzzed\"").count();
            assert!(entries(&after) >= entries(&before).max(1), "{text}");
        }
    }
}

#[cfg(test)]
#[test]
fn any_input_at_all() {
    crate::sys::fuzzing::drive("settings", file);
}
