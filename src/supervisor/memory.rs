//! The one copy that is made of what a call's arguments point to.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::call::Call;
use crate::sys::memory::{self, Plain};

/// Room for the longest path that the kernel takes, with its NUL.
pub const PATH_MAX: usize = 4096;

/// Most bytes that one call's buffers may make us copy.
const COPY_MAX: usize = 4 << 20;

/// What is read first: most paths are shorter, and one page is cheaper to pin than two.
const FIRST_READ: usize = 256;

/// A path copied from the child, reused from call to call.
#[derive(Clone)]
pub struct PathBuffer {
    bytes: [u8; PATH_MAX],
    length: usize,
}

impl PathBuffer {
    pub fn new() -> Self {
        Self { bytes: [0; PATH_MAX], length: 0 }
    }

    /// The path without its NUL.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The path with its NUL, for system calls.
    pub fn with_nul(&self) -> &std::ffi::CStr {
        let with_nul = &self.bytes[..=self.length.min(PATH_MAX - 1)];
        std::ffi::CStr::from_bytes_until_nul(with_nul).unwrap_or_default()
    }

    pub fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.bytes()))
    }
}

impl Default for PathBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for PathBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.path().fmt(f)
    }
}

impl Call {
    /// Copies the path at `address`; `EFAULT` and `ENAMETOOLONG` as the kernel would say.
    pub fn read_path(&self, address: u64, buffer: &mut PathBuffer) -> Result<(), i32> {
        buffer.length = 0;
        let mut filled = 0;
        for upto in [FIRST_READ, PATH_MAX] {
            let wanted = &mut buffer.bytes[filled..upto];
            let wanted_length = wanted.len();
            let copied = match memory::read(self.tid, address.wrapping_add(filled as u64), wanted) {
                Ok(copied) => copied,
                Err(error) => return Err(errno_of(&error)),
            };
            let fresh = &buffer.bytes[filled..filled + copied];
            if let Some(nul) = fresh.iter().position(|&byte| byte == 0) {
                buffer.length = filled + nul;
                return Ok(());
            }
            filled += copied;
            if copied < wanted_length {
                return Err(libc::EFAULT);
            }
        }
        Err(libc::ENAMETOOLONG)
    }

    /// Copies exactly `length` bytes.
    pub fn read_bytes(&self, address: u64, length: usize) -> Result<Vec<u8>, i32> {
        if length > COPY_MAX {
            return Err(libc::ENOMEM);
        }
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            let from = address.wrapping_add(filled as u64);
            match memory::read(self.tid, from, &mut bytes[filled..]) {
                Ok(0) => return Err(libc::EFAULT),
                Ok(copied) => filled += copied,
                Err(error) => return Err(errno_of(&error)),
            }
        }
        Ok(bytes)
    }

    /// Copies one plain value.
    pub fn read_value<T: Plain>(&self, address: u64) -> Result<T, i32> {
        memory::read_value(self.tid, address).map_err(|error| errno_of(&error))
    }

    /// Writes all of `bytes` into the child, for results that a call returns through a pointer.
    pub fn write_bytes(&self, address: u64, bytes: &[u8]) -> Result<(), i32> {
        memory::write(self.tid, address, bytes).map_err(|error| errno_of(&error))
    }
}

/// Unreadable memory of a process that may not be read (not dumpable) is `EACCES`, never a yes.
fn errno_of(error: &std::io::Error) -> i32 {
    match error.raw_os_error() {
        Some(libc::EPERM) => libc::EACCES,
        Some(libc::ESRCH) => libc::EINTR,
        Some(errno) => errno,
        None => libc::EFAULT,
    }
}
