//! The hot path of an open: does the floor decide it anyway?
//!
//! A permitted open costs four system calls in all: receive, copy the path, prove it, reply. The proof is
//! an `openat2` that meets no link, or, of a path that was proven twice within a tenth of a second, a look
//! whether it still leads to the same inode. A relative path is one more: the kernel alone knows where
//! it starts, and a remembered answer would be another directory's as soon as the number is used again.
//! A directory is one more too, its `close`. None of them can go: without the copy nothing is known, without
//! the proof a link could lead above the floor, where the broker has to act (I8).
//!
//! Allocates nothing (but beneath a rule that was moved) and holds nothing. What it says is no judgement: a yes lets the kernel
//! resolve and decide again by itself (I2), so a wrong yes can only refuse.

use std::ffi::{CStr, OsStr};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD};

use super::resolve::flag_bits;
use super::spelling::{self, PATH_MAX, Spelling};
use super::view::int;
use crate::sandbox::{Rights, Ruled};
use crate::supervisor::{Call, Context, PathBuffer};
use crate::sys::files::{self, OpenHow};

/// What an open needs of the floor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) rights: Rights,
    /// `O_CREAT`: a name may be made.
    pub(super) creates: bool,
    /// Neither `O_EXCL` nor `O_NOFOLLOW`: a link at the end is followed.
    pub(super) follows: bool,
}

/// The purpose of proofs that a rule of the floor is bound to what stands at its path; no open's.
const BOUND: u64 = u64::MAX;

impl Wanted {
    /// Opens of one path that differ in nothing else that counts have equal purposes.
    fn purpose(self) -> u64 {
        u64::from(self.rights.bits()) << 2 | u64::from(self.creates) << 1 | u64::from(self.follows)
    }
}

/// Would the kernel decide this open by itself: because the floor covers what it reaches, or
/// because it fails before the floor is asked?
pub(super) fn decides(context: &Context, call: &Call, dirfd: u64, path: &PathBuffer, wanted: Wanted) -> bool {
    let mut raw = [0; PATH_MAX];
    let Some(spelled) = absolute(call, int(dirfd), path, &mut raw) else { return false };
    let (proven, span) = (context.files().proven(), context.files().span(context.moment()));
    let key = proven.key(spelled.to_bytes(), wanted.purpose(), span);
    let remembered = proven.inode(key);
    if remembered == Some(BROKERED) {
        // As a moment ago: what the floor decided would be the same.
        return false;
    }
    // Looked at before the proof: what is put there in between is another inode, and proven anew.
    let now = if proven.again(key) { leads_to(spelled, wanted) } else { None };
    if now.is_some() && now == remembered {
        return true;
    }
    match prove(context, spelled, wanted) {
        Proof::Of => {
            if let Some(inode) = now {
                proven.keep(key, inode);
            }
            true
        }
        Proof::Fails => true,
        Proof::None => {
            proven.keep(key, BROKERED);
            false
        }
    }
}

/// In the place of an inode: nothing of the floor covers the path. The broker's answer is right also
/// where that has changed.
const BROKERED: (u64, u64) = (u64::MAX, u64::MAX);

/// Why the kernel may decide an open by itself.
enum Proof {
    /// The floor covers what is there.
    Of,
    /// It fails, or makes a name where the floor decides.
    Fails,
    None,
}

impl Proof {
    fn of(covered: bool) -> Self {
        if covered { Self::Of } else { Self::None }
    }

    fn fails(fails: bool) -> Self {
        if fails { Self::Fails } else { Self::None }
    }
}

/// Device and inode behind the path: the object that an earlier proof was of, or another.
fn leads_to(spelled: &CStr, wanted: Wanted) -> Option<(u64, u64)> {
    let at = if wanted.follows { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
    rustix::fs::statat(CWD, spelled, at).ok().map(|stat| (stat.st_dev, stat.st_ino))
}

fn prove(context: &Context, spelled: &CStr, wanted: Wanted) -> Proof {
    // Few places may be written under the floor, and links to them are rare: there the broker
    // acts, which comes to the same.
    if wanted.rights != Rights::READ && !could_cover(context, spelled.to_bytes(), wanted.rights) {
        return Proof::None;
    }
    // Asked for a directory, the kernel walks the whole path and then makes no descriptor for a file, so that
    // there is none to close. The other way to this error, a file in the middle, fails for the caller too.
    match open(spelled, libc::O_DIRECTORY, libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS) {
        Ok(_) | Err(libc::ENOTDIR) => {
            let mut spelling = Spelling::new();
            let covered = spelling.push(spelled.to_bytes()) && covered(context, spelling.finish(), wanted.rights);
            Proof::of(covered)
        }
        Err(libc::ELOOP) if wanted.follows => through_links(context, spelled, wanted),
        Err(libc::ENOENT) if wanted.creates => Proof::fails(makes_under_floor(context, spelled, wanted.rights)),
        Err(libc::ENOENT | libc::EACCES) => Proof::fails(!wanted.creates),
        Err(_) => Proof::None,
    }
}

/// Does a rule of the floor that still is bound to its inode give `rights` at the real `path`?
pub(super) fn covered(context: &Context, path: &[u8], rights: Rights) -> bool {
    rule(context, path, rights).is_some()
}

/// Does a rule give `rights` at `path` as it is spelled?
fn could_cover(context: &Context, path: &[u8], rights: Rights) -> bool {
    let mut spelling = Spelling::new();
    spelling.push(path) && {
        let path = Path::new(OsStr::from_bytes(spelling.finish()));
        context.floor().covers(path, rights).is_some()
    }
}

/// The rule that gives `rights` at the real `path`, if it still is bound to the inode there.
pub(super) fn rule<'a>(context: &'a Context, path: &[u8], rights: Rights) -> Option<&'a Ruled> {
    if is_special(context, path) {
        return None;
    }
    let path = Path::new(OsStr::from_bytes(path));
    match context.floor().covers(path, rights) {
        // A pattern denies names that were not there when its matches were looked for.
        Some(_) if context.floor().is_patterned() && !context.policy().may_read(path) => None,
        Some(ruled) => bound(context, ruled, &ruled.path),
        None => moved_rule(context, path, rights),
    }
}

/// A rule that stands at or above `path` since what it is bound to was moved there. The new name may be denied.
fn moved_rule<'a>(context: &'a Context, path: &Path, rights: Rights) -> Option<&'a Ruled> {
    let (place, inode) = context.files().moved_above(path)?;
    let mut rules = context.floor().rules().iter();
    let ruled = rules.find(|rule| (rule.dev, rule.ino) == inode && rule.rights.contains(rights))?;
    let may = rights == Rights::READ && context.policy().may_read(path);
    bound(context, ruled, &place).filter(|_| may)
}

/// The rule, if what stands at `place` is what it was bound to.
fn bound<'a>(context: &Context, ruled: &'a Ruled, place: &Path) -> Option<&'a Ruled> {
    let files = context.files();
    let key = files.proven().key(place.as_os_str().as_bytes(), BOUND, files.span(context.moment()));
    if files.proven().inode(key) == Some((ruled.dev, ruled.ino)) {
        return Some(ruled);
    }
    let now = rustix::fs::statat(CWD, place, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let bound = (now.st_dev, now.st_ino) == (ruled.dev, ruled.ino);
    if bound {
        files.proven().keep(key, (ruled.dev, ruled.ino));
    }
    bound.then_some(ruled)
}

/// Files that the broker answers for although the floor may cover them.
fn is_special(context: &Context, path: &[u8]) -> bool {
    path.starts_with(b"/dev/pt")
        || context.files().resolver_files().iter().any(|special| special.as_os_str().as_bytes() == path)
}

/// Writes `path` behind the text of the directory that it starts at.
fn absolute<'a>(call: &Call, dirfd: i32, path: &PathBuffer, raw: &'a mut [u8; PATH_MAX]) -> Option<&'a CStr> {
    let bytes = path.bytes();
    let mut length = 0;
    if bytes.is_empty() {
        return None;
    }
    if bytes[0] != b'/' {
        length = base_text(call.tid, dirfd, raw)?;
        raw[length] = b'/';
        length += 1;
    }
    let end = length + bytes.len();
    if end >= PATH_MAX {
        return None;
    }
    raw[length..end].copy_from_slice(bytes);
    raw[end] = 0;
    CStr::from_bytes_until_nul(&raw[..=end]).ok()
}

/// The name of the caller's working directory or of the directory `dirfd`; leaves room for more.
fn base_text(tid: i32, dirfd: i32, raw: &mut [u8; PATH_MAX]) -> Option<usize> {
    let mut link = [0; 64];
    let link = if dirfd == libc::AT_FDCWD {
        write_path(&mut link, format_args!("/proc/{tid}/cwd"))?
    } else {
        write_path(&mut link, format_args!("/proc/{tid}/fd/{dirfd}"))?
    };
    let length = read_link(CWD.as_fd(), link, raw)?;
    (length > 0 && length < PATH_MAX - 2 && raw[0] == b'/').then_some(length)
}

fn write_path<'a>(buffer: &'a mut [u8], text: std::fmt::Arguments<'_>) -> Option<&'a CStr> {
    use std::io::Write;
    let mut rest = &mut buffer[..];
    rest.write_fmt(text).ok()?;
    CStr::from_bytes_until_nul(buffer).ok()
}

fn read_link(dir: BorrowedFd<'_>, link: &CStr, into: &mut [u8; PATH_MAX]) -> Option<usize> {
    let mut text = [MaybeUninit::<u8>::uninit(); PATH_MAX];
    let (text, _) = rustix::fs::readlinkat_raw(dir, link, &mut text).ok()?;
    into[..text.len()].copy_from_slice(text);
    Some(text.len())
}

fn open(path: &CStr, flags: i32, resolve: u64) -> Result<OwnedFd, i32> {
    let how = OpenHow { flags: flag_bits(libc::O_PATH | libc::O_CLOEXEC | flags), mode: 0, resolve };
    files::openat2(files::at_cwd(), path, &how).map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))
}

/// Links are followed by the kernel, but no link of `/proc`, which would be our own.
fn through_links(context: &Context, path: &CStr, wanted: Wanted) -> Proof {
    let mut name = [0; PATH_MAX];
    match follow(path, &mut name) {
        Ok((_, real)) => Proof::of(covered(context, real, wanted.rights)),
        Err(libc::ENOENT) => Proof::fails(!wanted.creates && is_missing(path)),
        Err(_) => Proof::None,
    }
}

/// Opens `path` through links, and gives its real name; never anything of `/proc`.
fn follow<'a>(path: &CStr, name: &'a mut [u8; PATH_MAX]) -> Result<(OwnedFd, &'a [u8]), i32> {
    let held = open(path, 0, libc::RESOLVE_NO_MAGICLINKS)?;
    let length = read_link(CWD.as_fd(), &files::descriptor_path(held.as_fd()), name).ok_or(libc::EIO)?;
    let real = &name[..length];
    if real.starts_with(b"/") && !real.starts_with(b"/proc/") { Ok((held, real)) } else { Err(libc::EIO) }
}

/// Does nothing stand at `path`, in a directory that is the same for every caller?
fn is_missing(path: &CStr) -> bool {
    let split = spelling::split(path.to_bytes());
    let (mut raw, mut real) = ([0; PATH_MAX], [0; PATH_MAX]);
    raw[..split.directory.len()].copy_from_slice(split.directory);
    let Ok(directory) = CStr::from_bytes_until_nul(&raw) else { return false };
    let Ok((held, _)) = follow(directory, &mut real) else { return false };
    let there = rustix::fs::statat(&held, OsStr::from_bytes(split.name), AtFlags::SYMLINK_NOFOLLOW);
    matches!(there, Err(rustix::io::Errno::NOENT))
}

/// Nothing stands at `path`: does the floor cover making it?
fn makes_under_floor(context: &Context, path: &CStr, rights: Rights) -> bool {
    let split = spelling::split(path.to_bytes());
    if spelling::is_dots(split.name) || !split.slashes.is_empty() {
        return false;
    }
    directory_rule(context, split.directory, rights | Rights::CHANGE) == Directory::Covered
}

/// Would the kernel decide a call that makes or takes the name `path` by itself?
pub(super) fn decides_name(context: &Context, call: &Call, dirfd: u64, path: &PathBuffer) -> bool {
    let mut raw = [0; PATH_MAX];
    let Some(spelled) = absolute(call, int(dirfd), path, &mut raw) else { return false };
    let split = spelling::split(spelled.to_bytes());
    if !could_cover(context, split.directory, Rights::CHANGE) {
        return false;
    }
    match directory_rule(context, split.directory, Rights::CHANGE) {
        Directory::Covered | Directory::Fails => true,
        Directory::NotCovered => false,
    }
}

/// The same for a call with two names: one rule has to cover both, or moving would change rights.
pub(super) fn decides_two(context: &Context, call: &Call, old: (u64, &PathBuffer), new: (u64, &PathBuffer)) -> bool {
    let ruled = |(dirfd, path): (u64, &PathBuffer)| {
        let mut raw = [0; PATH_MAX];
        let spelled = absolute(call, int(dirfd), path, &mut raw)?;
        let directory = spelling::split(spelled.to_bytes()).directory;
        if !could_cover(context, directory, Rights::ALL) {
            return None;
        }
        let mut spelling = Spelling::new();
        let directory = real_directory(directory, &mut spelling).ok()?;
        rule(context, directory, Rights::ALL)
    };
    let Some(from) = ruled(old) else { return false };
    ruled(new).is_some_and(|to| std::ptr::eq(from, to))
}

#[derive(Debug, PartialEq, Eq)]
enum Directory {
    Covered,
    NotCovered,
    /// There is none: every call that names something in it fails before the floor is asked.
    Fails,
}

fn directory_rule(context: &Context, directory: &[u8], rights: Rights) -> Directory {
    let mut spelling = Spelling::new();
    match real_directory(directory, &mut spelling) {
        Ok(real) if covered(context, real, rights) => Directory::Covered,
        Err(libc::ENOENT | libc::ENOTDIR | libc::EACCES) => Directory::Fails,
        _ => Directory::NotCovered,
    }
}

/// The real path of the absolute `directory`, if no link is met on the way.
fn real_directory<'a>(directory: &[u8], spelling: &'a mut Spelling) -> Result<&'a [u8], i32> {
    let mut raw = [0; PATH_MAX];
    raw[..directory.len()].copy_from_slice(directory);
    let path = CStr::from_bytes_until_nul(&raw).map_err(|_| libc::ENAMETOOLONG)?;
    open(path, libc::O_DIRECTORY, libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS)?;
    if spelling.push(directory) { Ok(spelling.finish()) } else { Err(libc::ENAMETOOLONG) }
}
