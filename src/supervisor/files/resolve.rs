//! Resolves a path as the kernel would for the calling thread, holding every directory on the way.
//!
//! Owns spelling, symbolic links, `.` and `..`, trailing slashes and `openat2`'s `resolve` flags.
//! It decides nothing, opens nothing but `O_PATH`, and never follows a link of our own process:
//! `/proc/self` is the caller's.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatVfsMountFlags, StatxFlags};

use super::errno::Errno;
use super::held::Held;
use super::proc::{self, Link};
use super::spelling::{self, Split};
use crate::sys::files::{self, OpenHow};

/// As the kernel's `MAXSYMLINKS`.
const MAX_LINKS: u32 = 40;

/// Whoever resolves: a thread of the run, seen from here.
pub(crate) trait Viewer {
    fn tid(&self) -> i32;
    fn tgid(&self) -> i32;
    /// Is this process or thread of the run?
    fn in_run(&self, pid: i32) -> bool;
    /// The caller's open descriptor `number`, duplicated.
    fn descriptor(&self, number: i32) -> Option<OwnedFd>;
}

/// What happens at the last component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// A symbolic link is followed; something must be there.
    Follow,
    /// A symbolic link is the object, unless a slash follows it.
    Keep,
    /// As `Follow`, but nothing need be there (`O_CREAT`).
    FollowOrMissing,
    /// As `Keep`, but nothing need be there (`O_CREAT|O_EXCL`, `O_CREAT|O_NOFOLLOW`).
    KeepOrMissing,
}

impl Last {
    fn follows(self) -> bool {
        matches!(self, Self::Follow | Self::FollowOrMissing)
    }

    fn may_be_missing(self) -> bool {
        matches!(self, Self::FollowOrMissing | Self::KeepOrMissing)
    }
}

/// A name in a held directory, whatever stands there.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) parent: Held,
    /// As spelled: one component, with any trailing slashes.
    pub(crate) name: CString,
}

/// Where a path leads.
#[derive(Debug)]
pub(crate) enum Landing {
    Object(Held),
    /// Only the last component does not exist.
    Missing(Entry),
}

/// Where relative paths start and how far links may lead: one call's `dirfd` and `resolve` flags.
#[derive(Debug)]
pub(crate) struct Origin {
    /// `None` for an absolute path, which needs none.
    pub(crate) base: Option<OwnedFd>,
    /// `RESOLVE_*` of `openat2`, 0 for every other call.
    pub(crate) resolve: u64,
}

const NO_XDEV: u64 = libc::RESOLVE_NO_XDEV;
const NO_MAGICLINKS: u64 = libc::RESOLVE_NO_MAGICLINKS;
const NO_SYMLINKS: u64 = libc::RESOLVE_NO_SYMLINKS;
const BENEATH: u64 = libc::RESOLVE_BENEATH;
const IN_ROOT: u64 = libc::RESOLVE_IN_ROOT;

/// Resolves `path` to the object it names, or to the place where one can be made.
pub(crate) fn resolve(viewer: &dyn Viewer, origin: &Origin, path: &CStr, last: Last) -> Result<Landing, Errno> {
    if path.is_empty() {
        return Err(Errno(libc::ENOENT));
    }
    if last.may_be_missing() && names_a_directory(path) {
        return entry(viewer, origin, path).and(Err(Errno(libc::EISDIR)));
    }
    let base = origin.base.as_ref().map_or(files::at_cwd(), AsFd::as_fd);
    let nofollow = if last.follows() { 0 } else { libc::O_NOFOLLOW };
    match open_plainly(base, path, nofollow, origin.resolve) {
        Ok(fd) => Held::new(fd).map(Landing::Object),
        Err(Errno(libc::ELOOP)) if origin.resolve & NO_SYMLINKS == 0 => walk(viewer, origin, path, last),
        Err(Errno(libc::ENOENT)) if last.may_be_missing() => {
            let Split { directory, name, .. } = spelling::split(path.to_bytes());
            if spelling::is_dots(name) {
                return Err(Errno(libc::ENOENT));
            }
            let parent = open_plainly(base, &directory_of(directory)?, libc::O_DIRECTORY, origin.resolve)?;
            Ok(Landing::Missing(Entry { parent: Held::new(parent)?, name: spelling::c_string(name)? }))
        }
        Err(errno) => Err(errno),
    }
}

/// Resolves `path` to the object it names.
pub(crate) fn object(viewer: &dyn Viewer, origin: &Origin, path: &CStr, last: Last) -> Result<Held, Errno> {
    match resolve(viewer, origin, path, last)? {
        Landing::Object(held) => Ok(held),
        Landing::Missing(_) => Err(Errno(libc::ENOENT)),
    }
}

/// Resolves all but the last component of `path`, for calls that make, take or move a name. `None`
/// where the last component is no name (`.`, `..`, `/`): the kernel refuses each such call by itself.
pub(crate) fn entry(viewer: &dyn Viewer, origin: &Origin, path: &CStr) -> Result<Option<Entry>, Errno> {
    if path.is_empty() {
        return Err(Errno(libc::ENOENT));
    }
    let Split { directory, name, slashes } = spelling::split(path.to_bytes());
    if spelling::is_dots(name) {
        return Ok(None);
    }
    let parent = object(viewer, origin, &directory_of(directory)?, Last::Follow)?;
    if !parent.is_directory() {
        return Err(Errno(libc::ENOTDIR));
    }
    let name = spelling::c_string(&[name, slashes].concat())?;
    Ok(Some(Entry { parent, name }))
}

/// Does a slash follow the last name? `O_CREAT` makes no directories.
fn names_a_directory(path: &CStr) -> bool {
    let Split { name, slashes, .. } = spelling::split(path.to_bytes());
    !slashes.is_empty() && !spelling::is_dots(name)
}

/// The directory part of a split path as one that can be opened.
fn directory_of(directory: &[u8]) -> Result<CString, Errno> {
    spelling::c_string(if directory.is_empty() { b"." } else { directory })
}

/// The kernel's own resolution, where no symbolic link is met: then nothing depends on whose
/// `/proc/self` it is.
fn open_plainly(base: BorrowedFd<'_>, path: &CStr, flags: i32, resolve: u64) -> Result<OwnedFd, Errno> {
    let how = OpenHow {
        flags: flag_bits(libc::O_PATH | libc::O_CLOEXEC | flags),
        mode: 0,
        resolve: resolve | NO_SYMLINKS | NO_MAGICLINKS,
    };
    Ok(files::openat2(base, path, &how)?)
}

pub(super) fn flag_bits(flags: i32) -> u64 {
    u64::from(flags.cast_unsigned())
}

/// One resolution, component by component.
struct Walk<'a> {
    viewer: &'a dyn Viewer,
    resolve: u64,
    /// Where `/` and too many `..` lead: the base for scoped lookups.
    root: OwnedFd,
    at: Held,
    rest: Vec<u8>,
    links: u32,
    /// The mount that `RESOLVE_NO_XDEV` keeps to.
    mount: Option<u64>,
    /// Did the walk already need the root? Where not, the kernel takes an absolute link for one
    /// that leaves the mount.
    met_root: bool,
}

pub(super) fn walk(viewer: &dyn Viewer, origin: &Origin, path: &CStr, last: Last) -> Result<Landing, Errno> {
    let absolute = path.to_bytes().starts_with(b"/");
    let resolve = origin.resolve;
    if absolute && resolve & BENEATH != 0 {
        return Err(Errno(libc::EXDEV));
    }
    let top = || {
        let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::DIRECTORY;
        rustix::fs::open("/", flags, Mode::empty())
    };
    let base = || origin.base.as_ref().ok_or(Errno(libc::EBADF))?.try_clone().map_err(Errno::from);
    let root = if resolve & (BENEATH | IN_ROOT) != 0 { base()? } else { top()? };
    let start = if absolute && resolve & IN_ROOT == 0 { top()? } else { base()? };
    let at = Held::new(start)?;
    let mount = if resolve & NO_XDEV != 0 { Some(mount_of(at.fd.as_fd())?) } else { None };
    let walk = Walk { viewer, resolve, root, at, rest: path.to_bytes().to_vec(), links: 0, mount, met_root: absolute };
    walk.run(last)
}

impl Walk<'_> {
    fn run(mut self, last: Last) -> Result<Landing, Errno> {
        loop {
            let slashes = self.rest.iter().take_while(|byte| **byte == b'/').count();
            if slashes == self.rest.len() {
                let as_directory = slashes > 0;
                if as_directory && !self.at.is_directory() {
                    return Err(Errno(libc::ENOTDIR));
                }
                return Ok(Landing::Object(self.at));
            }
            if !self.at.is_directory() {
                return Err(Errno(libc::ENOTDIR));
            }
            let mut name = self.rest.split_off(slashes);
            let length = name.iter().position(|byte| *byte == b'/').unwrap_or(name.len());
            self.rest = name.split_off(length);
            if let Some(entry) = self.step(spelling::c_string(&name)?, last)? {
                return Ok(Landing::Missing(entry));
            }
        }
    }

    /// Takes one component; `rest` is what follows it. Gives the place where nothing stands, if
    /// that is allowed.
    fn step(&mut self, name: CString, last: Last) -> Result<Option<Entry>, Errno> {
        match name.to_bytes() {
            b"." => {
                open_here(&self.at, &name)?;
                return Ok(None);
            }
            b".." => return self.up().map(|()| None),
            _ => {}
        }
        let ends = self.rest.is_empty();
        if last.may_be_missing() && !ends && self.rest.iter().all(|byte| *byte == b'/') {
            return Err(Errno(libc::EISDIR));
        }
        let next = match open_here(&self.at, &name) {
            Ok(fd) => Held::new(fd)?,
            Err(Errno(libc::ENOENT)) if ends && last.may_be_missing() => {
                let parent = Held::new(self.at.fd.try_clone()?)?;
                return Ok(Some(Entry { parent, name }));
            }
            Err(errno) => return Err(errno),
        };
        if next.kind() == FileType::Symlink && (!ends || last.follows()) {
            return self.follow(&name, &next).map(|()| None);
        }
        self.go(next).map(|()| None)
    }

    fn go(&mut self, next: Held) -> Result<(), Errno> {
        if let Some(mount) = self.mount
            && mount_of(next.fd.as_fd())? != mount
        {
            return Err(Errno(libc::EXDEV));
        }
        self.at = next;
        Ok(())
    }

    fn up(&mut self) -> Result<(), Errno> {
        if self.resolve & (BENEATH | IN_ROOT) != 0 && self.at_scope()? {
            return if self.resolve & BENEATH != 0 { Err(Errno(libc::EXDEV)) } else { Ok(()) };
        }
        self.met_root = true;
        let parent = open_here(&self.at, c"..")?;
        self.go(Held::new(parent)?)
    }

    /// Does the walk stand where a scoped lookup began?
    fn at_scope(&self) -> Result<bool, Errno> {
        let scope = rustix::fs::fstat(&self.root)?;
        Ok(self.at.is(&scope) && mount_of(self.at.fd.as_fd())? == mount_of(self.root.as_fd())?)
    }

    fn follow(&mut self, name: &CStr, link: &Held) -> Result<(), Errno> {
        if self.resolve & NO_SYMLINKS != 0 || self.links >= MAX_LINKS {
            return Err(Errno(libc::ELOOP));
        }
        self.links += 1;
        may_follow(&self.at, link)?;
        match proc::link(self.viewer, &self.at, name, link)? {
            Link::Text(target) => self.splice(&target),
            Link::Object(_) if self.resolve & NO_MAGICLINKS != 0 => Err(Errno(libc::ELOOP)),
            Link::Object(_) if self.resolve & (BENEATH | IN_ROOT) != 0 => Err(Errno(libc::EXDEV)),
            Link::Object(object) => self.go(object),
        }
    }

    fn splice(&mut self, target: &[u8]) -> Result<(), Errno> {
        if target.is_empty() {
            return Err(Errno(libc::ENOENT));
        }
        if target.starts_with(b"/") {
            if self.resolve & BENEATH != 0 {
                return Err(Errno(libc::EXDEV));
            }
            if self.mount.is_some() && !self.met_root {
                return Err(Errno(libc::EXDEV));
            }
            self.met_root = true;
            self.go(Held::new(self.root.try_clone()?)?)?;
        }
        let mut rest = target.to_vec();
        rest.append(&mut self.rest);
        self.rest = rest;
        Ok(())
    }
}

fn open_here(directory: &Held, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(&directory.fd, name, flags, Mode::empty())?)
}

pub(super) fn mount_of(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    Ok(rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?.stx_mnt_id)
}

/// What the kernel checks before it follows a link: the mount option and `fs.protected_symlinks`.
fn may_follow(directory: &Held, link: &Held) -> Result<(), Errno> {
    const NOSYMFOLLOW: u64 = 0x2000;
    let mount = rustix::fs::fstatvfs(&directory.fd)?;
    if mount.f_flag.contains(StatVfsMountFlags::from_bits_retain(NOSYMFOLLOW)) {
        return Err(Errno(libc::ELOOP));
    }
    let shared = Mode::SVTX.as_raw_mode() | Mode::WOTH.as_raw_mode();
    let owner = link.stat.st_uid;
    let trusted = directory.stat.st_mode & shared != shared
        || owner == rustix::process::geteuid().as_raw()
        || owner == directory.stat.st_uid;
    if trusted || !proc::symlinks_are_protected() { Ok(()) } else { Err(Errno(libc::EACCES)) }
}
