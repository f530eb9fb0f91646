//! Control messages of a send: what is carried over, what is taken out, what is refused.
//!
//! Descriptors are the child's, so they are duplicated and passed on under our own numbers. What
//! would choose another way or another source than the one judged is taken out (packet
//! information) or refused (source routes and header options).

use std::os::fd::{AsRawFd, OwnedFd};

use super::address::Kind;
use super::socket::int;
use crate::supervisor::Caller;

/// `struct cmsghdr`.
const HEADER: usize = size_of::<libc::cmsghdr>();
/// `CMSG_ALIGN`.
const ALIGNMENT: usize = size_of::<usize>();
/// `SCM_MAX_FD`, for all messages together.
const DESCRIPTORS_MAX: usize = 253;
/// `SCM_CREDENTIALS`: process, user, group.
const CREDENTIALS: usize = 12;

const SOL_UDP: i32 = 17;
const UDP_SEGMENT: i32 = 103;
const SCM_TXTIME: i32 = 61;
const SCM_TS_OPT_ID: i32 = 81;
/// `IPV6_2292HOPOPTS`, `IPV6_2292DSTOPTS`, `IPV6_2292RTHDR`, `IPV6_2292PKTINFO`.
const OLD_HOP_OPTIONS: i32 = 3;
const OLD_DESTINATION_OPTIONS: i32 = 4;
const OLD_ROUTING_HEADER: i32 = 5;
const OLD_PACKET_INFO: i32 = 2;

/// Control messages ready to be sent, with the descriptors that they name.
#[derive(Debug, Default)]
pub(super) struct Control {
    pub(super) bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// One control message of the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Message<'a> {
    level: i32,
    kind: i32,
    data: &'a [u8],
}

/// What becomes of one control message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pass,
    TakeOut,
    Refuse(i32),
    Descriptors,
    Credentials,
}

impl Control {
    /// Reads `bytes` for a socket of this kind, and takes the descriptors that they name.
    pub(super) fn carry(caller: &Caller, kind: Kind, bytes: &[u8]) -> Result<Self, i32> {
        let mut carried = Self::default();
        for message in split(bytes)? {
            match fate(kind, message) {
                Fate::Pass => carried.push(message),
                Fate::TakeOut => {}
                Fate::Refuse(errno) => return Err(errno),
                Fate::Descriptors => carried.push_descriptors(caller, message)?,
                Fate::Credentials => carried.push_credentials(caller, message)?,
            }
        }
        Ok(carried)
    }

    fn push(&mut self, message: Message<'_>) {
        let length = HEADER + message.data.len();
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(message.level.to_ne_bytes());
        self.bytes.extend(message.kind.to_ne_bytes());
        self.bytes.extend(message.data);
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
    }

    fn push_descriptors(&mut self, caller: &Caller, message: Message<'_>) -> Result<(), i32> {
        let numbers = message.data.chunks_exact(4);
        if self.descriptors.len() + numbers.len() > DESCRIPTORS_MAX {
            return Err(libc::EINVAL);
        }
        let mut ours = Vec::new();
        for number in numbers {
            let number = i32::from_ne_bytes(number.try_into().map_err(|_| libc::EINVAL)?);
            let taken = caller.take_fd(number)?;
            ours.extend(taken.as_raw_fd().to_ne_bytes());
            self.descriptors.push(taken);
        }
        self.push(Message { data: &ours, ..message });
        Ok(())
    }

    /// The kernel lets a process name itself alone, and here the broker speaks: its number stands
    /// for the child's. User and group are checked by the kernel, against identities that are alike.
    fn push_credentials(&mut self, caller: &Caller, message: Message<'_>) -> Result<(), i32> {
        let process: [u8; 4] = message.data[..4].try_into().map_err(|_| libc::EINVAL)?;
        if i32::from_ne_bytes(process) != caller.tgid {
            return Err(libc::EPERM);
        }
        let ours = int(u64::from(std::process::id())).to_ne_bytes();
        self.push(Message { data: &[&ours, &message.data[4..]].concat(), ..message });
        Ok(())
    }
}

/// What of `bytes` passes as it is: descriptors and credentials, which need their process, left out.
#[cfg(any(test, fuzzing))]
pub(super) fn passed(kind: Kind, bytes: &[u8]) -> Result<Vec<u8>, i32> {
    let mut carried = Control::default();
    for message in split(bytes)? {
        match fate(kind, message) {
            Fate::Pass => carried.push(message),
            Fate::TakeOut | Fate::Descriptors | Fate::Credentials => {}
            Fate::Refuse(errno) => return Err(errno),
        }
    }
    Ok(carried.bytes)
}

fn fate(kind: Kind, message: Message<'_>) -> Fate {
    let is_unix = matches!(kind, Kind::UnixStream | Kind::UnixDatagram | Kind::UnixSequenced);
    match (message.level, message.kind) {
        (libc::SOL_SOCKET, libc::SCM_RIGHTS) if is_unix => Fate::Descriptors,
        (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if is_unix || kind == Kind::Route => {
            if message.data.len() == CREDENTIALS { Fate::Credentials } else { Fate::Refuse(libc::EINVAL) }
        }
        // The kernel skips other levels on Unix and netlink sockets.
        (libc::SOL_SOCKET, _) if is_unix || kind == Kind::Route => Fate::Refuse(libc::EINVAL),
        _ if is_unix || kind == Kind::Route => Fate::TakeOut,
        // Meaningless between internet sockets: the kernel looks at neither.
        (libc::SOL_SOCKET, libc::SCM_RIGHTS | libc::SCM_CREDENTIALS) => Fate::TakeOut,
        (libc::SOL_SOCKET, libc::SO_TIMESTAMPING | SCM_TXTIME | libc::SO_PRIORITY | SCM_TS_OPT_ID) => Fate::Pass,
        (libc::SOL_SOCKET, libc::SO_MARK) => Fate::Refuse(libc::EPERM),
        (libc::SOL_IP, libc::IP_TTL | libc::IP_TOS) => Fate::Pass,
        (libc::SOL_IP, libc::IP_PKTINFO) => Fate::TakeOut,
        (libc::SOL_IP, libc::IP_RETOPTS) => Fate::Refuse(libc::EPERM),
        (libc::SOL_IPV6, libc::IPV6_HOPLIMIT | libc::IPV6_TCLASS | libc::IPV6_DONTFRAG) => Fate::Pass,
        (libc::SOL_IPV6, libc::IPV6_PKTINFO | OLD_PACKET_INFO) => Fate::TakeOut,
        (
            libc::SOL_IPV6,
            libc::IPV6_RTHDR
            | libc::IPV6_RTHDRDSTOPTS
            | libc::IPV6_HOPOPTS
            | libc::IPV6_DSTOPTS
            | OLD_HOP_OPTIONS
            | OLD_DESTINATION_OPTIONS
            | OLD_ROUTING_HEADER,
        ) => Fate::Refuse(libc::EPERM),
        (SOL_UDP, UDP_SEGMENT) if matches!(kind, Kind::Udp(_)) => Fate::Pass,
        (libc::SOL_SOCKET | libc::SOL_IP | libc::SOL_IPV6, _) => Fate::Refuse(libc::EINVAL),
        _ => Fate::TakeOut,
    }
}

/// Walks the messages as the kernel's `for_each_cmsghdr` does; `EINVAL` where one is malformed.
fn split(bytes: &[u8]) -> Result<Vec<Message<'_>>, i32> {
    let mut messages = Vec::new();
    let mut rest = bytes;
    while rest.len() >= HEADER {
        let length = usize::from_ne_bytes(first(rest, 0)?);
        if length < HEADER || length > rest.len() {
            return Err(libc::EINVAL);
        }
        let number = |at| first(rest, at).map(i32::from_ne_bytes);
        messages.push(Message {
            level: number(size_of::<usize>())?,
            kind: number(size_of::<usize>() + 4)?,
            data: &rest[HEADER..length],
        });
        rest = rest.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
    }
    Ok(messages)
}

fn first<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], i32> {
    bytes.get(at..at + N).and_then(|found| found.try_into().ok()).ok_or(libc::EINVAL)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::supervisor::net::address::Version;

    const UDP: Kind = Kind::Udp(Version::V4);

    fn message(level: i32, kind: i32, data: &[u8]) -> Message<'_> {
        Message { level, kind, data }
    }

    #[test]
    fn messages_come_back_as_they_were_put() {
        let messages = [message(1, 2, b""), message(0, 8, b"abc"), message(41, 50, &[7; 20])];
        let mut control = Control::default();
        for each in messages {
            control.push(each);
        }
        assert_eq!(split(&control.bytes).unwrap(), messages);
    }

    #[test]
    fn a_length_that_lies_is_refused() {
        let header = |length: usize| [&length.to_ne_bytes()[..], &[0; 8]].concat();
        for length in [0, HEADER - 1, HEADER + 1, usize::MAX] {
            assert_eq!(split(&header(length)).unwrap_err(), libc::EINVAL, "{length}");
        }
        assert_eq!(split(&header(HEADER)[..HEADER - 1]).unwrap(), []);
    }

    #[test]
    fn what_would_send_elsewhere_does_not_pass() {
        let cases = [
            ("a source address", libc::SOL_IP, libc::IP_PKTINFO, Fate::TakeOut),
            ("a source route", libc::SOL_IP, libc::IP_RETOPTS, Fate::Refuse(libc::EPERM)),
            ("an IPv6 source address", libc::SOL_IPV6, libc::IPV6_PKTINFO, Fate::TakeOut),
            ("an IPv6 routing header", libc::SOL_IPV6, libc::IPV6_RTHDR, Fate::Refuse(libc::EPERM)),
            ("a routing mark", libc::SOL_SOCKET, libc::SO_MARK, Fate::Refuse(libc::EPERM)),
            ("what this release does not know", libc::SOL_IP, 99, Fate::Refuse(libc::EINVAL)),
            ("a level that the kernel skips", 99, 1, Fate::TakeOut),
            ("a time to live", libc::SOL_IP, libc::IP_TTL, Fate::Pass),
            ("a segment size", SOL_UDP, UDP_SEGMENT, Fate::Pass),
        ];
        for (what, level, kind, expected) in cases {
            assert_eq!(fate(UDP, message(level, kind, &[0; 4])), expected, "{what}");
        }
    }

    #[test]
    fn descriptors_pass_between_unix_sockets_alone() {
        let rights = message(libc::SOL_SOCKET, libc::SCM_RIGHTS, &[0; 4]);
        assert_eq!(fate(Kind::UnixStream, rights), Fate::Descriptors);
        assert_eq!(fate(UDP, rights), Fate::TakeOut);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_walk_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), length in 0usize..64) {
            let _ = split(&bytes);
            let mut plausible = bytes.clone();
            if plausible.len() >= HEADER {
                plausible[..8].copy_from_slice(&length.to_ne_bytes());
                let _ = split(&plausible);
            }
        }
    }
}
