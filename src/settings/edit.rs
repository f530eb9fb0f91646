//! Adding and removing single entries of settings files: comments, order and layout stay.
//!
//! One edit at a time per directory, whole or not at all. A file that is not well-formed is left
//! alone, and so is one whose other content nobody trusted: the edit would vouch for it.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jsonc_parser::cst::{CstArray, CstInputValue, CstNode, CstObject, CstRootNode};
use rustix::fs::{CWD, Mode};

use super::list::{Effect, List};
use super::load::{SettingsError, understand};
use super::locations::Locations;
use super::merge::widens;
use super::read::SYNTAX;
use super::replace::{Content, Links, Locked, read_at};
use super::schema::Document;
use super::trust::{self, Trust, TrustError};

/// What an edit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Made,
    /// The file said so already (or, for a removal, did not say it).
    None,
}

/// An edit was not made; the file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    #[error("create the directory {path:?}")]
    Create { path: PathBuf, source: io::Error },
    #[error("lock the settings in {path:?}: another process holds them")]
    Busy { path: PathBuf },
    #[error("open the directory {path:?}")]
    Open { path: PathBuf, source: io::Error },
    #[error("{path:?} is a symbolic link: a repository's settings are only written in their place")]
    Link { path: PathBuf },
    #[error("read the settings file {path:?}")]
    Read { path: PathBuf, source: io::Error },
    #[error("write the settings file {path:?}")]
    Write { path: PathBuf, source: io::Error },
    #[error(
        "{path:?} says things that nobody trusted yet: look at it and run `askance trust`, or write to the user settings (`--user`)"
    )]
    Untrusted { path: PathBuf },
    #[error("{path:?} was changed meanwhile")]
    Changed { path: PathBuf },
    #[error("settings have no list {key}")]
    NoSuchList { key: String },
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// Adds an entry at the end of the list that `keys` lead to, creating the file if need be.
pub fn add(locations: &Locations, file: &Path, keys: &[&str], entry: &str) -> Result<Change, EditError> {
    edit(locations, file, keys, Missing::Create, |root| {
        let array = keys[..keys.len() - 1]
            .iter()
            .fold(root, |object, key| object.object_value_or_set(key))
            .array_value_or_set(keys[keys.len() - 1]);
        if find(&array, entry).is_some() {
            return Change::None;
        }
        if array.elements().is_empty() {
            array.ensure_multiline();
        }
        array.append(CstInputValue::String(entry.to_owned()));
        Change::Made
    })
}

/// Removes every occurrence of an entry from the list that `keys` lead to.
pub fn remove(locations: &Locations, file: &Path, keys: &[&str], entry: &str) -> Result<Change, EditError> {
    edit(locations, file, keys, Missing::Leave, |root| {
        let parents = keys[..keys.len() - 1].iter();
        let parent = parents.copied().try_fold(root, |object, key| object.object_value(key));
        let Some(array) = parent.and_then(|object| object.array_value(keys[keys.len() - 1])) else {
            return Change::None;
        };
        let mut change = Change::None;
        while let Some(found) = find(&array, entry) {
            found.remove();
            change = Change::Made;
        }
        change
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Create,
    Leave,
}

fn edit(
    locations: &Locations,
    file: &Path,
    keys: &[&str],
    missing: Missing,
    apply: impl FnOnce(CstObject) -> Change,
) -> Result<Change, EditError> {
    let list = List::ALL.into_iter().find(|list| list.keys() == keys);
    let list = list.ok_or_else(|| EditError::NoSuchList { key: keys.join(".") })?;
    let Some(target) = Target::find(locations, file, missing)? else { return Ok(Change::None) };
    let (locked, old) = target.open()?;
    if old.is_none() && missing == Missing::Leave {
        return Ok(Change::None);
    }
    let text = old.as_ref().map_or(&b""[..], |content| &content.bytes);
    let before = understand(file, text)?;
    let (text, change) = rewrite(text, apply);
    if change == Change::None {
        return Ok(change);
    }
    // What goes into the file is what askance itself will read from it.
    let after = understand(file, text.as_bytes())?;
    let edited = Edited { file, text: text.as_bytes(), old: old.as_ref(), before: &before, after: &after };
    let vouched = edited.vouch(locations, &target)?;
    if !vouched && missing == Missing::Create && list.effect() == Effect::Widens {
        return Err(EditError::Untrusted { path: target.path() });
    }
    edited.write(&target, &locked)?;
    Ok(change)
}

/// Replaces the whole content of a settings file that still has the content `old` (nothing, if it
/// does not exist yet).
pub fn save(locations: &Locations, file: &Path, old: &[u8], new: &[u8]) -> Result<(), EditError> {
    let after = understand(file, new)?;
    let Some(target) = Target::find(locations, file, Missing::Create)? else { return Ok(()) };
    let (locked, current) = target.open()?;
    if current.as_ref().is_some_and(|current| current.bytes != old) {
        return Err(EditError::Changed { path: target.path() });
    }
    // What was malformed before vouches for nothing that comes after it.
    let before = understand(file, old).unwrap_or_else(|_| after.clone());
    let edited = Edited { file, text: new, old: current.as_ref(), before: &before, after: &after };
    edited.vouch(locations, &target)?;
    edited.write(&target, &locked)
}

/// What the file holds; `None` if there is none.
pub fn text_of(file: &Path) -> Result<Option<Vec<u8>>, EditError> {
    let content = read_at(CWD, file, Links::Follow);
    let content = content.map_err(|source| EditError::Read { path: file.to_owned(), source })?;
    Ok(content.map(|content| content.bytes))
}

/// A new content on its way into the file.
struct Edited<'a> {
    /// As the layers name it, before any link is followed.
    file: &'a Path,
    text: &'a [u8],
    old: Option<&'a Content>,
    before: &'a Document,
    after: &'a Document,
}

impl Edited<'_> {
    /// Makes the new content trusted if the old one was, or had nothing in it that needs trust.
    /// `false`: the file stays untrusted.
    fn vouch(&self, locations: &Locations, target: &Target) -> Result<bool, EditError> {
        if target.whose == Whose::User {
            return Ok(true);
        }
        let known = self.old.is_some_and(|old| trusted(locations, self.file, old));
        let needed = widens(self.after);
        if needed && !known && widens(self.before) {
            return Ok(false);
        }
        if needed || known {
            trust::remember(locations, self.file, self.text)?;
        }
        Ok(true)
    }

    fn write(&self, target: &Target, locked: &Locked) -> Result<(), EditError> {
        let mode = match target.whose {
            Whose::Repository if target.name != "settings.local.json" => 0o644,
            _ => 0o600,
        };
        locked
            .replace(&target.name, self.text, self.old, Mode::from_raw_mode(mode))
            .map_err(|source| EditError::Write { path: target.path(), source })
    }
}

fn trusted(locations: &Locations, file: &Path, content: &Content) -> bool {
    // A list of trusted files that cannot be read vouches for nothing.
    Trust::read(locations).is_ok_and(|trust| trust.covers(file, &content.bytes))
}

/// The text with one more entry in a list of it; `None` where that list is something else.
#[cfg(any(test, fuzzing))]
pub(super) fn with_entry(text: &[u8], entry: &str) -> Option<String> {
    super::read::read(text).ok()?;
    let (text, change) = rewrite(text, |root| {
        let files = root.object_value_or_set("sandbox").object_value_or_set("filesystem");
        files.array_value_or_set("denyRead").append(CstInputValue::String(entry.to_owned()));
        Change::Made
    });
    (change == Change::Made).then_some(text)
}

/// The text after an edit. It was found well-formed before.
fn rewrite(text: &[u8], apply: impl FnOnce(CstObject) -> Change) -> (String, Change) {
    let text = std::str::from_utf8(text).expect("a settings file that was understood is UTF-8");
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let root = CstRootNode::parse(text, &SYNTAX).expect("a settings file that was understood parses");
    let change = apply(root.object_value_or_set());
    let mut text = root.to_string();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    (text, change)
}

fn find(array: &CstArray, entry: &str) -> Option<CstNode> {
    array.elements().into_iter().find(|element| {
        element.as_string_lit().is_some_and(|text| text.decoded_value().is_ok_and(|value| value == entry))
    })
}

/// Whose file is it: where may it be, and who has to trust it?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    User,
    Repository,
}

/// The file to write: its real directory and its name there.
#[derive(Debug)]
struct Target {
    directory: PathBuf,
    name: String,
    whose: Whose,
}

impl Target {
    /// `None` if there is nothing to remove from.
    fn find(locations: &Locations, file: &Path, missing: Missing) -> Result<Option<Self>, EditError> {
        let whose = if file == locations.user_file() { Whose::User } else { Whose::Repository };
        // The user may keep the file elsewhere and link to it; a repository may not.
        let real = match whose {
            Whose::User if file.is_symlink() => {
                file.canonicalize().map_err(|source| EditError::Read { path: file.to_owned(), source })?
            }
            _ => file.to_owned(),
        };
        let (Some(directory), Some(name)) = (real.parent(), real.file_name().and_then(OsStr::to_str)) else {
            let source = io::ErrorKind::InvalidInput.into();
            return Err(EditError::Read { path: file.to_owned(), source });
        };
        if directory.symlink_metadata().is_err() {
            if missing == Missing::Leave {
                return Ok(None);
            }
            let mode = if whose == Whose::User { 0o700 } else { 0o755 };
            DirBuilder::new()
                .recursive(true)
                .mode(mode)
                .create(directory)
                .map_err(|source| EditError::Create { path: directory.to_owned(), source })?;
        }
        Ok(Some(Self { directory: directory.to_owned(), name: name.to_owned(), whose }))
    }

    fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    /// Locks the directory and reads what the file says now.
    fn open(&self) -> Result<(Locked, Option<Content>), EditError> {
        let locked = self.lock()?;
        let content = locked.read(&self.name).map_err(|source| match source.raw_os_error() {
            Some(libc::ELOOP) => EditError::Link { path: self.path() },
            _ => EditError::Read { path: self.path(), source },
        })?;
        Ok((locked, content))
    }

    fn lock(&self) -> Result<Locked, EditError> {
        let links = match self.whose {
            Whose::User => Links::Follow,
            Whose::Repository => Links::Refuse,
        };
        let path = || self.directory.clone();
        Locked::open(&self.directory, links).map_err(|source| {
            match (source.kind(), source.raw_os_error()) {
                (io::ErrorKind::TimedOut, _) => EditError::Busy { path: path() },
                // O_DIRECTORY|O_NOFOLLOW on a link.
                (_, Some(libc::ELOOP | libc::ENOTDIR)) if self.directory.is_symlink() => {
                    EditError::Link { path: path() }
                }
                _ => EditError::Open { path: path(), source },
            }
        })
    }
}

#[cfg(test)]
#[path = "edit_tests.rs"]
mod tests;
