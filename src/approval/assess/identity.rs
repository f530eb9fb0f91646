//! Which program a word names.

use std::path::{Path, PathBuf};

use super::Walk;
use super::builtins::is_builtin;
use super::state::State;
use crate::approval::arg::base_name;
use crate::approval::request::Surroundings;

/// Directories of programs that a package manager or an administrator puts there.
const SYSTEM_PROGRAMS: [&str; 6] = ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];

/// Which program a word names.
pub(super) enum Identity {
    Known {
        resolved: Option<PathBuf>,
    },
    /// Found in a directory that the sandbox may write.
    Shadowed(PathBuf),
    /// A path that is only itself.
    Itself,
}

impl Walk<'_> {
    pub(super) fn identity(&self, name: &str, state: &State, in_shell: bool) -> Identity {
        if !name.contains('/') {
            if in_shell && is_builtin(name) {
                return Identity::Known { resolved: None };
            }
            return match self.machine.find_program(name) {
                Some(path) if self.may_be_replaced(&path) => Identity::Shadowed(path),
                resolved => Identity::Known { resolved },
            };
        }
        let Some(path) = self.place(state).absolute(name) else {
            return Identity::Itself;
        };
        let by_system = path.parent().and_then(Path::to_str).is_some_and(|parent| SYSTEM_PROGRAMS.contains(&parent));
        let by_name = || self.machine.find_program(base_name(name)).is_some_and(|found| found == path);
        if name.starts_with('/') && (by_system || by_name()) && !self.may_be_replaced(&path) {
            Identity::Known { resolved: Some(path) }
        } else {
            Identity::Itself
        }
    }

    fn may_be_replaced(&self, path: &Path) -> bool {
        self.machine.sandbox_may_write(path)
            || path.parent().is_some_and(|parent| self.machine.sandbox_may_write(parent))
    }
}
