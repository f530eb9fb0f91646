//! `rename`, `renameat`, `renameat2`: both names judged, and whatever the move carries along.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, Stat};

use super::create::{entry_path, may_change};
use super::decide::{Granted, Job, Need, judge};
#[cfg(target_arch = "x86_64")]
use super::entries::AT_CWD;
use super::entries::{beneath_link, is_device, is_directory, standing, sticky_refuses};
use super::errno::Errno;
use super::held::Held;
use super::resolve::{Entry, mount_of};
use super::view::{Spelled, View, low};
use super::{bound, carried, quick, record};
use crate::policy::{Beneath, Change};
use crate::sandbox::Rights;
use crate::supervisor::{Call, Context, Outcome, PathBuffer, Reply};
use crate::sys::files;

const NOREPLACE: u32 = libc::RENAME_NOREPLACE;
const EXCHANGE: u32 = libc::RENAME_EXCHANGE;
const WHITEOUT: u32 = libc::RENAME_WHITEOUT;

#[cfg(target_arch = "x86_64")]
pub(super) fn rename(context: &Context, call: &Call) -> Outcome {
    serve(context, call, (AT_CWD, call.args[0]), (AT_CWD, call.args[1]), 0)
}

pub(super) fn renameat(context: &Context, call: &Call) -> Outcome {
    serve(context, call, (call.args[0], call.args[1]), (call.args[2], call.args[3]), 0)
}

pub(super) fn renameat2(context: &Context, call: &Call) -> Outcome {
    let flags = low(call.args[4]);
    let excludes = flags & EXCHANGE != 0 && flags & (NOREPLACE | WHITEOUT) != 0;
    if flags & !(NOREPLACE | EXCHANGE | WHITEOUT) != 0 || excludes {
        return Outcome::errno(libc::EINVAL);
    }
    // A whiteout is a device node.
    if flags & WHITEOUT != 0 {
        return Outcome::errno(libc::EPERM);
    }
    serve(context, call, (call.args[0], call.args[1]), (call.args[2], call.args[3]), flags)
}

fn serve(context: &Context, call: &Call, old: (u64, u64), new: (u64, u64), flags: u32) -> Outcome {
    let (mut from, mut to) = (PathBuffer::new(), PathBuffer::new());
    let read = call.read_path(old.1, &mut from).and_then(|()| call.read_path(new.1, &mut to));
    if let Err(errno) = read {
        return Outcome::errno(errno);
    }
    if quick::decides_two(context, call, (old.0, &from), (new.0, &to)) {
        return Outcome::Reply(Reply::ContinueUnderFloor);
    }
    match Spelled::take_two(call, (old.0, &from), (new.0, &to)) {
        Ok((old, new)) => Rename { old, new, flags }.attempt(context, call, Granted::default()),
        Err(Errno(errno)) => Outcome::errno(errno),
    }
}

/// A rename that the floor does not decide.
struct Rename {
    old: Spelled,
    new: Spelled,
    flags: u32,
}

/// One of the two names, and what stands there.
#[derive(Debug)]
pub(super) struct End {
    pub(super) entry: Entry,
    pub(super) path: PathBuf,
    pub(super) standing: Option<Stat>,
}

impl End {
    fn of(entry: Entry) -> Result<Self, Errno> {
        let (path, _) = entry_path(&entry)?;
        let standing = standing(&entry)?;
        Ok(Self { entry, path, standing })
    }

    fn is_directory(&self) -> bool {
        self.standing.as_ref().is_some_and(is_directory)
    }

    fn is_link(&self) -> bool {
        self.standing.as_ref().is_some_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFLNK)
    }
}

impl Job for Rename {
    fn attempt(self, context: &Context, call: &Call, granted: Granted) -> Outcome {
        let entries = View::new(context, call).and_then(|view| {
            // `.`, `..` and `/`: the kernel refuses, and knows what it looks at first.
            let Some(old) = self.old.entry(&view)? else { return Ok(None) };
            Ok(self.new.entry(&view)?.map(|new| (old, new)))
        });
        let (old, new) = match entries {
            Ok(Some(entries)) => entries,
            Ok(None) => return Outcome::Reply(Reply::ContinueUnderFloor),
            Err(Errno(errno)) => return Outcome::errno(errno),
        };
        // From here no name of this run changes but by us, so paths read now are the paths moved.
        let moving = context.files().moving();
        let ends = End::of(old).and_then(|old| Ok((old, End::of(new)?)));
        let (old, new) = match ends.and_then(|(old, new)| guard(&old, &new).map(|()| (old, new))) {
            Ok(ends) => ends,
            Err(Errno(errno)) => return Outcome::errno(errno),
        };
        if is_same(&old, &new) && refusal(&old, &new, self.flags).is_ok() {
            return Outcome::Reply(Reply::Value(0));
        }
        let exchanged = self.flags & EXCHANGE != 0;
        let (needs, way) = match plan(context, (&old, &new), exchanged) {
            Ok(planned) => planned,
            Err(carried) => {
                let Errno(errno) = refusal(&old, &new, self.flags).err().unwrap_or(carried);
                return Outcome::errno(errno);
            }
        };
        let _granted = match judge(context, call, &needs, granted) {
            Ok(granted) => granted,
            Err(stop) => {
                let vain = refusal(&old, &new, self.flags);
                drop(moving);
                return stop.outcome(context, call, self, vain);
            }
        };
        if !context.still_waiting(call) {
            return Outcome::errno(libc::EINTR);
        }
        match act(&old, &new, (self.flags, way)) {
            Ok(()) => conclude(context, old, new, exchanged),
            Err(Errno(errno)) => return Outcome::errno(errno),
        }
        Outcome::Reply(Reply::Value(0))
    }
}

/// How something is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By its names.
    Names,
    /// By a link to the very object that was judged, because something else could take its name.
    Object,
}

/// What the move needs, and how it is made.
fn plan(context: &Context, (old, new): (&End, &End), exchanged: bool) -> Result<(Vec<Need>, Way), Errno> {
    let (mut all, way) = needs(context, old, new)?;
    if exchanged {
        let (more, other) = needs(context, new, old)?;
        if way == Way::Object || other == Way::Object {
            return Err(Errno(libc::EXDEV));
        }
        all.extend(more);
    }
    Ok((all, way))
}

/// Two names of one file: the kernel does nothing.
fn is_same(old: &End, new: &End) -> bool {
    let identity = |end: &End| end.standing.as_ref().map(|stat| (stat.st_dev, stat.st_ino));
    identity(old) == identity(new)
}

/// What is not moved whatever the policy says.
fn guard(old: &End, new: &End) -> Result<(), Errno> {
    if old.standing.is_none() {
        return refusal_of_mounts(old, new).and(Err(Errno(libc::ENOENT)));
    }
    let devices = [old, new].into_iter().filter_map(|end| end.standing.as_ref()).any(is_device);
    if devices { Err(Errno(libc::EPERM)) } else { Ok(()) }
}

fn refusal_of_mounts(old: &End, new: &End) -> Result<(), Errno> {
    let (from, to) = (&old.entry.parent.fd, &new.entry.parent.fd);
    let same = mount_of(from.as_fd())? == mount_of(to.as_fd())?;
    if same { Ok(()) } else { Err(Errno(libc::EXDEV)) }
}

/// The errno of a rename that fails whatever the policy says, in the kernel's order.
fn refusal(old: &End, new: &End, flags: u32) -> Result<(), Errno> {
    let (from, to) = (&old.entry.parent, &new.entry.parent);
    refusal_of_mounts(old, new)?;
    let allowed = may_change(from).and_then(|()| may_change(to));
    if allowed == Err(Errno(libc::EROFS)) {
        return allowed;
    }
    let source = old.standing.as_ref().ok_or(Errno(libc::ENOENT))?;
    match &new.standing {
        Some(_) if flags & NOREPLACE != 0 => return Err(Errno(libc::EEXIST)),
        None if flags & EXCHANGE != 0 => return Err(Errno(libc::ENOENT)),
        _ => {}
    }
    let slashes = |end: &End| end.entry.name.to_bytes().ends_with(b"/");
    let exchanges = flags & EXCHANGE != 0;
    if !old.is_directory() && (slashes(old) || !exchanges && slashes(new)) {
        return Err(Errno(libc::ENOTDIR));
    }
    if exchanges && !new.is_directory() && slashes(new) {
        return Err(Errno(libc::ENOTDIR));
    }
    if is_same(old, new) {
        return Ok(());
    }
    if old.is_directory() && new.path.starts_with(&old.path) {
        return Err(Errno(libc::EINVAL));
    }
    if old.path.starts_with(&new.path) {
        return Err(Errno(if exchanges { libc::EINVAL } else { libc::ENOTEMPTY }));
    }
    allowed?;
    let target = new.standing.as_ref();
    if sticky_refuses(&from.stat, source) || target.is_some_and(|target| sticky_refuses(&to.stat, target)) {
        return Err(Errno(libc::EPERM));
    }
    match (exchanges, old.is_directory(), target.map(is_directory)) {
        (false, true, Some(false)) => Err(Errno(libc::ENOTDIR)),
        (false, false, Some(true)) => Err(Errno(libc::EISDIR)),
        _ => Ok(()),
    }
}

/// What moving `from` to `to` needs, in this direction.
fn needs(context: &Context, from: &End, to: &End) -> Result<(Vec<Need>, Way), Errno> {
    let Some(moved) = &from.standing else { return Ok((Vec::new(), Way::Names)) };
    let change = if to.standing.is_some() { Change::Existing } else { Change::Create };
    let mut needs = vec![Need::write(&from.path, Change::Existing), Need::write(&to.path, change)];
    if bound::refuses_tree(context, (&from.path, moved), &to.path) {
        return Err(Errno(libc::EXDEV));
    }
    if from.is_link() {
        needs.extend(beneath_link(context, &to.path));
    }
    needs.extend(carried::itself(context, &from.path, &to.path));
    let beneath = context.policy().beneath_rename(&from.path, &to.path);
    if beneath == Beneath::default() {
        return Ok((needs, Way::Names));
    }
    match (from.is_directory(), changes_unseen(context, from)) {
        // What lies in it can change until the move happens, so nothing can be said of it: the
        // caller copies, and each name is judged as it is made.
        (true, true) => return Err(Errno(libc::EXDEV)),
        (true, false) => needs.extend(carried::beneath(context, (&from.entry, &from.path), &to.path, &beneath)?),
        (false, true) => return Ok((needs, Way::Object)),
        (false, false) => {}
    }
    Ok((needs, Way::Names))
}

/// Does the floor let the run change names around `end` without the broker?
fn changes_unseen(context: &Context, end: &End) -> bool {
    let parent = end.path.parent().unwrap_or(Path::new("/"));
    let free = |path: &Path| context.floor().covers(path, Rights::CHANGE).is_some();
    free(parent) || end.is_directory() && free(&end.path)
}

fn act(old: &End, new: &End, (flags, way): (u32, Way)) -> Result<(), Errno> {
    let flags = RenameFlags::from_bits_retain(flags);
    let (from, to) = (&old.entry, &new.entry);
    match way {
        Way::Names => Ok(rustix::fs::renameat_with(&from.parent.fd, &from.name, &to.parent.fd, &to.name, flags)?),
        Way::Object => move_object(old, to, flags),
    }
}

/// Gives the object judged as `old` its new name by a link to its descriptor, then takes the old
/// name away if it still is that object's.
fn move_object(old: &End, to: &Entry, flags: RenameFlags) -> Result<(), Errno> {
    let copy = Errno(libc::EXDEV);
    let pin = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let object = Held::new(rustix::fs::openat(&old.entry.parent.fd, &old.entry.name, pin, Mode::empty())?)?;
    if object.is_directory() || !old.standing.as_ref().is_some_and(|judged| object.is(judged)) {
        return Err(copy);
    }
    let path = files::descriptor_path(object.fd.as_fd());
    let aside = format!(".askance-{:x}-{:x}", object.stat.st_ino, std::process::id());
    rustix::fs::linkat(CWD, &path, &to.parent.fd, &aside, AtFlags::SYMLINK_FOLLOW).map_err(|_| copy)?;
    if let Err(error) = rustix::fs::renameat_with(&to.parent.fd, &aside, &to.parent.fd, &to.name, flags) {
        let _ = rustix::fs::unlinkat(&to.parent.fd, &aside, AtFlags::empty());
        return Err(error.into());
    }
    if matches!(standing(&old.entry), Ok(Some(still)) if object.is(&still)) {
        let _ = rustix::fs::unlinkat(&old.entry.parent.fd, &old.entry.name, AtFlags::empty());
    }
    Ok(())
}

fn conclude(context: &Context, old: End, new: End, exchanged: bool) {
    let files = context.files();
    let rules = context.floor().rules();
    if exchanged {
        let aside = new.path.join("\u{0}");
        files.move_rules(rules, &new.path, &aside);
        files.move_rules(rules, &old.path, &new.path);
        files.move_rules(rules, &aside, &old.path);
    } else {
        files.move_rules(rules, &old.path, &new.path);
    }
    if old.is_directory() || new.is_directory() {
        files.moved();
    }
    if exchanged {
        record::exchanged(context, old.path, new.path);
    } else {
        record::renamed(context, old.path, new.path);
    }
}
