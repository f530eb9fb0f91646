//! Putting new content into files: beside the old one and renamed onto it, or in place; whole or not at all.
//!
//! Everything that can be refused (opening a file for writing, creating one) is done before anything changes, so
//! a refusal leaves all files as they were.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::look::Encoding;
use super::{ToolError, at, beside, checked};

/// Put content into a file, whole; the file is created where there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Write {
    pub path: String,
    pub content: String,
    /// How `content` says the bytes.
    #[serde(default)]
    pub encoding: Encoding,
    /// Create the directories above the file where they are missing.
    #[serde(default)]
    pub create_directories: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Written {
    pub bytes: u64,
    pub created: bool,
}

impl Write {
    pub(super) fn carry_out(&self, base: &Path, beside: bool) -> Result<Written, ToolError> {
        let path = base.join(checked(&self.path)?);
        let bytes = match self.encoding {
            Encoding::Text => self.content.clone().into_bytes(),
            Encoding::Base64 => STANDARD.decode(&self.content).map_err(ToolError::Base64)?,
        };
        if self.create_directories
            && let Some(parent) = path.parent()
            && !parent.as_os_str().is_empty()
        {
            fs::create_dir_all(parent).map_err(at(parent))?;
        }
        let length = bytes.len() as u64;
        let change = Change::prepare(&path, New { bytes, executable: None, former: None }, beside)?;
        let created = change.is_new();
        commit(vec![change])?;
        Ok(Written { bytes: length, created })
    }
}

/// What a file is to hold.
#[derive(Debug)]
pub(super) struct New {
    pub(super) bytes: Vec<u8>,
    /// What the patch says of the mode.
    pub(super) executable: Option<bool>,
    /// What the file held, where it was read: put back if a change after this one fails.
    pub(super) former: Option<Vec<u8>>,
}

/// A change of one file, ready to be made. Dropped without [`commit`] it leaves no trace.
#[derive(Debug)]
pub(super) struct Change {
    path: PathBuf,
    how: How,
    former: Option<Vec<u8>>,
    /// Of the file as it was.
    mode: u32,
    made: bool,
}

#[derive(Debug)]
enum How {
    /// The file did not exist; it was created empty.
    Create {
        file: File,
        bytes: Vec<u8>,
    },
    /// The new content stands beside the file.
    Rename {
        fresh: PathBuf,
    },
    InPlace {
        file: File,
        bytes: Vec<u8>,
        mode: Option<u32>,
    },
    Remove,
}

impl Change {
    /// Opens the file for writing, or creates it; nothing of an existing one changes yet.
    pub(super) fn prepare(path: &Path, new: New, beside: bool) -> Result<Self, ToolError> {
        // A link is written through, as any program does.
        let real = match path.symlink_metadata() {
            Ok(metadata) if metadata.is_symlink() => path.canonicalize().map_err(at(path))?,
            _ => path.to_owned(),
        };
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_NOFOLLOW;
        let file = match OpenOptions::new().write(true).custom_flags(flags).open(&real) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::create(real, new),
            // A FIFO that nobody reads.
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
                return Err(ToolError::NotRegular { path: path.to_owned() });
            }
            Err(error) => return Err(at(path)(error)),
        };
        let metadata = file.metadata().map_err(at(path))?;
        if !metadata.is_file() {
            return Err(ToolError::NotRegular { path: path.to_owned() });
        }
        let mode = metadata.permissions().mode() & 0o7777;
        let New { bytes, executable, former } = new;
        // Other names of the file keep its content too.
        let fresh = match beside && metadata.nlink() == 1 && executable.is_none() {
            true => write_beside(&real, &bytes, &metadata)?,
            false => None,
        };
        let wanted = executable.map(|yes| if yes { mode | (mode & 0o444) >> 2 } else { mode & !0o111 });
        let how = fresh.map_or(How::InPlace { file, bytes, mode: wanted }, |fresh| How::Rename { fresh });
        Ok(Self { path: real, how, former, mode, made: false })
    }

    fn create(path: PathBuf, new: New) -> Result<Self, ToolError> {
        let mode = if new.executable == Some(true) { 0o777 } else { 0o666 };
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path).map_err(at(&path))?;
        Ok(Self { path, how: How::Create { file, bytes: new.bytes }, former: None, mode, made: false })
    }

    /// The file is to go.
    pub(super) fn remove(path: &Path, former: Vec<u8>) -> Result<Self, ToolError> {
        let mode = path.symlink_metadata().map_err(at(path))?.permissions().mode() & 0o7777;
        Ok(Self { path: path.to_owned(), how: How::Remove, former: Some(former), mode, made: false })
    }

    pub(super) fn is_new(&self) -> bool {
        matches!(self.how, How::Create { .. })
    }

    fn make(&mut self) -> Result<(), ToolError> {
        let done = match &mut self.how {
            How::Create { file, bytes } => file.write_all(bytes).and_then(|()| file.sync_all()),
            How::InPlace { file, bytes, mode } => fill(file, bytes).and_then(|()| match mode {
                Some(mode) => file.set_permissions(fs::Permissions::from_mode(*mode)),
                None => Ok(()),
            }),
            How::Rename { fresh } => fs::rename(fresh, &self.path),
            How::Remove => fs::remove_file(&self.path),
        };
        self.made = done.is_ok();
        done.map_err(at(&self.path))
    }

    /// Puts back what was; also for a change in place that was only begun.
    fn undo(&mut self) -> Result<(), ToolError> {
        let former = self.former.as_deref().unwrap_or_default();
        let undone = match &mut self.how {
            How::Create { .. } => fs::remove_file(&self.path),
            How::InPlace { file, mode, .. } => fill(file, former).and_then(|()| match mode {
                Some(_) => file.set_permissions(fs::Permissions::from_mode(self.mode)),
                None => Ok(()),
            }),
            How::Rename { .. } => {
                OpenOptions::new().write(true).open(&self.path).and_then(|mut file| fill(&mut file, former))
            }
            How::Remove => {
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path).and_then(|mut file| {
                    fill(&mut file, former)?;
                    file.set_permissions(fs::Permissions::from_mode(self.mode))
                })
            }
        };
        undone.map_err(at(&self.path))
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        // Made for a change that did not come about; failing to remove it harms nobody.
        match &self.how {
            How::Create { .. } if !self.made => drop(fs::remove_file(&self.path)),
            How::Rename { fresh } if !self.made => drop(fs::remove_file(fresh)),
            _ => {}
        }
    }
}

/// Directories made for new files. Dropped before they are kept they are removed.
#[derive(Debug, Default)]
pub(super) struct Directories(Vec<PathBuf>);

impl Directories {
    /// Makes what is missing above a file.
    pub(super) fn make_above(&mut self, file: &Path) -> Result<(), ToolError> {
        let above = file.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty());
        let missing: Vec<_> = above.take_while(|path| path.symlink_metadata().is_err()).collect();
        for path in missing.into_iter().rev() {
            fs::create_dir(path).map_err(at(path))?;
            self.0.push(path.to_owned());
        }
        Ok(())
    }

    pub(super) fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Directories {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            // Not empty any more: somebody else has put something there.
            let _ = fs::remove_dir(path);
        }
    }
}

/// Writes the content beside the file with the file's mode and owner. `None`: its owner cannot be kept.
fn write_beside(real: &Path, bytes: &[u8], old: &fs::Metadata) -> Result<Option<PathBuf>, ToolError> {
    let fresh = beside(real);
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&fresh)(error)),
        // What an interrupted tool left behind.
        _ => {}
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).map_err(at(&fresh))?;
    let written = dress(made, bytes, old);
    if !matches!(written, Ok(true)) {
        let _ = fs::remove_file(&fresh);
    }
    Ok(written.map_err(at(&fresh))?.then_some(fresh))
}

/// `false`: the owner of the old file cannot be kept.
fn dress(mut fresh: File, bytes: &[u8], old: &fs::Metadata) -> io::Result<bool> {
    let own = fresh.metadata()?;
    if (own.uid(), own.gid()) != (old.uid(), old.gid())
        && std::os::unix::fs::fchown(&fresh, Some(old.uid()), Some(old.gid())).is_err()
    {
        return Ok(false);
    }
    fresh.set_permissions(fs::Permissions::from_mode(old.permissions().mode() & 0o7777))?;
    fill(&mut fresh, bytes)?;
    Ok(true)
}

/// Makes these bytes all that the file holds.
fn fill(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.rewind()?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()
}

/// Makes all changes, or none.
pub(super) fn commit(mut changes: Vec<Change>) -> Result<(), ToolError> {
    // What could still be refused comes first: a file's removal is judged only when it happens.
    changes.sort_by_key(|change| !matches!(change.how, How::Remove));
    for number in 0..changes.len() {
        if let Err(failure) = changes[number].make() {
            // One in place with a known former content was begun, and is put back too.
            let change = &changes[number];
            let begun = matches!(change.how, How::InPlace { .. }) && change.former.is_some();
            return Err(roll_back(&mut changes[..number + usize::from(begun)], failure));
        }
    }
    Ok(())
}

fn roll_back(made: &mut [Change], failure: ToolError) -> ToolError {
    for change in made.iter_mut().rev() {
        if let Err(source) = change.undo() {
            let path = change.path.clone();
            return ToolError::HalfDone { failure: Box::new(failure), path, source: Box::new(source) };
        }
    }
    failure
}
