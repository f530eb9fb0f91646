//! What stands where the rules of a run point, looked at once before it starts.
//!
//! Owns no decision: a name that appears or goes afterwards is met by the floor, which binds rules
//! to what it opens itself, and by the broker. Rules name dozens of files in a few directories,
//! most of which do not exist, so a directory that is asked about often is listed instead.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir};

use crate::policy::{ByPath, as_path, key};

/// From so many questions about one directory on, listing it is cheaper than asking for each name. Measured: ten
/// instead of three costs a start 0.3 ms, because most directories that are asked about are listed in the end.
const LIST_FROM: u32 = 3;

/// Rules name a dozen of its many entries, which it lists slowly.
const NEVER_LISTED: &str = "/dev";

/// Larger directories are asked about name by name.
const LIST_MOST: usize = 2048;

/// Trees with more entries than that are not searched.
const SEARCH_MOST: usize = 100_000;

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// With the symbolic links of its existing part resolved, where that makes it another path.
    pub elsewhere: Option<PathBuf>,
    /// `None` where nothing stands.
    pub kind: Option<FileType>,
}

impl Seen {
    /// The real path of `path`, which is what was looked at.
    pub(super) fn real<'a>(&'a self, path: &'a Path) -> &'a Path {
        self.elsewhere.as_deref().unwrap_or(path)
    }
}

/// A directory's entries, `.` and `..` aside, in no order. Few allocations: it is made at each start.
#[derive(Debug, Clone, Default)]
pub(super) struct Entries {
    names: Vec<u8>,
    /// Where each name ends, and what it is.
    ends: Vec<(usize, FileType)>,
}

impl Entries {
    fn name(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before].0);
        &self.names[start..self.ends[at].0]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&OsStr, FileType)> {
        self.ends.iter().enumerate().map(|(at, (_, kind))| (OsStr::from_bytes(self.name(at)), *kind))
    }

    fn kind(&self, name: &OsStr) -> Option<FileType> {
        self.iter().find(|(found, _)| *found == name).map(|(_, kind)| kind)
    }

    fn push(&mut self, name: &[u8], kind: FileType) {
        self.names.extend_from_slice(name);
        self.ends.push((self.names.len(), kind));
    }
}

#[derive(Debug, Default)]
struct Directory {
    asked: u32,
    /// `None`: too large to be worth it, or not readable.
    names: Option<Option<Entries>>,
}

/// What was seen so far.
#[derive(Debug)]
pub struct Survey {
    seen: RefCell<ByPath<Seen>>,
    directories: RefCell<ByPath<Directory>>,
}

impl Default for Survey {
    fn default() -> Self {
        // As many as the built-in settings name.
        let (seen, directories) = (ByPath::with_capacity_and_hasher(200, Default::default()), ByPath::default());
        Self { seen: RefCell::new(seen), directories: RefCell::new(directories) }
    }
}

impl Survey {
    /// What another has seen was seen here. What both have seen is left to the kernel: another thread's heap, which
    /// that one is at work in, would have to be waited for.
    pub fn absorb(&mut self, other: Self) {
        let (seen, directories) = (self.seen.get_mut(), self.directories.get_mut());
        for (path, found) in other.seen.into_inner() {
            match seen.contains_key(&path) {
                true => std::mem::forget((path, found)),
                false => drop(seen.insert(path, found)),
            }
        }
        for (path, found) in other.directories.into_inner() {
            match directories.get_mut(&path) {
                Some(known) => {
                    known.asked += found.asked;
                    if known.names.is_none() {
                        known.names = found.names;
                    } else {
                        std::mem::forget(found);
                    }
                    std::mem::forget(path);
                }
                None => drop(directories.insert(path, found)),
            }
        }
    }

    /// `path`, which is absolute and holds no `.` or `..`, without symbolic links, and what is there.
    pub fn look(&self, path: &Path) -> Seen {
        let key = key(path);
        if let Some(seen) = self.seen.borrow().get(key) {
            return seen.clone();
        }
        let seen = self.look_anew(path, key);
        self.seen.borrow_mut().insert(key.into(), seen.clone());
        seen
    }

    fn look_anew(&self, path: &Path, key: &[u8]) -> Seen {
        let Some(slash) = key.iter().rposition(|byte| *byte == b'/') else {
            return Seen { elsewhere: None, kind: Some(FileType::Directory) };
        };
        let (parent, name) = (as_path(&key[..slash]), OsStr::from_bytes(&key[slash + 1..]));
        let above = self.look(parent);
        let elsewhere = above.elsewhere.as_ref().map(|real| real.join(name));
        if above.kind != Some(FileType::Directory) {
            return Seen { elsewhere, kind: None };
        }
        match self.entry(above.real(parent), name, elsewhere.as_deref().unwrap_or(path)) {
            Some(FileType::Symlink) => follow(elsewhere, path),
            kind => Seen { elsewhere, kind },
        }
    }

    /// What the real directory holds under this name.
    fn entry(&self, directory: &Path, name: &OsStr, path: &Path) -> Option<FileType> {
        let mut directories = self.directories.borrow_mut();
        let known = known(&mut directories, directory);
        known.asked += 1;
        if known.asked >= LIST_FROM && !directory.starts_with(NEVER_LISTED) {
            let names = known.names.get_or_insert_with(|| list(directory, LIST_MOST).ok()?);
            if let Some(names) = names {
                return names.kind(name);
            }
        }
        kind_of(path)
    }

    /// Every entry of the real directory `path`.
    pub(super) fn entries(&self, path: &Path) -> io::Result<Entries> {
        let mut directories = self.directories.borrow_mut();
        let known = known(&mut directories, path);
        if let Some(Some(names)) = &known.names {
            return Ok(names.clone());
        }
        let entries = list(path, usize::MAX)?.unwrap_or_default();
        if entries.ends.len() <= LIST_MOST {
            known.names = Some(Some(entries.clone()));
        }
        Ok(entries)
    }
}

/// What is of interest beneath the directory `base`, nothing beneath what is: links aside, and with
/// directories that cannot be listed. `None`: the tree is too large, or `base` is not its real path.
pub fn search(base: &Path, interesting: &dyn Fn(&Path) -> bool) -> Option<Vec<PathBuf>> {
    if base.canonicalize().ok()? != base {
        return None;
    }
    let (mut found, mut waiting, mut seen) = (Vec::new(), vec![base.to_owned()], 0);
    while let Some(directory) = waiting.pop() {
        let Ok(entries) = list(&directory, usize::MAX) else {
            found.push(directory);
            continue;
        };
        let entries = entries.unwrap_or_default();
        seen += entries.ends.len();
        if seen > SEARCH_MOST {
            return None;
        }
        for (name, kind) in entries.iter().filter(|(_, kind)| *kind != FileType::Symlink) {
            let path = directory.join(name);
            if interesting(&path) {
                found.push(path);
            } else if kind == FileType::Directory {
                waiting.push(path);
            }
        }
    }
    Some(found)
}

fn known<'a>(directories: &'a mut ByPath<Directory>, path: &Path) -> &'a mut Directory {
    let key = key(path);
    if !directories.contains_key(key) {
        directories.insert(key.into(), Directory::default());
    }
    directories.get_mut(key).expect("it was put there")
}

/// What stands at `path` itself.
fn kind_of(path: &Path) -> Option<FileType> {
    let stat = rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some(FileType::from_raw_mode(stat.st_mode))
}

/// The link that `path` leads to, or is, followed as the kernel would.
fn follow(elsewhere: Option<PathBuf>, path: &Path) -> Seen {
    let Ok(real) = elsewhere.as_deref().unwrap_or(path).canonicalize() else {
        return Seen { elsewhere, kind: None };
    };
    let kind = rustix::fs::stat(&real).ok().map(|stat| FileType::from_raw_mode(stat.st_mode));
    Seen { elsewhere: (real != path).then_some(real), kind }
}

/// The directory's entries; `None` where there are more than `most`.
fn list(path: &Path, most: usize) -> io::Result<Option<Entries>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut buffer = [MaybeUninit::uninit(); 4 << 10];
    let mut directory = RawDir::new(rustix::fs::openat(CWD, path, flags, Mode::empty())?, &mut buffer);
    let mut entries = Entries { names: Vec::with_capacity(256), ends: Vec::with_capacity(32) };
    while let Some(entry) = directory.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        if entries.ends.len() == most {
            return Ok(None);
        }
        let kind = match entry.file_type() {
            FileType::Unknown => kind_of(&path.join(OsStr::from_bytes(name))).unwrap_or(FileType::Unknown),
            kind => kind,
        };
        entries.push(name, kind);
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
            // The second time the directory was asked about so often that it is listed.
            for name in 0..round * LIST_FROM {
                assert_eq!(survey.look(&base.join(name.to_string())).kind, None);
            }
            for turn in 0..table.len() {
                let (path, real, kind) = table[if round == 0 { turn } else { table.len() - 1 - turn }];
                let seen = survey.look(&base.join(path));
                let asked = base.join(path);
                assert_eq!((seen.real(&asked), seen.kind), (base.join(real).as_path(), kind), "{path}");
            }
        }
    }

    #[test]
    fn a_search_finds_every_match_and_goes_no_deeper() {
        let place = tempfile::tempdir().unwrap();
        let base = place.path().canonicalize().unwrap();
        for directory in ["a/.env/deep", "b/c/d", "e"] {
            std::fs::create_dir_all(base.join(directory)).unwrap();
        }
        for file in ["a/.env/deep/.env", "b/c/d/.env", ".env", "b/env"] {
            std::fs::write(base.join(file), "").unwrap();
        }
        std::os::unix::fs::symlink(base.join("b"), base.join("e/b")).unwrap();
        std::os::unix::fs::symlink("b", base.join("link")).unwrap();
        let interesting = |path: &Path| path.ends_with(".env");
        let mut found = search(&base, &interesting).unwrap();
        found.sort();
        assert_eq!(found, [".env", "a/.env", "b/c/d/.env"].map(|path| base.join(path)));
        assert_eq!(search(&base.join("link"), &interesting), None);
        assert_eq!(search(&base.join("absent"), &interesting), None);
    }
}
