//! What file handlers of one run share: the order of name changes, and the run's own terminals.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rustix::fs::Stat;

use super::bound::beneath;
use super::held::{Held, Named};
use super::proven::Proven;
use crate::sandbox::Ruled;

/// Shared by every file call of a run.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Held for reading while a name is made or taken, for writing while a directory moves: so a
    /// name's path, once judged, stays its path until the name is made.
    names: RwLock<()>,
    /// Counts moved directories.
    moves: AtomicU64,
    /// Slaves of the terminals that this run opened, by number: pinned without being opened.
    terminals: Mutex<HashMap<u32, OwnedFd>>,
    resolver_files: OnceLock<[PathBuf; 2]>,
    proven: Proven,
    /// Where inodes that carry a rule of the floor were moved to.
    moved_rules: Mutex<HashMap<(u64, u64), PathBuf>>,
}

/// What the order of moves was when a path was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(u64);

impl State {
    pub(super) fn now(&self) -> Moment {
        Moment(self.moves.load(Ordering::Acquire))
    }

    pub(super) fn proven(&self) -> &Proven {
        &self.proven
    }

    /// Proofs of the same span count together: it ends when a directory moves, and with `time`.
    pub(super) fn span(&self, time: u64) -> u64 {
        self.moves.load(Ordering::Acquire).wrapping_mul(1 << 40).wrapping_add(time)
    }

    /// No directory moves while this is held.
    pub(super) fn making(&self) -> RwLockReadGuard<'_, ()> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody makes, takes or moves a name while this is held.
    pub(super) fn moving(&self) -> RwLockWriteGuard<'_, ()> {
        self.names.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the inode is by now that `rule` was bound to.
    pub(super) fn place_of(&self, rule: &Ruled) -> PathBuf {
        let moved = self.moved_rules.lock().unwrap_or_else(PoisonError::into_inner);
        moved.get(&(rule.dev, rule.ino)).unwrap_or(&rule.path).clone()
    }

    /// `from` and everything beneath it has moved `to` there.
    pub(super) fn move_rules(&self, rules: &[Ruled], from: &Path, to: &Path) {
        for rule in rules {
            if let Ok(rest) = self.place_of(rule).strip_prefix(from) {
                self.move_rule(rule, beneath(to, rest));
            }
        }
    }

    /// What `rule` is bound to was moved `to` there.
    pub(super) fn move_rule(&self, rule: &Ruled, to: PathBuf) {
        self.moved_rules.lock().unwrap_or_else(PoisonError::into_inner).insert((rule.dev, rule.ino), to);
    }

    /// The nearest place at or above `path` that a rule's inode was moved to, and which inode that is.
    pub(super) fn moved_above(&self, path: &Path) -> Option<(PathBuf, (u64, u64))> {
        let moved = self.moved_rules.lock().unwrap_or_else(PoisonError::into_inner);
        let above = moved.iter().filter(|(_, place)| path.starts_with(place));
        let nearest = above.max_by_key(|(_, place)| place.as_os_str().len());
        nearest.map(|(inode, place)| (place.clone(), *inode))
    }

    /// A directory has another name now: paths read before may be wrong.
    pub(super) fn moved(&self) {
        self.moves.fetch_add(1, Ordering::AcqRel);
    }

    /// Does `held`, which was called `path` at `then`, still have that name? To be asked under the
    /// lock that keeps the answer true.
    pub(super) fn still_named(&self, held: &Held, path: &Path, then: Moment) -> bool {
        self.now() == then || matches!(held.named(), Ok(Named::Path(now)) if now == path)
    }

    /// The run opened a terminal: `slave` is its other end, held `O_PATH`.
    pub(super) fn record_terminal(&self, number: u32, slave: OwnedFd) {
        let mut terminals = self.terminals.lock().unwrap_or_else(PoisonError::into_inner);
        terminals.retain(|_, slave| is_linked(slave));
        terminals.insert(number, slave);
    }

    /// Is this the slave of a terminal that the run opened? A number used again after the terminal
    /// closed is another inode.
    pub(super) fn is_own_terminal(&self, slave: &Stat) -> bool {
        let number = rustix::fs::minor(slave.st_rdev);
        let terminals = self.terminals.lock().unwrap_or_else(PoisonError::into_inner);
        terminals.get(&number).is_some_and(|own| {
            is_linked(own)
                && rustix::fs::fstat(own).is_ok_and(|own| (own.st_dev, own.st_rdev) == (slave.st_dev, slave.st_rdev))
        })
    }

    /// Where `/etc/resolv.conf` and `/etc/hosts` really are.
    pub(in crate::supervisor) fn resolver_files(&self) -> &[PathBuf; 2] {
        self.resolver_files.get_or_init(|| {
            ["/etc/resolv.conf", "/etc/hosts"].map(|path| std::fs::canonicalize(path).unwrap_or_else(|_| path.into()))
        })
    }
}

fn is_linked(slave: &OwnedFd) -> bool {
    rustix::fs::fstat(slave).is_ok_and(|stat| stat.st_nlink > 0)
}
