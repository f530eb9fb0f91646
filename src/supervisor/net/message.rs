//! A message that the child wants sent: its header copied once, its data gathered in bounds.

use super::socket::int;
use crate::supervisor::{Call, Context};
use crate::sys::socket::ADDRESS_MAX;

/// `UIO_MAXIOV`.
pub(super) const PARTS_MAX: usize = 1024;
/// More control bytes than any `net.core.optmem_max` in use.
pub(super) const CONTROL_MAX: usize = 128 << 10;
/// `MAX_RW_COUNT`: more bytes than one call moves.
const LENGTH_MAX: u64 = 0x7fff_f000;

/// A message header of the child, copied; its data still lies in the child.
#[derive(Debug, Default)]
pub(super) struct Header {
    /// Empty: no address.
    pub(super) address: Vec<u8>,
    pub(super) control: Vec<u8>,
    pub(super) data: Remote,
}

/// Data in the child's memory, as parts: start and length.
#[derive(Debug, Default, Clone)]
pub(super) struct Remote {
    parts: Vec<(u64, u64)>,
}

impl Header {
    /// Copies the `struct msghdr` at `at`, with the errors of the kernel's `copy_msghdr_from_user`.
    pub(super) fn copy(call: &Call, at: u64) -> Result<Self, i32> {
        let header: libc::msghdr = call.read_value(at)?;
        let mut address = Vec::new();
        if !header.msg_name.is_null() {
            let length = int(u64::from(header.msg_namelen));
            let length = usize::try_from(length).map_err(|_| libc::EINVAL)?;
            address = call.read_bytes(header.msg_name as u64, length.min(ADDRESS_MAX))?;
        }
        #[allow(clippy::unnecessary_cast, reason = "the field's type differs between C libraries")]
        let parts = header.msg_iovlen as usize;
        let data = Remote::copy(call, header.msg_iov as u64, parts)?;
        #[allow(clippy::unnecessary_cast, reason = "the field's type differs between C libraries")]
        let control_length = header.msg_controllen as usize;
        if control_length > CONTROL_MAX {
            return Err(libc::ENOBUFS);
        }
        let control = call.read_bytes(header.msg_control as u64, control_length)?;
        Ok(Self { address, control, data })
    }
}

impl Remote {
    pub(super) fn one(at: u64, length: u64) -> Self {
        Self { parts: vec![(at, length.min(LENGTH_MAX))] }
    }

    /// Copies an array of `struct iovec`.
    pub(super) fn copy(call: &Call, at: u64, count: usize) -> Result<Self, i32> {
        if count > PARTS_MAX {
            return Err(libc::EMSGSIZE);
        }
        let bytes = call.read_bytes(at, count * size_of::<libc::iovec>())?;
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
        let mut room = LENGTH_MAX;
        let mut parts = Vec::with_capacity(count);
        for part in bytes.chunks_exact(size_of::<libc::iovec>()) {
            let (start, length) = part.split_at(part.len() / 2);
            let (start, length) = (word(start), word(length));
            if i64::try_from(length).is_err() {
                return Err(libc::EINVAL);
            }
            parts.push((start, length.min(room)));
            room -= length.min(room);
        }
        Ok(Self { parts })
    }

    pub(super) fn length(&self) -> u64 {
        self.parts.iter().map(|(_, length)| length).sum()
    }

    /// The parts themselves, for what is received into them.
    pub(super) fn parts(&self) -> &[(u64, u64)] {
        &self.parts
    }

    /// Takes up to `most` bytes off the front. The caller was alive after the copy, so they are its.
    pub(super) fn take(&mut self, context: &Context, call: &Call, most: usize) -> Result<Vec<u8>, i32> {
        let mut bytes = Vec::new();
        while let Some((start, length)) = self.parts.first_mut() {
            let room = u64::try_from(most - bytes.len()).unwrap_or(0);
            let taken = room.min(*length);
            if taken > 0 {
                bytes.extend(call.read_bytes(*start, usize::try_from(taken).map_err(|_| libc::EINVAL)?)?);
                *start = start.wrapping_add(taken);
                *length -= taken;
            }
            if *length > 0 {
                break;
            }
            self.parts.remove(0);
        }
        if context.still_waiting(call) { Ok(bytes) } else { Err(libc::EINTR) }
    }
}
