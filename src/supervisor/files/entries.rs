//! Calls that make or take one name: mkdir, mknod, symlink, unlink, rmdir.

use std::ffi::CString;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, Stat};

use super::birth;
use super::create::{entry_path, may_change};
use super::decide::{Granted, Job, Need, judge, restart};
use super::errno::Errno;
use super::proc;
use super::quick;
use super::record;
use super::resolve::Entry;
use super::view::{Spelled, View, low};
use crate::policy::Change;
use crate::supervisor::{Call, Context, Outcome, PathBuffer, Reply};
use crate::sys::{files, thread};

/// What happens to a name.
#[derive(Debug)]
enum Deed {
    MakeDirectory { mode: u32 },
    MakeNode { mode: u32 },
    MakeLink { target: CString },
    Unlink,
    RemoveDirectory,
}

impl Deed {
    fn makes(&self) -> bool {
        !matches!(self, Self::Unlink | Self::RemoveDirectory)
    }
}

/// `AT_FDCWD` as a register.
pub(super) const AT_CWD: u64 = 0xffff_ff9c;

#[cfg(target_arch = "x86_64")]
pub(super) fn mkdir(context: &Context, call: &Call) -> Outcome {
    let mode = low(call.args[1]);
    serve(context, call, (AT_CWD, call.args[0]), Deed::MakeDirectory { mode })
}

pub(super) fn mkdirat(context: &Context, call: &Call) -> Outcome {
    let mode = low(call.args[2]);
    serve(context, call, (call.args[0], call.args[1]), Deed::MakeDirectory { mode })
}

#[cfg(target_arch = "x86_64")]
pub(super) fn mknod(context: &Context, call: &Call) -> Outcome {
    node(context, call, (AT_CWD, call.args[0]), low(call.args[1]))
}

pub(super) fn mknodat(context: &Context, call: &Call) -> Outcome {
    node(context, call, (call.args[0], call.args[1]), low(call.args[2]))
}

/// Devices are refused: a device node is a way around every path rule.
fn node(context: &Context, call: &Call, at: (u64, u64), mode: u32) -> Outcome {
    match mode & libc::S_IFMT {
        0 | libc::S_IFREG | libc::S_IFIFO | libc::S_IFSOCK => serve(context, call, at, Deed::MakeNode { mode }),
        libc::S_IFDIR => Outcome::errno(libc::EPERM),
        libc::S_IFCHR | libc::S_IFBLK => Outcome::errno(libc::EPERM),
        _ => Outcome::errno(libc::EINVAL),
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) fn symlink(context: &Context, call: &Call) -> Outcome {
    link(context, call, call.args[0], (AT_CWD, call.args[1]))
}

pub(super) fn symlinkat(context: &Context, call: &Call) -> Outcome {
    link(context, call, call.args[0], (call.args[1], call.args[2]))
}

fn link(context: &Context, call: &Call, target: u64, at: (u64, u64)) -> Outcome {
    let mut buffer = PathBuffer::new();
    if let Err(errno) = call.read_path(target, &mut buffer) {
        return Outcome::errno(errno);
    }
    if buffer.bytes().is_empty() {
        return Outcome::errno(libc::ENOENT);
    }
    serve(context, call, at, Deed::MakeLink { target: buffer.with_nul().to_owned() })
}

#[cfg(target_arch = "x86_64")]
pub(super) fn unlink(context: &Context, call: &Call) -> Outcome {
    serve(context, call, (AT_CWD, call.args[0]), Deed::Unlink)
}

#[cfg(target_arch = "x86_64")]
pub(super) fn rmdir(context: &Context, call: &Call) -> Outcome {
    serve(context, call, (AT_CWD, call.args[0]), Deed::RemoveDirectory)
}

pub(super) fn unlinkat(context: &Context, call: &Call) -> Outcome {
    let deed = match low(call.args[2]).cast_signed() {
        0 => Deed::Unlink,
        libc::AT_REMOVEDIR => Deed::RemoveDirectory,
        _ => return Outcome::errno(libc::EINVAL),
    };
    serve(context, call, (call.args[0], call.args[1]), deed)
}

fn serve(context: &Context, call: &Call, (dirfd, address): (u64, u64), deed: Deed) -> Outcome {
    let mut path = PathBuffer::new();
    if let Err(errno) = call.read_path(address, &mut path) {
        return Outcome::errno(errno);
    }
    if quick::decides_name(context, call, dirfd, &path) {
        return Outcome::Reply(Reply::ContinueUnderFloor);
    }
    match Spelled::take(call, dirfd, &path, 0) {
        Ok(spelled) => Name { spelled, deed }.attempt(context, call, Granted::default()),
        Err(Errno(errno)) => Outcome::errno(errno),
    }
}

/// One name to be made or taken above the floor.
struct Name {
    spelled: Spelled,
    deed: Deed,
}

impl Job for Name {
    fn attempt(self, context: &Context, call: &Call, granted: Granted) -> Outcome {
        let moment = context.files().now();
        let view = match View::new(context, call) {
            Ok(view) => view,
            Err(Errno(errno)) => return Outcome::errno(errno),
        };
        let found = match self.spelled.entry(&view) {
            // `.`, `..` and `/`: the kernel knows which errno each call has for them.
            Ok(None) => return Outcome::Reply(Reply::ContinueUnderFloor),
            Ok(Some(entry)) if matches!(proc::on_procfs(&entry.parent), Ok(true)) => {
                return Outcome::Reply(Reply::ContinueUnderFloor);
            }
            Ok(Some(entry)) => entry_path(&entry).map(|paths| (entry, paths)),
            Err(errno) => Err(errno),
        };
        let (entry, (path, parent)) = match found {
            Ok(found) => found,
            Err(Errno(errno)) => return Outcome::errno(errno),
        };
        let granted = match judge(context, call, &needs(context, &path, &self.deed), granted) {
            Ok(granted) => granted,
            Err(stop) => {
                let vain = refusal(&entry, &self.deed);
                return stop.outcome(context, call, self, vain);
            }
        };
        let umask = view.caller.umask();
        let making = context.files().making();
        if !context.files().still_named(&entry.parent, &parent, moment) {
            drop(making);
            return restart(self, context, call, granted);
        }
        if !context.still_waiting(call) {
            return Outcome::errno(libc::EINTR);
        }
        if !self.deed.makes() && matches!(standing(&entry), Ok(Some(victim)) if is_device(&victim)) {
            return Outcome::errno(libc::EPERM);
        }
        match make(context, (&entry, &path), &self.deed, umask) {
            Ok(()) if self.deed.makes() => record::created_at(context, path),
            Ok(()) => {
                // What is made there again is another inode than a rule of the floor was bound to.
                let bound = context.floor().rules().binary_search_by(|rule| rule.path.as_path().cmp(&path)).is_ok();
                if bound || context.files().moved_above(&path).is_some_and(|(place, _)| place == path) {
                    context.files().moved();
                }
                record::deleted(context, path);
            }
            Err(Errno(errno)) => return Outcome::errno(errno),
        }
        Outcome::Reply(Reply::Value(0))
    }
}

fn needs(context: &Context, path: &Path, deed: &Deed) -> Vec<Need> {
    let change = if deed.makes() { Change::Create } else { Change::Existing };
    let mut needs = vec![Need::write(path, change)];
    if let Deed::MakeLink { .. } = deed {
        needs.extend(beneath_link(context, path));
    }
    needs
}

/// A symbolic link called `.git` makes `.git/hooks` lead to a place that no rule speaks of, so it
/// takes what writing there takes.
pub(super) fn beneath_link(context: &Context, link: &Path) -> impl Iterator<Item = Need> {
    context.policy().beneath_link(link).into_iter().map(|path| Need::write(&path, Change::Create))
}

/// What stands at `entry` now, links not followed.
pub(super) fn standing(entry: &Entry) -> Result<Option<Stat>, Errno> {
    let name = entry.name.to_bytes();
    let end = name.iter().position(|byte| *byte == b'/').unwrap_or(name.len());
    match rustix::fs::statat(&entry.parent.fd, &name[..end], AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// A device is for everybody: being allowed to write to it is not being allowed to take its name.
pub(super) fn is_device(stat: &Stat) -> bool {
    matches!(FileType::from_raw_mode(stat.st_mode), FileType::CharacterDevice | FileType::BlockDevice)
}

/// Does the sticky bit keep us from taking `victim` out of `directory`? Root has the capability
/// to, or is refused when it acts.
pub(super) fn sticky_refuses(directory: &Stat, victim: &Stat) -> bool {
    let me = rustix::process::geteuid().as_raw();
    let sticky = directory.st_mode & Mode::SVTX.as_raw_mode() != 0;
    sticky && me != 0 && me != victim.st_uid && me != directory.st_uid
}

/// The errno of a call that fails whatever the policy says, in the kernel's order.
fn refusal(entry: &Entry, deed: &Deed) -> Result<(), Errno> {
    let slashes = entry.name.to_bytes().ends_with(b"/");
    let standing = standing(entry)?;
    if deed.makes() {
        if standing.is_some() {
            return Err(Errno(libc::EEXIST));
        }
        if slashes && !matches!(deed, Deed::MakeDirectory { .. }) {
            return Err(Errno(libc::ENOENT));
        }
        return may_change(&entry.parent);
    }
    let allowed = may_change(&entry.parent);
    if allowed == Err(Errno(libc::EROFS)) {
        return allowed;
    }
    let victim = standing.ok_or(Errno(libc::ENOENT))?;
    let removes_directory = matches!(deed, Deed::RemoveDirectory);
    if !removes_directory && slashes {
        return Err(Errno(if is_directory(&victim) { libc::EISDIR } else { libc::ENOTDIR }));
    }
    allowed?;
    if sticky_refuses(&entry.parent.stat, &victim) {
        return Err(Errno(libc::EPERM));
    }
    match (removes_directory, is_directory(&victim)) {
        (true, false) => Err(Errno(libc::ENOTDIR)),
        (false, true) => Err(Errno(libc::EISDIR)),
        _ => Ok(()),
    }
}

fn make(context: &Context, (entry, path): (&Entry, &Path), deed: &Deed, umask: u32) -> Result<(), Errno> {
    if let Deed::MakeDirectory { mode } = deed {
        let mode = Mode::from_raw_mode(mode & 0o1777 & !umask);
        if birth::directory(context, mode, (&entry.parent, &entry.name), path)? {
            return Ok(());
        }
    }
    thread::with_umask(umask, || act(entry, deed))
}

fn act(entry: &Entry, deed: &Deed) -> Result<(), Errno> {
    let (parent, name) = (entry.parent.fd.as_fd(), entry.name.as_c_str());
    match deed {
        Deed::MakeDirectory { mode } => rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(*mode))?,
        Deed::MakeNode { mode } => files::make_node(parent, name, *mode)?,
        Deed::MakeLink { target } => rustix::fs::symlinkat(target.as_c_str(), parent, name)?,
        Deed::Unlink => rustix::fs::unlinkat(parent, name, AtFlags::empty())?,
        Deed::RemoveDirectory => rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?,
    }
    Ok(())
}
