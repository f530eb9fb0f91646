//! A call's arguments, copied once, and its caller as resolution sees it.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use super::errno::Errno;
use super::held::Held;
use super::resolve::{Entry, Landing, Last, Origin, Viewer, entry, object, resolve};
use crate::supervisor::{Call, Caller, Context, PathBuffer};

/// The calling thread of one call.
pub(crate) struct View<'a> {
    context: &'a Context,
    pub(super) caller: Arc<Caller>,
}

impl std::fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.caller.fmt(f)
    }
}

impl<'a> View<'a> {
    pub(crate) fn new(context: &'a Context, call: &Call) -> Result<Self, Errno> {
        Ok(Self { context, caller: context.caller(call)? })
    }
}

impl Viewer for View<'_> {
    fn tid(&self) -> i32 {
        self.caller.tid
    }

    fn tgid(&self) -> i32 {
        self.caller.tgid
    }

    fn in_run(&self, pid: i32) -> bool {
        pid == self.caller.tgid || self.context.tree().contains(pid)
    }

    fn descriptor(&self, number: i32) -> Option<OwnedFd> {
        self.caller.take_fd(number).ok()
    }
}

/// A path argument with the directory that it starts at: the child's memory and descriptor table
/// are not looked at again.
#[derive(Debug)]
pub(crate) struct Spelled {
    path: CString,
    origin: Origin,
}

impl Spelled {
    /// Copies the path at `address`, relative to the caller's `dirfd`.
    pub(crate) fn read(call: &Call, dirfd: u64, address: u64) -> Result<Self, Errno> {
        let mut buffer = PathBuffer::new();
        call.read_path(address, &mut buffer)?;
        Self::take(call, dirfd, &buffer, 0)
    }

    /// The path in `buffer`, with `openat2`'s `resolve` flags.
    pub(super) fn take(call: &Call, dirfd: u64, buffer: &PathBuffer, resolve: u64) -> Result<Self, Errno> {
        let scoped = resolve & (libc::RESOLVE_BENEATH | libc::RESOLVE_IN_ROOT) != 0;
        let absolute = buffer.bytes().starts_with(b"/");
        let base = if absolute && !scoped { None } else { Some(base(call, int(dirfd))?) };
        Ok(Self { path: buffer.with_nul().to_owned(), origin: Origin { base, resolve } })
    }

    /// Two paths; a directory that both start at is looked up once.
    pub(super) fn take_two(
        call: &Call,
        old: (u64, &PathBuffer),
        new: (u64, &PathBuffer),
    ) -> Result<(Self, Self), Errno> {
        let first = Self::take(call, old.0, old.1, 0)?;
        let relative = !new.1.bytes().starts_with(b"/");
        let second = match &first.origin.base {
            Some(base) if relative && int(old.0) == int(new.0) => {
                let origin = Origin { base: Some(base.try_clone()?), resolve: 0 };
                Self { path: new.1.with_nul().to_owned(), origin }
            }
            _ => Self::take(call, new.0, new.1, 0)?,
        };
        Ok((first, second))
    }

    /// No path at all: `dirfd` itself.
    pub(super) fn empty(call: &Call, dirfd: u64) -> Result<Self, Errno> {
        Self::take(call, dirfd, &PathBuffer::new(), 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.path.is_empty()
    }

    pub(crate) fn object(&self, viewer: &dyn Viewer, last: Last) -> Result<Held, Errno> {
        object(viewer, &self.origin, &self.path, last)
    }

    pub(super) fn landing(&self, viewer: &dyn Viewer, last: Last) -> Result<Landing, Errno> {
        resolve(viewer, &self.origin, &self.path, last)
    }

    pub(crate) fn entry(&self, viewer: &dyn Viewer) -> Result<Option<Entry>, Errno> {
        entry(viewer, &self.origin, &self.path)
    }

    /// The directory descriptor itself, for `AT_EMPTY_PATH` with an empty path.
    pub(super) fn base_object(&self) -> Result<Held, Errno> {
        let base = self.origin.base.as_ref().ok_or(Errno(libc::EBADF))?;
        Held::new(base.try_clone()?)
    }
}

/// The object that `dirfd` of the caller holds now, pinned; its working directory for `AT_FDCWD`.
fn base(call: &Call, dirfd: i32) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let tid = call.tid;
    if dirfd == libc::AT_FDCWD {
        return Ok(rustix::fs::open(format!("/proc/{tid}/cwd"), flags, Mode::empty())?);
    }
    if dirfd < 0 {
        return Err(Errno(libc::EBADF));
    }
    match rustix::fs::open(format!("/proc/{tid}/fd/{dirfd}"), flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => Err(Errno(libc::EBADF)),
        other => Ok(other?),
    }
}

/// A register that the kernel reads as an `int`: its high half does not count.
pub(super) fn int(register: u64) -> i32 {
    low(register).cast_signed()
}

/// The low half of a register.
pub(super) fn low(register: u64) -> u32 {
    (register & 0xffff_ffff) as u32
}
