//! A session's file: private, written whole under a lock, gone with the machine's start.
//!
//! It lies below `$XDG_RUNTIME_DIR`. Where there is none that is this user's alone, it lies in the
//! user's state directory, and counts only until the machine starts anew.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode};

use super::state::State;
use super::{Name, SessionError};
use crate::settings::Locations;
use crate::settings::replace::{Content, Links, Locked, read_at};

/// What tells that a session is another than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    Count(u64),
    /// Inode, change time, size; nothing where there is no file yet.
    File(Option<(u64, i64, i64, u64)>),
}

#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
    file: String,
    path: PathBuf,
    boot: String,
}

impl Store {
    pub(super) fn open(locations: &Locations, name: &Name) -> Result<Self, SessionError> {
        let directory = locations.session_directory();
        let make = |source| SessionError::Make { path: directory.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(make)?;
        // Both levels: whoever owns the upper one could put another in the place of the lower.
        for made in [directory.as_path(), directory.parent().unwrap_or(&directory)] {
            let found = fs::symlink_metadata(made).map_err(make)?;
            let open_to_others = found.mode() & 0o022 != 0;
            if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() || open_to_others {
                let (path, uid, mode) = (made.to_owned(), found.uid(), found.mode() & 0o7777);
                return Err(SessionError::Exposed { path, uid, mode });
            }
        }
        let file = format!("{name}.json");
        Ok(Self { path: directory.join(&file), directory, file, boot: boot() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn read(&self) -> Result<State, SessionError> {
        let content = read_at(CWD, &self.path, Links::Refuse);
        self.understand(content.map_err(|source| self.unreadable(source))?.as_ref())
    }

    /// One edit at a time, whole or not at all.
    pub(super) fn change(&self, edit: impl FnOnce(&mut State)) -> Result<(), SessionError> {
        let failed = |source| SessionError::Write { path: self.path.clone(), source };
        let locked = Locked::open(&self.directory, Links::Refuse).map_err(failed)?;
        let old = locked.read(&self.file).map_err(|source| self.unreadable(source))?;
        let mut state = self.understand(old.as_ref())?;
        edit(&mut state);
        state.boot.clone_from(&self.boot);
        let text = serde_json::to_vec_pretty(&state).map_err(|error| failed(error.into()))?;
        locked.replace(&self.file, &text, old.as_ref(), Mode::from_raw_mode(0o600)).map_err(failed)
    }

    pub(super) fn stamp(&self) -> Stamp {
        let found = fs::symlink_metadata(&self.path).ok();
        Stamp::File(found.map(|found| (found.ino(), found.ctime(), found.ctime_nsec(), found.size())))
    }

    fn understand(&self, content: Option<&Content>) -> Result<State, SessionError> {
        let Some(content) = content else { return Ok(State::default()) };
        if content.uid() != rustix::process::geteuid().as_raw() || content.writable_by_others() {
            let (uid, mode) = (content.uid(), content.mode_bits());
            return Err(SessionError::Exposed { path: self.path.clone(), uid, mode });
        }
        let state: State = serde_json::from_slice(&content.bytes)
            .map_err(|source| SessionError::Malformed { path: self.path.clone(), source })?;
        Ok(if state.boot == self.boot { state } else { State::default() })
    }

    fn unreadable(&self, source: io::Error) -> SessionError {
        SessionError::Read { path: self.path.clone(), source }
    }
}

/// One for each start of the machine (`man 5 proc_sys_kernel`).
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
