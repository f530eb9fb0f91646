//! Signal masks, dispositions and the descriptor that reports signals.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd};

/// A signal mask.
#[derive(Clone, Copy)]
pub struct Mask(libc::sigset_t);

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mask")
    }
}

impl Mask {
    pub fn empty() -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigemptyset initialises the whole set.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            Self(set.assume_init())
        }
    }

    fn full() -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigfillset initialises the whole set.
        unsafe {
            libc::sigfillset(set.as_mut_ptr());
            Self(set.assume_init())
        }
    }
}

/// `pthread_sigmask(SIG_SETMASK, mask)` of this thread; the mask that it had. Async-signal-safe.
pub fn set_mask(mask: Mask) -> Mask {
    let mut old = Mask::empty();
    // SAFETY: both sets are initialised and live for the call. It fails only for an unknown `how`.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask.0, &raw mut old.0) };
    old
}

/// Blocks every signal in this thread; the mask that it had.
pub fn block_all() -> Mask {
    set_mask(Mask::full())
}

/// Signals whose disposition askance may have changed for itself: the default is what a program
/// finds that was started without it.
const OURS: [i32; 5] = [libc::SIGPIPE, libc::SIGCHLD, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

/// Gives each signal with a handler its default disposition, and `OURS`; what else is ignored
/// stays so (`nohup`). Async-signal-safe.
pub fn reset_dispositions() {
    for signal in 1..=libc::SIGRTMAX() {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: a zeroed sigaction is valid (SIG_DFL, no flags, empty mask); the kernel fills it
        // or, for a reserved signal, leaves it.
        unsafe {
            libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
            let mut action = action.assume_init();
            let ignored = action.sa_sigaction == libc::SIG_IGN;
            if OURS.contains(&signal) || (!ignored && action.sa_sigaction != libc::SIG_DFL) {
                action = std::mem::zeroed();
                libc::sigaction(signal, &raw const action, std::ptr::null_mut());
            }
        }
    }
}

/// Gives SIGCHLD its default disposition: where it is ignored, children end untold.
pub fn tell_of_children() {
    // SAFETY: the default disposition runs nothing of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// A descriptor that is readable while SIGCHLD is pending, which must be blocked. Async-signal-safe.
/// `man 2 signalfd`.
pub fn child_signal_fd() -> io::Result<OwnedFd> {
    let mut set = Mask::empty();
    // SAFETY: set is initialised; the kernel copies it.
    let fd = unsafe {
        libc::sigaddset(&raw mut set.0, libc::SIGCHLD);
        libc::signalfd(-1, &raw const set.0, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
