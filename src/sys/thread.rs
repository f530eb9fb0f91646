//! This process's threads: what a broker thread needs of its own.

use std::cell::Cell;
use std::io;
use std::os::unix::thread::JoinHandleExt;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

thread_local! {
    /// Has this thread an umask and a working directory of its own?
    static SEPARATE: Cell<bool> = const { Cell::new(false) };
}

/// Held while a thread has changed what all threads share.
static SHARED: Mutex<()> = Mutex::new(());

/// `unshare(CLONE_FS)`: gives the calling thread an umask and a working directory of its own. A
/// container's filter may forbid that; then [`with_umask`] has one thread act at a time.
pub fn unshare_fs() {
    // SAFETY: CLONE_FS affects only the calling thread's file system attributes.
    let done = unsafe { libc::unshare(libc::CLONE_FS) };
    SEPARATE.set(done == 0);
}

/// Runs `act`, which must not block, with `umask(mask)`. Where threads share what it changes, no other
/// thread acts meanwhile; a working directory that `act` changes it has to put back.
pub fn with_umask<T>(mask: u32, act: impl FnOnce() -> T) -> T {
    if SEPARATE.get() {
        set_umask(mask);
        return act();
    }
    let _alone = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let _before = Restored(set_umask(mask));
    act()
}

/// An umask that is put back, also where the act panics.
struct Restored(u32);

impl Drop for Restored {
    fn drop(&mut self) {
        set_umask(self.0);
    }
}

fn set_umask(mask: u32) -> u32 {
    // SAFETY: umask cannot fail and touches no memory.
    unsafe { libc::umask(mask as libc::mode_t) }
}

/// `gettid()`.
pub fn id() -> i32 {
    // SAFETY: gettid cannot fail and touches no memory.
    unsafe { libc::gettid() }
}

/// `pthread_setaffinity_np(thread, …)`: has a thread run on these processors alone. Where that may not be, it
/// stays where it is.
pub fn restrict_to<T>(thread: &JoinHandle<T>, processors: impl Iterator<Item = usize>) {
    // SAFETY: an all-zero cpu_set_t is an empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    let most = size_of::<libc::cpu_set_t>() * 8;
    for processor in processors.filter(|processor| *processor < most) {
        // SAFETY: set is ours, and the number lies within it.
        unsafe { libc::CPU_SET(processor, &mut set) };
    }
    // A number for some C libraries, a pointer for others.
    #[allow(clippy::unnecessary_cast)]
    let thread = thread.as_pthread_t() as libc::pthread_t;
    // SAFETY: the thread is neither joined nor detached while its handle is borrowed; the call only reads set.
    unsafe { libc::pthread_setaffinity_np(thread, size_of_val(&set), &raw const set) };
}

/// The signal that interrupts a broker thread's blocking call; its handler does nothing.
fn interrupt_signal() -> i32 {
    libc::SIGRTMIN() + 5
}

/// Installs the do-nothing handler, without `SA_RESTART`, for [`interrupt`]. Once a process.
pub fn prepare_interrupts() -> io::Result<()> {
    extern "C" fn nothing(_signal: i32) {}
    // SAFETY: all-zero is a valid sigaction; its fields are set below.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(i32) as libc::sighandler_t;
    // SAFETY: action is initialised and the handler is async-signal-safe: it does nothing.
    let done = unsafe { libc::sigaction(interrupt_signal(), &raw const action, std::ptr::null_mut()) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Runs `act` so that [`interrupt`] reaches it, and nothing of the calling thread before or after:
/// an `SECCOMP_IOCTL_NOTIF_ADDFD` that both installs and replies, interrupted, would make the caller's
/// `open` return 0 with nothing installed. See `man 3 pthread_sigmask`.
pub fn interruptible<T>(act: impl FnOnce() -> T) -> T {
    // What was sent too late for the act before this one is taken here.
    change_interrupts(libc::SIG_UNBLOCK);
    let result = act();
    change_interrupts(libc::SIG_BLOCK);
    result
}

/// Lets [`interrupt`] reach the calling thread.
pub fn allow_interrupts() {
    change_interrupts(libc::SIG_UNBLOCK);
}

/// Keeps [`interrupt`] from the calling thread until it runs something [`interruptible`].
pub fn block_interrupts() {
    change_interrupts(libc::SIG_BLOCK);
}

fn change_interrupts(how: i32) {
    // SAFETY: an all-zero sigset_t is valid storage, and sigemptyset initialises it.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: set is ours and lives through the calls; the old mask is not asked for.
    unsafe {
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, interrupt_signal());
        libc::pthread_sigmask(how, &raw const set, std::ptr::null_mut());
    }
}

/// `tgkill(getpid(), tid, …)`: makes a blocking call of our thread `tid` return `EINTR`.
pub fn interrupt(tid: i32) {
    // SAFETY: tgkill touches no memory; a thread that is gone is an error we do not need.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, interrupt_signal()) };
}
