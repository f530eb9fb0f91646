//! What stands where the rules of a run point, looked at once before it starts.
//!
//! Owns no decision: a name that appears or goes afterwards is met by the floor, which binds rules
//! to what it opens itself, and by the broker. Rules name dozens of files in a few directories,
//! most of which do not exist, so a directory that is asked about often is listed instead.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};

/// From so many questions about one directory on, listing it is cheaper than asking for each name.
const LIST_FROM: u32 = 3;

/// Larger directories are asked about name by name.
const LIST_MOST: usize = 2048;

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// With the symbolic links of its existing part resolved.
    pub real: PathBuf,
    /// `None` where nothing stands.
    pub kind: Option<FileType>,
}

/// The entries of a directory, `.` and `..` aside, in no order.
pub(super) type Entries = Vec<(OsString, FileType)>;

#[derive(Debug, Default)]
struct Directory {
    asked: u32,
    /// `None`: too large to be worth it, or not readable.
    names: Option<Option<HashMap<OsString, FileType>>>,
}

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Survey {
    seen: RefCell<HashMap<Box<[u8]>, Rc<Seen>>>,
    directories: RefCell<HashMap<Box<[u8]>, Directory>>,
}

impl Survey {
    /// `path`, which is absolute and holds no `.` or `..`, without symbolic links, and what is there.
    pub fn look(&self, path: &Path) -> Rc<Seen> {
        let key = path.as_os_str().as_bytes();
        if let Some(seen) = self.seen.borrow().get(key) {
            return Rc::clone(seen);
        }
        let seen = Rc::new(self.look_anew(path));
        self.seen.borrow_mut().insert(key.into(), Rc::clone(&seen));
        seen
    }

    fn look_anew(&self, path: &Path) -> Seen {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Seen { real: path.to_owned(), kind: Some(FileType::Directory) };
        };
        let above = self.look(parent);
        let real = if above.real == parent { path.to_owned() } else { above.real.join(name) };
        match above.kind {
            Some(FileType::Directory) => match self.entry(&above.real, name, &real) {
                Some(FileType::Symlink) => follow(real),
                kind => Seen { real, kind },
            },
            _ => Seen { real, kind: None },
        }
    }

    /// What the real directory holds under this name.
    fn entry(&self, directory: &Path, name: &OsStr, path: &Path) -> Option<FileType> {
        let mut directories = self.directories.borrow_mut();
        let known = directories.entry(directory.as_os_str().as_bytes().into()).or_default();
        known.asked += 1;
        if known.asked >= LIST_FROM {
            let names = known.names.get_or_insert_with(|| {
                let entries = list(directory, LIST_MOST).ok()?;
                entries.map(|entries| entries.into_iter().collect())
            });
            if let Some(names) = names {
                return names.get(name).copied();
            }
        }
        kind_of(path)
    }

    /// Every entry of the real directory `path`.
    pub(super) fn entries(&self, path: &Path) -> io::Result<Entries> {
        let mut directories = self.directories.borrow_mut();
        let known = directories.entry(path.as_os_str().as_bytes().into()).or_default();
        if let Some(Some(names)) = &known.names {
            return Ok(names.iter().map(|(name, kind)| (name.clone(), *kind)).collect());
        }
        let entries = list(path, usize::MAX)?.unwrap_or_default();
        if entries.len() <= LIST_MOST {
            known.names = Some(Some(entries.iter().cloned().collect()));
        }
        Ok(entries)
    }
}

/// What stands at `path` itself.
fn kind_of(path: &Path) -> Option<FileType> {
    let stat = rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some(FileType::from_raw_mode(stat.st_mode))
}

/// The link at `path` followed as the kernel would.
fn follow(path: PathBuf) -> Seen {
    let Ok(real) = path.canonicalize() else { return Seen { real: path, kind: None } };
    let kind = rustix::fs::stat(&real).ok().map(|stat| FileType::from_raw_mode(stat.st_mode));
    Seen { real, kind }
}

/// The directory's entries; `None` where there are more than `most`.
fn list(path: &Path, most: usize) -> io::Result<Option<Entries>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let directory = Dir::new(rustix::fs::openat(CWD, path, flags, Mode::empty())?)?;
    let mut entries = Vec::new();
    for entry in directory {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        if entries.len() == most {
            return Ok(None);
        }
        let name = OsStr::from_bytes(name).to_owned();
        let kind = match entry.file_type() {
            FileType::Unknown => kind_of(&path.join(&name)).unwrap_or(FileType::Unknown),
            kind => kind,
        };
        entries.push((name, kind));
    }
    Ok(Some(entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asked in any order and as often as it takes to list, it says what the kernel says.
    #[test]
    fn a_path_is_resolved_as_the_kernel_resolves_it() {
        let place = tempfile::tempdir().unwrap();
        let base = place.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("real/inner")).unwrap();
        std::fs::write(base.join("real/file"), "").unwrap();
        std::os::unix::fs::symlink("real", base.join("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", base.join("dangling")).unwrap();
        let (file, directory) = (Some(FileType::RegularFile), Some(FileType::Directory));
        let table = [
            ("real", "real", directory),
            ("real/file", "real/file", file),
            ("real/file/beneath", "real/file/beneath", None),
            ("link", "real", directory),
            ("link/inner", "real/inner", directory),
            ("link/none/at/all", "real/none/at/all", None),
            ("dangling", "dangling", None),
            ("dangling/x", "dangling/x", None),
            ("absent", "absent", None),
        ];
        for round in 0..2 {
            let survey = Survey::default();
            for turn in 0..table.len() {
                let (path, real, kind) = table[if round == 0 { turn } else { table.len() - 1 - turn }];
                let seen = survey.look(&base.join(path));
                assert_eq!((seen.real.as_path(), seen.kind), (base.join(real).as_path(), kind), "{path}");
            }
        }
    }
}
