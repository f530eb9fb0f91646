//! `askance serve`: what a hostile client can do to its server and to other clients, and many of them at once.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::client::Client;
use support::command::processes_that_mention;
use support::server::{Server, settings};
use support::{Scene, User, unavailable};

/// Says what is no JSON, in one long line and in many, and hears the errors until its end.
const GARBAGE: &str = r#"
import random, socket, sys
random.seed(7)
for text in random.randbytes(1000000), b"[" * 1000000, b"{}\n" * 1000, b"\n" * 100000, b"\0" * 70000 + b"\n{}\n":
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    s.settimeout(2)
    try:
        s.sendall(text)
        print(s.recv(30))
    except OSError as error:
        print(error)
"#;

fn gone_soon(marker: &str) {
    let until = Instant::now() + Duration::from_secs(10);
    while !processes_that_mention(marker).is_empty() {
        assert!(Instant::now() < until, "{}", processes_that_mention(marker));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Memory of the server in KiB: `VmRSS` now, `VmHWM` at most.
fn memory(server: &Server, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The parameters of this method's next message in the session.
fn told_in(client: &mut Client, session: &str, method: &str) -> Value {
    let is_it = |said: &Value| said["method"] == method && said["params"]["sessionId"] == *session;
    client.until(&format!("{method} in {session}"), is_it)["params"].clone()
}

fn works(client: &mut Client, session: &str, what: &str) {
    let begun = Instant::now();
    let command = client.run(session, json!("echo hi"));
    assert_eq!(client.finish(&command).0, "hi\n", "{what}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{what}: {:?}", begun.elapsed());
}

for_each_user! {
    fn a_hundred_sessions_run_side_by_side(scene) {
        const SESSIONS: usize = 100;
        let server = Server::start(&scene, &[]);
        let mut clients: Vec<Client> = (0..4).map(|_| server.client(&scene, json!({}))).collect();
        let begun: Vec<(usize, String, String)> = (0..SESSIONS)
            .map(|number| {
                let client = &mut clients[number % 4];
                let session = client.session(&scene, "high");
                let line = format!("echo {number} > w{number}; echo begun; read x; cat w{number}");
                let run = json!({ "sessionId": session, "command": line, "input": true });
                let command = client.call("command/run", run)["commandId"].as_str().unwrap().to_owned();
                (number, session, command)
            })
            .collect();
        // All of them are there before the first one ends.
        for (number, session, _) in &begun {
            assert_eq!(told_in(&mut clients[number % 4], session, "command/output")["text"], "begun\n");
        }
        for (number, session, command) in &begun {
            let end = json!({ "sessionId": session, "commandId": command, "end": true });
            clients[number % 4].call("command/input", end);
        }
        for (number, session, _) in &begun {
            assert_eq!(told_in(&mut clients[number % 4], session, "command/output")["text"], format!("{number}\n"));
            assert_eq!(told_in(&mut clients[number % 4], session, "command/exited")["status"], 0);
        }
        let peak = memory(&server, "VmHWM");
        assert!(peak < 64 << 10, "the server took {peak} KiB");
    }
}

#[test]
fn hundreds_of_commands_cost_the_server_little() {
    const COMMANDS: usize = 120;
    let scene = Scene::new(User::Caller);
    let server = Server::start(&scene, &[]);
    let mut client = server.client(&scene, json!({}));
    let session = client.session(&scene, "high");
    let begun = Instant::now();
    for round in 0..COMMANDS / 4 {
        let commands: Vec<String> = (0..4).map(|_| client.run(&session, json!(["echo", round.to_string()]))).collect();
        for command in &commands {
            let (output, exited) = client.finish(command);
            assert_eq!((output, &exited["status"]), (format!("{round}\n"), &json!(0)));
        }
    }
    // Debug builds on busy machines: release builds take a tenth (docs/performance.md).
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    let peak = memory(&server, "VmHWM");
    assert!(peak < 64 << 10, "the server took {peak} KiB");
}

for_each_user! {
    fn a_cancelled_command_leaves_nothing_and_ends_once_whenever_that_is(scene) {
        const ROUNDS: u64 = 25;
        let server = Server::start(&scene, &[]);
        let mut client = server.client(&scene, json!({}));
        let session = client.session(&scene, "high");
        let marker = format!("7{}.25", std::process::id());
        let line = format!("trap '' TERM; setsid sleep {marker} & sleep {marker} & cat ~/.ssh/id_x & sleep {marker}");
        let mut seed = u64::from(std::process::id());
        for round in 0..ROUNDS {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let command = client.run(&session, json!(line));
            std::thread::sleep(Duration::from_millis((seed >> 33) % 120));
            let cancel = json!({ "sessionId": session, "commandId": command, "graceMs": (seed >> 20) % 3 * 20 });
            // Twice is as good as once.
            client.call("command/cancel", cancel.clone());
            let _ = client.request_or_error("command/cancel", cancel);
            assert_ne!(client.finish(&command).1["status"], 0, "round {round} of seed {seed}");
            gone_soon(&marker);
        }
        client.run(&session, json!(line));
        client.call("session/close", json!({ "sessionId": session }));
        let left: Vec<Value> = std::iter::from_fn(|| client.next(Duration::from_millis(100))).collect();
        let again = left.iter().find(|said| said["method"] == "command/exited" && said["params"]["commandId"] != "c26");
        assert!(again.is_none(), "{again:?} ended before");
        drop(server);
        gone_soon(&marker);
    }
}

for_each_user! {
    fn garbage_is_answered_and_forgotten(scene) {
        if unavailable("garbage on the socket", &["python3"]) {
            return;
        }
        let server = Server::start(&scene, &[]);
        let mut client = server.client(&scene, json!({}));
        let session = client.session(&scene, "high");
        let said = scene.bare(&["python3", "-c", GARBAGE, server.socket.to_str().unwrap()]).success();
        assert!(said.stdout.contains("jsonrpc"), "{said}");
        works(&mut client, &session, "after garbage");
        let peak = memory(&server, "VmHWM");
        assert!(peak < 64 << 10, "the server took {peak} KiB");
    }
}

#[test]
fn garbage_and_slow_readers_disturb_nobody_else() {
    let scene = Scene::new(User::Caller);
    settings(&scene, 300, false);
    let server = Server::start(&scene, &[]);
    let mut good = server.client(&scene, json!({}));
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
fn half_a_frame_costs_little_however_many_send_one() {
    let scene = Scene::new(User::Caller);
    let server = Server::start(&scene, &[]);
    let mut client = server.client(&scene, json!({}));
    let session = client.session(&scene, "high");
    let hello = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":1}}\n";
    let halves: Vec<UnixStream> = (0..24)
        .map(|number| {
            let mut stream = UnixStream::connect(&server.socket).unwrap();
            stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
            if number % 2 == 0 {
                stream.write_all(hello).unwrap();
            }
            let _ = stream.write_all(&vec![b'x'; 7 << 20]);
            stream
        })
        .collect();
    works(&mut client, &session, "beside half frames");
    let now = memory(&server, "VmRSS");
    assert!(now < 80 << 10, "{} half frames cost {now} KiB", halves.len());
}

#[test]
fn answers_that_nobody_reads_cost_little() {
    let scene = Scene::new(User::Caller);
    let server = Server::start(&scene, &[]);
    let mut client = server.client(&scene, json!({}));
    let session = client.session(&scene, "high");
    fs::write(scene.workspace.join("large"), vec![b'x'; 2 << 20]).unwrap();
    let mut greedy = server.client(&scene, json!({}));
    let own = greedy.session(&scene, "high");
    greedy.stand_still();
    for _ in 0..48 {
        greedy.request("file/read", json!({ "sessionId": own, "path": "large", "limit": 2 << 20 }));
    }
    let until = Instant::now() + Duration::from_secs(30);
    while !processes_that_mention(&format!("--session={own}")).is_empty() && Instant::now() < until {
        works(&mut client, &session, "beside answers that nobody reads");
    }
    let peak = memory(&server, "VmHWM");
    assert!(peak < 80 << 10, "48 answers of 2 MiB cost {peak} KiB");
}

#[test]
fn odd_ids_and_deep_or_wide_frames_are_answered() {
    let scene = Scene::new(User::Caller);
    let mut client = Client::on_pipes(&scene);
    let say = |client: &mut Client, text: &str| {
        client.raw(format!("{text}\n").as_bytes());
        client.until("an error", |message| message.get("error").is_some())
    };
    let unknown = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"no/such"}}"#);
    let long = format!("\"{}\"", "i".repeat(1 << 20));
    for id in ["-0.5", "18446744073709551615", "1e300", r#""\u0000\ud83d\ude00""#, &long] {
        let answer = say(&mut client, &unknown(id));
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(-32601), &serde_json::from_str(id).unwrap()));
    }
    // The same id twice: two answers.
    client.raw(format!("{0}\n{0}\n", unknown("7")).as_bytes());
    for _ in 0..2 {
        client.until("an answer", |message| message["id"] == 7 && message.get("error").is_some());
    }
    let deep = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{}{}}}"#, "[".repeat(5000), "]".repeat(5000));
    assert_eq!(say(&mut client, &deep)["error"]["code"], -32700);
    let wide = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":[{}0]}}"#, "0,".repeat(1 << 20));
    assert_eq!(say(&mut client, &wide)["error"]["code"], -32600);
    assert_eq!(say(&mut client, &unknown("1e999"))["error"]["code"], -32700);
    for response in [r#"{"jsonrpc":"2.0","id":7,"result":{}}"#, r#"{"jsonrpc":"2.0","id":"a/b","error":1}"#] {
        client.raw(format!("{response}\n").as_bytes());
        client.told("question/rejected");
    }
    let session = client.session(&scene, "high");
    works(&mut client, &session, "after odd frames");
}

#[test]
fn hundreds_of_questions_are_answered_or_die_with_their_session() {
    const QUESTIONS: usize = 200;
    let scene = Scene::new(User::Caller);
    let server = Server::start(&scene, &[]);
    let (mut owner, mut other) = (server.client(&scene, json!({})), server.client(&scene, json!({})));
    let (session, beside) = (owner.session(&scene, "high"), other.session(&scene, "high"));
    let marker = format!("9{}.5", std::process::id());
    let out = scene.outside.display();
    let line = format!("for i in $(seq {QUESTIONS}); do echo > {out}/$i & done; wait; sleep {marker}");
    let command = owner.run(&session, json!(line));
    let questions: Vec<Value> = (0..QUESTIONS).map(|_| owner.told("session/request_permission")).collect();
    let answer =
        |question: &Value| json!({ "sessionId": session, "questionId": question["questionId"], "optionId": "once" });
    assert_eq!(other.fails("question/answer", answer(&questions[0])), -32004);
    other.respond(&questions[0], "once");
    other.told("question/rejected");
    works(&mut other, &beside, "beside many questions");
    for question in &questions[..QUESTIONS / 2] {
        owner.respond(question, "once");
    }
    for _ in 0..QUESTIONS / 2 {
        assert_eq!(owner.told("question/resolved")["outcome"], "answered");
    }
    owner.call("session/close", json!({ "sessionId": session }));
    assert_eq!(owner.fails("question/answer", answer(&questions[QUESTIONS - 1])), -32001);
    gone_soon(&marker);
    let written = fs::read_dir(&scene.outside).unwrap().count();
    assert_eq!(written, QUESTIONS / 2, "{command} wrote what nobody allowed");
}

for_each_user! {
    fn hundreds_of_answers_at_once_reach_their_processes(scene) {
        const QUESTIONS: usize = 200;
        settings(&scene, 1000, false);
        let server = Server::start(&scene, &[]);
        let mut client = server.client(&scene, json!({}));
        let session = client.session(&scene, "high");
        let line = format!("for i in $(seq {QUESTIONS}); do echo 2>/dev/null > {}/$i & done; wait", scene.outside.display());
        let command = client.run(&session, json!(line));
        let questions: Vec<Value> = (0..QUESTIONS).map(|_| client.told("session/request_permission")).collect();
        // In one write, as fast as a socket can carry them.
        let answers = questions.iter().map(|question| {
            let id = format!("{session}/{}", question["questionId"].as_str().unwrap());
            let result = json!({ "outcome": { "outcome": "selected", "optionId": "once" } });
            format!("{}\n", json!({ "jsonrpc": "2.0", "id": id, "result": result }))
        });
        client.raw(answers.collect::<String>().as_bytes());
        assert_eq!(client.finish(&command).1["status"], 0);
        assert_eq!(fs::read_dir(&scene.outside).unwrap().count(), QUESTIONS);

        // Nobody comes back: all of them are denied, and so is what is asked later, which nobody is waited for again.
        let marker = format!("6{}.5", std::process::id());
        let other = scene.beside("other");
        let ask = format!("for i in $(seq {QUESTIONS}); do cat ~/.ssh/id_x $i-{marker} & echo > {}/$i & done; wait", other.display());
        let later = "for i in $(seq 20); do cat ~/.ssh/id_x; done; exec sleep 0";
        scene.make_dir(&other);
        client.run(&session, json!(format!("{ask}; {later}")));
        for _ in 0..QUESTIONS {
            client.told("session/request_permission");
        }
        drop(client);
        gone_soon(&marker);
        assert_eq!(fs::read_dir(&other).unwrap().count(), 0);
        assert!(processes_that_mention(&session).is_empty(), "it goes on without anybody");
    }
}

#[test]
fn input_that_is_not_read_costs_little() {
    let scene = Scene::new(User::Caller);
    let server = Server::start(&scene, &[]);
    let mut client = server.client(&scene, json!({}));
    let session = client.session(&scene, "high");
    let text = "x".repeat(1 << 20);
    for _ in 0..8 {
        let run = json!({ "sessionId": session, "command": "exec sleep 1000", "input": true });
        let command = client.call("command/run", run)["commandId"].clone();
        let input = json!({ "sessionId": session, "commandId": command, "text": text });
        let refused = (0..20).find_map(|_| client.request_or_error("command/input", input.clone()).err());
        assert_eq!(refused.unwrap()["code"], -32005);
    }
    let now = memory(&server, "VmRSS");
    assert!(now < 64 << 10, "input that nobody reads costs {now} KiB");
}
