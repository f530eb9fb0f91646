//! Names and metadata: what moves along with a name, what a link stands for, and that every change
//! of an object comes out as natively.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{self, File};
use std::path::Path;

use support::{Finished, Scene, User};

const METADATA: &str = include_str!("payloads/metadata.py");
const RANDOM_CALLS: &str = include_str!("payloads/random_calls.py");
/// Each is another series of calls.
const SEEDS: u32 = 6;
const MOVES: &str = include_str!("payloads/moves.py");

/// `renameat2(AT_FDCWD, argv[1], AT_FDCWD, argv[2], RENAME_EXCHANGE)`, or its errno as exit status.
const EXCHANGE: &str = "
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
done = libc.renameat2(-100, sys.argv[1].encode(), -100, sys.argv[2].encode(), 2)
sys.exit(ctypes.get_errno() if done else 0)";

fn compare(bare: &Finished, sandboxed: &Finished) {
    let difference = similar::TextDiff::from_lines(&bare.stdout, &sandboxed.stdout);
    let shown = difference.unified_diff().header("bare", "sandboxed").to_string();
    assert!(shown.is_empty(), "{shown}\n{}", sandboxed.stderr);
}

/// A payload as a file, ready to run.
fn payload(scene: &Scene, name: &str, text: &str) -> String {
    let path = scene.outside.join(name);
    scene.file(&path, text);
    path.to_str().unwrap().to_owned()
}

/// A directory of its own below the workspace, in which the payload runs.
fn room(scene: &Scene, name: &str) -> String {
    let room = scene.workspace.join(name);
    scene.make_dir(&room);
    room.to_str().unwrap().to_owned()
}

for_each_user! {
    fn changes_of_an_object_are_native(scene) {
        let program = payload(&scene, "metadata.py", METADATA);
        let python = ["/usr/bin/python3", &program];
        let bare = support::Launch::new(&scene, None).cwd(room(&scene, "bare")).run(&python).success();
        let sandboxed = scene.askance().cwd(room(&scene, "sandboxed")).run(&python).success().asks_nothing();
        compare(&bare, &sandboxed);
    }
}

for_each_user! {
    fn random_calls_answer_as_natively(scene) {
        let program = payload(&scene, "random_calls.py", RANDOM_CALLS);
        for seed in 1..=SEEDS {
            let seed = seed.to_string();
            let python = ["/usr/bin/python3", &program, &seed, "400"];
            // Names and depth are alike, so that what fails for its length fails in both.
            let bare = support::Launch::new(&scene, None).cwd(room(&scene, &format!("{seed}/a"))).run(&python).success();
            let sandboxed = scene.askance().cwd(room(&scene, &format!("{seed}/b"))).run(&python).success().asks_nothing();
            compare(&bare, &sandboxed);
        }
    }
}

for_each_user! {
    fn what_leaves_the_temporary_directory_arrives_as_natively(scene) {
        let program = payload(&scene, "moves.py", MOVES);
        let temporary = room(&scene, "temporary");
        let bare = support::Launch::new(&scene, None).cwd(room(&scene, "bare"))
            .run(&["/usr/bin/python3", &program, &temporary]).success();
        let line = format!("exec /usr/bin/python3 {program} \"$TMPDIR\"");
        let sandboxed = scene.askance().cwd(room(&scene, "sandboxed")).shell(&line).success().asks_nothing();
        compare(&bare, &sandboxed);
    }
}

for_each_user! {
    fn moving_a_repository_away_is_asked_like_changing_it(scene) {
        scene.make_repository();
        let config = scene.workspace.join(".git/config");
        scene.shell("mv .git gone").fails().denies(&format!("write {}", config.display()));
        scene.shell("mv .git \"$TMPDIR\"/gone").fails();
        scene.shell("mkdir -p sub && git -C sub init -q . && mv sub/.git sub/other && mv sub/other sub/.git").success().asks_nothing();
        let git = scene.workspace.join(".git");
        let own = scene.workspace.join("sub/.git");
        // The run made neither of them: an exchange would put a foreign configuration in place.
        scene.run(&["/usr/bin/python3", "-c", EXCHANGE, git.to_str().unwrap(), own.to_str().unwrap()])
            .exits(libc::EACCES).denies(&format!("write {}", config.display()));
        assert!(config.exists());
    }
}

for_each_user! {
    fn a_directory_is_moved_with_all_that_rules_speak_of(scene) {
        scene.file(&scene.workspace.join("deep/er/.envrc"), "mine");
        let guarded = format!("write {}", scene.workspace.join("deep/er/.envrc").display());
        scene.shell("mv deep away").fails().denies(&guarded);
        scene.shell("mv deep/er away").fails().denies(&guarded);
        scene.askance().answers("write **/.envrc once\n").shell("mv deep away && cat away/er/.envrc").success().says("mine");
        scene.shell("mkdir -p a/b/c && echo x > a/b/c/f && mv a z && mv z/b . && cat b/c/f").success().says("x").asks_nothing();
    }
}

for_each_user! {
    fn what_rules_speak_of_cannot_be_moved_into_place(scene) {
        scene.make_repository();
        for line in [
            "echo x > e; mv e .envrc",
            "mkdir d; echo x > d/e; mv d/e .envrc",
            "echo x > \"$TMPDIR\"/e; mv \"$TMPDIR\"/e .envrc",
            "echo x > e; ln e .envrc",
            "ln -s e .envrc",
            "mkdir -p s/h; echo x > s/h/pre-commit; mv s/h s/hooks; mv s/hooks .git/x && mv .git/x .git/hooks",
            "mkdir s2; echo x > s2/pre-push; mv s2/pre-push .git/hooks/pre-push",
            "mkdir v; echo x > v/settings.json; mv v .vscode",
        ] {
            scene.shell(line).fails();
        }
        let names = [".envrc", ".vscode", ".git/hooks/pre-push", ".git/hooks/pre-commit", ".git/hooks/hooks"];
        for name in names {
            assert!(fs::symlink_metadata(scene.workspace.join(name)).is_err(), "{name} is in place");
        }
    }
}

for_each_user! {
    fn a_link_in_place_of_a_repository_is_asked_like_its_hooks(scene) {
        scene.make_dir(&scene.workspace.join("sub"));
        let hooks = format!("write {}", scene.workspace.join("sub/.git/hooks").display());
        scene.shell("mkdir real && ln -s ../real sub/.git").fails().denies(&hooks);
        scene.shell("ln -s ../real sub/git && mv sub/git sub/.git").fails().denies(&hooks);
        assert!(fs::symlink_metadata(scene.workspace.join("sub/.git")).is_err());
    }
}

for_each_user! {
    fn a_file_that_may_not_be_read_is_not_moved_to_where_it_may(scene) {
        let dir = scene.outside.clone();
        scene.file(&dir.join("closed/key"), "secret");
        let settings = format!(
            "{{\"sandbox\": {{\"filesystem\": {{\"allowWrite\": [\"{0}\"], \"denyRead\": [\"{0}/closed\"]}}}}}}",
            dir.display(),
        );
        scene.user_settings(&settings);
        let closed = dir.join("closed");
        let line = |text: &str| text.replace("DIR", dir.to_str().unwrap());
        scene.shell(&line("mv DIR/closed/key DIR/key")).fails().denies(&format!("read {}", closed.join("key").display()));
        scene.shell(&line("ln DIR/closed/key DIR/key")).fails();
        scene.shell(&line("mv DIR/closed DIR/open")).fails();
        scene.shell(&line("mv DIR/closed/key DIR/closed/other && mv DIR/closed/other DIR/closed/key")).success().asks_nothing();
        assert!(closed.join("key").exists() && !dir.join("key").exists() && !dir.join("open").exists());
    }
}

for_each_user! {
    fn what_the_caller_passes_may_be_opened_again(scene) {
        let secret = || File::open(scene.secret()).unwrap();
        let path = scene.secret();
        for line in ["cat /dev/stdin", "cat < /dev/stdin", "cat /proc/self/fd/0", "cat /dev/fd/0"] {
            let finished = scene.askance().stdin(secret()).shell(line).success().asks_nothing();
            assert_eq!(finished.stdout, fs::read_to_string(&path).unwrap(), "{line}");
        }
        // Only reading was passed.
        scene.askance().stdin(secret()).shell("echo x > /dev/stdin").fails();
        scene.askance().stdin(secret()).shell("chmod 777 /proc/self/fd/0").fails();
        scene.askance().stdin(secret()).shell(&format!("cat {}", path.display())).fails();
    }
}

for_each_user! {
    fn terminals_of_the_run_open_and_others_do_not(scene) {
        let foreign = nix::pty::openpty(None, None).unwrap();
        let name = nix::unistd::ttyname(&foreign.slave).unwrap();
        scene.give(&name);
        for flags in ["os.O_RDONLY", "os.O_WRONLY", "os.O_RDWR | os.O_NOCTTY"] {
            let program = format!("import os; os.open('{}', {flags})", name.display());
            scene.run(&["/usr/bin/python3", "-c", &program]).fails().complains("Permission denied");
        }
        let own = "
import os, pty
master, slave = os.openpty()
again = os.open(os.ttyname(slave), os.O_RDWR | os.O_NOCTTY)
os.write(again, b'through\\n')
assert os.read(master, 100) == b'through\\r\\n'
name = os.ttyname(slave)
os.close(master); os.close(slave); os.close(again)
pid, master = pty.fork()
if pid == 0:
    os.write(os.open(os.ttyname(0), os.O_RDWR), b'child\\n')
    os.write(os.open('/dev/tty', os.O_RDWR), b'tty\\n')
    os._exit(0)
text = b''
try:
    while True: text += os.read(master, 100)
except OSError: pass
assert text == b'child\\r\\ntty\\r\\n', text
print('own')";
        scene.run(&["/usr/bin/python3", "-c", own]).success().says("own").asks_nothing();
    }
}

for_each_user! {
    fn a_shared_device_is_written_but_not_changed(scene) {
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata("/dev/null").unwrap().permissions());
        let line = format!("echo x > /dev/null && chmod {:o} /dev/null", mode & 0o7777);
        scene.shell(&line).fails().complains("not permitted");
        assert!(Path::new("/dev/null").exists());
    }
}
