//! `askance mcp` with an independent client: the Python SDK, over standard input and output and over HTTP.
#![cfg(feature = "mcp")]
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::command::processes_that_mention;
use support::scene::binary;
use support::{Launch, Scene, User, skip};

const SDK: &str = "mcp==2.3.0";
const MODES: [&str; 2] = ["legacy", "2026-07-28"];

/// A Python with the SDK, made once beside the build.
fn python() -> Option<&'static Path> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mcp-venv");
        let (python, mark) = (dir.join("bin/python"), dir.join(SDK));
        let runs = |program: &Path, arguments: &[&str]| {
            Command::new(program)
                .args(arguments)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        };
        let made = mark.exists()
            || runs(Path::new("python3"), &["-m", "venv", "--clear", dir.to_str()?])
                && runs(&python, &["-m", "pip", "install", "-q", "--disable-pip-version-check", SDK])
                && fs::write(&mark, "").is_ok();
        made.then_some(python)
    });
    if made.is_none() {
        skip("askance mcp with the Python SDK", "it could not be installed");
    }
    made.as_deref()
}

/// Plays a scenario of `mcp_client.py`; `None` without the SDK.
fn play(scene: &Scene, mode: &str, scenario: &str, server: &[&str]) -> Option<Value> {
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/mcp_client.py");
    let mut argv = vec![python()?.to_str().unwrap(), client.to_str().unwrap(), mode, scenario];
    argv.extend(server);
    let finished = Launch::new(scene, None).run(&argv).success();
    Some(serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}\n{finished}")))
}

fn on_stdio(scene: &Scene, mode: &str, scenario: &str, flags: &[&str]) -> Option<Value> {
    let mut server = vec![binary(User::Caller).to_str().unwrap(), "mcp"];
    server.extend(flags);
    play(scene, mode, scenario, &server)
}

#[test]
fn tools_say_what_they_take_and_do() {
    let scene = Scene::new(User::Caller);
    let Some(said) = on_stdio(&scene, "legacy", "tools", &[]) else { return };
    let tools = said["result"].as_object().unwrap();
    let hints = |name: &str| (tools[name][0].as_bool().unwrap(), tools[name][1].as_bool().unwrap());
    for name in ["read_file", "list_directory", "check_command"] {
        assert_eq!(hints(name), (true, false), "{name}");
    }
    for name in ["run_command", "write_file", "edit_file", "apply_patch"] {
        assert_eq!(hints(name), (false, true), "{name}");
    }
    assert_eq!(tools.len(), 7);
    assert_eq!(tools["edit_file"][2]["required"], json!(["path", "old_text", "new_text"]));
}

#[test]
fn files_are_read_and_changed() {
    let scene = Scene::new(User::Caller);
    for mode in MODES {
        let Some(said) = on_stdio(&scene, mode, "files", &["--auto", "low"]) else { return };
        let result = &said["result"];
        assert_eq!(result[3]["structured"]["content"], "1\n2\n", "{said:#}");
        assert_eq!(result[4]["structured"]["entries"][0]["name"], "f", "{said:#}");
        assert!(result[5]["error"] == true && result[5]["text"].as_str().unwrap().contains("surprise"), "{said:#}");
        assert_eq!(result[6]["structured"]["verdict"], "ask", "{said:#}");
        assert_eq!(said["asked"], json!([]), "{said:#}");
    }
}

#[test]
fn a_person_is_asked_and_the_answer_counts() {
    let scene = Scene::new(User::Caller);
    let file = scene.outside.join("f");
    let line = format!("echo x >> {0} && cat {0}", file.display());
    for mode in MODES {
        let high = ["--auto", "high"];
        let Some(said) = on_stdio(&scene, mode, &format!("no:{line}"), &high) else { return };
        assert!(said["result"]["error"] == true && !file.exists(), "{said:#}");
        assert!(said["asked"][0].as_str().unwrap().starts_with(&format!("write {}\n", file.display())), "{said:#}");
        let said = on_stdio(&scene, mode, &format!("nobody:{line}"), &high).unwrap();
        assert!(said["asked"] == json!([]) && !file.exists(), "{said:#}");
        let hint = format!("to allow it: askance allow write {}", file.display());
        assert!(said["result"]["text"].as_str().unwrap().contains(&hint), "{said:#}");
        let said = on_stdio(&scene, mode, &format!("yes:{line}"), &high).unwrap();
        assert_eq!(said["result"]["structured"]["stdout"], "x\n", "{said:#}");
        fs::remove_file(&file).unwrap();
    }
    // The start itself is asked about too.
    let said = on_stdio(&scene, "legacy", "yes:mkdir made && echo done", &[]).unwrap();
    assert_eq!((said["asked"].as_array().unwrap().len(), &said["result"]["text"]), (1, &json!("done\n")), "{said:#}");
    fs::remove_dir(scene.workspace.join("made")).unwrap();
    let said = on_stdio(&scene, "legacy", "nobody:mkdir made", &[]).unwrap();
    assert!(said["result"]["text"].as_str().unwrap().contains("this client cannot be asked"), "{said:#}");
    assert!(!scene.workspace.join("made").exists());
}

#[test]
fn row_34_a_directory_that_a_model_names_is_no_workspace() {
    let scene = Scene::new(User::Caller);
    let outside = scene.outside.to_str().unwrap();
    for flags in [&["--auto", "high"][..], &["--auto", "high", "--cwd", scene.workspace.to_str().unwrap()]] {
        let Some(said) = on_stdio(&scene, "legacy", &format!("elsewhere:{outside}"), flags) else { return };
        let text = said["result"]["text"].as_str().unwrap();
        assert!(text.contains(outside) && text.contains("denied write"), "it did not even start there: {said:#}");
        assert!(!scene.outside.join("planted").exists(), "{said:#}");
    }
}

#[test]
fn calls_run_side_by_side_tell_progress_and_are_given_up() {
    let scene = Scene::new(User::Caller);
    let Some(said) = on_stdio(&scene, "legacy", "progress", &["--auto", "high"]) else { return };
    assert!(said["result"]["seen"].as_array().unwrap().len() >= 2, "{said:#}");
    let said = on_stdio(&scene, "legacy", "many", &["--auto", "high"]).unwrap();
    assert_eq!(said["result"][7], "7\n", "{said:#}");
    for mode in MODES {
        let mark = format!("31{}", std::process::id());
        let said = on_stdio(&scene, mode, &format!("cancel:sleep {mark} & sleep {mark}"), &["--auto", "high"]).unwrap();
        assert_eq!(said["result"]["text"], "still here\n", "{said:#}");
        assert_eq!(processes_that_mention(&format!("sleep {mark}")), "", "what was given up goes on");
    }
}

/// A server on a loopback port.
struct Served {
    child: Child,
    address: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn served(scene: &Scene) -> Served {
    let token = scene.home.join("token");
    scene.file(&token, format!("{TOKEN}\n"));
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let words = ["mcp", "--auto", "low", "--http", "127.0.0.1:0", "--token-file", token.to_str().unwrap()];
    let launch = Launch::new(scene, Some(words.map(str::to_owned).to_vec()));
    let mut child = launch.command(&[], None).stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().rsplit("http://").next().unwrap().trim_end_matches("/mcp").to_owned();
    Served { child, address }
}

/// The status of a request with these header lines.
fn status(address: &str, headers: &str) -> String {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "POST /mcp HTTP/1.1\r\n{headers}Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[9..]).into_owned()
}

#[test]
fn http_serves_who_shows_the_token_and_no_page_in_a_browser() {
    let scene = Scene::new(User::Caller);
    let served = served(&scene);
    let address = &served.address;
    let (host, token) = (format!("Host: {address}\r\n"), format!("Authorization: Bearer {TOKEN}\r\n"));
    let port = address.rsplit(':').next().unwrap();
    assert_eq!(status(address, &format!("{host}{token}")), "200");
    assert_eq!(status(address, &format!("Host: localhost:{port}\r\n{token}")), "200");
    for (headers, refused) in [
        (host.clone(), "401"),
        (format!("{host}Authorization: Bearer {}\r\n", &TOKEN[1..]), "401"),
        (format!("{host}Authorization: Bearer\r\n"), "401"),
        (format!("{host}Authorization: Basic {TOKEN}\r\n"), "401"),
        (format!("{host}{token}Origin: http://{address}\r\n"), "403"),
        (format!("{host}{token}Origin: null\r\n"), "403"),
        (format!("Host: rebound.example.com:{port}\r\n{token}"), "403"),
        (format!("Host: 127.0.0.1.example.com\r\n{token}"), "403"),
    ] {
        assert_eq!(status(address, &headers), refused, "{headers}");
    }
    let url = format!("http://{address}/mcp");
    for mode in MODES {
        let Some(said) = play(&scene, mode, "files", &["http", &url, TOKEN]) else { return };
        assert_eq!(said["result"][3]["structured"]["content"], "1\n2\n", "{said:#}");
        let said = play(&scene, mode, "yes:mkdir made; rmdir made; echo done", &["http", &url, TOKEN]).unwrap();
        assert_eq!(
            (said["asked"].as_array().unwrap().len(), &said["result"]["text"]),
            (1, &json!("done\n")),
            "{said:#}"
        );
        // Commands do not learn what would let them speak in the client's name.
        let said = play(&scene, mode, "yes:cat ~/token; echo over", &["http", &url, TOKEN]).unwrap();
        let text = said["result"]["text"].as_str().unwrap();
        assert!(text.starts_with("over\n") && !said.to_string().contains(TOKEN), "{said:#}");
    }
}

#[test]
fn http_needs_a_loopback_address_and_a_private_token() {
    let scene = Scene::new(User::Caller);
    let token = scene.home.join("token");
    let start = |address: &str| scene.cli(&["mcp", "--http", address, "--token-file", token.to_str().unwrap()]);
    start("127.0.0.1:0").exits(125).complains("read the token");
    scene.file(&token, TOKEN);
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    start("127.0.0.1:0").exits(125).complains("can be read by others");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    start("0.0.0.0:0").exits(125).complains("no loopback address");
    scene.file(&token, "short");
    start("127.0.0.1:0").exits(125).complains("fewer than");
    scene.cli(&["mcp", "--http", "127.0.0.1:0"]).exits(125).complains("--token-file");
}

#[test]
fn garbage_on_standard_input_ends_nothing_but_itself() {
    let scene = Scene::new(User::Caller);
    let launch = Launch::new(&scene, Some(vec!["mcp".into()]));
    let mut child = launch.command(&[], None).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let garbage = [b'x'; 1 << 16];
    writeln!(stdin, "{hello}").unwrap();
    writeln!(stdin, "{}", json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).unwrap();
    for _ in 0..16 {
        stdin.write_all(&garbage).unwrap();
    }
    writeln!(stdin, "\n[]\n{{}}\nnull\n{}", json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list"})).unwrap();
    let started = Instant::now();
    let answer = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .find(|line| line.contains("\"id\":7"));
    assert!(answer.unwrap().contains("run_command") && started.elapsed() < Duration::from_secs(30));
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

/// A client that says what it likes, line by line.
struct Raw {
    child: Child,
    stdin: std::process::ChildStdin,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Raw {
    /// Introduced, and able to be asked.
    fn start(scene: &Scene) -> Self {
        Self::start_with(scene, &[])
    }

    fn start_with(scene: &Scene, flags: &[&str]) -> Self {
        let words = [&["mcp", "--auto", "high"], flags].concat();
        Self::through(Launch::new(scene, Some(words.into_iter().map(str::to_owned).collect())).command(&[], None))
    }

    fn through(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut raw = Self { child, stdin, lines: BufReader::new(stdout).lines() };
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": { "elicitation": { "form": {} } },
            "clientInfo": { "name": "t", "version": "1" } });
        raw.say(&json!({ "id": 1, "method": "initialize", "params": params }));
        raw.until(|said| said["id"] == 1);
        raw.say(&json!({ "method": "notifications/initialized" }));
        raw
    }

    fn say(&mut self, message: &Value) {
        let mut message = message.clone();
        message["jsonrpc"] = json!("2.0");
        writeln!(self.stdin, "{message}").unwrap();
    }

    fn run(&mut self, id: u32, line: &str) {
        let params = json!({ "name": "run_command", "arguments": { "command": line } });
        self.say(&json!({ "id": id, "method": "tools/call", "params": params }));
    }

    fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        let lines = self.lines.by_ref().map_while(Result::ok);
        lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok()).find(|said| fits(said)).unwrap()
    }

    fn answer(&mut self, id: u32) -> Value {
        self.until(|said| said["id"] == id && said.get("method").is_none())
    }

    fn question(&mut self) -> Value {
        self.until(|said| said["method"] == "elicitation/create")
    }

    fn ends(mut self) {
        drop(self.stdin);
        assert!(self.child.wait().unwrap().success());
    }
}

#[test]
fn a_question_that_needs_no_answer_any_more_is_cancelled() {
    let scene = Scene::new(User::Caller);
    let mut client = Raw::start(&scene);
    client.run(2, "timeout 1 cat ~/.ssh/id_x; echo over");
    let asked = client.question();
    let cancelled = client.until(|said| said["method"] == "notifications/cancelled" || said["id"] == 2);
    assert_eq!(cancelled["params"]["requestId"], asked["id"], "{cancelled}");
    let text = &client.answer(2)["result"]["content"][0]["text"];
    assert!(text.as_str().unwrap().starts_with("over\n"), "{text}");
    // Given up by the client, a call takes its questions along.
    client.run(3, "cat ~/.ssh/id_x");
    let asked = client.question();
    client.say(&json!({ "method": "notifications/cancelled", "params": { "requestId": 3, "reason": "enough" } }));
    let cancelled = client.until(|said| said["method"] == "notifications/cancelled");
    assert_eq!(cancelled["params"]["requestId"], asked["id"], "{cancelled}");
    client.ends();
}

#[test]
fn what_no_command_may_reach_holds_here_too() {
    let scene = Scene::new(User::Caller);
    scene.file(&scene.workspace.join("kept"), "KEPT\n");
    let mut client = Raw::start_with(&scene, &["--block", "kept"]);
    client.run(2, "cat kept; echo > kept; echo over");
    let said = client.until(|said| said["id"] == 2 || said["method"] == "elicitation/create");
    let text = said["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("over\n") && !text.contains("KEPT"), "{text}");
    assert_eq!(fs::read_to_string(scene.workspace.join("kept")).unwrap(), "KEPT\n");
    client.ends();
}

#[test]
fn arguments_that_no_command_can_have_are_said_to_be_wrong() {
    let scene = Scene::new(User::Caller);
    let mut client = Raw::start(&scene);
    let table = [
        (json!({ "command": "true", "timeout_ms": 0 }), "at least 1"),
        (json!({ "command": "true", "risk": "most" }), "unknown variant"),
        (json!({ "command": "true", "risk": "low", "reason": "\0" }), "NUL"),
        (json!({ "command": "true\0" }), "NUL"),
        (json!({ "command": "true", "cwd": "\0" }), "NUL"),
        (json!({ "command": format!("true {}", "x".repeat(1 << 20)) }), "longer than"),
        (json!({ "command": "true", "cwd": "nowhere" }), "nowhere"),
    ];
    for (id, (arguments, why)) in (2..).zip(table) {
        let params = json!({ "name": "run_command", "arguments": arguments });
        client.say(&json!({ "id": id, "method": "tools/call", "params": params }));
        let result = client.answer(id)["result"].clone();
        let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{why}: {result}"));
        assert!(result["isError"] == true && text.contains(why), "{why}: {text}");
    }
    client.ends();
}

#[test]
fn file_tools_say_in_one_form_why_they_did_nothing_and_count_from_the_workspace() {
    let scene = Scene::new(User::Caller);
    scene.file(&scene.workspace.join("f"), "1\n");
    // Started elsewhere, as hosts do.
    let flags = ["--auto=low", "--workspace", scene.workspace.to_str().unwrap()];
    let mut launch =
        Launch::new(&scene, Some([&["mcp"], &flags[..]].concat().into_iter().map(str::to_owned).collect()))
            .command(&[], None);
    launch.current_dir(&scene.home);
    let mut client = Raw::through(launch);
    let table = [
        ("read_file", json!({ "path": "f" }), None),
        ("write_file", json!({ "path": "new", "content": "x" }), None),
        ("read_file", json!({ "path": "\0" }), Some("bad_input")),
        ("apply_patch", json!({ "patch": "no patch" }), Some("bad_input")),
        ("edit_file", json!({ "path": "f", "old_text": "2", "new_text": "3" }), Some("no_match")),
        ("read_file", json!({ "path": "nowhere" }), Some("not_found")),
    ];
    for (id, (name, arguments, kind)) in (2..).zip(table) {
        client.say(&json!({ "id": id, "method": "tools/call", "params": { "name": name, "arguments": arguments } }));
        let result = client.answer(id)["result"].clone();
        assert_eq!(result["structuredContent"]["error"]["kind"].as_str(), kind, "{result}");
    }
    assert_eq!(fs::read_to_string(scene.workspace.join("new")).unwrap(), "x");
    client.ends();
}

#[test]
fn a_hostile_client_gets_errors_and_no_secret() {
    let scene = Scene::new(User::Caller);
    let mut client = Raw::start(&scene);
    let content = |text: &str| json!({ "action": "accept", "content": { "answer": text } });
    let answers = [
        json!({ "result": content("forever") }),
        json!({ "result": content("") }),
        json!({ "result": { "action": "accept" } }),
        json!({ "result": { "action": "accept", "content": { "answer": ["once"] } } }),
        json!({ "result": { "action": "decline", "content": { "answer": "once" } } }),
        json!({ "result": 7 }),
        json!({ "error": { "code": -1, "message": "no" } }),
    ];
    for (id, answer) in (10..).zip(answers) {
        client.run(id, "cat ~/.ssh/id_x");
        let mut answer = answer;
        answer["id"] = client.question()["id"].clone();
        // One that nobody asked for comes first, and has no effect.
        client.say(&json!({ "id": 999_999, "result": content("once") }));
        client.say(&answer);
        let said = client.answer(id);
        assert!(said["result"]["isError"] == true && !said.to_string().contains("TOP-SECRET"), "{said}");
    }
    let calls = [
        json!({ "name": "no_such_tool", "arguments": {} }),
        json!({ "name": "run_command", "arguments": { "command": 7 } }),
        json!({ "name": "run_command", "arguments": { "command": "a\u{0}b" } }),
        json!({ "name": "run_command", "arguments": { "command": "true", "cwd": "/does/not/exist" } }),
        json!({ "name": "run_command", "arguments": { "command": "true", "risk": "none" } }),
        json!({ "name": "run_command", "arguments": { "command": "true" }, "requestState": "guessed" }),
        json!({ "name": "read_file", "arguments": { "path": "" } }),
    ];
    for (id, params) in (30..).zip(calls) {
        client.say(&json!({ "id": id, "method": "tools/call", "params": params }));
        let said = client.answer(id);
        assert!(said.get("error").is_some() || said["result"]["isError"] == true, "{params}: {said}");
    }
    // More at once than are carried out at once.
    for id in 1000..1150 {
        let params = json!({ "name": "check_command", "arguments": { "command": "-" } });
        client.say(&json!({ "id": id, "method": "tools/call", "params": params }));
    }
    let mut left: std::collections::HashSet<u64> = (1000..1150).collect();
    while !left.is_empty() {
        let said = client.until(|said| said.get("result").is_some());
        let argv = &said["result"]["structuredContent"]["commands"][0]["argv"];
        assert_eq!(*argv, json!(["-"]), "`-` is a command like others: {said}");
        left.remove(&said["id"].as_u64().unwrap());
    }
    client.ends();
}
