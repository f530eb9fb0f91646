//! `sandbox.limits.outputBytes`: what a command writes to its standard output and error is counted
//! on the way, where it is bounded. Unbounded streams are the caller's own, untouched.
//!
//! A stream that is the run's terminal is not counted: somebody is there to see it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

/// Counts what goes through the streams of one run.
#[derive(Debug)]
pub(super) struct Meter {
    left: Arc<AtomicU64>,
    copies: Vec<JoinHandle<()>>,
}

/// Nothing is left of the bound.
const SPENT: u64 = u64::MAX;

impl Meter {
    pub(super) fn new(limit: u64) -> Self {
        Self { left: Arc::new(AtomicU64::new(limit)), copies: Vec::new() }
    }

    /// Puts itself between the command and `real`; gives the command's end.
    pub(super) fn attach(&mut self, real: OwnedFd) -> io::Result<OwnedFd> {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let left = Arc::clone(&self.left);
        let copy = move || copy(File::from(read), File::from(real), &left);
        self.copies.push(std::thread::Builder::new().name("askance-output".to_owned()).spawn(copy)?);
        Ok(write)
    }

    pub(super) fn is_spent(&self) -> bool {
        self.left.load(Ordering::Acquire) == SPENT
    }

    /// Waits until everything within the bound is written. The command is dead.
    pub(super) fn finish(self) {
        for copy in self.copies {
            // A copy that panicked has written what it could.
            let _ = copy.join();
        }
    }
}

/// Up to the bound; then the command's writes fail, as to a reader that went away.
fn copy(mut from: File, mut to: File, left: &AtomicU64) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let granted = take(left, read);
        if to.write_all(&buffer[..granted]).is_err() || granted < read {
            return;
        }
    }
}

/// Takes `wanted` bytes from what is left, or the rest of it and marks it spent.
fn take(left: &AtomicU64, wanted: usize) -> usize {
    let wanted = wanted as u64;
    let next = |left| if left == SPENT || left < wanted { Some(SPENT) } else { Some(left - wanted) };
    let before = left.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).unwrap_or(SPENT);
    let granted = if before == SPENT { 0 } else { before.min(wanted) };
    usize::try_from(granted).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_shared_and_spent_to_the_byte() {
        let left = AtomicU64::new(10);
        assert_eq!((take(&left, 4), take(&left, 6)), (4, 6));
        assert_eq!(left.load(Ordering::Acquire), 0, "all of it is not too much");
        assert_eq!(take(&left, 1), 0);
        assert_eq!(left.load(Ordering::Acquire), SPENT);
        let left = AtomicU64::new(3);
        assert_eq!((take(&left, 5), take(&left, 5)), (3, 0));
    }
}
