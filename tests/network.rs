//! Connections and listeners: asked for by name and port, carried out on the program's own socket.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use support::network::{Greeter, NameServer, TlsServer};
use support::{Scene, User, unavailable};

/// Settings with this name server and more keys of `sandbox.network`.
fn network(scene: &Scene, server: &NameServer, more: &str) {
    scene.user_settings(&format!(
        "{{\n  // kept\n  \"sandbox\": {{ \"network\": {{ {}{more} }} }}\n}}\n",
        server.setting()
    ));
}

fn curl(tls: &TlsServer, host: &str) -> String {
    format!("curl -sS --max-time 20 --cacert {} https://{host}:{}/", tls.authority.display(), tls.port())
}

for_each_user! {
    fn an_https_request_asks_once_for_name_and_port(scene) {
        if unavailable("https", &["curl", "openssl"]) {
            return;
        }
        let tls = TlsServer::start(&scene, &["api.example.test"]);
        let server = NameServer::start(&[("api.example.test", "127.0.0.1")]);
        let port = tls.port();
        network(&scene, &server, &format!(r#", "allowedDomains": ["127.0.0.1:{port}"]"#));
        let question = format!("connect api.example.test:{port}");
        scene.askance().answers(format!("{question} once\n")).shell(&curl(&tls, "api.example.test"))
            .success().says("hello from api.example.test").asks(&[&format!("{question} once")]);
    }
}

for_each_user! {
    fn always_for_a_domain_is_kept_with_the_comments(scene) {
        if unavailable("https", &["curl", "openssl"]) {
            return;
        }
        let tls = TlsServer::start(&scene, &["api.example.test"]);
        let server = NameServer::start(&[("api.example.test", "127.0.0.1")]);
        let port = tls.port();
        network(&scene, &server, &format!(r#", "allowedDomains": ["127.0.0.1:{port}"]"#));
        let finished = scene.askance().answers(format!("connect api.example.test:{port} always domain user\n"))
            .shell(&curl(&tls, "api.example.test")).success();
        assert_eq!(finished.questions().len(), 1, "{finished}");
        let text = fs::read_to_string(scene.user_settings_path()).unwrap();
        assert!(text.contains("api.example.test") && text.contains("// kept"), "{text}");
        scene.shell(&curl(&tls, "api.example.test")).success().says("hello").asks_nothing();
    }
}

for_each_user! {
    fn a_private_result_asks_again_and_names_the_address(scene) {
        let greeter = Greeter::start();
        let server = NameServer::start(&[("inner.example.com", "127.0.0.1")]);
        network(&scene, &server, "");
        let port = greeter.port;
        let script = format!("import socket; print(socket.create_connection(('inner.example.com', {port})).recv(9).decode())");
        let python = ["/usr/bin/python3", "-c", &script];
        let finished = scene.askance().answers(format!("connect inner.example.com:{port} once\nconnect * deny\n")).run(&python).fails();
        assert!(finished.questions().len() >= 2 && finished.questions()[1].contains("127.0.0.1"), "{finished}");
        assert_eq!(greeter.greeted(), 0);
        let finished = scene.askance().answers("connect * once\nconnect *=* once\n").run(&python).success().says("hello");
        assert_eq!(finished.questions().len(), 2, "{finished}");
        let finished = scene.askance().answers("connect * always domain user\nconnect *=* always domain user\n").run(&python).success();
        assert_eq!(finished.questions().len(), 2, "{finished}");
        scene.run(&python).success().says("hello").asks_nothing();
    }
}

for_each_user! {
    fn a_refused_connection_fails_at_once_and_names_its_cure(scene) {
        let greeter = Greeter::start();
        let port = greeter.port;
        let script = format!("import socket; socket.create_connection(('127.0.0.1', {port}))");
        let finished = scene.run(&["/usr/bin/python3", "-c", &script]).fails();
        let denied = format!("connect 127.0.0.1:{port}");
        let hint = finished.hint(&denied);
        assert!(hint.starts_with("askance allow domain "), "{hint}");
        assert_eq!(greeter.greeted(), 0);
        let words: Vec<&str> = hint.split_whitespace().skip(1).collect();
        scene.cli(&words).success();
        scene.run(&["/usr/bin/python3", "-c", &script]).success().asks_nothing();
    }
}

for_each_user! {
    fn a_rule_for_subdomains_does_not_cover_the_apex(scene) {
        let greeter = Greeter::start();
        let port = greeter.port;
        let server = NameServer::start(&[("example.test", "127.0.0.1"), ("a.example.test", "127.0.0.1"), ("a.b.example.test", "127.0.0.1")]);
        network(&scene, &server, &format!(r#", "allowedDomains": ["*.example.test", "127.0.0.1:{port}"]"#));
        let to = |host: &str| scene.run(&["/usr/bin/python3", "-c", &format!("import socket; print(socket.create_connection(('{host}', {port})).recv(9).decode())")]);
        to("a.example.test").success().says("hello").asks_nothing();
        to("a.b.example.test").success().says("hello");
        to("A.Example.TEST.").success().says("hello");
        to("example.test").fails();
        assert!(!server.asked().contains(&"example.test".to_owned()), "{:?}", server.asked());
    }
}

for_each_user! {
    fn an_allowed_connection_carries_bytes_both_ways_and_both_ends_close(scene) {
        let server = support::network::Service::python(&scene, r"
import socket
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    total = 0
    while data := connection.recv(1 << 20): total += len(data)
    connection.sendall(b'%d' % total)
    connection.close()
", &[]);
        let port = server.port();
        let script = format!("
import socket
c = socket.create_connection(('127.0.0.1', {port}))
peer = c.getpeername()
for _ in range(64): c.sendall(b'x' * (1 << 20))
c.shutdown(socket.SHUT_WR)
print(c.recv(100).decode(), peer)
");
        scene.askance().flags(&[format!("--allow-domain=127.0.0.1:{port}")]).run(&["/usr/bin/python3", "-c", &script])
            .success().says(&format!("67108864 ('127.0.0.1', {port})")).asks_nothing();
    }
}

for_each_user! {
    fn non_blocking_connects_and_event_loops_work_as_natively(scene) {
        let greeter = Greeter::start();
        let script = format!("
import asyncio, errno, select, socket
async def one():
    reader, writer = await asyncio.open_connection('127.0.0.1', {port})
    assert await reader.readline() == b'hello\\n'
    writer.close()
async def all(): await asyncio.gather(*(one() for _ in range(50)))
asyncio.run(all())
s = socket.socket(); s.setblocking(False)
e = select.epoll(); e.register(s, select.EPOLLOUT)
r = s.connect_ex(('127.0.0.1', {port}))
assert r in (0, errno.EINPROGRESS), r
assert e.poll(5)
assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
assert s.connect_ex(('127.0.0.1', {port})) in (0, errno.EISCONN)
assert s.connect_ex(('127.0.0.1', {port})) == errno.EISCONN
assert s.getpeername() == ('127.0.0.1', {port})
t = socket.socket()
assert t.connect_ex(('127.0.0.1', 1)) == errno.ECONNREFUSED
print('as natively')
", port = greeter.port);
        let flags = [format!("--allow-domain=127.0.0.1:{}", greeter.port), "--allow-domain=127.0.0.1:1".to_owned()];
        scene.askance().flags(&flags).run(&["/usr/bin/python3", "-c", &script]).success().says("as natively").asks_nothing();
        assert_eq!(greeter.greeted(), 51);
    }
}

for_each_user! {
    fn a_server_and_its_client_in_one_run_need_no_question(scene) {
        scene.file(&scene.workspace.join("page"), "a page\n");
        let script = "
import http.client, http.server, subprocess, sys, threading
server = subprocess.Popen([sys.executable, '-m', 'http.server', '0', '--bind', '127.0.0.1'], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={'PYTHONUNBUFFERED': '1'})
port = int(server.stdout.readline().split()[5])
c = http.client.HTTPConnection('127.0.0.1', port); c.request('GET', '/page')
print(c.getresponse().read().decode())
server.terminate(); server.wait()
";
        scene.run(&["/usr/bin/python3", "-c", script]).success().says("a page").asks_nothing();
    }
}

for_each_user! {
    fn a_wildcard_listener_is_confined_silently_and_reported(scene) {
        let script = "
import socket
s = socket.create_server(('0.0.0.0', 0)); port = s.getsockname()[1]
c = socket.create_connection(('127.0.0.1', port)); a, _ = s.accept(); a.sendall(b'hello'); print(c.recv(9).decode())
six = socket.create_server(('::', 0), family=socket.AF_INET6, dualstack_ipv6=True)
c = socket.create_connection(('127.0.0.1', six.getsockname()[1])); print('dual')
";
        let finished = scene.run(&["/usr/bin/python3", "-c", script]).success().says("hello").says("dual");
        assert_eq!(finished.questions(), Vec::<String>::new(), "{finished}");
        assert!(finished.report.to_string().contains("0.0.0.0"), "not reported\n{finished}");
    }
}

for_each_user! {
    fn datagrams_between_own_sockets_and_pairs_are_free(scene) {
        let script = "
import os, socket
a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); a.bind(('127.0.0.1', 0))
b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); b.bind(('127.0.0.1', 0))
b.sendto(b'one', a.getsockname()); data, source = a.recvfrom(9); assert (data, source) == (b'one', b.getsockname())
b.connect(a.getsockname()); b.send(b'two'); assert a.recv(9) == b'two'
b.sendmsg([b'th', b'ree']); assert a.recv(9) == b'three'
x, y = socket.socketpair(); r, w = os.pipe()
socket.send_fds(x, [b'f'], [w]); _, fds, _, _ = socket.recv_fds(y, 9, 1); os.write(fds[0], b'passed'); assert os.read(r, 9) == b'passed'
path = os.environ['TMPDIR'] + '/s'
u = socket.socket(socket.AF_UNIX); u.bind(path); u.listen()
c = socket.socket(socket.AF_UNIX); c.connect(path); s, _ = u.accept(); s.sendall(b'unix'); assert c.recv(9) == b'unix'
assert u.getsockname() == path, u.getsockname()
n = socket.socket(socket.AF_UNIX); n.bind('\\0askance-own-' + str(os.getpid())); n.listen(); c = socket.socket(socket.AF_UNIX); c.connect(n.getsockname())
d = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); d.bind(path + 'd')
e = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); e.sendto(b'datagram', path + 'd'); assert d.recv(9) == b'datagram'
os.chdir(os.environ['TMPDIR']); f = socket.socket(socket.AF_UNIX); f.bind('relative'); assert f.getsockname() == 'relative'
print('free')
";
        scene.run(&["/usr/bin/python3", "-c", script]).success().says("free").asks_nothing();
    }
}

for_each_user! {
    fn a_unix_service_asks_by_its_path(scene) {
        let socket = scene.outside.join("service");
        let _service = support::network::Service::python(&scene, r"
import os, socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); os.chmod(sys.argv[1], 0o777); s.listen()
print('ready', flush=True)
while True: c, _ = s.accept(); c.sendall(b'hello'); c.close()
", &[socket.to_str().unwrap()]);
        let script = format!("import socket; s = socket.socket(socket.AF_UNIX); s.connect('{}'); print(s.recv(9).decode())", socket.display());
        let python = ["/usr/bin/python3", "-c", &script];
        let question = format!("unix {}", socket.display());
        scene.run(&python).fails().denies(&question);
        scene.askance().answers(format!("{question} once\n")).run(&python).success().says("hello").asks(&[&format!("{question} once")]);
        scene.askance().flags(&[format!("--allow-unix={}", socket.display())]).run(&python).success().asks_nothing();
    }
}

for_each_user! {
    fn once_for_a_connection_covers_both_address_families(scene) {
        let greeter = Greeter::start();
        let port = greeter.port;
        let server = NameServer::start(&[("both.example.test", "::1"), ("both.example.test", "127.0.0.1")]);
        network(&scene, &server, &format!(r#", "allowedDomains": ["127.0.0.1:{port}", "[::1]:{port}"]"#));
        let script = format!("import socket; print(socket.create_connection(('both.example.test', {port})).recv(9).decode())");
        let question = format!("connect both.example.test:{port} once");
        scene.askance().answers(format!("{question}\n")).run(&["/usr/bin/python3", "-c", &script]).success().says("hello").asks(&[&question]);
    }
}
