use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;

/// A scratch directory and its operations, by absolute paths.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    fn content(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn does(&self, operation: Value, beside: bool) -> Result<Value, ToolError> {
        let operation = serde_json::from_value(operation).unwrap();
        Job { operation, beside }.carry_out(self.0.path()).map(|outcome| serde_json::to_value(outcome).unwrap())
    }
}

#[test]
fn operations_are_read_strictly() {
    for text in [
        r#"{"operation":"read"}"#,
        r#"{"operation":"read","path":"f","limits":1}"#,
        r#"{"operation":"format","path":"f"}"#,
        r#"{"path":"f"}"#,
        r#"{"operation":"edit","path":"f","old_text":"a"}"#,
        r#"{"operation":"read","path":"f","offset":-1}"#,
        "[]",
    ] {
        assert!(serde_json::from_str::<Operation>(text).is_err(), "{text}");
    }
    let nul = Operation::Read(Read { path: "a\0b".into(), offset: 0, limit: None });
    assert_eq!(nul.targets().unwrap_err().kind(), "bad_input");
}

#[test]
fn a_file_is_read_in_parts_that_cut_no_character() {
    let place = Place::new();
    place.file("f", "aüb");
    let first = place.does(json!({"operation": "read", "path": "f", "limit": 2}), true).unwrap();
    assert_eq!(first, json!({"content": "a", "encoding": "text", "size": 4, "next": 1, "truncated": true}));
    let rest = place.does(json!({"operation": "read", "path": "f", "offset": 1, "limit": 99}), true).unwrap();
    assert_eq!((&rest["content"], &rest["truncated"]), (&json!("üb"), &json!(false)));
    let past = place.does(json!({"operation": "read", "path": "f", "offset": 99}), true).unwrap();
    assert_eq!(past["content"], "");
    place.file("b", b"\xff\xfe\x00");
    let binary = place.does(json!({"operation": "read", "path": "b"}), true).unwrap();
    assert_eq!((&binary["encoding"], &binary["content"]), (&json!("base64"), &json!("//4A")));
    // One byte of a long character is said as it is: reading always gets on.
    let one = place.does(json!({"operation": "read", "path": "f", "offset": 1, "limit": 1}), true).unwrap();
    assert_eq!((&one["encoding"], &one["next"]), (&json!("base64"), &json!(2)));
}

#[test]
fn what_is_no_regular_file_is_neither_read_nor_written() {
    let place = Place::new();
    nix::unistd::mkfifo(&place.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::create_dir(place.path("dir")).unwrap();
    for path in ["fifo", "dir"] {
        assert!(place.does(json!({"operation": "read", "path": path}), true).is_err(), "{path}");
        assert!(place.does(json!({"operation": "write", "path": path, "content": "x"}), true).is_err(), "{path}");
    }
    let device =
        Job { operation: Operation::Read(Read { path: "/dev/zero".into(), offset: 0, limit: None }), beside: true };
    assert_eq!(device.carry_out(std::path::Path::new("")).unwrap_err().kind(), "not_regular");
}

#[test]
fn a_listing_is_sorted_bounded_and_follows_no_link() {
    let place = Place::new();
    fs::create_dir(place.path("b")).unwrap();
    place.file("b/deep", "12345");
    place.file("a", "1");
    symlink("/", place.path("c")).unwrap();
    let flat = place.does(json!({"operation": "list", "path": "."}), true).unwrap();
    assert_eq!(flat["entries"].as_array().unwrap().len(), 3);
    let deep = place.does(json!({"operation": "list", "path": ".", "depth": 9}), true).unwrap();
    assert_eq!(
        deep["entries"],
        json!([
            {"name": "a", "kind": "file", "size": 1},
            {"name": "b", "kind": "directory"},
            {"name": "b/deep", "kind": "file", "size": 5},
            {"name": "c", "kind": "link", "target": "/"},
        ])
    );
    let cut = place.does(json!({"operation": "list", "path": ".", "limit": 2}), true).unwrap();
    assert_eq!((cut["entries"].as_array().unwrap().len(), &cut["truncated"]), (2, &json!(true)));
}

#[test]
fn writing_keeps_mode_links_and_what_a_link_leads_to() {
    for beside in [true, false] {
        let place = Place::new();
        let file = place.file("f", "old and longer");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o750)).unwrap();
        symlink("f", place.path("link")).unwrap();
        let written = place.does(json!({"operation": "write", "path": "link", "content": "new"}), beside).unwrap();
        assert_eq!(written, json!({"bytes": 3, "created": false}));
        assert_eq!(place.content("f"), "new");
        assert!(place.path("link").is_symlink());
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o750);
        fs::hard_link(&file, place.path("other")).unwrap();
        place.does(json!({"operation": "write", "path": "f", "content": "both"}), beside).unwrap();
        assert_eq!(place.content("other"), "both");
        place.does(json!({"operation": "write", "path": "new/er/f", "content": "eA==", "encoding": "base64", "create_directories": true}), beside).unwrap();
        assert_eq!(place.content("new/er/f"), "x");
        assert_eq!(place.names(), ["f", "link", "new", "other"]);
    }
}

#[test]
fn a_dangling_link_is_not_written_through() {
    let place = Place::new();
    symlink("nowhere/f", place.path("link")).unwrap();
    assert!(place.does(json!({"operation": "write", "path": "link", "content": "x"}), true).is_err());
    assert_eq!(place.names(), ["link"]);
}

#[test]
fn an_edit_wants_its_text_exactly_once() {
    let place = Place::new();
    place.file("f", "one\ntwo\ntwo\naaa\r\n");
    let edit = |old: &str, new: &str, all: bool| {
        place.does(json!({"operation": "edit", "path": "f", "old_text": old, "new_text": new, "all": all}), true)
    };
    let error = edit("two\n", "2\n", false).unwrap_err();
    assert!(error.to_string().contains("2 times (lines 2, 3)"), "{error}");
    assert_eq!(edit("aa", "b", false).unwrap_err().kind(), "no_match");
    assert_eq!(edit("", "b", false).unwrap_err().kind(), "bad_input");
    let error = edit("two\naaa\n", "b", false).unwrap_err();
    assert!(error.to_string().contains("CR LF"), "{error}");
    assert_eq!(place.content("f"), "one\ntwo\ntwo\naaa\r\n");
    assert_eq!(edit("one\ntwo", "1\n2", false).unwrap(), json!({"replaced": 1, "line": 1}));
    assert_eq!(edit("a", "", true).unwrap()["replaced"], 3);
    assert_eq!(place.content("f"), "1\n2\ntwo\n\r\n");
    assert_eq!(place.names(), ["f"]);
}

fn patch_in(place: &Place, patch: &str, beside: bool) -> Result<Value, ToolError> {
    place.does(json!({"operation": "patch", "patch": patch}), beside)
}

const TWO: &str = "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n--- a/g\n+++ b/g\n@@ -1 +1 @@\n-g\n+G\n";

#[test]
fn a_patch_changes_every_file_or_none() {
    for beside in [true, false] {
        let place = Place::new();
        place.file("f", "one\ntwo\n");
        place.file("g", "other\n");
        let error = patch_in(&place, TWO, beside).unwrap_err();
        assert_eq!(error.kind(), "no_match", "{error}");
        assert_eq!(place.content("f"), "one\ntwo\n");
        place.file("g", "g\n");
        let done = patch_in(&place, TWO, beside).unwrap();
        assert_eq!(done, json!({"files": [{"path": "f", "change": "modified"}, {"path": "g", "change": "modified"}]}));
        assert_eq!((place.content("f").as_str(), place.content("g").as_str()), ("one\n2\n", "G\n"));
        assert_eq!(place.names(), ["f", "g"]);
    }
}

#[test]
fn what_cannot_be_written_leaves_everything_as_it_was() {
    for beside in [true, false] {
        let place = Place::new();
        place.file("f", "one\ntwo\n");
        // The last file cannot be created, where the one before it had its directory made.
        let patch = "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n--- /dev/null\n+++ b/new/er/g\n@@ -0,0 +1 @@\n+g\n\
            --- /dev/null\n+++ b/f/g\n@@ -0,0 +1 @@\n+g\n";
        assert!(patch_in(&place, patch, beside).is_err());
        assert_eq!(place.content("f"), "one\ntwo\n");
        assert_eq!(place.names(), ["f"]);
    }
}

#[test]
fn patches_create_delete_and_rename() {
    let place = Place::new();
    place.file("gone", "g\n");
    place.file("old", "1\n2\n");
    let patch = "diff --git a/new b/new\nnew file mode 100755\n--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+n\n\
        diff --git a/gone b/gone\ndeleted file mode 100644\n--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-g\n\
        diff --git a/old b/moved\nsimilarity index 50%\nrename from old\nrename to moved\n--- a/old\n+++ b/moved\n@@ -1,2 +1,2 @@\n 1\n-2\n+zwei\n";
    patch_in(&place, patch, true).unwrap();
    assert_eq!(place.names(), ["moved", "new"]);
    assert_eq!(place.content("moved"), "1\nzwei\n");
    assert_ne!(fs::metadata(place.path("new")).unwrap().mode() & 0o100, 0);
}

#[test]
fn new_files_get_the_directories_that_they_need_and_moved_ones_keep_their_mode() {
    let place = Place::new();
    let tool = place.file("tool", "t\n");
    place.file("text", "x\n");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let patch = "--- /dev/null\n+++ b/new/er/f\n@@ -0,0 +1 @@\n+n\n";
    patch_in(&place, patch, true).unwrap();
    assert_eq!(place.content("new/er/f"), "n\n");
    let patch = "diff --git a/tool b/bin/tool\nsimilarity index 100%\nrename from tool\nrename to bin/tool\n\
        diff --git a/text b/new/text\nsimilarity index 100%\nrename from text\nrename to new/text\n";
    patch_in(&place, patch, true).unwrap();
    let executable = |name: &str| fs::metadata(place.path(name)).unwrap().mode() & 0o100 != 0;
    assert!(executable("bin/tool") && !executable("new/text"));
    assert_eq!(place.names(), ["bin", "new"]);
}

#[test]
fn a_change_that_fails_late_is_rolled_back() {
    let place = Place::new();
    let first = place.file("first", "1");
    let removed = place.file("removed", "r");
    fs::set_permissions(&removed, fs::Permissions::from_mode(0o640)).unwrap();
    let third = place.file("third", "3");
    let new =
        |bytes: &str, former: &str| save::New { bytes: bytes.into(), executable: None, former: Some(former.into()) };
    for beside in [true, false] {
        let changes = vec![
            save::Change::remove(&removed, b"r".to_vec()).unwrap(),
            save::Change::prepare(&first, new("changed", "1"), beside).unwrap(),
            save::Change::prepare(&third, new("changed", "3"), true).unwrap(),
        ];
        // What was prepared for the third is gone when its turn comes.
        fs::remove_file(super::beside(&third)).unwrap();
        assert!(save::commit(changes).is_err());
        assert_eq!(
            (place.content("first").as_str(), place.content("removed").as_str(), place.content("third").as_str()),
            ("1", "r", "3")
        );
        assert_eq!(fs::metadata(&removed).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(place.names(), ["first", "removed", "third"]);
    }
}

#[test]
fn patches_that_lead_astray_are_refused_before_anything_is_touched() {
    let place = Place::new();
    place.file("f", "one\n");
    let hunk = "@@ -1 +1 @@\n-one\n+two\n";
    let table = [
        format!("--- a/../f\n+++ b/../f\n{hunk}"),
        format!("--- /etc/passwd\n+++ /etc/passwd\n{hunk}"),
        format!("--- a/f\n+++ b/f\n{hunk}--- a/f\n+++ b/f\n{hunk}"),
        format!("--- a/f\n+++ b/f\n{hunk}--- a/./f\n+++ b/./f\n{hunk}"),
        format!("--- a/f\n+++ b/g\n{hunk}"),
        "no patch at all\n".to_owned(),
        String::new(),
        "--- a/f\n+++ b/f\n@@ -1,9 +1,9 @@\n-one\n".to_owned(),
        "--- a/f\n+++ b/f\n@@ -99999999999999999999 +1 @@\n-one\n+two\n".to_owned(),
        "--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+two\n".to_owned(),
        "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/etc/passwd\n\\ No newline at end of file\n".to_owned(),
        "diff --git a/f b/f\nindex 111..222 100644\nGIT binary patch\nliteral 1\nIcmZPo000310RR91\n\n".to_owned(),
        format!("--- \"a/f\\000\"\n+++ \"b/f\\000\"\n{hunk}"),
        "--- a/f\n+++ /dev/null\n@@ -1 +1 @@\n-one\n+two\n".to_owned(),
        // Nothing would be changed, or not everything that it says.
        "--- a/f\n+++ b/f\nnothing\n".to_owned(),
        "--- a/f\n+++ b/f\n".to_owned(),
        "diff --git a/f b/f\nindex 111..222 100644\n".to_owned(),
        "--- a/f\n+++ b/f\n@@\n-one\n+two\n".to_owned(),
        "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-one\n+two\n+three\n".to_owned(),
        "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-one\n+two\n more\n-three\n".to_owned(),
        format!("--- /dev/null\n+++ b/new/g\n@@ -0,0 +1 @@\n+g\n--- a/f\n+++ b/f\n{}", "@@ -1 +1 @@\n-1\n+2\n"),
    ];
    for patch in table {
        let error = patch_in(&place, &patch, true).expect_err(&patch);
        assert!(["bad_input", "exists", "no_match"].contains(&error.kind()), "{error}\n{patch}");
        assert_eq!(place.content("f"), "one\n", "{patch}");
        assert_eq!(place.names(), ["f"], "{patch}");
    }
}

#[test]
fn what_stands_around_a_patch_is_no_part_of_it() {
    let place = Place::new();
    let mail = "From 1 Mon Sep 17 00:00:00 2001\nSubject: x\n\n- one point\n+ another\n---\n f | 2 +-\n\n\
        diff --git a/g b/g\n--- a/g\n+++ b/g\n@@ -1 +1 @@\n-one\n\\ No newline at end of file\n+two\n\
        diff --git a/f b/f\nindex 1..2 100644\n--- a/f\n+++ b/f\n@@ -1 +1,2 @@ where\n-one\n+two\n+-- three\n-- \n2.30\n";
    place.file("f", "one\n");
    place.file("g", "one");
    patch_in(&place, mail, true).unwrap();
    assert_eq!((place.content("f").as_str(), place.content("g").as_str()), ("two\n-- three\n", "two\n"));
}

#[test]
fn line_ends_count() {
    let place = Place::new();
    place.file("f", "one\r\ntwo\r\n");
    let error = patch_in(&place, "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n", true).unwrap_err();
    assert!(error.to_string().contains("CR LF"), "{error}");
    patch_in(&place, "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n one\r\n-two\r\n+2\r\n", true).unwrap();
    assert_eq!(place.content("f"), "one\r\n2\r\n");
}
