//! Signals, where Landlock has no scope that keeps them inside (before ABI 6).

use super::{Call, Context, Handler, Outcome, number, within_run};

pub(super) fn handler(nr: i64) -> Option<Handler> {
    Some(match nr {
        libc::SYS_kill => kill,
        libc::SYS_tkill | libc::SYS_tgkill | libc::SYS_rt_sigqueueinfo | libc::SYS_rt_tgsigqueueinfo => to_one,
        _ => return None,
    })
}

/// `kill(pid, signal)`: a process, the caller's group (0), everybody (-1), another group (below).
fn kill(context: &Context, call: &Call) -> Outcome {
    match number(call.args[0]) {
        // Everybody is more than this run.
        -1 | i32::MIN => Outcome::errno(libc::EPERM),
        target => within_run(context, call, target.abs()),
    }
}

/// The first argument is a process or thread; a thread is one of the process that is named with it.
fn to_one(context: &Context, call: &Call) -> Outcome {
    match number(call.args[0]) {
        ..=0 => Outcome::errno(libc::EINVAL),
        target => within_run(context, call, target),
    }
}
