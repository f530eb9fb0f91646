//! What a command writes to its standard output and error, where it does not go straight to the
//! caller's own streams: counted (`sandbox.limits.outputBytes`), told as events, or kept for one object.
//!
//! Of an output as text a stream that is the run's terminal is not counted: somebody is there to see it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use super::outlet::{Outlet, To};
use crate::journal::without_signals;

/// Counts what goes through the streams of one run.
#[derive(Debug)]
pub(super) struct Meter {
    left: Arc<AtomicU64>,
    outlet: Outlet,
    copies: Vec<JoinHandle<()>>,
}

/// Nothing is left of the bound.
const SPENT: u64 = u64::MAX;

/// Bytes that are copied at once. Events are small, so that a queue of them is.
const PIECE: usize = 16 << 10;

impl Meter {
    /// A meter where the output has to be counted or goes elsewhere.
    pub(super) fn new(limit: Option<u64>, outlet: &Outlet) -> Option<Self> {
        if limit.is_none() && outlet.is_text() {
            return None;
        }
        let left = Arc::new(AtomicU64::new(limit.unwrap_or(SPENT - 1)));
        Some(Self { left, outlet: outlet.clone(), copies: Vec::new() })
    }

    /// Takes what the command shows on a terminal, whose master this is, as its standard output.
    pub(super) fn follow(&mut self, master: File) -> io::Result<()> {
        match self.outlet.channel(1) {
            Some(to) => self.carry(master, to),
            // Nobody would see it.
            None => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn carry(&mut self, from: File, mut to: To) -> io::Result<()> {
        let left = Arc::clone(&self.left);
        self.copies.push(without_signals("askance-output", move || copy(from, &mut to, &left))?);
        Ok(())
    }

    /// Takes the stream `number`, which is `real` for the caller and may be the run's `terminal` for
    /// the command. Gives the command's end.
    pub(super) fn attach(&mut self, number: usize, real: OwnedFd, terminal: Option<OwnedFd>) -> io::Result<OwnedFd> {
        let to = match (self.outlet.channel(number), terminal) {
            (Some(channel), _) => channel,
            (None, Some(terminal)) => return Ok(terminal),
            (None, None) => To::Caller(File::from(real)),
        };
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        self.carry(File::from(read), to)?;
        Ok(write)
    }

    pub(super) fn is_spent(&self) -> bool {
        self.left.load(Ordering::Acquire) == SPENT
    }

    /// Waits until everything within the bound is written; was there more? The command is dead.
    pub(super) fn finish(mut self) -> bool {
        for copy in std::mem::take(&mut self.copies) {
            // A copy that panicked has written what it could.
            let _ = copy.join();
        }
        self.is_spent()
    }
}

/// Up to the bound; then the command's writes fail, as to a reader that went away.
fn copy(mut from: File, to: &mut To, left: &AtomicU64) {
    let mut buffer = vec![0; PIECE];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // Of a terminal this is the usual end: nobody has its other side open.
            Err(_) => break,
        };
        let granted = take(left, read);
        if to.write(&buffer[..granted]).is_err() || granted < read {
            break;
        }
    }
    to.finish();
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
