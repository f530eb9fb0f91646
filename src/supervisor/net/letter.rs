//! One message on its way: copied, judged, sent without blocking, or apart where it has to wait.

use super::address::{self, Kind, Peer};
use super::control::Control;
use super::destination;
use super::message::{Header, Remote};
use super::route::{Addressed, After, Envelope, Named, Route};
use super::socket::{Socket, errno};
use super::{receiver, stream};
use crate::policy::Permit;
use crate::supervisor::{Call, Context, Outcome, Reply};
use crate::sys::socket::{self, Outgoing};

/// The longest datagram of UDP.
const UDP_MAX: u64 = 0xffff;
/// The longest message between Unix sockets, whatever their buffers hold.
const MESSAGE_MAX: u64 = 4 << 20;

/// How a send is answered.
#[derive(Debug, Clone, Copy)]
pub(super) enum Finish {
    /// With the number of bytes.
    Length,
    /// With the number of messages, once this one's length stands in the child.
    Batch { length_at: u64, before: usize },
}

impl Finish {
    pub(super) fn write(self, call: &Call, length: usize) -> Result<(), i32> {
        match self {
            Self::Length => Ok(()),
            Self::Batch { length_at, .. } => {
                let length = u32::try_from(length).unwrap_or(u32::MAX);
                call.write_bytes(length_at, &length.to_ne_bytes())
            }
        }
    }

    pub(super) fn reply(self, call: &Call, length: usize) -> Outcome {
        let value = match self {
            Self::Length => length,
            Self::Batch { before, .. } => before + 1,
        };
        match self.write(call, length) {
            Ok(()) => Outcome::Reply(Reply::Value(i64::try_from(value).unwrap_or(i64::MAX))),
            Err(errno) => Outcome::errno(errno),
        }
    }
}

/// One message, copied: nothing of it is read from the child again, but for a stream's bytes, which
/// nobody judges.
pub(super) struct Letter {
    pub(super) to: Addressed,
    pub(super) control: Control,
    body: Body,
}

enum Body {
    Datagram(Vec<u8>),
    Stream(Remote),
}

/// What became of one message of several.
pub(super) enum Step {
    Sent { length: usize },
    Failed(i32),
    Waits(Outcome),
}

impl Letter {
    pub(super) fn read(context: &Context, call: &Call, to: Addressed, header: Header) -> Result<Self, i32> {
        let (socket, flags) = (&to.socket, to.flags);
        let kind = socket.kind()?;
        if flags & libc::MSG_FASTOPEN != 0 {
            return Err(libc::EOPNOTSUPP);
        }
        if flags & libc::MSG_ZEROCOPY != 0 && socket.wants_no_copies() {
            // Its pages would be ours; programs copy when the kernel has no room for the books.
            return Err(libc::ENOBUFS);
        }
        let control = Control::carry(&*context.caller(call)?, kind, &header.control)?;
        let mut data = header.data;
        let body = if matches!(kind, Kind::Tcp(_) | Kind::UnixStream) {
            Body::Stream(data)
        } else {
            let length = data.length();
            if length > longest(socket, kind) {
                return Err(libc::EMSGSIZE);
            }
            Body::Datagram(data.take(context, call, usize::try_from(length).map_err(|_| libc::EMSGSIZE)?)?)
        };
        if context.still_waiting(call) { Ok(Self { to, control, body }) } else { Err(libc::EINTR) }
    }

    /// Judges and sends; what has to wait for an answer, a name or room does so apart.
    pub(super) fn send(self, context: &Context, call: &Call, finish: Finish) -> Outcome {
        match self.first(context, call, finish) {
            Step::Sent { length } => finish.reply(call, length),
            Step::Failed(errno) => Outcome::errno(errno),
            Step::Waits(outcome) => outcome,
        }
    }

    /// The first message of a call may make the call wait.
    pub(super) fn first(self, context: &Context, call: &Call, finish: Finish) -> Step {
        let route = self.to.route(context, call);
        match route {
            Route::To(envelope) => self.post(context, call, envelope, finish),
            Route::Failed(errno) => Step::Failed(errno),
            Route::Refused(denial) => Step::Waits(context.refuse(call, &denial)),
            Route::Resolve(permit, named) => Step::Waits(self.resolve(permit, named, finish)),
            Route::Ask(question, after) => Step::Waits(Outcome::Ask {
                question,
                refusal: libc::EACCES,
                act: Box::new(move |permit, context, call| match after {
                    After::Send(envelope) => self.post(context, call, envelope, finish).outcome(call, finish),
                    After::Resolve(named) => self.resolve(permit, named, finish),
                }),
            }),
        }
    }

    /// A further message is sent where nothing has to be waited for. Otherwise the call ends before
    /// it, and the program comes back with it as its first.
    pub(super) fn another(self, context: &Context, call: &Call) -> Step {
        match (self.to.route(context, call), &self.body) {
            (Route::To(envelope), Body::Datagram(data)) => {
                self.announce(context);
                match self.attempt(&envelope, data, libc::MSG_DONTWAIT) {
                    Ok(length) => Step::Sent { length },
                    Err(errno) => Step::Failed(errno),
                }
            }
            _ => Step::Failed(libc::EAGAIN),
        }
    }

    /// Looks the judged name up and sends to the first of its addresses that fits.
    fn resolve(self, permit: Permit, named: Named, finish: Finish) -> Outcome {
        Outcome::Apart(Box::new(move |context, call| {
            let port = named.peer.port();
            let admitted = destination::resolve(context, call, &permit, &named.name, port);
            destination::admit(context, call, admitted, move |context, call, addresses| {
                let fitting = destination::fitting(&self.to.socket, named.version, &addresses, port);
                let Some(actual) = fitting.first() else {
                    return Outcome::errno(libc::EHOSTUNREACH);
                };
                self.to.remember(context, *actual, named.peer);
                self.post(context, call, Envelope::to(actual), finish).outcome(call, finish)
            })
        }))
    }

    /// Sends without blocking; where the child's socket would block, goes on apart.
    fn post(self, context: &Context, call: &Call, envelope: Envelope, finish: Finish) -> Step {
        self.announce(context);
        let data = match &self.body {
            Body::Datagram(data) => data,
            Body::Stream(remote) => {
                let remote = remote.clone();
                return Step::Waits(stream::send(
                    context,
                    call,
                    self,
                    stream::Rest::new(remote, envelope.address),
                    finish,
                ));
            }
        };
        match self.attempt(&envelope, data, libc::MSG_DONTWAIT) {
            Ok(length) => Step::Sent { length },
            Err(libc::EAGAIN) if self.may_block() => Step::Waits(Outcome::Apart(Box::new(move |context, call| {
                let Body::Datagram(data) = &self.body else {
                    return Outcome::errno(libc::EIO);
                };
                match self.attempt(&envelope, data, 0) {
                    Ok(length) => finish.reply(call, length),
                    Err(errno) => self.failed(context, call, errno),
                }
            }))),
            Err(errno) => Step::Waits(self.failed(context, call, errno)),
        }
    }

    fn attempt(&self, envelope: &Envelope, data: &[u8], extra: i32) -> Result<usize, i32> {
        let message = Outgoing {
            address: &envelope.address,
            data,
            control: &self.control.bytes,
            flags: self.to.flags | extra | libc::MSG_NOSIGNAL,
        };
        socket::send(self.to.socket.fd(), &message).map_err(errno)
    }

    pub(super) fn may_block(&self) -> bool {
        self.to.flags & libc::MSG_DONTWAIT == 0 && self.to.socket.blocks()
    }

    /// Sending gives a datagram socket a port, where others of the run may answer at once: so it
    /// gets its port before, as the kernel would give it, and is known by it.
    fn announce(&self, context: &Context) {
        let Some(Peer::Inet(peer)) = &self.to.peer else {
            return;
        };
        let Ok(Kind::Udp(version)) = self.to.socket.kind() else {
            return;
        };
        if !peer.ip().to_canonical().is_loopback() {
            return;
        }
        let is_bound = self.to.socket.local().is_some_and(|local| local.port() != 0);
        if !is_bound {
            // Where this fails, sending fails with the same error.
            let _ = socket::bind(self.to.socket.fd(), &address::encode(&address::wildcard(version)));
        }
        receiver::record(context, &self.to.socket);
    }

    /// An error, and the signal that goes with it.
    pub(super) fn failed(&self, context: &Context, call: &Call, errno: i32) -> Outcome {
        let is_stream = matches!(self.to.socket.kind(), Ok(Kind::Tcp(_) | Kind::UnixStream));
        if errno == libc::EPIPE
            && is_stream
            && self.to.flags & libc::MSG_NOSIGNAL == 0
            && let Ok(caller) = context.caller(call)
            && context.still_waiting(call)
        {
            caller.raise(libc::SIGPIPE);
        }
        Outcome::errno(errno)
    }
}

impl Step {
    fn outcome(self, call: &Call, finish: Finish) -> Outcome {
        match self {
            Self::Sent { length } => finish.reply(call, length),
            Self::Failed(errno) => Outcome::errno(errno),
            Self::Waits(outcome) => outcome,
        }
    }
}

/// The longest message that the kernel would take, so that no more is copied.
fn longest(socket: &Socket, kind: Kind) -> u64 {
    match kind {
        Kind::Udp(_) => UDP_MAX,
        _ => {
            let buffer = socket::option(socket.fd(), libc::SOL_SOCKET, libc::SO_SNDBUF).unwrap_or(0);
            u64::try_from(buffer).unwrap_or(0).min(MESSAGE_MAX)
        }
    }
}
