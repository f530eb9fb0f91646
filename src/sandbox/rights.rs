//! What a rule of the floor grants, in three classes.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

use landlock::{ABI, Access, AccessFs, BitFlags, make_bitflags};

/// A set of rights over a file hierarchy.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rights(u8);

impl Rights {
    pub const NONE: Self = Self(0);
    /// Read files, list directories, execute: a program that may be read may be run.
    pub const READ: Self = Self(1);
    /// Write and truncate what exists; use devices.
    pub const WRITE: Self = Self(2);
    /// Make, remove, rename and link names. About a name, ask for its directory.
    pub const CHANGE: Self = Self(4);
    pub const ALL: Self = Self(7);

    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// For keys.
    pub fn bits(self) -> u8 {
        self.0
    }

    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The part that a rule on something other than a directory can grant.
    pub(super) fn of_a_file(self) -> Self {
        Self(self.0 & (Self::READ | Self::WRITE).0)
    }

    /// The kernel's rights for these on a directory, as far as `abi` knows them.
    pub(super) fn to_access(self, abi: ABI) -> BitFlags<AccessFs> {
        let mut access = BitFlags::EMPTY;
        if self.contains(Self::READ) {
            access |= make_bitflags!(AccessFs::{Execute | ReadFile | ReadDir});
        }
        if self.contains(Self::WRITE) {
            access |= make_bitflags!(AccessFs::{WriteFile | Truncate | IoctlDev});
        }
        if self.contains(Self::CHANGE) {
            access |= make_bitflags!(AccessFs::{
                RemoveDir | RemoveFile | MakeChar | MakeDir | MakeReg | MakeSock | MakeFifo
                    | MakeBlock | MakeSym | Refer
            });
        }
        access & AccessFs::from_all(abi)
    }
}

impl BitOr for Rights {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Rights {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        for (right, word) in [(Self::READ, "read"), (Self::WRITE, "write"), (Self::CHANGE, "change")] {
            if self.contains(right) {
                words.push(word);
            }
        }
        f.write_str(if words.is_empty() { "nothing" } else { "" })?;
        f.write_str(&words.join("+"))
    }
}
