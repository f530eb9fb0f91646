//! `askance exec`: headless commands, what is printed about them, and questions to another program.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use support::network::wait_until;
use support::{Finished, Launch, Scene, User, build_attack, race_limit, unavailable};

fn exec<'a>(scene: &'a Scene, flags: &[&str], line: &str) -> Launch<'a> {
    Launch::new(scene, Some(vec!["exec".into()])).flags(flags).flags(&["-c", line])
}

fn finished(scene: &Scene, flags: &[&str], line: &str) -> Finished {
    exec(scene, flags, line).finish(&[])
}

fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// A run whose events are read as they come, with descriptor 3 open to a FIFO.
struct Live {
    child: Child,
    events: BufReader<ChildStdout>,
    answers: Option<File>,
}

impl Live {
    fn start(scene: &Scene, flags: &[&str], line: &str) -> Self {
        let fifo = scene.beside("answers");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
        scene.give(&fifo);
        let launch = exec(scene, &["-o", "stream-json", "--prompt", "fd=3"], line).flags(flags).env("FIFO", &fifo);
        let mut command: Command = launch.wrapped("exec 3<\"$FIFO\"; exec \"$@\"").command(&[], None);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let answers = File::options().write(true).custom_flags(libc::O_CLOEXEC).open(&fifo).unwrap();
        let events = BufReader::new(child.stdout.take().unwrap());
        Self { child, events, answers: Some(answers) }
    }

    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.events.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    fn until(&mut self, kind: &str) -> Value {
        loop {
            let event = self.next();
            if event["type"] == kind {
                return event;
            }
            assert_ne!(event["type"], "exited", "{event}");
        }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.answers.as_mut().unwrap(), "{line}").unwrap();
    }

    fn answer(&mut self, question: &Value, option: &str) {
        self.say(&json!({ "questionId": question["questionId"], "optionId": option }).to_string());
    }

    fn exits(mut self, status: i64) -> Value {
        let exited = self.until("exited");
        assert_eq!(exited["status"], status, "{exited}");
        assert_eq!(i64::from(self.child.wait().unwrap().code().unwrap()), status);
        let mut rest = String::new();
        assert_eq!(self.events.read_line(&mut rest).unwrap(), 0, "something follows the end: {rest}");
        exited
    }
}

for_each_user! {
    fn only_reading_runs_unless_a_level_is_given(scene) {
        finished(&scene, &[], "ls / | head -1; exit 3").exits(3);
        let refused = finished(&scene, &[], "touch x").exits(126).complains("--auto medium");
        assert_eq!(refused.stderr.lines().count(), 1, "{refused}");
        assert!(!scene.workspace.join("x").exists());
        finished(&scene, &["--auto", "medium"], "touch x").success();
        assert!(scene.workspace.join("x").exists());
    }
}

for_each_user! {
    fn nobody_is_asked_and_nothing_hangs(scene) {
        let line = "cat ~/.ssh/id_x; echo x > /srv/askance-x; rm -rf ~";
        finished(&scene, &["--auto", "high"], line).exits(126).complains("removes the home directory");
        let denied = finished(&scene, &["--auto", "high"], "cat ~/.ssh/id_x").fails().complains("askance allow read");
        assert!(!denied.stdout.contains("TOP-SECRET"), "{denied}");
    }
}

#[test]
fn the_line_is_read_by_bash_and_standard_input_is_the_commands() {
    let scene = Scene::new(User::Caller);
    scene.file(&scene.workspace.join("in"), "typed\n");
    let stdin = File::open(scene.workspace.join("in")).unwrap();
    let said = exec(&scene, &["--auto", "high"], "x=(a b); read y; echo ${x[1]} $y").stdin(stdin).finish(&[]);
    said.success().says("b typed\n");
}

for_each_user! {
    fn json_is_one_object_with_output_and_report(scene) {
        let said = finished(&scene, &["--auto", "high", "-o", "json"], "echo out; printf '\\377' >&2; cat ~/.ssh/id_x; exit 4");
        let told: Value = serde_json::from_str(&said.exits(4).stdout).unwrap();
        assert_eq!((&told["status"], &told["stdout"]["text"]), (&json!(4), &json!("out\n")));
        assert_eq!(told["stderr"]["base64"].as_str().map(|text| text.starts_with("/2")), Some(true), "{told}");
        assert_eq!(told["report"]["exit"], json!({ "code": 4 }));
        assert_eq!(told["report"]["denied"][0]["target"], scene.secret().to_str().unwrap());
        let refused: Value = serde_json::from_str(&finished(&scene, &["-o", "json"], "touch x").exits(126).stdout).unwrap();
        assert!(refused["refused"]["hint"].as_str().unwrap().contains("--auto medium"), "{refused}");
        assert!(refused["report"].is_null());
    }
}

for_each_user! {
    fn events_begin_with_started_and_end_with_exited(scene) {
        let line = "echo out; echo err >&2; echo x > made; kill -TERM $$";
        let said = finished(&scene, &["--auto", "high", "-o", "stream-json"], line).exits(143);
        let told = events(&said.stdout);
        assert_eq!(told[0]["type"], "started");
        assert_eq!((&told[0]["command"], &told[0]["decision"]["verdict"]), (&json!([line]), &json!("allow")));
        let of = |stream: &str| told.iter().filter(|event| event["stream"] == stream).map(|event| event["text"].as_str().unwrap()).collect::<String>();
        assert_eq!((of("stdout"), of("stderr")), ("out\n".to_owned(), "err\n".to_owned()));
        assert!(told.iter().any(|event| event["type"] == "file_changed" && event["change"] == "created"), "{said}");
        let last = told.last().unwrap();
        assert_eq!((&last["type"], &last["status"], &last["exit"]), (&json!("exited"), &json!(143), &json!({ "signal": 15 })));
    }
}

#[test]
fn the_stream_ends_with_exited_also_where_nothing_runs() {
    let scene = Scene::new(User::Caller);
    let stream = ["-o", "stream-json"];
    let told = |flags: &[&str], line| events(&finished(&scene, &[&stream[..], flags].concat(), line).stdout);
    let refused = told(&[], "touch x");
    assert_eq!((refused.len(), &refused[0]["status"]), (1, &json!(126)), "{refused:?}");
    assert!(refused[0]["refused"]["reason"].as_str().unwrap().contains("risk medium"), "{refused:?}");
    let report = scene.workspace.join("nowhere/report");
    for flags in [
        ["--cwd", "/nowhere"],
        ["--workspace", "/nowhere"],
        ["--profile", "nowhere"],
        ["--report", report.to_str().unwrap()],
    ] {
        let failed = told(&flags, "ls");
        assert_eq!((failed.len(), &failed[0]["status"]), (1, &json!(125)), "{flags:?}: {failed:?}");
        assert!(failed[0]["error"].as_str().unwrap().contains("nowhere"), "{failed:?}");
        let one = finished(&scene, &[&flags[..], &["-o", "json"]].concat(), "ls").exits(125);
        let one: Value = serde_json::from_str(&one.stdout).unwrap();
        assert_eq!((&one["status"], &one["error"]), (&json!(125), &failed[0]["error"]));
    }
    scene.user_settings("{ \"sandbox\": 1 }");
    let failed = told(&[], "ls");
    assert_eq!((failed.len(), &failed[0]["status"]), (1, &json!(125)), "{failed:?}");
    assert!(failed[0]["error"].as_str().unwrap().contains("settings.json"), "{failed:?}");
}

for_each_user! {
    fn another_program_answers_by_id(scene) {
        let out = scene.outside.join("f");
        let mut live = Live::start(&scene, &["--auto", "high"], &format!("echo hi > {0}; cat {0}", out.display()));
        let question = live.until("question");
        assert_eq!(question["details"], json!({
            "kind": "sandbox_violation", "operationType": "write", "target": out.to_str().unwrap(),
            "violationType": "not_ours", "violationReason": "the entry is older than this run", "isOrgDeny": false,
        }));
        assert!(question["process"]["program"].as_str().unwrap().contains("bash"), "{question}");
        assert!(question["options"].as_array().unwrap().contains(&json!({ "optionId": "once", "name": "Allow once", "kind": "allow_once" })));
        live.say("{");
        assert!(live.until("answer_rejected")["reason"].as_str().unwrap().starts_with("not an answer"));
        live.answer(&question, "forever");
        assert!(live.until("answer_rejected")["reason"].as_str().unwrap().contains("was not offered"));
        live.answer(&json!({ "questionId": "q7" }), "once");
        assert!(live.until("answer_rejected")["reason"].as_str().unwrap().contains("no such question"));
        live.say(&"x".repeat(100_000));
        assert!(live.until("answer_rejected")["reason"].as_str().unwrap().contains("longer than"));
        live.answer(&question, "once");
        assert_eq!(live.until("question_resolved")["optionId"], "once");
        assert_eq!(live.until("output")["text"], "hi\n");
        live.answer(&question, "once");
        live.exits(0);
    }
}

for_each_user! {
    fn the_start_itself_is_asked_about(scene) {
        let mut live = Live::start(&scene, &[], "touch x");
        let question = live.next();
        assert_eq!((&question["type"], &question["details"]["kind"]), (&json!("question"), &json!("exec")));
        live.answer(&question, "once");
        live.exits(0);
        assert!(scene.workspace.join("x").exists());
    }
}

/// Its descendants: what was forked before the start was certain.
fn beneath(pid: i32) -> Vec<i32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().map(|child| child.parse().unwrap());
    children.flat_map(|child| [vec![child], beneath(child)].concat()).collect()
}

/// A start that is asked about, its question, its monitor and the command that is to be.
fn asked_about(scene: &Scene) -> (Live, Value, [i32; 2]) {
    let mut live = Live::start(scene, &[], "touch x");
    let question = live.until("question");
    let pid = i32::try_from(live.child.id()).unwrap();
    wait_until("the command", Duration::from_secs(10), || beneath(pid).len() == 2);
    (live, question, beneath(pid).try_into().unwrap())
}

fn are_gone(processes: &[i32]) -> bool {
    let lives =
        |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    !processes.iter().any(lives)
}

for_each_user! {
    /// A monitor and a command that is to be wait for the answer, and end without it.
    fn row_25_killed_or_refused_while_the_start_is_asked_about_it_leaves_nobody(scene) {
        for killed in [true, false] {
            let own = Scene::new(scene.user);
            let (mut live, question, processes) = asked_about(&own);
            if killed {
                live.child.kill().unwrap();
                live.child.wait().unwrap();
            } else {
                live.answer(&question, "deny");
                live.exits(126);
                assert!(are_gone(&processes), "{processes:?}");
            }
            wait_until("their end", Duration::from_secs(10), || are_gone(&processes));
            assert!(!own.workspace.join("x").exists());
        }
    }
}

for_each_user! {
    /// Between its fork and its program a command can be stopped or killed by whoever may: that is no program that ran.
    fn what_happens_to_a_command_before_it_may_start_is_not_what_its_program_did(scene) {
        use nix::sys::signal::{Signal, kill};
        for killed in [false, true] {
            let own = Scene::new(scene.user);
            let (mut live, question, [_, command]) = asked_about(&own);
            let command = nix::unistd::Pid::from_raw(command);
            if killed {
                kill(command, Signal::SIGKILL).unwrap();
                wait_until("its end", Duration::from_secs(10), || are_gone(&[command.as_raw()]));
            } else {
                kill(command, Signal::SIGSTOP).unwrap();
                kill(command, Signal::SIGCONT).unwrap();
            }
            live.answer(&question, "once");
            let exited = live.exits(if killed { 125 } else { 0 });
            assert_eq!(own.workspace.join("x").exists(), !killed, "{exited}");
            assert_eq!(exited.to_string().contains("killed while it waited"), killed, "{exited}");
        }
    }
}

#[test]
fn what_is_typed_for_a_command_that_may_not_start_is_not_read() {
    let scene = Scene::new(User::Caller);
    let program = "
import os, pty, subprocess, sys
master, slave = pty.openpty()
os.close(slave)
words = [sys.argv[1], 'exec', '-o', 'json', '--terminal', f'fd={master}', '-c', sys.argv[2]]
done = subprocess.run(words, input=b'typed\\n', stdout=subprocess.PIPE, pass_fds=[master])
print(done.returncode, done.stdout.decode())";
    let askance = support::scene::binary(scene.user).to_str().unwrap();
    let refused = scene.bare(&["/usr/bin/python3", "-c", program, askance, "touch x"]);
    assert!(refused.stdout.starts_with("126 ") && !refused.stdout.contains("typed"), "{refused}");
    let read = scene.bare(&["/usr/bin/python3", "-c", program, askance, "head -n 1"]);
    assert!(read.stdout.starts_with("0 ") && read.stdout.contains("typed"), "{read}");
}

#[test]
fn a_caller_that_ignores_the_ends_of_its_children_is_told_of_the_commands() {
    let scene = Scene::new(User::Caller);
    let program =
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])";
    let askance = support::scene::binary(scene.user).to_str().unwrap();
    scene.bare(&["/usr/bin/python3", "-c", program, askance, "exec", "-c", "true & wait $!; exit 7"]).exits(7);
}

for_each_user! {
    fn whoever_goes_away_denies(scene) {
        let mut live = Live::start(&scene, &["--auto", "high"], "cat ~/.ssh/id_x; cat ~/.ssh/id_x; exit 5");
        live.until("question");
        live.answers = None;
        assert_eq!(live.until("question_resolved")["outcome"], "denied");
        let exited = live.exits(5);
        assert_eq!(exited["denied"][0]["operation"], "read", "{exited}");
        let other = Scene::new(scene.user);
        let mut live = Live::start(&other, &[], "touch x");
        live.until("question");
        live.answers = None;
        live.exits(126);
    }
}

for_each_user! {
    fn a_question_is_withdrawn_when_its_process_dies(scene) {
        let mut live = Live::start(&scene, &["--auto", "high"], "cat ~/.ssh/id_x; exit 6");
        let question = live.until("question");
        let pid = i32::try_from(question["process"]["pid"].as_i64().unwrap()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
        let resolved = live.until("question_resolved");
        assert_eq!((&resolved["questionId"], &resolved["outcome"]), (&question["questionId"], &json!("withdrawn")));
        live.exits(6);
    }
}

#[test]
fn a_run_ends_when_nobody_reads_its_events() {
    let scene = Scene::new(User::Caller);
    let mut command = exec(&scene, &["-o", "stream-json"], "sleep 1000").command(&[], None);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("started"), "{line}");
    assert_eq!(child.wait().unwrap().code(), Some(128 + libc::SIGPIPE));
}

#[test]
fn a_reader_that_stands_still_stops_the_command_and_loses_nothing() {
    let scene = Scene::new(User::Caller);
    let mut live = Live::start(&scene, &["--auto", "high"], "head -c 3000000 /dev/zero | tr '\\0' x");
    std::thread::sleep(std::time::Duration::from_millis(300));
    let mut size = 0;
    loop {
        let event = live.next();
        match event["type"].as_str() {
            Some("output") => size += event["text"].as_str().unwrap().len(),
            Some("exited") => break,
            _ => {}
        }
    }
    assert_eq!(size, 3_000_000);
}

#[test]
fn a_run_pays_nothing_for_the_servers() {
    if unavailable("the start of a run", &["strace"]) {
        return;
    }
    let scene = Scene::new(User::Caller);
    let trace = scene.beside("trace");
    let calls = "--trace=epoll_create1,epoll_create,eventfd2,timerfd_create";
    let askance = support::scene::binary(User::Caller).to_str().unwrap();
    let strace = ["strace", "-f", "--signal=none", "-o", trace.to_str().unwrap(), calls, askance];
    scene.bare(&[&strace[..], &["run", "--prompt", "deny", "--", "true"]].concat()).success();
    let made = std::fs::read_to_string(&trace).unwrap();
    assert!(made.contains("exited with 0") && !made.contains('='), "no runtime: {made}");
    // The very same trace sees a server's.
    scene.bare(&[&strace[..], &["serve", "--stdio"]].concat()).success();
    assert!(std::fs::read_to_string(&trace).unwrap().contains("epoll_create1"));
}

#[test]
fn usage_errors_say_what_to_do() {
    let scene = Scene::new(User::Caller);
    finished(&scene, &["--prompt", "fd=3"], "ls").exits(125).complains("needs -o stream-json");
    finished(&scene, &["--prompt", "fd=77", "-o", "stream-json"], "ls").exits(125).complains("descriptor 77");
    finished(&scene, &["--prompt", "fd=1"], "ls").exits(125).complains("fd=N");
    finished(&scene, &["--spec", "--skip-permissions-unsafe"], "ls").exits(125).complains("cannot be used with");
    Launch::new(&scene, Some(vec!["exec".into()])).finish(&[]).exits(125).complains("-c");
}

for_each_user! {
    fn skipping_approval_skips_neither_the_block_list_nor_the_sandbox(scene) {
        let skip = ["--skip-permissions-unsafe"];
        finished(&scene, &skip, "touch x; cat ~/.ssh/id_x").exits(1).complains("WARNING").complains("denied read");
        assert!(scene.workspace.join("x").exists());
        scene.user_settings(r#"{ "commandBlocklist": ["touch"], "commandDenylist": ["mv"] }"#);
        finished(&scene, &skip, "touch y").exits(126).complains("on the block list");
        finished(&scene, &skip, "t=touch; $t y").exits(126);
        assert!(!scene.workspace.join("y").exists());
        finished(&scene, &skip, "mv x z; m=mv; $m z w").success();
        assert!(scene.workspace.join("w").exists());
        let report = scene.beside("skip.json");
        scene.file(&report, "");
        finished(&scene, &["--skip-permissions-unsafe", "--report", report.to_str().unwrap()], "mv w v").success();
        let report: Value = serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).unwrap();
        assert!(report["decision"]["reason"].as_str().unwrap().contains("--skip-permissions-unsafe"), "{report}");
        assert!(report["notes"][0].as_str().unwrap().contains("--skip-permissions-unsafe"), "{report}");
    }
}

#[test]
fn skipping_approval_can_be_forbidden() {
    let scene = Scene::new(User::Caller);
    for key in [r#""forbidSkipPermissions": true"#, r#""maxAutonomyLevel": "medium""#] {
        scene.user_settings(&format!("{{ {key} }}"));
        let file = scene.beside("report.json");
        let flags = ["--skip-permissions-unsafe", "--report", file.to_str().unwrap()];
        finished(&scene, &flags, "touch made").exits(126).complains("--skip-permissions-unsafe");
        let report: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(
            (&report["decision"]["verdict"], &report["exit"]["code"]),
            (&json!("refuse"), &json!(126)),
            "{report}"
        );
        assert!(report["decision"]["reason"].as_str().unwrap().contains("--skip-permissions-unsafe"), "{report}");
        assert_eq!(report["request"]["command"], "touch made", "{report}");
        assert!(!scene.workspace.join("made").exists());
        std::fs::remove_file(&file).unwrap();
    }
}

for_each_user! {
    /// What stands in the workspace is looked at after the last question about the start, not before: an answer may take hours.
    fn row_32_what_takes_a_places_place_while_the_start_is_asked_about_is_not_granted_unseen(scene) {
        scene.user_settings(r#"{ "commandDenylist": ["row_01_flip"], "sandbox": { "filesystem": { "blockRead": ["**/.env"] } } }"#);
        let plain = scene.workspace.join("plain");
        let (good, secret) = (plain.join("good"), plain.join(".env"));
        scene.make_dir(&plain);
        scene.file(&good, "harmless\n");
        let program = build_attack("row_01_flip");
        let [number, seconds] = race_limit();
        let line = [program.to_str().unwrap(), "open", good.to_str().unwrap(), secret.to_str().unwrap(), &number, &seconds].join(" ");
        let mut live = Live::start(&scene, &["--auto", "high"], &line);
        let question = live.until("question");
        assert_eq!(question["details"]["operationType"], "command", "{question}");
        std::fs::rename(&plain, scene.workspace.join("before")).unwrap();
        scene.make_dir(&plain);
        scene.file(&good, "harmless\n");
        scene.file(&secret, "TOP-SECRET\n");
        live.answer(&question, "once");
        let mut said = String::new();
        while !said.contains("HELD") && !said.contains("GOT-THROUGH") {
            said.push_str(live.until("output")["text"].as_str().unwrap());
        }
        assert!(said.contains("HELD") && !said.contains("opened 0"), "{said}");
        live.exits(0);
    }
}
