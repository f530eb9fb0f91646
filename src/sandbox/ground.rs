//! The ground of a floor: the Landlock ruleset before it has rules. A command can be forked with it.
//!
//! It refuses to exist on a kernel that cannot hold a floor.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use landlock::{ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, Scope};

use crate::sys;

/// The oldest Landlock ABI that can hold the floor: the first with truncation.
pub(super) const LEAST_ABI: u32 = 3;
/// The newest Landlock ABI whose rights this release handles.
const NEWEST_ABI: u32 = 7;

/// Why the floor could not be laid.
#[derive(Debug, thiserror::Error)]
pub enum FloorError {
    /// No Landlock, or one that lets `truncate` through.
    #[error("find Landlock ABI {LEAST_ABI} in this kernel (it has {found})")]
    TooOld { found: u32 },
    #[error("make the Landlock ruleset")]
    Ruleset(#[from] landlock::RulesetError),
    /// The ruleset was made without a descriptor.
    #[error("make the Landlock ruleset: the kernel gave no descriptor")]
    NoDescriptor,
}

/// A ruleset that handles every right and grants none yet. A command can be forked with it, while its rules are bound.
#[derive(Debug)]
pub struct Groundwork {
    pub(super) ruleset: OwnedFd,
    abi: u32,
}

impl Groundwork {
    pub fn new() -> Result<Self, FloorError> {
        Self::with_abi(sys::landlock::abi())
    }

    /// With the rights of an older ABI than the kernel's.
    pub(super) fn with_abi(found: u32) -> Result<Self, FloorError> {
        if found < LEAST_ABI {
            return Err(FloorError::TooOld { found });
        }
        let abi = found.min(NEWEST_ABI);
        Ok(Self { ruleset: handled(as_abi(abi))?, abi })
    }

    /// The Landlock ABI whose rights the ruleset handles.
    pub fn abi(&self) -> u32 {
        self.abi
    }

    /// Does the kernel keep signals inside by itself?
    pub fn scopes_signals(&self) -> bool {
        self.abi >= 6
    }
}

impl AsFd for Groundwork {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ruleset.as_fd()
    }
}

pub(super) fn as_abi(number: u32) -> ABI {
    ABI::from(i32::try_from(number).unwrap_or(0))
}

/// A ruleset that handles every right of `abi`: what no rule grants is denied.
fn handled(abi: ABI) -> Result<OwnedFd, FloorError> {
    let mut ruleset =
        Ruleset::default().set_compatibility(CompatLevel::HardRequirement).handle_access(AccessFs::from_all(abi))?;
    if abi >= ABI::V4 {
        ruleset = ruleset.handle_access(AccessNet::from_all(abi))?;
    }
    if abi >= ABI::V6 {
        ruleset = ruleset.scope(Scope::AbstractUnixSocket | Scope::Signal)?;
    }
    Option::<OwnedFd>::from(ruleset.create()?).ok_or(FloorError::NoDescriptor)
}
