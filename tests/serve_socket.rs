//! `askance serve --socket`: who gets in, who may answer, and what one connection can do to another.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use support::client::Client;
use support::command::processes_that_mention;
use support::{Finished, Launch, Scene, User, unavailable};

const TOKEN: &str = "0123456789abcdef-of-the-approver";

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

struct Server {
    child: Child,
    socket: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill(self.pid(), Signal::SIGTERM);
        let until = Instant::now() + Duration::from_secs(10);
        while self.child.try_wait().unwrap().is_none() {
            if Instant::now() > until {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Server {
    /// Waits until it listens.
    fn start(scene: &Scene, flags: &[&str]) -> Self {
        let socket = scene.beside("private/socket");
        let mut words: Vec<String> = vec!["serve".into(), "--socket".into(), socket.to_str().unwrap().into()];
        words.extend(flags.iter().map(ToString::to_string));
        scene.make_dir(socket.parent().unwrap());
        fs::set_permissions(socket.parent().unwrap(), Permissions::from_mode(0o700)).unwrap();
        let child = Launch::new(scene, Some(words)).command(&[], None).stdin(Stdio::null()).spawn().unwrap();
        let mut server = Self { child, socket };
        let until = Instant::now() + Duration::from_secs(20);
        while fs::metadata(&server.socket).map_or(true, |found| found.permissions().mode() & 0o777 != 0o600) {
            let over = server.child.try_wait().unwrap();
            assert!(over.is_none() && Instant::now() < until, "the server does not listen: {over:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        server
    }

    /// Settings and a token file beside the socket: only approvers answer.
    fn with_approvers(scene: &Scene, grace: u32) -> Self {
        settings(scene, grace, true);
        let token = scene.beside("private/token");
        scene.file(&token, TOKEN);
        fs::set_permissions(&token, Permissions::from_mode(0o600)).unwrap();
        Self::start(scene, &["--approver-token", token.to_str().unwrap()])
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    fn client(&self, more: Value) -> Client {
        let mut client = Client::connect(&self.socket);
        client.initialize(more);
        client
    }
}

fn settings(scene: &Scene, grace: u32, require_approver: bool) {
    scene.user_settings(&format!(
        r#"{{ "server": {{ "gracePeriodMs": {grace}, "requireApprover": {require_approver} }} }}"#
    ));
}

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

fn gone_soon(marker: &str) {
    let until = Instant::now() + Duration::from_secs(10);
    while !processes_that_mention(marker).is_empty() {
        assert!(Instant::now() < until, "{}", processes_that_mention(marker));
        std::thread::sleep(Duration::from_millis(5));
    }
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

#[test]
fn only_who_shows_the_token_answers() {
    let scene = Scene::new(User::Caller);
    let server = Server::with_approvers(&scene, 60_000);
    let mut agent = server.client(json!({}));
    let mut stranger = Client::connect(&server.socket);
    assert_eq!(stranger.fails("initialize", json!({ "protocolVersion": 1, "approverToken": "no".repeat(16) })), -32004);
    assert_eq!(stranger.fails("session/new", json!({ "workspace": scene.workspace })), -32000);
    let mut other = server.client(json!({}));
    let mut approver = server.client(json!({ "approverToken": TOKEN }));

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

#[test]
fn a_command_reaches_neither_the_token_nor_the_socket() {
    let mut scene = Scene::new(User::Caller);
    // Both lie where commands write as they like.
    scene.workspace = scene.beside("");
    let server = Server::with_approvers(&scene, 60_000);
    let token = scene.beside("private/token");
    let mut approver = server.client(json!({ "approverToken": TOKEN }));
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

#[test]
fn questions_wait_for_a_client_that_comes_back() {
    let scene = Scene::new(User::Caller);
    settings(&scene, 30_000, false);
    let server = Server::start(&scene, &[]);
    let mut client = server.client(json!({}));
    let session = client.session(&scene, "high");
    let command = client.run(&session, json!("echo before; cat ~/.ssh/id_x"));
    let question = client.told("session/request_permission");
    drop(client);
    let mut back = server.client(json!({}));
    let until = Instant::now() + Duration::from_secs(10);
    let loaded = loop {
        // The server may still be about to notice that the other end is gone.
        match back.request_or_error("session/load", json!({ "sessionId": session })) {
            Ok(loaded) => break loaded,
            Err(_) => assert!(Instant::now() < until, "the session is not given back"),
        }
    };
    assert_eq!(loaded["pendingQuestions"][0]["questionId"], question["questionId"]);
    assert_eq!(loaded["commands"][0]["commandId"], json!(command));
    let again = back.told("session/request_permission");
    assert_eq!(again["questionId"], question["questionId"]);
    back.respond(&again, "once");
    assert!(back.finish(&command).0.ends_with("TOP-SECRET\n"));
}

#[test]
fn nobody_is_waited_for_longer_than_the_grace() {
    let scene = Scene::new(User::Caller);
    let server = Server::with_approvers(&scene, 300);
    let mut agent = server.client(json!({}));
    let session = raised(&mut agent, &mut server.client(json!({ "approverToken": TOKEN })), &scene);
    // Nobody there who may answer.
    let command = agent.run(&session, json!("cat ~/.ssh/id_x"));
    assert_eq!(agent.finish(&command).1["status"], 1);
    // Who shows the token and answers nothing is nobody.
    let command = agent.run(&session, json!("cat ~/.ssh/id_x"));
    let silent = json!({ "approverToken": TOKEN, "clientCapabilities": { "requestPermission": false } });
    let quiet = server.client(silent);
    assert_eq!(agent.finish(&command).1["status"], 1);
    // The owner goes, an approver comes: output that nobody hears is thrown away all the same.
    let done = scene.workspace.join("done");
    let line = format!("head -c 3000000 /dev/zero | tr '\\0' x; echo > {}", done.display());
    agent.run(&session, json!(line));
    agent.told("command/started");
    drop(agent);
    std::thread::sleep(Duration::from_millis(100));
    let approver = server.client(json!({ "approverToken": TOKEN }));
    let until = Instant::now() + Duration::from_secs(10);
    while !done.exists() {
        assert!(Instant::now() < until, "the command still waits for somebody who reads");
        std::thread::sleep(Duration::from_millis(10));
    }
    drop((quiet, approver));
}

#[test]
fn an_approver_gets_a_burst_of_questions() {
    const COMMANDS: usize = 48;
    let scene = Scene::new(User::Caller);
    let server = Server::with_approvers(&scene, 60_000);
    let mut agent = server.client(json!({}));
    let mut approver = server.client(json!({ "approverToken": TOKEN }));
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

#[test]
fn garbage_and_slow_readers_disturb_nobody_else() {
    let scene = Scene::new(User::Caller);
    settings(&scene, 300, false);
    let server = Server::start(&scene, &[]);
    let mut good = server.client(json!({}));
    let session = good.session(&scene, "high");
    let mut works = |what: &str| {
        let begun = Instant::now();
        let command = good.run(&session, json!("echo hi"));
        assert_eq!(good.finish(&command).0, "hi\n", "{what}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}: {:?}", begun.elapsed());
    };
    // Nobody reads the answers: the server stops reading, and the writer gets stuck.
    let mut garbage = UnixStream::connect(&server.socket).unwrap();
    garbage.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut seed = 1_u32;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        u8::try_from(seed >> 24).unwrap()
    })
    .take(1_000_000)
    .collect();
    let _ = garbage.write_all(&bytes);
    works("beside garbage");
    let mut brackets = UnixStream::connect(&server.socket).unwrap();
    brackets.write_all(&vec![b'['; 1_000_000]).unwrap();
    works("beside brackets");
    drop((garbage, brackets));
    works("after garbage");

    let mut slow = UnixStream::connect(&server.socket).unwrap();
    let said = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "protocolVersion": 1 } });
    writeln!(slow, "{said}").unwrap();
    let params = json!({ "workspace": scene.workspace, "level": "high" });
    writeln!(slow, "{}", json!({ "jsonrpc": "2.0", "id": 2, "method": "session/new", "params": params })).unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(slow.try_clone().unwrap()));
    let made: Value = serde_json::from_str(&lines.nth(1).unwrap().unwrap()).unwrap();
    let marker = format!("flood-{}", std::process::id());
    let params = json!({ "sessionId": made["result"]["sessionId"], "command": format!("yes {marker}") });
    writeln!(slow, "{}", json!({ "jsonrpc": "2.0", "id": 3, "method": "command/run", "params": params })).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    works("beside a slow reader");
    // More requests than answers fit, and still nobody else waits.
    slow.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    while slow.write_all(b"{}\n").is_ok() {}
    works("beside one that reads no answers");
    drop((slow, lines));
    works("after a slow reader");
    drop(server);
    gone_soon(&marker);
}

#[test]
fn a_cancelled_command_leaves_nothing_whenever_that_is() {
    let scene = Scene::new(User::Caller);
    let server = Server::start(&scene, &[]);
    let mut client = server.client(json!({}));
    let session = client.session(&scene, "high");
    let marker = format!("7{}.25", std::process::id());
    let line = format!("trap '' TERM; setsid sleep {marker} & sleep {marker} & sleep {marker}");
    for round in 0_u64..12 {
        let command = client.run(&session, json!(line));
        std::thread::sleep(Duration::from_millis(round * 9));
        client.call("command/cancel", json!({ "sessionId": session, "commandId": command, "graceMs": round % 3 * 20 }));
        assert_ne!(client.finish(&command).1["status"], 0, "round {round}");
        gone_soon(&marker);
    }
    client.run(&session, json!(line));
    client.call("session/close", json!({ "sessionId": session }));
    drop(server);
    gone_soon(&marker);
}
