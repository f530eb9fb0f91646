//! Ordinary containers: places whose own filter refuses what the supervisor would like to use.
#![allow(clippy::unwrap_used)]

mod support;

use support::network::Greeter;
use support::{Launch, Scene, User};

/// Starts askance where these system calls are refused.
fn without<'a>(scene: &'a Scene, calls: &[i64]) -> Launch<'a> {
    let numbers: Vec<String> = calls.iter().map(ToString::to_string).collect();
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs/refusing.py");
    scene.file(&scene.beside("refusing.py"), std::fs::read_to_string(program).unwrap());
    let line = format!("exec /usr/bin/python3 {} {} \"$@\"", scene.beside("refusing.py").display(), numbers.join(","));
    scene.askance().wrapped(&line)
}

/// What Docker's default filter refuses of what the supervisor uses.
const AS_IN_DOCKER: [i64; 2] = [libc::SYS_unshare, libc::SYS_pidfd_getfd];

const FILES: &str = "
import os, socket, subprocess, threading
os.umask(0o027); open('a', 'w').close(); os.mkdir('d'); os.umask(0o002); open('b', 'w').close()
s = socket.socket(socket.AF_UNIX)
print([oct(os.stat(n).st_mode & 0o7777) for n in 'adb'])
f = open('b', 'r+'); os.fchmod(f.fileno(), 0o600); os.utime(f.fileno(), (1, 2)); print(oct(os.stat('b').st_mode), os.stat('b').st_mtime)
def make(n):
    for i in range(100): open(f'{n}-{i}', 'w').close(); os.chmod(f'{n}-{i}', 0o640); os.rename(f'{n}-{i}', f'd/{n}-{i}')
threads = [threading.Thread(target=make, args=(n,)) for n in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
print(len(os.listdir('d')), subprocess.run(['sh', '-c', 'echo out > /dev/stdout; echo err > /dev/stderr; cat < /dev/null > c; cat /dev/stdin'], input=b'in', capture_output=True))
";

for_each_user! {
    fn files_are_served_in_a_container(scene) {
        let other = Scene::new(scene.user);
        let bare = other.bare(&["/usr/bin/python3", "-c", FILES]).success();
        let finished = without(&scene, &AS_IN_DOCKER).run(&["/usr/bin/python3", "-c", FILES]).success().asks_nothing();
        assert_eq!(bare.stdout, finished.stdout, "{finished}");
        without(&scene, &AS_IN_DOCKER).shell("cat ~/.ssh/id_x").fails().denies(&format!("read {}", scene.secret().display()));
        let answers = format!("read {} once\n", scene.secret().display());
        without(&scene, &AS_IN_DOCKER).answers(answers).shell("cat ~/.ssh/id_x").success();
        let line = "git init -q r && cd r && echo x > f && git add f && git -c user.name=t -c user.email=t@example.com commit -qm one && git status --short && git log --format=%s";
        without(&scene, &AS_IN_DOCKER).shell(line).success().says("one\n").asks_nothing();
    }
}

for_each_user! {
    fn connections_are_asked_about_where_sockets_can_be_taken(scene) {
        let server = Greeter::start();
        let line = format!("curl -sS --http0.9 http://127.0.0.1:{}/", server.port);
        let target = format!("127.0.0.1:{}", server.port);
        without(&scene, &[libc::SYS_unshare]).answers(format!("connect {target} once\n")).shell(&line).success().says("hello");
        without(&scene, &[libc::SYS_unshare]).shell(&line).fails().denies(&format!("connect {target}"));
    }
}

for_each_user! {
    fn a_socket_gets_the_name_and_mode_that_it_would_get(scene) {
        let script = "
import os, socket
os.umask(0o077); os.mkdir('d'); os.chdir('d')
s = socket.socket(socket.AF_UNIX); s.bind('../s'); print(s.getsockname(), oct(os.stat('../s').st_mode))
open('f', 'w').close(); print(os.listdir('.'), os.getcwd())
";
        without(&scene, &[libc::SYS_unshare]).run(&["/usr/bin/python3", "-c", script]).success().says("../s 0o140700").says("['f']").asks_nothing();
    }
}

for_each_user! {
    fn where_sockets_cannot_be_taken_connections_are_refused_and_it_is_said_why(scene) {
        let server = Greeter::start();
        let line = format!("curl -sS --http0.9 http://127.0.0.1:{}/", server.port);
        let answers = format!("connect 127.0.0.1:{} once\n", server.port);
        let finished = without(&scene, &AS_IN_DOCKER).answers(answers).shell(&line).fails().complains("--cap-add SYS_PTRACE");
        assert!(finished.report["notes"].to_string().contains("pidfd_getfd"), "{finished}");
        let script = "import ctypes; fd = ctypes.CDLL(None).inotify_init1(0); print(ctypes.CDLL(None).inotify_add_watch(fd, b'.', 0x100))";
        without(&scene, &AS_IN_DOCKER).run(&["/usr/bin/python3", "-c", script]).says("-1").complains("--cap-add SYS_PTRACE");
    }
}
