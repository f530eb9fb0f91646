//! How many descriptors this process may hold, and who may hold how many of them.
//!
//! Known callers and waiting calls hold some each. Their numbers are bounded by what there is, so that
//! no number of processes, and no number of questions, leaves none for the call that comes next.

use std::os::fd::RawFd;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::questions::WAITING_MAX;

/// Callers remembered at most.
const CALLERS_MAX: u64 = 4096;

/// A table that grows while threads share it has the one that needs the room wait until the kernel has seen every
/// processor: milliseconds. It is grown for so many descriptors before there are threads.
const ROOM: RawFd = 512;

/// Makes that room, where the process may have so many. For when it has one thread.
pub(super) fn make_room() {
    // Closed again at once; the table stays as it is.
    let _ = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), ROOM - 1);
}

/// The shares of one supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shares {
    /// Callers remembered, with two descriptors each.
    pub(super) callers: usize,
    /// Calls that wait for an answer: a caller's descriptors, and what each call holds until then.
    pub(super) waiting: usize,
}

impl Shares {
    /// Raises this process's own limit as far as it may, and divides what there is. The command was
    /// started before and keeps the limit of its caller.
    pub(super) fn take() -> Self {
        let limit = getrlimit(Resource::Nofile);
        let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
        let most = if raised.is_ok() { limit.maximum } else { limit.current };
        Self::of(most.unwrap_or(u64::MAX))
    }

    fn of(descriptors: u64) -> Self {
        let share = |most: u64| usize::try_from((descriptors / 8).clamp(8, most)).unwrap_or(8);
        Self { callers: share(CALLERS_MAX), waiting: share(WAITING_MAX as u64) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_hundreds_before_anybody_needs_it() {
        make_room();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let size = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
        assert!(size.trim().parse::<i32>().unwrap() >= ROOM, "{size}");
    }

    #[test]
    fn shares_leave_descriptors_to_spare() {
        for descriptors in [64, 256, 1024, 4096, 20_000, u64::MAX] {
            let shares = Shares::of(descriptors);
            assert!(shares.callers >= 8 && shares.callers <= 4096, "{shares:?}");
            assert!(shares.waiting >= 8 && shares.waiting <= WAITING_MAX, "{shares:?}");
            let held = 2 * shares.callers as u64 + 4 * shares.waiting as u64;
            assert!(descriptors < 256 || held < descriptors, "{descriptors} {shares:?}");
        }
    }
}
