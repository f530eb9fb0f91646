//! The child's own socket, held by a descriptor of ours from judgement to action.
//!
//! The number in the call's register may name another file a moment later (`dup2`); the duplicate
//! does not. Sockets of a kind that this release does not know are refused, never guessed at.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::address::{self, Kind, Version};
use crate::supervisor::{Call, Context};
use crate::sys::socket;

/// `TCP_CLOSE` of `linux/tcp.h`: not connected, not connecting, not listening.
const TCP_CLOSED: u8 = 7;
/// `TCP_LISTEN`.
const TCP_LISTENING: u8 = 10;

/// A duplicate of one of the child's sockets.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    /// `None`: a kind that nothing is done with.
    kind: Option<Kind>,
}

/// How far a TCP socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Fresh,
    Listening,
    /// Connecting, connected or closing.
    Associated,
}

impl Socket {
    /// Duplicates the socket that the first register names. `EBADF`, as the kernel would say.
    pub(super) fn take(context: &Context, call: &Call) -> Result<OwnedFd, i32> {
        context.take_fd(call, int(call.args[0]))
    }

    /// Learns what the duplicated file is. `ENOTSOCK`, as the kernel would say.
    pub(super) fn new(fd: OwnedFd) -> Result<Self, i32> {
        let option = |name| socket::option(fd.as_fd(), libc::SOL_SOCKET, name).map_err(errno);
        let domain = option(libc::SO_DOMAIN)?;
        let kind = kind_of(domain, option(libc::SO_TYPE)?, option(libc::SO_PROTOCOL)?);
        Ok(Self { fd, kind })
    }

    pub(super) fn kind(&self) -> Result<Kind, i32> {
        self.kind.ok_or(libc::EACCES)
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Does the socket block? Asked when it matters: the flag is the child's to change.
    pub(super) fn blocks(&self) -> bool {
        rustix::fs::fcntl_getfl(&self.fd).is_ok_and(|flags| !flags.contains(rustix::fs::OFlags::NONBLOCK))
    }

    pub(super) fn stage(&self) -> Stage {
        match socket::tcp_state(self.fd()) {
            Ok(TCP_CLOSED) => Stage::Fresh,
            Ok(TCP_LISTENING) => Stage::Listening,
            _ => Stage::Associated,
        }
    }

    pub(super) fn cookie(&self) -> Option<u64> {
        socket::cookie(self.fd()).ok()
    }

    /// Can the socket reach IPv4 by mapped addresses?
    pub(super) fn maps_v4(&self) -> bool {
        matches!(socket::option(self.fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY), Ok(0))
    }

    /// Does the child want its pages sent, and be told when they are free again?
    pub(super) fn wants_no_copies(&self) -> bool {
        socket::option(self.fd(), libc::SOL_SOCKET, libc::SO_ZEROCOPY).is_ok_and(|set| set != 0)
    }

    /// Where an internet socket is bound.
    pub(super) fn local(&self) -> Option<std::net::SocketAddr> {
        address::decode_local(&socket::local_address(self.fd()).ok()?)
    }
}

/// An `int` argument: the kernel ignores the register's high half.
pub(super) fn int(register: u64) -> i32 {
    #[allow(clippy::cast_possible_truncation, reason = "the kernel truncates it the same way")]
    let low = register as u32;
    low.cast_signed()
}

/// The errno of a system call of ours.
pub(super) fn errno(error: std::io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

fn kind_of(domain: i32, kind: i32, protocol: i32) -> Option<Kind> {
    let version = match domain {
        libc::AF_INET => Version::V4,
        libc::AF_INET6 => Version::V6,
        libc::AF_UNIX => {
            return match kind {
                libc::SOCK_STREAM => Some(Kind::UnixStream),
                libc::SOCK_DGRAM => Some(Kind::UnixDatagram),
                libc::SOCK_SEQPACKET => Some(Kind::UnixSequenced),
                _ => None,
            };
        }
        libc::AF_NETLINK if protocol == libc::NETLINK_ROUTE => return Some(Kind::Route),
        _ => return None,
    };
    match (kind, protocol) {
        (libc::SOCK_STREAM, libc::IPPROTO_TCP) => Some(Kind::Tcp(version)),
        (libc::SOCK_DGRAM, libc::IPPROTO_UDP) => Some(Kind::Udp(version)),
        _ => None,
    }
}

/// Copies a socket address as the kernel's `move_addr_to_kernel` would.
pub(super) fn copy_address(call: &Call, at: u64, length: u64) -> Result<Vec<u8>, i32> {
    let length = usize::try_from(int(length)).map_err(|_| libc::EINVAL)?;
    if length > socket::ADDRESS_MAX {
        return Err(libc::EINVAL);
    }
    call.read_bytes(at, length)
}
