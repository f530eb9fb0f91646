//! Where a socket of the run may receive: listeners, and datagram sockets with a port of their own.
//!
//! Owns the confinement of wildcard receivers: bound to the loopback device they answer this
//! machine alone, as an unprivileged program cannot undo. It is said in the report, and not asked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::socket::{Socket, errno};
use crate::policy::{Access, Denial, Permit, Question, Reason, Verdict};
use crate::supervisor::{Call, Context, Outcome};
use crate::sys::socket;

/// How far a receiver may be heard.
#[derive(Debug)]
pub(super) enum Reach {
    /// Wherever it is bound.
    AsBound(Permit),
    /// On this machine.
    Loopback(Permit),
    Ask(Box<Question>),
    Refused(Denial),
}

/// Judges a receiver at `local`. A wildcard that no list speaks of is confined rather than asked about.
pub(super) fn judge(context: &Context, call: &Call, local: SocketAddr) -> Reach {
    let local = SocketAddr::new(local.ip().to_canonical(), local.port());
    let verdict = context.judge(&Access::Bind(local), call);
    if local.ip().is_unspecified()
        && let Verdict::Ask(question) = &verdict
        && question.reason == Reason::NotListed
    {
        let loopback: IpAddr = match local {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        let confined = SocketAddr::new(loopback, local.port());
        if let Verdict::Allow(permit) = context.judge(&Access::Bind(confined), call) {
            return Reach::Loopback(permit);
        }
    }
    match verdict {
        Verdict::Allow(permit) if local.ip().is_loopback() => Reach::Loopback(permit),
        Verdict::Allow(permit) => Reach::AsBound(permit),
        Verdict::Ask(question) => Reach::Ask(question),
        Verdict::Deny(denial) => Reach::Refused(denial),
    }
}

/// Goes on with `act` where the socket may receive, confining it first where it must be.
pub(super) fn admit(
    context: &Context,
    call: &Call,
    socket: Socket,
    local: SocketAddr,
    act: impl FnOnce(&Context, Permit, Socket) -> Outcome + Send + 'static,
) -> Outcome {
    match judge(context, call, local) {
        Reach::AsBound(permit) => act(context, permit, socket),
        Reach::Loopback(permit) => match confine(context, &socket, local) {
            Ok(()) => act(context, permit, socket),
            Err(errno) => Outcome::errno(errno),
        },
        Reach::Ask(question) => Outcome::Ask {
            question,
            refusal: libc::EACCES,
            act: Box::new(move |permit, context, _| act(context, permit, socket)),
        },
        Reach::Refused(denial) => context.refuse(call, &denial),
    }
}

/// Binds the socket to the loopback device. `EACCES`: it is bound to another one.
fn confine(context: &Context, socket: &Socket, local: SocketAddr) -> Result<(), i32> {
    if let Err(error) = socket::confine_to_loopback(socket.fd()) {
        let device = socket::option(socket.fd(), libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX);
        if !device.is_ok_and(socket::is_loopback_device) {
            let errno = errno(error);
            return Err(if errno == libc::EPERM { libc::EACCES } else { errno });
        }
    }
    if local.ip().to_canonical().is_unspecified() {
        context.journal().note(format!("a receiver at {local} was confined to this machine"));
    }
    Ok(())
}

/// Remembers where the socket receives, so that others of the run may reach it.
pub(super) fn record(context: &Context, socket: &Socket) {
    if let (Some(cookie), Some(local)) = (socket.cookie(), socket.local()) {
        context.facts().sockets().record_port(cookie, local.port());
    }
}
