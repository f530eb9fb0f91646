//! Sessions: what runs of one name share, raising the level, and the kinds of session.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::PathBuf;

use serde_json::json;
use support::command::{Finished, Launch};
use support::scene::{Scene, User};
use support::terminal::Terminal;

/// A private runtime directory, as a login gives one.
fn runtime(scene: &Scene) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let dir = scene.beside("runtime");
    scene.make_dir(&dir);
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    dir
}

fn scenes() -> Vec<Scene> {
    [Some(Scene::new(User::Caller)), Scene::as_nobody()].into_iter().flatten().collect()
}

fn in_session<'a>(scene: &'a Scene, name: &str) -> Launch<'a> {
    scene.askance().env("XDG_RUNTIME_DIR", runtime(scene)).flags(&["--session", name])
}

fn check(scene: &Scene, flags: &[&str], line: &str) -> Finished {
    let words: Vec<String> = ["check"].iter().chain(flags).chain(&["-c", line]).map(ToString::to_string).collect();
    Launch::new(scene, Some(words)).env("XDG_RUNTIME_DIR", runtime(scene)).finish(&[])
}

#[test]
fn a_grant_for_the_session_is_shared_by_runs_of_its_name() {
    for scene in scenes() {
        let target = scene.outside.join("f");
        let line = format!("echo x >> {}", target.display());
        let answer = format!("write {} session", target.display());
        in_session(&scene, "one").answers(&answer).shell(&line).success();
        in_session(&scene, "one").shell(&line).success().asks_nothing();
        in_session(&scene, "two").shell(&line).fails();
        scene.askance().env("XDG_RUNTIME_DIR", runtime(&scene)).shell(&line).fails();
        assert_eq!(fs::read_to_string(&target).unwrap(), "x\nx\n");
        assert!(runtime(&scene).join("askance/sessions/one.json").exists());
        assert!(!scene.local_settings_path().exists(), "a session's grants are no settings");
    }
}

#[test]
fn without_a_runtime_directory_sessions_work_too() {
    let scene = Scene::new(User::Caller);
    let target = scene.outside.join("f");
    let line = format!("echo x >> {}", target.display());
    let answer = format!("write {} session", target.display());
    scene.askance().flags(&["--session", "s"]).answers(&answer).shell(&line).success();
    scene.askance().flags(&["--session", "s"]).shell(&line).success().asks_nothing();
    assert!(scene.home.join(".local/state/askance/sessions/s.json").exists());
}

#[test]
fn a_grant_for_the_session_reaches_runs_that_go_on() {
    let scene = Scene::new(User::Caller);
    let (target, ready, go) = (scene.outside.join("f"), scene.workspace.join("ready"), scene.workspace.join("go"));
    let line = format!(
        "touch {}; while [ ! -e {} ]; do sleep 0.02; done; sleep 0.3; echo late >> {}",
        ready.display(),
        go.display(),
        target.display()
    );
    let running = in_session(&scene, "s").start(&["sh", "-c", &line]);
    while !ready.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let answer = format!("write {} session", target.display());
    in_session(&scene, "s").answers(answer).shell(&format!("echo early >> {}", target.display())).success();
    fs::write(&go, "").unwrap();
    running.wait().success().asks_nothing();
    assert_eq!(fs::read_to_string(&target).unwrap(), "early\nlate\n");
}

#[test]
fn nothing_in_a_sandbox_can_write_a_sessions_state() {
    for scene in scenes() {
        // The workspace holds the runtime directory: the worst place that it could be in.
        let runtime = scene.workspace.join("run");
        scene.make_dir(&runtime);
        let launch = || scene.askance().env("XDG_RUNTIME_DIR", &runtime).flags(&["--session", "s"]);
        let attacks = [
            "mkdir -p run/askance/sessions && echo {} > run/askance/sessions/s.json",
            "mkdir run/askance; mkdir elsewhere; ln -s $PWD/elsewhere run/askance/sessions",
            "mkdir planted && mv planted run/askance",
            "mv run run.old; mkdir -p run/askance/sessions; echo {} > run/askance/sessions/s.json",
            "ln -s $PWD/planted run/askance",
            "rm -rf run/askance; chmod 777 run/askance/sessions; truncate -s0 run/askance/sessions/s.json",
        ];
        let state = runtime.join("askance/sessions/s.json");
        for attack in attacks {
            let _ = launch().shell(attack);
            assert!(!state.exists(), "{attack}");
        }
        let real = runtime.symlink_metadata().unwrap();
        assert!(real.is_dir());
        let answer = format!("write {} session", scene.outside.join("f").display());
        launch().answers(answer).shell(&format!("touch {}", scene.outside.join("f").display())).success();
        let before = fs::read(&state).unwrap();
        for attack in attacks {
            let _ = launch().shell(attack);
            assert_eq!(fs::read(&state).unwrap(), before, "{attack}");
        }
    }
}

#[test]
fn a_command_is_allowed_for_the_session_once_and_then_not_asked_about() {
    for scene in scenes() {
        let off = |name| in_session(&scene, name).flags(&["--auto", "off"]);
        off("s")
            .answers("command touch * session")
            .run(&["touch", "made here"])
            .success()
            .asks(&["command touch made here session"]);
        off("s").run(&["touch", "made here"]).success().asks_nothing();
        off("s").run(&["touch", "other"]).exits(126);
        off("t").run(&["touch", "made here"]).exits(126);
    }
}

#[test]
fn a_denied_command_is_asked_about_once_and_can_be_allowed_for_the_session() {
    let scene = Scene::new(User::Caller);
    scene.user_settings(r#"{"commandDenylist": ["touch marker"]}"#);
    let once = scene.askance().answers("command touch * once").run(&["touch", "marker"]).success();
    once.asks(&["command touch marker once"]);
    scene.askance().answers("command touch * session").run(&["touch", "marker"]).success();
    scene.askance().run(&["touch", "marker"]).exits(126);

    // Found at the start of a program in the sandbox, where no text shows it.
    let hidden = "c=$(echo dG91Y2ggbWFya2Vy | base64 -d); $c; $c";
    in_session(&scene, "s")
        .answers("command touch * session")
        .shell(hidden)
        .success()
        .asks(&["command touch marker session"]);
    in_session(&scene, "s").shell(hidden).success().asks_nothing();
    in_session(&scene, "s").run(&["touch", "marker"]).success().asks_nothing();
    in_session(&scene, "t").shell(hidden).fails();
    // Another file of the same words is another program.
    let fake = r#"python3 -c 'import os; os.execv("./touch", ["touch", "marker"])'"#;
    scene.bare_shell("cp /bin/true touch").success();
    in_session(&scene, "s").shell(fake).fails().denies("command touch marker");
}

#[test]
fn an_interlock_and_an_organisations_rule_are_never_answered_for_the_session() {
    let scene = Scene::new(User::Caller);
    // "session" is not offered, and the widest answer that it includes is "run".
    let started =
        ["python3", "-c", "import subprocess, sys; subprocess.run(sys.argv[1:])", "rm", "-rf", "../nowhere/.."];
    let asked = in_session(&scene, "s").answers("command rm * session").run(&started);
    asked.asks(&["command rm -rf ../nowhere/.. run"]);
    let argv = ["rm", "-rf", "../nowhere/.."];
    in_session(&scene, "s").answers("command rm * session").run(&argv).asks(&["command rm -rf ../nowhere/.. run"]);
    in_session(&scene, "s").run(&argv).exits(126);
}

#[test]
fn raising_the_level_holds_for_the_session() {
    for scene in scenes() {
        let off = scene.askance().env("XDG_RUNTIME_DIR", runtime(&scene));
        let settings = r#"{"sessionDefaultSettings": {"autonomyLevel": "off"}}"#;
        scene.user_settings(settings);
        off.flags(&["--session", "s", "--kind", "exec"])
            .answers("command touch * raise")
            .run(&["touch", "a"])
            .success()
            .asks(&["command touch a raise"]);
        let exec = |name| in_session(&scene, name).flags(&["--kind", "exec"]);
        exec("s").run(&["touch", "b"]).success().asks_nothing();
        exec("s").run(&["python3", "-c", "pass"]).exits(126);
        exec("t").run(&["touch", "b"]).exits(126);
        check(&scene, &["--session", "s"], "touch x").success().says("at level medium");
        check(&scene, &["--session", "t"], "touch x").exits(1).says("at level off");
    }
}

#[test]
fn raising_is_not_offered_above_the_maximum_nor_for_rules_and_interlocks() {
    let scene = Scene::new(User::Caller);
    scene.user_settings(
        r#"{"sessionDefaultSettings": {"autonomyLevel": "off"}, "maxAutonomyLevel": "medium", "commandDenylist": ["git push"]}"#,
    );
    let raise = |argv: &[&str]| scene.askance().answers("command * raise").run(argv);
    raise(&["touch", "a"]).success().asks(&["command touch a raise"]);
    let high = raise(&["python3", "-c", "pass"]).exits(126);
    assert!(!high.stderr.contains("--auto"), "a level that cannot be had is no way out: {high}");
    raise(&["git", "push"]).exits(126);
    raise(&["rm", "-rf", "/"]).exits(126);
}

#[test]
fn the_raised_level_is_where_the_next_session_begins() {
    let scene = Scene::new(User::Caller);
    scene.user_settings(r#"{"sessionDefaultSettings": {"autonomyLevel": "off"}}"#);
    scene.askance().run(&["touch", "a"]).exits(126);
    scene.askance().answers("command touch * raise").run(&["touch", "a"]).success();
    scene.askance().run(&["touch", "b"]).success().asks_nothing();
    // The user says something new: that counts.
    scene.user_settings(r#"{"sessionDefaultSettings": {"autonomyLevel": "low"}}"#);
    scene.askance().run(&["touch", "b"]).exits(126);
}

#[test]
fn always_for_a_command_line_lists_its_commands_and_runs_the_next_time() {
    for scene in scenes() {
        let line = "touch 'a b' && mv 'a b' c";
        let exec = |answers: &str| {
            let launch = scene.askance().flags(&["--auto", "off"]);
            launch.answers(answers).run(&["bash", "-c", line])
        };
        exec("command bash * always").success();
        let text = scene.settings_text(&scene.local_settings_path());
        assert!(text.contains("=touch 'a b'") && text.contains("=mv 'a b' c"), "{text}");
        exec("").success().asks_nothing();
        // What only the run knows cannot be written down, so "always" means this once there.
        let open = scene.askance().flags(&["--auto", "off"]).answers("command bash * always");
        let open = open.run(&["bash", "-c", "touch $(date +%N)"]).success();
        assert!(open.questions()[0].ends_with(" session"), "{open}");
    }
}

#[test]
fn subagents_are_clamped_and_stay_what_they_are() {
    let scene = Scene::new(User::Caller);
    scene.user_settings(r#"{"subagentAutonomyLevel": "medium"}"#);
    let kind =
        |kind: &str, flags: &[&str], argv: &[&str]| scene.askance().env("ASKANCE_KIND", kind).flags(flags).run(argv);
    kind("subagent", &[], &["touch", "a"]).success();
    kind("subagent", &[], &["python3", "-c", "pass"]).exits(126);
    kind("subagent", &["--auto", "high"], &["python3", "-c", "pass"]).exits(126);
    kind("subagent", &["--spec"], &["touch", "a"]).exits(126);
    kind("subagent", &["--kind", "interactive"], &["python3", "-c", "pass"])
        .exits(125)
        .complains("what a subagent starts is one");
    kind("interactive", &["--kind", "subagent"], &["python3", "-c", "pass"]).exits(126);
    kind("interactive", &[], &["python3", "-c", "pass"]).success();
    kind("boss", &[], &["true"]).exits(125).complains("expected interactive, exec, subagent or mission");
    scene.askance().flags(&["--kind", "boss"]).run(&["true"]).exits(125);
    scene.askance().flags(&["--session", "../x"]).run(&["true"]).exits(125).complains("letters, digits");
}

#[test]
fn a_mission_needs_high_and_the_policys_leave() {
    let scene = Scene::new(User::Caller);
    let mission = |settings: &str, flags: &[&str]| {
        scene.user_settings(settings);
        scene.askance().flags(&["--kind", "mission"]).flags(flags).run(&["python3", "-c", "raise SystemExit(1)"])
    };
    mission("{}", &[]).exits(1);
    let refused = mission("{}", &["--auto", "medium"]).exits(126).complains("needs level high");
    // It never came to approval, and the report says what there is to say.
    let report = &refused.report;
    assert_eq!((&report["decision"]["verdict"], &report["exit"]["code"]), (&json!("refuse"), &json!(126)), "{refused}");
    assert!(report["decision"]["reason"].as_str().unwrap().contains("needs level high"), "{refused}");
    assert_eq!(report["request"]["argv"][0], "python3", "{refused}");
    assert_eq!(report["files"], json!([]), "{refused}");
    mission(r#"{"maxAutonomyLevel": "medium"}"#, &[]).exits(126).complains("settings.json:1");
    let uid = rustix::process::getuid().as_raw();
    mission(r#"{"missionPolicy": {"restrictedAccess": true}}"#, &[]).exits(126).complains("does not name");
    mission(&format!(r#"{{"missionPolicy": {{"restrictedAccess": true, "allowedUserIds": ["{uid}"]}}}}"#), &[])
        .exits(1);
    mission(r#"{"missionPolicy": {"restrictedAccess": true, "allowedUserIds": ["12345678"]}}"#, &[]).exits(126);
}

#[test]
fn a_person_raises_the_level_with_a_key_and_finds_it_again() {
    let scene = Scene::new(User::Caller);
    scene.user_settings(r#"{"sessionDefaultSettings": {"autonomyLevel": "off"}}"#);
    let command = scene.askance().env("NO_COLOR", "1").flags(&["--", "touch", "made"]).command(&[], None);
    let mut terminal = Terminal::start(&command);
    terminal.answer("touch made", "l", "level medium");
    assert_eq!(terminal.wait(), 0);
    scene.askance().run(&["touch", "b"]).success().asks_nothing();
    // A level that a person chooses by a flag is remembered too.
    let command = scene.askance().flags(&["--auto", "off", "--", "true"]).command(&[], None);
    assert_eq!(Terminal::start(&command).wait(), 0);
    scene.askance().run(&["touch", "b"]).exits(126);
    // One that a program passes is not.
    scene.askance().flags(&["--auto", "high"]).run(&["touch", "b"]).success();
    scene.askance().run(&["touch", "b"]).exits(126);
}
