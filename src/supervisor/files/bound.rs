//! Inodes that carry a rule of the floor: their rights go where they go.

use std::path::{Path, PathBuf};

use rustix::fs::Stat;

use crate::policy::{Access, Change, Verdict};
use crate::sandbox::{Rights, Ruled};
use crate::supervisor::Context;

/// Would `moved` at `to` carry rights of the floor to a place where the policy does not give them?
/// Then the caller is told `EXDEV` and copies.
pub(super) fn refuses(context: &Context, moved: &Stat, to: &Path) -> bool {
    let rules = context.floor().rules().iter();
    rules.filter(|rule| (rule.dev, rule.ino) == (moved.st_dev, moved.st_ino)).any(|rule| exceeds(context, rule, to))
}

/// The same for a directory `from` and every ruled inode beneath it.
pub(super) fn refuses_tree(context: &Context, (from, moved): (&Path, &Stat), to: &Path) -> bool {
    if refuses(context, moved, to) {
        return true;
    }
    context.floor().rules().iter().any(|rule| {
        let place = context.files().place_of(rule);
        place.strip_prefix(from).is_ok_and(|rest| exceeds(context, rule, &beneath(to, rest)))
    })
}

/// `directory` joined with `rest`, without a trailing slash for an empty rest.
pub(super) fn beneath(directory: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() { directory.to_owned() } else { directory.join(rest) }
}

fn exceeds(context: &Context, rule: &Ruled, to: &Path) -> bool {
    let policy = context.policy();
    let allows = |access: Access<'_>| matches!(policy.judge(&access, context.facts()), Verdict::Allow(_));
    let reads = rule.rights.contains(Rights::READ);
    let writes = rule.rights.contains(Rights::WRITE) || rule.rights.contains(Rights::CHANGE);
    reads && !allows(Access::Read(to)) || writes && !allows(Access::Write(to, Change::Existing))
}
