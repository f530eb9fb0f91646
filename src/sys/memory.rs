//! Another process's memory, copied. `man 2 process_vm_readv`. And our own.

use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::AtomicU64;

/// `process_vm_readv(pid, local, 1, remote, 2, 0)`: copies up to `buffer.len()` bytes from
/// `address`, and says how many. The copy is split at the first page edge, so that an unmapped
/// second page shortens it rather than failing it.
pub fn read(pid: i32, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let Ok(start) = usize::try_from(address) else { return Err(io::Error::from_raw_os_error(libc::EFAULT)) };
    if start.checked_add(buffer.len()).is_none() {
        return Err(io::Error::from_raw_os_error(libc::EFAULT));
    }
    let first = buffer.len().min(PAGE - start % PAGE);
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = [
        libc::iovec { iov_base: start as *mut _, iov_len: first },
        libc::iovec { iov_base: (start + first) as *mut _, iov_len: buffer.len() - first },
    ];
    // SAFETY: local describes buffer, which outlives the call; remote addresses are only
    // interpreted in the other process.
    let copied = unsafe { libc::process_vm_readv(pid, &raw const local, 1, remote.as_ptr(), 2, 0) };
    usize::try_from(copied).map_err(|_| io::Error::last_os_error())
}

/// `count` triples of 0, in pages that are nobody's before something is put there.
pub fn zeroes(count: usize) -> Box<[[AtomicU64; 3]]> {
    const { assert!(align_of::<AtomicU64>() == align_of::<u64>()) };
    let numbers = vec![[0_u64; 3]; count].into_boxed_slice();
    // SAFETY: an AtomicU64 is laid out as a u64 is, and the box was its only owner.
    unsafe { Box::from_raw(Box::into_raw(numbers) as *mut [[AtomicU64; 3]]) }
}

/// `process_vm_writev(pid, local, 1, remote, 1, 0)`: writes all of `bytes` at `address`.
pub fn write(pid: i32, address: u64, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let Ok(start) = usize::try_from(address) else { return Err(io::Error::from_raw_os_error(libc::EFAULT)) };
    let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let remote = libc::iovec { iov_base: start as *mut _, iov_len: bytes.len() };
    // SAFETY: local describes bytes, which the kernel only reads; remote is interpreted there.
    let copied = unsafe { libc::process_vm_writev(pid, &raw const local, 1, &raw const remote, 1, 0) };
    match usize::try_from(copied) {
        Ok(all) if all == bytes.len() => Ok(()),
        Ok(_) => Err(io::Error::from_raw_os_error(libc::EFAULT)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// The smallest page; a larger one only makes the split finer than needed.
const PAGE: usize = 4096;

/// Plain data that may be copied from a process byte by byte.
///
/// # Safety
/// Every bit pattern is a value, and there is no padding that could matter.
pub unsafe trait Plain: Copy {}

macro_rules! plain {
    ($($kind:ty),*) => { $(
        // SAFETY: an integer or a C struct of integers: every bit pattern is a value.
        unsafe impl Plain for $kind {}
    )* };
}
plain!(
    u8,
    u16,
    u32,
    u64,
    i32,
    i64,
    [u32; 2],
    [u64; 2],
    libc::timespec,
    [libc::timespec; 2],
    libc::timeval,
    [libc::timeval; 2]
);
plain!(libc::iovec, libc::msghdr, libc::open_how, libc::cmsghdr, [i64; 2], [u64; 3]);

/// Copies one value of plain data; `EFAULT` unless all of it could be read.
pub fn read_value<T: Plain>(pid: i32, address: u64) -> io::Result<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: value owns size_of::<T>() zeroed, hence initialised, bytes.
    let bytes = unsafe { std::slice::from_raw_parts_mut(value.as_mut_ptr().cast::<u8>(), size_of::<T>()) };
    if read(pid, address, bytes)? != bytes.len() {
        return Err(io::Error::from_raw_os_error(libc::EFAULT));
    }
    // SAFETY: T is plain data, and every byte is initialised.
    Ok(unsafe { value.assume_init() })
}

/// `mallopt(M_ARENA_MAX, 2)`: the two threads that begin a run have a heap each, which they would else wait for, and
/// the others share them. A heap of its own for each costs every thread's start a reservation of 128 MB, which holds
/// up whoever maps or forks meanwhile; the threads here allocate too little to get in each other's way.
pub fn keep_two_heaps() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes numbers; called before there is a second thread.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}
