//! Patterns that apply at any depth: consecutive names, wherever they stand in a path.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::components::{ByPath, Components, key};
use super::glob::{LazyGlob, first_meta, unescape};
use super::lists::{Effect, Entry, Match, Problem, specificity};

/// One component of a pattern.
#[derive(Debug, Clone)]
pub(super) enum Name {
    Exact(Vec<u8>),
    /// `*`, without a matcher: building one costs more than judging a whole run's start.
    Any,
    Glob(Box<LazyGlob>),
}

impl Name {
    pub(super) fn matches(&self, component: &[u8]) -> bool {
        match self {
            Self::Exact(name) => name == component,
            Self::Any => true,
            Self::Glob(glob) => glob.matches_name(component),
        }
    }

    /// A name that this matches.
    pub(super) fn example(&self) -> &OsStr {
        match self {
            Self::Exact(name) => OsStr::from_bytes(name),
            Self::Any => OsStr::new("*"),
            Self::Glob(glob) => OsStr::new(glob.text()),
        }
    }
}

/// Reads the names of `**/a/b`, without the `**/`.
pub(super) fn parse(names: &str) -> Result<Vec<Name>, Problem> {
    let parts = names.split('/').filter(|part| !part.is_empty());
    let names: Vec<Name> = parts
        .map(|part| match first_meta(part) {
            _ if part == "*" => Ok(Name::Any),
            None => Ok(Name::Exact(unescape(part))),
            Some(_) => LazyGlob::parse(part).map(|glob| Name::Glob(Box::new(glob))),
        })
        .collect::<Result<_, _>>()?;
    if names.is_empty() { Err(Problem::Path) } else { Ok(names) }
}

/// The patterns of one list.
#[derive(Debug, Clone, Default)]
pub(super) struct AnyDepth {
    patterns: Vec<(Vec<Name>, Entry)>,
    /// Where patterns that begin with an exact name stand, by that name.
    by_name: ByPath<Vec<usize>>,
    /// Where the others stand.
    others: Vec<usize>,
}

impl AnyDepth {
    pub(super) fn push(&mut self, names: Vec<Name>, entry: Entry) {
        let at = self.patterns.len();
        match names.first() {
            Some(Name::Exact(name)) => self.by_name.entry(name.as_slice().into()).or_default().push(at),
            _ => self.others.push(at),
        }
        self.patterns.push((names, entry));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.patterns.iter().map(|(_, entry)| entry)
    }

    /// The names of patterns that do not allow.
    pub(super) fn restricting(&self) -> impl Iterator<Item = &[Name]> {
        let restricting = self.patterns.iter().filter(|(_, entry)| entry.effect != Effect::Allow);
        restricting.map(|(names, _)| names.as_slice())
    }

    pub(super) fn matches<'a>(&'a self, path: &Components<'_>, found: &mut Vec<Match<'a>>) {
        for (start, component) in path.names().enumerate() {
            let named = self.by_name.get(component).into_iter().flatten();
            for &at in named.chain(&self.others) {
                let (names, entry) = &self.patterns[at];
                if path.has_at(start, names.len(), |name, component| names[name].matches(component)) {
                    // The root counts as a component.
                    let matched_depth = 1 + start + names.len();
                    found.push(Match { entry, specificity: specificity(matched_depth), matched_depth });
                }
            }
        }
    }
}

/// How many leading names of a pattern the end of `path` already matches, so that the rest could
/// match beneath it.
pub(super) fn open_tails<'a>(names: &'a [Name], path: &'a Path) -> impl Iterator<Item = usize> + 'a {
    let components = Components::of(key(path));
    (1..names.len()).filter(move |&count| {
        let depth = components.count();
        depth >= count && components.has_at(depth - count, count, |name, component| names[name].matches(component))
    })
}
