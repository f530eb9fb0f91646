//! Where a report goes. Found before the command runs and held by descriptor: names that the command puts in the way
//! lead it nowhere else.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, fstat, openat, statat, unlinkat};
use rustix::io::Errno;

/// The place of one report.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    held: Held,
}

#[derive(Debug)]
enum Held {
    /// A terminal, a pipe, an open file without a name: written as it is.
    Open(File),
    /// A file's directory and name, and the file that bears it, if there is one.
    Named { directory: OwnedFd, name: OsString, file: Option<File> },
}

impl Place {
    /// Follows symbolic links: nobody hostile has run yet. Makes nothing.
    pub fn find(path: &Path) -> io::Result<Self> {
        let file = match fs::metadata(path) {
            // A pipe's reader may come later.
            Ok(found) if found.file_type().is_fifo() => Some(opened(OpenOptions::new().read(true).write(true), path)?),
            Ok(_) => Some(opened(OpenOptions::new().write(true), path)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let regular = file.as_ref().map(File::metadata).transpose()?.is_none_or(|found| found.is_file());
        let real = path.canonicalize();
        let held = match (file, real) {
            (Some(file), Err(_)) => Held::Open(file),
            (Some(file), Ok(_)) if !regular => Held::Open(file),
            (file, real) => named(&real.unwrap_or_else(|_| path.to_owned()), file)?,
        };
        Ok(Self { path: path.to_owned(), held })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the text when every process of the run is dead.
    pub(super) fn write(&self, text: &[u8]) -> io::Result<()> {
        let (directory, name, file) = match &self.held {
            Held::Open(file) => return fill(file, text),
            Held::Named { directory, name, file } => (directory, name, file),
        };
        if let Some(file) = file {
            let (ours, there) = (fstat(file)?, statat(directory, name, AtFlags::SYMLINK_NOFOLLOW));
            if there.is_ok_and(|there| (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)) {
                return fill(file, text);
            }
        }
        match unlinkat(directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        fill(&File::from(openat(directory, name, flags, Mode::from_raw_mode(0o666))?), text)
    }
}

fn opened(options: &OpenOptions, path: &Path) -> io::Result<File> {
    options.clone().custom_flags(libc::O_NOCTTY).open(path)
}

fn named(path: &Path, file: Option<File>) -> io::Result<Held> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?.to_owned();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = openat(CWD, parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(Held::Named { directory, name, file })
}

fn fill(mut file: &File, text: &[u8]) -> io::Result<()> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    file.write_all(text)
}
