//! The errno that ends a call: what the kernel would have said, or `EACCES`.

use std::io;

/// A positive errno on its way to the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl From<rustix::io::Errno> for Errno {
    fn from(error: rustix::io::Errno) -> Self {
        Self(error.raw_os_error())
    }
}

impl From<i32> for Errno {
    fn from(errno: i32) -> Self {
        Self(errno)
    }
}
