//! `open`, `openat`, `openat2`, `creat`: read, decide; acting is `reopen`'s and `create`'s.

use rustix::fs::FileType;

use super::create::{self, Made};
use super::decide::{Granted, Job, Need, judge, restart};
use super::devices::{self, Device};
use super::errno::Errno;
use super::held::{Held, Named};
use super::quick::{self, Wanted};
use super::resolve::{Landing, Last, Viewer};
use super::view::{Spelled, View, low};
use super::{proc, reopen, synthetic};
use crate::journal::Finality;
use crate::policy::{Access, Change, Denial, Permit, Verdict};
use crate::sandbox::Rights;
use crate::supervisor::{Call, Context, Outcome, PathBuffer, Reply};
use crate::sys::files::{self, OPEN_HOW_SIZE, OpenHow};

/// Flags that `open` and `openat` know; they ignore others, `openat2` refuses them.
const KNOWN: i32 = libc::O_ACCMODE
    | libc::O_CREAT
    | libc::O_EXCL
    | libc::O_NOCTTY
    | libc::O_TRUNC
    | libc::O_APPEND
    | libc::O_NONBLOCK
    | libc::O_DSYNC
    | libc::O_ASYNC
    | libc::O_DIRECT
    | LARGEFILE
    | libc::O_DIRECTORY
    | libc::O_NOFOLLOW
    | libc::O_NOATIME
    | libc::O_CLOEXEC
    | libc::O_SYNC
    | libc::O_PATH
    | libc::O_TMPFILE;

/// `O_LARGEFILE` as the kernel sees it, which the C library calls 0 on 64-bit machines.
#[cfg(target_arch = "x86_64")]
const LARGEFILE: i32 = 0o100_000;
#[cfg(not(target_arch = "x86_64"))]
const LARGEFILE: i32 = 0o400_000;

const ANY_RESOLVE: u64 = libc::RESOLVE_NO_XDEV
    | libc::RESOLVE_NO_MAGICLINKS
    | libc::RESOLVE_NO_SYMLINKS
    | libc::RESOLVE_BENEATH
    | libc::RESOLVE_IN_ROOT
    | libc::RESOLVE_CACHED;

/// What is opened and how, as the kernel reads the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct How {
    pub(super) flags: i32,
    pub(super) mode: u32,
    resolve: u64,
}

impl How {
    /// `open` and `openat`: unknown flags and mode bits are ignored.
    fn lenient(flags: u64, mode: u64) -> Self {
        let flags = low(flags).cast_signed() & KNOWN;
        Self { flags: flags | LARGEFILE, mode: low(mode) & 0o7777, resolve: 0 }
    }

    /// `openat2`: `None` where the kernel refuses the combination.
    fn strict(how: &OpenHow) -> Option<Self> {
        let flags = i32::try_from(how.flags).ok().filter(|flags| flags & !KNOWN == 0)?;
        let makes = flags & (libc::O_CREAT | libc::O_TMPFILE & !libc::O_DIRECTORY) != 0;
        let mode = u32::try_from(how.mode).ok().filter(|mode| mode & !0o7777 == 0 && (makes || *mode == 0))?;
        (how.resolve & !ANY_RESOLVE == 0).then_some(Self { flags, mode, resolve: how.resolve })
    }

    pub(super) fn has(self, flag: i32) -> bool {
        self.flags & flag == flag
    }

    pub(super) fn reads(self) -> bool {
        self.flags & libc::O_ACCMODE != libc::O_WRONLY
    }

    pub(super) fn writes(self) -> bool {
        self.flags & libc::O_ACCMODE != libc::O_RDONLY || self.has(libc::O_TRUNC)
    }

    pub(super) fn is_unnamed(self) -> bool {
        self.has(libc::O_TMPFILE)
    }

    /// Combinations that the kernel refuses before it looks at the path.
    fn is_refused(self) -> bool {
        let creates_directory = self.has(libc::O_CREAT) && self.has(libc::O_DIRECTORY) && !self.is_unnamed();
        let read_only_unnamed = self.is_unnamed() && self.flags & libc::O_ACCMODE == libc::O_RDONLY;
        let unnamed_and_named = self.is_unnamed() && self.has(libc::O_CREAT);
        let half_unnamed = self.flags & libc::O_TMPFILE & !libc::O_DIRECTORY != 0 && !self.is_unnamed();
        creates_directory || read_only_unnamed || unnamed_and_named || half_unnamed
    }

    fn last(self) -> Last {
        match (self.has(libc::O_CREAT), self.has(libc::O_EXCL), self.has(libc::O_NOFOLLOW)) {
            (true, true, _) | (true, _, true) => Last::KeepOrMissing,
            (true, false, false) => Last::FollowOrMissing,
            (false, _, true) => Last::Keep,
            (false, _, false) => Last::Follow,
        }
    }

    fn wanted(self) -> Wanted {
        let mut rights = if self.reads() { Rights::READ } else { Rights::WRITE };
        if self.writes() {
            rights |= Rights::WRITE;
        }
        let follows = matches!(self.last(), Last::Follow | Last::FollowOrMissing);
        Wanted { rights, creates: self.has(libc::O_CREAT), follows }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) fn open(context: &Context, call: &Call) -> Outcome {
    let at_cwd = u64::from(libc::AT_FDCWD.cast_unsigned());
    serve(context, call, at_cwd, call.args[0], How::lenient(call.args[1], call.args[2]))
}

#[cfg(target_arch = "x86_64")]
pub(super) fn creat(context: &Context, call: &Call) -> Outcome {
    let flags = super::resolve::flag_bits(libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC);
    let at_cwd = u64::from(libc::AT_FDCWD.cast_unsigned());
    serve(context, call, at_cwd, call.args[0], How::lenient(flags, call.args[1]))
}

pub(super) fn openat(context: &Context, call: &Call) -> Outcome {
    serve(context, call, call.args[0], call.args[1], How::lenient(call.args[2], call.args[3]))
}

pub(super) fn openat2(context: &Context, call: &Call) -> Outcome {
    match read_how(call) {
        Ok(Some(how)) => serve(context, call, call.args[0], call.args[1], how),
        Ok(None) => Outcome::Reply(Reply::ContinueUnderFloor),
        Err(Errno(errno)) => Outcome::errno(errno),
    }
}

/// Copies `struct open_how`; `None` where the kernel refuses it by itself.
fn read_how(call: &Call) -> Result<Option<How>, Errno> {
    let size = usize::try_from(call.args[3]).unwrap_or(usize::MAX);
    if !(OPEN_HOW_SIZE..=4096).contains(&size) {
        return Ok(None);
    }
    let bytes = call.read_bytes(call.args[2], size)?;
    if bytes[OPEN_HOW_SIZE..].iter().any(|byte| *byte != 0) {
        return Ok(None);
    }
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at..at + 8]);
        u64::from_ne_bytes(word)
    };
    Ok(How::strict(&OpenHow { flags: word(0), mode: word(8), resolve: word(16) }))
}

fn serve(context: &Context, call: &Call, dirfd: u64, address: u64, how: How) -> Outcome {
    // An O_PATH descriptor grants no content, and refused flags none at all.
    if how.has(libc::O_PATH) || how.is_refused() {
        return Outcome::Reply(Reply::ContinueUnderFloor);
    }
    let mut path = PathBuffer::new();
    if let Err(errno) = call.read_path(address, &mut path) {
        return Outcome::errno(errno);
    }
    let plain = how.resolve == 0 && !how.is_unnamed();
    if plain && quick::decides(context, call, dirfd, &path, how.wanted()) {
        return Outcome::Reply(Reply::ContinueUnderFloor);
    }
    if how.resolve & libc::RESOLVE_CACHED != 0 {
        return Outcome::errno(libc::EAGAIN);
    }
    match Spelled::take(call, dirfd, &path, how.resolve) {
        Ok(spelled) => Open { spelled, how }.attempt(context, call, Granted::default()),
        Err(Errno(errno)) => Outcome::errno(errno),
    }
}

/// An open that the floor does not decide.
struct Open {
    spelled: Spelled,
    how: How,
}

impl Job for Open {
    fn attempt(self, context: &Context, call: &Call, granted: Granted) -> Outcome {
        let moment = context.files().now();
        let landing = View::new(context, call).and_then(|view| {
            let landing = self.spelled.landing(&view, self.how.last())?;
            Ok((view, landing))
        });
        match landing {
            Ok((view, Landing::Object(held))) => self.existing(context, (call, &view), held, granted),
            Ok((view, Landing::Missing(entry))) => {
                let made = create::file(context, (call, &view), (&entry, moment), self.how, granted);
                self.made(context, call, made)
            }
            Err(Errno(errno)) => Outcome::errno(errno),
        }
    }
}

impl Open {
    fn made(self, context: &Context, call: &Call, made: Made) -> Outcome {
        match made {
            Made::Opened(fd) => opened(fd, self.how),
            Made::Impossible => Outcome::Reply(Reply::ContinueUnderFloor),
            Made::Failed(Errno(errno)) => Outcome::errno(errno),
            Made::Stopped(stop, vain) => stop.outcome(context, call, self, vain),
            Made::Changed(granted) => restart(self, context, call, granted),
        }
    }

    fn existing(self, context: &Context, (call, view): (&Call, &View<'_>), held: Held, granted: Granted) -> Outcome {
        let how = self.how;
        if let Err(Errno(errno)) = refusal(&held, how) {
            return Outcome::errno(errno);
        }
        if held.kind() == FileType::Symlink {
            return Outcome::Reply(Reply::ContinueUnderFloor);
        }
        let path = match held.named() {
            Ok(Named::Path(path)) => path,
            // The floor lets objects without a name through, and judges an unlinked one where it was.
            Ok(Named::Nameless) => return Outcome::Reply(Reply::ContinueUnderFloor),
            Ok(Named::Unlinked) if held.passed.is_some() => std::path::PathBuf::new(),
            Ok(Named::Unlinked) if held.jumped => return Outcome::Reply(Reply::ContinueUnderFloor),
            Ok(Named::Unlinked) => return restart(self, context, call, granted),
            Err(Errno(libc::ENAMETOOLONG)) => return Outcome::Reply(Reply::ContinueUnderFloor),
            Err(Errno(errno)) => return Outcome::errno(errno),
        };
        if how.is_unnamed() {
            let made = create::unnamed(context, (call, view), (&held, &path), how, granted);
            return self.made(context, call, made);
        }
        if let Some(permit) = devices::held_already(view, &held, how) {
            return reopen::act(context, call, (held, path), (how, Granted::held(permit)));
        }
        match devices::classify(context, &held, &path) {
            Device::CallersOwn => return Outcome::Reply(Reply::ContinueUnderFloor),
            Device::TerminalOfRun(permit) => {
                return reopen::act(context, call, (held, path), (how, Granted::held(permit)));
            }
            Device::ForeignTerminal(denial) => return context.refuse(call, &denial),
            Device::Other => {}
        }
        match proc::process_of(&held, &path) {
            Ok(Some(pid)) => return of_process(context, (call, view), (held, path, pid), how),
            Ok(None) => {}
            Err(Errno(errno)) => return Outcome::errno(errno),
        }
        let granted = match judge(context, call, &needs(&path, how), granted) {
            Ok(granted) => granted,
            Err(stop) => return stop.outcome(context, call, self, permitted(&held, how)),
        };
        if let Some(reply) = synthetic::file(context, &held, how) {
            return reply;
        }
        reopen::act(context, call, (held, path), (how, granted))
    }
}

/// A file of `/proc/PID`. Who may read what of a process is the kernel's to say, and it must say it
/// of the caller: all that is opened here are the few settings of the run's own processes that the
/// kernel checks again at each write.
fn of_process(
    context: &Context,
    (call, view): (&Call, &View<'_>),
    (held, path, pid): (Held, std::path::PathBuf, i32),
    how: How,
) -> Outcome {
    if how.writes() && proc::is_setting(&path) && view.in_run(pid) {
        return reopen::act(context, call, (held, path), (how, Granted::held(Permit::held_already())));
    }
    let access = if how.writes() { Access::Write(&path, Change::Existing) } else { Access::Read(&path) };
    match context.judge(&access, call) {
        Verdict::Allow(_) => Outcome::Reply(Reply::ContinueUnderFloor),
        Verdict::Deny(denial) => context.refuse(call, &denial),
        // A yes could not take effect, so nothing is asked.
        Verdict::Ask(question) => context.refuse(
            call,
            &Denial {
                operation: question.operation,
                target: question.target,
                rule: None,
                errno: libc::EACCES,
                finality: Finality::Open,
            },
        ),
    }
}

/// What an open of an existing file has to be allowed.
fn needs(path: &std::path::Path, how: How) -> Vec<Need> {
    let write = how.writes().then(|| Need::write(path, Change::Existing));
    let read = how.reads().then(|| Need::read(path));
    write.into_iter().chain(read).collect()
}

/// The errno of an open that fails whatever the policy says: then nothing is asked.
fn refusal(held: &Held, how: How) -> Result<(), Errno> {
    if how.has(libc::O_CREAT | libc::O_EXCL) {
        return Err(Errno(libc::EEXIST));
    }
    match held.kind() {
        FileType::Symlink => Ok(()),
        FileType::Directory if how.has(libc::O_CREAT) || how.writes() && !how.is_unnamed() => Err(Errno(libc::EISDIR)),
        FileType::Directory => Ok(()),
        _ if how.has(libc::O_DIRECTORY) => Err(Errno(libc::ENOTDIR)),
        FileType::Socket => Err(Errno(libc::ENXIO)),
        _ => Ok(()),
    }
}

/// Do mode bits and mount let the caller open this?
fn permitted(held: &Held, how: How) -> Result<(), Errno> {
    let read = if how.reads() { libc::R_OK } else { 0 };
    let write = if how.writes() { libc::W_OK } else { 0 };
    Ok(files::access(std::os::fd::AsFd::as_fd(&held.fd), read | write)?)
}

/// The descriptor as the caller asked for it.
pub(super) fn opened(fd: std::os::fd::OwnedFd, how: How) -> Outcome {
    Outcome::Reply(Reply::Fd { fd, cloexec: how.has(libc::O_CLOEXEC) })
}
