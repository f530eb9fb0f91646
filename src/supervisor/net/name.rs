//! Makes the name of a Unix socket: in the directory that was judged, with the child's exact bytes.
//!
//! `bind` takes a path and nothing else, and what it was given is what `getsockname` says and
//! servers unlink. So the bytes are given as they are, by a thread of its own that stands where the
//! child stands and that Landlock lets make sockets beneath the judged directory alone: whatever a
//! sibling does to the links on the way, the name is made there or not at all.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;

use landlock::{
    AccessFs, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
};
use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::address::{self, UnixAddress};
use crate::sys::{socket, thread as sys_thread};

/// A path to be bound.
pub(super) struct Naming<'a> {
    pub(super) socket: BorrowedFd<'a>,
    /// As the child spelled it.
    pub(super) path: &'a [u8],
    /// The judged directory, and the name in it.
    pub(super) directory: BorrowedFd<'a>,
    pub(super) name: &'a CStr,
    /// The child's working directory, where its relative paths start.
    pub(super) start: OwnedFd,
    pub(super) umask: u32,
}

impl Naming<'_> {
    /// Binds the socket. Runs on a thread that ends with it, for what Landlock was told stays.
    pub(super) fn bind(self) -> Result<(), i32> {
        thread::scope(|scope| {
            let bound = thread::Builder::new().name("askance-bind".to_owned()).spawn_scoped(scope, || self.confined());
            bound.map_err(|_| libc::EAGAIN)?.join().unwrap_or(Err(libc::EACCES))
        })
    }

    fn confined(self) -> Result<(), i32> {
        sys_thread::unshare_fs();
        confine(self.directory)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        sys_thread::with_umask(self.umask, || {
            let before = rustix::fs::open(".", flags, Mode::empty()).map_err(raw)?;
            let bound = self.bind_from_start();
            rustix::process::fchdir(before).map_err(raw)?;
            bound
        })
    }

    fn bind_from_start(&self) -> Result<(), i32> {
        rustix::process::fchdir(&self.start).map_err(raw)?;
        let path = if self.leads_to_directory() {
            self.path
        } else {
            // The child's `/proc/self` is not ours, and the like: the name alone has to do.
            rustix::process::fchdir(self.directory).map_err(raw)?;
            self.name.to_bytes()
        };
        let address = address::encode_unix(&UnixAddress::Path(path.to_vec()))?;
        socket::bind(self.socket, &address).map_err(super::socket::errno)
    }

    /// Do the child's bytes lead this thread to the judged directory?
    fn leads_to_directory(&self) -> bool {
        let cut = self.path.iter().rposition(|&byte| byte == b'/');
        let directory = match cut {
            None => return is_same(self.start.as_fd(), self.directory),
            Some(0) => &b"/"[..],
            Some(cut) => &self.path[..cut],
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let found = rustix::fs::openat2(rustix::fs::CWD, directory, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS);
        found.is_ok_and(|found| is_same(found.as_fd(), self.directory))
    }
}

/// From now on this thread makes sockets beneath `directory` alone.
fn confine(directory: BorrowedFd<'_>) -> Result<(), i32> {
    let confined = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::MakeSock)
        .and_then(Ruleset::create)
        .and_then(|ruleset| ruleset.add_rule(PathBeneath::new(directory, AccessFs::MakeSock)))
        .and_then(|ruleset| ruleset.restrict_self());
    match confined {
        Ok(status) if status.ruleset == RulesetStatus::FullyEnforced => Ok(()),
        _ => Err(libc::EACCES),
    }
}

fn is_same(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> bool {
    match (rustix::fs::fstat(one), rustix::fs::fstat(other)) {
        (Ok(one), Ok(other)) => (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino),
        _ => false,
    }
}

fn raw(errno: rustix::io::Errno) -> i32 {
    errno.raw_os_error()
}
