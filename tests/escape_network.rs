//! ATTACKS rows 11 to 18, for real: addresses, socket kinds, datagrams, Unix sockets, listeners, name look-ups.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::time::Duration;

use support::network::{Greeter, NameServer, Service, Sink};
use support::{Scene, User, build_attack, build_static_attack};

fn words<'a>(program: &'a Path, arguments: &[&'a str]) -> Vec<&'a str> {
    std::iter::once(program.to_str().unwrap()).chain(arguments.iter().copied()).collect()
}

for_each_user! {
    fn row_11_no_spelling_of_an_address_reaches_it(scene) {
        let program = build_attack("row_11_addresses");
        let greeter = Greeter::on_every_address();
        let port = greeter.port.to_string();
        scene.bare(&words(&program, &[&port])).success().gets_through();
        let before = greeter.greeted();
        let finished = scene.run(&words(&program, &[&port])).success().holds();
        assert_eq!(greeter.greeted(), before, "somebody connected\n{finished}");
    }
}

for_each_user! {
    fn row_11_an_approved_address_is_approved_in_every_spelling_of_it(scene) {
        let program = build_attack("row_11_addresses");
        let greeter = Greeter::on_every_address();
        let port = greeter.port.to_string();
        let allowed = format!("--allow-domain=127.0.0.1:{port}");
        let attack = scene.askance().flags(&[allowed]).run(&words(&program, &[&port])).success().attack();
        for spelling in ["v4 size 16", "v4 size 28", "v6 ::ffff:127.0.0.1 size 28 scope 0 family 10 flow 0"] {
            assert!(attack.names.iter().any(|name| name == spelling), "{spelling} was refused: {:#?}", attack.names);
        }
        for spelling in ["::1 size", "127.9.9.9", "name ::1"] {
            assert!(!attack.names.iter().any(|name| name.contains(spelling)), "{spelling} got through: {:#?}", attack.names);
        }
    }
}

for_each_user! {
    fn row_12_other_kinds_of_sockets_are_refused(scene) {
        let program = build_attack("row_12_sockets");
        let greeter = Greeter::start();
        let port = greeter.port.to_string();
        scene.bare(&words(&program, &[&port])).success().gets_through();
        // Another one: the first may still be counting.
        let greeter = Greeter::start();
        scene.run(&words(&program, &[&greeter.port.to_string()])).success().holds();
        assert_eq!(greeter.greeted(), 0);
    }
}

for_each_user! {
    fn row_13_every_datagram_is_judged(scene) {
        let program = build_attack("row_13_datagrams");
        let (good, bad) = (Sink::start(), Sink::start());
        let ports = [good.port.to_string(), bad.port.to_string()];
        let argv = words(&program, &[&ports[0], &ports[1]]);
        scene.bare(&argv).success().gets_through();
        assert!(bad.arrived() > 5);
        good.arrived();
        let finished = scene.askance().flags(&[format!("--allow-domain=127.0.0.1:{}", good.port)]).run(&argv).success().holds();
        assert_eq!(bad.arrived(), 0, "{finished}");
        assert!(good.arrived() > 0, "nothing allowed arrived either\n{finished}");
    }
}

for_each_user! {
    fn row_14_control_messages_route_nothing_elsewhere(scene) {
        let program = build_attack("row_14_control");
        scene.bare(&words(&program, &[])).success().gets_through();
        scene.run(&words(&program, &[])).success().holds();
    }
}

const SERVES_UNIX: &str = r#"
import os, signal, socket, sys
stream = socket.socket(socket.AF_UNIX)
stream.bind(sys.argv[1])
datagram = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
datagram.bind(sys.argv[2])
plain = socket.socket(socket.AF_UNIX)
plain.bind(b"\0" + sys.argv[3].encode())
embedded = socket.socket(socket.AF_UNIX)
embedded.bind(b"\0" + sys.argv[3].encode() + b"\0x")
for s in (stream, plain, embedded): s.listen(100)
for path in sys.argv[1:3]: os.chmod(path, 0o777)
print("ready", flush=True)
while True: signal.pause()
"#;

for_each_user! {
    fn row_15_unix_sockets_outside_are_refused(scene) {
        let program = build_attack("row_15_unix");
        let stream = scene.outside.join("stream").to_str().unwrap().to_owned();
        let datagram = scene.outside.join("datagram").to_str().unwrap().to_owned();
        let name = format!("askance-test-{}", stream.replace('/', "-"));
        let _service = Service::python(&scene, SERVES_UNIX, &[&stream, &datagram, &name]);
        let other = Scene::new(scene.user);
        let bare = [other.workspace.to_str().unwrap(), &stream, &datagram, &name];
        other.bare(&words(&program, &bare)).success().gets_through();
        let sandboxed = [scene.workspace.to_str().unwrap(), &stream, &datagram, &name];
        scene.run(&words(&program, &sandboxed)).success().holds().denies(&format!("unix {stream}"));
    }
}

for_each_user! {
    fn row_16_listeners_are_confined_to_loopback(scene) {
        let program = build_attack("row_16_listen");
        scene.bare(&words(&program, &[])).success().gets_through();
        scene.run(&words(&program, &[])).success().holds();
    }
}

const EXFILTRATED: &str = "stolen.example.com";

for_each_user! {
    fn row_17_no_query_for_a_name_that_is_not_allowed_leaves(scene) {
        let server = NameServer::start(&[("api.example.test", "127.0.0.1")]);
        let port = server.port.to_string();
        let programs = [Some(build_attack("row_17_dns")), build_static_attack("row_17_dns")];
        for program in programs.into_iter().flatten() {
            let argv = words(&program, &[&port, EXFILTRATED, "192.0.2.53", "127.0.0.53"]);
            if server.asked().is_empty() {
                scene.bare(&argv).success();
                assert!(server.was_asked_about("data0.stolen"), "the attack does not even work bare: {:?}", server.asked());
            }
            let before = server.asked().len();
            scene.user_settings(&format!(r#"{{ "sandbox": {{ "network": {{ {}, "allowedDomains": ["api.example.test"] }} }} }}"#, server.setting()));
            let finished = scene.run(&argv).success().holds();
            assert_eq!(server.asked()[before..], Vec::<String>::new(), "{finished}");
        }
    }
}

for_each_user! {
    fn row_17_an_allowed_name_carries_nothing_in_its_spelling(scene) {
        let server = NameServer::start(&[("api.example.test", "192.0.2.7")]);
        scene.user_settings(&format!(r#"{{ "sandbox": {{ "network": {{ {}, "allowedDomains": ["api.example.test"] }} }} }}"#, server.setting()));
        for spelling in ["api.example.test", "aPi.eXAmple.TesT", "API.EXAMPLE.TEST."] {
            scene.run(&["getent", "ahostsv4", spelling]).success();
        }
        assert!(!server.spelled().is_empty());
        for spelling in server.spelled() {
            assert_eq!(spelling, "api.example.test", "upper case is a bit a letter");
        }
    }
}

for_each_user! {
    fn row_17_a_name_that_is_not_allowed_gets_a_stand_in_whatever_asks(scene) {
        let server = NameServer::start(&[]);
        scene.user_settings(&format!(r#"{{ "sandbox": {{ "network": {{ {} }} }} }}"#, server.setting()));
        let finished = scene.run(&["getent", "ahostsv4", EXFILTRATED]).success();
        assert!(finished.stdout.starts_with("198.18.") || finished.stdout.starts_with("198.19."), "{finished}");
        assert_eq!(server.asked(), Vec::<String>::new());
    }
}

for_each_user! {
    fn row_18_an_allowed_name_does_not_lead_to_a_private_address(scene) {
        let program = build_attack("row_18_private");
        let greeter = Greeter::on_every_address();
        let port = greeter.port.to_string();
        scene.bare(&words(&program, &[&port, "127.0.0.1", "::1"])).success().gets_through();
        let addresses = [
            ("loopback", "127.0.0.1"), ("other-loopback", "127.3.3.3"), ("unspecified", "0.0.0.0"), ("six", "::1"),
            ("six-unspecified", "::"), ("mapped", "::ffff:127.0.0.1"), ("private", "10.1.2.3"), ("private2", "172.16.0.1"),
            ("private3", "192.168.0.1"), ("shared", "100.64.0.1"), ("metadata", "169.254.169.254"),
            ("metadata6", "fd00:ec2::254"), ("link", "fe80::1"), ("translated", "64:ff9b::7f00:1"), ("multicast", "224.0.0.1"),
        ];
        let records: Vec<(String, &str)> = addresses.iter().map(|(name, address)| (format!("{name}.example.com"), *address)).collect();
        let server = NameServer::start(&records.iter().map(|(name, address)| (name.as_str(), *address)).collect::<Vec<_>>());
        scene.user_settings(&format!(r#"{{ "sandbox": {{ "network": {{ {}, "allowedDomains": ["*.example.com"] }} }} }}"#, server.setting()));
        let mut arguments = vec![port.as_str()];
        arguments.extend(records.iter().map(|(name, _)| name.as_str()));
        let before = greeter.greeted();
        let finished = scene.askance().time_limit(Duration::from_secs(120)).run(&words(&program, &arguments)).success().holds();
        assert_eq!(greeter.greeted(), before, "{finished}");
        assert!(finished.denied().iter().any(|denied| denied.contains("loopback.example.com")), "{finished}");
    }
}
