//! Forking and what runs between fork and exec.
//!
//! Everything here that a forked child calls is async-signal-safe: a child of a threaded process
//! may find any lock held, so it allocates nothing and calls the kernel alone.

use std::cell::UnsafeCell;
use std::convert::Infallible;
use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_getfd, fcntl_setfd};

use super::shared::Shared;

/// A child and the descriptor that names it even after its number is reused.
#[derive(Debug)]
pub struct Forked {
    pub pid: i32,
    pub pidfd: OwnedFd,
}

fn clone(flags: libc::c_int, pidfd: *mut libc::c_int) -> io::Result<i32> {
    let nothing = std::ptr::null_mut::<libc::c_void>();
    let flags = libc::c_long::from(flags | libc::SIGCHLD);
    // SAFETY: no CLONE_VM, so a null stack means a copy of ours, as fork(2) does; the third
    // argument is read by the kernel only with CLONE_PIDFD, and then points to an int.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, nothing, pidfd, nothing, nothing) };
    if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(i32::try_from(pid).unwrap_or(-1)) }
}

/// Ends the process when it is dropped, which is when a child unwinds: what lies below it on the
/// stack is its parent's to run.
struct NeverUnwind;

impl Drop for NeverUnwind {
    fn drop(&mut self) {
        exit_now(125);
    }
}

fn run(child: impl FnOnce() -> Infallible) -> ! {
    let _guard = NeverUnwind;
    match child() {}
}

/// `clone(CLONE_PIDFD | SIGCHLD)`: runs `child` in a copy of this process and never returns there.
/// `child` must be async-signal-safe; where it panics, it ends. `man 2 clone`.
pub fn fork_with_pidfd(child: impl FnOnce() -> Infallible) -> io::Result<Forked> {
    let mut pidfd: libc::c_int = -1;
    let pid = clone(libc::CLONE_PIDFD, &raw mut pidfd)?;
    if pid == 0 {
        run(child);
    }
    // SAFETY: with CLONE_PIDFD the kernel made this descriptor for the parent.
    Ok(Forked { pid, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } })
}

/// `clone(CLONE_FILES | SIGCHLD)`: as [`fork_with_pidfd`], with one descriptor table for both.
#[cfg(test)]
pub fn fork_sharing_descriptors(child: impl FnOnce() -> Infallible) -> io::Result<i32> {
    let pid = clone(libc::CLONE_FILES, std::ptr::null_mut())?;
    if pid == 0 {
        run(child);
    }
    Ok(pid)
}

/// What a child that shares its parent's memory runs on until it executes something else.
#[derive(Debug)]
pub struct ChildStack(Box<[MaybeUninit<UnsafeCell<u128>>]>);

impl Default for ChildStack {
    fn default() -> Self {
        // Less than what the heap maps apart.
        const BYTES: usize = 64 * 1024;
        Self(Box::new_uninit_slice(BYTES / size_of::<u128>()))
    }
}

/// What lies at the foot of a child's stack: where it begins.
struct Start<'a, T> {
    child: fn(&T) -> Infallible,
    plan: &'a T,
}

/// `clone(CLONE_VM | CLONE_FILES | SIGCHLD)`: as [`fork_with_pidfd`], with one memory and one
/// descriptor table for both, until the child executes a program: nothing is copied for a copy's sake.
///
/// The caller goes on in `parent`, which never returns: what the child uses stays where it is. Both
/// have one errno: what runs in `parent` until the child's exec reads none.
pub fn fork_sharing_memory<T: Sync>(
    stack: &ChildStack,
    plan: &T,
    child: fn(&T) -> Infallible,
    parent: impl FnOnce(io::Result<i32>) -> Infallible,
) -> Infallible {
    extern "C" fn begin<T>(start: *mut libc::c_void) -> libc::c_int {
        // SAFETY: the parent wrote it before the clone, and it lives as long as the parent.
        let start: Start<'_, T> = unsafe { start.cast::<Start<'_, T>>().read() };
        run(|| (start.child)(start.plan))
    }
    let foot = stack.0.as_ptr().cast_mut();
    let flags = libc::CLONE_VM | libc::CLONE_FILES | libc::SIGCHLD;
    // SAFETY: the stack is a child's alone, aligned for a `Start` and for a stack's end, and larger
    // than both; plan and stack outlive the child's use of them because `parent` never returns.
    let pid = unsafe {
        foot.cast::<Start<'_, T>>().write(Start { child, plan });
        libc::clone(begin::<T>, foot.add(stack.0.len()).cast(), flags, foot.cast())
    };
    parent(if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid) })
}

/// `_exit(status)`.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit runs no handlers and cannot return.
    unsafe { libc::_exit(status) }
}

/// What becomes of a range of descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    Close,
    /// The process gets a table of its own, where the range is close-on-exec.
    UnshareAndCloseOnExec,
}

/// `close_range(first, last, flags)`, both ends included. `man 2 close_range`.
pub fn close_range(first: RawFd, last: RawFd, what: Range) -> io::Result<()> {
    if first > last {
        return Ok(());
    }
    let flags = match what {
        Range::Close => 0,
        Range::UnshareAndCloseOnExec => libc::CLOSE_RANGE_UNSHARE | libc::CLOSE_RANGE_CLOEXEC,
    };
    // SAFETY: the call takes numbers only. That the descriptors closed belong to nobody is the
    // forked child's business: it never returns to code that owns one.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Closes all descriptors from `first` on but the ones in `keep`, which is sorted.
pub fn close_all_but(first: RawFd, keep: &[RawFd]) -> io::Result<()> {
    let mut next = first;
    for kept in keep.iter().copied().filter(|kept| *kept >= first) {
        close_range(next, kept - 1, Range::Close)?;
        next = kept + 1;
    }
    close_range(next, RawFd::MAX, Range::Close)
}

/// `dup2(fd, number)`: the copy stays open across exec.
pub fn copy_to_number(fd: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    // SAFETY: dup2 takes numbers only; the caller says that `number` is free to be replaced.
    let done = unsafe { libc::dup2(fd.as_raw_fd(), number) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A descriptor by its number, for a child that knows it is open.
pub fn borrow(number: RawFd) -> BorrowedFd<'static> {
    // SAFETY: used in a forked child, for a number that it inherited or was just given by the
    // kernel and closes only by close_range at its end; it is not -1.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// A descriptor that the caller of this program passed. Askance's own are close-on-exec, an inherited one is not.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    if number < 3 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a standard stream, which is the command's"));
    }
    let fd = borrow(number);
    if fcntl_getfd(fd)?.contains(FdFlags::CLOEXEC) {
        return Err(rustix::io::Errno::BADF.into());
    }
    fcntl_setfd(fd, FdFlags::CLOEXEC)?;
    Ok(fcntl_dupfd_cloexec(fd, 3)?)
}

/// `kill(-1, signal)`: every process that this one may signal, but itself.
///
/// Only for a process whose Landlock domain scopes signals.
pub fn signal_all_in_scope(signal: i32) -> io::Result<()> {
    // SAFETY: kill takes numbers only.
    let done = unsafe { libc::kill(-1, signal) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A null-terminated array of C strings, as `execve` takes it.
#[derive(Debug, Clone, Copy)]
pub struct StringArray(&'static [Word]);

#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
struct Word(*const libc::c_char);

// SAFETY: it leads to a string that nobody writes.
unsafe impl Sync for Word {}

// SAFETY: as above.
unsafe impl Send for Word {}

impl StringArray {
    /// Puts it where a fork finds it.
    pub fn put<T: Copy + 'static>(
        shared: &mut Shared<T>,
        strings: impl IntoIterator<Item = impl AsRef<CStr>>,
    ) -> io::Result<Self> {
        let mut words = Vec::new();
        for string in strings {
            words.push(Word(shared.put_string(string.as_ref())?.as_ptr()));
        }
        words.push(Word(std::ptr::null()));
        Ok(Self(shared.put(&words)?))
    }

    /// These strings in the place of the first one.
    pub fn led_by<T: Copy + 'static>(self, strings: &[&'static CStr], shared: &mut Shared<T>) -> io::Result<Self> {
        let mut words: Vec<Word> = strings.iter().map(|string| Word(string.as_ptr())).collect();
        // Nothing leads an array without a first one; its end stays.
        words.extend_from_slice(&self.0[self.0.len().min(2) - 1..]);
        Ok(Self(shared.put(&words)?))
    }
}

/// `execve(path, argv, envp)`: returns only the error.
pub fn execute(path: &CStr, argv: &StringArray, envp: &StringArray) -> io::Error {
    // SAFETY: both arrays are laid out as C's, end with a null pointer, and lead to strings that stay.
    unsafe { libc::execve(path.as_ptr(), argv.0.as_ptr().cast(), envp.0.as_ptr().cast()) };
    io::Error::last_os_error()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::process::{WaitId, WaitIdOptions};

    use super::*;

    #[test]
    fn a_child_that_unwinds_ends_there() {
        let parent = std::process::id();
        let child = fork_with_pidfd(|| std::panic::resume_unwind(Box::new(())));
        // In a child that came back here everything below would run twice.
        assert_eq!(std::process::id(), parent);
        let ended = rustix::process::waitid(WaitId::PidFd(child.unwrap().pidfd.as_fd()), WaitIdOptions::EXITED);
        assert_eq!(ended.unwrap().unwrap().exit_status(), Some(125));
    }
}
