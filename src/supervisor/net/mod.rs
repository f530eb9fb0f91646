//! Sockets: where they may lead, and acting on the child's own one with the address that was judged.
//!
//! Owns every call that carries a socket address. No such call is ever continued: the address is
//! in the child's memory, where a sibling thread can change it after the judgement, and the number
//! in the register can be made to name another socket. The broker acts on a duplicate of the
//! socket with a copy of the address. No byte of a connection passes through here.

pub mod address;
mod bind;
mod closed;
mod connect;
mod control;
mod destination;
mod diag;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod letter;
mod listen;
mod message;
mod name;
mod own;
mod receive;
mod receiver;
mod route;
mod send;
mod socket;
mod stream;
mod unix;

pub use own::OwnSockets;

use super::{Call, Context, Handler, Outcome};
use crate::policy::{Access, Permit, Verdict};

/// The handler of a socket call.
pub fn handler(nr: i64) -> Option<Handler> {
    Some(match nr {
        libc::SYS_connect => connect::connect,
        libc::SYS_bind => bind::bind,
        libc::SYS_listen => listen::listen,
        libc::SYS_sendto => send::sendto,
        libc::SYS_sendmsg => send::sendmsg,
        libc::SYS_sendmmsg => send::sendmmsg,
        libc::SYS_recvfrom => receive::recvfrom,
        libc::SYS_recvmsg => receive::recvmsg,
        libc::SYS_recvmmsg => receive::recvmmsg,
        _ => return None,
    })
}

/// Goes on with `act` where the access may happen: at once, or after the answer.
fn judged(
    context: &Context,
    call: &Call,
    access: &Access<'_>,
    act: impl FnOnce(Permit, &Context, &Call) -> Outcome + Send + 'static,
) -> Outcome {
    match context.judge(access, call) {
        Verdict::Allow(permit) => act(permit, context, call),
        Verdict::Ask(question) => Outcome::Ask { question, refusal: libc::EACCES, act: Box::new(act) },
        Verdict::Deny(denial) => context.refuse(call, &denial),
    }
}

#[cfg(test)]
mod kernel_tests;
