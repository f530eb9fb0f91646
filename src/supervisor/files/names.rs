//! What calls that are no file calls need of paths: the object that one leads to (a socket to reach,
//! a directory to watch), and a name that is to be made (a socket that is bound).

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, Stat};

use super::create::{entry_path, may_change};
use super::errno::Errno;
use super::held::Named;
use super::record;
use super::resolve::{Entry, Last, Origin, entry, object};
use super::state::Moment;
use super::view::View;
use crate::supervisor::{Call, Context};

/// An object that a path led to, held.
#[derive(Debug)]
pub(in crate::supervisor) struct Reached {
    pub(in crate::supervisor) fd: OwnedFd,
    pub(in crate::supervisor) stat: Stat,
    /// `None`: no name leads to it any more.
    pub(in crate::supervisor) path: Option<PathBuf>,
}

/// A symbolic link at a path's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor) enum AtEnd {
    Follow,
    Keep,
}

/// What `path` leads to for the caller.
pub(in crate::supervisor) fn reach(context: &Context, call: &Call, path: &[u8], at_end: AtEnd) -> Result<Reached, i32> {
    let last = if at_end == AtEnd::Follow { Last::Follow } else { Last::Keep };
    let reach = || {
        let held = object(&View::new(context, call)?, &origin(call, path)?, &c_string(path)?, last)?;
        let path = match held.named()? {
            Named::Path(path) => Some(path),
            Named::Unlinked | Named::Nameless => None,
        };
        Ok(Reached { fd: held.fd, stat: held.stat, path })
    };
    reach().map_err(|Errno(errno)| errno)
}

/// A name that does not exist, in a held directory.
#[derive(Debug)]
pub(in crate::supervisor) struct NewName {
    entry: Entry,
    path: PathBuf,
    directory: PathBuf,
    moment: Moment,
}

impl NewName {
    /// Finds where `path` would be made. `EEXIST`: something is there.
    pub(in crate::supervisor) fn find(context: &Context, call: &Call, path: &[u8]) -> Result<Self, i32> {
        let moment = context.files().now();
        let find = || {
            let found = entry(&View::new(context, call)?, &origin(call, path)?, &c_string(path)?)?;
            let entry = found.ok_or(Errno(libc::EEXIST))?;
            match rustix::fs::statat(&entry.parent.fd, &entry.name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) => return Err(Errno(libc::EEXIST)),
                Err(rustix::io::Errno::NOENT) => {}
                Err(errno) => return Err(errno.into()),
            }
            if entry.name.to_bytes().ends_with(b"/") {
                return Err(Errno(libc::ENOENT));
            }
            let (path, directory) = entry_path(&entry)?;
            may_change(&entry.parent)?;
            Ok(Self { entry, path, directory, moment })
        };
        find().map_err(|Errno(errno)| errno)
    }

    /// The real path, to be judged.
    pub(in crate::supervisor) fn path(&self) -> &Path {
        &self.path
    }

    pub(in crate::supervisor) fn directory(&self) -> BorrowedFd<'_> {
        self.entry.parent.fd.as_fd()
    }

    pub(in crate::supervisor) fn name(&self) -> &CStr {
        &self.entry.name
    }

    /// Makes the name with `make` while no directory moves, and records it. `None`: the directory
    /// has another path than the one judged.
    pub(in crate::supervisor) fn make(
        &self,
        context: &Context,
        make: impl FnOnce() -> Result<(), i32>,
    ) -> Option<Result<OwnedFd, i32>> {
        let _making = context.files().making();
        if !context.files().still_named(&self.entry.parent, &self.directory, self.moment) {
            return None;
        }
        let made = make().and_then(|()| {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::openat(&self.entry.parent.fd, &self.entry.name, flags, Mode::empty())
                .map_err(rustix::io::Errno::raw_os_error)
        });
        if made.is_ok() {
            record::created_at(context, self.path.clone());
        }
        Some(made)
    }
}

fn origin(call: &Call, path: &[u8]) -> Result<Origin, Errno> {
    let base = if path.starts_with(b"/") {
        None
    } else {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        Some(rustix::fs::open(format!("/proc/{}/cwd", call.tid), flags, Mode::empty())?)
    };
    Ok(Origin { base, resolve: 0 })
}

fn c_string(path: &[u8]) -> Result<CString, Errno> {
    CString::new(path).map_err(|_| Errno(libc::EINVAL))
}
