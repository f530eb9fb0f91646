//! Gives up capabilities: a sandboxed command, its monitor and its broker have none, or the few
//! that a root caller's archives and copies need.
//!
//! Works on the calling thread alone, so that a thread of the broker can give up what its process
//! keeps, and allocates nothing, so that a forked child can.

use std::io;

use crate::sys::capabilities::{self, Sets};

const CHOWN: u32 = 0;
const DAC_OVERRIDE: u32 = 1;
const FOWNER: u32 = 3;
const FSETID: u32 = 4;
const SETPCAP: u32 = 8;
/// Bits in a capability set.
const MOST: u32 = 64;

/// What a root caller keeps, as far as it has them.
const ROOT_FILES: u64 = 1 << CHOWN | 1 << DAC_OVERRIDE | 1 << FOWNER | 1 << FSETID;

/// Drops the bounding, ambient, inheritable, permitted and effective sets of the calling thread
/// down to nothing or, of a root
/// caller, to what archives and copies need, and sets `no_new_privs`. Async-signal-safe; cannot be undone.
///
/// Without `CAP_SETPCAP` the bounding set stays: with `no_new_privs` nothing can be gained from it.
pub fn drop_in_thread(keep_root_capabilities: bool) -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    let had = capabilities::get()?;
    let kept = if keep_root_capabilities { had.permitted & ROOT_FILES } else { 0 };
    if had.effective & (1 << SETPCAP) != 0 {
        drop_bounding_but(kept)?;
    }
    capabilities::clear_ambient()?;
    capabilities::set(Sets { effective: kept, permitted: kept, inheritable: 0 })
}

/// As [`drop_in_thread`] for a thread that executes nothing: what only counts at `execve` stays.
pub fn drop_in_broker(keep_root_capabilities: bool) -> io::Result<()> {
    let had = capabilities::get()?;
    let kept = if keep_root_capabilities { had.permitted & ROOT_FILES } else { 0 };
    capabilities::set(Sets { effective: kept, permitted: kept, inheritable: 0 })
}

fn drop_bounding_but(kept: u64) -> io::Result<()> {
    for capability in (0..MOST).filter(|capability| kept & (1 << capability) == 0) {
        match capabilities::drop_bounding(capability) {
            Ok(()) => {}
            // The kernel's last capability is behind us.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
