//! Landlock calls that have to be made raw: in a forked child, and for what a crate hides.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

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

/// `landlock_restrict_self(ruleset, 0)`: async-signal-safe. Needs `no_new_privs`.
/// `man 2 landlock_restrict_self`.
pub fn restrict_self(ruleset: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the call takes numbers only; ruleset is open for its duration.
    let done = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0_u32) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
