//! Landlock calls that have to be made raw: in a forked child, for what a crate hides, and a hundred times at
//! each start, where a crate looks once more at what was looked at.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// `LANDLOCK_CREATE_RULESET_VERSION`.
const VERSION: u32 = 1 << 0;
/// `LANDLOCK_CREATE_RULESET_ERRATA`, since Linux 6.15 and in maintained older kernels.
const ERRATA: u32 = 1 << 1;

fn ask(flags: u32) -> u32 {
    let nothing = std::ptr::null::<libc::c_void>();
    // SAFETY: with VERSION or ERRATA the kernel demands a null attribute of size 0 and reads none.
    let answer = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0_usize, flags) };
    u32::try_from(answer).unwrap_or(0)
}

/// `landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION)`: the kernel's ABI, 0 where
/// Landlock is absent or disabled. `man 2 landlock_create_ruleset`.
pub fn abi() -> u32 {
    ask(VERSION)
}

/// `landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_ERRATA)`: a bit for each erratum that
/// is fixed, 0 where the kernel cannot say. `Documentation/userspace-api/landlock.rst`.
pub fn errata() -> u32 {
    ask(ERRATA)
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent: RawFd,
}

/// `landlock_add_rule(ruleset, LANDLOCK_RULE_PATH_BENEATH, …, 0)`. `allowed` are rights that the ruleset
/// handles, and only a file's where `beneath` is none of the directories. `man 2 landlock_add_rule`.
pub fn add_rule_beneath(ruleset: BorrowedFd<'_>, beneath: BorrowedFd<'_>, allowed: u64) -> io::Result<()> {
    const RULE_PATH_BENEATH: libc::c_int = 1;
    let rule = PathBeneath { allowed_access: allowed, parent: beneath.as_raw_fd() };
    // SAFETY: the kernel reads the rule during the call; both descriptors are open for its duration.
    let done = unsafe {
        libc::syscall(libc::SYS_landlock_add_rule, ruleset.as_raw_fd(), RULE_PATH_BENEATH, &raw const rule, 0_u32)
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// `landlock_restrict_self(ruleset, 0)`: async-signal-safe. Needs `no_new_privs`.
/// `man 2 landlock_restrict_self`.
pub fn restrict_self(ruleset: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the call takes numbers only; ruleset is open for its duration.
    let done = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0_u32) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
