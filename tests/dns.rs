//! Name look-ups: stand-in addresses, nothing leaves for a name that is not allowed, every resolver works.
#![allow(clippy::unwrap_used)]

mod support;

use support::network::{Greeter, NameServer};
use support::{Scene, User, build_static_attack, unavailable};

fn name_server(scene: &Scene, server: &NameServer, allowed: &str) {
    scene.user_settings(&format!(
        r#"{{ "sandbox": {{ "network": {{ {}, "allowedDomains": [{allowed}] }} }} }}"#,
        server.setting()
    ));
}

fn is_stand_in(address: &str) -> bool {
    address.starts_with("198.18.") || address.starts_with("198.19.")
}

for_each_user! {
    fn getent_answers_a_stand_in_for_a_name_that_is_not_allowed(scene) {
        let server = NameServer::start(&[("secret-data.example.test", "127.0.0.1")]);
        name_server(&scene, &server, "");
        let finished = scene.run(&["getent", "ahostsv4", "secret-data.example.test"]).success().asks_nothing();
        assert!(is_stand_in(&finished.stdout), "{finished}");
        assert_eq!(scene.run(&["getent", "hosts", "secret-data.example.test"]).success().questions(), Vec::<String>::new());
        assert_eq!(server.asked(), Vec::<String>::new());
    }
}

for_each_user! {
    fn an_allowed_name_is_asked_upstream_so_that_its_errors_are_true(scene) {
        let server = NameServer::start(&[("there.example.test", "203.0.113.7")]);
        name_server(&scene, &server, r#""*.example.test""#);
        let finished = scene.run(&["getent", "ahostsv4", "there.example.test"]).success();
        assert!(is_stand_in(&finished.stdout), "{finished}");
        scene.run(&["getent", "ahostsv4", "missing.example.test"]).exits(2);
        assert!(server.was_asked_about("there.example.test") && server.was_asked_about("missing.example.test"), "{:?}", server.asked());
    }
}

for_each_user! {
    fn one_name_has_one_stand_in_and_its_pointer_names_it(scene) {
        if unavailable("PTR", &["dig"]) {
            return;
        }
        let server = NameServer::start(&[]);
        name_server(&scene, &server, "");
        let line = "a=$(dig +short one.example.com); b=$(dig +short one.example.com); c=$(dig +short two.example.com); \
                    test $a = $b && test $a != $c && dig +short -x $a";
        scene.shell(line).success().says("one.example.com.");
        assert_eq!(server.asked(), Vec::<String>::new());
    }
}

for_each_user! {
    fn dig_works_over_udp_and_tcp(scene) {
        if unavailable("dig", &["dig"]) {
            return;
        }
        let server = NameServer::start(&[]);
        name_server(&scene, &server, "");
        for flags in ["+notcp", "+tcp"] {
            let finished = scene.shell(&format!("dig {flags} +short name.example.com; dig {flags} +short @192.0.2.53 name.example.com")).success();
            assert_eq!(finished.stdout.lines().filter(|line| is_stand_in(line)).count(), 2, "{finished}");
            let finished = scene.shell(&format!("dig {flags} name.example.com TXT")).success().says("NOERROR");
            assert!(!finished.stdout.contains("timed out"), "{finished}");
        }
        assert_eq!(server.asked(), Vec::<String>::new());
    }
}

/// What each resolver does with an allowed name, with the connection at its end.
fn reaches(scene: &Scene, what: &str, argv: &[&str]) {
    let finished = scene.run(argv).success();
    assert!(finished.stdout.contains("hello"), "{what}\n{finished}");
    finished.asks_nothing();
}

for_each_user! {
    fn every_resolver_reaches_an_allowed_name(scene) {
        let greeter = Greeter::start();
        let port = greeter.port;
        let server = NameServer::start(&[("api.example.test", "127.0.0.1")]);
        name_server(&scene, &server, &format!(r#""api.example.test:{port}", "127.0.0.1:{port}""#));
        let python = format!("import socket; print(socket.create_connection(('api.example.test', {port})).recv(9).decode())");
        reaches(&scene, "glibc from Python", &["/usr/bin/python3", "-c", &python]);
        if !unavailable("curl", &["curl"]) {
            reaches(&scene, "curl", &["curl", "-sS", "--max-time", "10", "--http0.9", &format!("http://api.example.test:{port}/")]);
        }
        if !unavailable("Node", &["node"]) {
            let script = format!("require('net').connect({port}, 'api.example.test').on('data', d => {{ process.stdout.write(d); process.exit(0) }})");
            reaches(&scene, "Node, by libc", &["node", "-e", &script]);
            let script = format!("require('dns').resolve4('api.example.test', (e, a) => require('net').connect({port}, a[0]).on('data', d => {{ process.stdout.write(d); process.exit(0) }}))");
            reaches(&scene, "Node, by c-ares", &["node", "-e", &script]);
        }
        if let Some(program) = build_static_attack("row_18_private") {
            let finished = scene.run(&[program.to_str().unwrap(), &port.to_string(), "api.example.test"]).success();
            assert!(finished.stdout.contains("through: api.example.test"), "musl\n{finished}");
        }
    }
}

for_each_user! {
    fn the_resolver_configuration_is_the_stubs(scene) {
        let server = NameServer::start(&[]);
        name_server(&scene, &server, "");
        let finished = scene.run(&["cat", "/etc/resolv.conf"]).success().asks_nothing();
        let servers: Vec<&str> = finished.stdout.lines().filter(|line| line.starts_with("nameserver")).collect();
        assert!(!servers.is_empty() && servers.iter().all(|line| line.contains("127.") || line.contains("::1")), "{finished}");
    }
}

for_each_user! {
    fn localhost_needs_no_look_up(scene) {
        let server = NameServer::start(&[]);
        name_server(&scene, &server, "");
        scene.run(&["getent", "ahostsv4", "localhost"]).success().says("127.0.0.1").asks_nothing();
        assert_eq!(server.asked(), Vec::<String>::new());
    }
}

for_each_user! {
    fn looking_up_many_names_asks_nothing(scene) {
        let server = NameServer::start(&[]);
        name_server(&scene, &server, "");
        let script = "
import socket
seen = {socket.getaddrinfo(f'n{i}.example.com', 80, socket.AF_INET)[0][4][0] for i in range(300)}
assert len(seen) == 300, len(seen)
print(len(seen))
";
        scene.run(&["/usr/bin/python3", "-c", script]).success().says("300").asks_nothing();
        assert_eq!(server.asked(), Vec::<String>::new());
    }
}
