//! Calls that change an object without its name: mode, owner, times, attributes, length.
//!
//! The floor does not see these (a descriptor opened for reading is enough to `fchmod`), so every
//! one is judged as a write on the object and carried out here. None is ever continued.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, OFlags};

use super::change::{self, Deed};
use super::decide::{Granted, Job, Need, judge, restart};
use super::errno::Errno;
use super::held::{Held, Named};
use super::resolve::Last;
use super::view::{Spelled, View, int};
use super::{devices, proc, record};
use crate::policy::{Change, Permit};
use crate::supervisor::{Call, Context, Outcome, Reply};

/// What a call names.
#[derive(Debug)]
pub(super) enum Subject {
    Path(Spelled, Last),
    /// `AT_EMPTY_PATH`: what the descriptor holds, `O_PATH` or not.
    Base(Spelled),
    /// The caller's open descriptor, as our own.
    Descriptor(OwnedFd),
}

/// Flags that calls with a directory descriptor take.
const KNOWN_AT: i32 = libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH;

impl Subject {
    pub(super) fn path(call: &Call, address: u64, last: Last) -> Result<Self, Errno> {
        Self::at(call, (super::entries::AT_CWD, address), last)
    }

    pub(super) fn at(call: &Call, (dirfd, address): (u64, u64), last: Last) -> Result<Self, Errno> {
        Ok(Self::Path(Spelled::read(call, dirfd, address)?, last))
    }

    /// A path with `AT_*` flags.
    pub(super) fn flagged(call: &Call, (dirfd, address): (u64, u64), flags: u64) -> Result<Self, Errno> {
        let flags = int(flags);
        if flags & !KNOWN_AT != 0 {
            return Err(Errno(libc::EINVAL));
        }
        let last = if flags & libc::AT_SYMLINK_NOFOLLOW != 0 { Last::Keep } else { Last::Follow };
        if flags & libc::AT_EMPTY_PATH == 0 {
            return Self::at(call, (dirfd, address), last);
        }
        // With this flag a null path is an empty one.
        let spelled = if address == 0 { Spelled::empty(call, dirfd)? } else { Spelled::read(call, dirfd, address)? };
        Ok(if spelled.is_empty() { Self::Base(spelled) } else { Self::Path(spelled, last) })
    }

    pub(super) fn descriptor(context: &Context, call: &Call, number: u64) -> Result<Self, Errno> {
        if int(number) < 0 {
            return Err(Errno(libc::EBADF));
        }
        match context.caller(call)?.take_fd(int(number)) {
            Ok(taken) => Ok(Self::Descriptor(taken)),
            // Where taking is forbidden: the object behind it can be had all the same.
            Err(libc::EPERM | libc::ENOSYS) => Ok(Self::Base(Spelled::empty(call, number)?)),
            Err(errno) => Err(Errno(errno)),
        }
    }

    fn find(&self, view: &View<'_>) -> Result<Held, Errno> {
        match self {
            Self::Path(spelled, last) => spelled.object(view, *last),
            Self::Base(spelled) => spelled.base_object(),
            Self::Descriptor(fd) => {
                let mut held = Held::new(fd.try_clone()?)?;
                held.passed = Some(fd.try_clone()?);
                Ok(held)
            }
        }
    }

    fn is_path(&self) -> bool {
        matches!(self, Self::Path(..))
    }
}

/// Serves a call that was read as a subject and a deed.
pub(super) fn serve(context: &Context, call: &Call, read: Result<(Subject, Deed), Errno>) -> Outcome {
    match read {
        Ok((subject, deed)) => Metadata { subject, deed }.attempt(context, call, Granted::default()),
        Err(Errno(errno)) => Outcome::errno(errno),
    }
}

/// One change of one object.
struct Metadata {
    subject: Subject,
    deed: Deed,
}

impl Job for Metadata {
    fn attempt(self, context: &Context, call: &Call, granted: Granted) -> Outcome {
        let found = View::new(context, call).and_then(|view| {
            let held = self.subject.find(&view)?;
            let named = held.named()?;
            guard(context, &held, &named).or_else(|guarded| change::refusal(&held, &self.deed).and(Err(guarded)))?;
            Ok((held, named))
        });
        let (held, named) = match found {
            Ok(found) => found,
            Err(Errno(errno)) => return Outcome::errno(errno),
        };
        let (granted, path) = match named {
            Named::Path(path) if context.files().is_own_terminal(&held.stat) => {
                (Granted::held(Permit::held_already()), Some(path))
            }
            Named::Path(path) => match judge(context, call, &[Need::write(&path, Change::Existing)], granted) {
                Ok(granted) => (granted, Some(path)),
                Err(stop) => {
                    let vain = change::refusal(&held, &self.deed);
                    return stop.outcome(context, call, self, vain);
                }
            },
            Named::Unlinked if self.subject.is_path() && !held.jumped => return restart(self, context, call, granted),
            Named::Unlinked if !is_writable(&held) => return Outcome::errno(libc::EACCES),
            Named::Unlinked | Named::Nameless => (Granted::held(Permit::held_already()), None),
        };
        if !context.still_waiting(call) {
            return Outcome::errno(libc::EINTR);
        }
        let open = matches!(self.subject, Subject::Descriptor(_));
        match act(&held, &self.deed, open, granted) {
            Ok(()) => {
                if let Some(path) = path {
                    record::modified(context, path);
                }
                Outcome::Reply(Reply::Value(0))
            }
            Err(Errno(errno)) => Outcome::errno(errno),
        }
    }
}

fn act(held: &Held, deed: &Deed, open: bool, _granted: Granted) -> Result<(), Errno> {
    if open { change::by_descriptor(held.fd.as_fd(), deed) } else { change::by_pin(held.fd.as_fd(), deed) }
}

/// Objects that are not changed whatever the policy says.
fn guard(context: &Context, held: &Held, named: &Named) -> Result<(), Errno> {
    let device = matches!(held.kind(), FileType::CharacterDevice | FileType::BlockDevice);
    // A device is for everybody: being allowed to write to it is not being allowed to change it.
    if device && !devices::is_terminal(&held.stat) && !context.files().is_own_terminal(&held.stat) {
        return Err(Errno(libc::EPERM));
    }
    if let Named::Path(path) = named
        && belongs_to_process(held, path)?
    {
        return Err(Errno(libc::EPERM));
    }
    Ok(())
}

fn belongs_to_process(held: &Held, path: &Path) -> Result<bool, Errno> {
    Ok(path.starts_with("/proc") && proc::process_of(held, path)?.is_some())
}

/// Does the caller hold the object open for writing?
fn is_writable(held: &Held) -> bool {
    held.passed.as_ref().and_then(|fd| rustix::fs::fcntl_getfl(fd).ok()).is_some_and(|flags| {
        !flags.contains(OFlags::PATH) && matches!(flags & OFlags::RWMODE, OFlags::WRONLY | OFlags::RDWR)
    })
}
