//! `sendto` with an address, `sendmsg`, `sendmmsg`: the message is copied, judged, and sent by the
//! broker on the child's own socket.
//!
//! No send is continued where a datagram socket could be meant: even for a connected one the kernel
//! reads the header again, and a sibling thread can have put an address into it, or another socket
//! at the number. Where nobody can do either — a process of one thread, whose descriptor table the
//! filter keeps its own — a stream's send is continued: the kernel looks at no address there.

use std::sync::Arc;

use super::address::{self, Kind, Peer};
use super::letter::{Finish, Letter, Step};
use super::message::{Header, PARTS_MAX, Remote};
use super::route::Addressed;
use super::socket::{Socket, copy_address, int};
use super::stream;
use crate::supervisor::{Call, Context, Outcome, Reply};

/// What `sendmmsg` sends at once; the rest is for the next call, as its contract has it.
const BATCH_BYTES: usize = 1 << 20;
/// `struct mmsghdr`, and where its length stands.
const BATCH_STRIDE: u64 = size_of::<libc::mmsghdr>() as u64;
const BATCH_LENGTH: u64 = size_of::<libc::msghdr>() as u64;

pub(super) fn sendto(context: &Context, call: &Call) -> Outcome {
    let [_, at, length, flags, address, address_length] = call.args;
    let read = || {
        let socket = Socket::new(Socket::take(context, call)?)?;
        let address = copy_address(call, address, address_length)?;
        let kind = socket.kind()?;
        // A pointer to no bytes is an address that is too short for UDP, and none for the others.
        let none = address.is_empty() && !matches!(kind, Kind::Udp(_));
        let peer = if none { None } else { address::decode_send(kind, &address)? };
        let header = Header { data: Remote::one(at, length), ..Header::default() };
        Letter::read(context, call, Addressed { socket: Arc::new(socket), peer, flags: int(flags) }, header)
    };
    match read() {
        Ok(letter) => letter.send(context, call, Finish::Length),
        Err(errno) => Outcome::errno(errno),
    }
}

pub(super) fn sendmsg(context: &Context, call: &Call) -> Outcome {
    let [_, at, flags, ..] = call.args;
    let read = || {
        let socket = Arc::new(Socket::new(Socket::take(context, call)?)?);
        if stream::may_continue(context, call, &socket)? {
            return Ok(Err(Outcome::Reply(Reply::ContinueUnderFloor)));
        }
        let header = Header::copy(call, at)?;
        let peer = decode(&socket, &header)?;
        Letter::read(context, call, Addressed { socket, peer, flags: int(flags) }, header).map(Ok)
    };
    match read() {
        Ok(Ok(letter)) => letter.send(context, call, Finish::Length),
        Ok(Err(continued)) => continued,
        Err(errno) => Outcome::errno(errno),
    }
}

/// Each message is judged by itself. Where one has to wait, what was sent before it is the answer.
pub(super) fn sendmmsg(context: &Context, call: &Call) -> Outcome {
    let [_, at, count, flags, ..] = call.args;
    let socket = match Socket::take(context, call).and_then(Socket::new) {
        Ok(socket) => Arc::new(socket),
        Err(errno) => return Outcome::errno(errno),
    };
    match stream::may_continue(context, call, &socket) {
        Ok(true) => return Outcome::Reply(Reply::ContinueUnderFloor),
        Ok(false) => {}
        Err(errno) => return Outcome::errno(errno),
    }
    let count = usize::try_from(count & 0xffff_ffff).unwrap_or(0).min(PARTS_MAX);
    let mut bytes = 0;
    for sent in 0..count {
        let this = at.wrapping_add(BATCH_STRIDE * sent as u64);
        let finish = Finish::Batch { length_at: this.wrapping_add(BATCH_LENGTH), before: sent };
        let letter = Header::copy(call, this).and_then(|header| {
            let peer = decode(&socket, &header)?;
            let addressed = Addressed { socket: Arc::clone(&socket), peer, flags: int(flags) };
            Letter::read(context, call, addressed, header)
        });
        let step = match letter {
            Ok(letter) if sent == 0 => letter.first(context, call, finish),
            Ok(letter) => letter.another(context, call),
            Err(errno) => Step::Failed(errno),
        };
        match step {
            Step::Sent { length } => {
                if let Err(errno) = finish.write(call, length) {
                    return stopped(sent, errno);
                }
                bytes += length;
                if bytes >= BATCH_BYTES {
                    return stopped(sent + 1, 0);
                }
            }
            Step::Failed(errno) => return stopped(sent, errno),
            Step::Waits(outcome) => return outcome,
        }
    }
    Outcome::Reply(Reply::Value(i64::try_from(count).unwrap_or(0)))
}

/// `sendmmsg` reports an error only where nothing was sent.
fn stopped(sent: usize, errno: i32) -> Outcome {
    match i64::try_from(sent) {
        Ok(sent) if sent > 0 => Outcome::Reply(Reply::Value(sent)),
        _ => Outcome::errno(errno),
    }
}

fn decode(socket: &Socket, header: &Header) -> Result<Option<Peer>, i32> {
    if header.address.is_empty() {
        // Without an address an unknown kind of socket has nothing that could be judged.
        return socket.kind().map(|_| None);
    }
    address::decode_send(socket.kind()?, &header.address)
}
