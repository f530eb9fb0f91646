//! Terminals, and what a caller holds open already.
//!
//! Refuses terminals that the run did not open; never opens `/dev/tty`, which would be ours.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, Stat};

use super::held::Held;
use super::open::How;
use super::view::View;
use crate::journal::Finality;
use crate::policy::{Denial, Operation, Permit, Target};
use crate::supervisor::Context;

/// Device numbers of `Documentation/admin-guide/devices.txt`.
const CONTROLLING_TERMINAL: (u32, u32) = (5, 0);
const MULTIPLEXER: (u32, u32) = (5, 2);
const SLAVES: std::ops::RangeInclusive<u32> = 136..=143;

/// What an open of a device means.
#[derive(Debug)]
pub(super) enum Device {
    /// `/dev/tty`: the caller's controlling terminal, which only the caller can open.
    CallersOwn,
    /// The other end of a terminal that the run opened.
    TerminalOfRun(Permit),
    /// Somebody else's terminal.
    ForeignTerminal(Denial),
    /// Anything else is judged by its path.
    Other,
}

pub(super) fn classify(context: &Context, held: &Held, path: &Path) -> Device {
    match number(&held.stat) {
        Some(CONTROLLING_TERMINAL) => Device::CallersOwn,
        Some((major, _)) if SLAVES.contains(&major) => {
            if context.files().is_own_terminal(&held.stat) {
                return Device::TerminalOfRun(Permit::held_already());
            }
            Device::ForeignTerminal(Denial {
                operation: Operation::Read,
                target: Target::Path(path.to_owned()),
                rule: None,
                errno: libc::EACCES,
                finality: Finality::Final,
            })
        }
        _ => Device::Other,
    }
}

/// A permit where the caller holds the very object open with at least the access wanted: through
/// the descriptor that the path named, or as the terminal of a standard stream.
pub(super) fn held_already(view: &View<'_>, held: &Held, how: How) -> Option<Permit> {
    let number = number(&held.stat);
    if number == Some(CONTROLLING_TERMINAL) {
        return None;
    }
    if let Some(passed) = &held.passed {
        return suffices(passed.as_fd(), how).then(Permit::held_already);
    }
    if !number.is_some_and(|(major, _)| SLAVES.contains(&major)) {
        return None;
    }
    let streams = (0..3).filter_map(|stream| view.caller.take_fd(stream).ok());
    let mut same = streams.filter(|stream| rustix::fs::fstat(stream).is_ok_and(|stat| held.is(&stat)));
    same.any(|stream| suffices(stream.as_fd(), how)).then(Permit::held_already)
}

/// The kernel made a terminal: its other end is the run's.
pub(super) fn record_if_multiplexer(context: &Context, stat: &Stat, opened: &OwnedFd) {
    if number(stat) != Some(MULTIPLEXER) {
        return;
    }
    let Ok(name) = rustix::pty::ptsname(opened, Vec::new()) else { return };
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(slave) = rustix::fs::open(&name, flags, Mode::empty()) else { return };
    if let Ok(stat) = rustix::fs::fstat(&slave) {
        context.files().record_terminal(rustix::fs::minor(stat.st_rdev), slave);
    }
}

/// Is this somebody's terminal?
pub(super) fn is_terminal(stat: &Stat) -> bool {
    number(stat).is_some_and(|(major, _)| SLAVES.contains(&major))
}

fn suffices(descriptor: BorrowedFd<'_>, how: How) -> bool {
    let Ok(flags) = rustix::fs::fcntl_getfl(descriptor) else { return false };
    if flags.contains(OFlags::PATH) {
        return false;
    }
    let (reads, writes) = match flags & OFlags::RWMODE {
        OFlags::RDONLY => (true, false),
        OFlags::WRONLY => (false, true),
        OFlags::RDWR => (true, true),
        _ => (false, false),
    };
    (reads || !how.reads()) && (writes || !how.writes())
}

fn number(stat: &Stat) -> Option<(u32, u32)> {
    let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    is_device.then(|| (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)))
}
