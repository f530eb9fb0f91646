//! The floor: the Landlock ruleset that grants what the policy silently allows, and nothing else.
//!
//! Owns a table of what went into it. It holds in the kernel with nobody's help; everything above it is brokered.
//! It never grants a path that a carve covers.

use std::path::Path;

use super::nursery::Nursery;
use super::plan::LeftOut;
use super::rights::Rights;
use super::table::{Ruled, Table};

/// What was given to Landlock.
#[derive(Debug)]
pub struct Floor {
    pub(super) abi: u32,
    pub(super) table: Table,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) nursery: Option<Nursery>,
    pub(super) patterned: bool,
}

impl Floor {
    /// Was the tree searched for what patterns deny to readers? They speak of later names too, which the
    /// floor may cover.
    pub fn is_patterned(&self) -> bool {
        self.patterned
    }

    /// Where new names in split directories come from.
    pub fn nursery(&self) -> Option<&Nursery> {
        self.nursery.as_ref()
    }

    /// The deepest rule at or above `path`, if the floor grants all of `rights` there.
    ///
    /// The kernel binds a rule to an inode, not to a path: before relying on it, check that
    /// `Ruled::path` still is `Ruled::{dev, ino}`. `path` is real: no symbolic link, no `..`.
    pub fn covers(&self, path: &Path, rights: Rights) -> Option<&Ruled> {
        self.table.deepest(path).filter(|ruled| ruled.rights.contains(rights))
    }

    /// Every rule, in the order of paths.
    pub fn rules(&self) -> &[Ruled] {
        self.table.rules()
    }

    /// The Landlock ABI whose rights the ruleset handles.
    pub fn abi(&self) -> u32 {
        self.abi
    }

    /// What the policy allows and the floor had to leave to the broker.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }
}
