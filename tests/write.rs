//! Writes: what may be written without asking, what asks, and how an answer is carried out and kept.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use support::{Scene, User, build_attack};

/// The longest story of all: asked once, answered always, remembered, forgotten.
const STORY: &str = "echo hi > $D/f; mkdir $D/s; mv $D/f $D/s/g; echo more >> $D/s/g";

for_each_user! {
    fn an_answer_for_always_is_kept_and_can_be_forgotten(scene) {
        let dir = scene.outside.join("d");
        scene.make_dir(&dir);
        let shown = dir.display();
        let settings = scene.user_settings("{\n  // mine, and it stays\n  \"sandbox\": {} // here too\n}\n");

        let first = scene.askance().env("D", &dir).answers(format!("write {shown}/** always directory user\n")).shell(STORY).success();
        assert_eq!(fs::read_to_string(dir.join("s/g")).unwrap(), "hi\nmore\n", "{first}");
        assert_eq!(first.questions().len(), 1, "{first}");
        let text = fs::read_to_string(&settings).unwrap();
        assert!(text.contains("// mine, and it stays") && text.contains("// here too"), "comments are gone: {text}");
        assert!(text.contains("allowWrite") && text.contains(&shown.to_string()), "not kept: {text}");

        fs::remove_dir_all(dir.join("s")).unwrap();
        scene.askance().env("D", &dir).shell(STORY).success().asks_nothing();
        assert_eq!(fs::read_to_string(dir.join("s/g")).unwrap(), "hi\nmore\n");

        scene.cli(&["forget", "write", &shown.to_string()]).success();
        assert!(fs::read_to_string(&settings).unwrap().contains("// mine, and it stays"));
        let refused = scene.askance().env("D", &dir).shell("echo again > $D/again").fails().complains("ermission denied");
        assert!(!dir.join("again").exists());

        let denied = format!("write {shown}/again");
        let hint = refused.hint(&denied);
        assert!(hint.starts_with("askance allow write "), "{hint}");
        let words: Vec<&str> = hint.split_whitespace().skip(1).collect();
        scene.cli(&words).success();
        scene.askance().env("D", &dir).shell("echo again > $D/again").success().asks_nothing();
    }
}

for_each_user! {
    fn the_workspace_is_written_without_a_question(scene) {
        scene.shell("echo a > f && mkdir -p d/e && mv f d/e/g && ln -s e d/l && cp d/l/g h && echo b >> h && rm -r d && chmod 600 h && touch -d @0 h && cat h")
            .success().says("a\nb\n").asks_nothing();
    }
}

for_each_user! {
    fn a_write_that_nobody_allows_gets_eacces_and_leaves_nothing(scene) {
        let file = scene.outside.join("f");
        let finished = scene.shell(&format!("echo x > {}", file.display())).fails().complains("ermission denied");
        finished.denies(&format!("write {}", file.display()));
        assert!(!file.exists());
    }
}

for_each_user! {
    fn one_save_is_one_question(scene) {
        let file = scene.outside.join("notes.txt");
        scene.file(&file, "old\n");
        let script = format!(
            "import os\nf = '{0}'\nopen(f, 'a').write('more\\n')\nopen(f, 'w').write('new\\n')\nos.chmod(f, 0o640)\nos.utime(f, (1, 2))\nos.truncate(f, 2)\n",
            file.display()
        );
        scene.askance().answers(format!("write {} once\n", file.display())).run(&["/usr/bin/python3", "-c", &script])
            .success().asks(&[&format!("write {} once", file.display())]);
        assert_eq!(fs::read_to_string(&file).unwrap(), "ne");
    }
}

for_each_user! {
    fn once_ends_with_the_process(scene) {
        let file = scene.outside.join("f");
        let line = format!("write {} once\n", file.display());
        let each = format!("sh -c 'echo x >> {}'", file.display());
        let question = format!("write {} once", file.display());
        scene.askance().answers(line).shell(&format!("{each}; {each}")).success().asks(&[&question, &question]);
    }
}

for_each_user! {
    fn append_to_a_granted_file_appends(scene) {
        let file = scene.outside.join("log");
        scene.file(&file, "one\n");
        scene.askance().answers(format!("write {} run\n", file.display())).shell(&format!("echo two >> {0}; echo three >> {0}", file.display())).success();
        assert_eq!(fs::read_to_string(&file).unwrap(), "one\ntwo\nthree\n");
    }
}

for_each_user! {
    fn calls_that_would_fail_anyway_ask_nothing(scene) {
        scene.file(&scene.outside.join("file"), "x");
        let out = scene.outside.display();
        for (line, error) in [
            (format!("echo x > {out}/none/f"), "irectory"),
            (format!("mkdir {out}"), "File exists"),
            (format!("mkdir {out}/file/below"), "Not a directory"),
            (format!("rmdir {out}/none"), "No such file"),
            (format!("rm {out}/none"), "No such file"),
            (format!("mv {out}/none {out}/other"), "No such file"),
            ("mkdir /usr/bin".to_owned(), "File exists"),
        ] {
            scene.shell(&line).fails().complains(error).asks_nothing();
        }
        if scene.user == User::Nobody {
            scene.shell("echo x >> /etc/hostname").fails().complains("ermission denied").asks_nothing();
            scene.shell("touch /usr/bin/new").fails().complains("ermission denied").asks_nothing();
        }
    }
}

for_each_user! {
    fn what_others_execute_later_asks_inside_the_workspace_too(scene) {
        scene.make_repository();
        for path in [".envrc", "deep/er/.envrc", ".vscode/tasks.json", ".git/hooks/pre-commit", ".git/config", ".mcp.json"] {
            let file = scene.workspace.join(path);
            scene.make_dir(&scene.workspace.join("deep/er"));
            let before = fs::read_to_string(&file).unwrap_or_default();
            let line = format!("mkdir -p $(dirname {path}); echo x >> {path}");
            scene.shell(&line).fails();
            assert_eq!(fs::read_to_string(&file).unwrap_or_default(), before, "{path} was written");
            scene.askance().answers("write /** run\n").shell(&line).success();
            assert_eq!(fs::read_to_string(&file).unwrap(), format!("{before}x\n"), "{path} was not written");
        }
    }
}

for_each_user! {
    fn settings_of_askance_are_blocked_even_for_yes(scene) {
        scene.user_settings("{}\n");
        for path in [scene.user_settings_path(), scene.local_settings_path(), scene.workspace.join(".askance/settings.json")] {
            let before = fs::read_to_string(&path).unwrap_or_default();
            let line = format!("mkdir -p {}; echo '// planted' >> {}", path.parent().unwrap().display(), path.display());
            let finished = scene.askance().answers("write /** once\n").shell(&line).fails();
            assert_eq!(fs::read_to_string(&path).unwrap_or_default(), before, "{finished}");
        }
    }
}

for_each_user! {
    fn the_private_temporary_directory_is_free_and_short(scene) {
        let finished = scene.shell("echo x > $TMPDIR/f && mktemp -d && mkfifo $TMPDIR/p && echo ${#TMPDIR} > length && echo $TMPDIR")
            .success().asks_nothing();
        let length: usize = fs::read_to_string(scene.workspace.join("length")).unwrap().trim().parse().unwrap();
        assert!(length <= 60, "sockets live there: {length} bytes\n{finished}");
        let dir = finished.stdout.lines().last().unwrap();
        assert!(!std::path::Path::new(dir).join("f").exists(), "left behind: {dir}");
    }
}

for_each_user! {
    fn what_the_run_makes_in_tmp_is_its_own_and_what_was_there_asks(scene) {
        let older = tempfile::Builder::new().prefix("askance-older-").tempdir_in("/tmp").unwrap();
        scene.give(older.path());
        let name = format!("/tmp/askance-own-{}-{}", std::process::id(), scene.user as u8);
        scene.shell(&format!("mkdir {name} && echo x > {name}/f && mv {name}/f {name}/g && rm -r {name} && echo y > {name} && rm {name}"))
            .success().asks_nothing();
        let line = format!("echo x > {}/f", older.path().display());
        scene.shell(&line).fails().denies(&format!("write {}/f", older.path().display()));
        for dir in ["/var/tmp", "/dev/shm"] {
            let name = format!("{dir}/askance-own-{}-{}", std::process::id(), scene.user as u8);
            scene.shell(&format!("echo x > {name} && rm {name}")).success().asks_nothing();
        }
    }
}

for_each_user! {
    fn devices_that_keep_nothing_are_free(scene) {
        scene.shell("echo x > /dev/null && echo y >> /dev/null && head -c 3 /dev/zero > z && dd if=/dev/urandom of=/dev/null count=1 2>/dev/null").success().asks_nothing();
    }
}

for_each_user! {
    fn a_repository_of_the_run_is_made_without_a_question(scene) {
        let identity = "-c user.name=t -c user.email=t@example.com";
        scene.shell(&format!("git init -q new && cd new && echo a > a && git add a && git {identity} commit -qm one && git branch x && git checkout -q x && git log --oneline | wc -l"))
            .success().says("1").asks_nothing();
        scene.shell("git init -q other && echo x > other/.git/hooks/pre-commit").fails();
    }
}

for_each_user! {
    fn a_repository_that_existed_keeps_its_configuration(scene) {
        scene.make_repository();
        let identity = "-c user.name=t -c user.email=t@example.com";
        scene.shell(&format!("echo a > a && git add a && git {identity} commit -qm one && git status --short && git gc -q && git log --oneline | wc -l"))
            .success().says("2").asks_nothing();
        scene.shell("git config core.pager evil").fails();
        let config = fs::read_to_string(scene.workspace.join(".git/config")).unwrap();
        assert!(!config.contains("evil"));
    }
}

for_each_user! {
    fn row_29_results_are_native_through_a_grant(scene) {
        let program = build_attack("row_29_semantics");
        let program = program.to_str().unwrap();
        let other = Scene::new(scene.user);
        for place in ["granted", "asked", "workspace", "temporary"] {
            let directory = |scene: &Scene| {
                let dir = match place {
                    "granted" | "asked" => scene.outside.join(place),
                    _ => scene.workspace.join(place),
                };
                scene.make_dir(&dir);
                dir
            };
            let (dir, bare_dir) = (directory(&scene), directory(&other));
            let bare = other.bare(&[program, bare_dir.to_str().unwrap()]).success();
            let launch = scene.askance();
            let sandboxed = match place {
                "granted" => launch.flags(&[format!("--allow-write={}", dir.display())]).run(&[program, dir.to_str().unwrap()]),
                "asked" => launch.answers(format!("write {}/** run\n", dir.display())).run(&[program, dir.to_str().unwrap()]),
                "workspace" => launch.run(&[program, dir.to_str().unwrap()]),
                _ => launch.shell(&format!("exec {program} $TMPDIR")),
            }.success();
            let differences: Vec<String> = similar::TextDiff::from_lines(&bare.stdout, &sandboxed.stdout)
                .unified_diff().header("bare", place).to_string().lines().map(str::to_owned).collect();
            assert!(differences.is_empty(), "{}\n{}", differences.join("\n"), sandboxed.stderr);
        }
    }
}

for_each_user! {
    fn the_history_of_a_pager_is_refused_without_a_question(scene) {
        // `less` writes the second and renames it to the first.
        for name in [".lesshst", ".lesshsQ", ".local/state/lesshst", ".local/state/lesshsQ"] {
            scene.file(&scene.home.join(".local/state/there"), "");
            scene.shell(&format!("echo x > ~/{name}")).fails().asks_nothing();
            assert!(!scene.home.join(name).exists(), "{name}");
        }
    }
}
