//! Sockets: where they may lead, and acting on the child's own one with the address that was judged.
//!
//! Owns every call that carries a socket address. No such call is ever continued: the address is
//! in the child's memory, where a sibling thread can change it after the judgement, and the number
//! in the register can be made to name another socket. The broker acts on a duplicate of the
//! socket with a copy of the address. No byte of a connection passes through here.

pub mod address;
mod closed;
mod connect;
mod destination;
mod diag;
mod own;
mod socket;
mod unix;

pub use own::OwnSockets;

use super::{Call, Context, Handler, Outcome};
use crate::policy::{Access, Permit, Verdict};
use socket::Socket;

/// The handler of a socket call.
pub fn handler(nr: i64) -> Option<Handler> {
    Some(match nr {
        libc::SYS_connect => connect::connect,
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

/// Remembers where a datagram socket or listener of the run receives, so that others of the run may
/// reach it.
fn record_receiver(context: &Context, socket: &Socket) {
    if let (Some(cookie), Some(local)) = (socket.cookie(), socket.local()) {
        context.facts().sockets().record_port(cookie, local.port());
    }
}

#[cfg(test)]
mod kernel_tests;
