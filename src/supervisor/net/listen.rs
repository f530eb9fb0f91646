//! `listen`: judged where a TCP socket is bound by then, because clients bind too.
//!
//! A socket that is not bound listens on the wildcard address, so it is judged as that.

use std::net::SocketAddr;

use super::address::{self, Kind};
use super::receiver;
use super::socket::{Socket, Stage, errno, int};
use crate::supervisor::{Call, Context, Outcome, Reply};
use crate::sys::socket;

pub(super) fn listen(context: &Context, call: &Call) -> Outcome {
    decide(context, call).unwrap_or_else(Outcome::errno)
}

fn decide(context: &Context, call: &Call) -> Result<Outcome, i32> {
    let socket = Socket::new(Socket::take(context, call)?)?;
    let backlog = int(call.args[1]);
    if !context.still_waiting(call) {
        return Err(libc::EINTR);
    }
    match socket.kind()? {
        // Named Unix sockets were judged when their name was made; the others cannot listen.
        Kind::UnixStream | Kind::UnixSequenced | Kind::UnixDatagram | Kind::Udp(_) | Kind::Route => {
            Ok(now(&socket, backlog))
        }
        Kind::Tcp(_) => match socket.stage() {
            Stage::Listening => Ok(now(&socket, backlog)),
            Stage::Associated => Err(libc::EINVAL),
            Stage::Fresh => {
                let local = socket.local().ok_or(libc::EACCES)?;
                Ok(receiver::admit(context, call, socket, local, move |context, _permit, socket| {
                    let outcome = now(&socket, backlog);
                    if !is_where_judged(&socket, local) {
                        // Another thread moved the socket: it must not stay open there.
                        let _ = socket::connect(socket.fd(), &address::nobody());
                        return Outcome::errno(libc::EACCES);
                    }
                    receiver::record(context, &socket);
                    outcome
                }))
            }
        },
    }
}

/// Listening gives an unbound socket a port and leaves its address alone.
fn is_where_judged(socket: &Socket, judged: SocketAddr) -> bool {
    socket.local().is_some_and(|now| now.ip() == judged.ip() && (judged.port() == 0 || now.port() == judged.port()))
}

fn now(socket: &Socket, backlog: i32) -> Outcome {
    match socket::listen(socket.fd(), backlog) {
        Ok(()) => Outcome::Reply(Reply::Value(0)),
        Err(error) => Outcome::errno(errno(error)),
    }
}
