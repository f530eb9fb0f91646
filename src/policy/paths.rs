//! Lists of paths: literal paths that cover what is beneath them, globs, and names at any depth.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::any_depth::{AnyDepth, open_tails};
use super::components::{ByPath, Components, as_path, into_key, key, plain};
use super::glob::LazyGlob;
use super::links::Links;
use super::lists::{CompileError, Effect, Entry, Listing, Match, Ruling, deciding, entries, specificity, weigh};
use super::pattern::{Pattern, parse};
use super::verdict::Rule;
use super::{Grant, Inspect, Places, Search, SilentYes};
use crate::settings::{Layer, Source};

/// The compiled lists for reading, or for writing.
#[derive(Debug, Clone)]
pub(super) struct PathLists {
    /// Where the first entry for a path stands in `listed`, by the path's bytes, `/` being empty.
    literal: ByPath<usize>,
    listed: Vec<Listed>,
    any_depth: AnyDepth,
    globs: Vec<(LazyGlob, PathBuf, Entry)>,
    /// Places private to the run: patterns that could stand at any depth do not apply there.
    private: [PathBuf; 2],
    /// Where patterns for any depth apply: everywhere for writing, in the workspace for reading.
    pattern_base: PathBuf,
    writing: bool,
}

/// An entry for a path, and where the next one for the same path stands.
#[derive(Debug, Clone)]
struct Listed {
    entry: Entry,
    next: Option<usize>,
}

impl PathLists {
    pub(super) fn compile(
        lists: &[Listing<'_>],
        writing: bool,
        places: &Places,
        links: &Links<'_>,
    ) -> Result<Self, CompileError> {
        let mut compiled = Self {
            literal: ByPath::default(),
            listed: Vec::with_capacity(lists.iter().map(|(.., entries)| entries.len() + 2).sum()),
            any_depth: AnyDepth::default(),
            globs: Vec::new(),
            private: [places.temporary.clone(), places.cache.clone()],
            pattern_base: if writing { PathBuf::from("/") } else { places.workspace.clone() },
            writing,
        };
        compiled.literal.reserve(compiled.listed.capacity());
        for (place, text) in [
            (&places.workspace, "the workspace"),
            (&places.temporary, "the run's temporary directory"),
            (&places.cache, "the workspace's cache"),
        ] {
            if places.read_only && writing && place != &places.temporary {
                continue;
            }
            compiled.insert(Pattern::Literal(place.clone()), own(Effect::Allow, text));
        }
        for git_dir in &places.git_dirs {
            compiled.allow_git_dir(git_dir, places);
        }
        if let Some(nursery) = places.nursery.as_ref().filter(|_| writing) {
            compiled.insert(Pattern::Literal(nursery.clone()), own(Effect::Block, "the run's nursery"));
        }
        for (text, entry) in entries(lists) {
            match parse(text, places) {
                Ok(Pattern::Literal(path)) => {
                    for path in links.meant(path, entry.effect) {
                        compiled.insert(Pattern::Literal(path), entry.clone());
                    }
                }
                Ok(other) => compiled.insert(other, entry),
                Err(problem) => return Err(CompileError { rule: entry.rule, problem }),
            }
        }
        Ok(compiled)
    }

    /// A worktree's or submodule's real repository: what Git writes in daily work, not what it executes.
    fn allow_git_dir(&mut self, git_dir: &Path, places: &Places) {
        let entry = |effect| own(effect, "the repository that the workspace belongs to");
        if !(places.read_only && self.writing) {
            self.insert(Pattern::Literal(git_dir.to_owned()), entry(Effect::Allow));
        }
        if self.writing {
            for part in ["config", "config.worktree", "hooks"] {
                self.insert(Pattern::Literal(git_dir.join(part)), entry(Effect::Deny));
            }
        }
    }

    fn insert(&mut self, pattern: Pattern, entry: Entry) {
        match pattern {
            Pattern::Literal(path) => {
                let at = self.listed.len();
                let first = *self.literal.entry(into_key(path)).or_insert(at);
                self.listed.push(Listed { entry, next: None });
                if let Some(last) = self.chain(first).last().filter(|last| *last != at) {
                    self.listed[last].next = Some(at);
                }
            }
            Pattern::AnyDepth(names) => self.any_depth.push(names, entry),
            Pattern::Glob { matcher, literal_prefix } => self.globs.push((matcher, literal_prefix, entry)),
        }
    }

    /// Where the entries for one path stand.
    fn chain(&self, first: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(first), |at| self.listed[*at].next)
    }

    fn entries(&self, first: usize) -> impl Iterator<Item = &Entry> {
        self.chain(first).map(|at| &self.listed[at].entry)
    }

    pub(super) fn add(&mut self, grant: &Grant, places: &Places) -> Result<(), CompileError> {
        let rule = grant.rule();
        match parse(&grant.entry, places) {
            Ok(pattern) => {
                self.insert(pattern, Entry { effect: grant.effect, rule });
                Ok(())
            }
            Err(problem) => Err(CompileError { rule, problem }),
        }
    }

    fn matches(&self, path: &Path) -> Vec<Match<'_>> {
        let path = plain(path);
        let components = Components::of(key(&path));
        let mut found = Vec::new();
        for (matched_depth, ancestor) in components.ancestors() {
            for entry in self.literal.get(ancestor).into_iter().flat_map(|first| self.entries(*first)) {
                found.push(Match { entry, specificity: specificity(matched_depth), matched_depth });
            }
            for (matcher, prefix, entry) in &self.globs {
                if ancestor.starts_with(key(prefix)) && matcher.matches(as_path(ancestor)) {
                    found.push(Match { entry, specificity: specificity(matched_depth), matched_depth });
                }
            }
        }
        if !self.any_depth.is_empty() && !self.is_private(&path) {
            self.any_depth.matches(&components, &mut found);
        }
        found
    }

    fn is_private(&self, path: &Path) -> bool {
        !path.starts_with(&self.pattern_base) || self.private.iter().any(|place| path.starts_with(place))
    }

    pub(super) fn rule(&self, path: &Path) -> Ruling<'_> {
        weigh(&self.matches(path))
    }

    pub(super) fn deciding(&self, path: &Path) -> Option<&Rule> {
        deciding(&self.matches(path))
    }

    /// `/` is allowed and nothing is denied: no read can need a question.
    pub(super) fn allows_everything(&self) -> bool {
        let no = |entry: &Entry| entry.effect != Effect::Allow;
        matches!(self.rule(Path::new("/")), Ruling::Allow)
            && !self
                .literal
                .iter()
                .any(|(path, first)| self.entries(*first).any(no) && !matches!(self.rule(as_path(path)), Ruling::Allow))
            && !self.any_depth.entries().any(no)
            && self.globs.iter().all(|(glob, _, entry)| !no(entry) || self.overrules(glob, entry))
    }

    /// Is the same glob allowed by as high a layer, and not blocked?
    fn overrules(&self, glob: &LazyGlob, entry: &Entry) -> bool {
        let allows = |(other, _, yes): &(LazyGlob, PathBuf, Entry)| {
            yes.effect == Effect::Allow
                && other.text() == glob.text()
                && yes.rule.source.layer >= entry.rule.source.layer
        };
        entry.effect != Effect::Block && self.globs.iter().any(allows)
    }

    /// What may be written under the floor. Where rules for any depth apply nothing is: names are born
    /// in the broker.
    pub(super) fn silent_writing(&self) -> SilentYes {
        let mut silent = self.silent_literally();
        silent.carve.extend(self.restricting_globs().map(|(_, prefix)| prefix.to_owned()));
        if self.any_depth.restricting().next().is_some() {
            silent.roots.retain(|root| self.is_private(root) || is_device(root));
        }
        silent.in_order()
    }

    /// What may be read under the floor. What patterns deny in the workspace by now is looked for there;
    /// a later name is born in the broker, or is somebody else's, and then the trap alone keeps it.
    pub(super) fn silent_reading(&self, search: &Search<'_>) -> SilentYes {
        let mut silent = self.silent_literally();
        let inside = |prefix: &Path| prefix.starts_with(&self.pattern_base);
        let (inner, outer): (Vec<_>, Vec<_>) = self.restricting_globs().partition(|(_, prefix)| inside(prefix));
        silent.carve.extend(outer.into_iter().map(|(_, prefix)| prefix.to_owned()));
        let any_depth = self.any_depth.restricting().next().is_some();
        let everywhere = any_depth.then_some(self.pattern_base.as_path());
        let bases = everywhere.into_iter().chain(inner.iter().map(|(_, prefix)| *prefix).filter(|_| !any_depth));
        for base in bases {
            let denied = |path: &Path| {
                let named = path.file_name().is_some_and(|name| self.could_mean(name));
                (named || inner.iter().any(|(glob, _)| glob.matches(path))) && !matches!(self.rule(path), Ruling::Allow)
            };
            let found = search(base, &denied).unwrap_or_else(|| vec![base.to_owned()]);
            // What is beneath was not looked at.
            silent.roots.retain(|root| self.is_private(root) || !found.iter().any(|found| root.starts_with(found)));
            silent.carve.extend(found);
            silent.patterned = true;
        }
        silent.in_order()
    }

    fn restricting_globs(&self) -> impl Iterator<Item = (&LazyGlob, &Path)> {
        let restricting = self.globs.iter().filter(|(.., entry)| entry.effect != Effect::Allow);
        restricting.map(|(glob, prefix, _)| (glob, prefix.as_path()))
    }

    /// Roots that entries name, and what entries without patterns leave out of them.
    fn silent_literally(&self) -> SilentYes {
        let mut silent = SilentYes::default();
        let allows = |entry: &Entry| entry.effect == Effect::Allow;
        let allowing_patterns =
            self.any_depth.entries().any(allows) || self.globs.iter().any(|(.., entry)| allows(entry));
        for (path, first) in &self.literal {
            let path = as_path(path);
            let allows_here = self.entries(*first).any(allows);
            // What denies its own path outweighs every allow above it: no need to look.
            let denied = !allowing_patterns
                && !allows_here
                && self.entries(*first).any(|entry| matches!(entry.effect, Effect::Deny | Effect::Block));
            let allowed = !denied && matches!(self.rule(path), Ruling::Allow);
            if allowed && allows_here {
                silent.roots.push(path.to_owned());
            } else if !allowed {
                silent.carve.push(path.to_owned());
            }
        }
        silent
    }

    /// Literal restrictions strictly beneath `directory`.
    pub(super) fn literals_beneath<'a>(&'a self, directory: &'a Path) -> impl Iterator<Item = PathBuf> + 'a {
        let literal = self.literal.iter().filter(|(_, first)| self.entries(**first).any(|e| e.effect != Effect::Allow));
        let paths = literal.map(|(path, _)| as_path(path));
        paths.filter(move |path| path.starts_with(directory) && *path != directory).map(Path::to_owned)
    }

    /// What restrictions for any depth name beneath `directory`, whose own name they begin with.
    pub(super) fn patterns_beneath<'a>(&'a self, directory: &'a Path) -> impl Iterator<Item = PathBuf> + 'a {
        let applies = !self.is_private(directory);
        let restricting = self.any_depth.restricting().filter(move |_| applies);
        restricting.flat_map(move |names| {
            open_tails(names, directory).map(move |count| {
                names[count..].iter().fold(directory.to_owned(), |path, name| path.join(name.example()))
            })
        })
    }

    /// What beneath `directory` restrictions could speak of, literal ones aside.
    pub(super) fn inspect(&self, directory: &Path) -> Inspect {
        let mut globs = self.globs.iter().filter(|(.., entry)| entry.effect != Effect::Allow);
        if globs.any(|(_, prefix, _)| prefix.starts_with(directory) || directory.starts_with(prefix)) {
            return Inspect::Everything;
        }
        if !self.is_private(directory) && self.any_depth.restricting().next().is_some() {
            Inspect::Names
        } else {
            Inspect::Nothing
        }
    }

    /// Does a restriction for any depth end in `name`?
    pub(super) fn could_mean(&self, name: &OsStr) -> bool {
        let mut ends = self.any_depth.restricting().filter_map(|names| names.last());
        ends.any(|end| end.matches(name.as_bytes()))
    }
}

/// What a run has without an entry in any list.
fn own(effect: Effect, text: &'static str) -> Entry {
    Entry { effect, rule: Rule::said(text, Source::from(Layer::Default)) }
}

fn is_device(path: &Path) -> bool {
    path.starts_with("/dev")
}
