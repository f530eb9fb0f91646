//! Globs that are checked when they are written and built when they are first needed: building one
//! costs more than all else in a policy, and most runs match none.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::OnceLock;

use globset::{Glob, GlobBuilder, GlobMatcher};

use super::lists::Problem;

/// One valid glob.
#[derive(Debug, Clone)]
pub(super) struct LazyGlob {
    glob: Glob,
    matcher: OnceLock<GlobMatcher>,
}

impl LazyGlob {
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let glob = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
        Ok(Self { glob: glob.map_err(|_| Problem::Path)?, matcher: OnceLock::new() })
    }

    /// As it was written.
    pub(super) fn text(&self) -> &str {
        self.glob.glob()
    }

    pub(super) fn matches(&self, path: impl AsRef<Path>) -> bool {
        self.matcher.get_or_init(|| self.glob.compile_matcher()).is_match(path)
    }

    pub(super) fn matches_name(&self, name: &[u8]) -> bool {
        use std::os::unix::ffi::OsStrExt;
        self.matches(OsStr::from_bytes(name))
    }
}
