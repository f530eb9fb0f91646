//! What a rule that names a symbolic link speaks of. Accesses are judged by real paths.

use std::path::{Path, PathBuf};

use super::lists::Effect;
use super::pattern::{Pattern, parse};
use super::{Places, Real, SHARED_TEMPORARY};
use crate::settings::{Sourced, Text};

/// Where links lead, and where a run could have made them.
pub(super) struct Links<'a> {
    real: &'a Real<'a>,
    /// A run may write these and all beneath them: a link there could be an earlier run's.
    writable: Vec<PathBuf>,
}

impl<'a> Links<'a> {
    pub(super) fn new(real: &'a Real<'a>, places: &Places, allow_write: &[Sourced<Text>]) -> Self {
        let mut writable = vec![places.workspace.clone(), places.temporary.clone(), places.cache.clone()];
        writable.extend(SHARED_TEMPORARY.map(PathBuf::from));
        writable.extend(allow_write.iter().filter_map(|entry| match parse(&entry.value, places).ok()? {
            Pattern::Literal(path) => Some(path),
            Pattern::AnyDepth(_) => Some(PathBuf::from("/")),
            Pattern::Glob { literal_prefix, .. } => Some(literal_prefix),
        }));
        Self { real, writable }
    }

    /// The real paths that a rule for `path` covers. A restriction holds for the link's name too. An
    /// allow rule never follows a link that a run may have made, nor one in its own last component:
    /// who may write a path may put a link in its place, for the next run to follow anywhere.
    pub(super) fn meant(&self, path: PathBuf, effect: Effect) -> impl Iterator<Item = PathBuf> {
        let meant = match (self.real)(&path) {
            None => [Some(path), None],
            Some(real) if effect != Effect::Allow => [Some(path), Some(real)],
            Some(_) => [self.followed(&path), None],
        };
        meant.into_iter().flatten()
    }

    /// Where the path leads by links that no run can have made; its last component must be none.
    fn followed(&self, path: &Path) -> Option<PathBuf> {
        let mut at = PathBuf::from("/");
        let mut components = path.components().skip(1).peekable();
        while let Some(component) = components.next() {
            let next = at.join(component);
            let real = (self.real)(&next);
            let last = components.peek().is_none();
            if real.is_some() && (last || self.writable.iter().any(|place| at.starts_with(place))) {
                return None;
            }
            at = real.unwrap_or(next);
        }
        Some(at)
    }
}
