//! Trials with a real terminal: the test runs itself again below a pseudo-terminal, as the process
//! that asks there, and plays the person.
//!
//! The helper takes orders from one pipe (`ask ID OPERATION TARGET`, `withdraw ID`, `finish`) and
//! writes what it is told to another (`answer ID …`, `interrupted`).

mod console;
mod questions;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use rexpect::session::{PtySession, spawn_command};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use super::pty::Console;
use super::terminal::Terminal;
use crate::policy::{Answer, Operation, Place, Question, Reason, Scope, Target};
use crate::supervisor::Asker;
use crate::supervisor::context::{Asked, Process};

const DIRECTORY: &str = "ASKANCE_TRIAL";
const COMMAND: &str = "ASKANCE_TRIAL_COMMAND";
const TIMEOUT_MS: u64 = 20_000;

/// Not a test of its own: what the trials below run.
#[test]
fn helper() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let command = std::env::var(COMMAND).ok();
    let report = Arc::new(Mutex::new(File::options().write(true).open(directory.join("reports")).unwrap()));
    let orders = BufReader::new(File::open(directory.join("orders")).unwrap());
    let mut console = command.as_ref().and_then(|_| Console::attach().unwrap());
    let mut child = None;
    if let (Some(console), Some(command)) = (&mut console, &command) {
        let stdio = console.child_stdio().unwrap().map(|fd| fd.map_or_else(Stdio::inherit, Stdio::from));
        let [stdin, stdout, stderr] = stdio;
        console.spawn_relay().unwrap();
        let mut setsid = Command::new("setsid");
        setsid.args(["--ctty", "sh", "-c", command]).stdin(stdin).stdout(stdout).stderr(stderr);
        child = Some(setsid.spawn().unwrap());
    }
    let interrupted = Arc::clone(&report);
    let interrupt = Arc::new(move || writeln!(interrupted.lock().unwrap(), "interrupted").unwrap());
    let gate = console.as_ref().map(Console::gate);
    let terminal = Terminal::open(gate, interrupt, Some("/home/me".into())).unwrap();
    writeln!(report.lock().unwrap(), "ready").unwrap();
    for order in orders.lines() {
        let order = order.unwrap();
        let mut words = order.splitn(4, ' ');
        let (Some(verb), id) = (words.next(), words.next()) else { continue };
        let id = id.map_or(0, |id| id.parse().unwrap());
        match verb {
            "ask" => {
                let (operation, target) = (words.next().unwrap(), words.next().unwrap());
                let report = Arc::clone(&report);
                let answer = Box::new(move |answer: Answer| {
                    writeln!(report.lock().unwrap(), "answer {id} {answer:?}").unwrap();
                });
                terminal.ask(Arc::new(asked(id, operation, target)), answer);
            }
            "withdraw" => terminal.withdraw(id),
            "suspend" => console.as_ref().unwrap().suspend().unwrap(),
            "panic" => panic!("as ordered"),
            // The end of `main`, with the terminal in use by another thread.
            "exit" => std::process::exit(0),
            _ => break,
        }
    }
    if let Some(mut child) = child {
        child.wait().unwrap();
    }
    drop(terminal);
    if let Some(console) = console {
        console.finish();
    }
    writeln!(report.lock().unwrap(), "finished").unwrap();
}

/// A question with every answer that a path can have; `\xNN` in the target is that byte.
fn asked(id: u64, operation: &str, target: &str) -> Asked {
    let operation = if operation == "write" { Operation::Write } else { Operation::Read };
    let target = Target::Path(PathBuf::from(OsStr::from_bytes(target.as_bytes())));
    let mut offers = vec![Answer::Once, Answer::Run, Answer::Session];
    for scope in [Scope::File, Scope::Directory] {
        for place in [Place::Project, Place::User] {
            offers.push(Answer::Always { scope, place, root: None });
        }
    }
    offers.push(Answer::Deny);
    offers.extend([Answer::Never { place: Place::Project }, Answer::Never { place: Place::User }]);
    let question = Question { operation, target, reason: Reason::NotListed, offers, organisation: false };
    let process = Process { pid: 4711, program: "/usr/bin/cat".into(), argv: vec!["cat".into(), "a b".into()] };
    Asked { id, question: Arc::new(question), process, request: "make all".into() }
}

/// A person at a terminal, and the helper that asks there.
struct Trial {
    session: PtySession,
    orders: File,
    reports: BufReader<File>,
    terminal: File,
    _directory: tempfile::TempDir,
}

impl Trial {
    fn start(command: Option<&str>) -> Self {
        Self::start_with(command, "exec \"$0\" \"$@\"")
    }

    /// `wrapper` is a shell script whose arguments are the helper's command line.
    fn start_with(command: Option<&str>, wrapper: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["orders", "reports"] {
            nix::unistd::mkfifo(&directory.path().join(name), nix::sys::stat::Mode::S_IRWXU).unwrap();
        }
        let mut helper = Command::new("bash");
        helper.args(["-c", wrapper]).arg(std::env::current_exe().unwrap());
        helper.args(["--exact", "prompt::trial::helper", "--nocapture", "--test-threads=1"]);
        helper.env(DIRECTORY, directory.path()).env("TERM", "xterm").env("LANG", "C.UTF-8").env("NO_COLOR", "1");
        helper.env_remove("LC_ALL");
        match command {
            Some(command) => helper.env(COMMAND, command),
            None => helper.env_remove(COMMAND),
        };
        let session = spawn_command(helper, Some(TIMEOUT_MS)).unwrap();
        let terminal = session.process().get_file_handle().unwrap();
        tcsetwinsize(&terminal, Winsize { ws_row: 30, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        // Both ends of both pipes, so that opening waits for nobody.
        let open = |name: &str| File::options().read(true).write(true).open(directory.path().join(name)).unwrap();
        let (orders, reports) = (open("orders"), BufReader::new(open("reports")));
        let mut trial = Self { session, orders, reports, terminal, _directory: directory };
        trial.expect_report("ready");
        trial
    }

    fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap();
    }

    fn report(&mut self) -> String {
        let fd = self.reports.get_ref();
        if self.reports.buffer().is_empty() {
            let patience = rustix::time::Timespec { tv_sec: 20, tv_nsec: 0 };
            let mut poll = [rustix::event::PollFd::new(fd, rustix::event::PollFlags::IN)];
            assert_eq!(rustix::event::poll(&mut poll, Some(&patience)).unwrap(), 1, "no report came");
        }
        let mut line = String::new();
        self.reports.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    #[track_caller]
    fn expect_report(&mut self, expected: &str) {
        assert_eq!(self.report(), expected);
    }

    #[track_caller]
    fn see(&mut self, text: &str) -> String {
        // The session takes each byte for a character.
        let bytes: String = text.bytes().map(char::from).collect();
        match self.session.exp_string(&bytes) {
            Ok(before) => String::from_utf8_lossy(&before.chars().map(|c| c as u8).collect::<Vec<_>>()).into_owned(),
            Err(error) => panic!("{text:?} was not shown: {error}"),
        }
    }

    fn press(&mut self, keys: &str) {
        self.session.send(keys).unwrap();
        self.session.flush().unwrap();
    }

    /// Waits out the time in which keys do not count. It begins when the question is drawn.
    fn read_the_question(&self) {
        std::thread::sleep(std::time::Duration::from_millis(400));
    }

    fn modes(&self) -> Termios {
        tcgetattr(&self.terminal).unwrap()
    }
}

/// Does the terminal hand over keys one by one?
fn is_raw(modes: &Termios) -> bool {
    !modes.local_modes.contains(rustix::termios::LocalModes::ICANON)
}
