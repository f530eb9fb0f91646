//! ATTACKS rows 1, 4 and 31, for real: what is flipped under calls that change names, metadata and sockets;
//! process numbers that come round; raw devices. Bare first, where each must get through.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use support::network::{Service, Sink};
use support::{Finished, Launch, Scene, User, build_attack, race_limit, skip};

/// Bare, a race is run this long until it is won, at most so often.
const BARE_SECONDS: &str = "0.3";
const BARE_TRIES: usize = 30;

fn words<'a>(program: &'a Path, arguments: &'a [String]) -> Vec<&'a str> {
    std::iter::once(program.to_str().unwrap()).chain(arguments.iter().map(String::as_str)).collect()
}

fn text(path: impl AsRef<Path>) -> String {
    path.as_ref().to_str().unwrap().to_owned()
}

/// `MODE GOOD BAD TRIES SECONDS` bare in a scene of its own until it gets through once, then sandboxed.
fn held(scene: &Scene, flags: &[String], prepare: impl Fn(&Scene) -> [String; 3]) -> Finished {
    let program = build_attack("row_01_flip_names");
    let through = (0..BARE_TRIES).any(|_| {
        let other = Scene::new(scene.user);
        let mut arguments = prepare(&other).to_vec();
        arguments.extend(["100000".into(), BARE_SECONDS.into()]);
        other.bare(&words(&program, &arguments)).success().attack().through > 0
    });
    let mut arguments = prepare(scene).to_vec();
    assert!(through, "{arguments:?} does not even work bare");
    arguments.extend(race_limit());
    let finished = scene.askance().flags(flags).run(&words(&program, &arguments)).success().holds();
    some_worked(&finished);
    finished
}

/// A race that was held counts only when the harmless side of it went on working.
fn some_worked(finished: &Finished) {
    let worked = finished.stdout.lines().find_map(|line| line.strip_prefix("worked ")?.split(' ').next()?.parse().ok());
    assert!(worked.is_some_and(|worked: u64| worked > 0), "nothing worked at all\n{finished}");
}

/// A call that changes the entry `canary` or makes the entry `born`, in the workspace or outside.
fn changes(user: User, mode: &str) {
    let scene = Scene::new(user);
    held(&scene, &[], |scene| {
        let good = scene.workspace.join("good");
        scene.make_dir(&good);
        scene.file(&scene.outside.join("canary"), "untouched\n");
        [mode.into(), text(good), text(&scene.outside)]
    });
    assert_eq!(fs::read_to_string(scene.outside.join("canary")).unwrap(), "untouched\n");
    assert!(fs::symlink_metadata(scene.outside.join("born")).is_err());
}

/// Each of these in a scene of its own, at the same time: what races needs interruptions, not processors.
fn side_by_side(user: User, modes: &[&str]) {
    std::thread::scope(|scope| {
        for mode in modes {
            scope.spawn(move || changes(user, mode));
        }
    });
}

for_each_user! {
    fn row_01_a_flipped_path_renames_and_removes_only_what_was_judged(scene) {
        side_by_side(scene.user, &["rename", "unlink"]);
    }
}

for_each_user! {
    fn row_01_a_flipped_path_changes_only_what_was_judged(scene) {
        side_by_side(scene.user, &["chmod", "truncate", "setxattr"]);
    }
}

for_each_user! {
    fn row_01_a_flipped_path_makes_names_only_where_it_was_judged(scene) {
        side_by_side(scene.user, &["link", "symlink", "mkdir"]);
    }
}

const ACCEPTS: &str = "
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
listener.listen(4096)
print('ready', flush=True)
while True:
    listener.accept()[0].close()
";

for_each_user! {
    fn row_01_a_flipped_unix_address_connects_only_to_what_was_judged(scene) {
        let outside = text(scene.outside.join("service"));
        let _service = Service::python(&scene, ACCEPTS, &[&outside]);
        held(&scene, &[], |scene| ["unix".into(), text(scene.workspace.join("own")), outside.clone()]);
    }
}

for_each_user! {
    fn row_01_a_flipped_pointer_to_a_name_sends_only_where_it_was_judged(scene) {
        let (good, bad) = (Sink::start(), Sink::start());
        let program = build_attack("row_01_flip_names");
        let mut arguments = vec!["message".into(), good.port.to_string(), bad.port.to_string()];
        arguments.extend(race_limit());
        scene.bare(&words(&program, &arguments)).success();
        assert!(bad.arrived() > 0, "the attack does not even work bare");
        let allowed = format!("--allow-domain=127.0.0.1:{}", good.port);
        let finished = scene.askance().flags(&[allowed]).run(&words(&program, &arguments)).success();
        some_worked(&finished);
        assert_eq!(bad.arrived(), 0, "datagrams arrived where none may\n{finished}");
    }
}

for_each_user! {
    fn row_16_a_flipped_address_listens_on_loopback_alone(scene) {
        held(&scene, &[], |_| ["bind".into(), "-".into(), "-".into()]);
    }
}

for_each_user! {
    fn row_22_a_flipped_path_opens_no_foreign_terminal(scene) {
        let foreign = nix::pty::openpty(None, None).unwrap();
        let terminal = nix::unistd::ttyname(&foreign.slave).unwrap();
        scene.give(&terminal);
        held(&scene, &[], |scene| {
            let good = scene.workspace.join("good");
            scene.file(&good, "harmless\n");
            ["device".into(), text(good), text(&terminal)]
        });
    }
}

/// Keeps the numbers of new processes low, so that each comes round every few hundred births.
const NUMBERS_COME_ROUND: &str = "exec unshare -pf --mount-proc --kill-child sh -c '
    while echo 300 > /proc/sys/kernel/ns_last_pid; do sleep 0.05; done & \"$@\"' sh \"$@\"";

#[test]
fn row_04_a_number_that_comes_round_is_nobody_else() {
    let scene = Scene::new(User::Caller);
    if !scene.bare_shell("unshare -pf --mount-proc sh -c 'echo 300 > /proc/sys/kernel/ns_last_pid'").status.success() {
        skip("process numbers that come round", "no right to make a PID namespace");
        return;
    }
    let program = build_attack("row_04_reuse");
    let good = scene.workspace.join("good");
    scene.file(&good.join("id_x"), "harmless\n");
    let mut arguments = vec![text(&good), text(scene.home.join(".ssh")), "id_x".into()];
    let [tries, seconds] = race_limit();
    arguments.extend([tries, seconds]);
    scene.bare(&words(&program, &arguments)).success().gets_through();
    fs::remove_dir_all(scene.home.join(".ssh")).unwrap();
    scene.file(&scene.secret(), support::scene::SECRET);
    let finished = scene.askance().wrapped(NUMBERS_COME_ROUND).run(&words(&program, &arguments)).success().holds();
    let round = finished.stdout.split("came round ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(round.parse::<u32>().unwrap() > 3, "no number came round\n{finished}");
    assert_eq!(fs::read_dir(scene.home.join(".ssh")).unwrap().count(), 1, "{finished}");
}

#[test]
fn row_03_the_supervisor_has_no_open_door() {
    for scene in [Some(Scene::new(User::Caller)), Scene::as_nobody()].into_iter().flatten() {
        let program = build_attack("row_03_proc");
        // A shell stays in between, as a parent of the same user.
        let bare = Launch::new(&scene, None).wrapped("\"$@\"; exit $?");
        bare.run(&words(&program, &["ancestors".into()])).success().gets_through();
        scene.run(&words(&program, &["ancestors".into()])).success().holds();
    }
}

/// Devices of this machine that hold other people's data: disks, consoles, input, the kernel's memory.
fn raw_devices() -> Vec<String> {
    let is_raw = |path: &Path| {
        let Ok(metadata) = fs::metadata(path) else { return false };
        let name = path.file_name().unwrap().to_string_lossy();
        let console = name.strip_prefix("tty").is_some_and(|rest| !rest.is_empty());
        metadata.file_type().is_block_device()
            || metadata.file_type().is_char_device()
                && (console || ["mem", "kmem", "port", "userfaultfd", "vcs"].iter().any(|known| *known == name))
    };
    let devices = fs::read_dir("/dev").unwrap().flatten().map(|entry| entry.path());
    devices.filter(|path| is_raw(path)).map(text).take(24).collect()
}

#[test]
fn row_31_raw_devices_are_no_way_around_file_rules() {
    let scene = Scene::new(User::Caller);
    let program = build_attack("row_31_devices");
    let devices = raw_devices();
    if devices.is_empty() || scene.bare(&words(&program, &devices)).success().attack().through == 0 {
        skip("raw devices", "there is none here that opens bare");
        return;
    }
    scene.run(&words(&program, &devices)).success().holds();
    // What keeps nothing opens as ever.
    scene
        .shell("head -c 1 /dev/urandom > /dev/null && : > /dev/full && cat /dev/null && ls /dev > /dev/null")
        .success()
        .asks_nothing();
    assert!(fs::metadata("/dev/null").unwrap().rdev() != 0);
}

/// A program with file capabilities, as `setcap` would make it: through when they come into effect.
#[test]
fn row_23_file_capabilities_give_nothing() {
    let scene = Scene::new(User::Caller);
    let file = scene.beside("capable");
    fs::copy("/usr/bin/grep", &file).unwrap();
    // VFS_CAP_REVISION_2 with the effective bit; CAP_SYS_ADMIN, CAP_NET_RAW and CAP_SYS_PTRACE permitted.
    let set =
        "import os, sys; os.setxattr(sys.argv[1], 'security.capability', bytes.fromhex('0100000200202800' + 24 * '0'))";
    if !Command::new("/usr/bin/python3").args(["-c", set]).arg(&file).status().is_ok_and(|status| status.success()) {
        skip("file capabilities", "they may not be set here");
        return;
    }
    let nobody = Scene::as_nobody().unwrap();
    let line = |finished: Finished| finished.stdout.lines().find(|line| line.starts_with("CapEff")).unwrap().to_owned();
    let argv = [file.to_str().unwrap(), "Cap", "/proc/self/status"];
    assert_ne!(line(nobody.bare(&argv).success()), "CapEff:\t0000000000000000", "the attack does not even work bare");
    assert_eq!(line(nobody.run(&argv).success()), "CapEff:\t0000000000000000");
}
