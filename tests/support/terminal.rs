//! A terminal of the test's own: askance runs on it, the test reads what is shown and types.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use nix::pty::{OpenptyResult, Winsize, openpty};

use super::command::Launch;
use super::scene::Scene;

/// How long anything expected on the terminal may take.
const PATIENCE: Duration = Duration::from_secs(20);

type Shown = Arc<(Mutex<(Vec<u8>, bool)>, Condvar)>;

/// A process on a terminal, and everything that appeared there.
#[derive(Debug)]
pub struct Terminal {
    master: File,
    child: Child,
    shown: Shown,
    /// What was expected so far lies before this.
    position: usize,
    /// The terminal's path, as `/dev/pts/7`.
    pub path: String,
}

impl Terminal {
    /// `askance run FLAGS -- program` on a new terminal.
    pub fn run(scene: &Scene, flags: &[&str], program: &[&str]) -> Self {
        let mut words = flags.to_vec();
        words.push("--");
        words.extend(program);
        Self::start(&scene.askance().env("NO_COLOR", "1").flags(&words).command(&[], None))
    }

    /// A program without the sandbox on a new terminal.
    pub fn bare(scene: &Scene, program: &[&str]) -> Self {
        Self::start(&Launch::new(scene, None).env("NO_COLOR", "1").command(program, None))
    }

    /// Starts the command as the leader of a session whose controlling terminal is new.
    pub fn start(command: &Command) -> Self {
        let size = Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(Some(&size), None).unwrap();
        let path = nix::unistd::ttyname(&slave).unwrap().to_str().unwrap().to_owned();
        let copy = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
        let mut on_terminal = Command::new("setsid");
        on_terminal.arg("--ctty").arg(command.get_program()).args(command.get_args()).env_clear();
        on_terminal.envs(command.get_envs().filter_map(|(name, value)| value.map(|value| (name, value))));
        on_terminal.current_dir(command.get_current_dir().unwrap());
        // An ordinary user opens it again as /dev/tty.
        let _ = std::os::unix::fs::chown(&path, Some(if uses_nobody(command) { 65534 } else { 0 }), None);
        let child = on_terminal.stdin(copy(&slave)).stdout(copy(&slave)).stderr(copy(&slave)).spawn().unwrap();
        drop(slave);
        let shown: Shown = Arc::default();
        let (mut reader, sink) = (File::from(master.try_clone().unwrap()), shown.clone());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            loop {
                let size = reader.read(&mut bytes).unwrap_or(0);
                let mut state = sink.0.lock().unwrap();
                state.0.extend(&bytes[..size]);
                state.1 = size == 0;
                sink.1.notify_all();
                if size == 0 {
                    return;
                }
            }
        });
        Self { master: master.into(), child, shown, position: 0, path }
    }

    /// Everything shown so far.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.0.lock().unwrap().0).into_owned()
    }

    /// Waits until `text` appears after what was expected before; gives what was shown on the way to it.
    pub fn expect(&mut self, text: &str) -> String {
        self.appears(text, PATIENCE).unwrap_or_else(|| panic!("{text:?} did not appear; shown:\n{}", self.shown()))
    }

    /// As [`Self::expect`], `None` when `text` does not appear in time.
    pub fn appears(&mut self, text: &str, limit: Duration) -> Option<String> {
        let until = Instant::now() + limit;
        let mut state = self.shown.0.lock().unwrap();
        loop {
            let rest = &state.0[self.position..];
            if let Some(at) = rest.windows(text.len()).position(|window| window == text.as_bytes()) {
                let before = String::from_utf8_lossy(&rest[..at]).into_owned();
                self.position += at + text.len();
                return Some(before);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || state.1 {
                return None;
            }
            state = self.shown.1.wait_timeout(state, left).unwrap().0;
        }
    }

    pub fn send(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Ctrl and a letter.
    pub fn control(&mut self, letter: char) {
        self.master.write_all(&[letter.to_ascii_lowercase() as u8 - b'a' + 1]).unwrap();
    }

    /// Waits for a question about `target`, then presses `key` until `then` appears: keys pressed too early after a question do not
    /// count, and when they begin to count cannot be seen.
    pub fn answer(&mut self, target: &str, key: &str, then: &str) {
        self.expect("askance asks");
        self.expect(target);
        self.expect("answer: ");
        let until = Instant::now() + PATIENCE;
        loop {
            self.send(key);
            if self.appears(then, Duration::from_millis(200)).is_some() {
                return;
            }
            assert!(Instant::now() < until, "{key:?} did not lead to {then:?}; shown:\n{}", self.shown());
        }
    }

    pub fn resize(&self, rows: u16, columns: u16) {
        let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&self.master, size).unwrap();
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the end; the exit code, 128+n for a signal.
    pub fn wait(mut self) -> i32 {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
            }
            assert!(Instant::now() < until, "did not end; shown:\n{}", self.shown());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn uses_nobody(command: &Command) -> bool {
    command.get_args().any(|word| word == "--reuid=65534")
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
