//! What was proven a moment ago, so that the hot path proves it once and not at every call.
//!
//! Decides nothing: all that rests on it is whether the kernel is let decide by itself (I2), so a
//! memory that is out of date, torn or hit by chance can only make the floor refuse. It is forgotten
//! when a directory of the run moves or goes, and after a moment anyway.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys::memory::zeroes;

/// A power of two; more paths than that push each other out.
const SLOTS: usize = 4096;

/// What a proof was of: a path, a rule, in one span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key(u64);

/// Device and inode that a path led to.
pub(super) type Inode = (u64, u64);

/// The proofs of one run. Never locked, never growing.
#[derive(Debug)]
pub(super) struct Proven {
    keys: RandomState,
    /// The key, the device, and the inode: 0 where it was seen once and is not worth more yet. A run that opens
    /// little touches few of their pages.
    slots: Box<[[AtomicU64; 3]]>,
}

impl Default for Proven {
    fn default() -> Self {
        Self { keys: RandomState::new(), slots: zeroes(SLOTS) }
    }
}

impl Proven {
    /// The key of `bytes` for one purpose in one span.
    pub(super) fn key(&self, bytes: &[u8], purpose: u64, span: u64) -> Key {
        let mut hasher = self.keys.build_hasher();
        hasher.write(bytes);
        hasher.write_u64(purpose);
        hasher.write_u64(span);
        Key(hasher.finish())
    }

    fn slot(&self, key: Key) -> &[AtomicU64; 3] {
        // Fewer slots than usize counts on every machine.
        #[allow(clippy::cast_possible_truncation)]
        let at = key.0 as usize % SLOTS;
        &self.slots[at]
    }

    /// What was proven for `key`.
    pub(super) fn inode(&self, key: Key) -> Option<Inode> {
        let [there, dev, ino] = self.slot(key);
        if there.load(Ordering::Acquire) != key.0 {
            return None;
        }
        let inode = (dev.load(Ordering::Relaxed), ino.load(Ordering::Relaxed));
        (inode.1 != 0).then_some(inode)
    }

    /// Was `key` proven before? Then its inode is worth asking for; else that is noted.
    pub(super) fn again(&self, key: Key) -> bool {
        let [there, ..] = self.slot(key);
        let seen = there.load(Ordering::Acquire) == key.0;
        if !seen {
            self.keep(key, (0, 0));
        }
        seen
    }

    pub(super) fn keep(&self, key: Key, inode: Inode) {
        let [there, dev, ino] = self.slot(key);
        there.store(0, Ordering::Release);
        dev.store(inode.0, Ordering::Relaxed);
        ino.store(inode.1, Ordering::Relaxed);
        there.store(key.0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_counts_for_its_own_path_purpose_and_span() {
        let proven = Proven::default();
        let key = proven.key(b"/a", 1, 7);
        assert!(!proven.again(key));
        assert_eq!(proven.inode(key), None);
        assert!(proven.again(key));
        proven.keep(key, (3, 4));
        assert_eq!(proven.inode(key), Some((3, 4)));
        for other in [proven.key(b"/b", 1, 7), proven.key(b"/a", 2, 7), proven.key(b"/a", 1, 8)] {
            assert_eq!(proven.inode(other), None);
        }
    }
}
