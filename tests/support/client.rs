//! A client of `askance serve`: over pipes or a socket. Every message that it gets, and every request
//! that it means well, is held against the published schema.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::command::Launch;
use super::scene::{Scene, User};

/// How long anything expected may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What `askance serve --schema` prints.
pub fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let printed = Scene::new(User::Caller).cli(&["serve", "--schema"]).success();
        serde_json::from_str(&printed.stdout).unwrap()
    })
}

/// Holds a value against the schema that these keys lead to.
pub fn conforms(keys: &[&str], value: &Value) {
    let found = keys.iter().fold(schema(), |schema, key| &schema[*key]);
    assert!(found.is_object() || found.is_boolean(), "the schema says nothing of {keys:?}");
    let mut whole = json!({ "$defs": schema()["$defs"] });
    match found.as_object() {
        Some(found) => whole.as_object_mut().unwrap().extend(found.clone()),
        None => return,
    }
    let errors: Vec<_> =
        jsonschema::validator_for(&whole).unwrap().iter_errors(value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{keys:?}: {errors:?}\n{value:#}");
}

/// One connection.
pub struct Client {
    writer: Option<Box<dyn Write + Send>>,
    lines: Receiver<String>,
    /// What came while something else was waited for.
    early: VecDeque<Value>,
    sent: Vec<(u64, String)>,
    next: u64,
    pub child: Option<Child>,
    stream: Option<UnixStream>,
    /// Nothing more is read.
    still: Arc<AtomicBool>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.writer = None;
        self.still.store(false, Ordering::Relaxed);
        if let Some(stream) = &self.stream {
            // The thread that reads holds it too. One that the server closed already is as good.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        if let Some(child) = &mut self.child {
            let until = Instant::now() + Duration::from_secs(10);
            while child.try_wait().unwrap().is_none() {
                if Instant::now() > until {
                    let _ = child.kill();
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

impl Client {
    /// A server of its own on pipes; not introduced yet.
    pub fn start(scene: &Scene, flags: &[&str]) -> Self {
        let mut words = vec!["serve".to_owned(), "--stdio".to_owned()];
        words.extend(flags.iter().map(ToString::to_string));
        Self::through(Launch::new(scene, Some(words)).command(&[], None))
    }

    /// The same, introduced.
    pub fn on_pipes(scene: &Scene) -> Self {
        let mut client = Self::start(scene, &[]);
        client.initialize(json!({}));
        client
    }

    /// A connection to a server's socket; not introduced yet.
    pub fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        let mut client = Self::over(stream.try_clone().unwrap(), stream.try_clone().unwrap());
        client.stream = Some(stream);
        client
    }

    /// What a program that carries bytes leads to.
    pub fn through(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut client = Self::over(stdout, stdin);
        client.child = Some(child);
        client
    }

    fn over(read: impl Read + Send + 'static, write: impl Write + Send + 'static) -> Self {
        let (sender, lines) = channel();
        let still = Arc::new(AtomicBool::new(false));
        let stands = Arc::clone(&still);
        std::thread::spawn(move || {
            for line in BufReader::new(read).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
                while stands.load(Ordering::Relaxed) {
                    std::thread::park_timeout(Duration::from_millis(20));
                }
            }
        });
        let writer: Option<Box<dyn Write + Send>> = Some(Box::new(write));
        Self { writer, lines, early: VecDeque::new(), sent: Vec::new(), next: 1, child: None, stream: None, still }
    }

    pub fn initialize(&mut self, more: Value) -> Value {
        let mut params = json!({ "protocolVersion": 1 });
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.call("initialize", params)
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        let writer = self.writer.as_mut().unwrap();
        writer.write_all(bytes).unwrap();
        writer.flush().unwrap();
    }

    pub fn send(&mut self, message: &Value) {
        self.raw(format!("{message}\n").as_bytes());
    }

    /// Sends a request and gives its id.
    pub fn request(&mut self, method: &str, params: Value) -> u64 {
        let id = self.next;
        self.next += 1;
        self.sent.push((id, method.to_owned()));
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    /// Sends a request that is well-formed and waits for its result.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        conforms(&["methods", method, "params"], &params);
        let answer = self.answer(method, params);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Sends a request and waits for the code of its error.
    pub fn fails(&mut self, method: &str, params: Value) -> i64 {
        let answer = self.answer(method, params);
        answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("{method} succeeded: {answer}"))
    }

    /// Sends a request and waits for its result or its error.
    pub fn request_or_error(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        let answer = self.answer(method, params);
        match answer.get("error") {
            Some(error) => Err(error.clone()),
            None => Ok(answer["result"].clone()),
        }
    }

    fn answer(&mut self, method: &str, params: Value) -> Value {
        let id = self.request(method, params);
        self.until(&format!("the answer to {method}"), |message| message["id"] == id && message.get("method").is_none())
    }

    /// A session in the scene's workspace.
    pub fn session(&mut self, scene: &Scene, level: &str) -> String {
        let made = self.call("session/new", json!({ "workspace": scene.workspace, "level": level }));
        made["sessionId"].as_str().unwrap().to_owned()
    }

    /// Takes a session up again whose client has gone.
    pub fn load(&mut self, session: &str) -> Value {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            // The server may still be about to notice that the other end is gone.
            match self.request_or_error("session/load", json!({ "sessionId": session })) {
                Ok(loaded) => return loaded,
                Err(_) => assert!(Instant::now() < until, "the session is not given back"),
            }
        }
    }

    /// Starts a command and gives its id.
    pub fn run(&mut self, session: &str, command: Value) -> String {
        let made = self.call("command/run", json!({ "sessionId": session, "command": command }));
        made["commandId"].as_str().unwrap().to_owned()
    }

    /// The parameters of the next notification or request of this method.
    pub fn told(&mut self, method: &str) -> Value {
        self.until(method, |message| message["method"] == method)["params"].clone()
    }

    /// The parameters of this method's next message about this command.
    pub fn told_of(&mut self, command: &str, method: &str) -> Value {
        let is_it = |message: &Value| message["method"] == method && message["params"]["commandId"] == command;
        self.until(&format!("{method} of {command}"), is_it)["params"].clone()
    }

    /// What the command wrote until it ended, and how it ended.
    pub fn finish(&mut self, command: &str) -> (String, Value) {
        let exited = self.told_of(command, "command/exited");
        let output =
            |message: &Value| message["method"] == "command/output" && message["params"]["commandId"] == command;
        let text = self.early.iter().filter(|message| output(message));
        let text = text.filter_map(|message| message["params"]["text"].as_str()).collect();
        self.early.retain(|message| !output(message));
        (text, exited)
    }

    /// Answers a `session/request_permission` as the protocol says.
    pub fn respond(&mut self, question: &Value, option: &str) {
        let id = format!("{}/{}", question["sessionId"].as_str().unwrap(), question["questionId"].as_str().unwrap());
        let result = json!({ "outcome": { "outcome": "selected", "optionId": option } });
        conforms(&["serverRequests", "session/request_permission", "result"], &result);
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "result": result }));
    }

    /// The first message that fits; the others wait.
    pub fn until(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.early.iter().position(&fits) {
            return self.early.remove(at).unwrap();
        }
        let until = Instant::now() + PATIENCE;
        loop {
            match self.next(until.saturating_duration_since(Instant::now())) {
                Some(message) if fits(&message) => return message,
                Some(message) => self.early.push_back(message),
                None => panic!("no {what} came; before it: {:#?}", self.early),
            }
        }
    }

    /// The next message, or nothing in this time or for good.
    pub fn next(&mut self, patience: Duration) -> Option<Value> {
        match self.lines.recv_timeout(patience) {
            Ok(line) => {
                let message = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                self.check(&message);
                Some(message)
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }

    /// Is the connection closed by the server?
    pub fn is_closed(&mut self) -> bool {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Err(RecvTimeoutError::Disconnected) = self.lines.recv_timeout(Duration::from_millis(50)) {
                return true;
            }
        }
        false
    }

    /// Reads no more; what is sent still goes out.
    pub fn stand_still(&mut self) {
        self.still.store(true, Ordering::Relaxed);
    }

    /// Says no more; what comes is still read.
    pub fn hang_up(&mut self) {
        self.writer = None;
    }

    fn check(&self, message: &Value) {
        assert_eq!(message["jsonrpc"], "2.0", "{message}");
        match message["method"].as_str() {
            Some(method) if message.get("id").is_some() => {
                conforms(&["serverRequests", method, "params"], &message["params"]);
            }
            Some(method) => conforms(&["notifications", method, "params"], &message["params"]),
            None if message.get("error").is_some() => {
                let code = message["error"]["code"].to_string();
                assert!(schema()["errors"].get(&code).is_some(), "{code} is not published");
            }
            None => {
                let (_, method) = self.sent.iter().find(|(id, _)| message["id"] == *id).expect("an answer to nothing");
                conforms(&["methods", method, "result"], &message["result"]);
            }
        }
    }
}
