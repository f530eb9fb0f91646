//! `sandbox.limits` and `sandbox.enabled`: what bounds a run, and what happens at the bound.
#![allow(clippy::unwrap_used)]

mod support;

use support::{Scene, User};

fn limited(scene: &Scene, limits: &str) {
    scene.user_settings(&format!(r#"{{ "sandbox": {{ "limits": {{ {limits} }} }} }}"#));
}

for_each_user! {
    fn output_within_its_limit_passes_whole_and_beyond_it_ends_the_run(scene) {
        limited(&scene, r#""outputBytes": 1000"#);
        let within = scene.shell("head -c 600 /dev/zero | tr '\\0' a; head -c 400 /dev/zero | tr '\\0' b >&2").success();
        assert_eq!(within.stdout.len(), 600, "{within}");
        let beyond = scene.shell("yes");
        assert_eq!(beyond.code(), 128 + 9, "{beyond}");
        assert_eq!(beyond.stdout.len(), 1000);
        assert!(beyond.stderr.contains("limit of output"), "{beyond}");
        // Also where it is over before anybody has looked.
        for _ in 0..20 {
            scene.shell("exec head -c 1001 /dev/zero").exits(128 + 9);
        }
    }
}

for_each_user! {
    fn open_files_are_bounded(scene) {
        limited(&scene, r#""openFiles": 33"#);
        scene.shell("ulimit -n").success().says("33");
    }
}

for_each_user! {
    fn too_many_processes_end_the_run(scene) {
        limited(&scene, r#""processes": 5"#);
        scene.shell("sleep 0.3 & wait").success();
        let many = scene.shell("for i in 1 2 3 4 5 6 7 8 9 10; do sleep 30 & done; wait");
        assert!(many.code() != 0, "{many}");
    }
}

for_each_user! {
    fn a_name_that_is_no_text_hides_no_process_from_the_limits(scene) {
        limited(&scene, r#""processes": 5"#);
        let program = "
import ctypes, os, time
ctypes.CDLL(None).prctl(15, b'\\xff', 0, 0, 0)
for _ in range(20):
    if os.fork() == 0:
        time.sleep(5)
        os._exit(0)
time.sleep(5)";
        let many = scene.run(&["/usr/bin/python3", "-c", program]);
        assert!(many.code() != 0, "{many}");
    }
}

for_each_user! {
    fn a_sandbox_that_is_switched_off_says_so(scene) {
        let marker = scene.outside.join("marker");
        let line = format!("echo x > {}", marker.display());
        scene.shell(&line).fails();
        scene.user_settings(r#"{ "sandbox": { "enabled": false } }"#);
        scene.shell(&line).success().complains("sandbox.enabled is false");
        assert!(marker.exists());
    }
}

for_each_user! {
    fn spec_mode_reads_and_does_nothing_else(scene) {
        scene.askance().flags(&["--spec"]).run(&["ls", "/"]).success();
        scene.askance().flags(&["--spec"]).run(&["touch", "made"]).exits(126).complains("spec mode is read-only");
        assert!(!scene.workspace.join("made").exists());
    }
}

for_each_user! {
    fn the_level_decides_what_starts(scene) {
        scene.askance().flags(&["--auto", "off"]).run(&["ls"]).success();
        scene.askance().flags(&["--auto", "off"]).run(&["mkdir", "d"]).exits(126).complains("--auto medium");
        scene.askance().flags(&["--auto", "off"]).answers("command mkdir d once").run(&["mkdir", "d"]).success();
        scene.askance().flags(&["--auto", "medium"]).run(&["mkdir", "e"]).success();
        scene.user_settings(r#"{ "sessionDefaultSettings": { "autonomyLevel": "low" } }"#);
        scene.run(&["mkdir", "f"]).exits(126);
    }
}

for_each_user! {
    fn lists_and_interlocks_hold_at_every_execve(scene) {
        scene.user_settings(r#"{ "commandBlocklist": ["touch marker"], "commandDenylist": ["mkdir *"] }"#);
        scene.run(&["touch", "marker"]).exits(126).complains("block list");
        scene.run(&["python3", "-c", "import os; os.execvp('touch', ['touch', 'marker'])"]).fails();
        assert!(!scene.workspace.join("marker").exists());
        scene.run(&["python3", "-c", "import os; os.execvp('touch', ['touch', 'other'])"]).success();
        // The words stand in no text that could be read before the start.
        let twice = "import subprocess as s, sys; print([s.run(sys.argv[1:]).returncode for _ in range(2)])";
        let nested = ["python3", "-c", twice, "mkdir", "d"];
        let asked = scene.askance().answers("command mkdir d once").run(&nested).success();
        assert_eq!(asked.questions(), ["command mkdir d once"], "an argument vector is asked about once a run\n{asked}");
        assert!(scene.workspace.join("d").is_dir());
    }
}
