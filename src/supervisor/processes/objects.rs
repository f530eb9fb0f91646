//! System V shared memory, semaphores and message queues: those that this run made.
//!
//! Making is done here, so that identifiers are known; using one goes on in the kernel, for an
//! identifier is a register. What others made under the same key is not found.

use std::collections::HashSet;
use std::io;
use std::sync::{Mutex, PoisonError};

use super::{Call, Context, Handler, Outcome, Reply, number};
use crate::sys::ipc;

/// How often a key may appear and vanish before the program is told so.
const TRIES: usize = 8;
/// Commands that speak of the system, not of an object: `IPC_INFO`, `MSG_INFO`, `SHM_INFO`, `SEM_INFO`.
const SYSTEM_WIDE: [i32; 4] = [3, 12, 14, 19];
/// The flag of old programs for the layout that 64-bit kernels have anyway.
const IPC_64: i32 = 0x100;

/// The kinds of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Memory,
    Semaphores,
    Queue,
}

/// Identifiers of what the run made.
#[derive(Debug, Default)]
pub struct Objects {
    made: Mutex<HashSet<(Kind, i32)>>,
}

impl Objects {
    fn record(&self, kind: Kind, id: i32) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert((kind, id));
    }

    fn forget(&self, kind: Kind, id: i32) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).remove(&(kind, id));
    }

    fn holds(&self, kind: Kind, id: i32) -> bool {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).contains(&(kind, id))
    }
}

pub(super) fn handler(nr: i64) -> Option<Handler> {
    Some(match nr {
        libc::SYS_shmget => |context, call| {
            let [key, size, flags, ..] = call.args;
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            get(context, call, Kind::Memory, (key, flags), |key, flags| ipc::shared_memory(key, size, flags))
        },
        libc::SYS_semget => |context, call| {
            let [key, count, flags, ..] = call.args;
            get(context, call, Kind::Semaphores, (key, flags), |key, flags| ipc::semaphores(key, number(count), flags))
        },
        libc::SYS_msgget => |context, call| {
            let [key, flags, ..] = call.args;
            get(context, call, Kind::Queue, (key, flags), ipc::message_queue)
        },
        libc::SYS_shmat => |context, call| use_own(context, call, Kind::Memory),
        libc::SYS_semop | libc::SYS_semtimedop => |context, call| use_own(context, call, Kind::Semaphores),
        libc::SYS_msgsnd | libc::SYS_msgrcv => |context, call| use_own(context, call, Kind::Queue),
        libc::SYS_shmctl => |context, call| control(context, call, Kind::Memory, call.args[1]),
        libc::SYS_semctl => |context, call| control(context, call, Kind::Semaphores, call.args[2]),
        libc::SYS_msgctl => |context, call| control(context, call, Kind::Queue, call.args[1]),
        _ => return None,
    })
}

fn get(
    context: &Context,
    call: &Call,
    kind: Kind,
    (key, flags): (u64, u64),
    make: impl Fn(i32, i32) -> io::Result<i32>,
) -> Outcome {
    if !context.still_waiting(call) {
        return Outcome::errno(libc::EINTR);
    }
    match own(context.facts().objects(), kind, (number(key), number(flags)), make) {
        Ok(id) => Outcome::Reply(Reply::Value(i64::from(id))),
        Err(errno) => Outcome::errno(errno),
    }
}

/// The run's object with this key, made now where the flags say so. `EACCES`: it is another's.
fn own(
    objects: &Objects,
    kind: Kind,
    (key, flags): (i32, i32),
    make: impl Fn(i32, i32) -> io::Result<i32>,
) -> Result<i32, i32> {
    let errno = |error: io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    if key == libc::IPC_PRIVATE {
        let id = make(key, flags).map_err(errno)?;
        objects.record(kind, id);
        return Ok(id);
    }
    let (creates, alone) = (flags & libc::IPC_CREAT != 0, flags & libc::IPC_EXCL != 0);
    for _ in 0..TRIES {
        match make(key, flags & !(libc::IPC_CREAT | libc::IPC_EXCL)) {
            Ok(_) if creates && alone => return Err(libc::EEXIST),
            Ok(id) if objects.holds(kind, id) => return Ok(id),
            Ok(_) => return Err(libc::EACCES),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) && creates => {}
            Err(error) => return Err(errno(error)),
        }
        match make(key, flags | libc::IPC_EXCL) {
            Ok(id) => {
                objects.record(kind, id);
                return Ok(id);
            }
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {}
            Err(error) => return Err(errno(error)),
        }
    }
    Err(libc::EACCES)
}

/// The first argument is an identifier.
fn use_own(context: &Context, call: &Call, kind: Kind) -> Outcome {
    if context.facts().objects().holds(kind, number(call.args[0])) {
        return Outcome::Reply(Reply::ContinueUnderFloor);
    }
    Outcome::errno(libc::EACCES)
}

fn control(context: &Context, call: &Call, kind: Kind, command: u64) -> Outcome {
    let command = number(command) & !IPC_64;
    if SYSTEM_WIDE.contains(&command) {
        return Outcome::Reply(Reply::ContinueUnderFloor);
    }
    let outcome = use_own(context, call, kind);
    // A segment can still be attached after its removal; the others are gone, and their identifiers free.
    if command == libc::IPC_RMID && kind != Kind::Memory {
        context.facts().objects().forget(kind, number(call.args[0]));
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key that no other test of this process, and hardly anybody else, uses.
    fn key(salt: u32) -> i32 {
        (std::process::id() << 8 | salt).cast_signed()
    }

    struct Queue(i32);

    impl Drop for Queue {
        fn drop(&mut self) {
            let done = std::process::Command::new("ipcrm").args(["-q", &self.0.to_string()]).status();
            assert!(done.is_ok_and(|status| status.success()), "queue {} stays behind", self.0);
        }
    }

    #[test]
    fn what_the_run_made_is_found_again() {
        let objects = Objects::default();
        let get = |flags| own(&objects, Kind::Queue, (key(1), flags), ipc::message_queue);
        assert_eq!(get(0o600), Err(libc::ENOENT));
        let queue = Queue(get(libc::IPC_CREAT | 0o600).unwrap());
        assert_eq!(get(0o600), Ok(queue.0));
        assert_eq!(get(libc::IPC_CREAT | 0o600), Ok(queue.0));
        assert_eq!(get(libc::IPC_CREAT | libc::IPC_EXCL | 0o600), Err(libc::EEXIST));
    }

    #[test]
    fn what_others_made_is_not_theirs_to_use() {
        let outside = Queue(ipc::message_queue(key(2), libc::IPC_CREAT | 0o600).unwrap());
        let objects = Objects::default();
        let get = |flags| own(&objects, Kind::Queue, (key(2), flags), ipc::message_queue);
        assert_eq!(get(0o600), Err(libc::EACCES));
        assert_eq!(get(libc::IPC_CREAT | 0o600), Err(libc::EACCES));
        assert_eq!(get(libc::IPC_CREAT | libc::IPC_EXCL | 0o600), Err(libc::EEXIST));
        assert!(!objects.holds(Kind::Queue, outside.0));
    }

    #[test]
    fn objects_of_different_kinds_have_numbers_of_their_own() {
        let objects = Objects::default();
        objects.record(Kind::Queue, 7);
        assert!(!objects.holds(Kind::Memory, 7));
        objects.forget(Kind::Queue, 7);
        assert!(!objects.holds(Kind::Queue, 7));
    }
}
