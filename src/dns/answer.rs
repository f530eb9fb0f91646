//! From one query to its answer, without a socket: what is answered here, and what has to be
//! asked upstream first.
//!
//! Owns the rule that nothing leaves the machine for a name that is not allowed.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use hickory_proto::op::{Edns, Header, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::PTR;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use super::names;
use super::standin::StandIns;
use super::system::System;

/// Short, so that a program asks again soon after a name was allowed.
const TTL_S: u32 = 5;
/// What fits every path unfragmented (the DNS flag day of 2020), offered and obeyed.
const UDP_PAYLOAD: u16 = 1232;
/// The length of a message's header (RFC 1035 §4.1.1).
const HEADER: usize = 12;
/// Browsers ask for it: no such name means that they may not go around this name server.
const DOH_CANARY: &str = "use-application-dns.net";

/// Names allowed on some port.
pub(super) type Allowed = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// How a query came, which bounds its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) fn has(self, address: &IpAddr) -> bool {
        address.is_ipv4() == (self == Self::V4)
    }
}

/// What the upstream knows of a name in one family; its addresses themselves stay here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existence {
    Exists,
    /// The name exists, without an address of this family.
    NoData,
    NoName,
    Unknown,
}

/// What to do about a query.
#[derive(Debug)]
pub(super) enum Step {
    /// Not a query: an answer to it could only start a loop.
    Ignore,
    Reply(Vec<u8>),
    AskUpstream(Pending),
}

/// A query for an allowed name: answered once upstream has said whether it exists.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) name: String,
    pub(super) family: Family,
    reply: Reply,
}

/// The names of the run and who may be asked about them.
pub(super) struct Answerer {
    allowed: Allowed,
    system: Arc<System>,
    stand_ins: Mutex<StandIns>,
}

impl Answerer {
    pub(super) fn new(allowed: Allowed, system: Arc<System>) -> Self {
        Self { allowed, system, stand_ins: Mutex::new(StandIns::new()) }
    }

    pub(super) fn name_of(&self, address: IpAddr) -> Option<String> {
        self.stand_ins().name_of(address).map(str::to_owned)
    }

    fn stand_ins(&self) -> std::sync::MutexGuard<'_, StandIns> {
        self.stand_ins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges one message.
    pub(super) fn step(&self, message: &[u8], transport: Transport) -> Step {
        let (query, reply) = match read(message, transport) {
            Read::Query(query, reply) => (query, reply),
            Read::Refused(reply, code) => return Step::Reply(reply.code(code)),
            Read::NotAQuery => return Step::Ignore,
        };
        match query.query_type() {
            RecordType::A => self.address(&query, Family::V4, reply),
            RecordType::AAAA => self.address(&query, Family::V6, reply),
            RecordType::PTR => Step::Reply(self.pointer(&query, reply)),
            _ => Step::Reply(reply.code(ResponseCode::NoError)),
        }
    }

    fn address(&self, query: &Query, family: Family, reply: Reply) -> Step {
        if query.name().is_root() {
            return Step::Reply(reply.code(ResponseCode::NoError));
        }
        let Ok(name) = names::from_labels(query.name().iter()) else {
            return Step::Reply(reply.code(ResponseCode::NXDomain));
        };
        if let Some(code) = special(&name) {
            return Step::Reply(reply.code(code));
        }
        if let Some(addresses) = self.system.hosts().loopback(&name) {
            return Step::Reply(reply.addresses(addresses.into_iter().filter(|a| family.has(a))));
        }
        let before = self.system.without_search(&name);
        let is_host = |name: &str| self.system.is_hidden_host(name);
        // libc appends the search domains to a plain name first: back to the name itself, for
        // natively /etc/hosts comes before any of that.
        if !is_host(&name) && before.iter().any(|plain| is_host(plain)) {
            return Step::Reply(reply.code(ResponseCode::NXDomain));
        }
        if (self.allowed)(&name) {
            return Step::AskUpstream(Pending { name, family, reply });
        }
        // And to a dotted name when that was answered with no: its look-up has been through the
        // search list, so this is the same no.
        if before.iter().any(|plain| self.has_been_refused(plain)) {
            return Step::Reply(reply.code(ResponseCode::NXDomain));
        }
        Step::Reply(self.stand_in(&name, family, reply))
    }

    /// Whether a dotted name, asked for as it is, gets no stand-in for certain or upstream's answer.
    fn has_been_refused(&self, name: &str) -> bool {
        name.contains('.') && (special(name).is_some() || (self.allowed)(name))
    }

    /// Answers a pending query truly: what does not exist does not, what exists has its stand-in.
    pub(super) fn finish(&self, pending: Pending, existence: Existence) -> Vec<u8> {
        let Pending { name, family, reply } = pending;
        match existence {
            Existence::Exists => self.stand_in(&name, family, reply),
            Existence::NoData => reply.code(ResponseCode::NoError),
            Existence::NoName => reply.code(ResponseCode::NXDomain),
            Existence::Unknown => reply.code(ResponseCode::ServFail),
        }
    }

    /// Too many wait already.
    pub(super) fn give_up(&self, pending: Pending) -> Vec<u8> {
        self.finish(pending, Existence::Unknown)
    }

    fn stand_in(&self, name: &str, family: Family, reply: Reply) -> Vec<u8> {
        match (self.stand_ins().of(name), family) {
            (Some(stand_in), Family::V4) => reply.addresses([stand_in.v4().into()]),
            (Some(stand_in), Family::V6) => reply.addresses([stand_in.v6().into()]),
            (None, _) => reply.code(ResponseCode::ServFail),
        }
    }

    /// Only stand-ins and loopback have names here; of others nothing is known, and nobody asked.
    fn pointer(&self, query: &Query, reply: Reply) -> Vec<u8> {
        let Some(address) = reverse(query.name()) else {
            return reply.code(ResponseCode::NoError);
        };
        let name =
            if address.to_canonical().is_loopback() { Some("localhost".to_owned()) } else { self.name_of(address) };
        match name.and_then(|name| Name::from_ascii(format!("{name}.")).ok()) {
            Some(name) => reply.records([RData::PTR(PTR(name))]),
            None => reply.code(ResponseCode::NXDomain),
        }
    }
}

impl std::fmt::Debug for Answerer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answerer").finish_non_exhaustive()
    }
}

/// Names that no name server has addresses for.
fn special(name: &str) -> Option<ResponseCode> {
    let within = |zone| names::within(name, zone);
    if within("in-addr.arpa") || within("ip6.arpa") {
        return Some(ResponseCode::NoError);
    }
    // RFC 6761 §6.4, RFC 7686 §2: never asked of a name server.
    (name == DOH_CANARY || within("invalid") || within("onion")).then_some(ResponseCode::NXDomain)
}

/// The address whose pointer is asked for.
fn reverse(name: &Name) -> Option<IpAddr> {
    let network = name.parse_arpa_name().ok()?;
    (network.prefix_len() == network.max_prefix_len()).then(|| network.addr())
}

enum Read {
    Query(Query, Reply),
    Refused(Reply, ResponseCode),
    NotAQuery,
}

fn read(message: &[u8], transport: Transport) -> Read {
    let Ok(Header { metadata, counts }) = Header::read(&mut BinDecoder::new(message)) else {
        return Read::NotAQuery;
    };
    if metadata.message_type == MessageType::Response {
        return Read::NotAQuery;
    }
    let bare = Reply::new(&metadata, transport);
    if metadata.op_code != OpCode::Query {
        return Read::Refused(bare, ResponseCode::NotImp);
    }
    // Before anything is allocated for as many as the header claims.
    let least = HEADER + usize::from(counts.answers) + usize::from(counts.authorities);
    if counts.queries != 1 || least > message.len() {
        return Read::Refused(bare, ResponseCode::FormErr);
    }
    let Ok(mut message) = Message::from_vec(message) else {
        return Read::Refused(bare, ResponseCode::FormErr);
    };
    let Some(query) = message.queries.pop() else {
        return Read::Refused(bare, ResponseCode::FormErr);
    };
    let reply = bare.to(query.clone(), message.edns.as_ref());
    if message.edns.is_some_and(|edns| edns.version() > 0) {
        return Read::Refused(reply, ResponseCode::BADVERS);
    }
    if query.query_class() != DNSClass::IN && query.query_class() != DNSClass::ANY {
        return Read::Refused(reply, ResponseCode::Refused);
    }
    Read::Query(query, reply)
}

/// An answer in the making: the query's identity, and what its sender can take.
#[derive(Debug)]
struct Reply {
    message: Message,
    limit: usize,
    transport: Transport,
}

impl Reply {
    fn new(query: &Metadata, transport: Transport) -> Self {
        let mut message = Message::response(query.id, query.op_code);
        message.metadata.recursion_desired = query.recursion_desired;
        message.metadata.checking_disabled = query.checking_disabled;
        message.metadata.recursion_available = true;
        let limit = match transport {
            Transport::Udp => 512,
            Transport::Tcp => usize::from(u16::MAX),
        };
        Self { message, limit, transport }
    }

    fn to(mut self, query: Query, edns: Option<&Edns>) -> Self {
        self.message.add_query(query);
        if let Some(theirs) = edns {
            if self.transport == Transport::Udp {
                self.limit = theirs.max_payload().clamp(512, UDP_PAYLOAD).into();
            }
            let mut ours = Edns::new();
            ours.set_max_payload(UDP_PAYLOAD).set_version(0);
            self.message.set_edns(ours);
        }
        self
    }

    fn code(mut self, code: ResponseCode) -> Vec<u8> {
        self.message.metadata.response_code = code;
        self.encode()
    }

    fn addresses(self, addresses: impl IntoIterator<Item = IpAddr>) -> Vec<u8> {
        self.records(addresses.into_iter().map(|address| match address {
            IpAddr::V4(v4) => RData::A(v4.into()),
            IpAddr::V6(v6) => RData::AAAA(v6.into()),
        }))
    }

    fn records(mut self, data: impl IntoIterator<Item = RData>) -> Vec<u8> {
        let name = self.message.queries.first().map(|query| query.name().clone());
        let name = name.unwrap_or_else(Name::root);
        self.message.add_answers(data.into_iter().map(|data| Record::from_rdata(name.clone(), TTL_S, data)));
        self.encode()
    }

    fn encode(self) -> Vec<u8> {
        let encoded = self.message.to_vec().unwrap_or_default();
        if encoded.len() <= self.limit {
            return encoded;
        }
        self.message.truncate().to_vec().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
