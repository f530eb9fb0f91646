//! `askance serve --socket`: who gets in, who may answer, and what one connection can do to another.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};
use support::client::Client;
use support::server::{Server, TOKEN, settings};
use support::{Finished, Scene, User, unavailable};

/// Introduces itself and prints what it hears.
const KNOCK: &str = r#"
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
try:
    s.sendall(b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":1}}\n')
    print(s.recv(4096).decode() or "closed")
except (BrokenPipeError, ConnectionResetError):
    print("closed")
"#;

/// Tries everything that could get a command at its own server.
const REACH: &str = r#"cat "$1"; mv "${1%/*}" moved; cat moved/token; python3 -c '
import socket, sys
for path in sys.argv[1], "moved/socket":
    try:
        socket.socket(socket.AF_UNIX).connect(path)
        print("reached", path)
    except OSError:
        pass
' "$2"; echo end"#;

/// A start that is refused.
fn refused(scene: &Scene, socket: &Path) -> Finished {
    scene.cli(&["serve", "--socket", socket.to_str().unwrap()]).fails()
}

fn knock(scene: &Scene, socket: &Path) -> Finished {
    scene.bare(&["python3", "-c", KNOCK, socket.to_str().unwrap()])
}

/// A session of the agent, which an approver lets start what it likes.
fn raised(agent: &mut Client, approver: &mut Client, scene: &Scene) -> String {
    let made = agent.call("session/new", json!({ "workspace": scene.workspace }));
    approver.call("session/set_level", json!({ "sessionId": made["sessionId"], "level": "high" }));
    made["sessionId"].as_str().unwrap().to_owned()
}

fn answer(session: &str, question: &Value, option: &str) -> Value {
    json!({ "sessionId": session, "questionId": question["questionId"], "optionId": option })
}

for_each_user! {
    fn the_socket_is_private_and_goes_with_its_server(scene) {
        if unavailable("a client of the socket", &["python3"]) {
            return;
        }
        let server = Server::start(&scene, &[]);
        let socket = server.socket.clone();
        assert!(knock(&scene, &socket).success().stdout.contains("\"protocolVersion\":1"));
        refused(&scene, &socket).complains("another server listens");
        drop(server);
        assert!(!socket.exists());
        // One that a killed server left behind.
        drop(UnixListener::bind(&socket).unwrap());
        scene.give(&socket);
        fs::set_permissions(&socket, Permissions::from_mode(0o755)).unwrap();
        let _server = Server::start(&scene, &[]);
        assert!(knock(&scene, &socket).success().stdout.contains("\"protocolVersion\":1"));
    }
}

for_each_user! {
    fn places_that_others_can_change_are_refused(scene) {
        let place = |name: &str, mode| {
            let dir = scene.beside(name);
            scene.make_dir(&dir);
            fs::set_permissions(&dir, Permissions::from_mode(mode)).unwrap();
            dir
        };
        for mode in [0o777, 0o1777, 0o770, 0o750, 0o711] {
            refused(&scene, &place("open", mode).join("socket")).complains("of this user alone");
        }
        let below = place("open", 0o777).join("private");
        scene.make_dir(&below);
        fs::set_permissions(&below, Permissions::from_mode(0o700)).unwrap();
        refused(&scene, &below.join("socket")).complains("others can change");
        let private = place("private", 0o700);
        symlink(scene.workspace.join("elsewhere"), private.join("link")).unwrap();
        refused(&scene, &private.join("link")).complains("is no socket");
        scene.file(&private.join("file"), "kept");
        refused(&scene, &private.join("file")).complains("is no socket");
        assert_eq!(fs::read(private.join("file")).unwrap(), b"kept");
        assert!(!scene.workspace.join("elsewhere").exists());
        // A link to a directory is what it leads to.
        symlink(place("open", 0o777), scene.beside("to-open")).unwrap();
        refused(&scene, &scene.beside("to-open/socket")).complains("of this user alone");
        if nix::unistd::geteuid().is_root() {
            let foreign = place("foreign", 0o700);
            chown(&foreign, Some(12_345), Some(12_345)).unwrap();
            assert!(matches!(refused(&scene, &foreign.join("socket")).code(), 1..=125));
        }
    }
}

#[test]
fn another_user_is_not_served_even_where_the_modes_let_it_in() {
    let Some(other) = Scene::as_nobody() else { return };
    if unavailable("a client of the socket", &["python3"]) {
        return;
    }
    let scene = Scene::new(User::Caller);
    let server = Server::start(&scene, &[]);
    knock(&other, &server.socket).fails().complains("PermissionError");
    fs::set_permissions(server.socket.parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
    knock(&other, &server.socket).fails().complains("PermissionError");
    fs::set_permissions(&server.socket, Permissions::from_mode(0o666)).unwrap();
    assert_eq!(knock(&other, &server.socket).success().stdout, "closed\n");
    assert!(knock(&scene, &server.socket).success().stdout.contains("protocolVersion"));
}

for_each_user! {
    fn only_who_shows_the_token_answers(scene) {
        let server = Server::with_approvers(&scene, 60_000);
        let mut agent = server.client(&scene, json!({}));
        let mut stranger = server.connect(&scene);
        assert_eq!(stranger.fails("initialize", json!({ "protocolVersion": 1, "approverToken": "no".repeat(16) })), -32004);
        assert_eq!(stranger.fails("session/new", json!({ "workspace": scene.workspace })), -32000);
        let mut other = server.client(&scene, json!({}));
        let mut approver = server.client(&scene, json!({ "approverToken": TOKEN }));

        let level = json!({ "workspace": scene.workspace, "level": "high" });
        assert_eq!(agent.fails("session/new", level), -32004);
        let session = raised(&mut agent, &mut approver, &scene);
        let command = agent.run(&session, json!("cat ~/.ssh/id_x"));
        let question = approver.told("session/request_permission");
        for client in [&mut agent, &mut other] {
            assert_eq!(client.fails("question/answer", answer(&session, &question, "once")), -32004);
            client.respond(&question, "once");
            client.told("question/rejected");
            assert!(client.next(Duration::from_millis(50)).is_none_or(|said| said["method"] != "command/exited"));
        }
        assert_eq!(other.fails("command/cancel", json!({ "sessionId": session, "commandId": command })), -32001);
        assert_eq!(other.fails("session/load", json!({ "sessionId": session })), -32001);
        approver.call("question/answer", answer(&session, &question, "once"));
        assert_eq!(agent.finish(&command).0, "TOP-SECRET\n");
        let command = agent.run(&session, json!("cat ~/.ssh/id_x"));
        let question = approver.told("session/request_permission");
        approver.respond(&question, "deny");
        assert_eq!(agent.finish(&command).1["status"], 1);
    }
}

for_each_user! {
    fn a_command_reaches_neither_the_token_nor_the_socket(scene) {
        let mut scene = scene;
        // Both lie where commands write as they like.
        scene.workspace = scene.beside("");
        let server = Server::with_approvers(&scene, 60_000);
        let token = scene.beside("private/token");
        let mut approver = server.client(&scene, json!({ "approverToken": TOKEN }));
        let session = approver.session(&scene, "high");
        let script = json!(["bash", "-c", REACH, "bash", token, server.socket]);
        let command = approver.run(&session, script);
        let (output, exited) = loop {
            let said = approver.until("a question or the end", |message| {
                matches!(message["method"].as_str(), Some("session/request_permission" | "command/exited"))
            });
            if said["method"] == "command/exited" {
                break (said["params"].to_string(), said);
            }
            approver.respond(&said["params"], "once");
        };
        let told: Vec<_> = std::iter::from_fn(|| approver.next(Duration::from_millis(50))).collect();
        let all = format!("{output} {exited} {told:?}");
        assert!(!all.contains(TOKEN) && !all.contains("reached"), "{all}");
        assert!(command.starts_with('c') && token.exists() && server.socket.exists());
    }
}

for_each_user! {
    fn questions_wait_for_a_client_that_comes_back(scene) {
        settings(&scene, 30_000, false);
        let server = Server::start(&scene, &[]);
        let mut client = server.client(&scene, json!({}));
        let session = client.session(&scene, "high");
        let command = client.run(&session, json!("echo before; cat ~/.ssh/id_x"));
        let question = client.told("session/request_permission");
        drop(client);
        let mut back = server.client(&scene, json!({}));
        let loaded = back.load(&session);
        assert_eq!(loaded["pendingQuestions"][0]["questionId"], question["questionId"]);
        assert_eq!(loaded["commands"][0]["commandId"], json!(command));
        let again = back.told("session/request_permission");
        assert_eq!(again["questionId"], question["questionId"]);
        back.respond(&again, "once");
        assert!(back.finish(&command).0.ends_with("TOP-SECRET\n"));
    }
}

for_each_user! {
    fn an_approver_that_looks_after_a_session_does_not_take_it(scene) {
        let server = Server::with_approvers(&scene, 60_000);
        let mut agent = server.client(&scene, json!({}));
        let mut approver = server.client(&scene, json!({ "approverToken": TOKEN }));
        let session = raised(&mut agent, &mut approver, &scene);
        let command = agent.run(&session, json!("cat ~/.ssh/id_x"));
        approver.told("session/request_permission");
        drop((agent, approver));
        let mut approver = server.client(&scene, json!({ "approverToken": TOKEN }));
        let loaded = approver.call("session/load", json!({ "sessionId": session }));
        assert_eq!(loaded["pendingQuestions"].as_array().unwrap().len(), 1);
        let question = approver.told("session/request_permission");
        let mut agent = server.client(&scene, json!({}));
        agent.load(&session);
        approver.respond(&question, "once");
        assert_eq!(agent.finish(&command).0, "TOP-SECRET\n");
    }
}

for_each_user! {
    fn nobody_is_waited_for_longer_than_the_grace(scene) {
        let server = Server::with_approvers(&scene, 300);
        let mut agent = server.client(&scene, json!({}));
        let session = raised(&mut agent, &mut server.client(&scene, json!({ "approverToken": TOKEN })), &scene);
        // Nobody there who may answer.
        let command = agent.run(&session, json!("cat ~/.ssh/id_x"));
        assert_eq!(agent.finish(&command).1["status"], 1);
        // Who shows the token and answers nothing is nobody.
        let command = agent.run(&session, json!("cat ~/.ssh/id_x"));
        let silent = json!({ "approverToken": TOKEN, "clientCapabilities": { "requestPermission": false } });
        let quiet = server.client(&scene, silent);
        assert_eq!(agent.finish(&command).1["status"], 1);
        // The owner goes, an approver comes: output that nobody hears is thrown away all the same.
        let done = scene.workspace.join("done");
        let line = format!("head -c 3000000 /dev/zero | tr '\\0' x; echo > {}", done.display());
        agent.run(&session, json!(line));
        agent.told("command/started");
        drop(agent);
        std::thread::sleep(Duration::from_millis(100));
        let approver = server.client(&scene, json!({ "approverToken": TOKEN }));
        let until = Instant::now() + Duration::from_secs(10);
        while !done.exists() {
            assert!(Instant::now() < until, "the command still waits for somebody who reads");
            std::thread::sleep(Duration::from_millis(10));
        }
        drop((quiet, approver));
    }
}

#[test]
fn an_approver_gets_a_burst_of_questions() {
    const COMMANDS: usize = 48;
    let scene = Scene::new(User::Caller);
    let server = Server::with_approvers(&scene, 60_000);
    let mut agent = server.client(&scene, json!({}));
    let mut approver = server.client(&scene, json!({ "approverToken": TOKEN }));
    let session = raised(&mut agent, &mut approver, &scene);
    let commands: Vec<_> = (0..COMMANDS).map(|_| agent.run(&session, json!("read x; cat ~/.ssh/id_x"))).collect();
    assert_eq!(commands.len(), COMMANDS);
    kill(server.pid(), Signal::SIGSTOP).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    kill(server.pid(), Signal::SIGCONT).unwrap();
    for _ in 0..COMMANDS {
        let question = approver.told("session/request_permission");
        approver.respond(&question, "deny");
    }
    for command in &commands {
        assert_eq!(agent.finish(command).1["status"], 1);
    }
}

for_each_user! {
    fn who_is_no_approver_works_where_the_server_was_started_for(scene) {
        let (first, second) = (scene.beside("first"), scene.beside("second"));
        scene.make_dir(&first.join("below"));
        scene.make_dir(&second);
        let token = scene.beside("private/token");
        let flags = |dirs: &[&Path]| -> Vec<String> {
            let mut flags = vec!["--approver-token".to_owned(), token.display().to_string()];
            flags.extend(dirs.iter().map(|dir| format!("--workspace={}", dir.display())));
            flags
        };
        settings(&scene, 60_000, true);
        scene.file(&token, TOKEN);
        fs::set_permissions(&token, Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(token.parent().unwrap(), Permissions::from_mode(0o700)).unwrap();
        let nested = flags(&[&first, &first.join("below")]);
        let socket = scene.beside("private/socket");
        let mut words = vec!["serve", "--socket", socket.to_str().unwrap()];
        words.extend(nested.iter().map(String::as_str));
        scene.cli(&words).fails().complains("could put another directory in its place");

        let flags = flags(&[&first, &second]);
        let server = Server::start(&scene, &flags.iter().map(String::as_str).collect::<Vec<_>>());
        let mut agent = server.connect(&scene);
        let told = agent.initialize(json!({}));
        assert_eq!(told["serverCapabilities"]["workspaces"], json!([first, second]));
        symlink(&scene.home, scene.beside("link")).unwrap();
        symlink(&second, scene.beside("to-second")).unwrap();
        for elsewhere in ["/", "/etc", "", "home", "link", "first/below", "first/..", "work"] {
            let named = if elsewhere.starts_with('/') { elsewhere.into() } else { scene.beside(elsewhere) };
            assert_eq!(agent.fails("session/new", json!({ "workspace": named })), -32004, "{elsewhere}");
        }
        for kind in ["subagent", "mission", "interactive"] {
            let highest = json!({ "workspace": first, "kind": kind });
            assert_eq!(agent.fails("session/new", highest), -32004, "{kind} starts with more than nothing");
        }
        let made = agent.call("session/new", json!({ "workspace": first, "cwd": first.join("below") }));
        let mut approver = server.client(&scene, json!({ "approverToken": TOKEN }));
        approver.call("session/set_level", json!({ "sessionId": made["sessionId"], "level": "high" }));
        let command = agent.run(made["sessionId"].as_str().unwrap(), json!("pwd; echo x > x"));
        assert_eq!(agent.finish(&command).0, format!("{}\n", first.join("below").display()));
        // By another name it is the same directory, and stays it.
        let made = agent.call("session/new", json!({ "workspace": scene.beside("to-second") }));
        fs::remove_file(scene.beside("to-second")).unwrap();
        symlink("/", scene.beside("to-second")).unwrap();
        let command = agent.run(made["sessionId"].as_str().unwrap(), json!("pwd"));
        assert_eq!(agent.finish(&command).0, format!("{}\n", second.display()));
        approver.call("session/new", json!({ "workspace": scene.home, "level": "low" }));
    }
}

#[test]
fn a_subagents_level_is_the_settings() {
    let scene = Scene::new(User::Caller);
    scene.user_settings(r#"{ "subagentAutonomyLevel": "low" }"#);
    let mut client = Client::on_pipes(&scene);
    let subagent = json!({ "workspace": scene.workspace, "kind": "subagent" });
    let session = client.call("session/new", subagent.clone())["sessionId"].clone();
    assert_eq!(client.call("session/load", json!({ "sessionId": session }))["level"], "low");
    assert_eq!(client.fails("session/set_level", json!({ "sessionId": session, "level": "off" })), -32602);
    let mut with_level = subagent;
    with_level["level"] = json!("off");
    assert_eq!(client.fails("session/new", with_level), -32602, "it would have no effect");
}
