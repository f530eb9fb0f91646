//! Signals as bytes in a pipe, so that a thread can wait for them together with descriptors.
//!
//! `sigaction(2)` with a handler that does nothing but `write(2)` (`signal-safety(7)`). A mask and
//! a `signalfd` would be inherited by the command; a caught signal is reset by `execve`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal};

/// How many can watch at once: the relay, the terminal, the run, and room.
const WATCHERS: usize = 8;

/// A watcher's place. Its pipe is made once and kept for good: a handler on another thread may
/// hold the number at any time, so it must never become another file.
struct Place {
    /// Bit n = signal n is wanted; 0 = nobody watches here.
    wanted: AtomicU64,
    read: AtomicI32,
    write: AtomicI32,
}

static PLACES: [Place; WATCHERS] =
    [const { Place { wanted: AtomicU64::new(0), read: AtomicI32::new(-1), write: AtomicI32::new(-1) } }; WATCHERS];

/// The process that catches: a fork inherits handlers and pipes until it execs, and stays silent.
static OWNER: AtomicI32 = AtomicI32::new(0);

extern "C" fn note(signal: libc::c_int) {
    // SAFETY: getpid and __errno_location are async-signal-safe and cannot fail.
    let (own, errno) = unsafe { (libc::getpid(), *libc::__errno_location()) };
    if own != OWNER.load(Ordering::Relaxed) {
        return;
    }
    let byte = signal.to_le_bytes()[0];
    for place in &PLACES {
        if place.wanted.load(Ordering::Acquire) & bit(signal) != 0 {
            let fd = place.write.load(Ordering::Relaxed);
            // SAFETY: one byte of this frame; the pipe is never closed. A full pipe already wakes its reader.
            unsafe { libc::write(fd, (&raw const byte).cast(), 1) };
        }
    }
    // SAFETY: as above; the interrupted code must not see this handler's errno.
    unsafe { *libc::__errno_location() = errno };
}

fn bit(signal: libc::c_int) -> u64 {
    1 << (signal & 63)
}

/// Caught signals of one watcher. Dropping it stops the watching; the handler stays.
#[derive(Debug)]
pub struct Signals {
    place: usize,
}

impl Signals {
    /// Catches `signals` for this watcher. One that is ignored (as by `nohup`) stays ignored.
    pub fn catch(signals: &[Signal]) -> io::Result<Self> {
        // SAFETY: getpid cannot fail.
        OWNER.store(unsafe { libc::getpid() }, Ordering::Relaxed);
        let wanted = signals.iter().fold(0, |mask, &signal| mask | bit(signal as libc::c_int));
        let place = PLACES
            .iter()
            .position(|place| place.wanted.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).is_ok())
            .ok_or(io::ErrorKind::ResourceBusy)?;
        let watcher = Self { place };
        if PLACES[place].write.load(Ordering::Relaxed) < 0 {
            let (read, write) =
                rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK)?;
            PLACES[place].read.store(read.into_raw_fd(), Ordering::Relaxed);
            PLACES[place].write.store(write.into_raw_fd(), Ordering::Relaxed);
        }
        PLACES[place].wanted.store(wanted, Ordering::Release);
        watcher.drain();
        for &signal in signals {
            if disposition(signal)? != Disposition::Ignored {
                install(signal)?;
            }
        }
        Ok(watcher)
    }

    /// What came since the last call, each signal once.
    pub fn drain(&self) -> Vec<Signal> {
        let mut seen = Vec::new();
        let mut bytes = [0; 64];
        while let Ok(length @ 1..) = rustix::io::read(self.as_fd(), &mut bytes) {
            for &byte in &bytes[..length] {
                match Signal::try_from(libc::c_int::from(byte)) {
                    Ok(signal) if !seen.contains(&signal) => seen.push(signal),
                    _ => {}
                }
            }
        }
        seen
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let fd: RawFd = PLACES[self.place].read.load(Ordering::Relaxed);
        // SAFETY: `catch` made the pipe before handing out this value, and it is never closed.
        unsafe { BorrowedFd::borrow_raw(fd) }
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        PLACES[self.place].wanted.store(0, Ordering::Release);
    }
}

/// Sends `signal` to the handler above.
fn install(signal: Signal) -> io::Result<()> {
    let action = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: `note` only does what is async-signal-safe.
    unsafe { nix::sys::signal::sigaction(signal, &action) }?;
    Ok(())
}

/// What happens on a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disposition {
    Default,
    Ignored,
    Caught,
}

/// What happens on `signal` now: `sigaction(2)` with no new action.
pub(super) fn disposition(signal: Signal) -> io::Result<Disposition> {
    let mut current = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a null new action changes nothing, and the kernel fills `current` before returning 0.
    let current = unsafe {
        nix::errno::Errno::result(libc::sigaction(signal as libc::c_int, std::ptr::null(), current.as_mut_ptr()))?;
        current.assume_init()
    };
    Ok(match current.sa_sigaction {
        libc::SIG_DFL => Disposition::Default,
        libc::SIG_IGN => Disposition::Ignored,
        _ => Disposition::Caught,
    })
}

/// Keeps the signals of terminal job control from stopping this thread: as a background process it
/// then reads `EIO` instead of being stopped, and may write and set modes.
pub fn block_terminal_stops() -> io::Result<()> {
    let mut stops = SigSet::empty();
    stops.add(Signal::SIGTTIN);
    stops.add(Signal::SIGTTOU);
    stops.thread_block()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_watcher_sees_the_signals_it_asked_for() {
        let one = Signals::catch(&[Signal::SIGWINCH]).unwrap();
        let both = Signals::catch(&[Signal::SIGWINCH, Signal::SIGURG]).unwrap();
        nix::sys::signal::raise(Signal::SIGWINCH).unwrap();
        nix::sys::signal::raise(Signal::SIGURG).unwrap();
        assert_eq!(one.drain(), [Signal::SIGWINCH]);
        assert_eq!(both.drain(), [Signal::SIGWINCH, Signal::SIGURG]);
        assert!(one.drain().is_empty());
    }
}
