//! Where one message goes: its address judged, or what has to happen before it can be sent.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use super::address::{self, Kind, Peer, Version};
use super::destination::{self, Destination};
use super::own::Holder;
use super::socket::Socket;
use super::{closed, unix};
use crate::policy::{Access, Denial, Host, Permit, Question, Verdict};
use crate::supervisor::{Call, Context};

/// A socket, and the address that was put on one message.
pub(super) struct Addressed {
    pub(super) socket: Arc<Socket>,
    pub(super) peer: Option<Peer>,
    pub(super) flags: i32,
}

/// What the judgement of a message's address comes to.
pub(super) enum Route {
    To(Envelope),
    Ask(Box<Question>, After),
    Refused(Denial),
    /// The name was judged; its addresses are not known yet.
    Resolve(Permit, Named),
    Failed(i32),
}

/// What is still to be done once a question is answered.
pub(super) enum After {
    Send(Envelope),
    Resolve(Named),
}

/// The address that a message really goes to; empty: the socket's own far end.
#[derive(Default)]
pub(super) struct Envelope {
    pub(super) address: Vec<u8>,
    /// Keeps the inode that `address` names.
    _found: Option<unix::Found>,
}

/// A far end by name, and what is needed to reach it.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) version: Version,
    pub(super) peer: SocketAddr,
}

impl Envelope {
    pub(super) fn to(address: &SocketAddr) -> Self {
        Self::bytes(address::encode(address))
    }

    fn bytes(address: Vec<u8>) -> Self {
        Self { address, _found: None }
    }
}

impl Addressed {
    pub(super) fn route(&self, context: &Context, call: &Call) -> Route {
        let to = |address| Route::To(Envelope::bytes(address));
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
        let Ok(Kind::Udp(version)) = self.socket.kind() else {
            return Route::Failed(libc::EAFNOSUPPORT);
        };
        let holder = self.receiver_of(context, peer);
        if holder == Holder::Own {
            return Route::To(Envelope::to(&peer));
        }
        let host = match Destination::of(context, &peer) {
            Ok(Destination::Host(host)) => host,
            Ok(Destination::Stub) => {
                let Some(stub) = destination::stub_for(context, &self.socket, &peer) else {
                    return Route::Failed(libc::ENETUNREACH);
                };
                self.remember(context, stub, peer);
                return Route::To(Envelope::to(&stub));
            }
            Err(errno) => return Route::Failed(errno),
        };
        let verdict = context.judge(&Access::Connect { host: &host, port: peer.port() }, call);
        let named = |name| Named { name, version, peer };
        match (verdict, host) {
            (Verdict::Allow(_permit), Host::Address(_)) => Route::To(Envelope::to(&peer)),
            // Nobody is asked about a datagram that nobody would receive.
            (_, Host::Address(_)) if holder == Holder::Nobody => match closed::port(version, peer.ip()) {
                Some(closed) => Route::To(Envelope::to(&closed)),
                None => Route::Failed(libc::ECONNREFUSED),
            },
            (Verdict::Ask(question), Host::Address(_)) => Route::Ask(question, After::Send(Envelope::to(&peer))),
            (Verdict::Allow(permit), Host::Name(name)) => match self.known(context, peer) {
                Some(actual) => {
                    Route::To(Envelope::to(&address::fit(version, actual.ip(), actual.port()).unwrap_or(actual)))
                }
                None => Route::Resolve(permit, named(name)),
            },
            (Verdict::Ask(question), Host::Name(name)) => Route::Ask(question, After::Resolve(named(name))),
            (Verdict::Deny(denial), _) => Route::Refused(denial),
        }
    }

    /// Who would receive a datagram to `peer`? No list speaks of the run's own sockets.
    fn receiver_of(&self, context: &Context, peer: SocketAddr) -> Holder {
        let is_here = peer.ip().to_canonical().is_loopback();
        let Some(mut from) = self.socket.local().filter(|_| is_here) else { return Holder::Stranger };
        if from.ip().to_canonical().is_unspecified() {
            let is_v4 = peer.ip().to_canonical().is_ipv4();
            from.set_ip(if is_v4 { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
        }
        context.facts().sockets().receiver_of(from, peer)
    }

    /// Where this socket's datagrams to `peer` went before.
    fn known(&self, context: &Context, peer: SocketAddr) -> Option<SocketAddr> {
        context.facts().sockets().actual(self.socket.cookie()?, peer)
    }

    /// What comes back from `actual` is shown as from `peer`.
    pub(super) fn remember(&self, context: &Context, actual: SocketAddr, peer: SocketAddr) {
        if let Some(cookie) = self.socket.cookie() {
            context.facts().sockets().record_alias(cookie, actual, peer);
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
