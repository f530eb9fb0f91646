//! The command's own pseudo-terminal, between it and the real terminal.
//!
//! Each standard stream that is the person's terminal becomes the pseudo-terminal's slave for the
//! command; the others pass through untouched. A relay thread carries bytes both ways, so the
//! command can neither type an answer nor draw over a question: while a question is open nothing is
//! read from the master (a command that goes on writing blocks) and no key is forwarded. Keys that
//! make signals go through the line discipline of the command's terminal like any other.
//!
//! A run does, in this order:
//!
//! ```text
//! let console = Console::attach()?;                 // None: no standard stream is a terminal
//! console.child_stdio()?                            // → ChildPlan.stdio, controlling_terminal = true
//! console.spawn_relay()?                            // before the command starts
//! prompt::asker(choice, Situation { gate: Some(console.gate()), .. })
//! … Event::Stopped  → console.suspend()?, then launched.signal(SIGCONT)
//! … the tree is dead, the plan's copies of the slave are closed → console.finish()
//! ```
//!
//! * The command needs the slave as its controlling terminal in the session of its *monitor*: a
//!   process group whose parent is in another session is orphaned, and the kernel never stops it on
//!   Ctrl-Z. So the monitor makes the session and takes the terminal (`TIOCSCTTY` on the slave), and
//!   the command gets a process group of its own there, made the foreground (`tcsetpgrp`).
//! * [`Console::suspend`] blocks until the job is continued; call it where events are awaited.
//! * [`Console::finish`] returns when everything that the command wrote has been shown. It is also
//!   what dropping does. Withdraw open questions first: it waits for them to vanish, for a moment.
//! * The real terminal is raw while the run is its foreground process group, and given back on every
//!   way out: finish, drop, panic, and the signals that end a process and are not caught by others.
//! * [`Console::slave_path`] names the slave: the command may open its own terminal by that name.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::Signal;
use rustix::event::{EventfdFlags, eventfd};
use rustix::termios::{OptionalActions, tcsetattr};

use super::relay;
use super::screen::Screen;
use crate::sys::pty::{Pty, copy_size};
use crate::sys::signals::Signals;
use crate::sys::terminal::{Output, Tty, is_controlling, stop_job};

/// How long a question that was withdrawn at the end of the run may take to vanish.
const CLEARING: Duration = Duration::from_secs(1);

/// Why a run cannot have a terminal of its own.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    #[error("open the terminal")]
    OpenTerminal { source: io::Error },
    #[error("make a pseudo-terminal")]
    MakePty { source: io::Error },
    #[error("duplicate the pseudo-terminal's slave")]
    Duplicate { source: io::Error },
    #[error("start the terminal relay")]
    StartRelay { source: io::Error },
}

/// The real terminal, the command's, and the relay between them.
#[derive(Debug)]
pub struct Console {
    shared: Arc<Shared>,
    slave: Option<OwnedFd>,
    /// Which standard streams are the terminal.
    streams: [bool; 3],
    relay: Option<JoinHandle<()>>,
    resumed: Signals,
}

/// What the relay, the asker and the run share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) tty: Tty,
    /// Until the real terminal hangs up.
    master: Mutex<Option<Arc<OwnedFd>>>,
    /// What the real terminal does to output while raw.
    pub(super) output: Output,
    /// The modes of a terminal that another job had are not what the command should start with.
    modes_to_come: AtomicBool,
    /// Wakes the relay.
    pub(super) wake: OwnedFd,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// How many want the relay to stand still.
    pub(super) holds: usize,
    /// The relay stands still, or there is none.
    pub(super) still: bool,
    /// Show the rest and end.
    pub(super) finishing: bool,
    pub(super) screen: Screen,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The relay says whether it stands still.
    pub(super) fn set_still(&self, still: bool) {
        self.lock().still = still;
        self.changed.notify_all();
    }

    pub(super) fn master(&self) -> Option<Arc<OwnedFd>> {
        self.master.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The real terminal is gone: so is the command's, as soon as nobody holds the master.
    pub(super) fn hang_up(&self) {
        *self.master.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Gives the command's terminal the size of the real one.
    pub(super) fn copy_size(&self) -> io::Result<()> {
        match self.master() {
            Some(master) => copy_size(&self.tty, &master),
            None => Ok(()),
        }
    }

    fn wake(&self) {
        // An eventfd refuses only when its counter is full, and then it is readable.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    /// Lets the relay show the rest and end, once what is on the terminal instead is cleared away.
    fn finish(&self, patience: Duration) {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, patience, |state| state.holds > 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.finishing = true;
        self.wake();
    }

    /// Raw input in the foreground; in the background the terminal belongs to another job.
    pub(super) fn take_terminal(&self) -> io::Result<bool> {
        let foreground = self.tty.is_foreground()?;
        if foreground {
            if self.modes_to_come.swap(false, Ordering::AcqRel)
                && let Some(master) = self.master()
            {
                // Modes set on a master are its slave's.
                tcsetattr(master, OptionalActions::Now, &self.tty.modes()?)?;
            }
            self.tty.make_raw(self.output)?;
            self.copy_size()?;
        }
        Ok(foreground)
    }
}

impl Console {
    /// A pseudo-terminal for this process's standard streams, if one of them is a terminal.
    pub fn attach() -> Result<Option<Self>, ConsoleError> {
        Self::attach_streams([rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()])
    }

    pub(super) fn attach_streams(stdio: [BorrowedFd<'_>; 3]) -> Result<Option<Self>, ConsoleError> {
        let terminals = stdio.map(rustix::termios::isatty);
        let Some(first) = (0..3).find(|&index| terminals[index]) else { return Ok(None) };
        let opened = match Tty::controlling() {
            Ok(tty) if (0..3).any(|index| terminals[index] && is_controlling(stdio[index])) => Ok((tty, None)),
            _ => Tty::reopen(stdio[first]).map(|tty| (tty, Some(device(stdio[first])))),
        };
        let (tty, device_of) = opened.map_err(|source| ConsoleError::OpenTerminal { source })?;
        // A stream on another terminal than the one that is relayed passes through.
        let streams = [0, 1, 2].map(|index| {
            terminals[index]
                && match &device_of {
                    None => is_controlling(stdio[index]),
                    Some(first) => device(stdio[index]) == *first,
                }
        });
        let console = Self::make(tty, streams).map_err(|source| ConsoleError::MakePty { source })?;
        Ok(Some(console))
    }

    fn make(tty: Tty, streams: [bool; 3]) -> io::Result<Self> {
        let modes_to_come = AtomicBool::new(!tty.is_foreground()?);
        let Pty { master, slave } = Pty::open(&tty.modes()?, tty.size()?)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        // With standard output elsewhere, other commands of the pipeline write to the terminal.
        let output = if streams[1] { Output::Raw } else { Output::Processed };
        let state = Mutex::new(State { still: true, ..State::default() });
        let master = Mutex::new(Some(Arc::new(master)));
        let shared = Arc::new(Shared { tty, master, output, modes_to_come, wake, state, changed: Condvar::new() });
        let resumed = Signals::catch(&[Signal::SIGCONT])?;
        Ok(Self { shared, slave: Some(slave), streams, relay: None, resumed })
    }

    /// For each standard stream the slave, or `None` where the stream passes through.
    pub fn child_stdio(&self) -> Result<[Option<OwnedFd>; 3], ConsoleError> {
        let mut stdio = [None, None, None];
        let Some(slave) = &self.slave else { return Ok(stdio) };
        for (stream, wanted) in stdio.iter_mut().zip(self.streams) {
            if wanted {
                *stream = Some(slave.try_clone().map_err(|source| ConsoleError::Duplicate { source })?);
            }
        }
        Ok(stdio)
    }

    /// `/dev/pts/N`, where the command's terminal has a name in this mount namespace.
    pub fn slave_path(&self) -> Option<PathBuf> {
        let name = rustix::pty::ptsname(self.shared.master()?, Vec::new()).ok()?;
        name.into_string().ok().map(PathBuf::from)
    }

    /// Takes the terminal and starts carrying bytes.
    pub fn spawn_relay(&mut self) -> Result<(), ConsoleError> {
        let start = || {
            self.shared.take_terminal()?;
            let signals = Signals::catch(&[Signal::SIGWINCH, Signal::SIGCONT])?;
            self.shared.set_still(false);
            let shared = Arc::clone(&self.shared);
            std::thread::Builder::new().name("relay".to_owned()).spawn(move || relay::run(&shared, &signals))
        };
        self.relay = Some(start().map_err(|source| ConsoleError::StartRelay { source })?);
        Ok(())
    }

    /// For whoever asks on the same terminal.
    pub fn gate(&self) -> Gate {
        Gate { shared: Arc::clone(&self.shared) }
    }

    /// The command was stopped: gives the terminal back, stops this job as its shell expects, and
    /// returns with the terminal taken again once the job is continued.
    pub fn suspend(&self) -> io::Result<()> {
        let hold = self.gate().hold()?;
        self.shared.tty.restore();
        let stopped = stop_job(&self.resumed);
        self.shared.take_terminal()?;
        drop(hold);
        stopped
    }

    /// Shows everything that the command wrote and gives the terminal back.
    pub fn finish(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // With the last slave closed the master says when it is empty.
        self.slave = None;
        self.shared.finish(CLEARING);
        if let Some(relay) = self.relay.take() {
            // A relay that panicked has shown what it could.
            let _ = relay.join();
        }
        self.shared.tty.restore();
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.end();
    }
}

fn device(fd: BorrowedFd<'_>) -> Option<u64> {
    rustix::fs::fstat(fd).ok().map(|stat| stat.st_rdev)
}

/// Holds the relay still while the terminal is used for something else.
#[derive(Debug, Clone)]
pub struct Gate {
    shared: Arc<Shared>,
}

impl Gate {
    /// Waits until everything written so far is shown and the relay stands still. `BrokenPipe` when
    /// the run is over and the terminal given back.
    pub(super) fn hold(&self) -> io::Result<Hold> {
        let mut state = self.shared.lock();
        if state.finishing {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        state.holds += 1;
        self.shared.wake();
        while !state.still {
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        Ok(Hold { shared: Arc::clone(&self.shared) })
    }

    pub(super) fn tty(&self) -> &Tty {
        &self.shared.tty
    }

    /// What the terminal does to output while a question is shown.
    pub(super) fn output(&self) -> Output {
        self.shared.output
    }
}

/// The relay stands still as long as this lives.
#[derive(Debug)]
pub(super) struct Hold {
    shared: Arc<Shared>,
}

impl Hold {
    /// Control sequences that make the terminal show plain text on a line of its own.
    pub(super) fn plain(&self) -> Vec<u8> {
        self.shared.lock().screen.plain()
    }

    /// Control sequences that undo [`Hold::plain`] after the last line of a question.
    pub(super) fn restored(&self) -> Vec<u8> {
        self.shared.lock().screen.restored()
    }

    /// Has a command that draws whole screens draw its screen again.
    pub(super) fn redraw(&self) -> io::Result<()> {
        if !self.shared.lock().screen.is_alternate() {
            return Ok(());
        }
        let Some(master) = self.shared.master() else { return Ok(()) };
        // The kernel reports a size only when it changes.
        let size = self.shared.tty.size()?;
        let mut other = size;
        other.ws_row = if size.ws_row > 1 { size.ws_row - 1 } else { size.ws_row + 1 };
        rustix::termios::tcsetwinsize(&master, other)?;
        rustix::termios::tcsetwinsize(&master, size)?;
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shared.lock().holds -= 1;
        self.shared.changed.notify_all();
        self.shared.wake();
    }
}
