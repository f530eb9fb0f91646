//! Unix sockets by name: the inode that a path leads to, or the holder of an abstract name.
//!
//! Owns what is judged before a Unix socket is reached and the address that leads to just that
//! inode. Sockets that the run bound itself are free. Where nobody could answer, nobody is asked.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};

use super::address::{self, UnixAddress};
use super::connect::reach_unix;
use super::judged;
use super::name::Naming;
use super::own::{self, Holder};
use super::socket::{Socket, errno};
use crate::policy::{Access, Change, Facts, UnixName};
use crate::supervisor::files::names::{self, AtEnd, NewName};
use crate::supervisor::{Call, Context, Outcome, Reply};
use crate::sys::{files, socket};

/// The length of an address without a name.
const UNNAMED: usize = 2;

/// How often a name's directory may move before the program is told to try again.
const MOVES_MAX: u32 = 32;

/// A name that was resolved: what is judged, and what is acted on.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: UnixName,
    /// The socket's inode, where it has one.
    inode: Option<OwnedFd>,
    /// The inode is one that the run bound.
    is_own: bool,
}

impl Found {
    /// Resolves `address` as the kernel would for this caller, up to the errors that need no judgement.
    pub(super) fn new(context: &Context, call: &Call, address: &UnixAddress) -> Result<Self, i32> {
        match address {
            UnixAddress::Unnamed => Err(libc::EINVAL),
            UnixAddress::Abstract(name) if own::abstract_name_is_held(name) => {
                Ok(Self { name: UnixName::Abstract(name.clone()), inode: None, is_own: false })
            }
            UnixAddress::Abstract(_) => Err(libc::ECONNREFUSED),
            UnixAddress::Path(path) => {
                let reached = names::reach(context, call, path, AtEnd::Follow)?;
                files::access(reached.fd.as_fd(), libc::W_OK).map_err(errno)?;
                let is_socket = FileType::from_raw_mode(reached.stat.st_mode) == FileType::Socket;
                let holder = context.facts().sockets().holder(reached.fd.as_fd());
                if !is_socket || holder == Holder::Nobody {
                    return Err(libc::ECONNREFUSED);
                }
                let path = reached.path.ok_or(libc::ECONNREFUSED)?;
                Ok(Self { name: UnixName::Path(path), inode: Some(reached.fd), is_own: holder == Holder::Own })
            }
        }
    }

    /// Was it judged as the run's own by a path that leads elsewhere?
    pub(super) fn was_mistaken(&self, context: &Context) -> bool {
        self.inode.is_some() && !self.is_own && context.facts().socket_born_in_run(&self.name)
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

/// Binds a Unix socket: a name of the kernel's choice, an abstract name, or one in the file system,
/// which is a file that is made.
pub(super) fn bind(context: &Context, call: &Call, socket: Socket, name: UnixAddress) -> Result<Outcome, i32> {
    match name {
        UnixAddress::Unnamed | UnixAddress::Abstract(_) => {
            socket::bind(socket.fd(), &address::encode_unix(&name)?).map_err(errno)?;
            if let Some(cookie) = socket.cookie() {
                context.facts().sockets().record_abstract(cookie);
            }
            Ok(Outcome::Reply(Reply::Value(0)))
        }
        UnixAddress::Path(path) => bind_path(context, call, socket, path, MOVES_MAX),
    }
}

fn bind_path(context: &Context, call: &Call, socket: Socket, path: Vec<u8>, tries: u32) -> Result<Outcome, i32> {
    if socket::local_address(socket.fd()).map_err(errno)?.len() > UNNAMED {
        return Err(libc::EINVAL);
    }
    let new = NewName::find(context, call, &path).map_err(|errno| match errno {
        libc::EEXIST => libc::EADDRINUSE,
        other => other,
    })?;
    let judged_path = new.path().to_owned();
    let access = Access::Write(&judged_path, Change::Create);
    Ok(judged(context, call, &access, move |_permit, _, _| {
        Outcome::Apart(Box::new(move |context, call| match make(context, call, &socket, &path, &new) {
            Ok(true) => Outcome::Reply(Reply::Value(0)),
            Ok(false) if tries == 0 => Outcome::errno(libc::EAGAIN),
            Ok(false) => bind_path(context, call, socket, path, tries - 1).unwrap_or_else(Outcome::errno),
            Err(errno) => Outcome::errno(errno),
        }))
    }))
}

/// `false`: what was judged is not where the name would be made now.
fn make(context: &Context, call: &Call, socket: &Socket, path: &[u8], new: &NewName) -> Result<bool, i32> {
    let caller = context.caller(call)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let start = rustix::fs::open(format!("/proc/{}/cwd", call.tid), flags, Mode::empty());
    let naming = Naming {
        socket: socket.fd(),
        path,
        directory: new.directory(),
        name: new.name(),
        start: start.map_err(rustix::io::Errno::raw_os_error)?,
        umask: caller.umask(),
    };
    if !context.still_waiting(call) {
        return Err(libc::EINTR);
    }
    let Some(made) = new.make(context, || naming.bind()) else {
        return Ok(false);
    };
    let inode = made?;
    if let Some(cookie) = socket.cookie() {
        context.facts().sockets().record_inode(cookie, inode.as_fd());
    }
    Ok(true)
}
