//! `allow`, `deny`, `block`, `forget`: what they write, where, and what happens when writing fails.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;

use support::{Launch, Scene, User, skip};

fn entries(text: &str, key: &str) -> Vec<String> {
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    let keys = key.split('.').try_fold(&value, |value, key| value.get(key));
    let list = keys.and_then(|list| list.as_array()).cloned().unwrap_or_default();
    list.iter().map(|entry| entry.as_str().unwrap().to_owned()).collect()
}

for_each_user! {
    fn a_grant_goes_where_its_flag_says_and_says_so(scene) {
        let project = scene.workspace.join(".askance/settings.json");
        for (flags, file) in [
            (vec![], scene.local_settings_path()),
            (vec!["--local"], scene.local_settings_path()),
            (vec!["--project"], project.clone()),
            (vec!["--user"], scene.user_settings_path()),
        ] {
            let finished = scene.cli(&[&["allow", "write", "/srv/out"], flags.as_slice()].concat()).success();
            finished.says(&format!("sandbox.filesystem.allowWrite in {}", file.display()));
            assert_eq!(entries(&fs::read_to_string(&file).unwrap(), "sandbox.filesystem.allowWrite"), ["/srv/out"]);
        }
        scene.cli(&["allow", "write", "/srv/out", "--user", "--local"]).exits(125);
        let workspace = scene.workspace.join("src");
        scene.cli(&["deny", "write", workspace.to_str().unwrap(), "--project"]).success();
        assert_eq!(entries(&fs::read_to_string(&project).unwrap(), "sandbox.filesystem.denyWrite"), ["src"]);
    }
}

for_each_user! {
    fn each_subject_has_its_lists(scene) {
        let table = [
            ("read", "/srv/a", ["filesystem.allowRead", "filesystem.denyRead", "filesystem.blockRead"]),
            ("write", "/srv/a", ["filesystem.allowWrite", "filesystem.denyWrite", "filesystem.blockWrite"]),
            ("domain", "a.example.com", ["network.allowedDomains", "network.deniedDomains", "network.blockedDomains"]),
            ("unix", "/srv/a.sock", ["network.allowUnixSockets", "network.denyUnixSockets", "network.blockUnixSockets"]),
        ];
        for (subject, target, lists) in table {
            for (verb, list) in ["allow", "deny", "block"].iter().zip(lists) {
                scene.cli(&[verb, subject, target, "--user"]).success();
                let text = fs::read_to_string(scene.user_settings_path()).unwrap();
                for other in lists {
                    let expected: &[&str] = if other == list { &[target] } else { &[] };
                    assert_eq!(entries(&text, &format!("sandbox.{other}")), expected, "{verb} {subject}: {other}");
                }
            }
        }
        for (verb, list) in [("allow", "commandAllowlist"), ("deny", "commandDenylist"), ("block", "commandBlocklist")] {
            scene.cli(&[verb, "command", "git  push *", "--user"]).success();
            let text = fs::read_to_string(scene.user_settings_path()).unwrap();
            assert_eq!(entries(&text, list), ["git push *"]);
        }
    }
}

for_each_user! {
    fn targets_that_mean_nothing_are_refused_and_nothing_is_written(scene) {
        for (subject, target, complaint) in [
            ("domain", "https://example.com/x", "\"example.com\""),
            ("domain", "exa mple.com", "expected"),
            ("domain", "example.com:0", "expected"),
            ("domain", "", "expected"),
            ("write", "", "expected"),
            ("write", "/a/[b", "expected"),
            ("unix", "@", "expected"),
            ("command", "  ", "expected"),
            ("nonsense", "x", "invalid value"),
        ] {
            scene.cli(&["allow", subject, target, "--user"]).exits(125).complains(complaint);
        }
        assert!(!scene.user_settings_path().exists());
    }
}

for_each_user! {
    fn a_relative_path_and_a_link_mean_what_they_lead_to(scene) {
        scene.make_dir(&scene.outside.join("real"));
        symlink(scene.outside.join("real"), scene.workspace.join("link")).unwrap();
        scene.cli(&["allow", "write", "link/new", "--user"]).success();
        scene.cli(&["allow", "write", "../outside/b/./c/", "--user"]).success();
        let text = fs::read_to_string(scene.user_settings_path()).unwrap();
        let outside = scene.outside.display();
        assert_eq!(
            entries(&text, "sandbox.filesystem.allowWrite"),
            [format!("{outside}/real/new"), format!("{outside}/b/c")]
        );
    }
}

for_each_user! {
    fn forget_finds_every_spelling_in_every_file(scene) {
        let out = scene.outside.display();
        scene.user_settings(&format!("{{\"sandbox\": {{\"filesystem\": {{\"allowWrite\": [\"{out}/x/**\", \"/other\"], \"denyRead\": [\"{out}/x\"]}}}}}}"));
        scene.file(&scene.local_settings_path(), "{\"sandbox\": {\"filesystem\": {\"blockWrite\": [\"../outside/x/\"]}}}".replace("../outside", &out.to_string()));
        let finished = scene.cli(&["forget", "write", "../outside/x"]).success();
        for file in [scene.user_settings_path(), scene.local_settings_path()] {
            assert!(finished.stdout.contains(file.to_str().unwrap()), "{finished}");
        }
        let user = fs::read_to_string(scene.user_settings_path()).unwrap();
        assert_eq!(entries(&user, "sandbox.filesystem.allowWrite"), ["/other"]);
        assert_eq!(entries(&user, "sandbox.filesystem.denyRead"), [format!("{out}/x")], "another subject's list stays");
        scene.cli(&["forget", "write", "../outside/x"]).exits(1).complains("stands in no list");
    }
}

for_each_user! {
    fn twenty_processes_at_once_lose_nothing(scene) {
        scene.user_settings("{\n  // kept\n}\n");
        let running: Vec<_> = (0..20).map(|number| {
            let target = format!("/srv/dir{number}");
            let arguments = ["allow", "write", &target, "--user"].map(str::to_owned).to_vec();
            Launch::new(&scene, Some(arguments)).start(&[])
        }).collect();
        for run in running {
            run.wait().success();
        }
        let text = fs::read_to_string(scene.user_settings_path()).unwrap();
        assert!(text.contains("// kept"), "{text}");
        let found = entries(&text.replace("// kept", ""), "sandbox.filesystem.allowWrite");
        for number in 0..20 {
            assert!(found.contains(&format!("/srv/dir{number}")), "{text}");
        }
        assert_eq!(found.len(), 20);
    }
}

for_each_user! {
    fn a_write_that_fails_leaves_the_old_file_and_no_other(scene) {
        let text = "{\n  // mine\n}\n";
        let path = scene.user_settings(text);
        // No file may grow by a byte: the write fails as on a full disk.
        let arguments = ["allow", "write", "/srv/out", "--user"].map(str::to_owned).to_vec();
        Launch::new(&scene, Some(arguments)).wrapped("trap '' XFSZ; ulimit -f 0; exec \"$@\"")
            .finish(&[]).exits(125).complains("write the settings file");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        let names: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["settings.json"]);
    }
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let scene = Scene::new(User::Caller);
    if !rustix::process::geteuid().is_root() {
        skip("a full disk", "only root can mount a small file system");
        return;
    }
    scene.make_dir(&scene.home.join(".config/askance"));
    // Two pages: one for the settings, one that something else has taken.
    let wrapper = r#"
        unshare -m sh -c '
            set -e; d=$HOME/.config/askance; mount -t tmpfs -o size=8k none "$d"
            echo "{ /* mine */ }" > "$d/settings.json"; head -c 4096 /dev/zero > "$d/other"
            set +e; "$@"; code=$?; cat "$d/settings.json"; ls -A "$d"; exit $code' sh "$@""#;
    let arguments = ["allow", "write", "/srv/out", "--user"].map(str::to_owned).to_vec();
    let finished = Launch::new(&scene, Some(arguments)).wrapped(wrapper).finish(&[]);
    let finished = finished.exits(125).complains("No space left on device");
    assert_eq!(finished.stdout, "{ /* mine */ }\nother\nsettings.json\n");
}

for_each_user! {
    fn what_a_killed_writer_left_behind_is_in_nobodys_way(scene) {
        let path = scene.user_settings("{}\n");
        scene.file(&path.with_file_name(".settings.json.askance-new"), "{ half");
        scene.cli(&["allow", "write", "/srv/out", "--user"]).success();
        assert_eq!(entries(&fs::read_to_string(&path).unwrap(), "sandbox.filesystem.allowWrite"), ["/srv/out"]);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}

for_each_user! {
    fn settings_are_edited_by_hand_only_into_what_is_well_formed(scene) {
        let path = scene.user_settings("{}\n");
        let editor = scene.beside("editor");
        scene.file(&editor, "#!/bin/sh\nprintf '%s\\n' \"$TEXT\" > \"$1\"\n");
        fs::set_permissions(&editor, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let edit = |text: &str| {
            let arguments = ["settings", "edit"].map(str::to_owned).to_vec();
            Launch::new(&scene, Some(arguments)).env("EDITOR", &editor).env("TEXT", text).finish(&[])
        };
        edit("{ \"sandbox\": { \"enabeld\": true } }").exits(125).complains("enabled").complains("not saved");
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}\n");
        edit("{ /* better */ }").success();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{ /* better */ }\n");
        edit("{ /* better */ }").success().says("nothing changed");
        let arguments = ["settings", "edit"].map(str::to_owned).to_vec();
        Launch::new(&scene, Some(arguments)).finish(&[]).exits(125).complains("VISUAL or EDITOR");
    }
}

for_each_user! {
    fn an_edit_that_goes_wrong_leaves_the_settings_as_they_are(scene) {
        let path = scene.user_settings("{ /* mine */ }\n");
        scene.make_dir(&scene.beside("tmp"));
        let edit = |flags: &[&str], script: &str| {
            let editor = scene.beside("editor");
            scene.file(&editor, format!("#!/bin/sh\n{script}\n"));
            fs::set_permissions(&editor, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            let arguments = ["settings", "edit"].iter().chain(flags).map(ToString::to_string).collect();
            let launch = Launch::new(&scene, Some(arguments)).env("VISUAL", &editor).env("TMPDIR", scene.beside("tmp"));
            launch.env("SETTINGS", &path).finish(&[])
        };
        let kept = || assert_eq!(fs::read_to_string(&path).unwrap(), "{ /* mine */ }\n");
        edit(&[], "echo '{ /* half */ }' > $1; exit 1").exits(125).complains("failed");
        kept();
        edit(&[], "kill -9 $$").exits(125).complains("failed");
        kept();
        edit(&[], "rm $1").exits(125);
        kept();
        edit(&[], "rm $1; mkdir $1").exits(125);
        kept();
        edit(&[], "printf '{ \\377 }' > $1").exits(125).complains("not saved");
        kept();
        // What was written is kept where the message says.
        let refused = edit(&[], "echo '{ \"sandbx\": 1 }' > $1").exits(125).complains("not saved").complains("sandbox");
        let draft = refused.stderr.split("you wrote is in ").nth(1).unwrap().split(':').next().unwrap();
        assert_eq!(fs::read_to_string(draft.trim()).unwrap(), "{ \"sandbx\": 1 }\n", "{refused}");
        kept();
        // An editor that replaces its file, as most do.
        edit(&[], "cp $1 $1.new; echo '{ /* new */ }' > $1.new; mv $1.new $1").success();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{ /* new */ }\n");
        // Somebody else writes meanwhile.
        edit(&[], "echo '{ /* theirs */ }' > $SETTINGS; echo '{ /* ours */ }' > $1").exits(125).complains("changed meanwhile");
        assert_eq!(fs::read_to_string(&path).unwrap(), "{ /* theirs */ }\n");
        edit(&[], "rm $SETTINGS; ln -s /etc/hosts $SETTINGS; echo '{ /* ours */ }' > $1").fails();
        assert!(path.is_symlink());
        fs::remove_file(&path).unwrap();
        let missing = ["settings", "edit"].map(str::to_owned).to_vec();
        Launch::new(&scene, Some(missing)).env("EDITOR", "/no/such/editor -w").finish(&[]).exits(125).complains("/no/such/editor");
        assert!(!path.exists());

        // A repository's file that is none: a link elsewhere, a FIFO, something endless.
        let project = scene.workspace.join(".askance/settings.json");
        scene.make_dir(project.parent().unwrap());
        let victim = scene.outside.join("victim.json");
        scene.file(&victim, "{}\n");
        for make in [format!("ln -s {} {}", victim.display(), project.display()), format!("mkfifo {}", project.display()), format!("ln -s /dev/zero {}", project.display())] {
            scene.bare_shell(&make).success();
            edit(&["--project"], "echo '{ /* new */ }' > $1").exits(125);
            assert_eq!(fs::read_to_string(&victim).unwrap(), "{}\n", "{make}");
            fs::remove_file(&project).unwrap();
        }
    }
}

for_each_user! {
    fn a_granted_path_that_becomes_a_link_grants_nothing_else(scene) {
        let out = scene.outside.join("granted");
        scene.make_dir(&out);
        scene.cli(&["allow", "write", out.to_str().unwrap()]).success();
        scene.cli(&["allow", "read", out.to_str().unwrap()]).success();
        let replace = |target: &str| format!("rm -r {0}; ln -s {target} {0}", out.display());
        scene.shell(&replace("~")).success();
        assert!(out.is_symlink());
        scene.shell("echo evil > ~/victim").fails();
        scene.shell(&format!("echo evil > {}/victim", out.display())).fails();
        assert!(!scene.home.join("victim").exists());
        scene.bare_shell(&replace("~/.ssh")).success();
        let finished = scene.shell(&format!("cat ~/.ssh/id_x {}/id_x", out.display())).fails();
        assert!(!finished.stdout.contains("TOP-SECRET"), "{finished}");
    }
}
