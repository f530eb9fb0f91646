//! A process outside the sandbox that has everything worth stealing, and must come to no harm.

use std::process::Command;

use super::network::Service;
use super::scene::{Scene, User};

const PROGRAM: &str = r#"
import ctypes, os, signal, struct, sys
secret = sys.argv[1]
libc = ctypes.CDLL(None, use_errno=True)
os.chdir(os.path.dirname(secret))
fd = os.open(secret, os.O_RDONLY)
memory = ctypes.create_string_buffer(b"TOP-SECRET in memory")
shm = libc.shmget(0, 4096, 0o1666)
libc.shmat.restype = ctypes.c_void_p
ctypes.memmove(libc.shmat(shm, None, 0), b"TOP-SECRET in a segment", 23)
sem = libc.semget(0, 1, 0o1666)
msg = libc.msgget(0, 0o1666)
libc.msgsnd(msg, struct.pack("l16s", 1, b"TOP-SECRET"), 16, 0)
print(fd, hex(ctypes.addressof(memory)), shm, sem, msg, flush=True)
while True:
    signal.pause()
"#;

/// A process of the scene's user: it holds the secret open, in its memory, in System V objects, and stands in
/// its directory. Any signal that it does not expect ends it.
#[derive(Debug)]
pub struct Victim {
    pub service: Service,
    pub fd: String,
    pub address: String,
    pub shm: String,
    pub sem: String,
    pub msg: String,
}

impl Victim {
    pub fn start(scene: &Scene) -> Self {
        let file = scene.beside("victim.py");
        scene.file(&file, PROGRAM);
        let mut command = Command::new("setpriv");
        if scene.user == User::Nobody {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        }
        command.arg("setsid").arg("/usr/bin/python3").arg(file).arg(scene.secret());
        let service = Service::start(&mut command);
        let words: Vec<String> = service.said.split(' ').map(str::to_owned).collect();
        let [fd, address, shm, sem, msg] = words.try_into().unwrap_or_else(|words| panic!("not five words: {words:?}"));
        Self { service, fd, address, shm, sem, msg }
    }

    pub fn pid(&self) -> String {
        self.service.pid().to_string()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = Command::new("ipcrm").args(["-m", &self.shm]).args(["-s", &self.sem]).args(["-q", &self.msg]).output();
    }
}
