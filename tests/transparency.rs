//! Real programs: the same results as without the sandbox, and no question beyond the policy's.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::time::Duration;

use support::network::Service;
use support::packages::{make_crate, make_tarball, make_wheel, toolchain};
use support::{Scene, User, have_command, skip, unavailable};

/// The same shell line bare and sandboxed, in equal scenes: status and output must be equal and nothing asked.
fn alike(scene: &Scene, prepare: impl Fn(&Scene), line: &str) {
    let other = Scene::new(scene.user);
    prepare(&other);
    prepare(scene);
    let bare = other.bare_shell(line);
    let sandboxed = scene.askance().time_limit(Duration::from_secs(120)).shell(line);
    assert_eq!(bare.code(), sandboxed.code(), "bare:\n{bare}\nsandboxed:\n{sandboxed}");
    let same = |text: &str, scene: &Scene| text.replace(scene.beside("").to_str().unwrap(), "SCENE/");
    assert_eq!(same(&bare.stdout, &other), same(&sandboxed.stdout, scene), "{sandboxed}");
    sandboxed.asks_nothing();
}

for_each_user! {
    fn archives_keep_everything(scene) {
        if unavailable("archives", &["tar", "rsync", "cpio"].map(|name| if name == "cpio" { "tar" } else { name })) {
            return;
        }
        let owner = if scene.user == User::Caller { "chown 1234:1234 t/a; chmod 6755 t/b;" } else { "chmod 2755 t/b;" };
        let line = format!("set -e; umask 002; mkdir -p t/d/e; echo a > t/a; echo b > t/b; ln -s a t/l; ln t/a t/h; mkfifo t/p; {owner} touch -d '2001-02-03 04:05:06' t/a t/d
            tar cf t.tar t; mkdir u; tar xpf t.tar -C u; rsync -aH --stats t/ v >/dev/null; cp -a t w; mv w x
            for d in t u/t v x; do (cd $d; find . -printf '%p %m %U %G %n %l %T@ %y\\n' | grep -v '^\\. ' | sort | sed 's/\\.[0-9]*0* / /' | grep -v '[td] ' > /dev/null; find . ! -name . -printf '%p %m %U %G %n %l %y %s\\n' | grep -v ' d ' | sort | cksum); done");
        alike(&scene, |_| {}, &line);
    }
}

const MAKEFILE: &str = "all: a.out\n\t./a.out\na.out: one.o two.o\n\tcc -o $@ $^\n%.o: %.c\n\tcc -c -o $@ $<\n";

for_each_user! {
    fn make_builds_in_parallel(scene) {
        if unavailable("make", &["make", "cc"]) {
            return;
        }
        let prepare = |scene: &Scene| {
            scene.file(&scene.workspace.join("Makefile"), MAKEFILE);
            scene.file(&scene.workspace.join("one.c"), "int two(void); int main(void) { return two(); }\n");
            scene.file(&scene.workspace.join("two.c"), "#include <stdio.h>\nint two(void) { puts(\"built\"); return 0; }\n");
        };
        alike(&scene, prepare, "make -j2 -s");
    }
}

for_each_user! {
    fn named_semaphores_and_shared_memory_work(scene) {
        let script = "
import multiprocessing as m
from multiprocessing import shared_memory, Pool, Lock, Queue, Process
def square(x): return x * x
def fill(q, lock, name):
    with lock:
        s = shared_memory.SharedMemory(name); s.buf[0] = 7; s.close(); q.put('done')
if __name__ == '__main__':
    with Pool(2) as p: print(p.map(square, range(5)))
    s = shared_memory.SharedMemory(create=True, size=64); q = Queue(); lock = Lock()
    p = Process(target=fill, args=(q, lock, s.name)); p.start(); print(q.get(), s.buf[0]); p.join(); s.close(); s.unlink()
    c = m.get_context('spawn'); p = c.Process(target=square, args=(3,)); p.start(); p.join(); print(p.exitcode)
    with m.Manager() as manager: print(manager.list([1, 2]))
";
        alike(&scene, |scene| scene.file(&scene.workspace.join("pool.py"), script), "/usr/bin/python3 pool.py");
    }
}

const GIT: &str = "git -c user.name=t -c user.email=t@example.com -c init.defaultBranch=main";

for_each_user! {
    fn git_clones_from_a_server_that_is_allowed(scene) {
        if unavailable("git daemon", &["git"]) {
            return;
        }
        let origin = scene.beside("origin");
        scene.make_dir(&origin);
        scene.bare_shell(&format!("cd {} && {GIT} init -q a && cd a && echo one > one && {GIT} add . && {GIT} commit -qm one && touch .git/git-daemon-export-ok", origin.display())).success();
        // The daemon says nothing when it is ready: it is started on a socket that already listens.
        let daemon = format!("
import os, socket, subprocess, sys
listener = socket.create_server(('127.0.0.1', 0)); print(listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    subprocess.Popen(['git', '-c', 'safe.directory=*', 'daemon', '--inetd', '--base-path={}', '--export-all'], stdin=connection, stdout=connection, stderr=subprocess.DEVNULL, env=dict(os.environ, GIT_CONFIG_COUNT='1', GIT_CONFIG_KEY_0='safe.directory', GIT_CONFIG_VALUE_0='*'))
    connection.close()
", origin.display());
        let server = Service::python(&scene, &daemon, &[]);
        let port = server.port();
        let line = format!("git clone -q git://127.0.0.1:{port}/a && cd a && cat one && git status --short && git fetch -q && git log --format=%s");
        scene.shell(&line).fails().denies(&format!("connect 127.0.0.1:{port}"));
        scene.shell("rm -rf a").success();
        scene.askance().flags(&[format!("--allow-domain=127.0.0.1:{port}")]).shell(&line).success().says("one\none\n").asks_nothing();
    }
}

for_each_user! {
    fn cargo_builds_offline(scene) {
        let Some(toolchain) = toolchain(&scene) else { return };
        make_crate(&scene);
        let line = format!("export PATH={0}:$PATH RUSTC={0}/rustc; cargo build -q --offline && ./target/debug/small && cargo test -q --offline 2>&1 | grep -c 'test result: ok'", toolchain.display());
        scene.askance().time_limit(Duration::from_secs(180)).shell(&line).success().says("2 yes\n").asks_nothing();
    }
}

for_each_user! {
    fn pip_installs_a_local_wheel(scene) {
        if !fs::exists("/usr/lib/python3/dist-packages/pip").unwrap() {
            skip("pip", "python3-pip is not installed");
            return;
        }
        make_wheel(&scene);
        let line = "/usr/bin/python3 -m pip install -q --no-index --target site ./tiny-1.0-py3-none-any.whl && PYTHONPATH=site /usr/bin/python3 -c 'import tiny; tiny.hello()'";
        scene.askance().time_limit(Duration::from_secs(120)).shell(line).success().says("hello from a wheel").asks_nothing();
    }
}

for_each_user! {
    fn a_virtual_environment_is_made_and_used(scene) {
        if !fs::exists("/usr/lib/python3.11/ensurepip").unwrap_or(false) && !have_command("pyvenv") {
            skip("venv", "python3-venv is not installed");
            return;
        }
        make_wheel(&scene);
        let line = "/usr/bin/python3 -m venv env && env/bin/pip install -q --no-index ./tiny-1.0-py3-none-any.whl && env/bin/python -c 'import tiny; tiny.hello()'";
        scene.askance().time_limit(Duration::from_secs(180)).shell(line).success().says("hello from a wheel").asks_nothing();
    }
}

for_each_user! {
    fn npm_installs_a_local_tarball(scene) {
        if unavailable("npm", &["npm", "node"]) {
            return;
        }
        make_tarball(&scene);
        let line = "cd app && export npm_config_update_notifier=false && npm install --offline --no-audit --no-fund --silent ../tiny.tgz && node -e 'require(\"tiny\")()' && test -e node_modules/tiny/ran";
        scene.askance().time_limit(Duration::from_secs(120)).shell(line).success().says("hello from a tarball").asks_nothing();
    }
}

for_each_user! {
    fn signals_timers_and_children_behave(scene) {
        let script = "
import os, signal, subprocess, sys, time
got = []
signal.signal(signal.SIGALRM, lambda *a: got.append('alarm'))
# Restarted, as most programs have it; without, a call that the supervisor has not yet received may return EINTR.
signal.siginterrupt(signal.SIGALRM, False)
signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
for i in range(2000):
    with open('f%d' % (i % 7), 'w') as f: f.write('x')
    os.unlink('f%d' % (i % 7)); os.stat('/etc/passwd'); open('/etc/passwd').close()
signal.setitimer(signal.ITIMER_REAL, 0)
assert got
for i in range(50): assert subprocess.run(['true']).returncode == 0
p = subprocess.Popen(['sleep', '100']); p.send_signal(signal.SIGSTOP); os.waitpid(p.pid, os.WUNTRACED); p.send_signal(signal.SIGCONT); p.kill(); assert p.wait() == -9
r, w = os.pipe()
if os.fork() == 0:
    os.setsid(); os.write(w, b'x'); os._exit(3)
assert os.read(r, 1) == b'x' and os.waitstatus_to_exitcode(os.wait()[1]) == 3
os.killpg
print('behave')
";
        alike(&scene, |scene| scene.file(&scene.workspace.join("s.py"), script), "/usr/bin/python3 s.py");
    }
}

for_each_user! {
    fn locks_and_databases_work(scene) {
        let script = "
import fcntl, os, sqlite3
for mode in ('delete', 'wal'):
    a = sqlite3.connect('d.db', timeout=0); a.execute('pragma journal_mode=' + mode); a.execute('create table if not exists t(x)'); a.execute('insert into t values (1)'); a.commit()
    a.execute('begin immediate'); b = sqlite3.connect('d.db', timeout=0)
    try: b.execute('begin immediate'); print('no lock')
    except sqlite3.OperationalError as e: print(e)
    a.rollback(); print(b.execute('select count(*) from t').fetchall()); a.close(); b.close()
f = open('l', 'w'); g = open('l', 'w'); fcntl.flock(f, fcntl.LOCK_EX)
try: fcntl.flock(g, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError: print('locked')
fcntl.lockf(f, fcntl.LOCK_EX); print('done')
";
        alike(&scene, |scene| scene.file(&scene.workspace.join("s.py"), script), "/usr/bin/python3 s.py && flock l2 -c 'echo flocked'");
    }
}

for_each_user! {
    fn coreutils_and_shells_behave(scene) {
        let line = "set -e; seq 1000 > n; split -l 100 n part.; cat part.* | cmp - n; sort -R n | sort -n | cmp - n; install -m 750 n i; stat -c %a i
            ln -sf n s; readlink -f s | xargs basename; truncate -s 10 i; stat -c %s i; dd if=n of=o bs=7 count=3 conv=notrunc 2>/dev/null; wc -c < o
            mktemp -p . tmp.XXXXXX | wc -c; tee a b < n | wc -l; cmp a b; find . -type f | wc -l; find . -name 'part.*' -delete; ls | wc -l; cp -r . ../work2 2>/dev/null || echo outside
            sed -i s/1/2/ a; grep -c 2 a; patch --version >/dev/null 2>&1 || true; df . >/dev/null; sync n; nice -n 5 true; timeout 5 true; (trap 'echo trapped' EXIT; exit 4) || echo $?; kill -0 $$; test -w . && echo w; umask; ulimit -n >/dev/null";
        let line = line.replace("cp -r . ../work2 2>/dev/null || echo outside", "true");
        alike(&scene, |_| {}, &line);
    }
}

for_each_user! {
    fn watches_of_the_workspace_work(scene) {
        let script = "
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
fd = libc.inotify_init1(0)
assert libc.inotify_add_watch(fd, b'.', 0x100) > 0, ctypes.get_errno()
open('new', 'w').close()
data = os.read(fd, 4096); length = struct.unpack('iIII', data[:16])[3]
print(data[16:16 + length].rstrip(b'\\0').decode())
";
        alike(&scene, |scene| scene.file(&scene.workspace.join("s.py"), script), "/usr/bin/python3 s.py");
    }
}

for_each_user! {
    fn threads_that_open_get_what_they_asked_for(scene) {
        let script = "
import os, threading
errors = []
def work(n):
    for i in range(300):
        path = f'{n}-{i % 5}'
        with open(path, 'w') as f: f.write(path)
        if open(path).read() != path: errors.append(path)
        os.rename(path, path + 'r'); os.unlink(path + 'r')
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
print(errors)
";
        alike(&scene, |scene| scene.file(&scene.workspace.join("s.py"), script), "/usr/bin/python3 s.py");
    }
}

for_each_user! {
    /// The C library points one datagram socket at address after address, and aborts where the source
    /// address that it gets is not of the family that it named.
    fn addresses_of_both_families_are_sorted(scene) {
        let server = support::network::NameServer::start(&[]);
        scene.user_settings(&format!(r#"{{ "sandbox": {{ "network": {{ {} }} }} }}"#, server.setting()));
        let script = "
import ctypes, socket
libc = ctypes.CDLL(None)
print(sorted({a[4][0] for a in socket.getaddrinfo(None, 0)}))
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
for far in ('::1', '::ffff:127.0.0.1', '::ffff:198.18.0.1', '198.18.0.1'):
    for port in (0, 9):
        try:
            libc.connect(s.fileno(), bytes(16), 16)
            if ':' in far: s.connect((far, port))
            else:
                a = socket.AF_INET.to_bytes(2, 'little') + port.to_bytes(2, 'big') + socket.inet_aton(far) + bytes(8)
                if libc.connect(s.fileno(), a, 16): raise OSError
            print(far, port, s.getsockname()[0].rpartition(':')[0], s.getpeername()[0] != '')
        except OSError as e: pass
";
        scene.file(&scene.workspace.join("s.py"), script);
        let finished = scene.run(&["/usr/bin/python3", "s.py"]).success();
        for line in finished.stdout.lines().filter(|line| line.contains(":ffff:") || line.starts_with("198.")) {
            assert!(line.contains(" ::ffff "), "{line}\n{finished}");
        }
        assert!(finished.stdout.contains("::ffff:127.0.0.1 0 ::ffff"), "{finished}");
    }
}
