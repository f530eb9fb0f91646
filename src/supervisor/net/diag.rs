//! Asks the kernel which sockets exist, by `NETLINK_SOCK_DIAG`. `man 7 sock_diag`.
//!
//! Owns the questions and the decoding of their answers. Whatever cannot be learnt is an error,
//! which callers take for "somebody else's".

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;

use crate::sys::socket::{self, Outgoing};

const NETLINK_SOCK_DIAG: i32 = 4;
/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST`, and with it `NLM_F_ROOT | NLM_F_MATCH`.
const REQUEST: u16 = 0x1;
const DUMP: u16 = 0x301;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// `NLM_F_DUMP_INTR`: the table changed while it was read.
const INTERRUPTED: u16 = 0x10;
/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// `struct inet_diag_msg`.
const INET_LENGTH: usize = 72;
/// `struct unix_diag_msg`.
const UNIX_LENGTH: usize = 16;
/// `UNIX_DIAG_NAME`, and the request's flag for it, `UDIAG_SHOW_NAME`.
const UNIX_NAME: u16 = 0;
const SHOW_NAME: u32 = 1;
/// `TCP_LISTEN` as a bit of the states asked for.
const LISTENING: u32 = 1 << 10;
const ANY_STATE: u32 = u32::MAX;
/// `INET_DIAG_NOCOOKIE`.
const ANY_COOKIE: [u8; 8] = [0xff; 8];
/// Where datagrams of this machine to itself arrive (`LOOPBACK_IFINDEX`).
const LOOPBACK_DEVICE: u32 = 1;
/// Room for one answer; the kernel sends at most 32 KiB at a time.
const ROOM: usize = 64 << 10;
/// How often a table that changes while it is read is read again.
const TRIES: usize = 4;

/// One internet socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InetSocket {
    pub(super) cookie: u64,
    /// Where it is bound; never v4-mapped.
    pub(super) local: IpAddr,
    /// It has a far end, so it receives from nobody else.
    pub(super) connected: bool,
}

/// One Unix socket with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnixSocket {
    pub(super) cookie: u64,
    /// As in `sun_path`, the leading NUL of an abstract name included.
    pub(super) name: Vec<u8>,
}

/// Every TCP listener at `port`, of both families.
pub(super) fn listeners_at(port: u16) -> io::Result<Vec<InetSocket>> {
    sockets_at(port, libc::IPPROTO_TCP, LISTENING)
}

/// Everything that could receive at `port`: TCP listeners and UDP sockets of both families.
pub(super) fn receivers_at(port: u16) -> io::Result<Vec<InetSocket>> {
    let mut found = listeners_at(port)?;
    found.extend(sockets_at(port, libc::IPPROTO_UDP, ANY_STATE)?);
    Ok(found)
}

fn sockets_at(port: u16, protocol: i32, states: u32) -> io::Result<Vec<InetSocket>> {
    let mut found = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let answers = dump(&inet_request(family, protocol, states, port))?;
        found.extend(answers.iter().filter_map(|answer| inet_socket(answer, port)));
    }
    Ok(found)
}

/// The cookie of the socket that a datagram from `from` to `to` would reach, as the kernel looks it
/// up for one that arrives. `ENOENT`: none.
pub(super) fn receiver_of(from: SocketAddr, to: SocketAddr) -> io::Result<u64> {
    let (from, to) = (canonical(from), canonical(to));
    let family = if to.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let mut request = vec![low_byte(family), low_byte(libc::IPPROTO_UDP), 0, 0];
    request.extend(ANY_STATE.to_ne_bytes());
    // For UDP the kernel takes these for the arriving datagram's source and destination.
    request.extend(from.port().to_be_bytes());
    request.extend(to.port().to_be_bytes());
    request.extend(sixteen(from.ip()));
    request.extend(sixteen(to.ip()));
    request.extend(LOOPBACK_DEVICE.to_ne_bytes());
    request.extend(ANY_COOKIE);
    let answers = ask(&request, REQUEST)?.unwrap_or_default();
    answers.first().and_then(|answer| cookie_at(answer, 44)).ok_or_else(malformed)
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// An address in the room for the longer kind.
fn sixteen(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V6(v6) => v6.octets(),
        IpAddr::V4(v4) => {
            let mut room = [0; 16];
            room[..4].copy_from_slice(&v4.octets());
            room
        }
    }
}

/// The cookies of every TCP listener and UDP socket.
pub(super) fn living() -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        for (protocol, states) in [(libc::IPPROTO_TCP, LISTENING), (libc::IPPROTO_UDP, ANY_STATE)] {
            let answers = dump(&inet_request(family, protocol, states, 0))?;
            found.extend(answers.iter().filter_map(|answer| cookie_at(answer, 44)));
        }
    }
    Ok(found)
}

/// Every Unix socket that has a name.
pub(super) fn unix_sockets() -> io::Result<Vec<UnixSocket>> {
    // struct unix_diag_req: family, protocol, pad, states, ino, show, cookie.
    let mut request = vec![low_byte(libc::AF_UNIX), 0, 0, 0];
    request.extend(ANY_STATE.to_ne_bytes());
    request.extend([0; 4]);
    request.extend(SHOW_NAME.to_ne_bytes());
    request.extend(ANY_COOKIE);
    Ok(dump(&request)?.iter().filter_map(|answer| unix_socket(answer)).collect())
}

/// `struct inet_diag_req_v2`.
fn inet_request(family: i32, protocol: i32, states: u32, port: u16) -> Vec<u8> {
    let mut request = vec![low_byte(family), low_byte(protocol), 0, 0];
    request.extend(states.to_ne_bytes());
    // struct inet_diag_sockid: ports, addresses, device, cookie.
    request.extend(port.to_be_bytes());
    request.extend([0; 2 + 32 + 4]);
    request.extend(ANY_COOKIE);
    request
}

fn inet_socket(answer: &[u8], port: u16) -> Option<InetSocket> {
    if answer.len() < INET_LENGTH || answer[4..6] != port.to_be_bytes() {
        return None;
    }
    let local = address_at(answer, 8)?;
    let connected = answer[6..8] != [0, 0];
    Some(InetSocket { cookie: cookie_at(answer, 44)?, local, connected })
}

fn address_at(answer: &[u8], at: usize) -> Option<IpAddr> {
    let octets: [u8; 16] = answer.get(at..at + 16)?.try_into().ok()?;
    if i32::from(answer[0]) == libc::AF_INET {
        return Some(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]).into());
    }
    Some(IpAddr::from(Ipv6Addr::from(octets)).to_canonical())
}

fn unix_socket(answer: &[u8]) -> Option<UnixSocket> {
    // struct unix_diag_msg: family, type, state, pad, ino, cookie; then attributes.
    let cookie = cookie_at(answer, 8)?;
    let mut rest = answer.get(UNIX_LENGTH..)?;
    while rest.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([rest[0], rest[1]]));
        let kind = u16::from_ne_bytes([rest[2], rest[3]]);
        let value = rest.get(4..length)?;
        if kind == UNIX_NAME {
            return Some(UnixSocket { cookie, name: value.to_vec() });
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

fn cookie_at(answer: &[u8], at: usize) -> Option<u64> {
    let halves = answer.get(at..at + 8)?;
    let half = |i: usize| u32::from_ne_bytes([halves[i], halves[i + 1], halves[i + 2], halves[i + 3]]);
    Some(u64::from(half(0)) | u64::from(half(4)) << 32)
}

fn low_byte(number: i32) -> u8 {
    u8::try_from(number).unwrap_or(0)
}

/// Sends one request and collects the answers, without their headers.
fn dump(request: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    for _ in 0..TRIES {
        if let Some(answers) = ask(request, DUMP)? {
            return Ok(answers);
        }
    }
    Err(io::Error::from_raw_os_error(libc::EAGAIN))
}

/// `None`: the table changed meanwhile.
fn ask(request: &[u8], flags: u16) -> io::Result<Option<Vec<Vec<u8>>>> {
    let fd = socket::open(libc::AF_NETLINK, libc::SOCK_RAW, NETLINK_SOCK_DIAG)?;
    let length = u32::try_from(HEADER + request.len()).map_err(|_| malformed())?;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(BY_FAMILY.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(request);
    socket::send(fd.as_fd(), &Outgoing { data: &message, ..Outgoing::default() })?;
    let mut answers = Vec::new();
    let mut room = vec![0; ROOM];
    loop {
        // The kernel has answered by the time that it has taken the request.
        let received = socket::receive(fd.as_fd(), &mut room, 0, libc::MSG_DONTWAIT)?;
        let mut rest = room.get(..received.length).ok_or_else(malformed)?;
        while rest.len() >= HEADER {
            let length = u32::from_ne_bytes([rest[0], rest[1], rest[2], rest[3]]);
            let length = usize::try_from(length).map_err(|_| malformed())?;
            let body = rest.get(HEADER..length).ok_or_else(malformed)?;
            if u16::from_ne_bytes([rest[6], rest[7]]) & INTERRUPTED != 0 {
                return Ok(None);
            }
            match u16::from_ne_bytes([rest[4], rest[5]]) {
                NLMSG_DONE => return Ok(Some(answers)),
                NLMSG_ERROR => return Err(refused(body)),
                _ => answers.push(body.to_vec()),
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        if flags == REQUEST {
            return Ok(Some(answers));
        }
    }
}

fn refused(body: &[u8]) -> io::Error {
    match body.first_chunk::<4>() {
        Some(errno) => io::Error::from_raw_os_error(i32::from_ne_bytes(*errno).wrapping_neg()),
        None => malformed(),
    }
}

fn malformed() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADMSG)
}
