//! Name servers on loopback that note what they hear.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// What the upstream says of a name.
#[derive(Debug, Clone)]
pub(super) enum Says {
    Addresses(Vec<IpAddr>, u32),
    Code(ResponseCode),
    /// Truncated over UDP, the addresses over TCP.
    OverTcp(Vec<IpAddr>),
    /// Another name, whose addresses are not sent along.
    Alias(&'static str),
    Silence,
}

/// What is said of each name.
pub(super) type Zone = HashMap<String, Says>;
/// How often each name was asked for.
pub(super) type Heard = Mutex<BTreeMap<String, usize>>;

/// A name server on loopback; unknown names do not exist.
pub(super) struct Fake {
    pub(super) address: SocketAddr,
    heard: Arc<Heard>,
    stop: Arc<AtomicBool>,
}

impl Fake {
    pub(super) fn start(zone: &[(&str, Says)]) -> Self {
        let zone = Arc::new(zone_of(zone));
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(BTreeMap::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (notes, ended, names) = (Arc::clone(&heard), Arc::clone(&stop), Arc::clone(&zone));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, client)) = udp.recv_from(&mut buffer) {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                if let Some(reply) = reply(&buffer[..length], &names, &notes, true) {
                    udp.send_to(&reply, client).unwrap();
                }
            }
        });
        let (notes, ended) = (Arc::clone(&heard), Arc::clone(&stop));
        thread::spawn(move || {
            for stream in tcp.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (zone, notes) = (Arc::clone(&zone), Arc::clone(&notes));
                thread::spawn(move || serve_stream(stream.unwrap(), &zone, &notes));
            }
        });
        Self { address, heard, stop }
    }

    /// How often each name was asked for, whatever the type.
    pub(super) fn heard(&self) -> BTreeMap<String, usize> {
        self.heard.lock().unwrap().clone()
    }
}

pub(super) fn zone_of(zone: &[(&str, Says)]) -> Zone {
    zone.iter().map(|(name, says)| ((*name).to_owned(), says.clone())).collect()
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = UdpSocket::bind("127.0.0.1:0").and_then(|s| s.send_to(b"", self.address));
        let _ = TcpStream::connect(self.address);
    }
}

/// Answers framed queries until the other end goes.
pub(super) fn serve_stream(mut stream: impl Read + Write, zone: &Zone, heard: &Heard) {
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        if stream.read_exact(&mut message).is_err() {
            return;
        }
        if let Some(reply) = reply(&message, zone, heard, false) {
            let length = u16::try_from(reply.len()).unwrap().to_be_bytes();
            let _ = stream.write_all(&[&length[..], &reply].concat());
        }
    }
}

pub(super) fn reply(message: &[u8], zone: &Zone, heard: &Heard, udp: bool) -> Option<Vec<u8>> {
    let query = Message::from_vec(message).ok()?;
    let question = query.queries.first()?.clone();
    let name = question.name().to_ascii().to_ascii_lowercase();
    let name = name.trim_end_matches('.').to_owned();
    *heard.lock().unwrap().entry(name.clone()).or_default() += 1;
    let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
    reply.metadata.recursion_available = true;
    reply.add_query(question.clone());
    let records = |addresses: &[IpAddr], ttl| -> Vec<Record> {
        let data = addresses.iter().filter_map(|address| match (address, question.query_type()) {
            (IpAddr::V4(v4), RecordType::A) => Some(RData::A((*v4).into())),
            (IpAddr::V6(v6), RecordType::AAAA) => Some(RData::AAAA((*v6).into())),
            _ => None,
        });
        data.map(|data| Record::from_rdata(question.name().clone(), ttl, data)).collect()
    };
    match zone.get(&name).unwrap_or(&Says::Code(ResponseCode::NXDomain)) {
        Says::Addresses(addresses, ttl) => reply.answers = records(addresses, *ttl),
        Says::Code(code) => reply.metadata.response_code = *code,
        Says::OverTcp(_) if udp => reply.metadata.truncation = true,
        Says::OverTcp(addresses) => reply.answers = records(addresses, 60),
        Says::Alias(target) => {
            let target = CNAME(Name::from_ascii(target).unwrap());
            let name = question.name().clone();
            reply.add_answer(Record::from_rdata(name, 60, RData::CNAME(target)));
        }
        Says::Silence => return None,
    }
    Some(reply.to_vec().unwrap())
}
