//! File calls: read → decide → act → reply.
//!
//! Owns the resolution of paths, the order of name changes and every file call that the filter
//! traps. A call that the floor decides anyway goes on in the kernel; any other is carried out here
//! on descriptors that were judged. Metadata is never left to the kernel: the floor does not see it.

mod create;
mod decide;
mod devices;
mod errno;
mod held;
pub(super) mod names;
mod open;
mod proc;
mod quick;
mod record;
mod reopen;
mod resolve;
mod spelling;
mod state;
mod synthetic;
mod view;

#[cfg(test)]
mod resolve_tests;

pub(super) use state::State;

use super::Handler;

/// The handler of a file call.
pub(super) fn handler(nr: i64) -> Option<Handler> {
    Some(match nr {
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open => open::open,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_creat => open::creat,
        libc::SYS_openat => open::openat,
        libc::SYS_openat2 => open::openat2,
        _ => return None,
    })
}
