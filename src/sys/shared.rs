//! Memory that a fork has in common with its parent: what the parent puts there later, the fork finds.

use std::cell::UnsafeCell;
use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

/// A mapping at one address in both, with room for one `T` and for what that leads to. It is never unmapped, and
/// nothing in it changes once it is there, so what leads there stays true.
///
/// `T` may lead to what is in it, and to the program's constants, which are at one address in both too.
#[derive(Debug)]
pub struct Shared<T: 'static> {
    head: &'static Head<T>,
    /// What is free: from here, so many bytes.
    free: NonNull<u8>,
    left: usize,
}

#[derive(Debug)]
struct Head<T> {
    is_set: AtomicBool,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: what is free is its own alone, and what is in use nobody writes.
unsafe impl<T: Send> Send for Shared<T> {}

// SAFETY: by reference only the value is read, and that only once it is there for good.
unsafe impl<T: Sync> Sync for Shared<T> {}

impl<T: Copy + 'static> Shared<T> {
    /// `mmap(length, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE)`: its pages cost nothing before they are used.
    pub fn new(length: usize) -> io::Result<Self> {
        let (access, how) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping where the kernel has room takes nobody's memory.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), length, access, how | libc::MAP_NORESERVE, -1, 0) };
        let start = match NonNull::new(start.cast::<u8>()) {
            Some(start) if start.as_ptr().cast() != libc::MAP_FAILED => start,
            _ => return Err(io::Error::last_os_error()),
        };
        let head = size_of::<Head<T>>();
        if length < head {
            return Err(too_long());
        }
        const { assert!(align_of::<Head<T>>() <= 4096) };
        // SAFETY: the mapping is aligned to a page, longer than a head, lives to the end of the process, and is zero.
        Ok(unsafe { Self::at(start, length) })
    }

    /// So many bytes of what is free, for another value and what leads to that: one mapping serves both.
    pub fn part<U: Copy + 'static>(&mut self, length: usize) -> io::Result<Shared<U>> {
        let gap = self.free.align_offset(align_of::<Head<U>>());
        let needed = gap.checked_add(length).filter(|needed| *needed <= self.left).ok_or_else(too_long)?;
        if length < size_of::<Head<U>>() {
            return Err(too_long());
        }
        // SAFETY: these bytes are in the mapping, aligned after the gap, longer than a head, nobody's until now and not
        // free from now on, and zero, because only `put` writes what is free.
        unsafe {
            let start = self.free.add(gap);
            self.free = self.free.add(needed);
            self.left -= needed;
            Ok(Shared::at(start, length))
        }
    }

    /// # Safety
    ///
    /// `length` zero bytes, aligned for a head and longer than it, that are nobody else's to the end of the process.
    unsafe fn at(start: NonNull<u8>, length: usize) -> Self {
        let head = size_of::<Head<T>>();
        // SAFETY: as the caller says: an AtomicBool that is false, and a T that is not there yet.
        let (first, free) = unsafe { (start.cast::<Head<T>>().as_ref(), start.add(head)) };
        Self { head: first, free, left: length - head }
    }

    /// A copy of `values`. `E2BIG` where there is no more room.
    pub fn put<U: Copy>(&mut self, values: &[U]) -> io::Result<&'static [U]> {
        let gap = self.free.align_offset(align_of::<U>());
        let needed = gap.checked_add(size_of_val(values)).filter(|needed| *needed <= self.left).ok_or_else(too_long)?;
        // SAFETY: that many bytes from `free` on are in the mapping, aligned for a U after the gap, and nobody's until
        // now; they are never written again.
        unsafe {
            let place = self.free.add(gap).cast::<U>();
            place.copy_from_nonoverlapping(NonNull::from(values).cast(), values.len());
            self.free = self.free.add(needed);
            self.left -= needed;
            Ok(NonNull::slice_from_raw_parts(place, values.len()).as_ref())
        }
    }

    /// A copy of `string`.
    pub fn put_string(&mut self, string: &CStr) -> io::Result<&'static CStr> {
        let bytes = self.put(string.to_bytes_with_nul())?;
        CStr::from_bytes_with_nul(bytes).map_err(|_| io::ErrorKind::InvalidInput.into())
    }

    /// Sets the one value; no more is put here.
    pub fn set(self, value: T) {
        // SAFETY: `self` is this process's only way to write the head, `set` consumes it, and the fork reads the value
        // only once it is said to be there.
        unsafe { (*self.head.value.get()).write(value) };
        self.head.is_set.store(true, Ordering::Release);
    }

    /// The value, where it is there: async-signal-safe.
    pub fn get(&self) -> Option<&'static T> {
        let head = self.head;
        // SAFETY: it was written before it was said to be there, and is not written again.
        head.is_set.load(Ordering::Acquire).then(|| unsafe { (*head.value.get()).assume_init_ref() })
    }
}

fn too_long() -> io::Error {
    io::Error::from_raw_os_error(libc::E2BIG)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::spawn::{exit_now, fork_with_pidfd};
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    use std::os::fd::AsFd;

    #[derive(Clone, Copy)]
    struct Found {
        words: &'static [&'static CStr],
        numbers: &'static [u64],
    }

    #[test]
    fn a_fork_finds_what_is_put_there_after_it_began() {
        let mut shared = Shared::<Found>::new(1 << 20).unwrap();
        assert!(shared.get().is_none());
        let (waited, go) = rustix::pipe::pipe().unwrap();
        let child = fork_with_pidfd(|| {
            let _ = rustix::io::read(&waited, &mut [0]);
            let found = shared.get().is_some_and(|found| found.words == [c"one", c""] && found.numbers == [1, 2, 3]);
            exit_now(if found { 0 } else { 1 })
        });
        let words = [c"one", c""].map(|word| shared.put_string(word).unwrap());
        let words = shared.put(&words).unwrap();
        let numbers = shared.put(&[1, 2, 3]).unwrap();
        shared.set(Found { words, numbers });
        rustix::io::write(&go, &[1]).unwrap();
        let ended = waitid(WaitId::PidFd(child.unwrap().pidfd.as_fd()), WaitIdOptions::EXITED).unwrap();
        assert_eq!(ended.unwrap().exit_status(), Some(0));
    }

    #[test]
    fn a_part_is_a_value_of_its_own_and_the_rest_stays_free() {
        let mut whole = Shared::<u64>::new(4096).unwrap();
        whole.put(&[1_u8]).unwrap();
        let mut part = whole.part::<&'static [u32]>(64).unwrap();
        let theirs = part.put(&[5_u32, 6]).unwrap();
        let ours = whole.put(&[7_u8; 3000]).unwrap();
        part.set(theirs);
        whole.set(3);
        assert_eq!((theirs, ours), ([5, 6].as_slice(), [7; 3000].as_slice()));
        assert!(Shared::<u64>::new(4096).unwrap().part::<u64>(4096).is_err());
        assert!(Shared::<u64>::new(4096).unwrap().part::<u64>(8).is_err());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut shared = Shared::<u64>::new(4096).unwrap();
        assert_eq!(shared.put(&[0_u8; 4096]).unwrap_err().raw_os_error(), Some(libc::E2BIG));
        assert_eq!(shared.put(&[7_u8; 100]).unwrap(), [7; 100]);
        assert_eq!(shared.put(&[1_u64, 2]).unwrap(), [1, 2]);
        assert!(Shared::<u64>::new(8).is_err());
    }
}
