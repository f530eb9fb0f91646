//! Carries bytes between the real terminal and the command's pseudo-terminal.
//!
//! Owns no decision: it stands still when told, and looks at output only as far as
//! [`Screen`](super::screen::Screen) follows it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::pty::Shared;
use crate::sys::signals::{Signals, block_terminal_stops};

/// Shown in one write at most; the kernel hands out a pseudo-terminal's output in pieces of 4 KiB.
const OUTPUT: usize = 64 * 1024;
/// More keys than this wait in the real terminal.
const INPUT: usize = 4096;
/// How long output that is on its way when a question appears may take to arrive.
const STRAGGLERS: Duration = Duration::from_millis(5);
/// More output than this is not waited out: a command that never stops writing must not keep a
/// question from being asked.
const STRAGGLING: usize = 256 * 1024;
/// Nothing tells a background process that it came to the foreground.
const FOREGROUND_CHECK: Duration = Duration::from_millis(200);

/// Bytes on their way.
#[derive(Debug)]
struct Buffer {
    bytes: Vec<u8>,
    /// Sent already.
    sent: usize,
    /// Received.
    filled: usize,
}

impl Buffer {
    fn new(size: usize) -> Self {
        Self { bytes: vec![0; size], sent: 0, filled: 0 }
    }

    fn is_empty(&self) -> bool {
        self.sent == self.filled
    }

    fn pending(&self) -> &[u8] {
        &self.bytes[self.sent..self.filled]
    }

    fn clear(&mut self) {
        (self.sent, self.filled) = (0, 0);
    }
}

/// What came of moving bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// There may be more.
    Moved,
    /// Not now.
    Blocked,
    /// Never again.
    Ended,
}

#[derive(Debug)]
struct Relay<'a> {
    shared: &'a Shared,
    signals: &'a Signals,
    output: Buffer,
    input: Buffer,
    foreground: bool,
    /// `None` when the real terminal hung up.
    master: Option<Arc<OwnedFd>>,
}

/// Runs until the console finishes.
pub(super) fn run(shared: &Shared, signals: &Signals) {
    // Without this a background job would be stopped by its own relay.
    let blocked = block_terminal_stops();
    let _still = StillAtEnd(shared);
    let mut relay = Relay {
        shared,
        signals,
        output: Buffer::new(OUTPUT),
        input: Buffer::new(INPUT),
        foreground: blocked.is_ok() && shared.tty.raw().is_some(),
        master: shared.master(),
    };
    relay.carry();
}

/// Nobody waits for a relay that ended, however it did.
struct StillAtEnd<'a>(&'a Shared);

impl Drop for StillAtEnd<'_> {
    fn drop(&mut self) {
        self.0.set_still(true);
    }
}

impl Relay<'_> {
    fn carry(&mut self) {
        loop {
            let (held, finishing) = {
                let state = self.shared.lock();
                (state.holds > 0, state.finishing)
            };
            if finishing {
                self.shared.set_still(false);
                self.show_rest(None);
                return;
            }
            if held && !self.shared.lock().still {
                self.show_rest(Some(STRAGGLERS));
                self.shared.set_still(true);
            } else if !held && self.shared.lock().still {
                self.shared.set_still(false);
            }
            if self.wait(held).is_err() {
                return;
            }
        }
    }

    /// Waits for something to do, and does it.
    fn wait(&mut self, held: bool) -> io::Result<()> {
        let open = |wanted: bool, flags: PollFlags| if wanted { flags } else { PollFlags::empty() };
        let reading = !held && self.master.is_some() && self.foreground && self.input.is_empty();
        let tty = open(reading, PollFlags::IN) | open(!self.output.is_empty(), PollFlags::OUT);
        let master =
            open(!held && self.output.is_empty(), PollFlags::IN) | open(!self.input.is_empty(), PollFlags::OUT);
        let mut descriptors =
            vec![PollFd::new(&self.shared.wake, PollFlags::IN), PollFd::new(self.signals, PollFlags::IN)];
        // A descriptor that hung up is always ready: leave it out where nothing is wanted of it.
        let tty_at = (!tty.is_empty()).then(|| {
            descriptors.push(PollFd::new(&self.shared.tty, tty));
            descriptors.len() - 1
        });
        let master_at = match &self.master {
            Some(fd) if !master.is_empty() => {
                descriptors.push(PollFd::new(fd, master));
                Some(descriptors.len() - 1)
            }
            _ => None,
        };
        let patience = if self.foreground || self.master.is_none() { None } else { timespec(FOREGROUND_CHECK) };
        match poll(&mut descriptors, patience.as_ref()) {
            Err(Errno::INTR) => return Ok(()),
            result => result?,
        };
        let ready = |at: Option<usize>| at.map_or(PollFlags::empty(), |at: usize| descriptors[at].revents());
        let (woken, signalled) = (ready(Some(0)), ready(Some(1)));
        let (tty, master) = (ready(tty_at), ready(master_at));
        drop(descriptors);
        if !woken.is_empty() {
            let _ = rustix::io::read(&self.shared.wake, &mut [0; 8]);
        }
        if !signalled.is_empty() {
            self.handle_signals();
        }
        if !self.foreground && !held {
            self.check_foreground();
        }
        self.carry_output(tty, master);
        if reading && !tty.is_empty() {
            self.read_keys();
        }
        self.send_keys();
        Ok(())
    }

    fn handle_signals(&mut self) {
        let signals = self.signals.drain();
        if signals.contains(&Signal::SIGCONT) {
            self.check_foreground();
        }
        if signals.contains(&Signal::SIGWINCH) {
            // A terminal without a size leaves the command's as it was.
            let _ = self.shared.copy_size();
        }
    }

    /// Takes the terminal in the foreground, stops reading it elsewhere.
    fn check_foreground(&mut self) {
        match self.shared.take_terminal() {
            Ok(foreground) => self.foreground = foreground,
            Err(_) => self.hang_up(),
        }
    }

    /// The real terminal is gone: what the command still writes has nowhere to go, and it is told
    /// as it would be without us.
    fn hang_up(&mut self) {
        self.shared.hang_up();
        self.master = None;
        self.output.clear();
        self.input.clear();
    }

    fn carry_output(&mut self, tty: PollFlags, master: PollFlags) {
        if master.contains(PollFlags::IN) && self.output.is_empty() {
            self.fill();
        }
        if !self.output.is_empty() || !tty.is_empty() {
            self.show();
        }
    }

    /// Collects what the command wrote, up to a buffer's worth.
    fn fill(&mut self) -> Flow {
        self.output.clear();
        let Some(master) = &self.master else { return Flow::Ended };
        let flow = loop {
            if self.output.filled == OUTPUT {
                break Flow::Moved;
            }
            match rustix::io::read(master, &mut self.output.bytes[self.output.filled..]) {
                Ok(0) => break Flow::Ended,
                Ok(length) => self.output.filled += length,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break Flow::Blocked,
                // EIO: the last slave is closed and everything was read.
                Err(_) => break Flow::Ended,
            }
        };
        self.shared.lock().screen.follow(self.output.pending());
        flow
    }

    fn show(&mut self) -> Flow {
        while !self.output.is_empty() {
            match rustix::io::write(&self.shared.tty, self.output.pending()) {
                Ok(length) => self.output.sent += length,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Flow::Blocked,
                Err(_) => self.hang_up(),
            }
        }
        self.output.clear();
        Flow::Moved
    }

    /// Shows what the command has written so far. `stragglers`: wait so long for what is on its way;
    /// `None`: everything was written, show all of it.
    fn show_rest(&mut self, stragglers: Option<Duration>) {
        let mut shown = 0;
        loop {
            shown += self.output.pending().len();
            while self.show() == Flow::Blocked {
                let _ = poll(&mut [PollFd::new(&self.shared.tty, PollFlags::OUT)], None);
            }
            if stragglers.is_some() && shown > STRAGGLING {
                return;
            }
            match (self.fill(), stragglers) {
                (Flow::Ended, _) if self.output.is_empty() => return,
                (Flow::Blocked, None) if self.output.is_empty() => return,
                (Flow::Blocked, Some(patience)) if self.output.is_empty() => {
                    let Some(master) = &self.master else { return };
                    let mut master = [PollFd::new(master, PollFlags::IN)];
                    if !matches!(poll(&mut master, timespec(patience).as_ref()), Ok(1..)) {
                        return;
                    }
                }
                _ => {}
            }
        }
    }

    fn read_keys(&mut self) {
        self.input.clear();
        match rustix::io::read(&self.shared.tty, &mut self.input.bytes) {
            Ok(0) => self.hang_up(),
            Ok(length) => self.input.filled = length,
            Err(Errno::INTR | Errno::AGAIN) => {}
            // EIO: in the background, or hung up.
            Err(_) => match self.shared.tty.is_foreground() {
                Ok(false) => self.foreground = false,
                _ => self.hang_up(),
            },
        }
    }

    fn send_keys(&mut self) {
        while let Some(master) = &self.master
            && !self.input.is_empty()
        {
            match rustix::io::write(master, self.input.pending()) {
                Ok(length) => self.input.sent += length,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // Nobody reads any more.
                Err(_) => self.input.clear(),
            }
        }
    }
}

fn timespec(duration: Duration) -> Option<Timespec> {
    Timespec::try_from(duration).ok()
}
