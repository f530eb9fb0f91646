//! System V objects. `man 7 sysvipc`.

use std::io;

/// `shmget(key, size, flags)`: the segment's identifier.
pub fn shared_memory(key: i32, size: usize, flags: i32) -> io::Result<i32> {
    // SAFETY: shmget takes numbers only; nothing is attached.
    identifier(unsafe { libc::shmget(key, size, flags) })
}

/// `semget(key, count, flags)`: the set's identifier.
pub fn semaphores(key: i32, count: i32, flags: i32) -> io::Result<i32> {
    // SAFETY: semget takes numbers only.
    identifier(unsafe { libc::semget(key, count, flags) })
}

/// `msgget(key, flags)`: the queue's identifier.
pub fn message_queue(key: i32, flags: i32) -> io::Result<i32> {
    // SAFETY: msgget takes numbers only.
    identifier(unsafe { libc::msgget(key, flags) })
}

fn identifier(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
