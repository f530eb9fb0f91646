//! Replacing a small file as a whole: under a lock, through a temporary file, or not at all.
//!
//! Everything happens relative to one directory descriptor, which also carries the lock, so a
//! directory that is moved or replaced meanwhile cannot lead a write astray.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

/// Larger files are not settings.
pub(crate) const LARGEST: u64 = 1 << 20;

/// How long to wait for another writer. A lock can be taken by whoever may read the directory, so
/// waiting has an end.
const PATIENCE: Duration = Duration::from_secs(10);

/// May the last component of a path be a symbolic link?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    Follow,
    Refuse,
}

/// The content of a file with what has to stay the same when it is replaced.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    mode: Mode,
    owner: (u32, u32),
}

/// A directory, locked against other writers until it is dropped.
#[derive(Debug)]
pub(crate) struct Locked {
    directory: OwnedFd,
}

impl Locked {
    /// Opens and locks the directory (`man 2 flock`). `TimedOut` if another writer keeps it.
    pub(crate) fn open(directory: &Path, links: Links) -> io::Result<Self> {
        let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        if links == Links::Refuse {
            flags |= OFlags::NOFOLLOW;
        }
        let directory = rustix::fs::openat(CWD, directory, flags, Mode::empty())?;
        let since = Instant::now();
        let mut pause = Duration::from_micros(200);
        loop {
            match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { directory }),
                Err(Errno::AGAIN) if since.elapsed() < PATIENCE => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(20));
                }
                Err(Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The file's content; `None` if there is no such file.
    pub(crate) fn read(&self, name: &str) -> io::Result<Option<Content>> {
        read_at(&self.directory, Path::new(name), Links::Refuse)
    }

    /// Puts `bytes` in the place of the file `name`: afterwards it has the old content or the new.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8], old: Option<&Content>, mode: Mode) -> io::Result<()> {
        // The lock is held: a file of this name is what a writer left behind when it was killed.
        let temporary = format!(".{name}.askance-new");
        match rustix::fs::unlinkat(&self.directory, temporary.as_str(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, temporary.as_str(), flags, mode)?;
        let written = fill(File::from(file), bytes, old).and_then(|()| {
            rustix::fs::renameat(&self.directory, temporary.as_str(), &self.directory, name)?;
            rustix::fs::fsync(&self.directory)?;
            Ok(())
        });
        if written.is_err() {
            // What failed is reported; the leftover is removed by the next writer at the latest.
            let _ = rustix::fs::unlinkat(&self.directory, temporary.as_str(), AtFlags::empty());
        }
        written
    }
}

fn fill(mut file: File, bytes: &[u8], old: Option<&Content>) -> io::Result<()> {
    if let Some(old) = old {
        let metadata = rustix::fs::fstat(&file)?;
        if (metadata.st_uid, metadata.st_gid) != old.owner {
            let (uid, gid) = old.owner;
            let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
            match rustix::fs::fchown(&file, Some(uid), Some(gid)) {
                // Not root: the file becomes the writer's, as with any editor.
                Ok(()) | Err(Errno::PERM) => {}
                Err(error) => return Err(error.into()),
            }
        }
        rustix::fs::fchmod(&file, old.mode)?;
    }
    file.write_all(bytes)?;
    file.sync_all()
}

/// Reads a whole regular file; `None` if there is none of this name.
pub(crate) fn read_at(directory: impl rustix::fd::AsFd, path: &Path, links: Links) -> io::Result<Option<Content>> {
    // NONBLOCK: a FIFO in the place of a settings file must not hold anybody up.
    let mut flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    if links == Links::Refuse {
        flags |= OFlags::NOFOLLOW;
    }
    let file = match rustix::fs::openat(directory, path, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let metadata = rustix::fs::fstat(&file)?;
    match FileType::from_raw_mode(metadata.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(io::ErrorKind::IsADirectory.into()),
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
    if u64::try_from(metadata.st_size).is_ok_and(|size| size > LARGEST) {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = Vec::new();
    File::from(file).take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mode = Mode::from_raw_mode(metadata.st_mode & 0o7777);
    Ok(Some(Content { bytes, mode, owner: (metadata.st_uid, metadata.st_gid) }))
}

impl Content {
    pub(crate) fn uid(&self) -> u32 {
        self.owner.0
    }

    /// Can anybody but the owner write it?
    pub(crate) fn writable_by_others(&self) -> bool {
        self.mode.intersects(Mode::WGRP | Mode::WOTH)
    }

    pub(crate) fn mode_bits(&self) -> u32 {
        self.mode.as_raw_mode()
    }
}
