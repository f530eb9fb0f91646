//! Replacing an exact piece of text in a file.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::save::{Change, New, commit};
use super::{LARGEST_FILE, ToolError, checked, look};

/// Replace a text that stands exactly once in a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    pub path: String,
    /// Exactly as it stands in the file, line ends included.
    pub old_text: String,
    pub new_text: String,
    /// Replace it everywhere.
    #[serde(default)]
    pub all: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Edited {
    pub replaced: usize,
    /// The line of the first replacement, from 1.
    pub line: usize,
}

/// Places that an ambiguous text is said to stand at.
const SHOWN_LINES: usize = 5;

impl Edit {
    pub(super) fn carry_out(&self, base: &Path, beside: bool) -> Result<Edited, ToolError> {
        let path = base.join(checked(&self.path)?);
        if self.old_text.is_empty() {
            return Err(ToolError::NothingToReplace);
        }
        let old = look::whole(&path)?;
        let found = places(&old, self.old_text.as_bytes(), self.all);
        let Some(&first) = found.first() else {
            return Err(ToolError::NotFound { hint: hint(&old, &self.old_text), path });
        };
        if found.len() > 1 && !self.all {
            return Err(ambiguous(path, &old, &found));
        }
        let bytes = self.replaced(&old, &found, &path)?;
        let line = line_of(&old, first);
        commit(vec![Change::prepare(&path, New { bytes, executable: None, former: Some(old) }, beside)?])?;
        Ok(Edited { replaced: found.len(), line })
    }

    fn replaced(&self, old: &[u8], found: &[usize], path: &Path) -> Result<Vec<u8>, ToolError> {
        let grown = self.new_text.len().saturating_sub(self.old_text.len()) as u64;
        if old.len() as u64 + grown.saturating_mul(found.len() as u64) > LARGEST_FILE {
            return Err(ToolError::TooLarge { path: path.to_owned(), most: LARGEST_FILE });
        }
        let mut new = Vec::with_capacity(old.len());
        let mut from = 0;
        for &at in found {
            new.extend_from_slice(&old[from..at]);
            new.extend_from_slice(self.new_text.as_bytes());
            from = at + self.old_text.len();
        }
        new.extend_from_slice(&old[from..]);
        Ok(new)
    }
}

/// Where the text stands. One of several is asked for: overlapping places count, for they are ambiguous too.
fn places(bytes: &[u8], text: &[u8], all: bool) -> Vec<usize> {
    let finder = memchr::memmem::Finder::new(text);
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = bytes.get(from..).and_then(|rest| finder.find(rest)) {
        found.push(from + at);
        from += at + if all { text.len() } else { 1 };
    }
    found
}

fn ambiguous(path: PathBuf, old: &[u8], found: &[usize]) -> ToolError {
    let shown: Vec<String> = found.iter().take(SHOWN_LINES).map(|&at| line_of(old, at).to_string()).collect();
    let more = if found.len() > SHOWN_LINES { ", …" } else { "" };
    ToolError::Ambiguous { path, count: found.len(), lines: shown.join(", ") + more }
}

fn line_of(bytes: &[u8], at: usize) -> usize {
    1 + bytes[..at].iter().filter(|&&byte| byte == b'\n').count()
}

/// The likeliest reason why a text is not there.
pub(super) fn hint(old: &[u8], text: &str) -> &'static str {
    let returns = old.windows(2).any(|pair| pair == b"\r\n");
    match (returns, text.contains("\r\n")) {
        (true, false) if text.contains('\n') => " (its lines end in CR LF, those of the text in LF)",
        (false, true) => " (its lines end in LF, those of the text in CR LF)",
        _ => "",
    }
}
