//! Hard links: a second name for an object, judged as access to the object and to the new name.

use std::os::fd::AsFd;
use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD, FileType, Mode};

use super::create::{entry_path, may_change};
use super::decide::{Granted, Job, Need, judge, restart};
#[cfg(target_arch = "x86_64")]
use super::entries::AT_CWD;
use super::entries::{beneath_link, standing};
use super::errno::Errno;
use super::held::{Held, Named};
use super::resolve::{Entry, Last, mount_of};
use super::view::{Spelled, View, low};
use super::{bound, quick, record};
use crate::policy::Change;
use crate::supervisor::{Call, Context, Outcome, PathBuffer, Reply};
use crate::sys::files;

#[cfg(target_arch = "x86_64")]
pub(super) fn link(context: &Context, call: &Call) -> Outcome {
    serve(context, call, (AT_CWD, call.args[0]), (AT_CWD, call.args[1]), 0)
}

pub(super) fn linkat(context: &Context, call: &Call) -> Outcome {
    let flags = low(call.args[4]).cast_signed();
    serve(context, call, (call.args[0], call.args[1]), (call.args[2], call.args[3]), flags)
}

fn serve(context: &Context, call: &Call, old: (u64, u64), new: (u64, u64), flags: i32) -> Outcome {
    if flags & !(libc::AT_SYMLINK_FOLLOW | libc::AT_EMPTY_PATH) != 0 {
        return Outcome::errno(libc::EINVAL);
    }
    let (mut from, mut to) = (PathBuffer::new(), PathBuffer::new());
    let read = call.read_path(old.1, &mut from).and_then(|()| call.read_path(new.1, &mut to));
    if let Err(errno) = read {
        return Outcome::errno(errno);
    }
    if flags == 0 && quick::decides_two(context, call, (old.0, &from), (new.0, &to)) {
        return Outcome::Reply(Reply::ContinueUnderFloor);
    }
    match Spelled::take_two(call, (old.0, &from), (new.0, &to)) {
        Ok((old, new)) => Link { old, new, flags }.attempt(context, call, Granted::default()),
        Err(Errno(errno)) => Outcome::errno(errno),
    }
}

/// A link that the floor does not decide.
struct Link {
    old: Spelled,
    new: Spelled,
    flags: i32,
}

/// Both ends of one pass, held.
struct Ends {
    object: Held,
    /// `None` for a file that has no name yet (`O_TMPFILE`).
    object_path: Option<PathBuf>,
    entry: Entry,
    path: PathBuf,
    parent: PathBuf,
}

impl Link {
    fn find(&self, view: &View<'_>) -> Result<Option<Ends>, Errno> {
        let object = if self.old.is_empty() && self.flags & libc::AT_EMPTY_PATH != 0 {
            self.old.base_object()?
        } else {
            let follows = self.flags & libc::AT_SYMLINK_FOLLOW != 0;
            self.old.object(view, if follows { Last::Follow } else { Last::Keep })?
        };
        let Some(entry) = self.new.entry(view)? else { return Ok(None) };
        let object_path = match object.named()? {
            Named::Path(path) => Some(path),
            Named::Unlinked => None,
            Named::Nameless => return Err(Errno(libc::EXDEV)),
        };
        let (path, parent) = entry_path(&entry)?;
        Ok(Some(Ends { object, object_path, entry, path, parent }))
    }
}

impl Job for Link {
    fn attempt(self, context: &Context, call: &Call, granted: Granted) -> Outcome {
        let moment = context.files().now();
        let found = View::new(context, call).and_then(|view| self.find(&view));
        let ends = match found {
            Ok(Some(ends)) => ends,
            Ok(None) => return Outcome::Reply(Reply::ContinueUnderFloor),
            Err(Errno(errno)) => return Outcome::errno(errno),
        };
        let granted = match judge(context, call, &needs(context, &ends), granted) {
            Ok(granted) => granted,
            Err(stop) => return stop.outcome(context, call, self, refusal(&ends)),
        };
        if bound::refuses(context, &ends.object.stat, &ends.path) {
            return Outcome::errno(libc::EXDEV);
        }
        let making = context.files().making();
        let state = context.files();
        let same = ends.object_path.as_ref().is_none_or(|path| state.still_named(&ends.object, path, moment));
        if !same || !state.still_named(&ends.entry.parent, &ends.parent, moment) {
            drop(making);
            return restart(self, context, call, granted);
        }
        if !context.still_waiting(call) {
            return Outcome::errno(libc::EINTR);
        }
        let object = files::descriptor_path(ends.object.fd.as_fd());
        let parent = &ends.entry.parent.fd;
        match rustix::fs::linkat(CWD, object, parent, &ends.entry.name, AtFlags::SYMLINK_FOLLOW) {
            Ok(()) => record::created_at(context, ends.path),
            Err(error) => return Outcome::errno(error.raw_os_error()),
        }
        Outcome::Reply(Reply::Value(0))
    }
}

/// The errno of a link that fails whatever the policy says.
fn refusal(ends: &Ends) -> Result<(), Errno> {
    let Ends { object, entry, .. } = ends;
    if standing(entry)?.is_some() {
        return Err(Errno(libc::EEXIST));
    }
    if entry.name.to_bytes().ends_with(b"/") {
        return Err(Errno(libc::ENOENT));
    }
    if mount_of(object.fd.as_fd())? != mount_of(entry.parent.fd.as_fd())? {
        return Err(Errno(libc::EXDEV));
    }
    may_link(object)?;
    may_change(&entry.parent)
}

/// A link must not give a denied or unwritable file a new, granted name.
fn needs(context: &Context, ends: &Ends) -> Vec<Need> {
    let mut needs = Vec::new();
    if let Some(object) = &ends.object_path {
        needs.extend([Need::read(object), Need::write(object, Change::Existing)]);
    }
    needs.push(Need::write(&ends.path, Change::Create));
    if ends.object.kind() == FileType::Symlink {
        needs.extend(beneath_link(context, &ends.path));
    }
    needs
}

/// What the kernel asks before it links: no directories, and with `fs.protected_hardlinks` only
/// what the caller owns, or may read and write and is not privileged.
fn may_link(object: &Held) -> Result<(), Errno> {
    if object.is_directory() {
        return Err(Errno(libc::EPERM));
    }
    let me = rustix::process::geteuid().as_raw();
    if me == 0 || me == object.stat.st_uid {
        return Ok(());
    }
    let privileged = object.stat.st_mode & (Mode::SUID | Mode::SGID).as_raw_mode() != 0;
    let safe = object.kind() == FileType::RegularFile
        && !privileged
        && files::access(object.fd.as_fd(), libc::R_OK | libc::W_OK).is_ok();
    if safe { Ok(()) } else { Err(Errno(libc::EPERM)) }
}
