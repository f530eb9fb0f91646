//! Socket addresses as bytes of the child, decoded the way the kernel would for one kind of socket.
//!
//! Owns the errno of every malformed address and the one spelling that is both judged and acted
//! on: `0.0.0.0` and `::` as a destination are written out as loopback, and what the kernel ignores
//! (padding, surplus bytes) is not carried over. It refuses to guess: what it does not know is an
//! errno, never a destination.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// `struct sockaddr_in`.
const INET_LENGTH: usize = 16;
/// `struct sockaddr_in6` of RFC 2133, without a scope: the least that the kernel takes.
const INET6_SHORT: usize = 24;
/// `struct sockaddr_in6`.
const INET6_LENGTH: usize = 28;
/// `sun_path` begins here in `struct sockaddr_un`.
const UNIX_PATH: usize = 2;
/// `struct sockaddr_un`.
const UNIX_LENGTH: usize = 110;
/// `struct sockaddr_nl`.
const NETLINK_LENGTH: usize = 12;

/// The kind of socket that an address is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Tcp(Version),
    Udp(Version),
    UnixStream,
    /// Datagram and sequenced-packet sockets decode alike but for `AF_UNSPEC`.
    UnixDatagram,
    UnixSequenced,
    /// `NETLINK_ROUTE`, to the kernel alone.
    Route,
}

/// The address family of an internet socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V4,
    V6,
}

/// The far end of a `connect`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// `AF_UNSPEC`: end the association.
    Nobody,
    Inet(SocketAddr),
    Unix(UnixAddress),
    /// The kernel's end of a netlink socket.
    Kernel,
}

/// A Unix socket's address, as named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnixAddress {
    /// Family alone: an abstract name of the kernel's choice.
    Unnamed,
    /// Up to the first NUL, as the kernel reads it.
    Path(Vec<u8>),
    /// All bytes after the leading NUL; NULs among them are part of the name.
    Abstract(Vec<u8>),
}

/// Decodes the address of a `connect`.
pub fn decode_connect(kind: Kind, bytes: &[u8]) -> Result<Peer, i32> {
    let family = family(bytes)?;
    match kind {
        Kind::UnixStream => return decode_unix_peer(bytes).map(Peer::Unix),
        Kind::Tcp(_) | Kind::Udp(_) | Kind::UnixDatagram | Kind::UnixSequenced | Kind::Route => {}
    }
    if family == libc::AF_UNSPEC {
        return Ok(Peer::Nobody);
    }
    match kind {
        Kind::Tcp(Version::V4) | Kind::Udp(Version::V4) => {
            decode_v4(bytes, libc::EINVAL, libc::EAFNOSUPPORT).map(Peer::Inet)
        }
        Kind::Udp(Version::V6) if family == libc::AF_INET => {
            decode_v4(bytes, libc::EINVAL, libc::EAFNOSUPPORT).map(Peer::Inet)
        }
        Kind::Tcp(Version::V6) | Kind::Udp(Version::V6) => decode_v6(bytes, libc::EAFNOSUPPORT).map(Peer::Inet),
        Kind::UnixStream | Kind::UnixDatagram | Kind::UnixSequenced => decode_unix_peer(bytes).map(Peer::Unix),
        Kind::Route => decode_kernel(bytes).map(|()| Peer::Kernel),
    }
}

/// Decodes the address that a datagram is sent to; `None` where the kernel would ignore it.
///
/// An `AF_INET` socket takes `AF_UNSPEC` for `AF_INET` here; an `AF_INET6` one takes it for none.
pub fn decode_send(kind: Kind, bytes: &[u8]) -> Result<Option<Peer>, i32> {
    match kind {
        Kind::Tcp(_) | Kind::UnixSequenced => Ok(None),
        Kind::UnixStream => Ok(Some(Peer::Nobody)),
        Kind::UnixDatagram => decode_unix_peer(bytes).map(|peer| Some(Peer::Unix(peer))),
        Kind::Route => decode_kernel(bytes).map(|()| Some(Peer::Kernel)),
        Kind::Udp(Version::V4) => {
            let unspecified = family_of_long(bytes)? == libc::AF_UNSPEC;
            let peer = if unspecified { v4_at(bytes) } else { decode_v4(bytes, libc::EINVAL, libc::EAFNOSUPPORT)? };
            with_port(peer)
        }
        Kind::Udp(Version::V6) => match family(bytes)? {
            libc::AF_UNSPEC => Ok(None),
            libc::AF_INET => with_port(decode_v4(bytes, libc::EINVAL, libc::EINVAL)?),
            _ => with_port(decode_v6(bytes, libc::EINVAL)?),
        },
    }
}

/// Decodes the address of a `bind` of an internet socket. Wildcards stay wildcards.
pub fn decode_bind(version: Version, bytes: &[u8]) -> Result<SocketAddr, i32> {
    match version {
        Version::V4 => {
            if bytes.len() < INET_LENGTH {
                return Err(libc::EINVAL);
            }
            let address = raw_v4(bytes);
            // Older programs leave the family out, which the kernel lets pass for the wildcard.
            let nameless = family(bytes)? == libc::AF_UNSPEC && address.ip().is_unspecified();
            if family(bytes)? != libc::AF_INET && !nameless {
                return Err(libc::EAFNOSUPPORT);
            }
            Ok(SocketAddr::V4(address))
        }
        Version::V6 => {
            if bytes.len() < INET6_SHORT {
                return Err(libc::EINVAL);
            }
            if family(bytes)? != libc::AF_INET6 {
                return Err(libc::EAFNOSUPPORT);
            }
            Ok(SocketAddr::V6(raw_v6(bytes)))
        }
    }
}

/// Decodes the address of a `bind` of a Unix socket.
pub fn decode_unix(bytes: &[u8]) -> Result<UnixAddress, i32> {
    if bytes.len() == UNIX_PATH && family(bytes)? == libc::AF_UNIX {
        return Ok(UnixAddress::Unnamed);
    }
    decode_unix_peer(bytes)
}

/// Decodes what `getsockname` gave for an internet socket.
pub fn decode_local(bytes: &[u8]) -> Option<SocketAddr> {
    match family(bytes).ok()? {
        libc::AF_INET if bytes.len() >= INET_LENGTH => Some(SocketAddr::V4(raw_v4(bytes))),
        libc::AF_INET6 if bytes.len() >= INET6_LENGTH => Some(SocketAddr::V6(raw_v6(bytes))),
        _ => None,
    }
}

/// The bytes of an internet address, for the kernel.
pub fn encode(address: &SocketAddr) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(INET6_LENGTH);
    match address {
        SocketAddr::V4(v4) => {
            bytes.extend(family_bytes(libc::AF_INET));
            bytes.extend(v4.port().to_be_bytes());
            bytes.extend(v4.ip().octets());
            bytes.resize(INET_LENGTH, 0);
        }
        SocketAddr::V6(v6) => {
            bytes.extend(family_bytes(libc::AF_INET6));
            bytes.extend(v6.port().to_be_bytes());
            // SocketAddrV6 holds the flow information as the bytes stood in memory.
            bytes.extend(v6.flowinfo().to_ne_bytes());
            bytes.extend(v6.ip().octets());
            bytes.extend(v6.scope_id().to_ne_bytes());
        }
    }
    bytes
}

/// The bytes of a Unix address, for the kernel; `ENAMETOOLONG` where it does not fit.
pub fn encode_unix(address: &UnixAddress) -> Result<Vec<u8>, i32> {
    let mut bytes = family_bytes(libc::AF_UNIX).to_vec();
    match address {
        UnixAddress::Unnamed => {}
        UnixAddress::Path(path) => {
            bytes.extend(path);
            if bytes.len() < UNIX_LENGTH {
                bytes.push(0);
            }
        }
        UnixAddress::Abstract(name) => {
            bytes.push(0);
            bytes.extend(name);
        }
    }
    if bytes.len() > UNIX_LENGTH { Err(libc::ENAMETOOLONG) } else { Ok(bytes) }
}

/// The wildcard address, and a port of the kernel's choice.
pub fn wildcard(version: Version) -> SocketAddr {
    match version {
        Version::V4 => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        Version::V6 => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    }
}

/// `AF_UNSPEC`, which ends an association.
pub fn nobody() -> Vec<u8> {
    vec![0; INET_LENGTH]
}

/// An address that is long enough to be one and too short to lead anywhere: what a `connect` is
/// made with whose only purpose is the state of a connection under way.
pub fn nowhere() -> Vec<u8> {
    family_bytes(libc::AF_INET).to_vec()
}

/// The kernel's end of a netlink socket.
pub fn kernel() -> Vec<u8> {
    let mut bytes = family_bytes(libc::AF_NETLINK).to_vec();
    bytes.resize(NETLINK_LENGTH, 0);
    bytes
}

/// The address in a socket's own family: an IPv4 destination of an `AF_INET6` socket is mapped.
/// `None`: a socket of this version cannot reach it.
pub fn fit(version: Version, address: IpAddr, port: u16) -> Option<SocketAddr> {
    match (version, address) {
        (Version::V4, IpAddr::V4(_)) | (Version::V6, IpAddr::V6(_)) => Some(SocketAddr::new(address, port)),
        (Version::V6, IpAddr::V4(v4)) => Some(SocketAddr::new(v4.to_ipv6_mapped().into(), port)),
        (Version::V4, IpAddr::V6(v6)) => v6.to_ipv4_mapped().map(|v4| SocketAddr::new(v4.into(), port)),
    }
}

fn family(bytes: &[u8]) -> Result<i32, i32> {
    match bytes {
        [low, high, ..] => Ok(i32::from(u16::from_ne_bytes([*low, *high]))),
        _ => Err(libc::EINVAL),
    }
}

/// The family of an address that must be a whole `sockaddr_in`.
fn family_of_long(bytes: &[u8]) -> Result<i32, i32> {
    if bytes.len() < INET_LENGTH { Err(libc::EINVAL) } else { family(bytes) }
}

fn decode_v4(bytes: &[u8], short: i32, other_family: i32) -> Result<SocketAddr, i32> {
    if bytes.len() < INET_LENGTH {
        return Err(short);
    }
    if family(bytes)? != libc::AF_INET {
        return Err(other_family);
    }
    Ok(v4_at(bytes))
}

/// The destination in a `sockaddr_in`, whatever its family says.
fn v4_at(bytes: &[u8]) -> SocketAddr {
    let mut address = raw_v4(bytes);
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST);
    }
    SocketAddr::V4(address)
}

fn decode_v6(bytes: &[u8], other_family: i32) -> Result<SocketAddr, i32> {
    if bytes.len() < INET6_SHORT {
        return Err(libc::EINVAL);
    }
    if family(bytes)? != libc::AF_INET6 {
        return Err(other_family);
    }
    let mut address = raw_v6(bytes);
    if address.ip().is_unspecified() {
        address.set_ip(Ipv6Addr::LOCALHOST);
    } else if address.ip().to_ipv4_mapped().is_some_and(|v4| v4.is_unspecified()) {
        address.set_ip(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
    }
    Ok(SocketAddr::V6(address))
}

/// Reads a `sockaddr_in`; bytes that are missing count as zero.
fn raw_v4(bytes: &[u8]) -> SocketAddrV4 {
    let port = u16::from_be_bytes(array_at(bytes, 2));
    let octets: [u8; 4] = array_at(bytes, 4);
    SocketAddrV4::new(octets.into(), port)
}

/// Reads a `sockaddr_in6`; bytes that are missing count as zero.
fn raw_v6(bytes: &[u8]) -> SocketAddrV6 {
    let port = u16::from_be_bytes(array_at(bytes, 2));
    let flow = u32::from_ne_bytes(array_at(bytes, 4));
    let octets: [u8; 16] = array_at(bytes, 8);
    let scope = u32::from_ne_bytes(array_at(bytes, INET6_SHORT));
    SocketAddrV6::new(octets.into(), port, flow, scope)
}

fn array_at<const N: usize>(bytes: &[u8], start: usize) -> [u8; N] {
    let mut array = [0; N];
    for (to, from) in array.iter_mut().zip(bytes.iter().skip(start)) {
        *to = *from;
    }
    array
}

/// Datagrams to port 0 are refused by the kernel.
fn with_port(address: SocketAddr) -> Result<Option<Peer>, i32> {
    if address.port() == 0 { Err(libc::EINVAL) } else { Ok(Some(Peer::Inet(address))) }
}

/// A Unix address that names something: as `unix_validate_addr` and `unix_mkname` of the kernel.
fn decode_unix_peer(bytes: &[u8]) -> Result<UnixAddress, i32> {
    if bytes.len() <= UNIX_PATH || bytes.len() > UNIX_LENGTH || family(bytes)? != libc::AF_UNIX {
        return Err(libc::EINVAL);
    }
    let name = &bytes[UNIX_PATH..];
    match name.split_first() {
        Some((0, rest)) => Ok(UnixAddress::Abstract(rest.to_vec())),
        _ => {
            let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
            Ok(UnixAddress::Path(name[..end].to_vec()))
        }
    }
}

/// A netlink address that names the kernel: port 0 and no multicast group.
fn decode_kernel(bytes: &[u8]) -> Result<(), i32> {
    if bytes.len() < NETLINK_LENGTH || family(bytes)? != libc::AF_NETLINK {
        return Err(libc::EINVAL);
    }
    let port = u32::from_ne_bytes(array_at(bytes, 4));
    let groups = u32::from_ne_bytes(array_at(bytes, 8));
    if port == 0 && groups == 0 { Ok(()) } else { Err(libc::EPERM) }
}

fn family_bytes(family: i32) -> [u8; 2] {
    u16::try_from(family).unwrap_or(0).to_ne_bytes()
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
