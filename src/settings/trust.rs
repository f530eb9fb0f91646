//! Which project and folder files were looked at and found good.
//!
//! Trust is by content: the SHA-256 of the whole file, remembered in the user's state directory. A
//! file that changes is untrusted again, except for what askance itself writes into it.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use sha2::{Digest, Sha256};

use super::locations::Locations;
use super::replace::{Content, Links, Locked, read_at};

const FILE: &str = "trust";

/// The content of a file, by its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }

    fn hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.hex())
    }
}

/// The remembered list of trusted files could not be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("read {path:?}")]
    Read { path: PathBuf, source: io::Error },
    #[error("write {path:?}")]
    Write { path: PathBuf, source: io::Error },
    #[error(
        "{path:?} can be written by others (mode {mode:o}, owner {uid}): remove it, then trust again what you trust"
    )]
    Exposed { path: PathBuf, mode: u32, uid: u32 },
    #[error("{path:?}, line {line}: expected a hash and a path: remove the line, then trust that file again")]
    Malformed { path: PathBuf, line: usize },
}

/// The trusted files, each with the content that was trusted.
#[derive(Debug, Default)]
pub struct Trust {
    entries: Vec<(PathBuf, Fingerprint)>,
}

impl Trust {
    /// What was trusted so far.
    pub fn read(locations: &Locations) -> Result<Self, TrustError> {
        let path = locations.state_directory().join(FILE);
        let content = read_at(rustix::fs::CWD, &path, Links::Refuse);
        let content = content.map_err(|source| TrustError::Read { path: path.clone(), source })?;
        Self::parse(content.as_ref(), &path)
    }

    fn parse(content: Option<&Content>, path: &Path) -> Result<Self, TrustError> {
        let Some(content) = content else { return Ok(Self::default()) };
        let owner = content.uid();
        let me = rustix::process::geteuid().as_raw();
        if content.writable_by_others() || (owner != me && owner != 0) {
            let mode = content.mode_bits();
            return Err(TrustError::Exposed { path: path.to_owned(), mode, uid: owner });
        }
        let lines = content.bytes.split(|&byte| byte == b'\n').enumerate();
        let entries = lines.filter(|(_, line)| !line.is_empty()).map(|(index, line)| {
            let malformed = || TrustError::Malformed { path: path.to_owned(), line: index + 1 };
            entry(line).ok_or_else(malformed)
        });
        Ok(Self { entries: entries.collect::<Result<_, _>>()? })
    }

    /// Was exactly this content of this file trusted?
    pub fn covers(&self, file: &Path, content: &[u8]) -> bool {
        let remembered = self.entries.iter().find(|(path, _)| path == file);
        remembered.is_some_and(|(_, fingerprint)| *fingerprint == Fingerprint::of(content))
    }

    /// The trusted files, in the order in which they were trusted.
    pub fn files(&self) -> impl Iterator<Item = (&Path, Fingerprint)> {
        self.entries.iter().map(|(path, fingerprint)| (path.as_path(), *fingerprint))
    }

    fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for (path, fingerprint) in &self.entries {
            text.extend_from_slice(fingerprint.hex().as_bytes());
            text.push(b' ');
            for &byte in path.as_os_str().as_bytes() {
                match byte {
                    b'\n' => text.extend_from_slice(b"\\n"),
                    b'\\' => text.extend_from_slice(b"\\\\"),
                    _ => text.push(byte),
                }
            }
            text.push(b'\n');
        }
        text
    }
}

/// `HASH PATH`, with `\n` for a newline and `\\` for a backslash in the path.
fn entry(line: &[u8]) -> Option<(PathBuf, Fingerprint)> {
    let (hash, rest) = line.split_at_checked(64)?;
    let escaped = rest.strip_prefix(b" ").filter(|path| path.starts_with(b"/"))?;
    let mut path = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.iter();
    while let Some(&byte) = bytes.next() {
        path.push(match byte {
            b'\\' => match bytes.next()? {
                b'n' => b'\n',
                b'\\' => b'\\',
                _ => return None,
            },
            _ => byte,
        });
    }
    let fingerprint = Fingerprint::from_hex(std::str::from_utf8(hash).ok()?)?;
    Some((PathBuf::from(std::ffi::OsString::from_vec(path)), fingerprint))
}

/// Remembers this content of `file` as trusted, in place of any earlier one.
pub fn remember(locations: &Locations, file: &Path, content: &[u8]) -> Result<(), TrustError> {
    let fingerprint = Fingerprint::of(content);
    change(locations, |entries| {
        entries.retain(|(path, _)| path != file);
        entries.push((file.to_owned(), fingerprint));
    })
}

/// Forgets that `file` was trusted; `false` if it was not.
pub fn revoke(locations: &Locations, file: &Path) -> Result<bool, TrustError> {
    let mut found = false;
    change(locations, |entries| {
        entries.retain(|(path, _)| {
            found |= path == file;
            path != file
        });
    })?;
    Ok(found)
}

fn change(locations: &Locations, edit: impl FnOnce(&mut Vec<(PathBuf, Fingerprint)>)) -> Result<(), TrustError> {
    let directory = locations.state_directory();
    let path = directory.join(FILE);
    let failed = |source| TrustError::Write { path: path.clone(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(failed)?;
    let locked = Locked::open(&directory, Links::Follow).map_err(failed)?;
    let old = locked.read(FILE).map_err(|source| TrustError::Read { path: path.clone(), source })?;
    let mut trust = Trust::parse(old.as_ref(), &path)?;
    edit(&mut trust.entries);
    locked.replace(FILE, &trust.text(), old.as_ref(), Mode::from_raw_mode(0o600)).map_err(failed)
}
