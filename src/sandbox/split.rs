//! Turns a policy's silent yes into the directories and files that may be granted whole.
//!
//! A Landlock rule covers everything beneath its path, so a directory with something to leave out
//! is split: its other children are granted one by one. Leaving one out is always safe, granting
//! one too many never: symbolic links are not followed, and what cannot be listed is left out.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::Bound;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::survey::Survey;
use crate::policy::{SilentYes, key};

/// Children of one split directory that are granted at most.
pub(super) const MOST_CHILDREN: usize = 256;

/// Names that programs need most, granted first where a directory has too many children.
const LIKELY: [&str; 22] = [
    "usr", "lib", "lib64", "bin", "sbin", "etc", "opt", "proc", "sys", "dev", "run", "var", "tmp", "home", "nix",
    "srv", "mnt", "root", ".cargo", ".rustup", ".local", ".cache",
];

/// Where a split directory's entries are read now and then and hardly ever executed: all but these are left
/// to the broker, because a rule for each of a hundred costs every start more than it saves.
const READ_ONE_BY_ONE: [(&str, &[&str]); 2] = [("/etc", &IN_ETC), ("/run", &IN_RUN)];

/// What of it is executed by commands, or read by nearly every program of some kind; in order.
const IN_ETC: [&str; 27] = [
    "X11",
    "alternatives",
    "ca-certificates",
    "certs",
    "crypto-policies",
    "fonts",
    "group",
    "hosts",
    "init.d",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "ld.so.preload",
    "localtime",
    "nsswitch.conf",
    "passwd",
    "perl",
    "pki",
    "profile.d",
    "rc.d",
    "resolv.conf",
    "ssl",
    "static",
    "terminfo",
    "texmf",
    "vim",
    "xdg",
];

/// The same: some distributions have their programs there.
const IN_RUN: [&str; 9] = [
    "booted-system",
    "current-system",
    "host",
    "media",
    "opengl-driver",
    "opengl-driver-32",
    "privileged",
    "user",
    "wrappers",
];

/// What of a directory, or beneath it, is granted by name alone; `None`: all of it.
fn granted_beneath(directory: &Path) -> Option<&'static [&'static str]> {
    READ_ONE_BY_ONE.iter().find(|(above, _)| directory.starts_with(above)).map(|(_, names)| *names)
}

fn is_among(names: &[&str], name: &OsStr) -> bool {
    names.binary_search_by(|known| known.as_bytes().cmp(name.as_bytes())).is_ok()
}

/// The private temporary directory of another run, or what is left of one that was killed: hundreds
/// of them must not push out what a run needs.
fn is_of_another_run(directory: &Path, name: &OsStr) -> bool {
    directory == Path::new("/tmp") && name.as_bytes().starts_with(b"ask.")
}

/// What may be granted whole, and what was left out on the way there.
#[derive(Debug, Default)]
pub(super) struct Split {
    pub(super) granted: Vec<Key>,
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

/// A path whose bytes order by component: everything beneath a directory follows it directly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(Vec<u8>);

impl Key {
    /// `/` is empty; every component begins with a byte that no name holds.
    pub(super) fn of(path: &Path) -> Self {
        Self(key(path).iter().map(|byte| if *byte == b'/' { 0 } else { *byte }).collect())
    }

    pub(super) fn path(&self) -> PathBuf {
        let bytes = self.0.iter().map(|byte| if *byte == 0 { b'/' } else { *byte });
        let bytes: Vec<u8> = if self.0.is_empty() { vec![b'/'] } else { bytes.collect() };
        PathBuf::from(OsString::from_vec(bytes))
    }

    /// Does `self` lie strictly beneath `other`?
    pub(super) fn is_beneath(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0) && self.0.get(other.0.len()) == Some(&0)
    }

    fn join(&self, name: &OsStr) -> Self {
        Self([self.0.as_slice(), &[0], name.as_bytes()].concat())
    }
}

/// The deepest mark at or above a path decides.
pub(super) struct Marks {
    marks: BTreeMap<Key, Mark>,
    /// Device and inode of the carves that exist.
    carved: HashSet<(u64, u64)>,
}

impl Marks {
    pub(super) fn new(silent: &SilentYes, survey: &Survey) -> Self {
        let roots = silent.roots.iter().map(|root| (Key::of(root), Mark::Root));
        let mut marks = Self { marks: roots.collect(), carved: HashSet::new() };
        for carve in &silent.carve {
            marks.carve(carve, survey);
        }
        marks
    }

    /// Marks a carve, and what it leads to where a symbolic link is on its way: it holds for what
    /// the kernel would reach by it.
    fn carve(&mut self, path: &Path, survey: &Survey) {
        let seen = survey.look(path);
        if let Some(real) = &seen.elsewhere {
            self.marks.insert(Key::of(real), Mark::Carve);
        }
        if seen.kind.is_some() {
            let stat = rustix::fs::stat(seen.real(path)).ok();
            self.carved.extend(stat.map(|stat| (stat.st_dev, stat.st_ino)));
        }
        self.marks.insert(Key::of(path), Mark::Carve);
    }

    /// The files and directories that are denied, under whatever name.
    pub(super) fn into_carved(self) -> HashSet<(u64, u64)> {
        self.carved
    }

    /// Is what will stand there granted?
    pub(super) fn grants(&self, key: &Key) -> bool {
        let ends = (0..=key.0.len()).rev().filter(|end| key.0.get(*end).is_none_or(|byte| *byte == 0));
        let deepest = ends.map(|end| Key(key.0[..end].to_vec())).find_map(|above| self.marks.get(&above));
        deepest == Some(&Mark::Root)
    }

    /// What is marked beneath a directory, each as the names that lead there.
    fn beneath<'a>(&'a self, directory: &Key) -> impl Iterator<Item = (&'a [u8], Mark)> {
        let after = directory.0.len();
        self.marks
            .range((Bound::Excluded(directory), Bound::Unbounded))
            .take_while(move |(key, _)| key.is_beneath(directory))
            .map(move |(key, mark)| (&key.0[after + 1..], *mark))
    }

    /// Names in `directory` that lead to a mark.
    fn on_the_way(&self, directory: &Key) -> BTreeSet<&OsStr> {
        self.beneath(directory).map(|(names, _)| first(names)).collect()
    }
}

/// The first of the names that lead somewhere.
fn first(names: &[u8]) -> &OsStr {
    let end = names.iter().position(|byte| *byte == 0).unwrap_or(names.len());
    OsStr::from_bytes(&names[..end])
}

/// Splits what is marked into what may be granted whole.
pub(super) fn split(marks: &Marks, survey: &Survey) -> Split {
    let mut splitting = Splitting { marks, survey, split: Split::default() };
    splitting.visit(&Key(Vec::new()), Mark::Carve);
    splitting.split
}

struct Splitting<'a> {
    marks: &'a Marks,
    survey: &'a Survey,
    split: Split,
}

impl Splitting<'_> {
    fn visit(&mut self, key: &Key, inherited: Mark) {
        let marks = self.marks;
        let mark = marks.marks.get(key).copied().unwrap_or(inherited);
        let other = |wanted: Mark| marks.beneath(key).any(|(_, mark)| mark == wanted);
        match mark {
            Mark::Carve if other(Mark::Root) => {
                for name in marks.on_the_way(key) {
                    self.visit(&key.join(name), mark);
                }
            }
            Mark::Carve => {}
            Mark::Root if other(Mark::Carve) => self.visit_children(key),
            Mark::Root => self.split.granted.push(key.clone()),
        }
    }

    /// `key` is granted but for something beneath it.
    fn visit_children(&mut self, key: &Key) {
        let path = key.path();
        // The kernel follows no link on the way to a rule either.
        let names =
            if self.survey.look(&path).elsewhere.is_none() { self.survey.entries(&path) } else { Err(not_real()) };
        let entries = match names {
            Ok(names) => names,
            // Nothing is beneath a file, and a directory that takes its name is another inode.
            Err(error) if error.raw_os_error() == Some(libc::ENOTDIR) => return self.split.granted.push(key.clone()),
            Err(error) => return self.split.unlisted.push((path, error)),
        };
        let mut names: Vec<_> = entries.iter().filter(|(_, kind)| *kind != FileType::Symlink).collect();
        let needed = self.marks.on_the_way(key);
        if let Some(granted) = granted_beneath(&path) {
            names.retain(|(name, _)| needed.contains(*name) || is_among(granted, name));
        }
        names.retain(|(name, _)| needed.contains(*name) || !is_of_another_run(&path, name));
        if names.len() > MOST_CHILDREN {
            names.sort_by_cached_key(|(name, kind)| (!needed.contains(*name), rank(name, *kind), *name));
            self.split.crowded.push((path, names.len() - MOST_CHILDREN));
            names.truncate(MOST_CHILDREN);
        }
        for (name, _) in names {
            self.visit(&key.join(name), Mark::Root);
        }
    }
}

fn not_real() -> io::Error {
    io::Error::from_raw_os_error(libc::ELOOP)
}

/// Likely names first, then visible directories, visible files, hidden names.
fn rank(name: &OsStr, kind: FileType) -> usize {
    if let Some(place) = LIKELY.iter().position(|likely| OsStr::new(likely) == name) {
        return place;
    }
    let hidden = name.as_bytes().starts_with(b".");
    LIKELY.len() + usize::from(kind != FileType::Directory) + 2 * usize::from(hidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_granted_by_name_is_found_by_its_name_alone() {
        for (directory, names) in READ_ONE_BY_ONE {
            assert_eq!(granted_beneath(&Path::new(directory).join("any")), Some(names));
            assert!(names.is_sorted());
            assert!(names.iter().all(|name| is_among(names, OsStr::new(name))));
            assert!(!["", "X", "groups", "zz"].iter().any(|name| is_among(names, OsStr::new(name))));
        }
        assert_eq!(granted_beneath(Path::new("/usr/etc")), None);
    }
}
