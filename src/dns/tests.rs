//! The whole of it on loopback sockets, with an upstream that notes what it hears.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::*;

/// What the upstream says of a name.
#[derive(Debug, Clone)]
enum Says {
    Addresses(Vec<IpAddr>, u32),
    Code(ResponseCode),
    /// Truncated over UDP, the addresses over TCP.
    OverTcp(Vec<IpAddr>),
    Silence,
}

/// A name server on loopback; unknown names do not exist.
struct Fake {
    address: SocketAddr,
    heard: Arc<Mutex<BTreeMap<String, usize>>>,
    stop: Arc<AtomicBool>,
}

impl Fake {
    fn start(zone: &[(&str, Says)]) -> Self {
        let zone: Arc<HashMap<String, Says>> =
            Arc::new(zone.iter().map(|(name, says)| ((*name).to_owned(), says.clone())).collect());
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
    fn heard(&self) -> BTreeMap<String, usize> {
        self.heard.lock().unwrap().clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = UdpSocket::bind("127.0.0.1:0").and_then(|s| s.send_to(b"", self.address));
        let _ = TcpStream::connect(self.address);
    }
}

fn serve_stream(
    mut stream: TcpStream,
    zone: &HashMap<String, Says>,
    heard: &Mutex<BTreeMap<String, usize>>,
) {
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

fn reply(
    message: &[u8],
    zone: &HashMap<String, Says>,
    heard: &Mutex<BTreeMap<String, usize>>,
    udp: bool,
) -> Option<Vec<u8>> {
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
        Says::Silence => return None,
    }
    Some(reply.to_vec().unwrap())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(addresses: &[&str]) -> Says {
    Says::Addresses(addresses.iter().map(|address| ip(address)).collect(), 60)
}

/// A [`Dns`] whose machine's files are in `dir`; what ends in `allowed.test` is allowed, and `plain`.
fn dns(dir: &Path, nameservers: Vec<String>, resolv: &str, hosts: &str) -> Dns {
    std::fs::write(dir.join("resolv.conf"), resolv).unwrap();
    std::fs::write(dir.join("hosts"), hosts).unwrap();
    let system = System::at(dir.join("resolv.conf"), dir.join("hosts"), "vm".into());
    let allowed = Box::new(|name: &str| {
        names::within(name, "allowed.test") || name == "plain" || name == "db.prod"
    });
    Dns::with_system(DnsConfig { nameservers, allowed }, system)
}

fn with_fake(zone: &[(&str, Says)], resolv: &str, hosts: &str) -> (Dns, Fake, tempfile::TempDir) {
    let fake = Fake::start(zone);
    let dir = tempfile::tempdir().unwrap();
    let dns = dns(dir.path(), vec![fake.address.to_string()], resolv, hosts);
    (dns, fake, dir)
}

fn client(stub: Stub) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(stub.v4).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

fn query(id: u16, name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = id;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

fn ask(stub: Stub, name: &str, kind: RecordType) -> (ResponseCode, Vec<IpAddr>) {
    let socket = client(stub);
    socket.send(&query(7, name, kind)).unwrap();
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer).unwrap();
    read(&buffer[..length])
}

fn read(bytes: &[u8]) -> (ResponseCode, Vec<IpAddr>) {
    let reply = Message::from_vec(bytes).unwrap();
    let addresses = reply.answers.iter().filter_map(|record| match &record.data {
        RData::A(a) => Some(IpAddr::from(a.0)),
        RData::AAAA(aaaa) => Some(aaaa.0.into()),
        _ => None,
    });
    (reply.metadata.response_code, addresses.collect())
}

#[test]
fn nothing_runs_before_the_first_look_up_and_nothing_after_the_drop() {
    let dir = tempfile::tempdir().unwrap();
    let dns = dns(dir.path(), vec![], "", "");
    assert!(dns.state().service.is_none() && dns.state().bound.is_none());
    assert_eq!(dns.hosts(), b"127.0.0.1\tlocalhost\n127.0.0.1\tvm\n");
    assert!(!is_stand_in(ip("192.0.2.1")));
    assert_eq!(dns.name_of(ip("198.18.0.1")), None);
    let bound = dns.bind().unwrap();
    assert!(dns.state().service.is_none());
    // A query sent before anybody serves is answered once somebody does.
    let early = client(bound);
    early.send(&query(1, "early.test.", RecordType::A)).unwrap();
    let stub = dns.stub().unwrap();
    assert_eq!((stub, dns.stub().unwrap()), (bound, bound));
    let mut buffer = [0; 512];
    let length = early.recv(&mut buffer).unwrap();
    assert_eq!(read(&buffer[..length]).1, [ip("198.18.0.1")]);
    assert!(TcpStream::connect(stub.v4).is_ok());
    drop(dns);
    assert!(TcpStream::connect(stub.v4).is_err());
}

#[test]
fn a_name_that_is_not_allowed_never_reaches_upstream() {
    let (dns, fake, _dir) = with_fake(&[("secret.evil.test", at(&["192.0.2.1"]))], "", "");
    let stub = dns.stub().unwrap();
    let (code, v4) = ask(stub, "secret.evil.test.", RecordType::A);
    assert_eq!((code, v4.len()), (ResponseCode::NoError, 1));
    assert_eq!(dns.name_of(v4[0]).as_deref(), Some("secret.evil.test"));
    let (_, v6) = ask(stub, "secret.evil.test.", RecordType::AAAA);
    assert_eq!(dns.name_of(v6[0]).as_deref(), Some("secret.evil.test"));
    for kind in
        [RecordType::TXT, RecordType::MX, RecordType::NULL, RecordType::HTTPS, RecordType::ANY]
    {
        assert_eq!(ask(stub, "secret.evil.test.", kind), (ResponseCode::NoError, vec![]));
        assert_eq!(ask(stub, "www.allowed.test.", kind), (ResponseCode::NoError, vec![]));
    }
    assert_eq!(fake.heard(), BTreeMap::new());
}

#[test]
fn an_allowed_name_is_answered_truly_and_with_stand_ins() {
    let (dns, fake, _dir) = with_fake(
        &[
            ("both.allowed.test", at(&["192.0.2.1", "192.0.2.2", "2001:db8::1"])),
            ("v4.allowed.test", at(&["192.0.2.4"])),
            ("v6.allowed.test", at(&["2001:db8::6"])),
            ("empty.allowed.test", at(&[])),
            ("broken.allowed.test", Says::Code(ResponseCode::ServFail)),
            ("big.allowed.test", Says::OverTcp(vec![ip("192.0.2.9")])),
        ],
        "",
        "",
    );
    let stub = dns.stub().unwrap();
    use RecordType::{A, AAAA};
    let cases = [
        ("both", A, ResponseCode::NoError, 1),
        ("both", AAAA, ResponseCode::NoError, 1),
        ("v4", A, ResponseCode::NoError, 1),
        ("v4", AAAA, ResponseCode::NoError, 0),
        ("v6", A, ResponseCode::NoError, 0),
        ("v6", AAAA, ResponseCode::NoError, 1),
        ("empty", A, ResponseCode::NoError, 0),
        ("none", A, ResponseCode::NXDomain, 0),
        ("broken", A, ResponseCode::ServFail, 0),
        ("big", A, ResponseCode::NoError, 1),
    ];
    for (host, kind, code, count) in cases {
        let (got, addresses) = ask(stub, &format!("{host}.allowed.test."), kind);
        assert_eq!((got, addresses.len()), (code, count), "{host} {kind}");
        assert!(addresses.into_iter().all(is_stand_in), "{host} {kind}");
    }
    assert!(fake.heard().keys().all(|name| name.ends_with(".allowed.test")));
}

#[test]
fn resolve_gives_the_real_addresses_in_order() {
    let (dns, fake, _dir) = with_fake(
        &[
            ("both.test", at(&["2001:db8::2", "192.0.2.2", "2001:db8::1", "192.0.2.1"])),
            ("v6.test", at(&["2001:db8::6"])),
            ("empty.test", at(&[])),
            ("broken.test", Says::Code(ResponseCode::ServFail)),
            ("refused.test", Says::Code(ResponseCode::Refused)),
        ],
        "",
        "",
    );
    let expected: Vec<IpAddr> =
        ["192.0.2.2", "192.0.2.1", "2001:db8::2", "2001:db8::1"].map(ip).to_vec();
    assert_eq!(dns.resolve("both.test").unwrap(), expected);
    assert_eq!(dns.resolve("Both.Test.").unwrap(), expected);
    assert_eq!(fake.heard()["both.test"], 2, "the second one comes from the cache");
    assert_eq!(dns.resolve("v6.test").unwrap(), [ip("2001:db8::6")]);
    assert!(matches!(dns.resolve("empty.test"), Err(ResolveError::NoAddress)));
    assert!(matches!(dns.resolve("none.test"), Err(ResolveError::NoName)));
    assert!(matches!(dns.resolve("broken.test"), Err(ResolveError::Upstream(_))));
    assert!(matches!(dns.resolve("refused.test"), Err(ResolveError::Upstream(_))));
    assert!(matches!(dns.resolve("192.0.2.1"), Err(ResolveError::Name(NameError::Number))));
    assert!(dns.state().stub.is_none(), "resolving needs no stub");
}

#[test]
fn a_silent_name_server_costs_no_more_than_the_configured_time() {
    let zone = [("slow.test", Says::Silence)];
    let (dns, _fake, _dir) = with_fake(&zone, "options timeout:1 attempts:2\n", "");
    let start = Instant::now();
    assert!(matches!(dns.resolve("slow.test"), Err(ResolveError::TimedOut)));
    let took = start.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_millis(3500)).contains(&took), "{took:?}");
}

#[test]
fn the_next_name_server_is_asked_when_one_fails_and_only_then() {
    let broken = Fake::start(&[("a.test", Says::Code(ResponseCode::ServFail))]);
    let silent = Fake::start(&[("a.test", Says::Silence)]);
    let good = Fake::start(&[("a.test", at(&["192.0.2.1"])), ("b.test", at(&["192.0.2.2"]))]);
    let dir = tempfile::tempdir().unwrap();
    let servers = [&broken, &silent, &good].map(|fake| fake.address.to_string()).to_vec();
    let dns = dns(dir.path(), servers, "options timeout:3 attempts:2\n", "");
    assert_eq!(dns.resolve("a.test").unwrap(), [ip("192.0.2.1")]);
    // The one that answered is asked first from now on.
    assert_eq!(dns.resolve("b.test").unwrap(), [ip("192.0.2.2")]);
    assert!(!broken.heard().contains_key("b.test"), "{:?}", broken.heard());
    // What the first one says does not exist is not asked of the others.
    assert!(matches!(dns.resolve("c.test"), Err(ResolveError::NoName)));
    assert!(!broken.heard().contains_key("c.test") && !silent.heard().contains_key("c.test"));
}

#[test]
fn the_search_list_applies_where_the_plain_name_does_not_exist() {
    let (dns, fake, _dir) = with_fake(
        &[
            ("db.prod.lab.test", at(&["192.0.2.1"])),
            ("plain.corp.test", at(&["192.0.2.2"])),
            ("empty.allowed.test", at(&[])),
            ("empty.allowed.test.corp.test", at(&["192.0.2.3"])),
        ],
        "search corp.test lab.test\n",
        "",
    );
    assert_eq!(dns.resolve("db.prod").unwrap(), [ip("192.0.2.1")]);
    assert_eq!(dns.resolve("plain").unwrap(), [ip("192.0.2.2")]);
    assert!(matches!(dns.resolve("empty.allowed.test"), Err(ResolveError::NoAddress)));
    assert!(matches!(dns.resolve("none.corp.test"), Err(ResolveError::NoName)));
    // The stub sees the same world, so that what was connected once exists the next time.
    let stub = dns.stub().unwrap();
    assert_eq!(ask(stub, "db.prod.", RecordType::A).1.len(), 1);
    assert_eq!(ask(stub, "plain.", RecordType::A).1.len(), 1);
    let heard = fake.heard();
    assert!(!heard.contains_key("empty.allowed.test.corp.test"), "{heard:?}");
    assert!(!heard.contains_key("none.corp.test.corp.test"), "{heard:?}");
    let synthetic = String::from_utf8(dns.resolv_conf().unwrap()).unwrap();
    let nameserver = stub.v4.ip();
    assert_eq!(
        synthetic,
        format!("nameserver {nameserver}\nsearch corp.test lab.test\noptions ndots:1\n")
    );
}

#[test]
fn names_of_the_hosts_file_count_as_names() {
    let (dns, fake, dir) = with_fake(
        &[("new.allowed.test", at(&["192.0.2.1"]))],
        "search corp.test\n",
        "127.0.0.1 localhost dev.test\n2001:db8::5 nas.allowed.test\n10.0.0.5 nas.allowed.test nas\n",
    );
    assert_eq!(dns.resolve("nas.allowed.test").unwrap(), [ip("10.0.0.5"), ip("2001:db8::5")]);
    assert_eq!(dns.resolve("nas").unwrap(), [ip("10.0.0.5")]);
    assert_eq!(dns.resolve("dev.test").unwrap(), [ip("127.0.0.1")]);
    assert_eq!(dns.resolve("vm").unwrap(), [ip("127.0.0.1"), ip("::1")]);
    let stub = dns.stub().unwrap();
    let v4 = |name| ask(stub, name, RecordType::A);
    assert_eq!(v4("dev.test."), (ResponseCode::NoError, vec![ip("127.0.0.1")]));
    assert!(is_stand_in(v4("nas.allowed.test.").1[0]));
    assert!(is_stand_in(v4("nas.").1[0]));
    // libc appends the search domain first; it must come back to the name itself.
    assert_eq!(v4("nas.corp.test."), (ResponseCode::NXDomain, vec![]));
    assert_eq!(fake.heard(), BTreeMap::new());
    // A line added later counts at once.
    std::fs::write(dir.path().join("hosts"), "10.0.0.6 new.allowed.test\n").unwrap();
    assert_eq!(dns.resolve("new.allowed.test").unwrap(), [ip("10.0.0.6")]);
    assert_eq!(fake.heard(), BTreeMap::new());
}

#[test]
fn the_stub_answers_over_tcp_and_over_ipv6_alike() {
    let (dns, _fake, _dir) = with_fake(&[("www.allowed.test", at(&["192.0.2.1"]))], "", "");
    let stub = dns.stub().unwrap();
    let mut stream = TcpStream::connect(stub.v4).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // Two queries in one segment, answered in their order.
    let mut both = Vec::new();
    for (id, name) in [(1, "www.allowed.test."), (2, "other.test.")] {
        let message = query(id, name, RecordType::A);
        both.extend_from_slice(&u16::try_from(message.len()).unwrap().to_be_bytes());
        both.extend_from_slice(&message);
    }
    stream.write_all(&both).unwrap();
    for id in [1, 2] {
        let message = read_framed(&mut stream).unwrap();
        assert_eq!(message[..2], [0, id]);
        assert!(is_stand_in(read(&message).1[0]));
    }
    // A length that no query has ends the connection.
    stream.write_all(&[0xff, 0xff]).unwrap();
    assert!(read_framed(&mut stream).is_none());
    if let Some(v6) = stub.v6 {
        let socket = UdpSocket::bind("[::1]:0").unwrap();
        socket.connect(v6).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket.send(&query(3, "other.test.", RecordType::AAAA)).unwrap();
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer).unwrap();
        assert!(is_stand_in(read(&buffer[..length]).1[0]));
    }
}

fn read_framed(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

#[test]
fn many_clients_are_served_at_once_while_one_name_is_slow() {
    let zone = [("slow.allowed.test", Says::Silence), ("quick.allowed.test", at(&["192.0.2.1"]))];
    let (dns, fake, _dir) = with_fake(&zone, "options timeout:2 attempts:1\n", "");
    let stub = dns.stub().unwrap();
    let slow = client(stub);
    slow.send(&query(1, "slow.allowed.test.", RecordType::A)).unwrap();
    let start = Instant::now();
    thread::scope(|scope| {
        for client in 0..40 {
            let dns = &dns;
            scope.spawn(move || {
                for n in 0..10 {
                    let name = format!("n{n}.c{client}.test.");
                    let (_, addresses) = ask(stub, &name, RecordType::A);
                    assert_eq!(
                        dns.name_of(addresses[0]),
                        name.strip_suffix('.').map(str::to_owned)
                    );
                    assert_eq!(ask(stub, "quick.allowed.test.", RecordType::A).1.len(), 1);
                    assert_eq!(dns.resolve("quick.allowed.test").unwrap(), [ip("192.0.2.1")]);
                }
            });
        }
    });
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(fake.heard()["quick.allowed.test"] < 100, "{:?}", fake.heard());
    let mut buffer = [0; 512];
    let length = slow.recv(&mut buffer).unwrap();
    assert_eq!(read(&buffer[..length]).0, ResponseCode::ServFail);
}

#[test]
fn a_flood_of_slow_names_is_bounded_and_others_are_still_answered() {
    let zone: Vec<(String, Says)> =
        (0..2000).map(|n| (format!("n{n}.allowed.test"), Says::Silence)).collect();
    let zone: Vec<(&str, Says)> = zone.iter().map(|(n, s)| (n.as_str(), s.clone())).collect();
    let (dns, fake, _dir) = with_fake(&zone, "options timeout:30 attempts:1\n", "");
    let stub = dns.stub().unwrap();
    let flood = client(stub);
    let mut refused = 0;
    let mut buffer = [0; 512];
    for n in 0..1000 {
        flood.send(&query(n, &format!("n{n}.allowed.test."), RecordType::A)).unwrap();
        // Beyond the limit the answer comes at once.
        if n >= 300 {
            let length = flood.recv(&mut buffer).unwrap();
            assert_eq!(read(&buffer[..length]).0, ResponseCode::ServFail);
            refused += 1;
        }
    }
    assert_eq!(refused, 700);
    assert!(is_stand_in(ask(stub, "other.test.", RecordType::A).1[0]));
    assert!(fake.heard().len() <= 256, "{}", fake.heard().len());
}

#[test]
fn dig_takes_the_answers() {
    let (dns, fake, _dir) = with_fake(&[("www.allowed.test", at(&["192.0.2.1"]))], "", "");
    let stub = dns.stub().unwrap();
    let dig = |arguments: &[&str]| {
        let output = Command::new("dig")
            .args([&format!("@{}", stub.v4.ip()), "-p", &stub.v4.port().to_string()])
            .args(["+tries=1", "+time=5"])
            .args(arguments)
            .output()
            .expect("dig is installed (bind9-dnsutils)");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for transport in ["+notcp", "+tcp"] {
        let address = dig(&[transport, "+short", "www.allowed.test", "A"]);
        let name = dig(&[transport, "+short", "-x", address.trim()]);
        assert_eq!(name, "www.allowed.test.\n");
        assert!(dig(&[transport, "none.allowed.test"]).contains("status: NXDOMAIN"));
        let text = dig(&[transport, "data.evil.test", "TXT"]);
        assert!(text.contains("status: NOERROR") && text.contains("ANSWER: 0"), "{text}");
        assert!(!text.contains("WARNING"), "{text}");
    }
    assert!(dig(&["+noedns", "+short", "a.test"]).starts_with("198.18."));
    assert!(dig(&["+edns=1", "+noednsneg", "a.test"]).contains("status: BADVERS"));
    assert!(fake.heard().keys().all(|name| name.ends_with("allowed.test")), "{:?}", fake.heard());
}

#[test]
fn a_stand_in_answer_takes_well_below_a_millisecond() {
    let (dns, _fake, _dir) = with_fake(&[], "", "");
    let stub = dns.stub().unwrap();
    let socket = client(stub);
    let mut buffer = [0; 512];
    let mut times: Vec<Duration> = (0..500)
        .map(|n| {
            let message = query(n, &format!("n{n}.test."), RecordType::A);
            let start = Instant::now();
            socket.send(&message).unwrap();
            socket.recv(&mut buffer).unwrap();
            start.elapsed()
        })
        .collect();
    times.sort();
    // The median: a busy machine delays some, a slow answer delays all.
    assert!(times[250] < Duration::from_millis(1), "{:?}", times[250]);
}
