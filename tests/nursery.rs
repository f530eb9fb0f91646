//! What a run makes beside something that its readers are denied: it works as anything else that it makes.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Scene, User, build_attack, race_limit, skip};

const DENY_ENV: &str = "{\"sandbox\": {\"filesystem\": {\"denyRead\": [\"**/.env\"]}}}";

/// Files of that name at the top and deeper down, and a program that was there before.
fn prepare(scene: &Scene) {
    scene.user_settings(DENY_ENV);
    scene.make_dir(&scene.workspace.join("sub"));
    for place in [".env", "sub/.env"] {
        scene.file(&scene.workspace.join(place), support::scene::SECRET);
    }
    scene.file(&scene.workspace.join("old"), "#!/bin/sh\necho old ran\n");
}

/// Everything that makes names, beside what is denied and beneath.
const MAKE: &str = "
chmod +x old && ./old
mkdir d && printf '#!/bin/sh\\necho script ran\\n' > d/x && chmod +x d/x && d/x
cp /bin/echo e && ./e copy ran
mkdir sub/n && cp /bin/echo sub/n/e && sub/n/e nested ran
mv d dd && dd/x && rm -r dd && mkdir dd && cp /bin/echo dd/e && dd/e again
umask 027; mkdir u; mkdir -m 1777 s; echo > f; stat -c '%a %U %n' u s f e
mkdir u 2>&1; (set -C; echo > f) 2>&1; ls -A . sub
python3 -c 'import os
fd = os.open(\"ro\", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o444); os.write(fd, b\"x\"); print(oct(os.fstat(fd).st_mode))
os.mkfifo(\"p\"); os.symlink(\"f\", \"l\"); os.link(\"f\", \"h\"); print(os.stat(\"f\").st_nlink)'
";

for_each_user! {
    fn what_is_made_beside_a_denied_file_is_as_without_askance(scene) {
        let other = Scene::new(scene.user);
        prepare(&other);
        let bare = other.bare_shell(MAKE).success();
        prepare(&scene);
        let finished = scene.shell(MAKE).success().asks_nothing();
        assert_eq!(bare.stdout, finished.stdout, "{finished}");
        for place in [".env", "sub/.env"] {
            let path = scene.workspace.join(place);
            let finished = scene.shell(&format!("cat {place}")).fails().denies(&format!("read {}", path.display()));
            assert!(!finished.stdout.contains("SECRET"), "{finished}");
        }
    }
}

for_each_user! {
    fn where_tmp_holds_something_denied_the_temporary_directory_is_whole(scene) {
        scene.user_settings(r#"{ "sandbox": { "filesystem": { "denyRead": ["/tmp/denied-here"] } } }"#);
        let line = "cp /bin/echo $TMPDIR/e && $TMPDIR/e copy ran && ls -A $TMPDIR";
        scene.shell(line).success().says("copy ran\ne\n").asks_nothing();
    }
}

for_each_user! {
    fn more_is_made_than_was_foreseen(scene) {
        prepare(&scene);
        let line = "for i in $(seq 200); do mkdir d$i && echo $i > f$i && cat f$i > d$i/f || exit 1; done; cat d*/f | wc -l";
        scene.shell(line).success().says("200\n").asks_nothing();
        // A name that is made again when none is left is another inode than the rule's.
        let line = "mkdir d && echo 1 > d/f && cat d/f && mkdir $(seq 100) && rm -r d && mkdir d && echo 2 > d/f && cat d/f && cat d/f";
        scene.shell(line).success().says("1\n2\n2\n").asks_nothing();
    }
}

for_each_user! {
    fn a_new_file_that_is_denied_by_its_name_is_denied(scene) {
        prepare(&scene);
        scene.shell("mkdir n && echo x > n/.env && cat n/.env").fails();
        // Nor does it become readable by what it is moved into.
        let line = "mkdir n2; mv .env n2/.env; cat n2/.env; mv n2 n3; cat n3/.env; ln sub/.env n3/plain; cat n3/plain";
        let finished = scene.shell(line).fails();
        assert!(!finished.stdout.contains("SECRET"), "{finished}");
    }
}

for_each_user! {
    fn row_01_a_flipped_path_reads_nothing_that_a_pattern_denies(scene) {
        prepare(&scene);
        let program = build_attack("row_01_flip");
        let good = scene.workspace.join("sub/good");
        scene.file(&good, "harmless\n");
        let secret = scene.workspace.join("sub/.env");
        let limit = race_limit();
        let mut words = vec![program.to_str().unwrap(), "open", good.to_str().unwrap(), secret.to_str().unwrap()];
        words.extend(limit.iter().map(String::as_str));
        scene.askance().run(&words).success().holds().says("opened ");
    }
}

for_each_user! {
    fn row_01_what_is_denied_is_not_moved_to_where_a_floor_may_cover_it(scene) {
        prepare(&scene);
        scene.make_dir(&scene.workspace.join("old_dir"));
        let top = scene.workspace.join(".env");
        let held = |line: &str| {
            scene.shell(&format!("{line}; ls -A")).denies(&format!("read {}", top.display())).says(".env");
            assert!(top.exists(), "{line}");
        };
        // Below a rule that has another name by now: of the nursery, and from the start.
        held("mkdir d; mkdir d/deep; mv d dd; mv .env dd/.env; mv .env dd/deep/.env; rm -r dd");
        held("mkdir old_dir/deep; mv old_dir new; mv .env new/.env; mv .env new/deep/.env; rm -r new/deep; mv new old_dir");
        // Where this run has no rule and another, started meanwhile, has one.
        held("mkdir $(seq 100); mv .env 100/.env; rmdir $(seq 100)");
        // Away from where another run, started meanwhile, looks for it.
        held("mv .env x; mv .env .ENV; mv .env sub/y");
        let line = "mv sub sub2; mkdir d; mv sub d/sub; mv -T sub old_dir; python3 -c 'import ctypes; print(ctypes.CDLL(None).renameat2(-100, b\"sub\", -100, b\"old_dir\", 2))'; ls sub old_dir d";
        let below = scene.workspace.join("sub/.env");
        scene.shell(line).denies(&format!("read {}", below.display())).says("-1");
        assert!(below.exists());
        // Within what is denied as a whole it is moved freely.
        scene.make_dir(&scene.workspace.join("v/.env/in"));
        scene.file(&scene.workspace.join("v/.env/k"), "k");
        scene.shell("mv v/.env/k v/.env/in/k && mv v/.env/in v/.env/out").success().asks_nothing();
    }
}

for_each_user! {
    fn a_rule_that_was_moved_allows_nothing_that_the_new_name_denies(scene) {
        let settings = "{\"sandbox\": {\"filesystem\": {\"denyRead\": [\"./.env\", \"./later/key\"]}}}";
        scene.user_settings(settings);
        scene.file(&scene.workspace.join(".env"), support::scene::SECRET);
        let line = "mkdir d && echo x > d/key && echo y > d/other && mv d later && cat later/other && cat later/key";
        scene.shell(line).fails().says("y").denies(&format!("read {}", scene.workspace.join("later/key").display()));
    }
}

for_each_user! {
    fn nobody_in_the_run_touches_what_waits(scene) {
        prepare(&scene);
        let line = "for n in /tmp/ask.*/d5; do mv $n here; rmdir $n; touch $n/x; chmod 700 $n; ln -s / $n/l; done; ls";
        let finished = scene.shell(line);
        assert!(!finished.stdout.contains("here"), "{finished}");
        scene.shell("mkdir n && cp /bin/echo n && n/echo ran").success().says("ran");
    }
}

/// On a file system of its own the names wait in the workspace, in the repository where there is one.
#[test]
fn a_workspace_on_a_mount_of_its_own_has_them_too() {
    let scene = Scene::new(User::Caller);
    if scene.bare(&["unshare", "-m", "mount", "-t", "tmpfs", "none", scene.workspace.to_str().unwrap()]).code() != 0 {
        return skip("a workspace on a mount of its own", "mounting takes root");
    }
    scene.user_settings(DENY_ENV);
    let before = "mount -t tmpfs none . && cd \"$PWD\" && git init -q && echo x > .env";
    let line = format!("unshare -m sh -c '{before} && exec \"$0\" \"$@\"' \"$@\"");
    let work = "mkdir d && cp /bin/echo d && d/echo ran; cp /bin/echo e && ./e ran too; git status --short; for n in .git/ask.*/d9; do mv $n m; touch $n/x; done; ls";
    let finished = scene.askance().wrapped(&line).shell(work).success().says("ran\nran too\n").says("?? d/\n?? e\n");
    assert!(!finished.stdout.lines().any(|line| line == "m"), "{finished}");
}

for_each_user! {
    fn a_killed_askance_leaves_no_nursery(scene) {
        prepare(&scene);
        let running = scene.askance().start(&["sh", "-c", "mkdir d; touch made; exec sleep 100"]);
        let (made, soon) = (scene.workspace.join("made"), Instant::now() + Duration::from_secs(20));
        while !made.exists() && Instant::now() < soon {
            std::thread::sleep(Duration::from_millis(10));
        }
        let descriptors = fs::read_dir(format!("/proc/{}/fd", running.pid())).unwrap();
        let mut open = descriptors.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
        let nursery = open.find(|path| path.to_string_lossy().contains("/ask.")).unwrap();
        assert!(nursery.join("d5").exists(), "{nursery:?}");
        kill(Pid::from_raw(running.pid()), Signal::SIGKILL).unwrap();
        assert_eq!(running.wait().code(), 137);
        let soon = Instant::now() + Duration::from_secs(10);
        while nursery.exists() && Instant::now() < soon {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(!nursery.exists(), "{nursery:?}");
    }
}
