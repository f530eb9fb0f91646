//! What holds for any input at all: checked with random input by the tests and by `fuzz/`.

use std::net::Ipv4Addr;
use std::sync::Arc;

use hickory_proto::op::{Message, MessageType};

use super::answer::{Answerer, Existence, Step, Transport};
use super::names::{normalise, within};
use super::system::{Hosts, Resolv, System, candidates};

fn is_allowed(name: &str) -> bool {
    within(name, "allowed.test")
}

/// Any bytes as a query: a reply is well formed, of bounded length and for its query, and only an
/// allowed name is taken upstream.
pub fn query(message: &[u8]) {
    let system = System::at("/nonexistent/resolv".into(), "/nonexistent/hosts".into(), "vm".into());
    let allowed = Box::new(|name: &str| {
        assert_eq!(normalise(name).as_deref(), Ok(name), "judged in another spelling");
        is_allowed(name)
    });
    let answerer = Answerer::new(allowed, Arc::new(system));
    for (transport, limit) in [(Transport::Udp, 1232), (Transport::Tcp, 65_535)] {
        let reply = match answerer.step(message, transport) {
            Step::Ignore => continue,
            Step::Reply(reply) => reply,
            Step::AskUpstream(pending) => {
                assert!(is_allowed(&pending.name), "{} leaves", pending.name);
                answerer.finish(pending, Existence::Exists)
            }
        };
        assert!(reply.len() <= limit);
        assert_eq!(reply[..2], message[..2]);
        let reply = Message::from_vec(&reply).expect("a reply is a message");
        assert_eq!(reply.metadata.message_type, MessageType::Response);
    }
}

/// Any text as a name: its spelling is the only one, and all that is made of it are names.
pub fn name(text: &str) {
    let Ok(name) = normalise(text) else { return };
    assert_eq!(normalise(&name).as_deref(), Ok(&*name));
    assert_eq!(normalise(&format!("{}.", name.to_ascii_uppercase())).as_deref(), Ok(&*name));
    for candidate in candidates(&name, &["corp.test".to_owned(), name.clone()]) {
        assert_eq!(normalise(&candidate).as_deref(), Ok(&*candidate));
    }
}

/// Any text as the machine's files: what is made of them reads back as what it says.
pub fn files(text: &[u8]) {
    let resolv = Resolv::parse(text, "vm.home.test");
    assert!((1..=3).contains(&resolv.nameservers.len()));
    let again = Resolv::parse(&resolv.synthetic(Ipv4Addr::LOCALHOST), "vm.home.test");
    assert_eq!(again.nameservers, [Ipv4Addr::LOCALHOST]);
    assert_eq!(again.search, resolv.search);
    let hosts = Hosts::parse(text, "vm.home.test");
    let synthetic = hosts.synthetic();
    let again = Hosts::parse(&synthetic, "vm.home.test");
    assert_eq!(again.synthetic(), synthetic);
    assert!(again.loopback("localhost").is_some() && again.loopback("vm").is_some());
}
