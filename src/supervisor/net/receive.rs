//! `recvfrom`, `recvmsg`, `recvmmsg` on datagram sockets whose peers are not where the child
//! believes: a name server whose questions went to the stub, a name behind a stand-in address.
//!
//! Trapped only where the stub could not have port 53. Receiving crosses no edge, so every other
//! socket's call is carried out by the kernel; here the sender's address is put right.

use std::net::SocketAddr;

use super::address::{self, Kind, Version};
use super::message::{PARTS_MAX, Remote};
use super::socket::{Socket, errno, int};
use crate::supervisor::{Call, Context, Outcome, Reply};
use crate::sys::socket::{self, Incoming};

/// The longest datagram.
const DATAGRAM_MAX: u64 = 0x1_0000;
/// More control bytes than any datagram brings.
const CONTROL_MAX: usize = 64 << 10;
/// Where a message's length stands in `struct mmsghdr`.
const BATCH_LENGTH: u64 = size_of::<libc::msghdr>() as u64;
/// Where the fields that the kernel fills stand in `struct msghdr`.
const NAME_LENGTH_AT: u64 = std::mem::offset_of!(libc::msghdr, msg_namelen) as u64;
const CONTROL_LENGTH_AT: u64 = std::mem::offset_of!(libc::msghdr, msg_controllen) as u64;
const FLAGS_AT: u64 = std::mem::offset_of!(libc::msghdr, msg_flags) as u64;

pub(super) fn recvfrom(context: &Context, call: &Call) -> Outcome {
    let [_, at, length, flags, address, address_length] = call.args;
    receive(context, call, int(flags), move |call| {
        let room = if address == 0 { 0 } else { call.read_value::<i32>(address_length)? };
        Ok(Wanted {
            data: Remote::one(at, length),
            address,
            address_room: usize::try_from(room).map_err(|_| libc::EINVAL)?,
            control: 0,
            control_room: 0,
            filled: Filled::Arguments { address_length },
        })
    })
}

pub(super) fn recvmsg(context: &Context, call: &Call) -> Outcome {
    let [_, at, flags, ..] = call.args;
    receive(context, call, int(flags), move |call| Wanted::from_header(call, at, Filled::Header { at }))
}

/// One datagram a call: its contract lets fewer than asked for come back.
pub(super) fn recvmmsg(context: &Context, call: &Call) -> Outcome {
    let [_, at, count, flags, ..] = call.args;
    if count & 0xffff_ffff == 0 {
        return Outcome::Reply(Reply::ContinueUnderFloor);
    }
    receive(context, call, int(flags), move |call| Wanted::from_header(call, at, Filled::Batch { at }))
}

/// Where a received datagram goes in the child.
struct Wanted {
    data: Remote,
    address: u64,
    address_room: usize,
    control: u64,
    control_room: usize,
    filled: Filled,
}

/// What else is written, and what the call returns.
#[derive(Clone, Copy)]
enum Filled {
    Arguments { address_length: u64 },
    Header { at: u64 },
    Batch { at: u64 },
}

fn receive(context: &Context, call: &Call, flags: i32, read: impl FnOnce(&Call) -> Result<Wanted, i32>) -> Outcome {
    let not_ours = || Outcome::Reply(Reply::ContinueUnderFloor);
    let sockets = context.facts().sockets();
    if !sockets.have_aliases() {
        return not_ours();
    }
    let Ok(socket) = Socket::take(context, call).and_then(Socket::new) else {
        return not_ours();
    };
    let Ok(Kind::Udp(version)) = socket.kind() else {
        return not_ours();
    };
    let Some(cookie) = socket.cookie().filter(|cookie| sockets.has_aliases(*cookie)) else {
        return not_ours();
    };
    let wanted = match read(call) {
        Ok(wanted) if context.still_waiting(call) => wanted,
        Ok(_) => return Outcome::errno(libc::EINTR),
        Err(errno) => return Outcome::errno(errno),
    };
    let reception = Reception { socket, version, cookie, wanted };
    match reception.attempt(flags | libc::MSG_DONTWAIT) {
        Ok(datagram) => reception.deliver(context, call, datagram),
        Err(libc::EAGAIN) if flags & libc::MSG_DONTWAIT == 0 && reception.socket.blocks() => {
            Outcome::Apart(Box::new(move |context, call| match reception.attempt(flags) {
                Ok(datagram) => reception.deliver(context, call, datagram),
                Err(errno) => Outcome::errno(errno),
            }))
        }
        Err(errno) => Outcome::errno(errno),
    }
}

struct Reception {
    socket: Socket,
    version: Version,
    cookie: u64,
    wanted: Wanted,
}

/// What came, and its bytes as far as there is room.
struct Datagram {
    incoming: Incoming,
    data: Vec<u8>,
}

impl Reception {
    fn attempt(&self, flags: i32) -> Result<Datagram, i32> {
        let room = usize::try_from(self.wanted.data.length().min(DATAGRAM_MAX)).unwrap_or(0);
        let mut data = vec![0; room];
        let incoming = socket::receive(self.socket.fd(), &mut data, self.wanted.control_room, flags).map_err(errno)?;
        data.truncate(incoming.length);
        Ok(Datagram { incoming, data })
    }

    /// Writes what came into the child, in the kernel's order.
    fn deliver(&self, context: &Context, call: &Call, datagram: Datagram) -> Outcome {
        if !context.still_waiting(call) {
            return Outcome::errno(libc::EINTR);
        }
        match self.write(context, call, &datagram) {
            Ok(value) => Outcome::Reply(Reply::Value(value)),
            Err(errno) => Outcome::errno(errno),
        }
    }

    fn write(&self, context: &Context, call: &Call, datagram: &Datagram) -> Result<i64, i32> {
        let Datagram { incoming, data } = datagram;
        let mut rest = &data[..];
        for (start, length) in self.wanted.data.parts() {
            let (now, later) = rest.split_at(rest.len().min(usize::try_from(*length).unwrap_or(usize::MAX)));
            call.write_bytes(*start, now)?;
            rest = later;
        }
        let address = self.presented(context, &incoming.address);
        if self.wanted.address != 0 {
            call.write_bytes(self.wanted.address, &address[..address.len().min(self.wanted.address_room)])?;
        }
        let length = u32::try_from(address.len()).unwrap_or(0).to_ne_bytes();
        let received = i64::try_from(incoming.length).unwrap_or(0);
        match self.wanted.filled {
            Filled::Arguments { address_length } => {
                if self.wanted.address != 0 {
                    call.write_bytes(address_length, &length)?;
                }
                Ok(received)
            }
            Filled::Header { at } => self.write_header(call, at, incoming, length).map(|()| received),
            Filled::Batch { at } => {
                self.write_header(call, at, incoming, length)?;
                let received = u32::try_from(incoming.length).unwrap_or(0);
                call.write_bytes(at.wrapping_add(BATCH_LENGTH), &received.to_ne_bytes())?;
                Ok(1)
            }
        }
    }

    fn write_header(&self, call: &Call, at: u64, incoming: &Incoming, length: [u8; 4]) -> Result<(), i32> {
        if self.wanted.address != 0 {
            call.write_bytes(at.wrapping_add(NAME_LENGTH_AT), &length)?;
        }
        call.write_bytes(self.wanted.control, &incoming.control)?;
        call.write_bytes(at.wrapping_add(CONTROL_LENGTH_AT), &incoming.control.len().to_ne_bytes())?;
        call.write_bytes(at.wrapping_add(FLAGS_AT), &incoming.flags.to_ne_bytes())
    }

    /// The sender's address as the child knows it.
    fn presented(&self, context: &Context, sender: &[u8]) -> Vec<u8> {
        let known = address::decode_local(sender).and_then(|sender| self.known_as(context, sender));
        known.map_or_else(|| sender.to_vec(), |known| address::encode(&known))
    }

    fn known_as(&self, context: &Context, sender: SocketAddr) -> Option<SocketAddr> {
        let peer = context.facts().sockets().presented(self.cookie, sender)?;
        address::fit(self.version, peer.ip(), peer.port())
    }
}

impl Wanted {
    fn from_header(call: &Call, at: u64, filled: Filled) -> Result<Self, i32> {
        let header: libc::msghdr = call.read_value(at)?;
        #[allow(clippy::unnecessary_cast, reason = "the fields' types differ between C libraries")]
        let (parts, control_room) = (header.msg_iovlen as usize, header.msg_controllen as usize);
        if parts > PARTS_MAX {
            return Err(libc::EMSGSIZE);
        }
        Ok(Self {
            data: Remote::copy(call, header.msg_iov as u64, parts)?,
            address: header.msg_name as u64,
            address_room: usize::try_from(int(u64::from(header.msg_namelen))).map_err(|_| libc::EINVAL)?,
            control: header.msg_control as u64,
            control_room: control_room.min(CONTROL_MAX),
            filled,
        })
    }
}
