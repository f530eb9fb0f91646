//! ATTACKS rows 1, 2, 24, 25 and 37: what broke comparable sandboxes, tried here. A socket or the memory under a call is
//! exchanged; the supervisor runs out of what it needs; the kernel acts on somebody's word.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use support::command::processes_that_mention;
use support::network::{Greeter, Sink, wait_until};
use support::{Scene, User, Victim, build_attack, race_limit, skip};

fn words<'a>(program: &'a Path, arguments: &'a [String]) -> Vec<&'a str> {
    std::iter::once(program.to_str().unwrap()).chain(arguments.iter().map(String::as_str)).collect()
}

fn text(path: impl AsRef<Path>) -> String {
    path.as_ref().to_str().unwrap().to_owned()
}

/// `row_02_socket MODE GOOD BAD`, with GOOD allowed: bare the harmless side and the other work, sandboxed the harmless alone.
fn exchanged(scene: &Scene, mode: &str, [good, bad]: [u16; 2], arrived: impl Fn() -> usize) {
    let program = build_attack("row_02_socket");
    let mut arguments = vec![mode.to_owned(), good.to_string(), bad.to_string()];
    arguments.extend(race_limit());
    let counted = |said: &support::Finished| said.attack().through > 0 || arrived() > 0;
    let bare = scene.bare(&words(&program, &arguments)).success();
    assert!(counted(&bare), "the attack does not even work bare\n{bare}");
    // What is on its way has come.
    std::thread::sleep(Duration::from_millis(100));
    arrived();
    let allowed = format!("--allow-domain=127.0.0.1:{good}");
    let finished = scene.askance().flags(&[allowed]).run(&words(&program, &arguments)).success().holds();
    assert_eq!(arrived(), 0, "something arrived where nothing may\n{finished}");
    let worked = finished.stdout.lines().find_map(|line| line.strip_prefix("worked ")?.split(' ').next()?.parse().ok());
    assert!(worked.is_some_and(|worked: u64| worked > 0), "nothing worked at all\n{finished}");
}

for_each_user! {
    fn row_02_a_swapped_socket_sends_and_connects_only_as_judged(scene) {
        let (good, bad) = (Sink::start(), Sink::start());
        exchanged(&scene, "message", [good.port, bad.port], || bad.arrived());
        let (good, bad) = (Greeter::start(), Greeter::start());
        let before = std::cell::Cell::new(0);
        exchanged(&scene, "connect", [good.port, bad.port], || {
            let all = bad.greeted();
            all - before.replace(all)
        });
    }
}

for_each_user! {
    fn row_02_a_swapped_socket_listens_on_loopback_alone(scene) {
        exchanged(&scene, "listen", [1, 1], || 0);
    }
}

for_each_user! {
    fn row_01_a_message_whose_memory_comes_and_goes_sends_only_as_judged(scene) {
        let (good, bad) = (Sink::start(), Sink::start());
        exchanged(&scene, "unmapped", [good.port, bad.port], || bad.arrived());
    }
}

for_each_user! {
    fn row_37_the_kernel_acts_on_nobodys_word(scene) {
        let program = build_attack("row_37_kernel");
        let mut victim = Victim::start(&scene);
        let arguments = [text(&scene.workspace), text(&scene.outside), victim.pid()];
        scene.bare(&words(&program, &arguments)).success().gets_through();
        for entry in fs::read_dir(&scene.outside).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        fs::remove_file(scene.workspace.join("peer")).unwrap();
        let finished = scene.askance().env("ATTACK_PARENTS", "1").run(&words(&program, &arguments)).success().holds();
        assert!(finished.report["exit"]["code"] == 0, "{finished}");
        assert_eq!(fs::read_dir(&scene.outside).unwrap().count(), 0, "{finished}");
        assert!(victim.service.is_alive());
    }
}

#[test]
fn row_24_a_fork_bomb_ends_its_run_and_nothing_else() {
    let scene = Scene::new(User::Caller);
    if !scene.bare_shell("unshare -pf --mount-proc true").status.success() {
        skip("a fork bomb", "no right to make a PID namespace");
        return;
    }
    scene.user_settings(r#"{ "sandbox": { "limits": { "processes": 200 } } }"#);
    let program = build_attack("row_24_bomb");
    // Its processes are counted and killed in a namespace that dies with the test.
    let apart = "exec unshare -pf --mount-proc --kill-child \"$@\"";
    let bomb = ["6000".to_owned()];
    let start = Instant::now();
    let finished = scene.askance().wrapped(apart).run(&words(&program, &bomb));
    assert_eq!(finished.code(), 137, "{finished}");
    assert!(finished.stderr.contains("limit of processes"), "{finished}");
    assert!(start.elapsed() < Duration::from_secs(20), "{finished}");
    assert_eq!(processes_that_mention(program.to_str().unwrap()), "");
}

/// Sets a soft limit of a process of the scene's user.
fn limit(scene: &Scene, pid: i32, resource: &str, soft: &str) {
    scene.bare(&["prlimit", "--pid", &pid.to_string(), &format!("--{resource}={soft}:")]).success();
}

for_each_user! {
    fn row_25_a_supervisor_without_descriptors_or_threads_refuses_and_recovers(scene) {
        // What it is told to do, one round a line in `go`: every refusal and every success is said.
        let script = "import os, sys, time
def attempt(what, act):
    try:
        act(); print(what, 'done', flush=True)
    except OSError as error:
        print(what, 'refused', flush=True)
def make(path):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)); os.unlink(path)
for name in 'before', 'starved', 'alone', 'after':
    while not os.path.exists('go-' + name): time.sleep(0.01)
    print('round', name, flush=True)
    for number in range(20):
        attempt('secret', lambda: print(open(os.environ['HOME'] + '/.ssh/id_x').read()))
        attempt('outside', lambda: make(sys.argv[1] + '/born'))
        attempt('own', lambda: make('own'))
        attempt('plain', lambda: open('go-' + name).read())
        attempt('asked', lambda: make(sys.argv[1] + '/asked/' + name + str(number)))
    print('over', name, flush=True)
";
        scene.make_dir(&scene.outside.join("asked"));
        let out = scene.workspace.join("out");
        let line = format!("exec /usr/bin/python3 -c \"$0\" {} > {}", scene.outside.display(), out.display());
        let running = scene.askance().answers(format!("write {}/asked/** once\n", scene.outside.display())).start(&["sh", "-c", &line, script]);
        let round = |name: &str| {
            scene.file(&scene.workspace.join(format!("go-{name}")), "x");
            wait_until("the round", Duration::from_secs(30), || {
                fs::read_to_string(&out).is_ok_and(|said| said.contains(&format!("over {name}")))
            });
        };
        round("before");
        limit(&scene, running.pid(), "nofile", "3");
        round("starved");
        limit(&scene, running.pid(), "nofile", "1024");
        // No threads either, where that limit binds: not a root caller. Those that wait for work have gone by then.
        std::thread::sleep(Duration::from_millis(500));
        limit(&scene, running.pid(), "nproc", "1");
        round("alone");
        limit(&scene, running.pid(), "nproc", "4096");
        round("after");
        let finished = running.wait().success();
        let said = fs::read_to_string(&out).unwrap();
        let counted = |name: &str, line: &str| {
            let part = said.split(&format!("round {name}")).nth(1).unwrap().split("over").next().unwrap();
            part.lines().filter(|said| *said == line).count()
        };
        assert!(!said.contains("TOP-SECRET") && !scene.outside.join("born").exists(), "{said}\n{finished}");
        for name in ["before", "after"] {
            for (line, expected) in [("secret refused", 20), ("outside refused", 20), ("own done", 20), ("plain done", 20), ("asked done", 20)] {
                assert_eq!(counted(name, line), expected, "{name}: {line}\n{said}\n{finished}");
            }
        }
        // Otherwise it was not starved at all.
        assert!(counted("starved", "own refused") > 0, "{said}");
        assert_eq!(counted("alone", "own done"), 20, "{said}");
        assert_eq!(counted("alone", "asked refused") > 0, scene.user == User::Nobody, "{said}");
    }
}
