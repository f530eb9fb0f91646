//! `askance serve`: operations on files and calls of other servers' tools, under the policy of commands.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::client::Client;
use support::command::processes_that_mention;
use support::scene::SECRET;
use support::{Scene, User};

/// A request in the session, with what else it says.
fn with(session: &str, more: &Value) -> Value {
    let mut params = json!({ "sessionId": session });
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    params
}

/// The id of a request whose answer comes later.
fn ask(client: &mut Client, session: &str, method: &str, more: &Value) -> u64 {
    client.request(method, with(session, more))
}

fn answer(client: &mut Client, id: u64) -> Value {
    client.until("an answer", |message| message["id"] == id && message.get("method").is_none())
}

fn content(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

for_each_user! {
    fn files_are_read_listed_written_edited_and_patched(scene) {
        let mut client = Client::on_pipes(&scene);
        let session = client.session(&scene, "low");
        let mut call = |method: &str, more: Value| client.call(method, with(&session, &more));
        let written = call("file/write", json!({ "path": "d/f", "content": "one\ntwo\n", "create_directories": true }));
        assert_eq!(written, json!({ "bytes": 8, "created": true }));
        let edited = call("file/edit", json!({ "path": "d/f", "old_text": "two", "new_text": "2" }));
        assert_eq!(edited, json!({ "replaced": 1, "line": 2 }));
        let patch = "--- a/d/f\n+++ b/d/f\n@@ -1,2 +1,2 @@\n-one\n+1\n 2\n";
        assert_eq!(call("file/patch", json!({ "patch": patch }))["files"][0]["change"], "modified");
        let whole = call("file/read", json!({ "path": scene.workspace.join("d/f") }));
        assert_eq!((&whole["content"], &whole["encoding"]), (&json!("1\n2\n"), &json!("text")));
        fs::write(scene.workspace.join("bytes"), b"\xff\0").unwrap();
        assert_eq!(call("file/read", json!({ "path": "bytes" }))["content"], "/wA=");
        let listed = call("file/list", json!({ "path": ".", "depth": 2 }));
        assert!(listed["entries"].as_array().unwrap().iter().any(|entry| entry["name"] == "d/f"), "{listed}");
        assert_eq!(client.told("command/file_changed")["change"], "created");
        let said = client.next(Duration::from_millis(100));
        assert!(said.is_none_or(|said| said["method"] == "command/file_changed"), "an operation is no command");
    }
}

for_each_user! {
    fn what_the_policy_does_not_cover_asks_the_client(scene) {
        let mut client = Client::on_pipes(&scene);
        let session = client.session(&scene, "high");
        let outside = scene.outside.join("f");
        let write = json!({ "path": outside, "content": "x" });
        let id = ask(&mut client, &session, "file/write", &write);
        let question = client.told("session/request_permission");
        assert_eq!(question["details"]["operationType"], "write");
        assert_eq!(question["toolCall"]["kind"], "edit");
        assert!(question["toolCall"]["title"].as_str().unwrap().starts_with("file/write "), "{question}");
        client.respond(&question, "deny");
        let denied = answer(&mut client, id);
        assert_eq!((&denied["error"]["code"], &denied["error"]["data"]["kind"]), (&json!(-32006), &json!("denied")));
        support::client::conforms(&["errorData", "-32006"], &denied["error"]["data"]);
        let hint = denied["error"]["data"]["denied"][0]["hint"].as_str().unwrap();
        assert!(hint.contains("askance allow write") && !outside.exists(), "{hint}");
        // Two at once, answered in the other order.
        let id = ask(&mut client, &session, "file/write", &write);
        let first = client.told("session/request_permission");
        let secret = ask(&mut client, &session, "file/read", &json!({ "path": scene.secret() }));
        let second = client.told("session/request_permission");
        assert_eq!((&second["details"]["operationType"], &second["toolCall"]["kind"]), (&json!("read"), &json!("read")));
        client.respond(&second, "once");
        assert_eq!(answer(&mut client, secret)["result"]["content"], SECRET);
        client.respond(&first, "once");
        assert_eq!(answer(&mut client, id)["result"]["created"], true);
        assert_eq!(content(&outside), "x");
    }
}

#[test]
fn levels_modes_and_interlocks_count_for_operations_too() {
    let scene = Scene::new(User::Caller);
    let mut client = Client::on_pipes(&scene);
    let session = client.session(&scene, "off");
    scene.file(&scene.workspace.join("r"), "read");
    assert_eq!(client.call("file/read", with(&session, &json!({ "path": "r" })))["content"], "read");
    let id = ask(&mut client, &session, "file/write", &json!({ "path": "w", "content": "x" }));
    let question = client.told("session/request_permission");
    assert_eq!(question["details"]["operationType"], "command");
    client.respond(&question, "deny");
    let refused = answer(&mut client, id);
    assert_eq!(refused["error"]["data"]["kind"], "refused");
    assert!(refused["error"]["data"]["refused"]["hint"].as_str().unwrap().contains("--auto low"), "{refused}");
    client.call("session/set_level", json!({ "sessionId": session, "level": "high" }));
    client.call("file/write", with(&session, &json!({ "path": "w", "content": "x" })));
    // An interlock asks at every level.
    let id = ask(&mut client, &session, "file/write", &json!({ "path": "/etc/passwd", "content": "" }));
    let question = client.told("session/request_permission");
    assert_eq!(question["details"]["violationType"], "command");
    client.respond(&question, "deny");
    assert_eq!(answer(&mut client, id)["error"]["data"]["kind"], "refused");
    client.call("session/set_mode", json!({ "sessionId": session, "mode": "spec" }));
    let id = ask(&mut client, &session, "file/write", &json!({ "path": "w", "content": "y" }));
    assert!(answer(&mut client, id)["error"]["message"].as_str().unwrap().contains("spec mode"));
    assert_eq!(content(&scene.workspace.join("w")), "x");
}

#[test]
fn operations_that_cannot_be_done_say_why() {
    let scene = Scene::new(User::Caller);
    let mut client = Client::on_pipes(&scene);
    let session = client.session(&scene, "high");
    scene.file(&scene.workspace.join("f"), "a a");
    let table = [
        ("file/read", json!({ "path": "missing" }), "not_found"),
        ("file/read", json!({ "path": "." }), "not_regular"),
        ("file/edit", json!({ "path": "f", "old_text": "a", "new_text": "b" }), "no_match"),
        ("file/edit", json!({ "path": "f", "old_text": "", "new_text": "b" }), "bad_input"),
    ];
    for (method, more, kind) in table {
        let error = client.request_or_error(method, with(&session, &more)).unwrap_err();
        assert_eq!((&error["code"], &error["data"]["kind"]), (&json!(-32006), &json!(kind)), "{method} {more}");
        support::client::conforms(&["errorData", "-32006"], &error["data"]);
    }
    for more in [json!({}), json!({ "path": "" }), json!({ "path": "a\0" }), json!({ "path": "f", "typo": 1 })] {
        assert_eq!(client.fails("file/read", with(&session, &more)), -32602, "{more}");
    }
    assert_eq!(client.fails("file/read", json!({ "path": "f" })), -32602);
    assert_eq!(client.fails("file/read", json!({ "path": "f", "sessionId": "none" })), -32001);
    let large = scene.workspace.join("large");
    fs::write(&large, vec![1_u8; 8 << 20]).unwrap();
    let error = client.request_or_error("file/read", with(&session, &json!({ "path": large, "limit": 8 << 20 })));
    assert_eq!(error.unwrap_err()["data"]["kind"], "too_large", "an answer is a frame, and frames have a bound");
    let part = client.call("file/read", with(&session, &json!({ "path": large, "limit": 1 << 20 })));
    assert_eq!((&part["next"], &part["truncated"]), (&json!(1 << 20), &json!(true)));
}

#[test]
fn an_operation_that_waits_is_cancelled_and_stops_no_other() {
    let scene = Scene::new(User::Caller);
    let mut client = Client::on_pipes(&scene);
    let session = client.session(&scene, "high");
    // More than are worked on at once elsewhere: their questions stop neither frames nor answers.
    let ids: Vec<u64> =
        (0..24).map(|_| ask(&mut client, &session, "file/read", &json!({ "path": scene.secret() }))).collect();
    let questions: Vec<Value> = ids.iter().map(|_| client.told("session/request_permission")).collect();
    let command = client.run(&session, json!("echo beside"));
    assert_eq!(client.finish(&command).0, "beside\n");
    for (index, question) in questions.iter().enumerate() {
        match index % 2 {
            0 => client.respond(question, "deny"),
            _ => {
                let cancel = json!({ "sessionId": session, "commandId": question["commandId"], "graceMs": 0 });
                client.call("command/cancel", cancel);
            }
        }
    }
    let kinds: Vec<String> =
        ids.iter().map(|&id| answer(&mut client, id)["error"]["data"]["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds.iter().filter(|kind| *kind == "denied").count(), 12, "{kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| *kind == "cancelled").count(), 12, "{kinds:?}");
    let id = ask(&mut client, &session, "file/read", &json!({ "path": scene.secret() }));
    client.told("session/request_permission");
    client.call("session/close", json!({ "sessionId": session }));
    assert!(answer(&mut client, id).get("error").is_some());
    let until = Instant::now() + Duration::from_secs(10);
    while !processes_that_mention(&format!("--session={session}")).is_empty() {
        assert!(Instant::now() < until, "it goes on without its session");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn hooks_see_operations_on_files() {
    let scene = Scene::new(User::Caller);
    let hook = scene.home.join("hook");
    scene.file(&hook, "#!/bin/sh\ngrep -q '\"file/write [^\"]*forbidden' || exit 0\necho 'not this one' >&2\nexit 2\n");
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    scene.user_settings(&json!({ "hooks": { "preCommand": [[hook]] } }).to_string());
    let mut client = Client::on_pipes(&scene);
    let session = client.session(&scene, "high");
    client.call("file/write", with(&session, &json!({ "path": "allowed", "content": "x" })));
    let forbidden = with(&session, &json!({ "path": "forbidden", "content": "x" }));
    let error = client.request_or_error("file/write", forbidden).unwrap_err();
    assert_eq!(error["data"]["kind"], "refused");
    assert!(error["message"].as_str().unwrap().contains("not this one"), "{error}");
    assert!(!scene.workspace.join("forbidden").exists());
}

for_each_user! {
    fn calls_of_other_servers_tools_are_judged(scene) {
        scene.user_settings(r#"{ "mcpAutonomyOverrides": { "tracker": { "tools": { "search": "low" } } } }"#);
        let mut client = Client::on_pipes(&scene);
        let session = client.session(&scene, "low");
        let mut check = |more: Value| client.call("mcp/check", with(&session, &more));
        let search = check(json!({ "server": "tracker", "tool": "search", "arguments": { "text": "x" } }));
        assert_eq!(search["verdict"], "allow", "{search}");
        let secret = json!({ "server": "tracker", "tool": "search", "arguments": { "path": scene.secret() } });
        assert_eq!(check(secret)["verdict"], "ask");
        let delete = json!({ "server": "tracker", "tool": "delete", "arguments": {},
            "annotations": { "destructiveHint": true } });
        assert_eq!(check(delete)["verdict"], "ask");
        let page = json!({ "server": "tracker", "tool": "search", "arguments": { "url": "https://example.com/x" } });
        assert_eq!(check(page)["verdict"], "ask");
        assert_eq!(client.fails("mcp/check", with(&session, &json!({ "server": "tracker" }))), -32602);
        let typo = json!({ "server": "a", "tool": "b", "argument": 1 });
        assert_eq!(client.fails("mcp/check", with(&session, &typo)), -32602);
    }
}
