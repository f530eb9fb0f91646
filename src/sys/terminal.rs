//! The real terminal: modes, size, foreground, and giving it back whatever happens.
//!
//! `termios(3)`, `tcgetpgrp(3)`, `credentials(7)`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Mutex, Once};
use std::time::Duration;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::termios::{
    OptionalActions, OutputModes, QueueSelector, Termios, Winsize, tcflush, tcgetattr, tcgetpgrp, tcgetsid,
    tcgetwinsize, tcsetattr,
};

use super::signals::{Disposition, Signals, disposition};

/// What the terminal does to output while its input is raw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Newlines still return the carriage: others write to this terminal too.
    Processed,
    /// Bytes pass as they are: they have been through a terminal's output processing before.
    Raw,
}

/// A terminal that a person sits at. Dropping it gives back the modes that it had.
#[derive(Debug)]
pub struct Tty {
    fd: OwnedFd,
    raw: Mutex<Option<Output>>,
}

impl Tty {
    /// The controlling terminal, opened anew: `ENXIO` where there is none.
    pub fn controlling() -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        Ok(Self::new(rustix::fs::open("/dev/tty", flags, Mode::empty())?))
    }

    /// The terminal behind a descriptor, opened anew so that what is set here (non-blocking) is not
    /// shared with whoever else holds it; as it is where it is another user's.
    pub fn reopen(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let fd = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(opened) => opened,
            Err(rustix::io::Errno::ACCESS) => fd.try_clone_to_owned()?,
            Err(error) => return Err(error.into()),
        };
        Ok(Self::new(fd))
    }

    fn new(fd: OwnedFd) -> Self {
        Self { fd, raw: Mutex::new(None) }
    }

    pub fn modes(&self) -> io::Result<Termios> {
        Ok(tcgetattr(&self.fd)?)
    }

    pub fn size(&self) -> io::Result<Winsize> {
        Ok(tcgetwinsize(&self.fd)?)
    }

    /// May this process read it? An error where the terminal is gone. A terminal that is not the
    /// controlling one knows no background.
    pub fn is_foreground(&self) -> io::Result<bool> {
        in_foreground(self.as_fd())
    }

    /// Throws away what was typed and not read.
    pub fn flush_input(&self) -> io::Result<()> {
        Ok(tcflush(&self.fd, QueueSelector::IFlush)?)
    }

    /// Sets raw input; keys arrive one by one, unechoed, and make no signals. Does nothing but set
    /// the same modes again where it was raw already.
    pub fn make_raw(&self, output: Output) -> io::Result<()> {
        let mut raw = self.raw.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut modes = tcgetattr(&self.fd)?;
        if raw.is_none() {
            LastResort::arm(&self.fd, modes.clone())?;
        }
        modes.make_raw();
        if output == Output::Processed {
            modes.output_modes.insert(OutputModes::OPOST | OutputModes::ONLCR);
        }
        tcsetattr(&self.fd, OptionalActions::Now, &modes)?;
        *raw = Some(output);
        Ok(())
    }

    /// Gives back the modes from before [`Tty::make_raw`].
    pub fn restore(&self) {
        let mut raw = self.raw.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if raw.take().is_some() {
            LastResort::disarm();
        }
    }

    /// `Some` while the input is raw.
    pub fn raw(&self) -> Option<Output> {
        *self.raw.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Writes it all, waiting where the terminal does not keep up.
    pub fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match rustix::io::write(&self.fd, bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(rustix::io::Errno::AGAIN) => {
                    poll(&mut [PollFd::new(&self.fd, PollFlags::OUT)], None)?;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl AsFd for Tty {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        self.restore();
    }
}

/// Async-signal-safe: nothing but system calls.
fn in_foreground(fd: BorrowedFd<'_>) -> io::Result<bool> {
    match tcgetpgrp(fd) {
        Ok(group) => Ok(group == rustix::process::getpgrp()),
        Err(rustix::io::Errno::NOTTY) if tcgetattr(fd).is_ok() => Ok(true),
        // The foreground group belongs to another PID namespace: it is not this one.
        Err(rustix::io::Errno::OPNOTSUPP) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Is `fd` the controlling terminal of this session?
pub fn is_controlling(fd: BorrowedFd<'_>) -> bool {
    matches!((tcgetsid(fd), rustix::process::getsid(None)), (Ok(session), Ok(own)) if session == own)
}

/// Set while this process stops its own job.
static STOPPING: AtomicBool = AtomicBool::new(false);

/// Is a `SIGTSTP` that arrives now this process's own, of [`stop_job`]?
pub fn is_stopping_job() -> bool {
    STOPPING.load(Ordering::Acquire)
}

/// Stops this job as `Ctrl-Z` does, and returns once it is continued (or at once where nothing could
/// continue it: the kernel does not stop an orphaned process group). `resumed` watches `SIGCONT`.
pub fn stop_job(resumed: &Signals) -> io::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    let previous = disposition(Signal::SIGTSTP)?;
    // SAFETY: the default action runs no code of ours.
    let handler = unsafe { nix::sys::signal::sigaction(Signal::SIGTSTP, &default) }?;
    STOPPING.store(true, Ordering::Release);
    resumed.drain();
    let result = stop_group(resumed);
    STOPPING.store(false, Ordering::Release);
    if previous != Disposition::Default {
        // SAFETY: puts back what was there.
        unsafe { nix::sys::signal::sigaction(Signal::SIGTSTP, &handler) }?;
    }
    result
}

fn stop_group(resumed: &Signals) -> io::Result<()> {
    let came_back = |patience_ms: u64| {
        let patience = rustix::time::Timespec::try_from(Duration::from_millis(patience_ms)).ok();
        loop {
            // The handler that writes the byte may be what interrupts.
            match poll(&mut [PollFd::new(resumed, PollFlags::IN)], patience.as_ref()) {
                Err(rustix::io::Errno::INTR) => {}
                result => return matches!(result, Ok(1..)),
            }
        }
    };
    // A run keeps job-control signals blocked, and takes them from a descriptor.
    let mut only = SigSet::empty();
    only.add(Signal::SIGTSTP);
    let mask = only.thread_swap_mask(SigmaskHow::SIG_UNBLOCK)?;
    // The whole pipeline, in which this process is one of many.
    let mut result = nix::sys::signal::kill(nix::unistd::Pid::from_raw(0), Signal::SIGTSTP);
    if result.is_ok() && !came_back(20) {
        // Another thread took it from the descriptor; what is sent to a thread is its own.
        result = nix::sys::signal::raise(Signal::SIGTSTP);
        came_back(200);
    }
    mask.thread_set_mask()?;
    Ok(result?)
}

/// What has to be put back if this process dies by a signal: kept where a signal handler finds it.
struct LastResort {
    process: libc::pid_t,
    fd: RawFd,
    modes: Termios,
}

static LAST_RESORT: AtomicPtr<LastResort> = AtomicPtr::new(std::ptr::null_mut());

impl LastResort {
    /// Each is leaked (some hundred bytes for each time the terminal changes hands): a handler on
    /// another thread may be reading it.
    fn arm(fd: &OwnedFd, modes: Termios) -> io::Result<()> {
        // SAFETY: getpid cannot fail.
        let process = unsafe { libc::getpid() };
        let saved = Box::leak(Box::new(Self { process, fd: fd.as_raw_fd(), modes }));
        LAST_RESORT.store(saved, Ordering::Release);
        static AT_EXIT: Once = Once::new();
        // SAFETY: the handler runs on a normal exit and only makes system calls. Without room for it
        // the terminal depends on the other ways out.
        AT_EXIT.call_once(|| unsafe {
            libc::atexit(restore_at_exit);
        });
        for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGABRT] {
            if disposition(signal)? == Disposition::Default {
                let flags = SaFlags::SA_RESETHAND | SaFlags::SA_NODEFER;
                let action = SigAction::new(SigHandler::Handler(restore_and_die), flags, SigSet::empty());
                // SAFETY: the handler only does what is async-signal-safe.
                unsafe { nix::sys::signal::sigaction(signal, &action) }?;
            }
        }
        Ok(())
    }

    /// Sets the saved modes once; whoever comes second finds nothing.
    fn disarm() {
        let saved = LAST_RESORT.swap(std::ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: the pointer is null or a leaked box, which nobody changes.
        let Some(saved) = (unsafe { saved.as_ref() }) else { return };
        // SAFETY: getpid cannot fail. The descriptor is open as long as its Tty lives, which disarms when dropped.
        let (own, fd) = unsafe { (libc::getpid(), BorrowedFd::borrow_raw(saved.fd)) };
        // In the background the terminal is another job's, with modes of its own.
        if own == saved.process && in_foreground(fd).unwrap_or(false) {
            // A terminal that is gone needs nothing.
            let _ = tcsetattr(fd, OptionalActions::Now, &saved.modes);
        }
    }
}

/// Threads are not waited for at the end of `main`, and one may be asking.
extern "C" fn restore_at_exit() {
    LastResort::disarm();
}

/// Gives the terminal back and lets the signal do what it does by default. `tcsetattr(3)` is
/// async-signal-safe; the handler was reset on entry.
extern "C" fn restore_and_die(signal: libc::c_int) {
    LastResort::disarm();
    // SAFETY: raise is async-signal-safe.
    unsafe { libc::raise(signal) };
}
