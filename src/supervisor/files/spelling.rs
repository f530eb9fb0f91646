//! Paths as text: splitting and lexical normalisation. Looks at no file.

use std::ffi::CString;

use super::errno::Errno;

/// The longest path that a system call takes, with its NUL.
pub(crate) const PATH_MAX: usize = 4096;

/// A path cut at its last component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Split<'a> {
    /// Up to and with the slash before the last component; empty for a bare name.
    pub(super) directory: &'a [u8],
    /// Without slashes; empty for `/` and the empty path.
    pub(super) name: &'a [u8],
    /// The slashes after the name.
    pub(super) slashes: &'a [u8],
}

/// Cuts `path` at its last component: `a/b//` is `a/`, `b`, `//`.
pub(super) fn split(path: &[u8]) -> Split<'_> {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    let start = path[..end].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    if end == 0 {
        return Split { directory: path, name: b"", slashes: b"" };
    }
    Split { directory: &path[..start], name: &path[start..end], slashes: &path[end..] }
}

/// Is `name` one that no directory entry can have?
pub(super) fn is_dots(name: &[u8]) -> bool {
    matches!(name, b"." | b".." | b"")
}

/// A C string of `bytes`, which came from one.
pub(super) fn c_string(bytes: &[u8]) -> Result<CString, Errno> {
    CString::new(bytes).map_err(|_| Errno(libc::EINVAL))
}

/// An absolute path in a fixed buffer, built without allocating.
pub(super) struct Spelling {
    bytes: [u8; PATH_MAX],
    length: usize,
}

impl Spelling {
    pub(super) fn new() -> Self {
        Self { bytes: [0; PATH_MAX], length: 0 }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Appends the components of `path`, taking `.` away and a component for each `..`. Right only
    /// where no component is a symbolic link. False when it does not fit.
    pub(super) fn push(&mut self, path: &[u8]) -> bool {
        for component in path.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => {
                    let slash = self.as_bytes().iter().rposition(|byte| *byte == b'/');
                    self.length = slash.unwrap_or(0);
                }
                name => {
                    let end = self.length + 1 + name.len();
                    if end >= PATH_MAX {
                        return false;
                    }
                    self.bytes[self.length] = b'/';
                    self.bytes[self.length + 1..end].copy_from_slice(name);
                    self.length = end;
                }
            }
        }
        true
    }

    /// The normalised path; `/` for the root.
    pub(super) fn finish(&self) -> &[u8] {
        if self.length == 0 { b"/" } else { self.as_bytes() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_splits_at_its_last_component() {
        for (path, directory, name, slashes) in [
            ("a", "", "a", ""),
            ("a/b", "a/", "b", ""),
            ("a//b//", "a//", "b", "//"),
            ("/", "/", "", ""),
            ("//", "//", "", ""),
            ("", "", "", ""),
            ("/a", "/", "a", ""),
            ("../..", "../", "..", ""),
        ] {
            let expected =
                Split { directory: directory.as_bytes(), name: name.as_bytes(), slashes: slashes.as_bytes() };
            assert_eq!(split(path.as_bytes()), expected, "{path}");
        }
    }

    #[test]
    fn normalisation_is_lexical() {
        for (base, path, expected) in [
            ("", "/a/b", "/a/b"),
            ("/x/y", "../z", "/x/z"),
            ("/x", "../../..", "/"),
            ("/x", "./a//b/./c/..", "/x/a/b"),
            ("", "/", "/"),
        ] {
            let mut spelling = Spelling::new();
            assert!(spelling.push(base.as_bytes()) && spelling.push(path.as_bytes()));
            assert_eq!(spelling.finish(), expected.as_bytes(), "{base} {path}");
        }
        let mut spelling = Spelling::new();
        assert!(!spelling.push(&[b'a'; PATH_MAX]));
    }
}
