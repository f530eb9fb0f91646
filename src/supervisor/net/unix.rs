//! Unix sockets by name: the inode that a path leads to, or the holder of an abstract name.
//!
//! Owns what is judged before a Unix socket is reached and the address that leads to just that
//! inode. Sockets that the run bound itself are free. Where nobody could answer, nobody is asked.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rustix::fs::{Access as Mode, AtFlags, FileType, OFlags, ResolveFlags};

use super::address::{self, UnixAddress};
use super::connect::reach_unix;
use super::socket::Socket;
use super::own::{self, Holder};
use super::judged;
use crate::policy::{Access, Facts, UnixName};
use crate::supervisor::{Call, Context, Outcome};

/// A name that was resolved: what is judged, and what is acted on.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: UnixName,
    /// The socket's inode, where it has one.
    inode: Option<OwnedFd>,
}

impl Found {
    /// Resolves `address` as the kernel would for this caller, up to the errors that need no judgement.
    pub(super) fn new(context: &Context, call: &Call, address: &UnixAddress) -> Result<Self, i32> {
        match address {
            UnixAddress::Unnamed => Err(libc::EINVAL),
            UnixAddress::Abstract(name) if own::abstract_name_is_held(name) => {
                Ok(Self { name: UnixName::Abstract(name.clone()), inode: None })
            }
            UnixAddress::Abstract(_) => Err(libc::ECONNREFUSED),
            UnixAddress::Path(path) => {
                let inode = look_up(context, call, path)?;
                rustix::fs::accessat(&inode, c"", Mode::WRITE_OK, AtFlags::EMPTY_PATH | AtFlags::EACCESS)
                    .map_err(rustix::io::Errno::raw_os_error)?;
                let stat = rustix::fs::fstat(&inode).map_err(rustix::io::Errno::raw_os_error)?;
                if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
                    return Err(libc::ECONNREFUSED);
                }
                if context.facts().sockets().holder(inode.as_fd()) == Holder::Nobody {
                    return Err(libc::ECONNREFUSED);
                }
                Ok(Self { name: UnixName::Path(real_path(inode.as_fd())?), inode: Some(inode) })
            }
        }
    }

    /// Was it judged as the run's own by a path that leads elsewhere?
    pub(super) fn was_mistaken(&self, context: &Context) -> bool {
        let sockets = context.facts().sockets();
        self.inode.as_ref().is_some_and(|inode| {
            context.facts().socket_born_in_run(&self.name) && sockets.holder(inode.as_fd()) != Holder::Own
        })
    }

    /// The address that leads to this very inode, from any thread of ours while `self` lives.
    pub(super) fn address(&self) -> Result<Vec<u8>, i32> {
        match (&self.name, &self.inode) {
            (_, Some(inode)) => {
                let path = format!("/proc/self/fd/{}", inode.as_raw_fd());
                address::encode_unix(&UnixAddress::Path(path.into_bytes()))
            }
            (UnixName::Abstract(name), None) => address::encode_unix(&UnixAddress::Abstract(name.clone())),
            (UnixName::Path(_), None) => Err(libc::EACCES),
        }
    }
}

/// Connects the child's socket to a Unix name.
pub(super) fn connect(context: &Context, call: &Call, socket: Socket, name: &UnixAddress) -> Result<Outcome, i32> {
    let found = Found::new(context, call, name)?;
    let wanted = found.name.clone();
    Ok(judged(context, call, &Access::Unix(&wanted), move |_permit, context, _| {
        if found.was_mistaken(context) {
            return Outcome::errno(libc::EACCES);
        }
        reach_unix(socket, found)
    }))
}

/// Holds what the caller's path leads to. Magic links are refused: those of `/proc/self` would be ours.
fn look_up(_context: &Context, call: &Call, path: &[u8]) -> Result<OwnedFd, i32> {
    let raw = rustix::io::Errno::raw_os_error;
    let cwd = format!("/proc/{}/cwd", call.tid);
    let base = rustix::fs::open(cwd, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, rustix::fs::Mode::empty()).map_err(raw)?;
    let path = CString::new(path).map_err(|_| libc::EINVAL)?;
    rustix::fs::openat2(base, path, OFlags::PATH | OFlags::CLOEXEC, rustix::fs::Mode::empty(), ResolveFlags::NO_MAGICLINKS).map_err(raw)
}

/// The path that a held inode has now.
fn real_path(inode: BorrowedFd<'_>) -> Result<PathBuf, i32> {
    let link = format!("/proc/self/fd/{}", inode.as_raw_fd());
    let path = rustix::fs::readlink(link, Vec::new()).map_err(rustix::io::Errno::raw_os_error)?;
    Ok(PathBuf::from(std::ffi::OsString::from_vec(path.into_bytes())))
}
