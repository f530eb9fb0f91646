//! Reads: credentials ask, everything else is free, and an answer reaches exactly as far as it says.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use support::scene::SECRET;
use support::{Scene, User};

for_each_user! {
    fn a_private_key_asks_and_once_lets_one_open_through(scene) {
        let secret = scene.secret();
        let question = format!("read {} once", secret.display());
        scene.shell("cat ~/.ssh/id_x").fails().complains("ermission denied").denies(&format!("read {}", secret.display()));
        scene.askance().answers("read ~/.ssh/id_x once\n").shell("cat ~/.ssh/id_x").success().says(SECRET).asks(&[&question]);
        scene.askance().answers("read ~/.ssh/id_x once\n").shell("cat ~/.ssh/id_x; cat ~/.ssh/id_x").success().asks(&[&question, &question]);
        let one_process = "for i in 1 2: print(open(open('p').read()).read())".replace("for i in 1 2: ", "");
        scene.file(&scene.workspace.join("p"), secret.to_str().unwrap());
        scene.askance().answers("read ~/.ssh/id_x once\n")
            .run(&["/usr/bin/python3", "-c", &format!("{one_process}\n{one_process}")]).success().asks(&[&question, &question]);
    }
}

for_each_user! {
    fn a_symbolic_link_asks_for_what_it_leads_to(scene) {
        let question = format!("read {} once", scene.secret().display());
        std::os::unix::fs::symlink(scene.secret(), scene.workspace.join("link")).unwrap();
        scene.askance().answers("read ~/.ssh/id_x once\n").shell("cat link").success().says(SECRET).asks(&[&question]);
        std::os::unix::fs::symlink(scene.home.join(".ssh"), scene.workspace.join("dir")).unwrap();
        scene.askance().answers("read ~/.ssh/id_x once\n").shell("cat dir/../.ssh/id_x dir/id_x").success().asks(&[&question, &question]);
        scene.shell("cat link").fails().denies(&format!("read {}", scene.secret().display()));
    }
}

for_each_user! {
    fn an_answer_for_the_run_asks_once(scene) {
        scene.askance().answers("read ~/.ssh/id_x run\n").shell("cat ~/.ssh/id_x; cat ~/.ssh/id_x; sh -c 'cat ~/.ssh/id_x'")
            .success().asks(&[&format!("read {} run", scene.secret().display())]);
    }
}

for_each_user! {
    fn always_goes_to_the_project_by_default_and_beats_the_built_in_rule(scene) {
        scene.askance().answers("read ~/.ssh/id_x always file\n").shell("cat ~/.ssh/id_x").success();
        let text = fs::read_to_string(scene.local_settings_path()).unwrap();
        assert!(text.contains("allowRead") && text.contains(".ssh/id_x"), "{text}");
        scene.shell("cat ~/.ssh/id_x").success().says(SECRET).asks_nothing();
        scene.file(&scene.home.join(".ssh/other"), SECRET);
        scene.shell("cat ~/.ssh/other").fails();
    }
}

for_each_user! {
    fn never_is_kept_and_refuses_without_a_question(scene) {
        scene.askance().answers("read ~/.ssh/id_x never\n").shell("cat ~/.ssh/id_x").fails();
        let text = fs::read_to_string(scene.local_settings_path()).unwrap();
        assert!(text.contains("blockRead"), "{text}");
        let finished = scene.askance().answers("read /** once\n").shell("cat ~/.ssh/id_x").fails();
        assert_eq!(finished.questions(), Vec::<String>::new(), "{finished}");
    }
}

for_each_user! {
    fn what_does_not_exist_is_not_asked_about(scene) {
        scene.shell("cat ~/.ssh/none").fails().complains("No such file").asks_nothing();
        scene.shell("cat ~/.ssh/id_x/below").fails().complains("Not a directory").asks_nothing();
        scene.shell("test -e ~/.ssh/id_x && stat -c %s ~/.ssh/id_x").success().says("11").asks_nothing();
    }
}

for_each_user! {
    fn listing_a_denied_directory_asks(scene) {
        scene.shell("ls ~/.ssh").fails().denies(&format!("read {}", scene.home.join(".ssh").display()));
        scene.askance().answers("read ~/.ssh once\n").shell("ls ~/.ssh").success().says("id_x");
    }
}

for_each_user! {
    fn the_rest_of_the_machine_is_read_freely(scene) {
        scene.file(&scene.outside.join("readable"), "free\n");
        let line = format!("cat {}/readable /etc/hostname > all; ls / /usr /etc > list; head -c 10 /proc/self/status; id; ps", scene.outside.display());
        scene.shell(&line).success().asks_nothing();
    }
}

for_each_user! {
    fn what_lies_in_etc_and_run_is_read_whether_it_has_a_rule_or_not(scene) {
        let line = "for d in /etc/*/ /run/[!cs]*/; do for f in \"$d\"*; do [ -f \"$f\" ] && head -c 1 \"$f\" | cksum && ls -d \"$d\" && break; done; done; true";
        let bare = scene.bare_shell(line).success();
        let sandboxed = scene.shell(line).success();
        if scene.user == User::Caller {
            // Root may read what is denied, and is asked.
            assert!(sandboxed.stdout.lines().count() * 2 > bare.stdout.lines().count(), "{sandboxed}");
        } else {
            assert_eq!(bare.stdout, sandboxed.asks_nothing().stdout);
        }
    }
}

for_each_user! {
    fn a_tree_is_read_as_natively(scene) {
        for dir in 0..20 {
            for file in 0..20 {
                scene.file(&scene.workspace.join(format!("t/{dir}/{file}")), format!("line {dir} {file}\n"));
            }
        }
        let line = "grep -r line t | sort | cksum; find t | sort | cksum; du -s --apparent-size t; tar -cf - --sort=name t | cksum";
        let bare = scene.bare_shell(line).success();
        let sandboxed = scene.shell(line).success().asks_nothing();
        assert_eq!(bare.stdout, sandboxed.stdout);
    }
}

for_each_user! {
    fn own_files_in_proc_are_the_programs_own(scene) {
        let script = "
import os
assert b'python3' in open('/proc/self/cmdline', 'rb').read()
assert int(open('/proc/self/stat').read().split()[0]) == os.getpid()
assert os.readlink('/proc/self/exe').endswith('python3.11') or 'python' in os.readlink('/proc/self/exe')
assert b'MARK=yes' in open('/proc/self/environ', 'rb').read()
assert b'MARK=yes' in open(f'/proc/{os.getpid()}/environ', 'rb').read()
r, w = os.pipe(); os.write(w, b'x')
assert os.read(os.open(f'/proc/self/fd/{r}', os.O_RDONLY), 1) == b'x'
assert os.read(os.open(f'/dev/fd/{os.dup(os.open(\"/etc/hostname\", os.O_RDONLY))}', os.O_RDONLY), 1)
open('/proc/self/comm', 'w').write('renamed')
assert open('/proc/self/comm').read() == 'renamed\\n'
open('/proc/self/oom_score_adj').read(); open('/proc/self/maps').read(); open('/proc/self/mounts').read()
assert open('/proc/thread-self/comm').read() == 'renamed\\n'
print('own')
";
        scene.askance().env("MARK", "yes").run(&["/usr/bin/python3", "-c", script]).success().says("own").asks_nothing();
    }
}

for_each_user! {
    fn credentials_in_the_environment_are_removed_and_named(scene) {
        let launch = || scene.askance().env("AWS_SECRET_ACCESS_KEY", "TOP-SECRET").env("GITHUB_TOKEN", "TOP-SECRET").env("HARMLESS", "kept");
        let finished = launch().shell("env; cat /proc/self/environ").success().says("HARMLESS=kept");
        assert!(!finished.stdout.contains("TOP-SECRET"), "{finished}");
        let removed = finished.report["environment_removed"].to_string();
        assert!(removed.contains("AWS_SECRET_ACCESS_KEY") && removed.contains("GITHUB_TOKEN"), "{finished}");
        assert!(!finished.report.to_string().contains("TOP-SECRET"), "a value was reported");
        scene.user_settings(r#"{ "sandbox": { "env": { "allow": ["GITHUB_TOKEN"] } } }"#);
        let finished = launch().shell("env").success().says("GITHUB_TOKEN=TOP-SECRET");
        assert!(!finished.stdout.contains("AWS_SECRET"), "{finished}");
    }
}

for_each_user! {
    fn etc_shadow_asks_even_for_root(scene) {
        let finished = scene.run(&["cat", "/etc/shadow"]).fails();
        if scene.user == User::Caller {
            finished.denies("read /etc/shadow");
        } else {
            // The mode bits refuse an ordinary user: nothing is asked in vain.
            finished.asks_nothing();
        }
    }
}
