//! A pseudo-terminal as the run's controlling terminal, with job control.

use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::*;

fn pair() -> (File, File) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave = rustix::fs::open(
        std::ffi::OsStr::from_bytes(name.to_bytes()),
        rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    );
    (master.into(), slave.unwrap().into())
}

fn launch_on_terminal(script: &str) -> (Launched, File, JoinHandle<usize>) {
    let (master, slave) = pair();
    let laid = Floor::lay(&silent(&["/"], &[]), &silent(&["/dev/null", "/dev/tty"], &[]), &Survey::default()).unwrap();
    let filter = Filter::compile(EVERYTHING).unwrap();
    let stream = || slave.try_clone().unwrap().into();
    let beginning = Beginning {
        cwd: Path::new("/"),
        stdio: [stream(), stream(), stream()],
        controlling_terminal: Some(0),
        limits: ProcessLimits::default(),
        keep_root_capabilities: false,
        floor: laid.as_fd(),
    };
    let (waiting, trap) = begin(beginning).unwrap();
    trap.set(&filter).unwrap();
    let launched = waiting.launch(ChildPlan {
        argv: vec![c"sh".into(), c"-c".into(), CString::new(script).unwrap()],
        program: "/bin/sh".into(),
        env: vec![c"PATH=/usr/bin:/bin".into()],
        directories: None,
    });
    let (launched, listener) = launched.and_then(Launching::confined).unwrap();
    let supervisor = continue_everything(listener);
    launched.go().unwrap();
    (launched, master, supervisor)
}

/// Reads from the terminal until `word` has come.
fn read_until(master: &mut File, word: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(word) {
        let mut bytes = [0; 256];
        let length = master.read(&mut bytes).unwrap();
        seen.push_str(&String::from_utf8_lossy(&bytes[..length]));
    }
    seen
}

#[test]
fn the_terminal_is_the_commands_own_and_its_group_is_in_front() {
    let script = "exec 3</dev/tty && ps -o pgid=,tpgid= -p $$; echo done";
    let (launched, mut master, supervisor) = launch_on_terminal(script);
    let seen = read_until(&mut master, "done");
    let groups: Vec<&str> = seen.split_whitespace().collect();
    assert_eq!(groups, [&launched.command_pid.to_string(), &launched.command_pid.to_string(), "done"]);
    assert_eq!(launched.next_event().unwrap(), Event::Exited(0));
    drop(launched);
    supervisor.join().unwrap();
}

#[test]
fn control_keys_stop_and_interrupt() {
    let (launched, mut master, supervisor) = launch_on_terminal("echo ready; exec sleep 1000");
    read_until(&mut master, "ready");
    master.write_all(b"\x1a").unwrap();
    assert_eq!(launched.next_event().unwrap(), Event::Stopped(libc::SIGTSTP));
    launched.signal(libc::SIGCONT).unwrap();
    assert_eq!(launched.next_event().unwrap(), Event::Continued);
    master.write_all(b"\x03").unwrap();
    assert_eq!(launched.next_event().unwrap(), Event::Signaled(libc::SIGINT));
    drop(launched);
    supervisor.join().unwrap();
}

#[test]
fn without_a_terminal_there_is_none() {
    let ended = Trial::new().shell("exec 2>&1; cat </dev/tty");
    assert!(ended.output.contains("No such device or address"), "{ended:?}");
}
