//! Waiting for the command: its events, our signals, the limits that the kernel does not keep.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::RunError;
use super::meter::Meter;
use crate::journal::{Exit, Journal};
use crate::prompt::Console;
use crate::sandbox::limits::{self, Group};
use crate::sandbox::{Event, Launched};
use crate::settings::Limits;
use crate::supervisor::StartError;
use crate::sys::terminal::is_stopping_job;

/// How often a tree without a control group of its own is measured.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// Signals that askance passes on to the command.
const PASSED_ON: [Signal; 7] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGTSTP,
];

/// How the command came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Exited(i32),
    Signalled(i32),
    OutOfTime,
    /// The tree grew past a limit that only the supervisor watches.
    Outgrown,
    /// Nobody reads the events of the run any more.
    Deserted,
}

impl Ending {
    /// The command's own status; 128+n for a signal, 124 for the time limit.
    pub(super) fn exit_status(self) -> u8 {
        let status = match self {
            Self::Exited(code) => code,
            Self::Signalled(signal) => 128 + signal,
            Self::OutOfTime => 124,
            Self::Outgrown => 128 + libc::SIGKILL,
            Self::Deserted => 128 + libc::SIGPIPE,
        };
        u8::try_from(status & 0xff).unwrap_or(u8::MAX)
    }

    pub(super) fn report(self) -> Exit {
        match self {
            Self::Exited(code) => Exit::Code(code),
            Self::Signalled(signal) => Exit::Signal(signal),
            Self::OutOfTime => Exit::Code(124),
            Self::Outgrown => Exit::Signal(libc::SIGKILL),
            Self::Deserted => Exit::Signal(libc::SIGPIPE),
        }
    }
}

/// Takes the signals that are passed on out of this process's default handling. The command's own
/// mask is set back at its launch.
pub(super) fn take_signals() -> io::Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in PASSED_ON {
        set.add(signal);
    }
    set.thread_block()?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

fn is_bounded(limits: &Limits) -> bool {
    limits.processes.is_some() || limits.memory_bytes.is_some()
}

/// Puts the command, which has not started yet, into a control group that keeps its limits, where
/// one can be had.
pub(super) fn group(launched: &Launched, limits: &Limits) -> Option<Group> {
    if !is_bounded(limits) {
        return None;
    }
    let group = Group::make(limits.processes, limits.memory_bytes).ok()?;
    group.admit(launched.command_pid).ok()?;
    Some(group)
}

fn outgrown_note(limit: &str) -> String {
    format!("ended because it outgrew its limit of {limit}")
}

/// The end of a command that wrote more than it may.
pub(super) fn outgrew_output(journal: &Journal) -> Ending {
    journal.note(outgrown_note("output"));
    Ending::Outgrown
}

/// What the wait looks at.
pub(super) struct Watched<'a> {
    pub(super) launched: &'a Launched,
    pub(super) console: Option<&'a Console>,
    pub(super) signals: &'a SignalFd,
    pub(super) limits: &'a Limits,
    /// Keeps the limits of processes and memory; without it they are watched here.
    pub(super) group: Option<&'a Group>,
    /// Counts the output, where it is bounded.
    pub(super) meter: Option<&'a Meter>,
    /// Who reads the events, where there are some.
    pub(super) reader: Option<BorrowedFd<'a>>,
    pub(super) journal: &'a Journal,
}

/// Commands that run longer than this are worth a thread that stands by for their receiver.
const SHORT: Duration = Duration::from_millis(5);

/// Serves events and signals until the command has ended or outgrown its limits. Where it does not end at once,
/// `stand_by` is called, once.
pub(super) fn until_the_end(
    watched: &Watched<'_>,
    stand_by: impl FnOnce() -> Result<(), StartError>,
) -> Result<Ending, RunError> {
    let begun = Instant::now();
    let deadline = watched.limits.wall_time_ms.map(|ms| begun + Duration::from_millis(ms));
    let sampled = watched.group.is_none() && is_bounded(watched.limits) || watched.limits.output_bytes.is_some();
    let mut stand_by = Some(stand_by);
    loop {
        let left = |end: Instant| end.saturating_duration_since(Instant::now());
        if deadline.map(left) == Some(Duration::ZERO) {
            watched.journal.note("ended at its time limit");
            return Ok(Ending::OutOfTime);
        }
        if left(begun + SHORT) == Duration::ZERO
            && let Some(stand_by) = stand_by.take()
        {
            stand_by()?;
        }
        let short = stand_by.as_ref().map(|_| left(begun + SHORT));
        let rest = [deadline.map(left), short, sampled.then_some(SAMPLE_EVERY)];
        let woken = sleep(watched, rest.into_iter().flatten().min()).map_err(RunError::Wait)?;
        if woken.signalled {
            pass_on(watched).map_err(RunError::Wait)?;
        }
        if woken.event
            && let Some(ending) = serve(watched).map_err(RunError::Wait)?
        {
            if watched.group.is_some_and(Group::was_outgrown) {
                watched.journal.note(outgrown_note("memory"));
            }
            // The last of its output may still be on its way.
            return Ok(ending);
        }
        if woken.deserted {
            watched.journal.note("ended because nobody read its events any more");
            return Ok(Ending::Deserted);
        }
        if sampled && let Some(limit) = outgrown(watched) {
            watched.journal.note(outgrown_note(limit));
            return Ok(Ending::Outgrown);
        }
    }
}

/// What ended a sleep.
struct Woken {
    event: bool,
    signalled: bool,
    deserted: bool,
}

fn sleep(watched: &Watched<'_>, rest: Option<Duration>) -> io::Result<Woken> {
    let events = watched.launched.events();
    let signals = watched.signals.as_fd();
    let mut fds = vec![PollFd::new(&events, PollFlags::IN), PollFd::new(&signals, PollFlags::IN)];
    // Errors and hang-ups are told unasked.
    fds.extend(watched.reader.as_ref().map(|reader| PollFd::new(reader, PollFlags::empty())));
    let rest = rest.map(|rest| Timespec {
        tv_sec: i64::try_from(rest.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(rest.subsec_nanos()),
    });
    match poll(&mut fds, rest.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
    Ok(Woken { event: ready(&fds[0]), signalled: ready(&fds[1]), deserted: fds.get(2).is_some_and(ready) })
}

/// One event of the monitor.
fn serve(watched: &Watched<'_>) -> io::Result<Option<Ending>> {
    match watched.launched.next_event()? {
        Event::Exited(code) => Ok(Some(Ending::Exited(code))),
        Event::Signaled(signal) => Ok(Some(Ending::Signalled(signal))),
        Event::Stopped(_) => {
            match watched.console {
                Some(console) => console.suspend()?,
                None => nix::sys::signal::raise(Signal::SIGSTOP)?,
            }
            watched.launched.signal(libc::SIGCONT)?;
            Ok(None)
        }
        Event::Continued => Ok(None),
    }
}

/// Gives the command what we were sent.
fn pass_on(watched: &Watched<'_>) -> io::Result<()> {
    while let Some(received) = watched.signals.read_signal()? {
        let Ok(signal) = i32::try_from(received.ssi_signo) else { continue };
        if signal == libc::SIGTSTP && is_stopping_job() {
            continue;
        }
        watched.launched.signal(signal)?;
    }
    Ok(())
}

/// The limit that the tree has outgrown, where no control group keeps it.
fn outgrown(watched: &Watched<'_>) -> Option<&'static str> {
    if watched.meter.is_some_and(Meter::is_spent) {
        return Some("output");
    }
    if watched.group.is_some() || !is_bounded(watched.limits) {
        return None;
    }
    let sample = limits::sample(watched.launched.monitor_pid);
    let over = |limit: Option<u64>, now: u64| limit.is_some_and(|limit| now > limit);
    if over(watched.limits.processes, sample.processes) {
        Some("processes")
    } else if over(watched.limits.memory_bytes, sample.memory_bytes) {
        Some("memory")
    } else {
        None
    }
}
