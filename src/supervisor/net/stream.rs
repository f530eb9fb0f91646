//! Messages on stream sockets: no address to judge, any amount of data.
//!
//! The bytes are copied in pieces and sent in the child's stead, so a full buffer stops this call
//! alone. Where it is certain that the kernel will look at the same socket, it does it all itself.

use std::os::unix::fs::MetadataExt;

use super::address::Kind;
use super::letter::{Finish, Letter};
use super::message::Remote;
use super::socket::{Socket, errno};
use crate::supervisor::{Call, Context, Outcome};
use crate::sys::socket::{self, Outgoing};

/// What is copied at once.
const PIECE: usize = 256 << 10;

/// May the kernel carry the send out? On a stream, or to the kernel's own end of a netlink socket,
/// it looks at no address. That the number still names that socket is certain where the caller is
/// its process's only thread: nobody else can change a descriptor table that the filter lets
/// nobody but threads share, and a thread that waits here starts no other.
pub(super) fn may_continue(context: &Context, call: &Call, socket: &Socket) -> Result<bool, i32> {
    let harmless = matches!(socket.kind()?, Kind::Tcp(_) | Kind::UnixStream | Kind::UnixSequenced | Kind::Route);
    Ok(harmless && context.caller(call)?.tgid == call.tid && is_alone(call.tid) && context.still_waiting(call))
}

/// Has the process one thread? Its task directory has a link for each, and two of its own.
fn is_alone(process: i32) -> bool {
    std::fs::metadata(format!("/proc/{process}/task")).is_ok_and(|tasks| tasks.nlink() == 3)
}

/// What of a message is not sent yet.
pub(super) struct Rest {
    data: Remote,
    /// Only to be told by the kernel that there is no use for it.
    address: Vec<u8>,
    piece: Vec<u8>,
    sent: usize,
}

impl Rest {
    pub(super) fn new(data: Remote, address: Vec<u8>) -> Self {
        Self { data, address, piece: Vec::new(), sent: 0 }
    }
}

/// How long a send may take.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// One piece, and no waiting.
    AtOnce,
    /// Until all is sent, as the child's socket would.
    Blocking,
}

/// Sends a message on a stream: the first piece at once, the rest apart.
pub(super) fn send(context: &Context, call: &Call, letter: Letter, mut rest: Rest, finish: Finish) -> Outcome {
    match go_on(context, call, &letter, &mut rest, Pace::AtOnce) {
        Progress::Done => finish.reply(call, rest.sent),
        Progress::Failed(errno) => letter.failed(context, call, errno),
        Progress::Unfinished => Outcome::Apart(Box::new(move |context, call| {
            match go_on(context, call, &letter, &mut rest, Pace::Blocking) {
                Progress::Done | Progress::Unfinished => finish.reply(call, rest.sent),
                Progress::Failed(errno) => letter.failed(context, call, errno),
            }
        })),
    }
}

enum Progress {
    Done,
    /// There is more, and the child would wait for it.
    Unfinished,
    /// Nothing was sent at all.
    Failed(i32),
}

fn go_on(context: &Context, call: &Call, letter: &Letter, rest: &mut Rest, pace: Pace) -> Progress {
    let waits = letter.may_block();
    loop {
        if rest.piece.is_empty() {
            match rest.data.take(context, call, PIECE) {
                Ok(piece) => rest.piece = piece,
                Err(errno) if rest.sent == 0 => return Progress::Failed(errno),
                Err(_) => return Progress::Done,
            }
        }
        let last = rest.data.length() == 0;
        let dont_wait = if pace == Pace::Blocking && waits { 0 } else { libc::MSG_DONTWAIT };
        // What speaks of the message's end waits for its last piece.
        let flags =
            if last { letter.to.flags } else { letter.to.flags & !(libc::MSG_OOB | libc::MSG_EOR) | libc::MSG_MORE };
        let message = Outgoing {
            address: &rest.address,
            data: &rest.piece,
            // Descriptors go with the first byte.
            control: if rest.sent == 0 { &letter.control.bytes } else { &[] },
            flags: flags | dont_wait | libc::MSG_NOSIGNAL,
        };
        match socket::send(letter.to.socket.fd(), &message).map_err(errno) {
            Ok(length) => {
                rest.sent += length;
                rest.piece.drain(..length.min(rest.piece.len()));
                let all = rest.piece.is_empty() && last;
                let cut_short = !rest.piece.is_empty();
                if all || (!waits && cut_short) || (cut_short && pace == Pace::Blocking) {
                    return Progress::Done;
                }
                if pace == Pace::AtOnce {
                    return Progress::Unfinished;
                }
            }
            Err(libc::EAGAIN) if waits && pace == Pace::AtOnce => return Progress::Unfinished,
            Err(errno) if rest.sent == 0 => return Progress::Failed(errno),
            Err(_) => return Progress::Done,
        }
    }
}
