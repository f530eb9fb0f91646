//! `sendto` with an address, `sendmsg`, `sendmmsg`: the message is copied, judged, and sent by the
//! broker on the child's own socket.
//!
//! No send is continued where a datagram socket could be meant: even for a connected one the kernel
//! reads the header again, and a sibling thread can have put an address into it, or another socket
//! at the number. Where nobody can do either — a process of one thread, whose descriptor table the
//! filter keeps its own — a stream's send is continued: the kernel looks at no address there.

use std::net::SocketAddr;
use std::sync::Arc;

use super::address::{self, Kind, Peer, Version};
use super::control::Control;
use super::destination::{self, Destination};
use super::message::{Header, PARTS_MAX, Remote};
use super::socket::{Socket, copy_address, errno, int};
use super::{receiver, stream, unix};
use crate::policy::{Access, Denial, Host, Permit, Question, Verdict};
use crate::supervisor::{Call, Context, Outcome, Reply};
use crate::sys::socket::{self, Outgoing};

/// The longest datagram of UDP.
const UDP_MAX: u64 = 0xffff;
/// The longest message between Unix sockets, whatever their buffers hold.
const MESSAGE_MAX: u64 = 4 << 20;
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
            Step::Sent { length, whole } => {
                if let Err(errno) = finish.write(call, length) {
                    return stopped(sent, errno);
                }
                bytes += length;
                if !whole || bytes >= BATCH_BYTES {
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

/// How a send is answered.
#[derive(Debug, Clone, Copy)]
pub(super) enum Finish {
    /// With the number of bytes.
    Length,
    /// With the number of messages, once this one's length stands in the child.
    Batch { length_at: u64, before: usize },
}

impl Finish {
    fn write(self, call: &Call, length: usize) -> Result<(), i32> {
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

/// A socket, and the address that was put on one message.
struct Addressed {
    socket: Arc<Socket>,
    peer: Option<Peer>,
    flags: i32,
}

/// One message, copied: nothing of it is read from the child again, but for a stream's bytes, which
/// nobody judges.
pub(super) struct Letter {
    pub(super) socket: Arc<Socket>,
    peer: Option<Peer>,
    pub(super) control: Control,
    body: Body,
    pub(super) flags: i32,
}

enum Body {
    Datagram(Vec<u8>),
    Stream(Remote),
}

/// What became of one message of several.
enum Step {
    Sent { length: usize, whole: bool },
    Failed(i32),
    Waits(Outcome),
}

/// What the judgement of a message's address comes to.
enum Route {
    To(Envelope),
    Ask(Box<Question>, After),
    Refused(Denial),
    /// The name was judged; its addresses are not known yet.
    Resolve(Permit, Named),
    Failed(i32),
}

/// What is still to be done once a question is answered.
enum After {
    Send(Envelope),
    Resolve(Named),
}

/// The address that a message really goes to; empty: the socket's own far end.
#[derive(Default)]
struct Envelope {
    address: Vec<u8>,
    /// Keeps the inode that `address` names.
    _found: Option<unix::Found>,
}

#[derive(Debug, Clone)]
struct Named {
    name: String,
    version: Version,
    peer: SocketAddr,
}

impl Letter {
    fn read(context: &Context, call: &Call, addressed: Addressed, header: Header) -> Result<Self, i32> {
        let Addressed { socket, peer, flags } = addressed;
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
            if length > longest(&socket, kind) {
                return Err(libc::EMSGSIZE);
            }
            Body::Datagram(data.take(context, call, usize::try_from(length).map_err(|_| libc::EMSGSIZE)?)?)
        };
        if context.still_waiting(call) { Ok(Self { socket, peer, control, body, flags }) } else { Err(libc::EINTR) }
    }

    /// Judges and sends; what has to wait for an answer, a name or room does so apart.
    fn send(self, context: &Context, call: &Call, finish: Finish) -> Outcome {
        match self.first(context, call, finish) {
            Step::Sent { length, .. } => finish.reply(call, length),
            Step::Failed(errno) => Outcome::errno(errno),
            Step::Waits(outcome) => outcome,
        }
    }

    /// The first message of a call may make the call wait.
    fn first(self, context: &Context, call: &Call, finish: Finish) -> Step {
        let route = self.route(context, call);
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
    fn another(self, context: &Context, call: &Call) -> Step {
        match (self.route(context, call), &self.body) {
            (Route::To(envelope), Body::Datagram(data)) => match self.attempt(&envelope, data, libc::MSG_DONTWAIT) {
                Ok(length) => self.sent(context, length),
                Err(errno) => Step::Failed(errno),
            },
            _ => Step::Failed(libc::EAGAIN),
        }
    }

    fn route(&self, context: &Context, call: &Call) -> Route {
        let to = |address| Route::To(Envelope { address, _found: None });
        match &self.peer {
            None => to(Vec::new()),
            // The kernel says that a stream takes no address: EISCONN, or EOPNOTSUPP.
            Some(Peer::Nobody) => to(address::nowhere()),
            Some(Peer::Kernel) => to(address::kernel()),
            Some(Peer::Inet(peer)) => self.route_inet(context, call, *peer),
            Some(Peer::Unix(name)) => match unix::Found::new(context, call, name) {
                Ok(found) => route_unix(context, call, found),
                Err(errno) => Route::Failed(errno),
            },
        }
    }

    fn route_inet(&self, context: &Context, call: &Call, peer: SocketAddr) -> Route {
        let Ok(Kind::Udp(version)) = self.socket.kind() else { return Route::Failed(libc::EAFNOSUPPORT) };
        let envelope = |to: &SocketAddr| Envelope { address: address::encode(to), _found: None };
        let host = match Destination::of(context, &peer) {
            Ok(Destination::Host(host)) => host,
            Ok(Destination::Stub) => {
                let Some(stub) = destination::stub_for(context, &self.socket, &peer) else {
                    return Route::Failed(libc::ENETUNREACH);
                };
                self.remember(context, stub, peer);
                return Route::To(envelope(&stub));
            }
            Err(errno) => return Route::Failed(errno),
        };
        let verdict = context.judge(&Access::Connect { host: &host, port: peer.port() }, call);
        let named = |name| Named { name, version, peer };
        match (verdict, host) {
            (Verdict::Allow(_permit), Host::Address(_)) => Route::To(envelope(&peer)),
            (Verdict::Ask(question), Host::Address(_)) => Route::Ask(question, After::Send(envelope(&peer))),
            (Verdict::Allow(permit), Host::Name(name)) => match self.known(context, peer) {
                Some(actual) => Route::To(envelope(&address::fit(version, actual.ip(), actual.port()).unwrap_or(actual))),
                None => Route::Resolve(permit, named(name)),
            },
            (Verdict::Ask(question), Host::Name(name)) => Route::Ask(question, After::Resolve(named(name))),
            (Verdict::Deny(denial), _) => Route::Refused(denial),
        }
    }

    /// Where this socket's datagrams to `peer` went before.
    fn known(&self, context: &Context, peer: SocketAddr) -> Option<SocketAddr> {
        context.facts().sockets().actual(self.socket.cookie()?, peer)
    }

    /// What comes back from `actual` is shown as from `peer`.
    fn remember(&self, context: &Context, actual: SocketAddr, peer: SocketAddr) {
        if let Some(cookie) = self.socket.cookie() {
            context.facts().sockets().record_alias(cookie, actual, peer);
        }
    }

    /// Looks the judged name up and sends to the first of its addresses that fits.
    fn resolve(self, permit: Permit, named: Named, finish: Finish) -> Outcome {
        Outcome::Apart(Box::new(move |context, call| {
            let port = named.peer.port();
            let admitted = destination::resolve(context, call, &permit, &named.name, port);
            destination::admit(context, call, admitted, move |context, call, addresses| {
                let fitting = destination::fitting(&self.socket, named.version, &addresses, port);
                let Some(actual) = fitting.first() else { return Outcome::errno(libc::EHOSTUNREACH) };
                self.remember(context, *actual, named.peer);
                let envelope = Envelope { address: address::encode(actual), _found: None };
                self.post(context, call, envelope, finish).outcome(call, finish)
            })
        }))
    }

    /// Sends without blocking; where the child's socket would block, goes on apart.
    fn post(self, context: &Context, call: &Call, envelope: Envelope, finish: Finish) -> Step {
        let data = match &self.body {
            Body::Datagram(data) => data,
            Body::Stream(remote) => {
                let remote = remote.clone();
                return Step::Waits(stream::send(context, call, self, stream::Rest::new(remote, envelope.address), finish));
            }
        };
        match self.attempt(&envelope, data, libc::MSG_DONTWAIT) {
            Ok(length) => self.sent(context, length),
            Err(libc::EAGAIN) if self.may_block() => Step::Waits(Outcome::Apart(Box::new(move |context, call| {
                let Body::Datagram(data) = &self.body else { return Outcome::errno(libc::EIO) };
                match self.attempt(&envelope, data, 0) {
                    Ok(length) => self.sent(context, length).outcome(call, finish),
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
            flags: self.flags | extra | libc::MSG_NOSIGNAL,
        };
        socket::send(self.socket.fd(), &message).map_err(errno)
    }

    pub(super) fn may_block(&self) -> bool {
        self.flags & libc::MSG_DONTWAIT == 0 && self.socket.blocks()
    }

    /// Sending gave the socket a port, where others of the run may answer it.
    fn sent(&self, context: &Context, length: usize) -> Step {
        if matches!(&self.peer, Some(Peer::Inet(peer)) if peer.ip().to_canonical().is_loopback()) {
            receiver::record(context, &self.socket);
        }
        Step::Sent { length, whole: true }
    }

    /// An error, and the signal that goes with it.
    pub(super) fn failed(&self, context: &Context, call: &Call, errno: i32) -> Outcome {
        let is_stream = matches!(self.socket.kind(), Ok(Kind::Tcp(_) | Kind::UnixStream | Kind::UnixSequenced));
        if errno == libc::EPIPE
            && is_stream
            && self.flags & libc::MSG_NOSIGNAL == 0
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
            Self::Sent { length, .. } => finish.reply(call, length),
            Self::Failed(errno) => Outcome::errno(errno),
            Self::Waits(outcome) => outcome,
        }
    }
}

fn route_unix(context: &Context, call: &Call, found: unix::Found) -> Route {
    let name = found.name.clone();
    let verdict = context.judge(&Access::Unix(&name), call);
    if matches!(verdict, Verdict::Allow(_)) && found.was_mistaken(context) {
        return Route::Failed(libc::EACCES);
    }
    let envelope = match found.address() {
        Ok(address) => Envelope { address, _found: Some(found) },
        Err(errno) => return Route::Failed(errno),
    };
    match verdict {
        Verdict::Allow(_permit) => Route::To(envelope),
        Verdict::Ask(question) => Route::Ask(question, After::Send(envelope)),
        Verdict::Deny(denial) => Route::Refused(denial),
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
