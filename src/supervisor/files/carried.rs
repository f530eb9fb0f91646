//! What a moved object or directory takes along: names that rules speak of, at both ends.

use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};

use super::bound;
use super::decide::Need;
use super::entries::is_directory;
use super::errno::Errno;
use super::resolve::Entry;
use crate::policy::{Access, Beneath, Change, Facts, Inspect, Policy, UnixName, Verdict};
use crate::supervisor::Context;

/// Names looked at beneath a moved directory; with more, the caller is told `EXDEV` and copies.
const INSPECTED_MAX: usize = 100_000;

/// What the moved object itself needs beyond its two names: a file that may not be read must not
/// be moved to where it may.
pub(super) fn itself(context: &Context, from: &Path, to: &Path) -> Option<Need> {
    freed(&context.policy(), context.facts(), from, to)
}

/// What lies beneath the moved directory needs: whatever a rule guards at its old name, for moving
/// it away makes room for another, and whatever one guards at its new name.
pub(super) fn beneath(
    context: &Context,
    (entry, from): (&Entry, &Path),
    to: &Path,
    beneath: &Beneath,
) -> Result<Vec<Need>, Errno> {
    let policy = context.policy();
    let facts = AsMoved { facts: context.facts(), from, to };
    let carried = |rest: &Path| carried(&policy, &facts, &from.join(rest), &to.join(rest));
    let mut needs = Vec::new();
    for path in &beneath.restricted {
        let rest = path.strip_prefix(from).or_else(|_| path.strip_prefix(to)).unwrap_or(path);
        if rustix::fs::statat(CWD, from.join(rest), AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            needs.extend(carried(rest));
        }
    }
    if beneath.inspect == Inspect::Nothing {
        return Ok(needs);
    }
    let mut inspected = 0;
    let mut open = vec![(directory(entry)?, PathBuf::new())];
    while let Some((at, rest)) = open.pop() {
        for (name, is_directory) in listing(&at)? {
            inspected += 1;
            if inspected > INSPECTED_MAX {
                return Err(Errno(libc::EXDEV));
            }
            let rest = rest.join(&name);
            let met = if beneath.inspect == Inspect::Everything || policy.could_mean(&name) {
                carried(&rest)
            } else {
                Vec::new()
            };
            // What guards a directory guards what lies in it.
            if is_directory && met.is_empty() {
                open.push((subdirectory(&at, &name)?, rest));
            }
            needs.extend(met);
        }
    }
    Ok(needs)
}

fn carried(policy: &Policy, facts: &AsMoved<'_>, from: &Path, to: &Path) -> Vec<Need> {
    let mut needs = Vec::new();
    if !is_allowed(policy, facts.facts, &Access::Write(from, Change::Existing)) {
        needs.push(Need::write(from, Change::Existing));
    }
    if !is_allowed(policy, facts, &Access::Write(to, Change::Create)) {
        needs.push(Need::write(to, Change::Create));
    }
    needs.extend(freed(policy, facts.facts, from, to));
    needs
}

/// A file that may not be read, and is not moved within what is denied as a whole. A pattern that denies both
/// names is not enough: the floor of this run or of another may cover the new place, and a search for matches
/// must not miss one because it moves.
fn freed(policy: &Policy, facts: &dyn Facts, from: &Path, to: &Path) -> Option<Need> {
    let guarded = !is_allowed(policy, facts, &Access::Read(from));
    let around = from.ancestors().skip(1).find(|above| to.starts_with(above)).unwrap_or(from);
    let kept = || [around, to].iter().all(|path| keeps_rule(policy, &Access::Read(from), &Access::Read(path)));
    (guarded && !kept()).then(|| Need::read(from))
}

fn is_allowed(policy: &Policy, facts: &dyn Facts, access: &Access<'_>) -> bool {
    matches!(policy.judge(access, facts), Verdict::Allow(_))
}

/// What the run made, as it will be when `from` is called `to`: its own repository stays its own.
struct AsMoved<'a> {
    facts: &'a dyn Facts,
    from: &'a Path,
    to: &'a Path,
}

impl AsMoved<'_> {
    fn before(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.to).map_or_else(|_| path.to_owned(), |rest| bound::beneath(self.from, rest))
    }
}

impl Facts for AsMoved<'_> {
    fn entry_born_in_run(&self, top: &Path) -> bool {
        self.facts.entry_born_in_run(&self.before(top))
    }

    fn repository_born_in_run(&self, git_dir: &Path) -> bool {
        self.facts.repository_born_in_run(&self.before(git_dir))
    }

    fn listens(&self, address: IpAddr, port: u16) -> bool {
        self.facts.listens(address, port)
    }

    fn socket_born_in_run(&self, name: &UnixName) -> bool {
        self.facts.socket_born_in_run(name)
    }
}

/// Does the same rule decide both?
fn keeps_rule(policy: &Policy, old: &Access<'_>, new: &Access<'_>) -> bool {
    policy.deciding_rule(old).is_some_and(|rule| policy.deciding_rule(new) == Some(rule))
}

fn directory(entry: &Entry) -> Result<OwnedFd, Errno> {
    let name = entry.name.to_bytes();
    let end = name.iter().position(|byte| *byte == b'/').unwrap_or(name.len());
    subdirectory(&entry.parent.fd, OsStr::from_bytes(&name[..end]))
}

fn subdirectory(parent: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
}

fn listing(directory: &OwnedFd) -> Result<Vec<(OsString, bool)>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if matches!(name.as_bytes(), b"." | b"..") {
            continue;
        }
        let is_directory = match entry.file_type() {
            FileType::Unknown => is_directory(&rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?),
            kind => kind == FileType::Directory,
        };
        names.push((name.to_owned(), is_directory));
    }
    Ok(names)
}
