//! The floor, the filter, privileges and the launch.

use std::path::{Path, PathBuf};

/// What the kernel was told to let through.
#[derive(Debug, Default)]
pub struct Floor {}

/// A directory or file that a rule of the floor names.
#[derive(Debug)]
pub struct Ruled {
    pub path: PathBuf,
    pub dev: u64,
    pub ino: u64,
}

/// Rights of the floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights(pub u8);

impl Rights {
    pub const READ: Self = Self(1);
    /// Write to and truncate what exists.
    pub const WRITE: Self = Self(2);
    /// Make, remove and rename names.
    pub const CHANGE: Self = Self(4);
}

impl Floor {
    /// The deepest ruled ancestor of `path`, if it grants all of `rights`.
    pub fn covers(&self, _path: &Path, _rights: Rights) -> Option<&Ruled> {
        None
    }
}

pub mod privileges {
    //! The rights that a thread keeps.

    /// Drops the calling thread's capabilities; a root caller's file capabilities may stay.
    pub fn drop_in_thread(_keep_root: bool) -> std::io::Result<()> {
        Ok(())
    }
}
