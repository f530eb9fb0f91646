//! The whole of it on loopback sockets, with an upstream that notes what it hears.

mod clients;
#[cfg(feature = "encrypted-dns")]
mod encrypted;
mod fake;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::time::Instant;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

use self::fake::{Fake, Says};
use super::*;

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
    let nameservers = nameservers.iter().map(|text| Nameserver::parse(text).unwrap()).collect();
    let system = System::at(dir.join("resolv.conf"), dir.join("hosts"), "vm".into());
    let allowed = Box::new(|name: &str| names::within(name, "allowed.test") || name == "plain" || name == "db.prod");
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
    // Whoever asks first has no right to port 53 any more.
    caps::drop(None, caps::CapSet::Effective, caps::Capability::CAP_NET_BIND_SERVICE).unwrap();
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
fn without_the_right_to_port_53_the_stub_has_another_one() {
    let lowest = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    let free = lowest.trim().parse::<u16>().unwrap() <= 53;
    let (dns, _fake, _dir) = with_fake(&[], "", "");
    // This test's thread alone.
    caps::drop(None, caps::CapSet::Effective, caps::Capability::CAP_NET_BIND_SERVICE).unwrap();
    let stub = dns.stub().unwrap();
    assert_eq!(stub.on_port_53, free);
    assert!(is_stand_in(ask(stub, "a.test.", RecordType::A).1[0]));
    if !free {
        assert_eq!(*stub.v4.ip(), std::net::Ipv4Addr::LOCALHOST);
        assert!(dns.resolv_conf().unwrap().starts_with(b"nameserver 127.0.0.1\n"));
        // Two runs side by side have two ports.
        let (other, _fake, _dir) = with_fake(&[], "", "");
        assert_ne!(other.stub().unwrap().v4, stub.v4);
    }
}

#[test]
fn with_the_right_to_port_53_each_run_has_an_address_of_its_own() {
    if !caps::has_cap(None, caps::CapSet::Effective, caps::Capability::CAP_NET_BIND_SERVICE).unwrap() {
        println!("skipped: needs CAP_NET_BIND_SERVICE");
        return;
    }
    let stubs = [(); 3].map(|()| with_fake(&[], "", ""));
    let addresses: Vec<Stub> = stubs.iter().map(|(dns, ..)| dns.stub().unwrap()).collect();
    for stub in &addresses {
        assert!(stub.on_port_53 && stub.v4.port() == 53 && stub.v4.ip().is_loopback());
        assert!(is_stand_in(ask(*stub, "a.test.", RecordType::A).1[0]));
    }
    assert!(addresses[0].v4 != addresses[1].v4 && addresses[1].v4 != addresses[2].v4);
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
    for kind in [RecordType::TXT, RecordType::MX, RecordType::NULL, RecordType::HTTPS, RecordType::ANY] {
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
    let expected: Vec<IpAddr> = ["192.0.2.2", "192.0.2.1", "2001:db8::2", "2001:db8::1"].map(ip).to_vec();
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
fn an_alias_is_followed_to_the_addresses() {
    let (dns, fake, _dir) = with_fake(
        &[
            ("www.allowed.test", Says::Alias("edge.cdn.test.")),
            ("edge.cdn.test", at(&["192.0.2.7"])),
            ("gone.allowed.test", Says::Alias("nowhere.cdn.test.")),
        ],
        "",
        "",
    );
    assert_eq!(dns.resolve("www.allowed.test").unwrap(), [ip("192.0.2.7")]);
    assert!(matches!(dns.resolve("gone.allowed.test"), Err(ResolveError::NoName)));
    let stub = dns.stub().unwrap();
    let (code, addresses) = ask(stub, "www.allowed.test.", RecordType::A);
    assert_eq!((code, addresses.len()), (ResponseCode::NoError, 1));
    assert_eq!(dns.name_of(addresses[0]).as_deref(), Some("www.allowed.test"));
    let v6 = ask(stub, "www.allowed.test.", RecordType::AAAA);
    assert_eq!(v6, (ResponseCode::NoError, vec![]));
    assert_eq!(ask(stub, "gone.allowed.test.", RecordType::A), (ResponseCode::NXDomain, vec![]));
    assert!(fake.heard().contains_key("edge.cdn.test"));
}

#[test]
fn a_silent_name_server_costs_no_more_than_the_configured_time() {
    let zone = [("slow.test", Says::Silence)];
    let (dns, _fake, _dir) = with_fake(&zone, "options timeout:1 attempts:2\n", "");
    let start = Instant::now();
    assert!(matches!(dns.resolve("slow.test"), Err(ResolveError::TimedOut)));
    let took = start.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(8)).contains(&took), "{took:?}");
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
    // libc tries the search list after each no; the answer stays no.
    for name in ["none.allowed.test.", "none.allowed.test.corp.test.", "a.onion.lab.test."] {
        let answer = ask(stub, name, RecordType::A);
        assert_eq!(answer, (ResponseCode::NXDomain, vec![]), "{name}");
    }
    assert!(is_stand_in(ask(stub, "db.corp.test.", RecordType::A).1[0]));
    let heard = fake.heard();
    assert!(!heard.contains_key("empty.allowed.test.corp.test"), "{heard:?}");
    assert!(!heard.contains_key("none.corp.test.corp.test"), "{heard:?}");
    let synthetic = String::from_utf8(dns.resolv_conf().unwrap()).unwrap();
    let nameserver = stub.v4.ip();
    assert_eq!(synthetic, format!("nameserver {nameserver}\nsearch corp.test lab.test\noptions ndots:1\n"));
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
    let (dns, fake, _dir) = with_fake(&zone, "options timeout:30 attempts:1\n", "");
    let stub = dns.stub().unwrap();
    let slow = client(stub);
    slow.send(&query(1, "slow.allowed.test.", RecordType::A)).unwrap();
    thread::scope(|scope| {
        for client in 0..40 {
            let dns = &dns;
            scope.spawn(move || {
                for n in 0..10 {
                    let name = format!("n{n}.c{client}.test.");
                    let (_, addresses) = ask(stub, &name, RecordType::A);
                    assert_eq!(dns.name_of(addresses[0]), name.strip_suffix('.').map(str::to_owned));
                    assert_eq!(ask(stub, "quick.allowed.test.", RecordType::A).1.len(), 1);
                    assert_eq!(dns.resolve("quick.allowed.test").unwrap(), [ip("192.0.2.1")]);
                }
            });
        }
    });
    assert!(fake.heard()["quick.allowed.test"] < 100, "{:?}", fake.heard());
    slow.set_nonblocking(true).unwrap();
    let waits = slow.recv(&mut [0; 512]).unwrap_err();
    assert_eq!(waits.kind(), io::ErrorKind::WouldBlock, "the slow one is still waiting");
}

#[test]
fn a_flood_of_slow_names_is_bounded_and_others_are_still_answered() {
    let names: Vec<String> = (0..400).map(|n| format!("n{n}.allowed.test")).collect();
    let zone: Vec<(&str, Says)> = names.iter().map(|name| (name.as_str(), Says::Silence)).collect();
    let (dns, fake, _dir) = with_fake(&zone, "options timeout:30 attempts:1\n", "");
    let stub = dns.stub().unwrap();
    let flood = client(stub);
    for (n, name) in (0u16..).zip(&names) {
        flood.send(&query(n, &format!("{name}."), RecordType::A)).unwrap();
        // Another client's answer comes after it: the stub has dealt with both.
        assert!(is_stand_in(ask(stub, "other.test.", RecordType::A).1[0]));
    }
    flood.set_nonblocking(true).unwrap();
    let mut buffer = [0; 512];
    let mut refused = 0;
    while let Ok(length) = flood.recv(&mut buffer) {
        assert_eq!(read(&buffer[..length]).0, ResponseCode::ServFail);
        refused += 1;
    }
    assert_eq!(refused, 400 - 256, "beyond the limit the answer comes at once");
    assert!(fake.heard().len() <= 256, "{}", fake.heard().len());
}

#[test]
fn a_name_server_that_is_not_there_fails_at_once() {
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let dns = dns(dir.path(), vec![gone.to_string()], "options timeout:20 attempts:2\n", "");
    let start = Instant::now();
    assert!(matches!(dns.resolve("a.test"), Err(ResolveError::Upstream(_))));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
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
    // A busy machine delays many, a slow answer delays all.
    assert!(times[50] < Duration::from_millis(1), "{:?}", times[50]);
}
