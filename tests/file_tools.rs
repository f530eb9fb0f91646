//! File tools: `askance file` reads, lists, writes, edits and patches under the policy of commands.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use serde_json::{Value, json};
use support::scene::SECRET;
use support::{Finished, Launch, Scene, User};

/// Carries out one operation at level low; `answers` as in an answers file.
fn operate(scene: &Scene, operation: &Value, answers: &str) -> (Finished, Value) {
    operate_with(scene, &operation.to_string(), answers, &["--auto", "low"])
}

fn operate_with(scene: &Scene, text: &str, answers: &str, flags: &[&str]) -> (Finished, Value) {
    let file = scene.home.join("answers");
    scene.file(&file, answers);
    let report = scene.home.join("report.json");
    let _ = fs::remove_file(&report);
    let mut words = vec!["file".to_owned(), "--report".to_owned(), report.display().to_string()];
    words.push(format!("--prompt=answers={}", file.display()));
    words.extend(flags.iter().map(|flag| (*flag).to_owned()));
    let mut stdin = tempfile::tempfile().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    stdin.rewind().unwrap();
    let mut finished = Launch::new(scene, Some(words)).stdin(stdin).finish(&[]);
    if let Ok(text) = File::open(report) {
        finished.report = serde_json::from_reader(text).unwrap();
    }
    let answer = serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}\n{finished}"));
    (finished, answer)
}

fn content(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

for_each_user! {
    fn files_of_the_workspace_are_read_written_edited_and_patched_unasked(scene) {
        let file = scene.workspace.join("f");
        let (finished, answer) = operate(&scene, &json!({"operation": "write", "path": "f", "content": "one\ntwo\n"}), "");
        finished.success().asks_nothing();
        assert_eq!(answer, json!({"bytes": 8, "created": true}));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o750)).unwrap();
        let edit = json!({"operation": "edit", "path": file, "old_text": "two", "new_text": "2"});
        operate(&scene, &edit, "").0.success().asks_nothing();
        let patch = "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n-one\n+1\n 2\n";
        operate(&scene, &json!({"operation": "patch", "patch": patch}), "").0.success().asks_nothing();
        let (_, answer) = operate(&scene, &json!({"operation": "read", "path": "f"}), "");
        assert_eq!(answer["content"], "1\n2\n");
        let metadata = fs::metadata(&file).unwrap();
        assert_eq!(metadata.mode() & 0o7777, 0o750);
        assert_eq!(fs::metadata(&scene.workspace).unwrap().uid(), metadata.uid());
    }
}

for_each_user! {
    fn a_secret_is_not_read_by_any_name(scene) {
        let secret = scene.home.join(".ssh/id_x");
        scene.file(&secret, SECRET);
        symlink(&secret, scene.workspace.join("link")).unwrap();
        symlink(secret.parent().unwrap(), scene.workspace.join("dir")).unwrap();
        let climbing = format!("{}/../{}/.ssh/id_x", scene.workspace.display(), scene.home.file_name().unwrap().display());
        let by_proc = format!("/proc/self/root{}", secret.display());
        for path in [secret.to_str().unwrap(), "link", "dir/id_x", &climbing, &by_proc] {
            let (finished, answer) = operate(&scene, &json!({"operation": "read", "path": path}), "");
            let finished = finished.exits(1);
            assert!(!finished.stdout.contains(SECRET.trim()), "{path}\n{finished}");
            assert!(answer["error"]["kind"].is_string(), "{path}\n{finished}");
        }
        // Neither do an edit and a patch tell what stands there.
        let edit = json!({"operation": "edit", "path": "link", "old_text": "TOP", "new_text": "x"});
        operate(&scene, &edit, "").0.exits(1);
        let patch = "--- a/link\n+++ b/link\n@@ -1 +1 @@\n-TOP-SECRET\n+x\n";
        operate(&scene, &json!({"operation": "patch", "patch": patch}), "").0.exits(1);
        assert_eq!(content(&secret), SECRET);
    }
}

for_each_user! {
    fn one_save_outside_is_one_question(scene) {
        let file = scene.outside.join("f");
        scene.file(&file, "old\n");
        let write = json!({"operation": "write", "path": file, "content": "new\n"});
        let (finished, answer) = operate(&scene, &write, "");
        finished.exits(1).denies(&format!("write {}", file.display()));
        assert_eq!((answer["error"]["kind"].as_str(), content(&file).as_str()), (Some("denied"), "old\n"));
        let (finished, _) = operate(&scene, &write, &format!("write {} once", file.display()));
        finished.success().asks(&[&format!("write {} once", file.display())]);
        assert_eq!(content(&file), "new\n");
        // A file there that is granted by itself asks nothing more.
        scene.cli(&["allow", "write", file.to_str().unwrap()]).success();
        let edit = json!({"operation": "edit", "path": file, "old_text": "new", "new_text": "newer"});
        operate(&scene, &edit, "").0.success().asks_nothing();
        assert_eq!(content(&file), "newer\n");
        assert_eq!(fs::read_dir(&scene.outside).unwrap().count(), 1);
    }
}

for_each_user! {
    fn what_others_execute_later_asks_in_the_workspace_too(scene) {
        scene.make_repository();
        for path in [".git/hooks/pre-commit", ".envrc", "deep/.vscode/tasks.json"] {
            let write = json!({"operation": "write", "path": path, "content": "x", "create_directories": true});
            let (finished, _) = operate(&scene, &write, "");
            finished.exits(1);
            assert!(!scene.workspace.join(path).exists(), "{path}");
        }
        let patch = "--- /dev/null\n+++ b/fine\n@@ -0,0 +1 @@\n+x\n--- /dev/null\n+++ b/.envrc\n@@ -0,0 +1 @@\n+x\n";
        operate(&scene, &json!({"operation": "patch", "patch": patch}), "").0.exits(1);
        assert!(!scene.workspace.join("fine").exists(), "half of a patch was applied");
    }
}

for_each_user! {
    fn a_patch_changes_nothing_where_one_of_its_files_is_denied(scene) {
        scene.file(&scene.workspace.join("f"), "one\n");
        scene.file(&scene.workspace.join("gone"), "g\n");
        scene.file(&scene.outside.join("g"), "one\n");
        symlink(scene.outside.join("g"), scene.workspace.join("g")).unwrap();
        let change = |name: &str| format!("--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-one\n+two\n");
        let removal = "--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-g\n";
        let patch = json!({"operation": "patch", "patch": removal.to_owned() + &change("f") + &change("g")});
        operate(&scene, &patch, "").0.exits(1);
        assert_eq!((content(&scene.workspace.join("f")).as_str(), content(&scene.workspace.join("gone")).as_str()), ("one\n", "g\n"));
        operate(&scene, &patch, &format!("write {} once", scene.outside.join("g").display())).0.success();
        assert_eq!((content(&scene.workspace.join("f")).as_str(), content(&scene.outside.join("g")).as_str()), ("two\n", "two\n"));
        assert!(!scene.workspace.join("gone").exists());
    }
}

for_each_user! {
    fn levels_modes_and_interlocks_count(scene) {
        let write = json!({"operation": "write", "path": "f", "content": "x"}).to_string();
        for (flags, code) in [(&[][..], 126), (&["--auto", "off"], 126), (&["--auto", "high", "--spec"], 126), (&["--auto", "low"], 0)] {
            let (finished, answer) = operate_with(&scene, &write, "", flags);
            finished.exits(code);
            assert_eq!(answer["error"]["kind"] == "refused", code == 126, "{flags:?}");
        }
        let read = json!({"operation": "read", "path": "f"}).to_string();
        operate_with(&scene, &read, "", &["--spec"]).0.success();
        operate_with(&scene, &read, "", &[]).0.success();
        let (finished, _) = operate_with(&scene, &write, "command file/write* once", &[]);
        finished.success();
        for path in ["/etc/passwd", "/etc/../etc/sudoers.d/x", "/dev/sda"] {
            let write = json!({"operation": "write", "path": path, "content": "x"}).to_string();
            operate_with(&scene, &write, "", &["--auto", "high", "--allow-write", "/etc", "--allow-write", "/dev"]).0.exits(126);
        }
    }
}

#[test]
fn with_events_nothing_else_is_printed() {
    let scene = Scene::new(User::Caller);
    let write = json!({"operation": "write", "path": "f", "content": "x"}).to_string();
    for (text, flags, status) in
        [(&write[..], &[][..], 126), ("{}", &[], 125), (&write, &["--profile", "nowhere"], 125)]
    {
        for output in ["json", "stream-json"] {
            let (finished, answer) = operate_with(&scene, text, "", &[&["-o", output], flags].concat());
            finished.exits(status);
            assert_eq!(answer["status"], status, "{output} {text} {answer}");
        }
    }
}

#[test]
fn bad_operations_say_what_is_wrong_and_touch_nothing() {
    let scene = Scene::new(User::Caller);
    for (text, message) in [
        ("", "malformed"),
        ("{}", "operation"),
        ("{\"operation\":\"write\",\"path\":\"f\"}", "content"),
        ("{\"operation\":\"write\",\"path\":\"f\\u0000g\",\"content\":\"\"}", "NUL"),
        ("{\"operation\":\"write\",\"path\":\"\",\"content\":\"\"}", "empty"),
        ("{\"operation\":\"patch\",\"patch\":\"--- a/../x\\n+++ b/../x\\n@@ -1 +1 @@\\n-a\\n+b\\n\"}", "outside"),
    ] {
        let (finished, answer) = operate_with(&scene, text, "", &["--auto", "low"]);
        finished.exits(125);
        assert!(answer["error"]["message"].as_str().unwrap().contains(message), "{text}: {answer}");
    }
    let giant = format!("{{\"operation\":\"write\",\"path\":\"f\",\"content\":\"{}\"}}", "x".repeat(33 << 20));
    let (finished, answer) = operate_with(&scene, &giant, "", &["--auto", "low"]);
    finished.exits(125);
    assert!(answer["error"]["message"].as_str().unwrap().contains("more than"), "{answer}");
    assert!(!scene.workspace.join("f").exists());
    assert!(fs::metadata(&scene.workspace).unwrap().is_dir());
}
