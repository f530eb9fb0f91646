//! Where the far end that a program named really is: an address, a name behind a stand-in, or the
//! name service.
//!
//! Owns the way from a judged name to addresses that may be reached, and the second question for
//! those that are not public. It connects nothing.

use std::net::{IpAddr, SocketAddr};

use super::address::{self, Version};
use super::socket::Socket;
use crate::dns::{self, ResolveError};
use crate::policy::{Access, Host, Permit, Verdict, addresses};
use crate::supervisor::{Call, Context, Outcome};

/// Name service.
const DOMAIN: u16 = 53;

/// What a named address stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Destination {
    /// To be judged as host and port.
    Host(Host),
    /// A resolver's question, which askance's own stub answers.
    Stub,
}

impl Destination {
    /// What `peer` stands for. `EHOSTUNREACH`: a stand-in address that was never given out.
    pub(super) fn of(context: &Context, peer: &SocketAddr) -> Result<Self, i32> {
        let address = peer.ip().to_canonical();
        let host = if dns::is_stand_in(address) {
            Host::Name(context.dns().name_of(address).ok_or(libc::EHOSTUNREACH)?)
        } else {
            Host::Address(address)
        };
        if peer.port() == DOMAIN && !is_own_choice(context, &host) {
            return Ok(Self::Stub);
        }
        Ok(Self::Host(host))
    }
}

/// Is this name service allowed as such, or the run's own?
fn is_own_choice(context: &Context, host: &Host) -> bool {
    let own = match host {
        Host::Address(address) => address.is_loopback() && context.facts().sockets().hold_port(*address, DOMAIN),
        Host::Name(_) => false,
    };
    own || context.policy().allows_port(host, DOMAIN)
}

/// The stub's address for a socket; `None` where that socket cannot reach it.
pub(super) fn stub_for(context: &Context, socket: &Socket, peer: &SocketAddr) -> Option<SocketAddr> {
    let stub = context.dns().stub().ok()?;
    let version = if peer.is_ipv4() { Version::V4 } else { Version::V6 };
    match version {
        Version::V4 => Some(SocketAddr::V4(stub.v4)),
        Version::V6 => {
            let mapped = || address::fit(Version::V6, (*stub.v4.ip()).into(), stub.v4.port());
            let native = stub.v6.map(SocketAddr::V6);
            let wants_v4 = matches!(peer.ip().to_canonical(), IpAddr::V4(_));
            if wants_v4 { mapped() } else { native.or_else(|| if socket.maps_v4() { mapped() } else { None }) }
        }
    }
}

/// The addresses of a judged name that a socket of this version can be pointed at, best first.
pub(super) fn fitting(socket: &Socket, version: Version, addresses: &[IpAddr], port: u16) -> Vec<SocketAddr> {
    let (v6, v4): (Vec<_>, Vec<_>) = addresses.iter().partition(|address| address.is_ipv6());
    let fit = |address: &IpAddr| address::fit(version, *address, port);
    match version {
        Version::V4 => v4.iter().filter_map(fit).collect(),
        Version::V6 if socket.maps_v4() => v6.iter().chain(&v4).filter_map(fit).collect(),
        Version::V6 => v6.iter().filter_map(fit).collect(),
    }
}

/// What may be reached of what a judged name resolved to.
#[derive(Debug)]
pub(super) enum Admitted {
    Addresses(Vec<IpAddr>),
    /// None is public: this one is to be asked about.
    Ask(Box<crate::policy::Question>, IpAddr),
    Refused(crate::policy::Denial),
    Failed(i32),
}

/// Looks the judged name up, now, and holds every address against the lists. Blocks.
pub(super) fn resolve(context: &Context, call: &Call, _permit: &Permit, name: &str, port: u16) -> Admitted {
    let addresses = match context.dns().resolve(name) {
        Ok(addresses) => addresses,
        Err(ResolveError::TimedOut) => return Admitted::Failed(libc::ETIMEDOUT),
        Err(_) => return Admitted::Failed(libc::EHOSTUNREACH),
    };
    let mut admitted = Vec::new();
    let mut otherwise = None;
    for address in addresses.into_iter().map(|address| address.to_canonical()) {
        // The run's own listener is no secret from it, whatever name leads there.
        let own = || address.is_loopback() && context.facts().sockets().hold_port(address, port);
        if addresses::is_public(address) || own() {
            admitted.push(address);
            continue;
        }
        match context.judge(&Access::PrivateResult { name, address, port }, call) {
            Verdict::Allow(_) => admitted.push(address),
            Verdict::Ask(question) => match otherwise {
                Some(Admitted::Ask(..)) => {}
                _ => otherwise = Some(Admitted::Ask(question, address)),
            },
            Verdict::Deny(denial) => {
                otherwise.get_or_insert(Admitted::Refused(denial));
            }
        }
    }
    if admitted.is_empty() {
        return otherwise.unwrap_or(Admitted::Failed(libc::EHOSTUNREACH));
    }
    Admitted::Addresses(admitted)
}

/// Asks the second question where there is one; goes on with what may be reached.
pub(super) fn admit(
    context: &Context,
    call: &Call,
    admitted: Admitted,
    go_on: impl FnOnce(&Context, &Call, Vec<IpAddr>) -> Outcome + Send + 'static,
) -> Outcome {
    match admitted {
        Admitted::Addresses(addresses) => go_on(context, call, addresses),
        Admitted::Ask(question, address) => Outcome::Ask {
            question,
            refusal: libc::EACCES,
            act: Box::new(move |_permit, context, call| go_on(context, call, vec![address])),
        },
        Admitted::Refused(denial) => context.refuse(call, &denial),
        Admitted::Failed(errno) => Outcome::errno(errno),
    }
}
