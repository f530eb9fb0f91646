//! Turns a policy's silent yes into the directories and files that may be granted whole.
//!
//! A Landlock rule covers everything beneath its path, so a directory with something to leave out
//! is split: its other children are granted one by one. Leaving one out is always safe, granting
//! one too many never: symbolic links are not followed, and what cannot be listed is left out.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::floor;
use crate::policy::SilentYes;

/// Children of one split directory that are granted at most.
pub(super) const MOST_CHILDREN: usize = 256;

/// Names that programs need most, granted first where a directory has too many children.
const LIKELY: [&str; 34] = [
    "usr",
    "lib",
    "lib64",
    "bin",
    "sbin",
    "etc",
    "opt",
    "proc",
    "sys",
    "dev",
    "run",
    "var",
    "tmp",
    "home",
    "nix",
    "srv",
    "mnt",
    "root",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.preload",
    "passwd",
    "group",
    "nsswitch.conf",
    "resolv.conf",
    "hosts",
    "localtime",
    "ssl",
    "ca-certificates",
    "alternatives",
    ".cargo",
    ".rustup",
    ".local",
    ".cache",
];

/// What may be granted whole, and what was left out on the way there.
#[derive(Debug, Default)]
pub(super) struct Split {
    pub(super) granted: Vec<PathBuf>,
    /// Directories that could not be listed: nothing beneath them is granted.
    pub(super) unlisted: Vec<(PathBuf, io::Error)>,
    /// Directories with more than [`MOST_CHILDREN`] children, and how many are not granted.
    pub(super) crowded: Vec<(PathBuf, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Root,
    Carve,
}

/// The deepest mark at or above a path decides.
pub(super) struct Marks {
    marks: BTreeMap<PathBuf, Mark>,
    /// Device and inode of the carves that exist.
    carved: HashSet<(u64, u64)>,
}

impl Marks {
    pub(super) fn new(silent: &SilentYes) -> Self {
        let mut marks = Self { marks: BTreeMap::new(), carved: HashSet::new() };
        for root in &silent.roots {
            marks.marks.insert(root.clone(), Mark::Root);
        }
        for carve in &silent.carve {
            marks.carve(carve);
        }
        marks
    }

    /// Marks a carve, and what it leads to where a symbolic link is on its way: it holds for what
    /// the kernel would reach by it.
    fn carve(&mut self, path: &Path) {
        let inode = match floor::open_real(path) {
            Ok(fd) => rustix::fs::fstat(fd).ok(),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => None,
            Err(_) => {
                self.marks.insert(real(path), Mark::Carve);
                rustix::fs::stat(path).ok()
            }
        };
        self.carved.extend(inode.map(|stat| (stat.st_dev, stat.st_ino)));
        self.marks.insert(path.to_owned(), Mark::Carve);
    }

    /// Is this file or directory denied, under whatever name?
    pub(super) fn carves_inode(&self, dev: u64, ino: u64) -> bool {
        self.carved.contains(&(dev, ino))
    }

    fn beneath<'a>(&'a self, directory: &'a Path) -> impl Iterator<Item = (&'a Path, Mark)> {
        // Paths order by component, so everything beneath a directory follows it directly.
        self.marks
            .range::<Path, _>((Bound::Excluded(directory), Bound::Unbounded))
            .take_while(move |(path, _)| path.starts_with(directory))
            .map(|(path, mark)| (path.as_path(), *mark))
    }

    /// Names in `directory` that lead to a mark.
    fn on_the_way(&self, directory: &Path) -> BTreeSet<OsString> {
        self.beneath(directory)
            .filter_map(|(path, _)| path.strip_prefix(directory).ok()?.iter().next().map(OsStr::to_owned))
            .collect()
    }
}

/// The path with every symbolic link of its existing part resolved.
fn real(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let Ok(existing) = fs::canonicalize(ancestor) {
            let rest = path.strip_prefix(ancestor).unwrap_or(Path::new(""));
            return if rest.as_os_str().is_empty() { existing } else { existing.join(rest) };
        }
    }
    path.to_owned()
}

/// Splits what is marked into what may be granted whole.
pub(super) fn split(marks: &Marks) -> Split {
    let mut split = Split::default();
    visit(Path::new("/"), Mark::Carve, marks, &mut split);
    split
}

fn visit(path: &Path, inherited: Mark, marks: &Marks, split: &mut Split) {
    let mark = marks.marks.get(path).copied().unwrap_or(inherited);
    let other = |wanted: Mark| marks.beneath(path).any(|(_, mark)| mark == wanted);
    match mark {
        Mark::Carve if other(Mark::Root) => {
            for name in marks.on_the_way(path) {
                visit(&path.join(name), mark, marks, split);
            }
        }
        Mark::Carve => {}
        Mark::Root if other(Mark::Carve) => visit_children(path, marks, split),
        Mark::Root => split.granted.push(path.to_owned()),
    }
}

/// `path` is granted but for something beneath it.
fn visit_children(path: &Path, marks: &Marks, split: &mut Split) {
    let mut names = match children(path) {
        Ok(names) => names,
        // Nothing is beneath a file, and a directory that takes its name is another inode.
        Err(error) if error.raw_os_error() == Some(libc::ENOTDIR) => return split.granted.push(path.to_owned()),
        Err(error) => return split.unlisted.push((path.to_owned(), error)),
    };
    let needed = marks.on_the_way(path);
    names.sort_by_cached_key(|(name, directory)| (!needed.contains(name), rank(name, *directory), name.clone()));
    if names.len() > MOST_CHILDREN {
        split.crowded.push((path.to_owned(), names.len() - MOST_CHILDREN));
        names.truncate(MOST_CHILDREN);
    }
    for (name, _) in names {
        visit(&path.join(name), Mark::Root, marks, split);
    }
}

/// Likely names first, then visible directories, visible files, hidden names.
fn rank(name: &OsStr, directory: bool) -> usize {
    if let Some(place) = LIKELY.iter().position(|likely| OsStr::new(likely) == name) {
        return place;
    }
    let hidden = name.as_bytes().starts_with(b".");
    LIKELY.len() + usize::from(!directory) + 2 * usize::from(hidden)
}

/// The directory's entries, symbolic links left out, each with whether it is a directory.
fn children(path: &Path) -> io::Result<Vec<(OsString, bool)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if !kind.is_symlink() {
            names.push((entry.file_name(), kind.is_dir()));
        }
    }
    Ok(names)
}
