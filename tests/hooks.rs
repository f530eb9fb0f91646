//! Blocking hooks: programs that see each request, refuse, ask, or rewrite it.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::command::Launch;
use support::scene::{Scene, User};

/// A hook of this name that runs a shell line; what it got is in `NAME.in`.
fn hook(scene: &Scene, name: &str, line: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = scene.beside("hooks").join(name);
    scene.file(&path, format!("#!/bin/sh\ncat > {}.in\n{line}\n", path.display()));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn set(scene: &Scene, settings: &Value) {
    scene.user_settings(&settings.to_string());
}

fn scene_with(line: &str) -> Scene {
    let scene = Scene::new(User::Caller);
    let hook = hook(&scene, "h", line);
    set(&scene, &json!({"hooks": {"preCommand": [hook]}}));
    scene
}

#[test]
fn a_hook_sees_the_request_and_may_have_no_opinion() {
    let scenes = [Some(Scene::new(User::Caller)), Scene::as_nobody()];
    for scene in scenes.into_iter().flatten() {
        let hook = hook(&scene, "h", "exit 0");
        set(&scene, &json!({"hooks": {"preCommand": [hook]}}));
        let flags = ["--risk", "low", "--reason", "it echoes"];
        scene.askance().flags(&flags).run(&["echo", "a b"]).success().says("a b").asks_nothing();
        let seen: Value = serde_json::from_slice(&fs::read(format!("{hook}.in")).unwrap()).unwrap();
        assert_eq!(
            seen,
            json!({"hook": "preCommand", "argv": ["echo", "a b"], "cwd": scene.workspace, "workspace": scene.workspace,
                "kind": "interactive", "level": "high", "mode": "auto", "declared_risk": "low",
                "declared_reason": "it echoes"})
        );
        let exec = Launch::new(&scene, Some(vec!["exec".into(), "-c".into(), "echo from exec".into()]));
        exec.finish(&[]).success().says("from exec");
        let seen: Value = serde_json::from_slice(&fs::read(format!("{hook}.in")).unwrap()).unwrap();
        assert_eq!((&seen["command"], &seen["kind"]), (&json!("echo from exec"), &json!("exec")));
    }
}

#[test]
fn what_a_hook_says_decides() {
    // What it does, the exit status of the run, and what is said to whoever asked.
    let table = [
        (r#"echo '{"decision": "allow"}'"#, 0, ""),
        ("echo 'not here' >&2; exit 2", 126, "refuses: not here"),
        (r#"echo '{"decision": "refuse", "reason": "no"}'"#, 126, "refuses: no"),
        (r#"echo '{"decision": "deny"}'"#, 126, "refuses"),
        (r#"echo '{"decision": "ask", "reason": "sure?"}'"#, 126, "asks: sure?"),
        ("exit 1", 126, "failed: it ended with exit status: 1"),
        ("kill -9 $$", 126, "failed: it ended with signal: 9"),
        ("echo nonsense", 126, "did not say"),
        (r#"echo '{"descision": "allow"}'"#, 126, "did not say"),
        (r#"echo '{"decision": "maybe"}'"#, 126, "expected allow, ask or refuse"),
        (r#"echo '{"decision": "allow", "command": ""}'"#, 126, "is empty"),
        (r#"echo '{"decision": "allow", "command": []}'"#, 126, "is empty"),
        ("head -c 2000000 /dev/zero", 126, "said more than"),
    ];
    for (line, status, said) in table {
        let scene = scene_with(line);
        let ended = scene.askance().run(&["touch", "made"]).exits(status).complains(said);
        assert_eq!(scene.workspace.join("made").exists(), status == 0, "{line}\n{ended}");
        if status != 0 {
            assert!(ended.stderr.contains(scene.beside("hooks/h").to_str().unwrap()), "{ended}");
        }
    }
    let absent = Scene::new(User::Caller);
    set(&absent, &json!({"hooks": {"preCommand": ["/nonexistent/hook"]}}));
    absent.askance().run(&["true"]).exits(126).complains("cannot be started");
}

#[test]
fn a_hook_that_asks_is_answered_for_this_once() {
    let scene = scene_with(r#"echo '{"decision": "ask", "reason": "sure?"}'"#);
    for _ in 0..2 {
        let asked = scene.askance().answers("command true session").run(&["true"]).success();
        asked.asks(&["command true run"]);
    }
    scene.askance().answers("command true raise").run(&["true"]).exits(126);
}

#[test]
fn a_late_hook_refuses_and_leaves_nothing_behind() {
    // The second one's child is in a session of its own before the hook ends, and keeps its output open.
    let apart = "setsid -f sh -c 'echo > $0.ready; sleep 33.25' $0; while [ ! -e $0.ready ]; do sleep 0.01; done";
    for line in ["sleep 33.25 & sleep 33.25", apart] {
        let scene = Scene::new(User::Caller);
        let hook = hook(&scene, "h", line);
        set(&scene, &json!({"hooks": {"preCommand": [hook], "timeLimitMs": 300}}));
        let since = Instant::now();
        scene.askance().run(&["true"]).exits(126).complains("took longer than 300 ms");
        assert!(since.elapsed() < Duration::from_secs(20));
    }
    // The first line's processes were one group; what made a session of its own is the hook's affair.
    let left = support::command::processes_that_mention("sleep 33.25");
    assert!(left.lines().all(|line| !line.contains("sleep 33.25 & sleep")), "{left}");
    for line in left.lines() {
        let pid = line.split(':').next().unwrap().parse().unwrap();
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
}

#[test]
fn the_strictest_of_several_counts_and_a_refusal_ends_it() {
    let scene = Scene::new(User::Caller);
    let allow = hook(&scene, "allow", r#"echo '{"decision": "allow"}'"#);
    let ask = hook(&scene, "ask", r#"echo '{"decision": "ask", "reason": "hm"}'"#);
    let refuse = hook(&scene, "refuse", "echo never >&2; exit 2");
    let with = |hooks: &[&String]| {
        set(&scene, &json!({"hooks": {"preCommand": hooks}}));
        scene.askance().answers("command true once").run(&["true"])
    };
    with(&[&allow, &allow]).success().asks_nothing();
    with(&[&allow, &ask, &allow]).success().asks(&["command true once"]);
    with(&[&ask, &refuse]).exits(126).complains("never");
    with(&[&refuse, &allow]).exits(126).complains("never");
    // A hook's yes does not answer approval's own question.
    set(&scene, &json!({"hooks": {"preCommand": [allow]}, "commandDenylist": ["touch"]}));
    scene.askance().run(&["touch", "made"]).exits(126).complains("deny list");
}

#[test]
fn a_rewritten_request_is_judged_again() {
    let rewrites = |to: &str| format!(r#"echo '{{"decision": "allow", "command": {to}}}'"#);
    let scene = scene_with(&rewrites(r#"["echo", "instead"]"#));
    let run = scene.askance().run(&["touch", "made"]).success().says("instead");
    assert_eq!(run.report["request"]["argv"], json!(["echo", "instead"]));
    assert!(!scene.workspace.join("made").exists());
    scene_with(&rewrites(r#""echo a && echo b""#)).askance().run(&["true"]).success().says("a\nb");
    scene_with(&rewrites(r#""rm -rf /""#)).askance().run(&["true"]).exits(126).complains("root of the file system");
    let off = scene_with(&rewrites(r#""touch made""#));
    off.askance().flags(&["--auto", "off"]).run(&["true"]).exits(126).complains("above level off");
    let blocked = Scene::new(User::Caller);
    let rewriter = hook(&blocked, "h", &rewrites(r#""git push""#));
    set(&blocked, &json!({"hooks": {"preCommand": [rewriter]}, "commandBlocklist": ["git push"]}));
    blocked.askance().run(&["true"]).exits(126).complains("block list");
}

#[test]
fn the_user_sees_what_a_project_made_of_the_request() {
    let scene = Scene::new(User::Caller);
    let project = hook(&scene, "project", r#"echo '{"decision": "allow", "command": ["touch", "made"]}'"#);
    let user = hook(&scene, "user", "grep -q touch $0.in && { echo no touching >&2; exit 2; }; exit 0");
    set(&scene, &json!({"hooks": {"preCommand": [user]}}));
    scene.askance().run(&["true"]).success();
    let file = scene.workspace.join(".askance/settings.json");
    scene.file(&file, json!({"hooks": {"preCommand": [project]}}).to_string());
    // Not trusted: it does not count, and is not even started.
    scene.askance().run(&["true"]).success();
    assert!(!PathBuf::from(format!("{project}.in")).exists());
    scene.cli(&["trust", "--yes"]).success();
    scene.askance().run(&["true"]).exits(126).complains("no touching");
    assert!(PathBuf::from(format!("{project}.in")).exists());
}

#[test]
fn a_command_cannot_write_the_hooks_that_judge_the_next_one() {
    let scene = Scene::new(User::Caller);
    let path = scene.workspace.join("tools/hook");
    scene.file(&path, "#!/bin/sh\nexit 0\n");
    scene.bare_shell("chmod 755 tools/hook").success();
    let script = scene.workspace.join("tools/argument.sh");
    scene.file(&script, "exit 0\n");
    set(&scene, &json!({"hooks": {"preCommand": [path, ["/bin/sh", script]]}}));
    let attacks = [
        "echo 'touch /tmp/escaped' >> tools/hook",
        "rm tools/hook",
        "mv tools/hook tools/old",
        "mv tools tools.old && mkdir tools && echo > tools/hook",
        "ln -sf /bin/true tools/hook",
        "cp /bin/true tools/new && mv tools/new tools/hook",
        "echo evil >> tools/argument.sh",
        "chmod 777 tools/hook",
    ];
    for attack in attacks {
        scene.askance().shell(attack).fails();
        assert_eq!(fs::read_to_string(&path).unwrap(), "#!/bin/sh\nexit 0\n", "{attack}");
        assert_eq!(fs::read_to_string(&script).unwrap(), "exit 0\n", "{attack}");
    }
}
