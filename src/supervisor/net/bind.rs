//! `bind`: a port of the child's own, or a Unix name.
//!
//! A TCP socket is not judged here but at `listen`: clients bind `0.0.0.0:0` too. A datagram socket
//! receives from this moment on, so it is judged now; without a port of its choice it is a client.

use std::net::SocketAddr;

use super::address::{self, Kind};
use super::socket::{Socket, copy_address, errno};
use super::{receiver, unix};
use crate::supervisor::{Call, Context, Outcome, Reply};
use crate::sys::socket;

/// Groups and port of `struct sockaddr_nl`, whose length the kernel insists on.
const NETLINK_LENGTH: usize = 12;

pub(super) fn bind(context: &Context, call: &Call) -> Outcome {
    decide(context, call).unwrap_or_else(Outcome::errno)
}

fn decide(context: &Context, call: &Call) -> Result<Outcome, i32> {
    let socket = Socket::new(Socket::take(context, call)?)?;
    let bytes = copy_address(call, call.args[1], call.args[2])?;
    let kind = socket.kind()?;
    if !context.still_waiting(call) {
        return Err(libc::EINTR);
    }
    match kind {
        Kind::Tcp(version) => {
            let local = address::decode_bind(version, &bytes)?;
            Ok(now(&socket, &address::encode(&local)))
        }
        Kind::Udp(version) => Ok(bind_datagram(context, call, socket, address::decode_bind(version, &bytes)?)),
        Kind::UnixStream | Kind::UnixDatagram | Kind::UnixSequenced => {
            unix::bind(context, call, socket, address::decode_unix(&bytes)?)
        }
        Kind::Route => {
            let named = bytes.get(..NETLINK_LENGTH).ok_or(libc::EINVAL)?;
            Ok(now(&socket, named))
        }
    }
}

fn bind_datagram(context: &Context, call: &Call, socket: Socket, local: SocketAddr) -> Outcome {
    let act = move |context: &Context, socket: Socket| {
        let outcome = now(&socket, &address::encode(&local));
        receiver::record(context, &socket);
        outcome
    };
    let is_client = local.port() == 0 && local.ip().to_canonical().is_unspecified();
    if is_client {
        return act(context, socket);
    }
    receiver::admit(context, call, socket, local, move |context, _permit, socket| act(context, socket))
}

fn now(socket: &Socket, address: &[u8]) -> Outcome {
    match socket::bind(socket.fd(), address) {
        Ok(()) => Outcome::Reply(Reply::Value(0)),
        Err(error) => Outcome::errno(errno(error)),
    }
}
