//! Processes and threads held by descriptor, so that a number reused names nobody else.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `PIDFD_THREAD`, since Linux 6.9.
const THREAD: libc::c_uint = libc::O_EXCL as libc::c_uint;

fn open(pid: i32, flags: libc::c_uint) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes numbers only.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, flags) };
    let Ok(fd) = i32::try_from(fd) else { return Err(io::Error::from_raw_os_error(libc::EBADF)) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `pidfd_open(pid, 0)` of a process.
pub fn open_process(pid: i32) -> io::Result<OwnedFd> {
    open(pid, 0)
}

/// `pidfd_open(tid, PIDFD_THREAD)` of one thread; `EINVAL` before Linux 6.9.
pub fn open_thread(tid: i32) -> io::Result<OwnedFd> {
    open(tid, THREAD)
}

/// `pidfd_getfd(pidfd, fd, 0)`: our own descriptor for the open file that the process calls `fd`.
pub fn take_fd(pidfd: BorrowedFd<'_>, fd: i32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_getfd takes numbers only.
    let taken = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), fd, 0) };
    let Ok(taken) = i32::try_from(taken) else { return Err(io::Error::from_raw_os_error(libc::EBADF)) };
    if taken < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(taken) })
}

/// `pidfd_send_signal(pidfd, signal, NULL, 0)`; signal 0 asks whether it still lives.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo is allowed and means kill(2)'s.
    let done = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, none, 0) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Does the process or thread behind `pidfd` still live (a zombie counts until it is reaped)?
pub fn is_alive(pidfd: BorrowedFd<'_>) -> bool {
    send_signal(pidfd, 0).is_ok()
}
