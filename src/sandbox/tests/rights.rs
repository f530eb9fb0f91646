//! Capabilities, and the same trials for an ordinary user.

use std::collections::HashMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use super::*;

const NOBODY: u32 = 65534;
/// Set in a repetition of these tests as an ordinary user.
const REPEATED: &str = "ASKANCE_TEST_REPEATED";

/// A process outside of every sandbox.
struct Outside(Child);

impl Outside {
    fn start() -> Self {
        Self(Command::new("sleep").arg("1000").stdout(Stdio::null()).spawn().unwrap())
    }

    fn id(&self) -> u32 {
        self.0.id()
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn status(trial: &Trial) -> HashMap<String, String> {
    let output = trial.shell("cat /proc/self/status").output;
    let fields = output.lines().filter_map(|line| line.split_once(":\t"));
    fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

#[test]
fn a_command_has_no_capabilities_and_cannot_gain_any() {
    let status = status(&Trial::new());
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(status[set], "0000000000000000", "{set}");
    }
    if is_root() {
        assert_eq!(status["CapBnd"], "0000000000000000");
    }
    assert_eq!(status["NoNewPrivs"], "1");
    assert_eq!(status["Seccomp"], "2");
}

#[test]
fn a_root_caller_keeps_what_archives_need() {
    if !is_root() {
        eprintln!("skipped: not root");
        return;
    }
    let status = status(&Trial { keep_root_capabilities: true, ..Trial::new() });
    // CHOWN, DAC_OVERRIDE, FOWNER, FSETID.
    for (set, value) in [("CapPrm", "1b"), ("CapEff", "1b"), ("CapBnd", "1b"), ("CapInh", "0"), ("CapAmb", "0")] {
        assert_eq!(u64::from_str_radix(&status[set], 16), u64::from_str_radix(value, 16), "{set}");
    }
}

#[test]
fn a_thread_gives_up_its_own_rights_alone() {
    let own = || {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        status.lines().find(|line| line.starts_with("CapEff")).unwrap().to_owned()
    };
    let before = own();
    let inside = std::thread::spawn(move || {
        privileges::drop_in_thread(false).unwrap();
        own()
    });
    assert_eq!(inside.join().unwrap(), "CapEff:\t0000000000000000");
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    assert!(status.contains(&before));
}

#[test]
fn signals_do_not_leave_the_sandbox() {
    let mut outside = Outside::start();
    let script = format!("kill -KILL {}; kill -TERM {}; kill -0 $PPID; echo done", outside.id(), std::process::id());
    let ended = Trial::new().shell(&script);
    assert!(ended.output.ends_with("done\n"), "{ended:?}");
    assert_eq!(ended.output.matches("not permitted").count(), 3, "{ended:?}");
    assert!(outside.lives());
}

/// An owner set by `F_SETOWN` is signalled by the kernel on the setter's behalf: the scope holds there too.
#[test]
fn an_owner_outside_is_not_signalled() {
    let mut outside = Outside::start();
    let script = format!(
        "import fcntl, os, socket, signal\n\
         a, b = socket.socketpair()\n\
         fcntl.fcntl(a, 10, signal.SIGKILL)\n\
         fcntl.fcntl(a, fcntl.F_SETOWN, {})\n\
         fcntl.fcntl(a, fcntl.F_SETFL, os.O_ASYNC)\n\
         b.send(b'x')\n\
         signal.signal(signal.SIGUSR1, lambda *_: print('own', flush=True))\n\
         fcntl.fcntl(a, 10, signal.SIGUSR1)\n\
         fcntl.fcntl(a, fcntl.F_SETOWN, os.getpid())\n\
         b.send(b'x')\n\
         print('done')",
        outside.id()
    );
    let ended = Trial::new().run(&["/usr/bin/python3", "-c", &script]).unwrap();
    // The same within the sandbox works, so the attempt was a real one.
    assert_eq!(ended.output, "own\ndone\n");
    assert!(outside.lives());
}

#[test]
fn others_cannot_be_traced_or_read() {
    let outside = Outside::start();
    let pid = outside.id();
    let script = format!(
        "cat /proc/{pid}/environ; cat /proc/{pid}/mem; cat /proc/{pid}/fd/0; cat /proc/$PPID/environ; ls /proc/$PPID/root/"
    );
    let ended = Trial::new().shell(&script);
    assert_eq!(ended.output.matches("denied").count(), 5, "{ended:?}");
}

/// Everything again for an ordinary user, whose rights differ where it matters most.
#[test]
fn an_ordinary_user_gets_the_same() {
    if !is_root() || std::env::var_os(REPEATED).is_some() {
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["sandbox::tests", "--skip", "askance_killed", "--skip", "the_floor_lets_through"])
        .env(REPEATED, "1")
        .uid(NOBODY)
        .gid(NOBODY)
        .current_dir("/")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("signals_do_not_leave_the_sandbox ... ok"), "{told}");
}
