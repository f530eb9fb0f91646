//! Signals reach a process while one of its calls waits for us.
//!
//! A received notification can only be interrupted by death, so the supervisor itself has to notice
//! that a signal is pending and let the call go, as the kernel would have done.

use std::time::{Duration, Instant};

use crate::sys::process;

/// Restart the call after the handler, or return `EINTR`, as `SA_RESTART` says. The kernel turns
/// it into one of the two, but only where a signal is really pending for the thread.
const ERESTARTSYS: i32 = 512;

/// A signal of the whole process that is still pending after this was not taken by another thread.
const SHARED_GRACE: Duration = Duration::from_millis(20);

/// Signals that stop a process without a handler, as a mask.
const STOPPING: u64 = mask(libc::SIGSTOP) | mask(libc::SIGTSTP) | mask(libc::SIGTTIN) | mask(libc::SIGTTOU);

const fn mask(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// Whether a waiting call has to be let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interruption {
    None,
    /// A signal is pending for this very thread.
    Certain,
    /// One is pending for the process, and this thread may be the one that has to take it.
    Likely,
}

impl Interruption {
    pub(super) fn errno(self) -> i32 {
        match self {
            Self::Certain => ERESTARTSYS,
            _ => libc::EINTR,
        }
    }
}

/// The pending signals of one waiting call, over time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Watch {
    shared_since: Option<Instant>,
}

impl Watch {
    pub(super) fn look(&mut self, tid: i32, tgid: i32) -> Interruption {
        let Some(pending) = Pending::of(tid) else { return Interruption::None };
        let deliverable = !pending.blocked & (pending.caught | STOPPING);
        if pending.thread & deliverable != 0 {
            return Interruption::Certain;
        }
        if pending.shared & deliverable == 0 {
            self.shared_since = None;
            return Interruption::None;
        }
        if pending.threads == 1 && tid == tgid {
            return Interruption::Certain;
        }
        let since = *self.shared_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= SHARED_GRACE { Interruption::Likely } else { Interruption::None }
    }
}

/// The signal fields of `/proc/TID/status`.
struct Pending {
    thread: u64,
    shared: u64,
    blocked: u64,
    caught: u64,
    threads: u32,
}

impl Pending {
    fn of(tid: i32) -> Option<Self> {
        let status = process::status(tid).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let set = |name: &str| field(name).and_then(|text| u64::from_str_radix(text, 16).ok());
        Some(Self {
            thread: set("SigPnd:")?,
            shared: set("ShdPnd:")?,
            blocked: set("SigBlk:")?,
            caught: set("SigCgt:")?,
            threads: field("Threads:")?.parse().ok()?,
        })
    }
}
