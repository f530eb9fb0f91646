//! A path as its bytes and the places of its names: judged for every access, so nothing is parsed twice.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

/// Anything by the [`key`] of a path. Looked up at every access, hence no slow hash: its keys come from
/// lists and from the way to what they name, not from what a command asks for.
pub type ByPath<V> = HashMap<Box<[u8]>, V, foldhash::fast::RandomState>;

/// The path's bytes without a trailing slash: `/` is empty.
pub fn key(path: &Path) -> &[u8] {
    let bytes = path.as_os_str().as_bytes();
    bytes.strip_suffix(b"/").unwrap_or(bytes)
}

/// As [`key`], in the path's own memory.
pub(super) fn into_key(path: PathBuf) -> Box<[u8]> {
    let mut bytes = path.into_os_string().into_vec();
    bytes.truncate(bytes.strip_suffix(b"/").map_or(bytes.len(), <[u8]>::len));
    bytes.into_boxed_slice()
}

/// The path behind a key.
pub fn as_path(key: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(if key.is_empty() { b"/" } else { key }))
}

/// The path without empty and `.` components.
pub(super) fn plain(path: &Path) -> Cow<'_, Path> {
    let bytes = path.as_os_str().as_bytes();
    let dots = |rest: &[u8]| {
        matches!(rest, [] | [b'/', ..] | [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..])
    };
    let odd = bytes.iter().enumerate().any(|(at, byte)| *byte == b'/' && dots(&bytes[at + 1..]));
    if odd && bytes != b"/" { Cow::Owned(path.components().collect()) } else { Cow::Borrowed(path) }
}

/// An absolute path with `.`, `..` and doubled slashes removed by the letter.
pub fn lexical(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

/// An absolute path's names.
pub(super) struct Components<'a> {
    key: &'a [u8],
    /// Where each name begins.
    starts: Vec<usize>,
}

impl<'a> Components<'a> {
    pub(super) fn of(key: &'a [u8]) -> Self {
        let slashes = key.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        Self { key, starts: slashes.map(|(at, _)| at + 1).collect() }
    }

    pub(super) fn count(&self) -> usize {
        self.starts.len()
    }

    fn name(&self, at: usize) -> &'a [u8] {
        let end = self.starts.get(at + 1).map_or(self.key.len(), |next| next - 1);
        &self.key[self.starts[at]..end]
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        (0..self.count()).map(|at| self.name(at))
    }

    /// Do `count` names from `start` on all fit?
    pub(super) fn has_at(&self, start: usize, count: usize, fits: impl Fn(usize, &[u8]) -> bool) -> bool {
        start + count <= self.count() && (0..count).all(|name| fits(name, self.name(start + name)))
    }

    /// The path and all above it, each with its depth; the root's is 1.
    pub(super) fn ancestors(&self) -> impl Iterator<Item = (usize, &'a [u8])> + '_ {
        let whole = (self.count() + 1, self.key);
        std::iter::once(whole).chain((0..self.count()).rev().map(|at| (at + 1, &self.key[..self.starts[at] - 1])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_apart_as_the_standard_library_does() {
        for path in ["/", "/a", "/a/bc/d", "/a//b/./c/", "/a/.", "/..x/y"] {
            let (path, plain) = (Path::new(path), plain(Path::new(path)));
            let parts = Components::of(key(&plain));
            let names: Vec<_> = path.components().skip(1).map(|part| part.as_os_str().as_bytes()).collect();
            assert_eq!(parts.names().collect::<Vec<_>>(), names, "{path:?}");
            let above: Vec<_> = path.ancestors().map(|above| (above.components().count(), above)).collect();
            let found: Vec<_> = parts.ancestors().map(|(depth, above)| (depth, as_path(above))).collect();
            assert_eq!(found, above, "{path:?}");
        }
    }
}
