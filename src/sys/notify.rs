//! The supervisor's end of seccomp user notification. `man 2 seccomp_unotify`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Wake the supervised thread on the CPU of the supervisor (`SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`).
const SYNC_WAKE_UP: u64 = 1;
/// `SECCOMP_IOCTL_NOTIF_SET_FLAGS`, `_IOW('!', 4, __u64)`; absent from libc.
const SET_FLAGS: libc::c_ulong = 0x4008_2104;
/// `_IOWR('!', 0, struct seccomp_notif)`.
const RECV: libc::c_ulong = 0xc050_2100;
/// `_IOWR('!', 1, struct seccomp_notif_resp)`.
const SEND: libc::c_ulong = 0xc018_2101;
/// `_IOW('!', 2, __u64)`.
const ID_VALID: libc::c_ulong = 0x4008_2102;
/// `_IOW('!', 3, struct seccomp_notif_addfd)`.
const ADDFD: libc::c_ulong = 0x4018_2103;

/// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`, in the type of the field it goes into.
const CONTINUE: u32 = 1;
/// `SECCOMP_ADDFD_FLAG_SEND`, in the type of the field it goes into.
const ADDFD_SEND: u32 = 2;

/// One received notification: cookie, thread and registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    pub id: u64,
    pub tid: i32,
    pub nr: i64,
    pub args: [u64; 6],
}

/// `ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &notif)`: blocks until a call is trapped.
///
/// `ENOENT`: the caller died before it was received, or nobody uses the filter any more. `EINTR`:
/// a signal arrived here.
pub fn receive(listener: BorrowedFd<'_>) -> io::Result<Received> {
    let mut notif = libc::seccomp_notif {
        id: 0,
        pid: 0,
        flags: 0,
        data: libc::seccomp_data { nr: 0, arch: 0, instruction_pointer: 0, args: [0; 6] },
    };
    // SAFETY: notif is zeroed, as the kernel demands, and large enough for what RECV writes.
    let done = unsafe { libc::ioctl(listener.as_raw_fd(), RECV as _, &raw mut notif) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Received {
        id: notif.id,
        tid: i32::try_from(notif.pid).unwrap_or(0),
        nr: i64::from(notif.data.nr),
        args: notif.data.args,
    })
}

/// What a call is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Response {
    /// The kernel carries it out.
    Continue,
    Value(i64),
    /// Positive; the call returns `-errno`.
    Errno(i32),
}

/// `ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &resp)`. `ENOENT`: the caller is gone.
pub fn respond(listener: BorrowedFd<'_>, id: u64, response: Response) -> io::Result<()> {
    let (val, error, flags) = match response {
        Response::Continue => (0, 0, CONTINUE),
        Response::Value(value) => (value, 0, 0),
        Response::Errno(errno) => (0, -errno, 0),
    };
    let resp = libc::seccomp_notif_resp { id, val, error, flags };
    // SAFETY: the kernel copies resp before returning and keeps no pointer to it.
    let done = unsafe { libc::ioctl(listener.as_raw_fd(), SEND as _, &raw const resp) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// `ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id)`: does the call still wait?
pub fn is_waiting(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel reads the eight bytes of id and keeps no pointer to them.
    unsafe { libc::ioctl(listener.as_raw_fd(), ID_VALID as _, &raw const id) == 0 }
}

/// Close-on-exec of a descriptor that is installed in the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExec {
    Close,
    Keep,
}

/// `ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &addfd)` with `SECCOMP_ADDFD_FLAG_SEND`: installs `fd` at
/// the caller's lowest free number and returns that number from its call, in one step.
///
/// `EMFILE`: the caller's descriptor table is full; the call still waits.
pub fn respond_with_fd(listener: BorrowedFd<'_>, id: u64, fd: BorrowedFd<'_>, on_exec: OnExec) -> io::Result<()> {
    let addfd = libc::seccomp_notif_addfd {
        id,
        flags: ADDFD_SEND,
        srcfd: u32::try_from(fd.as_raw_fd()).unwrap_or(u32::MAX),
        newfd: 0,
        newfd_flags: if on_exec == OnExec::Close { libc::O_CLOEXEC as u32 } else { 0 },
    };
    // SAFETY: the kernel copies addfd before returning; fd is borrowed, hence open, for the call.
    let done = unsafe { libc::ioctl(listener.as_raw_fd(), ADDFD as _, &raw const addfd) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// `ioctl(fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)`, since Linux 6.6.
pub fn set_sync_wake_up(listener: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: SET_FLAGS takes its argument by value.
    let done = unsafe { libc::ioctl(listener.as_fd().as_raw_fd(), SET_FLAGS as _, SYNC_WAKE_UP) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
