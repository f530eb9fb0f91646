//! `askance serve`: real clients over real pipes and sockets.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::client::{Client, schema};
use support::{Scene, User};

for_each_user! {
    fn a_command_is_told_from_its_start_to_its_end(scene) {
        let mut client = Client::on_pipes(&scene);
        let session = client.session(&scene, "high");
        let command = client.run(&session, json!("echo out; echo err >&2; echo x > made; exit 3"));
        let started = client.told_of(&command, "command/started");
        assert_eq!((&started["decision"]["verdict"], &started["workspace"]), (&json!("allow"), &json!(scene.workspace)));
        let (output, exited) = client.finish(&command);
        assert!(output.contains("out\n") && output.contains("err\n"), "{output}");
        assert_eq!((&exited["status"], &exited["exit"]), (&json!(3), &json!({ "code": 3 })));
        assert_eq!(client.told("command/file_changed")["change"], "created");
        let command = client.run(&session, json!(["printf", "%s", "a b"]));
        assert_eq!(client.finish(&command).0, "a b");
    }
}

for_each_user! {
    fn what_may_not_start_is_refused_with_a_hint_and_checked_without_running(scene) {
        let mut client = Client::on_pipes(&scene);
        let session = client.session(&scene, "off");
        let checked = client.call("command/check", json!({ "sessionId": session, "command": "touch x" }));
        assert_eq!((&checked["verdict"], &checked["risk"]), (&json!("ask"), &json!("medium")));
        let command = client.run(&session, json!("touch x"));
        let question = client.told("session/request_permission");
        assert_eq!(question["details"]["kind"], "exec");
        client.respond(&question, "deny");
        let (_, exited) = client.finish(&command);
        assert_eq!(exited["status"], 126);
        assert!(exited["refused"]["hint"].as_str().unwrap().contains("--auto medium"), "{exited}");
        assert!(!scene.workspace.join("x").exists());
        client.call("session/set_level", json!({ "sessionId": session, "level": "medium" }));
        let command = client.run(&session, json!("touch x"));
        assert_eq!(client.finish(&command).1["status"], 0);
        client.call("session/set_mode", json!({ "sessionId": session, "mode": "spec" }));
        let command = client.run(&session, json!("touch y"));
        assert!(client.finish(&command).1["refused"]["reason"].as_str().unwrap().contains("spec mode"));
    }
}

for_each_user! {
    fn questions_are_answered_out_of_order(scene) {
        let mut client = Client::on_pipes(&scene);
        let session = client.session(&scene, "high");
        let file = |name: &str| scene.outside.join(name);
        let first = client.run(&session, json!(format!("echo 1 > {}", file("a").display())));
        let asked_first = client.told_of(&first, "session/request_permission");
        let second = client.run(&session, json!(format!("echo 2 > {}", file("b").display())));
        let asked_second = client.told_of(&second, "session/request_permission");
        client.respond(&asked_second, "once");
        assert_eq!(client.finish(&second).1["status"], 0);
        client.respond(&asked_first, "deny");
        assert_eq!(client.finish(&first).1["status"], 1);
        assert!(!file("a").exists() && file("b").exists());
        assert_eq!(client.told("question/resolved")["questionId"], asked_second["questionId"]);
    }
}

for_each_user! {
    fn answers_that_are_none_have_no_effect(scene) {
        let mut client = Client::on_pipes(&scene);
        let session = client.session(&scene, "high");
        let command = client.run(&session, json!("cat ~/.ssh/id_x"));
        let question = client.told("session/request_permission");
        client.respond(&question, "forever");
        assert!(client.told("question/rejected")["reason"].as_str().unwrap().contains("was not offered"));
        let id = format!("{session}/{}", question["questionId"].as_str().unwrap());
        for result in [json!(null), json!({}), json!({ "outcome": "once" }), json!({ "outcome": { "outcome": "selected" } })] {
            client.send(&json!({ "jsonrpc": "2.0", "id": id, "result": result }));
            assert!(client.told("question/rejected")["reason"].is_string());
        }
        client.send(&json!({ "jsonrpc": "2.0", "id": 77, "result": {} }));
        assert_eq!(client.told("question/rejected")["id"], 77);
        let answer = |question: &str, option| json!({ "sessionId": session, "questionId": question, "optionId": option });
        assert_eq!(client.fails("question/answer", answer("c9.q0", "once")), -32003);
        assert_eq!(client.fails("question/answer", answer("nonsense", "once")), -32003);
        client.call("question/answer", answer(question["questionId"].as_str().unwrap(), "once"));
        client.respond(&question, "once");
        assert!(client.told("question/rejected")["reason"].as_str().unwrap().contains("no question"));
        assert_eq!(client.finish(&command).0, "TOP-SECRET\n");
        let command = client.run(&session, json!("cat ~/.ssh/id_x"));
        let question = client.told("session/request_permission");
        let id = format!("{session}/{}", question["questionId"].as_str().unwrap());
        client.send(&json!({ "jsonrpc": "2.0", "id": id, "result": { "outcome": { "outcome": "cancelled" } } }));
        assert_eq!(client.finish(&command).1["status"], 1);
    }
}

#[test]
fn a_question_is_resolved_when_its_process_dies() {
    let scene = Scene::new(User::Caller);
    let mut client = Client::on_pipes(&scene);
    let session = client.session(&scene, "high");
    let command = client.run(&session, json!("cat ~/.ssh/id_x"));
    client.told("session/request_permission");
    client.call("command/cancel", json!({ "sessionId": session, "commandId": command, "graceMs": 100 }));
    assert_eq!(client.told("question/resolved")["outcome"], "withdrawn");
    assert_ne!(client.finish(&command).1["status"], 0);
}

for_each_user! {
    fn input_signals_and_the_end_reach_the_command(scene) {
        let mut client = Client::on_pipes(&scene);
        let session = client.session(&scene, "high");
        let of = |command: &str, more: Value| {
            let mut params = json!({ "sessionId": session, "commandId": command });
            params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            params
        };
        let cat = client.call("command/run", json!({ "sessionId": session, "command": ["cat"], "input": true }));
        let cat = cat["commandId"].as_str().unwrap();
        client.call("command/input", of(cat, json!({ "text": "a" })));
        client.call("command/input", of(cat, json!({ "base64": "YgA=", "end": true })));
        assert_eq!(client.finish(cat).0, "ab\0");
        assert_eq!(client.fails("command/input", of(cat, json!({ "text": "c" }))), -32002);

        let command = client.run(&session, json!("trap 'echo caught; exit 7' USR1; echo ready; while :; do sleep 0.01; done"));
        client.told_of(&command, "command/output");
        assert_eq!(client.fails("command/input", of(&command, json!({ "text": "x" }))), -32002);
        assert_eq!(client.fails("command/input", of(&command, json!({ "base64": "?" }))), -32602);
        client.call("command/signal", of(&command, json!({ "signal": "USR1" })));
        let (output, exited) = client.finish(&command);
        assert!(output.contains("caught\n") && exited["status"] == 7, "{output} {exited}");

        let command = client.run(&session, json!("trap '' TERM; echo ready; while :; do sleep 0.01; done"));
        client.told_of(&command, "command/output");
        client.call("command/cancel", of(&command, json!({ "graceMs": 50 })));
        let (_, exited) = client.finish(&command);
        assert_eq!((&exited["status"], &exited["notes"]), (&json!(137), &json!(["cancelled"])));
        assert_eq!(client.fails("command/cancel", of(&command, json!({}))), -32002);

        // Whoever gave it all the time there is may hurry.
        let command = client.run(&session, json!("trap '' TERM; echo ready; while :; do sleep 0.01; done"));
        client.told_of(&command, "command/output");
        client.call("command/cancel", of(&command, json!({ "graceMs": u64::MAX })));
        client.call("command/cancel", of(&command, json!({ "graceMs": 50 })));
        assert_eq!(client.finish(&command).1["status"], 137);
        // It may not even have begun.
        for (method, more, status) in [("command/cancel", json!({}), 143), ("command/signal", json!({ "signal": "USR2" }), 140)] {
            let command = client.run(&session, json!("exec sleep 1000"));
            client.call(method, of(&command, more));
            let exited = client.finish(&command).1;
            assert_eq!((&exited["status"], exited.get("error")), (&json!(status), None), "{exited}");
        }

        let limited = client.call("command/run", json!({ "sessionId": session, "command": "sleep 1000", "timeoutMs": 100 }));
        assert_eq!(client.finish(limited["commandId"].as_str().unwrap()).1["status"], 124);
    }
}

#[test]
fn every_malformed_frame_is_answered_and_the_connection_survives() {
    let scene = Scene::new(User::Caller);
    let mut client = Client::start(&scene, &[]);
    let code = |client: &mut Client, bytes: &[u8]| {
        client.raw(bytes);
        let answer = client.until("an error", |message| message.get("error").is_some());
        (answer["id"].clone(), answer["error"]["code"].as_i64().unwrap())
    };
    assert_eq!(code(&mut client, b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session/new\"}\n"), (json!(1), -32000));
    client.initialize(json!({ "somethingNew": true }));
    let table: [(&[u8], Value, i64); 7] = [
        (b"{\n", json!(null), -32700),
        (b"\xff\xfe\n", json!(null), -32700),
        (b"[]\n", json!(null), -32600),
        (b"{\"jsonrpc\":\"1.0\",\"id\":4,\"method\":\"x\"}\n", json!(4), -32600),
        (b"{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"no/such\"}\n", json!(5), -32601),
        (b"{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"session/new\",\"params\":{\"workspace\":7}}\n", json!(6), -32602),
        (b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"session/new\",\"params\":[]}\n", json!(7), -32602),
    ];
    for (bytes, id, expected) in table {
        assert_eq!(code(&mut client, bytes), (id, expected), "{}", String::from_utf8_lossy(bytes));
    }
    let mut giant = vec![b' '; 9 << 20];
    giant.push(b'\n');
    assert_eq!(code(&mut client, &giant), (json!(null), -32600));
    assert_eq!(client.fails("initialize", json!({ "protocolVersion": 1 })), -32000);
    assert_eq!(client.fails("session/new", json!({ "workspace": "relative" })), -32602);
    assert_eq!(client.fails("session/new", json!({ "workspace": scene.workspace, "typo": 1 })), -32602);
    assert_eq!(client.fails("session/close", json!({ "sessionId": "none" })), -32001);
    let session = client.session(&scene, "high");
    assert_eq!(client.fails("command/run", json!({ "sessionId": session, "command": [] })), -32602);
    let long = "x".repeat(1 << 20);
    for unusable in [
        json!({ "command": "a\0b" }),
        json!({ "command": format!("true {long}") }),
        json!({ "command": ["true", long] }),
        json!({ "command": "true", "cwd": "/tmp\0" }),
        json!({ "command": "true", "risk": "low", "reason": "\0" }),
        json!({ "command": "true", "timeoutMs": 0 }),
        json!({ "command": { "shell": "true" } }),
        json!({ "command": "true", "timeoutMs": -1 }),
    ] {
        let mut params = unusable;
        params["sessionId"] = json!(session);
        assert_eq!(client.fails("command/run", params.clone()), -32602, "{}", &params.to_string()[..80]);
    }
    assert_eq!(
        client.fails("command/signal", json!({ "sessionId": session, "commandId": "c1", "signal": "KILL" })),
        -32602
    );
    assert_eq!(client.fails("command/cancel", json!({ "sessionId": session, "commandId": "c1" })), -32002);
    let command = client.run(&session, json!("--version"));
    assert_eq!(client.finish(&command).1["status"], 127, "a text that begins with a dash is no flag");
}

#[test]
fn what_keeps_a_command_from_beginning_is_told() {
    let scene = Scene::new(User::Caller);
    let mut client = Client::on_pipes(&scene);
    let made = client.call("session/new", json!({ "workspace": scene.workspace, "profiles": ["pyton"] }));
    let session = made["sessionId"].as_str().unwrap();
    let told = |exited: &Value, why: &str| {
        assert!(exited["status"] == 125 && exited["error"].as_str().unwrap().contains(why), "{why}: {exited}");
    };
    let command = client.run(session, json!("true"));
    told(&client.finish(&command).1, "no profile \"pyton\"");
    let read = client.request_or_error("file/read", json!({ "sessionId": session, "path": "f" })).unwrap_err();
    assert!(read["message"].as_str().unwrap().contains("no profile"), "{read}");
    let session = client.session(&scene, "high");
    let nowhere = client.call("command/run", json!({ "sessionId": session, "command": "true", "cwd": "nowhere" }));
    told(&client.finish(nowhere["commandId"].as_str().unwrap()).1, "nowhere");
    scene.file(&scene.workspace.join(".askance/settings.json"), "{ nonsense");
    let command = client.run(&session, json!("true"));
    told(&client.finish(&command).1, ".askance/settings.json");
}

#[test]
fn versions_are_negotiated() {
    let scene = Scene::new(User::Caller);
    let mut client = Client::start(&scene, &[]);
    assert_eq!(client.fails("initialize", json!({ "protocolVersion": 0 })), -32602);
    assert_eq!(client.fails("initialize", json!({ "protocolVersion": 1, "approverToken": "x" })), -32004);
    let told = client.initialize(json!({ "protocolVersion": 99 }));
    assert_eq!((&told["protocolVersion"], &told["serverInfo"]["name"]), (&json!(1), &json!("askance")));
}

#[test]
fn a_client_that_has_said_everything_still_hears_the_rest_and_denies() {
    let scene = Scene::new(User::Caller);
    let mut client = Client::on_pipes(&scene);
    let session = client.session(&scene, "high");
    let command = client.run(&session, json!("cat ~/.ssh/id_x; cat ~/.ssh/id_x; echo done"));
    client.told("session/request_permission");
    client.hang_up();
    let (output, exited) = client.finish(&command);
    assert!(output.contains("done") && !output.contains("TOP-SECRET"), "{output}");
    assert_eq!(exited["status"], 0);
    assert!(client.is_closed());
}

#[test]
fn a_server_that_cannot_write_ends_in_order() {
    let scene = Scene::new(User::Caller);
    for output in ["> /dev/full", "| true"] {
        // It speaks again and again, to nobody, and goes on being spoken to.
        let line = format!(
            "(for i in $(seq 100); do echo '{{}}'; sleep 0.01; done; sleep 20) | askance serve --stdio {output}"
        );
        let finished = scene.bare_shell(&line.replace("askance", support::scene::binary(scene.user).to_str().unwrap()));
        assert!(!finished.stderr.contains("panicked"), "{finished}");
    }
}

#[test]
fn a_client_that_is_gone_takes_its_commands_along() {
    let scene = Scene::new(User::Caller);
    let mut client = Client::on_pipes(&scene);
    let session = client.session(&scene, "high");
    let marker = format!("{}.5", std::process::id());
    let command = client.run(&session, json!(format!("sleep 1000; sleep {marker}")));
    client.told_of(&command, "command/started");
    let mut child = client.child.take().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while !support::command::processes_that_mention(&marker).is_empty() {
        assert!(Instant::now() < until, "{}", support::command::processes_that_mention(&marker));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_slow_reader_stops_its_command_and_nothing_else() {
    let scene = Scene::new(User::Caller);
    let (mut slow, mut quick) = (Client::on_pipes(&scene), Client::on_pipes(&scene));
    let session = slow.session(&scene, "high");
    let flood = slow.run(&session, json!("head -c 20000000 /dev/zero | tr '\\0' x; echo; echo end"));
    let session = quick.session(&scene, "high");
    let command = quick.run(&session, json!("echo hi"));
    assert_eq!(quick.finish(&command).0, "hi\n");
    let (output, exited) = slow.finish(&flood);
    assert_eq!((output.len(), &exited["status"]), (20_000_005, &json!(0)));
}

#[test]
fn the_schema_describes_every_method_and_every_error() {
    for method in ["initialize", "session/new", "session/load", "command/run", "command/input", "question/answer"] {
        assert!(schema()["methods"][method]["params"].is_object(), "{method}");
    }
    assert_eq!(schema()["protocolVersion"], 1);
    assert!(schema()["$defs"]["Details"]["properties"]["isOrgDeny"].is_object());
}

for_each_user! {
    fn the_example_client_carries_out_its_mission(scene) {
        let example = format!("{}/examples/mission.py", env!("CARGO_MANIFEST_DIR"));
        let copy = scene.beside("mission.py");
        scene.file(&copy, std::fs::read(example).unwrap());
        let askance = support::scene::binary(scene.user).to_str().unwrap();
        let argv = ["python3", copy.to_str().unwrap(), askance, scene.workspace.to_str().unwrap()];
        let said = scene.bare(&argv).success();
        for line in ["0: pwd", "0: mkdir", "4 build/a", "1: cat ~/.ssh/id_x", "126: rm -rf ~"] {
            assert!(said.stdout.contains(line), "{line}\n{said}");
        }
        assert!(!said.stdout.contains("TOP-SECRET"), "{said}");
    }
}
