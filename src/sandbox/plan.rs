//! The rules that a floor will have: what the policy silently allows, by paths.
//!
//! Pure but for what it surveys; nothing is opened.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::PathBuf;

use super::directories::Directories;
use super::nursery::Nursery;
use super::rights::Rights;
use super::split::{self, Key, Marks};
use super::survey::Survey;
use crate::policy::SilentYes;

/// A path that the policy allows and the floor does not: its accesses are brokered.
#[derive(Debug, thiserror::Error)]
pub enum LeftOut {
    /// A directory or file that a rule names could not be opened.
    #[error("open rule path {path}")]
    Open { path: PathBuf, source: io::Error },
    /// A directory that has to be split could not be listed.
    #[error("list {path}, which holds something denied")]
    List { path: PathBuf, source: io::Error },
    /// The kernel refused the rule.
    #[error("bind a rule to {path}")]
    Bind { path: PathBuf, source: io::Error },
    /// More children than are granted one by one.
    #[error("grant {count} of the entries of {path}, which holds something denied")]
    Crowded { path: PathBuf, count: usize },
    /// The same file or directory is denied under another name (a bind mount).
    #[error("grant {path}, which is denied under another name")]
    Alias { path: PathBuf },
}

/// The inodes that are denied under whatever name, and to what.
pub(super) type Denied = [(HashSet<(u64, u64)>, Rights); 2];

/// The rules that a floor will have.
#[derive(Debug)]
pub struct FloorPlan {
    pub(super) rules: BTreeMap<Key, Rights>,
    pub(super) denied: Denied,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) patterned: bool,
}

impl FloorPlan {
    /// The rules for reading (and executing) and for writing, and those for the run's own directories, which need not
    /// be there yet. What waits in the nursery can be read and executed wherever it is moved.
    pub fn new((read, write): (&SilentYes, &SilentYes), survey: &Survey, directories: Option<&Directories>) -> Self {
        let mut left_out = Vec::new();
        let mut rules = BTreeMap::new();
        let marks =
            [(Marks::new(read, survey), Rights::READ), (Marks::new(write, survey), Rights::WRITE | Rights::CHANGE)];
        for (marks, rights) in &marks {
            for key in plan(marks, survey, &mut left_out) {
                *rules.entry(key).or_insert(Rights::NONE) |= *rights;
            }
            // A split directory is granted by what it held when it was surveyed.
            let temporary = directories.map(|directories| Key::of(&directories.temporary));
            if let Some(key) = temporary.filter(|key| marks.grants(key)) {
                *rules.entry(key).or_insert(Rights::NONE) |= *rights;
            }
        }
        inherit(&mut rules);
        // Bound alone, whatever is granted where they wait: they leave.
        let waiting = directories.and_then(|directories| directories.nursery.as_deref());
        let newborn = waiting.into_iter().flat_map(Nursery::everyone);
        rules.extend(newborn.map(|path| (Key::of(&path), Rights::READ)));
        let denied = marks.map(|(marks, rights)| (marks.into_carved(), rights));
        Self { rules, denied, left_out, patterned: read.patterned }
    }
}

fn plan(marks: &Marks, survey: &Survey, left_out: &mut Vec<LeftOut>) -> Vec<Key> {
    let split = split::split(marks, survey);
    left_out.extend(split.unlisted.into_iter().map(|(path, source)| LeftOut::List { path, source }));
    left_out.extend(split.crowded.into_iter().map(|(path, count)| LeftOut::Crowded { path, count }));
    split.granted
}

/// Gives each rule what its ancestors grant too, so that the deepest one speaks for all.
fn inherit(planned: &mut BTreeMap<Key, Rights>) {
    let mut above: Vec<(&Key, Rights)> = Vec::new();
    for (key, rights) in planned {
        while above.last().is_some_and(|(ancestor, _)| !key.is_beneath(ancestor)) {
            above.pop();
        }
        if let Some((_, inherited)) = above.last() {
            *rights |= *inherited;
        }
        above.push((key, *rights));
    }
}
