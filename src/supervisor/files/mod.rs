//! File calls: read → decide → act → reply.
//!
//! Owns the resolution of paths, the order of name changes and every file call that the filter
//! traps. A call that the floor decides anyway goes on in the kernel; any other is carried out here
//! on descriptors that were judged. Metadata is never left to the kernel: the floor does not see it.

mod attributes;
mod birth;
mod bound;
mod carried;
mod change;
mod create;
mod decide;
mod devices;
mod entries;
mod errno;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod held;
mod link;
mod metadata;
pub(super) mod names;
mod open;
mod proc;
mod proven;
mod quick;
mod record;
mod rename;
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
use crate::sys::files::SYS_FILE_SETATTR;

/// Numbers newer than the C library's headers, the same on every architecture.
const SYS_FCHMODAT2: i64 = 452;
const SYS_SETXATTRAT: i64 = 463;
const SYS_REMOVEXATTRAT: i64 = 466;

/// The handler of a file call.
pub(super) fn handler(nr: i64) -> Option<Handler> {
    Some(match nr {
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open => open::open,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_creat => open::creat,
        libc::SYS_openat => open::openat,
        libc::SYS_openat2 => open::openat2,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_mkdir => entries::mkdir,
        libc::SYS_mkdirat => entries::mkdirat,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_mknod => entries::mknod,
        libc::SYS_mknodat => entries::mknodat,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_symlink => entries::symlink,
        libc::SYS_symlinkat => entries::symlinkat,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_unlink => entries::unlink,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_rmdir => entries::rmdir,
        libc::SYS_unlinkat => entries::unlinkat,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_link => link::link,
        libc::SYS_linkat => link::linkat,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_rename => rename::rename,
        libc::SYS_renameat => rename::renameat,
        libc::SYS_renameat2 => rename::renameat2,
        _ => return metadata_handler(nr),
    })
}

fn metadata_handler(nr: i64) -> Option<Handler> {
    Some(match nr {
        libc::SYS_truncate => attributes::truncate,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_chmod => attributes::chmod,
        libc::SYS_fchmod => attributes::fchmod,
        libc::SYS_fchmodat => attributes::fchmodat,
        SYS_FCHMODAT2 => attributes::fchmodat2,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_chown => attributes::chown,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_lchown => attributes::lchown,
        libc::SYS_fchown => attributes::fchown,
        libc::SYS_fchownat => attributes::fchownat,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_utime => attributes::utime,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_utimes => attributes::utimes,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_futimesat => attributes::futimesat,
        libc::SYS_utimensat => attributes::utimensat,
        libc::SYS_setxattr => attributes::setxattr,
        libc::SYS_lsetxattr => attributes::lsetxattr,
        libc::SYS_fsetxattr => attributes::fsetxattr,
        SYS_SETXATTRAT => attributes::setxattrat,
        libc::SYS_removexattr => attributes::removexattr,
        libc::SYS_lremovexattr => attributes::lremovexattr,
        libc::SYS_fremovexattr => attributes::fremovexattr,
        SYS_REMOVEXATTRAT => attributes::removexattrat,
        SYS_FILE_SETATTR => attributes::file_setattr,
        libc::SYS_ioctl => attributes::ioctl,
        _ => return None,
    })
}
