use hickory_proto::rr::rdata::TXT;
use proptest::prelude::*;

use super::super::fuzzing;
use super::*;

/// Everything beneath `allowed.test` is allowed; the machine's files are empty, its name is `vm`.
fn answerer() -> Answerer {
    let system = System::at("/nonexistent/resolv".into(), "/nonexistent/hosts".into(), "vm".into());
    Answerer::new(Box::new(|name| names::within(name, "allowed.test")), Arc::new(system))
}

fn query(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn reply_to(answerer: &Answerer, message: &[u8]) -> Message {
    match answerer.step(message, Transport::Udp) {
        Step::Reply(reply) => Message::from_vec(&reply).unwrap(),
        other => panic!("no reply: {other:?}"),
    }
}

fn ask(answerer: &Answerer, name: &str, kind: RecordType) -> Message {
    reply_to(answerer, &query(name, kind).to_vec().unwrap())
}

fn addresses(message: &Message) -> Vec<IpAddr> {
    message
        .answers
        .iter()
        .map(|record| match &record.data {
            RData::A(a) => a.0.into(),
            RData::AAAA(aaaa) => aaaa.0.into(),
            other => panic!("not an address: {other:?}"),
        })
        .collect()
}

#[test]
fn a_name_that_is_not_allowed_has_its_stand_ins() {
    let answerer = answerer();
    let v4 = ask(&answerer, "Api.Example.com.", RecordType::A);
    assert_eq!(v4.metadata.response_code, ResponseCode::NoError);
    assert_eq!(v4.metadata.id, 4711);
    assert!(v4.metadata.recursion_available && v4.metadata.recursion_desired);
    assert!(!v4.metadata.authoritative && !v4.metadata.authentic_data);
    assert_eq!(v4.queries[0].name().to_ascii(), "Api.Example.com.");
    assert_eq!(v4.answers[0].name.to_ascii(), "Api.Example.com.");
    assert_eq!(v4.answers[0].ttl, 5);
    let address = addresses(&v4)[0];
    assert!(super::super::is_stand_in(address) && address.is_ipv4());
    assert_eq!(answerer.name_of(address).as_deref(), Some("api.example.com"));
    let v6 = addresses(&ask(&answerer, "api.example.com.", RecordType::AAAA))[0];
    assert!(super::super::is_stand_in(v6) && v6.is_ipv6());
    assert_eq!(answerer.name_of(v6).as_deref(), Some("api.example.com"));
    assert_eq!(addresses(&ask(&answerer, "API.EXAMPLE.COM.", RecordType::A)), [address]);
    assert_ne!(addresses(&ask(&answerer, "example.com.", RecordType::A)), [address]);
}

#[test]
fn other_types_have_no_data_whatever_the_name() {
    let answerer = answerer();
    use RecordType::{
        ANY, AXFR, CAA, CNAME, DNSKEY, DS, HINFO, HTTPS, IXFR, MX, NAPTR, NS, NULL, SOA, SRV, SVCB, TLSA, TXT,
    };
    let kinds = [
        ANY,
        AXFR,
        CAA,
        CNAME,
        DNSKEY,
        DS,
        HINFO,
        HTTPS,
        IXFR,
        MX,
        NAPTR,
        NS,
        NULL,
        SOA,
        SRV,
        SVCB,
        TLSA,
        TXT,
        RecordType::Unknown(65_400),
    ];
    for kind in kinds {
        for name in ["www.allowed.test.", "other.test.", "c2VjcmV0.other.test.", "."] {
            let reply = ask(&answerer, name, kind);
            assert_eq!(reply.metadata.response_code, ResponseCode::NoError, "{name} {kind}");
            assert!(reply.answers.is_empty() && reply.authorities.is_empty(), "{name} {kind}");
        }
    }
}

#[test]
fn an_allowed_name_waits_for_what_upstream_knows() {
    let answerer = answerer();
    let message = query("WWW.allowed.test.", RecordType::AAAA).to_vec().unwrap();
    let cases = [
        (Existence::Exists, ResponseCode::NoError, 1),
        (Existence::NoData, ResponseCode::NoError, 0),
        (Existence::NoName, ResponseCode::NXDomain, 0),
        (Existence::Unknown, ResponseCode::ServFail, 0),
    ];
    for (existence, code, answers) in cases {
        let Step::AskUpstream(pending) = answerer.step(&message, Transport::Udp) else {
            panic!("not asked");
        };
        assert_eq!((pending.name.as_str(), pending.family), ("www.allowed.test", Family::V6));
        let reply = Message::from_vec(&answerer.finish(pending, existence)).unwrap();
        assert_eq!(reply.metadata.response_code, code);
        assert_eq!(reply.answers.len(), answers);
        assert!(addresses(&reply).into_iter().all(super::super::is_stand_in));
    }
}

#[test]
fn what_is_no_host_name_does_not_exist() {
    let answerer = answerer();
    let labels = |labels: &[&[u8]]| {
        let name = Name::from_labels(labels.iter().copied()).unwrap();
        let mut message = query(".", RecordType::A);
        message.queries[0].name = name;
        reply_to(&answerer, &message.to_vec().unwrap())
    };
    let impossible: [&[&[u8]]; 6] = [
        &[b"with space", b"allowed", b"test"],
        &[b"a.b", b"allowed", b"test"],
        &[b"nul\0", b"test"],
        &["bücher".as_bytes(), b"test"],
        &[b"127", b"0", b"0", b"1"],
        &[b"0x7f000001"],
    ];
    for name in impossible {
        let reply = labels(name);
        assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain, "{name:?}");
    }
    for name in ["use-application-dns.net.", "a.invalid.", "abc.onion."] {
        let reply = ask(&answerer, name, RecordType::A);
        assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain, "{name}");
    }
    assert_eq!(answerer.stand_ins().name_of("198.18.0.1".parse().unwrap()), None);
}

#[test]
fn names_of_this_machine_have_loopback_addresses() {
    let answerer = answerer();
    let v4: IpAddr = "127.0.0.1".parse().unwrap();
    let v6: IpAddr = "::1".parse().unwrap();
    for name in ["localhost.", "LocalHost.", "app.localhost.", "vm."] {
        assert_eq!(addresses(&ask(&answerer, name, RecordType::A)), [v4], "{name}");
        assert_eq!(addresses(&ask(&answerer, name, RecordType::AAAA)), [v6], "{name}");
    }
    assert_eq!(addresses(&ask(&answerer, "ip6-localhost.", RecordType::AAAA)), [v6]);
    assert!(addresses(&ask(&answerer, "ip6-localhost.", RecordType::A)).is_empty());
}

#[test]
fn pointers_name_stand_ins_and_loopback_alone() {
    let answerer = answerer();
    let pointer = |name: &str| {
        let reply = ask(&answerer, name, RecordType::PTR);
        match reply.answers.first().map(|record| &record.data) {
            Some(RData::PTR(name)) => Ok(name.to_ascii()),
            _ => Err(reply.metadata.response_code),
        }
    };
    let v6 = addresses(&ask(&answerer, "a.test.", RecordType::AAAA))[0];
    assert_eq!(pointer("1.0.18.198.in-addr.arpa.").as_deref(), Ok("a.test."));
    assert_eq!(pointer(&Name::from(v6).to_ascii()).as_deref(), Ok("a.test."));
    assert_eq!(pointer("1.0.0.127.in-addr.arpa.").as_deref(), Ok("localhost."));
    assert_eq!(pointer("2.0.18.198.in-addr.arpa."), Err(ResponseCode::NXDomain));
    assert_eq!(pointer("1.1.1.1.in-addr.arpa."), Err(ResponseCode::NXDomain));
    assert_eq!(pointer("18.198.in-addr.arpa."), Err(ResponseCode::NoError));
    assert_eq!(pointer("x.in-addr.arpa."), Err(ResponseCode::NoError));
    assert_eq!(pointer("www.allowed.test."), Err(ResponseCode::NoError));
    // The reverse zones hold no hosts, and give none away.
    let forward = ask(&answerer, "1.1.1.1.in-addr.arpa.", RecordType::A);
    assert_eq!((forward.metadata.response_code, forward.answers.len()), (ResponseCode::NoError, 0));
}

#[test]
fn edns_is_answered_in_kind() {
    let answerer = answerer();
    let plain = ask(&answerer, "a.test.", RecordType::A);
    assert!(plain.edns.is_none());
    let mut message = query("a.test.", RecordType::A);
    let mut edns = Edns::new();
    edns.set_max_payload(4096).set_version(0).set_dnssec_ok(true);
    message.set_edns(edns.clone());
    let reply = reply_to(&answerer, &message.to_vec().unwrap());
    assert_eq!(reply.edns.as_ref().map(Edns::max_payload), Some(1232));
    assert_eq!(reply.answers.len(), 1);
    edns.set_version(1);
    message.set_edns(edns);
    let reply = reply_to(&answerer, &message.to_vec().unwrap());
    // 16 is both BADVERS and, in a signed message, BADSIG.
    assert_eq!(u16::from(reply.metadata.response_code), 16);
    assert!(reply.answers.is_empty());
}

#[test]
fn what_is_malformed_gets_formerr_and_what_is_no_query_nothing() {
    let answerer = answerer();
    let good = query("a.test.", RecordType::A);
    let bytes = good.to_vec().unwrap();
    for length in 0..bytes.len() {
        match answerer.step(&bytes[..length], Transport::Udp) {
            Step::Ignore => assert!(length < 12, "{length}"),
            Step::Reply(reply) => {
                let reply = Message::from_vec(&reply).unwrap();
                assert_eq!(reply.metadata.response_code, ResponseCode::FormErr, "{length}");
                assert_eq!(reply.metadata.id, 4711);
            }
            Step::AskUpstream(_) => panic!("asked upstream"),
        }
    }
    let code = |message: &[u8]| reply_to(&answerer, message).metadata.response_code;
    let mut two = good.clone();
    two.add_query(Query::query(Name::from_ascii("www.allowed.test.").unwrap(), RecordType::A));
    assert_eq!(code(&two.to_vec().unwrap()), ResponseCode::FormErr);
    let mut none = good.clone();
    none.queries.clear();
    assert_eq!(code(&none.to_vec().unwrap()), ResponseCode::FormErr);
    let mut many = bytes.clone();
    many[6..8].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(code(&many), ResponseCode::FormErr);
    let mut notify = good.clone();
    notify.metadata.op_code = OpCode::Notify;
    assert_eq!(code(&notify.to_vec().unwrap()), ResponseCode::NotImp);
    let mut chaos = good.clone();
    chaos.queries[0].query_class = DNSClass::CH;
    assert_eq!(code(&chaos.to_vec().unwrap()), ResponseCode::Refused);
    // A name that points at itself.
    let mut looped = bytes[..12].to_vec();
    looped.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
    assert_eq!(code(&looped), ResponseCode::FormErr);
    let response = good.clone().into_response().to_vec().unwrap();
    assert!(matches!(answerer.step(&response, Transport::Udp), Step::Ignore));
}

#[test]
fn what_does_not_fit_is_truncated_over_udp_and_whole_over_tcp() {
    let address = |n: u8| IpAddr::from([127, 0, 0, n]);
    let build = |transport, payload: Option<u16>| {
        let mut message = query("many.test.", RecordType::A);
        if let Some(payload) = payload {
            let mut edns = Edns::new();
            edns.set_max_payload(payload);
            message.set_edns(edns);
        }
        let Read::Query(_, reply) = read(&message.to_vec().unwrap(), transport) else {
            panic!("not a query");
        };
        let bytes = reply.addresses((1..=70).map(address));
        (bytes.len(), Message::from_vec(&bytes).unwrap())
    };
    for (payload, limit) in [(None, 512), (Some(100), 512), (Some(600), 600)] {
        let (length, reply) = build(Transport::Udp, payload);
        assert!(length <= limit, "{payload:?}: {length}");
        assert!(reply.metadata.truncation);
        assert_eq!(reply.queries.len(), 1);
        assert_eq!(reply.edns.is_some(), payload.is_some());
    }
    let (_, reply) = build(Transport::Udp, Some(4096));
    assert!(!reply.metadata.truncation);
    assert_eq!(reply.answers.len(), 70);
    let (_, reply) = build(Transport::Tcp, None);
    assert!(!reply.metadata.truncation);
    assert_eq!(reply.answers.len(), 70);
}

/// A query with a record in each section, so that mutations reach every parser.
fn rich() -> Vec<u8> {
    let mut message = query("www.example.test.", RecordType::A);
    let name = Name::from_ascii("x.test.").unwrap();
    let text = TXT::new(vec!["text".to_owned()]);
    message.add_additional(Record::from_rdata(name, 5, RData::TXT(text)));
    message.set_edns(Edns::new());
    message.to_vec().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_never_panic_and_never_leave(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzzing::query(&bytes);
    }

    #[test]
    fn mutated_queries_never_panic_and_never_leave(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
        tail in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut bytes = rich();
        for (index, value) in changes {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes.extend_from_slice(&tail);
        fuzzing::query(&bytes);
    }

    #[test]
    fn any_text_has_one_spelling_at_most(text in "\\PC{0,80}", host in "[a-zA-Z0-9._-]{0,80}") {
        fuzzing::name(&text);
        fuzzing::name(&host);
    }

    #[test]
    fn any_files_are_read(text in "((nameserver|search|domain|options|#|127.0.0.1|::1|10.0.0.1|vm|\\PC)[ \t\n]){0,40}") {
        fuzzing::files(text.as_bytes());
    }

    #[test]
    fn any_labels_give_a_stand_in_of_their_own_or_no_name(
        labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 1..6),
    ) {
        let answerer = answerer();
        let mut message = query(".", RecordType::A);
        message.queries[0].name = Name::from_labels(labels.iter().map(Vec::as_slice)).unwrap();
        if let Step::Reply(reply) = answerer.step(&message.to_vec().unwrap(), Transport::Udp) {
            let reply = Message::from_vec(&reply).unwrap();
            for address in addresses(&reply) {
                let name = answerer.name_of(address);
                prop_assert!(name.is_none_or(|name| name.split('.').count() == labels.len()));
            }
        }
    }
}
