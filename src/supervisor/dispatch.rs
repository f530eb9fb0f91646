//! From a system call's number to its handler.

use super::call::{Call, Outcome, Reply};
use super::context::Context;
use super::{Handler, exec, files, net, processes};

/// The handler of a trapped call; `None` refuses what the filter should not have trapped.
pub(super) fn handler(nr: i64) -> Option<Handler> {
    if nr == libc::SYS_umask {
        return Some(umask);
    }
    files::handler(nr).or_else(|| net::handler(nr)).or_else(|| processes::handler(nr)).or_else(|| exec::handler(nr))
}

/// The umask is a register, so the kernel may carry it out; the broker creates files under it.
fn umask(context: &Context, call: &Call) -> Outcome {
    if let Ok(caller) = context.caller(call) {
        caller.set_umask(u32::try_from(call.args[0] & 0o777).unwrap_or(0o777));
    }
    Outcome::Reply(Reply::ContinueUnderFloor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::filter::{NEWEST_REVIEWED, trapped};

    /// A trapped call without a handler would be refused; a handler of what is never trapped is dead.
    #[test]
    fn what_is_trapped_is_handled_and_nothing_else() {
        let numbers = 0..=i64::from(NEWEST_REVIEWED);
        let alone: Vec<i64> = numbers.filter(|nr| trapped(*nr) != handler(*nr).is_some()).collect();
        assert_eq!(alone, Vec::<i64>::new());
    }
}
