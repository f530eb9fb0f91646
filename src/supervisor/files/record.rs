//! What the run made, changed, removed and renamed: for the facts that the policy asks of, and for
//! the report.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Stat};

use super::entries::is_directory;
use crate::journal::{Change, FileChange};
use crate::policy::shared_temporary_entry;
use crate::supervisor::Context;

/// The broker made `path` and holds it as `fd`.
pub(super) fn created(context: &Context, path: PathBuf, fd: BorrowedFd<'_>) {
    if let Ok(stat) = rustix::fs::fstat(fd) {
        remember(context, &path, &stat);
    }
    context.journal().file(FileChange { path, change: Change::Created });
}

/// The broker made something that it did not open at `path`. Asked under the lock of its making.
pub(super) fn created_at(context: &Context, path: PathBuf) {
    if let Ok(stat) = rustix::fs::statat(CWD, &path, AtFlags::SYMLINK_NOFOLLOW) {
        remember(context, &path, &stat);
    }
    context.journal().file(FileChange { path, change: Change::Created });
}

/// The run's own entries in shared temporary directories, and its own repositories.
fn remember(context: &Context, path: &Path, stat: &Stat) {
    let direct = shared_temporary_entry(path).is_some_and(|(_, direct)| direct);
    let repository = is_directory(stat) && path.file_name().is_some_and(|name| name == ".git");
    if direct || repository {
        context.facts().record_path(path, (stat.st_dev, stat.st_ino));
    }
}

pub(super) fn modified(context: &Context, path: PathBuf) {
    context.journal().file(FileChange { path, change: Change::Modified });
}

pub(super) fn deleted(context: &Context, path: PathBuf) {
    context.facts().forget_path(&path);
    context.journal().file(FileChange { path, change: Change::Deleted });
}

pub(super) fn renamed(context: &Context, from: PathBuf, to: PathBuf) {
    context.facts().rename_path(&from, &to);
    remember_shared(context, &to);
    context.journal().file(FileChange { path: to, change: Change::Renamed { from } });
}

/// Both names stand for something else now. What was ours at one is ours at the other.
pub(super) fn exchanged(context: &Context, one: PathBuf, other: PathBuf) {
    let facts = context.facts();
    let aside = other.join("\u{0}");
    facts.rename_path(&other, &aside);
    facts.rename_path(&one, &other);
    facts.rename_path(&aside, &one);
    for (path, from) in [(one.clone(), other.clone()), (other, one)] {
        context.journal().file(FileChange { path, change: Change::Renamed { from } });
    }
}

/// What the run moved to a shared temporary directory is its own there.
fn remember_shared(context: &Context, path: &Path) {
    if shared_temporary_entry(path).is_some_and(|(_, direct)| direct)
        && let Ok(stat) = rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW)
    {
        context.facts().record_path(path, (stat.st_dev, stat.st_ino));
    }
}
