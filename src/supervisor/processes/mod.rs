//! Calls that name other processes, or objects that processes share: only the run's own.
//!
//! Owns limits, priorities and scheduling of others, System V objects by identifier, and watches.
//! Numbers are registers, so what is judged may be carried out by the kernel.

mod objects;
mod signals;
mod watch;

pub use objects::Objects;

use super::{Call, Context, Handler, Outcome, Reply};

/// `which` of `setpriority`: a process; a process group.
const PRIO_PROCESS: u32 = 0;
const PRIO_PGRP: u32 = 1;
/// `which` of `ioprio_set`.
const IOPRIO_WHO_PROCESS: u32 = 1;
const IOPRIO_WHO_PGRP: u32 = 2;

/// The handler of a call that names another process or a shared object.
pub fn handler(nr: i64) -> Option<Handler> {
    Some(match nr {
        libc::SYS_prlimit64
        | libc::SYS_sched_setparam
        | libc::SYS_sched_setscheduler
        | libc::SYS_sched_setaffinity
        | libc::SYS_sched_setattr => on_process,
        libc::SYS_setpriority => set_priority,
        libc::SYS_ioprio_set => set_io_priority,
        libc::SYS_inotify_add_watch => watch::add,
        _ => return signals::handler(nr).or_else(|| objects::handler(nr)),
    })
}

/// The first argument is a process or thread.
fn on_process(context: &Context, call: &Call) -> Outcome {
    within_run(context, call, number(call.args[0]))
}

fn set_priority(context: &Context, call: &Call) -> Outcome {
    let [which, who, ..] = call.args;
    of_kind(context, call, (low(which), number(who)), [PRIO_PROCESS, PRIO_PGRP])
}

fn set_io_priority(context: &Context, call: &Call) -> Outcome {
    let [which, who, ..] = call.args;
    of_kind(context, call, (low(which), number(who)), [IOPRIO_WHO_PROCESS, IOPRIO_WHO_PGRP])
}

/// Processes and groups have their numbers; what is neither is a user's processes, which are
/// everybody's.
fn of_kind(context: &Context, call: &Call, (which, who): (u32, i32), [process, group]: [u32; 2]) -> Outcome {
    match which {
        _ if which == process => within_run(context, call, who),
        _ if which == group => within_run(context, call, who),
        _ => Outcome::errno(libc::EPERM),
    }
}

/// Lets the kernel go on where `target` is of this run, `0` being the caller. A group has the number
/// of the process that made it, and a group with a member of the run has no others.
fn within_run(context: &Context, call: &Call, target: i32) -> Outcome {
    if target == 0 || context.tree().contains(target) {
        return Outcome::Reply(Reply::ContinueUnderFloor);
    }
    let exists = target > 0 && std::fs::exists(format!("/proc/{target}")).unwrap_or(true);
    let own = context.caller(call).is_ok_and(|caller| caller.tgid == target);
    match (own, exists) {
        (true, _) => Outcome::Reply(Reply::ContinueUnderFloor),
        (false, true) => Outcome::errno(libc::EPERM),
        (false, false) => Outcome::errno(libc::ESRCH),
    }
}

/// A register that the kernel reads as an `int`.
fn number(register: u64) -> i32 {
    low(register).cast_signed()
}

#[allow(clippy::cast_possible_truncation, reason = "the kernel truncates it the same way")]
fn low(register: u64) -> u32 {
    register as u32
}
