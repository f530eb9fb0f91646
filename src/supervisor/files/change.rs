//! A change of one object, carried out on a descriptor, and the errno of one that cannot succeed.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{FileType, StatVfsMountFlags};

use super::errno::Errno;
use super::held::Held;
use crate::sys::files::{self, InodeAttribute, Times};

/// What is changed.
#[derive(Debug)]
pub(super) enum Deed {
    Mode(u32),
    /// `u32::MAX` leaves an id as it is.
    Owner(u32, u32),
    Times(Times),
    SetAttribute {
        name: CString,
        value: Vec<u8>,
        flags: i32,
    },
    RemoveAttribute {
        name: CString,
    },
    /// `struct file_attr`.
    FileAttributes(Vec<u8>),
    InodeAttribute(InodeAttribute),
    Length(i64),
}

/// Changes the object that an `O_PATH` descriptor pins.
pub(super) fn by_pin(fd: BorrowedFd<'_>, deed: &Deed) -> Result<(), Errno> {
    let path = files::descriptor_path(fd);
    match deed {
        Deed::Mode(mode) => files::chmod(&path, *mode)?,
        Deed::Owner(uid, gid) => files::chown(fd, *uid, *gid)?,
        Deed::Times(times) => files::set_times(&path, times)?,
        Deed::SetAttribute { name, value, flags } => files::set_attribute(&path, name, value, *flags)?,
        Deed::RemoveAttribute { name } => files::remove_attribute(&path, name)?,
        Deed::FileAttributes(attributes) => files::file_setattr(&path, attributes)?,
        Deed::InodeAttribute(_) => return Err(Errno(libc::EBADF)),
        Deed::Length(length) => files::truncate(&path, *length)?,
    }
    Ok(())
}

/// Changes what an open descriptor holds; one that is `O_PATH` is refused by the kernel.
pub(super) fn by_descriptor(fd: BorrowedFd<'_>, deed: &Deed) -> Result<(), Errno> {
    match deed {
        Deed::Mode(mode) => files::fchmod(fd, *mode)?,
        Deed::Owner(uid, gid) => files::fchown(fd, *uid, *gid)?,
        Deed::Times(times) => files::fset_times(fd, times)?,
        Deed::SetAttribute { name, value, flags } => files::fset_attribute(fd, name, value, *flags)?,
        Deed::RemoveAttribute { name } => files::fremove_attribute(fd, name)?,
        Deed::InodeAttribute(attribute) => files::set_inode_attribute(fd, attribute)?,
        Deed::FileAttributes(_) | Deed::Length(_) => return Err(Errno(libc::EBADF)),
    }
    Ok(())
}

/// What the kernel refuses for its own reasons. Root has the capabilities or is refused when it acts.
pub(super) fn refusal(held: &Held, deed: &Deed) -> Result<(), Errno> {
    if let Deed::Length(length) = deed {
        match held.kind() {
            _ if *length < 0 => return Err(Errno(libc::EINVAL)),
            FileType::Directory => return Err(Errno(libc::EISDIR)),
            FileType::RegularFile => {}
            _ => return Err(Errno(libc::EINVAL)),
        }
    }
    if rustix::fs::fstatvfs(&held.fd)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err(Errno(libc::EROFS));
    }
    let me = rustix::process::geteuid().as_raw();
    let owner = me == 0 || me == held.stat.st_uid;
    let writable = || files::access(held.fd.as_fd(), libc::W_OK).map_err(Errno::from);
    match deed {
        Deed::Length(_) => writable(),
        Deed::Times(None) if !owner => writable(),
        Deed::Times(Some(times)) if is_now(times) && !owner => writable(),
        Deed::Owner(u32::MAX, u32::MAX) => Ok(()),
        Deed::Owner(uid, _) if me != 0 && *uid != u32::MAX && *uid != held.stat.st_uid => Err(Errno(libc::EPERM)),
        Deed::SetAttribute { name, .. } | Deed::RemoveAttribute { name } if is_user(name) && !has_content(held) => {
            Err(Errno(libc::EPERM))
        }
        Deed::SetAttribute { name, .. } if is_user(name) => writable(),
        Deed::RemoveAttribute { name } if is_user(name) => writable().and_then(|()| attribute_exists(held, name)),
        Deed::SetAttribute { .. } | Deed::RemoveAttribute { .. } => Ok(()),
        _ if owner => Ok(()),
        _ => Err(Errno(libc::EPERM)),
    }
}

fn is_user(name: &CString) -> bool {
    name.to_bytes().starts_with(b"user.")
}

/// Only files and directories can have `user.*` attributes.
fn has_content(held: &Held) -> bool {
    matches!(held.kind(), FileType::RegularFile | FileType::Directory)
}

fn attribute_exists(held: &Held, name: &CString) -> Result<(), Errno> {
    rustix::fs::getxattr(files::descriptor_path(held.fd.as_fd()), name.as_c_str(), &mut [0u8; 0][..])?;
    Ok(())
}

/// Both times to the current one, which takes permission to write and no ownership.
fn is_now(times: &[[i64; 2]; 2]) -> bool {
    times.iter().all(|time| time[1] == libc::UTIME_NOW)
}
