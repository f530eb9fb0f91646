//! `askance serve`: commands on a pseudo-terminal that the client shows.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::client::Client;
use support::{Scene, User, unavailable};

/// A command on a terminal, and everything that it has shown.
struct Shown<'a> {
    client: &'a mut Client,
    session: String,
    command: String,
    bytes: Vec<u8>,
    from: usize,
}

impl<'a> Shown<'a> {
    fn start(client: &'a mut Client, session: &str, command: &Value, terminal: &Value) -> Self {
        let run = json!({ "sessionId": session, "command": command, "terminal": terminal });
        let made = client.call("command/run", run);
        let command = made["commandId"].as_str().unwrap().to_owned();
        Self { client, session: session.to_owned(), command, bytes: Vec::new(), from: 0 }
    }

    fn call(&mut self, method: &str, more: &Value) {
        let mut params = json!({ "sessionId": self.session, "commandId": self.command });
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.client.call(method, params);
    }

    fn keys(&mut self, text: &str) {
        self.call("command/input", &json!({ "text": text }));
    }

    /// Takes one message in; gives the end where it is that.
    fn take(&mut self) -> Option<Value> {
        let said = self.client.until(&format!("output or the end after {}", self.text()), |message| {
            matches!(message["method"].as_str(), Some("command/output" | "command/exited"))
                && message["params"]["commandId"] == self.command
        });
        let params = &said["params"];
        if said["method"] == "command/exited" {
            return Some(params.clone());
        }
        assert_eq!(params["stream"], "stdout", "a terminal is one stream");
        match params["text"].as_str() {
            Some(text) => self.bytes.extend_from_slice(text.as_bytes()),
            None => self.bytes.extend(STANDARD.decode(params["base64"].as_str().unwrap()).unwrap()),
        }
        None
    }

    /// Waits until this text appears after what was waited for before.
    fn until(&mut self, text: &str) {
        let begun = Instant::now();
        loop {
            let found = self.bytes[self.from..].windows(text.len()).position(|part| part == text.as_bytes());
            if let Some(at) = found {
                self.from += at + text.len();
                return;
            }
            let ended = self.take();
            assert!(ended.is_none() && begun.elapsed() < Duration::from_secs(30), "no {text:?} in {}", self.text());
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    fn exits(mut self, status: i64) -> String {
        loop {
            if let Some(exited) = self.take() {
                assert_eq!(exited["status"], status, "{exited} after {}", self.text());
                return self.text();
            }
        }
    }
}

fn window() -> Value {
    json!({ "rows": 24, "columns": 80 })
}

for_each_user! {
    fn an_interactive_shell_has_a_terminal_with_size_jobs_and_signals(scene) {
        let mut client = Client::on_pipes(&scene);
        let session = client.session(&scene, "high");
        let shell = json!(["env", "PS1=ready> ", "bash", "--norc", "--noprofile", "-i"]);
        let mut shown = Shown::start(&mut client, &session, &shell, &window());
        shown.until("ready> ");
        shown.keys("stty size; tty >/dev/null && echo a-$TERM-$(test -t 2 && echo tty)\n");
        shown.until("24 80\r\n");
        shown.until("a-xterm-256color-tty\r\n");
        shown.call("command/resize", &json!({ "rows": 50, "columns": 132 }));
        shown.keys("stty size; echo > /dev/tty in-$((20+3))\n");
        shown.until("50 132\r\n");
        shown.until("in-23");
        // What is typed reaches the foreground job, the keys that make signals too.
        shown.keys("trap 'echo winch-$((1+1))' WINCH; sleep 100; echo over-$((3+4))\n");
        shown.until("echo over-$((3+4))\r\n");
        std::thread::sleep(Duration::from_millis(200));
        shown.keys("\u{3}");
        shown.until("ready> ");
        shown.keys("sleep 100 & jobs; kill %1; echo job-$((5+5))\n");
        shown.until("Running");
        shown.until("job-10");
        shown.keys("sleep 100\n");
        shown.until("sleep 100\r\n");
        std::thread::sleep(Duration::from_millis(200));
        shown.keys("\u{1a}");
        shown.until("Stopped");
        shown.call("command/resize", &json!({ "rows": 10, "columns": 20 }));
        shown.until("winch-2");
        shown.keys("fg\n");
        shown.until("sleep 100\r\n");
        std::thread::sleep(Duration::from_millis(200));
        shown.keys("\u{3}");
        shown.until("ready> ");
        shown.keys("exit 7\n");
        shown.exits(7);
    }
}

#[test]
fn python_reads_evaluates_and_prints() {
    if unavailable("an interactive Python", &["python3"]) {
        return;
    }
    let scene = Scene::new(User::Caller);
    let mut client = Client::on_pipes(&scene);
    let session = client.session(&scene, "high");
    let python = json!(["env", "PYTHON_BASIC_REPL=1", "python3", "-q"]);
    let mut shown = Shown::start(&mut client, &session, &python, &json!({ "rows": 5, "columns": 40, "term": "dumb" }));
    shown.until(">>> ");
    shown.keys("import os; 6 * 7, os.get_terminal_size().columns, os.environ['TERM']\n");
    shown.until("(42, 40, 'dumb')");
    shown.keys("open(os.path.expanduser('~/.ssh/id_x')).read()\n");
    let question = shown.client.told("session/request_permission");
    shown.client.respond(&question, "once");
    shown.until("TOP-SECRET");
    // The end of the input is a key as well.
    shown.until(">>> ");
    shown.call("command/input", &json!({ "end": true }));
    shown.exits(0);
}

#[test]
fn bytes_pass_as_they_are_and_a_full_terminal_waits() {
    let scene = Scene::new(User::Caller);
    let mut client = Client::on_pipes(&scene);
    let session = client.session(&scene, "high");
    let line = json!("stty raw -echo; printf 'ready'; head -c 4 | od -An -tx1; printf '\\377\\000\\033[31m'");
    let mut shown = Shown::start(&mut client, &session, &line, &window());
    shown.until("ready");
    shown.call("command/input", &json!({ "base64": STANDARD.encode(b"\x00\x03\xff\x1b") }));
    shown.until("00 03 ff 1b");
    shown.exits(0);
    // Bytes that are no text are not lost, at the very end neither.
    let line = json!("stty raw; head -c 3000000 /dev/zero; printf '\\377end'");
    let shown = Shown::start(&mut client, &session, &line, &window());
    let ended = shown.exits(0);
    assert_eq!((ended.len(), ended.ends_with("end")), (3_000_000 + "\u{fffd}end".len(), true));
}

#[test]
fn signals_the_end_and_bad_sizes() {
    let scene = Scene::new(User::Caller);
    let mut client = Client::on_pipes(&scene);
    let session = client.session(&scene, "high");
    for (rows, columns) in [(0, 80), (24, 0), (70_000, 80)] {
        let terminal = json!({ "rows": rows, "columns": columns });
        let run = json!({ "sessionId": session, "command": "true", "terminal": terminal });
        assert_eq!(client.fails("command/run", run), -32602, "{terminal}");
    }
    let term = json!({ "rows": 1, "columns": 1, "term": "a=\n" });
    assert_eq!(
        client.fails("command/run", json!({ "sessionId": session, "command": "true", "terminal": term })),
        -32602
    );
    let plain = client.run(&session, json!("echo ready; read x"));
    let resize = json!({ "sessionId": session, "commandId": plain, "rows": 1, "columns": 1 });
    let code = client.fails("command/resize", resize);
    assert!([-32602, -32002].contains(&code), "{code}: it has no terminal, or is over");

    let line = json!("trap 'echo caught-$((1+1)); exit 3' TERM; echo ready; while :; do sleep 0.01; done");
    let mut shown = Shown::start(&mut client, &session, &line, &window());
    shown.until("ready");
    shown.call("command/signal", &json!({ "signal": "TERM" }));
    assert!(shown.exits(3).contains("caught-2"));

    // A command that is stopped by a key goes on with a signal.
    let mut shown = Shown::start(&mut client, &session, &json!(["cat"]), &window());
    shown.keys("before\n");
    shown.until("before\r\nbefore\r\n");
    shown.keys("\u{1a}");
    std::thread::sleep(Duration::from_millis(300));
    shown.keys("after\n");
    shown.call("command/signal", &json!({ "signal": "CONT" }));
    shown.until("after\r\nafter\r\n");
    shown.call("command/input", &json!({ "end": true }));
    shown.exits(0);

    // A command that reads nothing holds nobody up: keys are refused, and it is still ended.
    let mut shown =
        Shown::start(&mut client, &session, &json!("stty raw -echo; echo ready; exec sleep 1000"), &window());
    shown.until("ready");
    let many = json!({ "sessionId": session, "commandId": shown.command, "text": "x".repeat(1 << 20) });
    let refused = (0..100).any(|_| shown.client.request_or_error("command/input", many.clone()).is_err());
    assert!(refused, "input without an end is taken");
    shown.call("command/cancel", &json!({ "graceMs": 20_000 }));
    shown.exits(143);
}

#[test]
fn output_on_a_terminal_counts_for_its_limit() {
    let scene = Scene::new(User::Caller);
    scene.user_settings(r#"{ "sandbox": { "limits": { "outputBytes": 100000 } } }"#);
    let mut client = Client::on_pipes(&scene);
    let session = client.session(&scene, "high");
    let shown = Shown::start(&mut client, &session, &json!("yes"), &window());
    assert_eq!(shown.exits(137).len(), 100_000);
}

#[test]
fn exec_takes_a_terminal_of_its_caller_and_nothing_else() {
    let scene = Scene::new(User::Caller);
    let refused = |flags: &[&str], why: &str| {
        let finished = scene.cli(&[&["exec", "--auto", "high"], flags, &["-c", "true"]].concat());
        assert!(finished.stderr.contains(why) && finished.code() != 0, "{flags:?}: {finished}");
    };
    refused(&["-o", "json", "--terminal", "fd=2"], "above 2");
    refused(&["--terminal", "fd=9"], "--output");
    refused(&["-o", "json", "--terminal", "fd=9"], "descriptor 9");
}
