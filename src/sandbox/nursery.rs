//! Empty directories and files that carry a rule of the floor before anything is in them.
//!
//! A directory that holds something denied is split, and the kernel binds rules to inodes: what a run
//! makes in such a directory has no rule, so it could be read through the broker but never executed.
//! There a new directory or file is one of these, renamed into place.
//!
//! The policy keeps the run's commands out of the directory that they wait in.

use std::ffi::CStr;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::directories::{PrivateDirectory, unused_name};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, StatxFlags};
use rustix::io::Errno;

/// So many of each kind. What is made afterwards can be executed by the next run.
const EACH: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Newborn {
    Directory,
    File,
}

impl Newborn {
    const ALL: [Self; 2] = [Self::Directory, Self::File];

    fn name(self, number: usize) -> String {
        match self {
            Self::Directory => format!("d{number}"),
            Self::File => format!("f{number}"),
        }
    }
}

/// The ones that nobody has taken yet.
#[derive(Debug)]
pub struct Nursery {
    directory: OwnedFd,
    taken: [AtomicUsize; 2],
    home: PathBuf,
}

impl Nursery {
    /// Where to make one from which names can be moved into `workspace`: in the first of `places` that is
    /// on the same mount.
    pub fn place(workspace: &Path, places: &[&Path]) -> io::Result<PathBuf> {
        let mount = mount_of(workspace)?;
        let same = |place: &&&Path| mount_of(place).is_ok_and(|found| found == mount);
        unused_name(places.iter().find(same).ok_or(io::ErrorKind::CrossesDevices)?)
    }

    /// Makes one, and the directory whose end is its own.
    pub fn make(home: &Path) -> io::Result<(Self, PrivateDirectory)> {
        let made = PrivateDirectory::make(home)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, home, flags, Mode::empty())?;
        for number in 0..EACH {
            rustix::fs::mkdirat(&directory, Newborn::Directory.name(number), Mode::RWXU)?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            rustix::fs::openat(&directory, Newborn::File.name(number), flags, Mode::RUSR | Mode::WUSR)?;
        }
        Ok((Self { directory, taken: Default::default(), home: home.to_owned() }, made))
    }

    /// All that wait in the nursery at `path`.
    pub(super) fn everyone(path: &Path) -> impl Iterator<Item = PathBuf> {
        (0..EACH).flat_map(move |number| Newborn::ALL.map(|kind| path.join(kind.name(number))))
    }

    /// Moves a directory to `name` in `parent`, with this mode, and gives the path that its rule was
    /// bound at. `Ok(None)`: it has to be made in the ordinary way.
    pub fn directory(&self, mode: Mode, to: (BorrowedFd<'_>, &CStr)) -> Result<Option<PathBuf>, Errno> {
        let Some(waiting) = self.take(Newborn::Directory, to) else { return Ok(None) };
        self.leave(&waiting, mode, to)
    }

    /// As [`Nursery::directory`] for a file, opened with these flags.
    pub fn file(
        &self,
        mode: Mode,
        flags: OFlags,
        to: (BorrowedFd<'_>, &CStr),
    ) -> Result<Option<(OwnedFd, PathBuf)>, Errno> {
        let Some(waiting) = self.take(Newborn::File, to) else { return Ok(None) };
        // Before it has its mode: who makes a file that nobody may write may write it.
        let Ok(fd) = rustix::fs::openat(&self.directory, &waiting, flags | OFlags::NOFOLLOW, Mode::empty()) else {
            return Ok(None);
        };
        Ok(self.leave(&waiting, mode, to)?.map(|place| (fd, place)))
    }

    fn take(&self, kind: Newborn, (parent, _): (BorrowedFd<'_>, &CStr)) -> Option<String> {
        if inherits(parent) {
            return None;
        }
        let number = self.taken[kind as usize].fetch_add(1, Ordering::Relaxed);
        (number < EACH).then(|| kind.name(number))
    }

    fn leave(
        &self,
        waiting: &str,
        mode: Mode,
        (parent, name): (BorrowedFd<'_>, &CStr),
    ) -> Result<Option<PathBuf>, Errno> {
        if rustix::fs::chmodat(&self.directory, waiting, mode, AtFlags::empty()).is_err() {
            return Ok(None);
        }
        match rustix::fs::renameat_with(&self.directory, waiting, parent, name, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(Some(self.home.join(waiting))),
            Err(Errno::EXIST) => Err(Errno::EXIST),
            Err(_) => Ok(None),
        }
    }
}

/// Does what is made in this directory take more from it than its place? Then it has to be made there.
fn inherits(directory: BorrowedFd<'_>) -> bool {
    let set_group = rustix::fs::fstat(directory).map_or(true, |stat| stat.st_mode & Mode::SGID.as_raw_mode() != 0);
    set_group || rustix::fs::fgetxattr(directory, "system.posix_acl_default", &mut [0_u8; 0][..]).is_ok()
}

/// Device and mount: names can be moved only within both.
fn mount_of(path: &Path) -> io::Result<(u32, u32, u64)> {
    let found = rustix::fs::statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::MNT_ID)?;
    if FileType::from_raw_mode(found.stx_mode.into()) != FileType::Directory {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok((found.stx_dev_major, found.stx_dev_minor, found.stx_mnt_id))
}
