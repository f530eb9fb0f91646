//! An object held by descriptor, and the name that the kernel gives it now.
//!
//! A judgement is bound to such a descriptor: the path judged is what the descriptor names, and
//! what is acted on is the descriptor.

use std::ffi::OsString;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD, FileType, Stat};

use super::errno::Errno;
use super::spelling::PATH_MAX;
use crate::sys::files;

const DELETED: &[u8] = b" (deleted)";

/// A file-system object, pinned by an `O_PATH` descriptor.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) fd: OwnedFd,
    pub(crate) stat: Stat,
    /// The caller's own open descriptor, where the path named one (`/proc/self/fd/N`): reopening
    /// with no more than its access mode gives the caller nothing that it lacks.
    pub(crate) passed: Option<OwnedFd>,
    /// A magic link led here: the object need not have a name, and looking again finds it again.
    pub(crate) jumped: bool,
}

/// What a held object is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    /// Absolute, real, reachable.
    Path(PathBuf),
    /// No name leads to it: unlinked, a memory file, an unnamed temporary file.
    Unlinked,
    /// It never has a name: a pipe, a socket, an anonymous inode.
    Nameless,
}

impl Held {
    pub(crate) fn new(fd: OwnedFd) -> Result<Self, Errno> {
        let stat = rustix::fs::fstat(&fd)?;
        Ok(Self { fd, stat, passed: None, jumped: false })
    }

    pub(crate) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.kind() == FileType::Directory
    }

    pub(crate) fn is(&self, other: &Stat) -> bool {
        (self.stat.st_dev, self.stat.st_ino) == (other.st_dev, other.st_ino)
    }

    /// The object's name at this moment.
    pub(crate) fn named(&self) -> Result<Named, Errno> {
        named(self.fd.as_fd(), &self.stat)
    }
}

/// The name that the kernel gives to `fd` at this moment. `ENAMETOOLONG` where it is longer than
/// any call could spell, `EACCES` where no path leads to it from the root.
pub(crate) fn named(fd: BorrowedFd<'_>, stat: &Stat) -> Result<Named, Errno> {
    let mut buffer = [MaybeUninit::<u8>::uninit(); PATH_MAX + DELETED.len()];
    let (text, _) = rustix::fs::readlinkat_raw(CWD, files::descriptor_path(fd), &mut buffer)?;
    let text: &[u8] = text;
    if !text.starts_with(b"/") {
        // "(unreachable)/x" is a path of a detached mount; "pipe:[1]" never was a path.
        let detached = text.starts_with(b"(");
        return if detached { Err(Errno(libc::EACCES)) } else { Ok(Named::Nameless) };
    }
    if stat.st_nlink == 0 {
        return Ok(Named::Unlinked);
    }
    let path = |bytes: &[u8]| Named::Path(PathBuf::from(OsString::from_vec(bytes.to_vec())));
    match text.strip_suffix(DELETED) {
        // The name is gone but the inode has another: judged by the name it was reached by, unless
        // " (deleted)" really is the end of its name.
        Some(former) if !names(text, stat) => Ok(path(former)),
        _ => Ok(path(text)),
    }
}

fn names(path: &[u8], stat: &Stat) -> bool {
    rustix::fs::statat(CWD, std::ffi::OsStr::from_bytes(path), AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|found| (found.st_dev, found.st_ino) == (stat.st_dev, stat.st_ino))
}
