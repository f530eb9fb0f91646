//! What a request writes into files and then runs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::Walk;
use super::state::State;
use crate::approval::arg::base_name;
use crate::approval::languages::one_liner;

/// Texts of files together: more is not kept.
const MAX_BYTES: usize = 256 * 1024;

/// Files and what is known to be in them.
#[derive(Debug, Default)]
pub(super) struct Saved {
    texts: HashMap<PathBuf, String>,
    bytes: usize,
}

impl Saved {
    /// Text that goes to the file, perhaps after what is in it.
    pub(super) fn keep(&mut self, path: PathBuf, text: &str) {
        self.bytes += text.len();
        if self.bytes <= MAX_BYTES {
            self.texts.entry(path).or_default().push_str(text);
        }
    }

    fn text(&self, path: &Path) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }
}

impl Walk<'_> {
    /// What lists and interlocks say of a file that this request wrote, now that `program` runs it; `None`: by itself.
    pub(super) fn run_saved(&mut self, path: Option<&Path>, program: Option<&str>, state: &State) {
        let Some(text) = path.and_then(|path| self.saved.text(path)).map(str::to_owned) else { return };
        let first = text.strip_prefix("#!").and_then(|rest| rest.lines().next()).unwrap_or("sh");
        let named = first.split_whitespace().map(base_name).find(|word| *word != "env").unwrap_or("sh");
        let program = program.unwrap_or(named);
        if program.ends_with("sh") {
            return self.probe(program, &text, state);
        }
        for command in one_liner::commands(program, &text) {
            self.probe(program, &command, state);
        }
    }
}
