//! Finds the deepest rule above a path: one pass over its bytes, no allocation.

use std::path::{Path, PathBuf};

use super::rights::Rights;
use crate::policy::key;

const SEED: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

/// One rule: the path that was granted and the inode that the kernel bound it to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruled {
    pub path: PathBuf,
    pub rights: Rights,
    pub dev: u64,
    pub ino: u64,
}

/// Rules by path. Slots hold one more than a rule's index; 0 is empty.
#[derive(Debug)]
pub(super) struct Table {
    rules: Vec<Ruled>,
    slots: Vec<u32>,
}

impl Table {
    pub(super) fn new(rules: Vec<Ruled>) -> Self {
        let mut table = Self { slots: vec![0; (rules.len() * 4).next_power_of_two().max(4)], rules };
        for index in 0..table.rules.len() {
            let hash = key(&table.rules[index].path).iter().fold(SEED, |hash, byte| step(hash, *byte));
            let mut slot = table.slot(hash);
            while table.slots[slot] != 0 {
                slot = (slot + 1) & (table.slots.len() - 1);
            }
            table.slots[slot] = u32::try_from(index + 1).expect("fewer rules than a u32 counts");
        }
        table
    }

    pub(super) fn rules(&self) -> &[Ruled] {
        &self.rules
    }

    pub(super) fn deepest(&self, path: &Path) -> Option<&Ruled> {
        let bytes = key(path);
        let mut hash = SEED;
        let mut deepest = None;
        for (at, byte) in bytes.iter().enumerate() {
            if *byte == b'/' {
                deepest = self.find(hash, &bytes[..at]).or(deepest);
            }
            hash = step(hash, *byte);
        }
        self.find(hash, bytes).or(deepest)
    }

    fn find(&self, hash: u64, prefix: &[u8]) -> Option<&Ruled> {
        let mut slot = self.slot(hash);
        loop {
            let index = self.slots[slot].checked_sub(1)? as usize;
            let ruled = &self.rules[index];
            if key(&ruled.path) == prefix {
                return Some(ruled);
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }

    fn slot(&self, hash: u64) -> usize {
        // FNV mixes upwards: fold the high half down before masking.
        usize::try_from((hash ^ (hash >> 32)) & (self.slots.len() as u64 - 1)).unwrap_or(0)
    }
}

fn step(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(PRIME)
}
