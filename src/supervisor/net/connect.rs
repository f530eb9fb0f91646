//! `connect`: the child's own socket, the address that was judged.
//!
//! Owns how a judged connection is made: on a thread of its own where the socket blocks, address
//! after address where a name has several, and where a datagram socket points that may reach
//! nobody. The socket is never replaced, and its flags are never touched: one already in an epoll
//! set, or shared with another process, would notice.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::address::{self, Kind, Peer, Version};
use super::destination::{self, Admitted, Destination};
use super::own::Holder;
use super::socket::{Socket, Stage, copy_address, errno};
use super::{closed, judged, receiver, unix};
use crate::policy::{Access, Host, Permit, Verdict};
use crate::supervisor::{Call, Context, Outcome, Reply};
use crate::sys::socket;

/// After this long no further address of a name is tried: the caller has waited enough.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn connect(context: &Context, call: &Call) -> Outcome {
    match read(context, call) {
        Ok((socket, peer)) => decide(context, call, socket, peer).unwrap_or_else(Outcome::errno),
        Err(errno) => Outcome::errno(errno),
    }
}

/// The errors come in the kernel's order: descriptor, address, kind of file.
fn read(context: &Context, call: &Call) -> Result<(Socket, Peer), i32> {
    let fd = Socket::take(context, call)?;
    let bytes = copy_address(call, call.args[1], call.args[2])?;
    let socket = Socket::new(fd)?;
    let peer = address::decode_connect(socket.kind()?, &bytes)?;
    if context.still_waiting(call) { Ok((socket, peer)) } else { Err(libc::EINTR) }
}

fn decide(context: &Context, call: &Call, socket: Socket, peer: Peer) -> Result<Outcome, i32> {
    Ok(match (socket.kind()?, peer) {
        (_, Peer::Nobody) => now(&socket, &address::nobody()),
        (Kind::Tcp(version), Peer::Inet(peer)) => decide_tcp(context, call, socket, Far { version, peer })?,
        (Kind::Udp(version), Peer::Inet(peer)) => decide_udp(context, call, socket, Far { version, peer })?,
        (Kind::Route, Peer::Kernel) => now(&socket, &address::kernel()),
        (_, Peer::Unix(name)) => unix::connect(context, call, socket, &name)?,
        _ => Outcome::errno(libc::EAFNOSUPPORT),
    })
}

/// The far end as named, and the family of the socket that is to reach it.
#[derive(Debug, Clone, Copy)]
struct Far {
    version: Version,
    peer: SocketAddr,
}

fn decide_tcp(context: &Context, call: &Call, socket: Socket, far: Far) -> Result<Outcome, i32> {
    match socket.stage() {
        Stage::Listening => return Err(libc::EISCONN),
        // The kernel reports how the connection under way stands and looks at no address.
        Stage::Associated => return Ok(reach(socket, vec![address::nowhere()])),
        Stage::Fresh => {}
    }
    if far.peer.port() == 0 {
        return Ok(reach(socket, vec![address::encode(&refusing(far.version)?)]));
    }
    if far.peer.ip().to_canonical().is_loopback() && context.facts().sockets().listen_at(far.peer) {
        return Ok(reach(socket, vec![address::encode(&far.peer)]));
    }
    match Destination::of(context, &far.peer)? {
        Destination::Stub => {
            let stub = destination::stub_for(context, &socket, &far.peer).ok_or(libc::ENETUNREACH)?;
            Ok(reach(socket, vec![address::encode(&stub)]))
        }
        Destination::Host(host) => {
            let access = Access::Connect { host: &host, port: far.peer.port() };
            if is_vain(context, call, &access, far) {
                return Ok(reach(socket, vec![address::encode(&refusing(far.version)?)]));
            }
            let named = host.clone();
            Ok(judged(context, call, &access, move |permit, _, _| match named {
                Host::Address(_) => reach(socket, vec![address::encode(&far.peer)]),
                Host::Name(name) => reach_name(permit, socket, name, far),
            }))
        }
    }
}

/// A loopback port where nobody listens refuses: a program that waits for its own server to come up
/// is told so, and nobody is asked. The connection is made to a port where nobody ever listens.
fn is_vain(context: &Context, call: &Call, access: &Access<'_>, far: Far) -> bool {
    far.peer.ip().to_canonical().is_loopback()
        && !matches!(context.judge(access, call), Verdict::Allow(_))
        && context.facts().sockets().listener_at(far.peer) == Holder::Nobody
}

/// Where every connection is refused: nothing listens at port 0.
fn refusing(version: Version) -> Result<SocketAddr, i32> {
    address::fit(version, Ipv4Addr::LOCALHOST.into(), 0).ok_or(libc::EINVAL)
}

/// Resolves a judged name and connects to one of its addresses.
fn reach_name(permit: Permit, socket: Socket, name: String, far: Far) -> Outcome {
    Outcome::Apart(Box::new(move |context, call| {
        let port = far.peer.port();
        let admitted = destination::resolve(context, call, &permit, &name, port);
        destination::admit(context, call, admitted, move |_, _, addresses| {
            let fitting = destination::fitting(&socket, far.version, &addresses, port);
            if fitting.is_empty() {
                return Outcome::errno(libc::EHOSTUNREACH);
            }
            reach(socket, fitting.iter().map(address::encode).collect())
        })
    }))
}

/// Connects to the first of `addresses` that takes the connection. What may block runs apart.
fn reach(socket: Socket, addresses: Vec<Vec<u8>>) -> Outcome {
    if socket.blocks() {
        return Outcome::Apart(Box::new(move |_, _| try_each(&socket, &addresses)));
    }
    try_each(&socket, &addresses)
}

/// Connects to the Unix socket behind `found`. What may block runs apart.
pub(super) fn reach_unix(socket: Socket, found: unix::Found) -> Outcome {
    let blocks = socket.blocks();
    let connect = move || match found.address() {
        Ok(address) => now(&socket, &address),
        Err(errno) => Outcome::errno(errno),
    };
    if blocks { Outcome::Apart(Box::new(move |_, _| connect())) } else { connect() }
}

fn try_each(socket: &Socket, addresses: &[Vec<u8>]) -> Outcome {
    let begun = Instant::now();
    let mut last = libc::EHOSTUNREACH;
    for address in addresses {
        match socket::connect(socket.fd(), address) {
            Ok(()) => return Outcome::Reply(Reply::Value(0)),
            Err(error) => last = errno(error),
        }
        // A connect that failed leaves a TCP socket as it was; one under way, or interrupted, is not over.
        let another = matches!(
            last,
            libc::ECONNREFUSED
                | libc::ECONNRESET
                | libc::ENETUNREACH
                | libc::EHOSTUNREACH
                | libc::ENETDOWN
                | libc::EADDRNOTAVAIL
                | libc::ETIMEDOUT
                | libc::EINVAL
        );
        if !another || begun.elapsed() > PATIENCE {
            break;
        }
    }
    Outcome::errno(last)
}

/// Pointing a datagram socket sends nothing, so nothing is asked where a resolver library does it
/// to sort addresses: the question comes with the first datagram that has an address.
fn decide_udp(context: &Context, call: &Call, socket: Socket, far: Far) -> Result<Outcome, i32> {
    if far.peer.port() == 0 {
        // The kernel would let datagrams go to port 0, and no rule can speak of it.
        return point_nowhere(context, &socket, far);
    }
    match Destination::of(context, &far.peer)? {
        Destination::Stub => {
            let stub = destination::stub_for(context, &socket, &far.peer).ok_or(libc::ENETUNREACH)?;
            if let Some(cookie) = socket.cookie() {
                context.facts().sockets().record_alias(cookie, stub, far.peer);
            }
            Ok(point(context, &socket, &stub))
        }
        Destination::Host(host) => {
            let access = Access::Connect { host: &host, port: far.peer.port() };
            match host {
                Host::Address(_) => {
                    Ok(judged(context, call, &access, move |_permit, context, _| point(context, &socket, &far.peer)))
                }
                Host::Name(ref name) => match context.judge(&access, call) {
                    Verdict::Allow(permit) => Ok(point_at_name(permit, socket, name.clone(), far)),
                    Verdict::Ask(_) | Verdict::Deny(_) => point_nowhere(context, &socket, far),
                },
            }
        }
    }
}

fn point_at_name(permit: Permit, socket: Socket, name: String, far: Far) -> Outcome {
    Outcome::Apart(Box::new(move |context, call| {
        let port = far.peer.port();
        let pointed = match destination::resolve(context, call, &permit, &name, port) {
            Admitted::Addresses(addresses) => {
                let fitting = destination::fitting(&socket, far.version, &addresses, port);
                // Of the family that was named: the source address is looked at.
                let is_v4 = |address: &SocketAddr| address.ip().to_canonical().is_ipv4();
                let alike = fitting.iter().filter(|to| is_v4(to) == is_v4(&far.peer));
                alike.map(|to| point(context, &socket, to)).find(succeeded)
            }
            Admitted::Ask(..) | Admitted::Refused(_) | Admitted::Failed(_) => None,
        };
        pointed.unwrap_or_else(|| point_nowhere(context, &socket, far).unwrap_or_else(Outcome::errno))
    }))
}

fn succeeded(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Reply(Reply::Value(_)))
}

fn point_nowhere(context: &Context, socket: &Socket, far: Far) -> Result<Outcome, i32> {
    Ok(point(context, socket, &closed::port(far.version, far.peer.ip()).ok_or(libc::ENETUNREACH)?))
}

/// Connects a datagram socket, which never blocks, and remembers it as one that others of the run
/// may answer.
fn point(context: &Context, socket: &Socket, to: &SocketAddr) -> Outcome {
    let outcome = now(socket, &address::encode(to));
    if succeeded(&outcome) {
        receiver::record(context, socket);
    }
    outcome
}

fn now(socket: &Socket, address: &[u8]) -> Outcome {
    match socket::connect(socket.fd(), address) {
        Ok(()) => Outcome::Reply(Reply::Value(0)),
        Err(error) => Outcome::errno(errno(error)),
    }
}
