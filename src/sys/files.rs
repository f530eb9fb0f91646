//! File calls that need raw memory or have no safe wrapper elsewhere: exact `openat2`, metadata by
//! descriptor, attribute calls newer than the C library.
//!
//! Paths are C strings, directories are borrowed descriptors, and nothing here decides anything.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `struct open_how` of `openat2(2)`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct OpenHow {
    pub flags: u64,
    pub mode: u64,
    pub resolve: u64,
}

/// Size of the first published `struct open_how`, which is the size of every one so far.
pub const OPEN_HOW_SIZE: usize = size_of::<OpenHow>();

/// `openat2(dir, path, how, size)`, descriptor close-on-exec only if `how` says so. See `man 2 openat2`.
pub fn openat2(dir: BorrowedFd<'_>, path: &CStr, how: &OpenHow) -> io::Result<OwnedFd> {
    // SAFETY: path is NUL-terminated, how is a complete open_how of the size passed; the kernel
    // copies both before it returns.
    let fd = unsafe {
        libc::syscall(libc::SYS_openat2, dir.as_raw_fd(), path.as_ptr(), std::ptr::from_ref(how), OPEN_HOW_SIZE)
    };
    descriptor(fd)
}

/// `faccessat2(fd, "", mode, AT_EMPTY_PATH | AT_EACCESS)`: may this thread's effective identity
/// use the object that `fd` (also `O_PATH`) holds? See `man 2 faccessat`.
pub fn access(fd: BorrowedFd<'_>, mode: i32) -> io::Result<()> {
    // SAFETY: the path is a constant NUL-terminated string; no other memory is passed.
    let result = unsafe {
        libc::syscall(libc::SYS_faccessat2, fd.as_raw_fd(), c"".as_ptr(), mode, libc::AT_EMPTY_PATH | libc::AT_EACCESS)
    };
    done(result)
}

/// `truncate(path, length)`. See `man 2 truncate`.
pub fn truncate(path: &CStr, length: i64) -> io::Result<()> {
    // SAFETY: path is NUL-terminated and only read.
    done(unsafe { libc::syscall(libc::SYS_truncate, path.as_ptr(), length) })
}

/// `fchmodat(AT_FDCWD, path, mode)`, following symbolic links. See `man 2 chmod`.
pub fn chmod(path: &CStr, mode: u32) -> io::Result<()> {
    // SAFETY: path is NUL-terminated and only read.
    done(unsafe { libc::syscall(libc::SYS_fchmodat, libc::AT_FDCWD, path.as_ptr(), mode) })
}

/// `fchmod(fd, mode)`; unlike [`chmod`] it refuses an `O_PATH` descriptor. See `man 2 fchmod`.
pub fn fchmod(fd: BorrowedFd<'_>, mode: u32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    done(unsafe { libc::syscall(libc::SYS_fchmod, fd.as_raw_fd(), mode) })
}

/// `fchownat(fd, "", uid, gid, AT_EMPTY_PATH)`: the object itself, also through `O_PATH`; an id of
/// `u32::MAX` stays as it is. See `man 2 chown`.
pub fn chown(fd: BorrowedFd<'_>, uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: the path is a constant NUL-terminated string; no other memory is passed.
    done(unsafe { libc::syscall(libc::SYS_fchownat, fd.as_raw_fd(), c"".as_ptr(), uid, gid, libc::AT_EMPTY_PATH) })
}

/// `fchown(fd, uid, gid)`; unlike [`chown`] it refuses an `O_PATH` descriptor. See `man 2 fchown`.
pub fn fchown(fd: BorrowedFd<'_>, uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    done(unsafe { libc::syscall(libc::SYS_fchown, fd.as_raw_fd(), uid, gid) })
}

/// Access and modification time as the caller passed them; `None` sets both to now.
pub type Times = Option<[[i64; 2]; 2]>;

/// `utimensat(AT_FDCWD, path, times, 0)`, following symbolic links. See `man 2 utimensat`.
pub fn set_times(path: &CStr, times: &Times) -> io::Result<()> {
    let pointer = times.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: path is NUL-terminated; pointer is null or two timespecs of two 64-bit words, read only.
    done(unsafe { libc::syscall(libc::SYS_utimensat, libc::AT_FDCWD, path.as_ptr(), pointer, 0) })
}

/// `utimensat(fd, NULL, times, 0)`; unlike [`set_times`] it refuses an `O_PATH` descriptor.
pub fn fset_times(fd: BorrowedFd<'_>, times: &Times) -> io::Result<()> {
    let pointer = times.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let no_path = std::ptr::null::<libc::c_char>();
    // SAFETY: a null path means the descriptor itself; pointer is null or two timespecs, read only.
    done(unsafe { libc::syscall(libc::SYS_utimensat, fd.as_raw_fd(), no_path, pointer, 0) })
}

/// `setxattr(path, name, value, flags)`, following symbolic links. See `man 2 setxattr`.
pub fn set_attribute(path: &CStr, name: &CStr, value: &[u8], flags: i32) -> io::Result<()> {
    // SAFETY: path and name are NUL-terminated, value is read for its own length.
    done(unsafe { libc::syscall(libc::SYS_setxattr, path.as_ptr(), name.as_ptr(), value.as_ptr(), value.len(), flags) })
}

/// `fsetxattr(fd, name, value, flags)`; refuses an `O_PATH` descriptor. See `man 2 setxattr`.
pub fn fset_attribute(fd: BorrowedFd<'_>, name: &CStr, value: &[u8], flags: i32) -> io::Result<()> {
    // SAFETY: name is NUL-terminated, value is read for its own length.
    done(unsafe {
        libc::syscall(libc::SYS_fsetxattr, fd.as_raw_fd(), name.as_ptr(), value.as_ptr(), value.len(), flags)
    })
}

/// `removexattr(path, name)`, following symbolic links. See `man 2 removexattr`.
pub fn remove_attribute(path: &CStr, name: &CStr) -> io::Result<()> {
    // SAFETY: path and name are NUL-terminated and only read.
    done(unsafe { libc::syscall(libc::SYS_removexattr, path.as_ptr(), name.as_ptr()) })
}

/// `fremovexattr(fd, name)`; refuses an `O_PATH` descriptor. See `man 2 removexattr`.
pub fn fremove_attribute(fd: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    // SAFETY: name is NUL-terminated and only read.
    done(unsafe { libc::syscall(libc::SYS_fremovexattr, fd.as_raw_fd(), name.as_ptr()) })
}

/// Number of `file_setattr`, the same on every architecture (Linux 6.17).
pub const SYS_FILE_SETATTR: i64 = 469;

/// `file_setattr(AT_FDCWD, path, attributes, size, 0)`, following symbolic links.
pub fn file_setattr(path: &CStr, attributes: &[u8]) -> io::Result<()> {
    // SAFETY: path is NUL-terminated; attributes is read for its own length.
    done(unsafe {
        libc::syscall(SYS_FILE_SETATTR, libc::AT_FDCWD, path.as_ptr(), attributes.as_ptr(), attributes.len(), 0)
    })
}

/// What the attribute ioctls set. Each only reads its argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InodeAttribute {
    /// `FS_IOC_SETFLAGS`: immutable, append-only and the like.
    Flags(u32),
    /// `FS_IOC_SETVERSION`.
    Version(u32),
    /// `EXT4_IOC_SETVERSION`.
    Ext4Version(u32),
    /// `FS_IOC_FSSETXATTR`: `struct fsxattr`.
    Extended([u8; 28]),
}

pub const FS_IOC_SETFLAGS: u32 = 0x4008_6602;
pub const FS_IOC_SETVERSION: u32 = 0x4008_7602;
pub const EXT4_IOC_SETVERSION: u32 = 0x4008_6604;
pub const FS_IOC_FSSETXATTR: u32 = 0x401c_5820;

/// `ioctl(fd, FS_IOC_SET…, &attribute)`. See `man 2 ioctl_iflags` and `man 2 ioctl_xfs_fsgetxattr`.
pub fn set_inode_attribute(fd: BorrowedFd<'_>, attribute: &InodeAttribute) -> io::Result<()> {
    // Requests with a long in their number read an int of it; the rest is there all the same.
    let (request, long, extended) = match attribute {
        InodeAttribute::Flags(flags) => (FS_IOC_SETFLAGS, [*flags, 0], None),
        InodeAttribute::Version(version) => (FS_IOC_SETVERSION, [*version, 0], None),
        InodeAttribute::Ext4Version(version) => (EXT4_IOC_SETVERSION, [*version, 0], None),
        InodeAttribute::Extended(bytes) => (FS_IOC_FSSETXATTR, [0, 0], Some(bytes)),
    };
    let argument = extended.map_or(long.as_ptr().cast::<u8>(), |bytes| bytes.as_ptr());
    // SAFETY: argument points to as many bytes as the request's number says (8, or 28 for struct
    // fsxattr), and these requests only read them.
    done(unsafe { libc::syscall(libc::SYS_ioctl, fd.as_raw_fd(), u64::from(request), argument) })
}

/// `mknodat(dir, name, mode, 0)`: a FIFO, a socket or an empty file. See `man 2 mknod`.
pub fn make_node(dir: BorrowedFd<'_>, name: &CStr, mode: u32) -> io::Result<()> {
    // SAFETY: name is NUL-terminated and only read.
    done(unsafe { libc::syscall(libc::SYS_mknodat, dir.as_raw_fd(), name.as_ptr(), mode, 0) })
}

/// `/proc/self/fd/N`, by which a held object is reopened or changed by path calls.
pub fn descriptor_path(fd: BorrowedFd<'_>) -> CString {
    CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd())).expect("digits hold no NUL")
}

/// The directory that relative paths of this process start at; ignored with an absolute path.
pub fn at_cwd() -> BorrowedFd<'static> {
    rustix::fs::CWD.as_fd()
}

fn descriptor(result: libc::c_long) -> io::Result<OwnedFd> {
    match i32::try_from(result) {
        // SAFETY: the kernel just returned this new descriptor, and nobody else knows it.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

fn done(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
