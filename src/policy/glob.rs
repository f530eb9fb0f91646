//! How an entry is spelled, and its globs. A backslash takes the meaning from the character after it.
//!
//! Globs are checked when they are written and built when they are first needed: building one
//! costs more than all else in a policy, and most runs match none.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;

use globset::{Glob, GlobBuilder, GlobMatcher};

use super::lists::Problem;

/// What makes more of a text than a name.
const META: [char; 7] = ['*', '?', '[', ']', '{', '}', '\\'];

/// One valid glob.
#[derive(Debug, Clone)]
pub(super) struct LazyGlob {
    glob: Glob,
    matcher: OnceLock<GlobMatcher>,
    /// Of `/x/*`, which needs no matcher: `/x/`.
    children_of: Option<Box<[u8]>>,
}

impl LazyGlob {
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let glob = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
        let directory = text.strip_suffix('*').filter(|rest| rest.ends_with('/') && !rest.contains(META));
        let children_of = directory.map(|directory| directory.as_bytes().into());
        Ok(Self { glob: glob.map_err(|_| Problem::Path)?, matcher: OnceLock::new(), children_of })
    }

    /// As it was written.
    pub(super) fn text(&self) -> &str {
        self.glob.glob()
    }

    pub(super) fn matches(&self, path: impl AsRef<Path>) -> bool {
        if let Some(directory) = &self.children_of {
            let name = path.as_ref().as_os_str().as_bytes().strip_prefix(&**directory);
            return name.is_some_and(|name| !name.contains(&b'/'));
        }
        self.matcher.get_or_init(|| self.glob.compile_matcher()).is_match(path)
    }

    pub(super) fn matches_name(&self, name: &[u8]) -> bool {
        self.matches(OsStr::from_bytes(name))
    }
}

/// Could this byte of an entry mean anything but itself?
pub(super) fn is_meta(byte: u8) -> bool {
    META.iter().any(|meta| *meta == char::from(byte))
}

pub(super) fn first_meta(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| match byte {
        _ if escaped => {
            escaped = false;
            false
        }
        b'\\' => {
            escaped = true;
            false
        }
        _ => matches!(byte, b'*' | b'?' | b'[' | b'{'),
    })
}

pub(super) fn unescape(text: &str) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        plain.push(if byte == b'\\' { bytes.next().unwrap_or(b'\\') } else { byte });
    }
    plain
}

/// A path as the entry of a list that means just this path.
pub(super) fn escape(path: &Path) -> String {
    let text = path.to_string_lossy();
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if META.contains(&character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_no_matcher_matches_as_with_one() {
        for text in ["/dev/*", "/*", "/a\\*/*", "/a/b*"] {
            let quick = LazyGlob::parse(text).unwrap();
            let slow = LazyGlob { children_of: None, ..quick.clone() };
            for path in
                ["/", "/dev", "/dev/", "/dev/sda", "/dev/x/y", "/devx", "/a*/b", "/ab/c", "/a/bc", "/dev/\u{fffd}"]
            {
                assert_eq!(quick.matches(path), slow.matches(path), "{text} {path}");
            }
        }
    }
}
