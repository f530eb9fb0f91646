//! Socket calls: the same results as without the sandbox, and where a receiver is heard.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use support::{Scene, User, skip, unavailable};

const SOCKET_CALLS: &str = include_str!("programs/socket_calls.py");
const RECEIVERS: &str = include_str!("programs/receivers.py");
const KNOCK: &str = include_str!("programs/knock_from_outside.py");

/// A network with a neighbour that never answers: connecting to 10.99.0.77 takes seconds to fail.
const SILENT_NEIGHBOUR: &str = r#"exec unshare -n sh -c '
    ip link add near type veth peer name far && ip link set far up &&
    ip address add 10.99.0.1/24 dev near && ip link set near up && exec "$@"' sh "$@""#;

for_each_user! {
    fn socket_calls_answer_as_natively(scene) {
        if unavailable("socket calls", &["python3"]) {
            return;
        }
        let other = Scene::new(scene.user);
        let program = [&other, &scene].map(|scene| {
            let path = scene.workspace.join("socket_calls.py");
            scene.file(&path, SOCKET_CALLS);
            path.to_str().unwrap().to_owned()
        });
        let bare = other.bare(&["/usr/bin/python3", &program[0]]).success();
        let sandboxed = scene.run(&["/usr/bin/python3", &program[1]]).success();
        assert!(bare.stdout.lines().count() > 90, "{bare}");
        assert_eq!(bare.stdout, sandboxed.stdout, "{sandboxed}");
        sandboxed.asks_nothing();
    }
}

/// Making a network namespace takes root.
fn has_networks(what: &str) -> bool {
    if unavailable(what, &["python3", "unshare", "ip"]) {
        return false;
    }
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skip(what, "network namespaces need root");
    }
    root
}

fn python(scene: &Scene, name: &str, text: &str) -> String {
    let path = scene.workspace.join(name);
    scene.file(&path, text);
    path.to_str().unwrap().to_owned()
}

#[test]
fn wildcard_receivers_are_not_heard_from_outside() {
    if !has_networks("receivers heard from outside") {
        return;
    }
    let scene = Scene::new(User::Caller);
    let receivers = python(&scene, "receivers.py", RECEIVERS);
    let knock = format!("exec unshare -n python3 {} \"$@\"", python(&scene, "knock.py", KNOCK));
    let bare = scene.bare(&["sh", "-c", &knock, "sh", "/usr/bin/python3", &receivers]).success();
    assert_eq!(bare.stdout, "bound opens\nunbound opens\nservice heard knock\nclient heard knock\n", "{bare}");
    let sandboxed = scene.askance().wrapped(&knock).run(&["/usr/bin/python3", &receivers]).success();
    // A datagram socket without a port of its choice is a client: it hears, and what it says is judged.
    assert_eq!(
        sandboxed.stdout, "bound refuses\nunbound refuses\nservice heard nothing\nclient heard knock\n",
        "{sandboxed}"
    );
    sandboxed.asks_nothing();
}

#[test]
fn a_signal_interrupts_a_connection_under_way() {
    if !has_networks("an interrupted connection") {
        return;
    }
    let script = "
import errno, signal, socket
class Hit(Exception): pass
def hit(*_): raise Hit
s = socket.socket()
signal.signal(signal.SIGALRM, hit)
signal.setitimer(signal.ITIMER_REAL, 0.2)
try: s.connect(('10.99.0.77', 80))
except Hit: print('hit')
s.setblocking(False)
print(errno.errorcode[s.connect_ex(('10.99.0.77', 80))])
";
    let scene = Scene::new(User::Caller);
    let launch = || scene.askance().wrapped(SILENT_NEIGHBOUR).flags(&["--allow-domain=10.99.0.77"]);
    launch().run(&["/usr/bin/python3", "-c", script]).success().says("hit\nEALREADY\n").asks_nothing();
}

#[test]
fn a_process_killed_while_it_connects_holds_nothing_up() {
    if !has_networks("a connecting process killed") {
        return;
    }
    let scene = Scene::new(User::Caller);
    let connect = "import socket; socket.socket().connect(('10.99.0.77', 80))";
    let line = format!("timeout -s KILL 0.5 /usr/bin/python3 -c \"{connect}\"; echo $?");
    let begun = Instant::now();
    let launch = scene.askance().wrapped(SILENT_NEIGHBOUR).flags(&["--allow-domain=10.99.0.77"]);
    launch.shell(&line).success().says("137");
    assert!(begun.elapsed() < Duration::from_millis(2500), "natively the connection takes three seconds to fail");
}

for_each_user! {
    fn a_program_that_waits_for_its_own_server_is_asked_nothing(scene) {
        let script = "
import socket
free = socket.socket()
free.bind(('127.0.0.1', 0))
here = free.getsockname()
free.close()
try: socket.create_connection(here)
except ConnectionRefusedError: print('not yet')
waiting = socket.socket()
waiting.setblocking(False)
print(waiting.connect_ex(here) != 13)
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'anybody?', here)
server = socket.socket()
server.bind(here)
server.listen()
socket.create_connection(here)
print('up')
";
        scene.run(&["/usr/bin/python3", "-c", script]).success().says("not yet\nTrue\nup\n").asks_nothing();
    }
}
