//! A loopback port where every datagram is refused: where sockets point that may reach nobody.
//!
//! The port is held by a socket connected to itself, so it takes nothing from anybody else and
//! nobody else can take the port: a sender gets `ECONNREFUSED`, as from a port that is closed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::OnceLock;

use super::address::{self, Version};

struct Held {
    address: SocketAddr,
    /// Never read: that it is open keeps the port.
    _socket: UdpSocket,
}

/// One pair serves the whole process: nothing is ever learnt or reached through it.
static CLOSED: OnceLock<[Option<Held>; 2]> = OnceLock::new();

/// The closed port for a socket of this version that was to point at `far`. A mapped address stays one:
/// the C library looks at the family of the source address that such a socket then has, and aborts the
/// program where it is not what the kernel would have chosen.
pub(super) fn port(version: Version, far: IpAddr) -> Option<SocketAddr> {
    let [v4, v6] = CLOSED.get_or_init(|| [hold(Ipv4Addr::LOCALHOST.into()), hold(Ipv6Addr::LOCALHOST.into())]);
    let held = |held: &Option<Held>| held.as_ref().map(|held| held.address);
    let mapped = || {
        let v4 = held(v4)?;
        address::fit(Version::V6, v4.ip(), v4.port())
    };
    match version {
        Version::V4 => held(v4),
        Version::V6 if far.to_canonical().is_ipv4() => mapped(),
        Version::V6 => held(v6).or_else(mapped),
    }
}

fn hold(loopback: IpAddr) -> Option<Held> {
    let socket = UdpSocket::bind((loopback, 0)).ok()?;
    let address = socket.local_addr().ok()?;
    socket.connect(address).ok()?;
    Some(Held { address, _socket: socket })
}
