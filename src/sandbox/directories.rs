//! The run's own directories: named before the policy is compiled, and made once the monitor watches, which removes them
//! where askance dies. So a run that is killed at any moment leaves none.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::rand::{GetRandomFlags, getrandom};

/// Where they will be.
#[derive(Debug, Clone)]
pub struct Directories {
    /// The run's private temporary directory.
    pub temporary: PathBuf,
    /// Where something in the workspace is denied to readers.
    pub nursery: Option<PathBuf>,
}

impl Directories {
    pub(super) fn all(&self) -> impl Iterator<Item = &Path> {
        [Some(&self.temporary), self.nursery.as_ref()].into_iter().flatten().map(PathBuf::as_path)
    }
}

/// A name in `parent` that nobody has and nobody guesses. Short, because programs put Unix sockets in the temporary
/// directory, and a socket's path has 108 bytes.
pub fn unused_name(parent: &Path) -> io::Result<PathBuf> {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut name = *b"ask.0123456789";
    getrandom(&mut name[4..], GetRandomFlags::empty())?;
    for byte in &mut name[4..] {
        *byte = LETTERS[usize::from(*byte % 32)];
    }
    Ok(parent.join(OsStr::from_bytes(&name)))
}

/// A directory that only its owner enters, removed with all that is in it when the value is dropped.
#[derive(Debug)]
pub struct PrivateDirectory {
    path: PathBuf,
}

impl PrivateDirectory {
    /// Fails where the name is taken.
    pub fn make(path: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().mode(0o700).create(path)?;
        Ok(Self { path: path.to_owned() })
    }

    /// Removes it now; what is made there afterwards goes when the value is dropped.
    pub fn remove(&self) {
        // What cannot be removed is not this run's any more.
        let _ = fs::remove_dir_all(&self.path);
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        self.remove();
    }
}
