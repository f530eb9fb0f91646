//! `askance serve --socket`, started and listening.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::client::Client;
use super::command::Launch;
use super::scene::{Scene, User};

/// What an approver's connection shows.
pub const TOKEN: &str = "0123456789abcdef-of-the-approver";

/// Carries bytes between its standard streams and a socket, as another user.
const BRIDGE: &str = r#"
import os, socket, sys, threading
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
def say():
    while data := os.read(0, 65536):
        s.sendall(data)
    os._exit(0)
threading.Thread(target=say, daemon=True).start()
while data := s.recv(65536):
    while data:
        data = data[os.write(1, data):]
"#;

/// A server on a socket in a private directory of the scene.
pub struct Server {
    pub child: Child,
    pub socket: PathBuf,
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
    pub fn start(scene: &Scene, flags: &[&str]) -> Self {
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
    pub fn with_approvers(scene: &Scene, grace: u32) -> Self {
        settings(scene, grace, true);
        let token = scene.beside("private/token");
        scene.file(&token, TOKEN);
        fs::set_permissions(&token, Permissions::from_mode(0o600)).unwrap();
        Self::start(scene, &["--approver-token", token.to_str().unwrap()])
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// A connection that has introduced itself.
    pub fn client(&self, scene: &Scene, more: Value) -> Client {
        let mut client = self.connect(scene);
        client.initialize(more);
        client
    }

    /// A connection of the scene's user.
    pub fn connect(&self, scene: &Scene) -> Client {
        match scene.user {
            User::Caller => Client::connect(&self.socket),
            User::Nobody => {
                Client::through(scene.bare_command(&["python3", "-c", BRIDGE, self.socket.to_str().unwrap()]))
            }
        }
    }
}

/// `server` in the user's settings.
pub fn settings(scene: &Scene, grace: u32, require_approver: bool) {
    scene.user_settings(&format!(
        r#"{{ "server": {{ "gracePeriodMs": {grace}, "requireApprover": {require_approver} }} }}"#
    ));
}
