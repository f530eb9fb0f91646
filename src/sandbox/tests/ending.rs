//! Nothing of a run outlives it: not its storms, not the death of askance.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{PidfdFlags, pidfd_open};

use super::*;

/// The variable that marks every process of one trial.
const MARK: &str = "ASKANCE_TEST_MARK";

/// Builds the storm, unless there is no compiler.
fn lineages(directory: &Path) -> Option<String> {
    let program = directory.join("lineages");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sandbox/tests/lineages.c");
    match Command::new("cc").args(["-O1", "-o"]).arg(&program).arg(source).status() {
        Ok(status) => {
            assert!(status.success());
            Some(program.to_str().unwrap().to_owned())
        }
        Err(error) => {
            eprintln!("skipped: no C compiler: {error}");
            None
        }
    }
}

/// Live processes whose environment holds the mark.
fn marked(mark: &str) -> Vec<i32> {
    let entry = format!("{MARK}={mark}\0");
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let holds = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.windows(entry.len()).any(|window| window == entry.as_bytes())
    };
    processes.filter(holds).collect()
}

/// Waits for the death of every marked process.
fn assert_nothing_is_left(mark: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let left = marked(mark);
        let Some(pid) = left.first() else { return };
        assert!(Instant::now() < deadline, "left: {left:?}");
        if let Some(pid) = rustix::process::Pid::from_raw(*pid)
            && let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty())
        {
            let second = rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 };
            let _ = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&second));
        }
    }
}

fn storm(program: &str, mark: &str, count: &str, life_us: &str) {
    let trial = Trial { env: vec![format!("{MARK}={mark}")], ..Trial::new() };
    let ((launched, listener), reader) = trial.launch(&[program, count, life_us]).unwrap();
    let supervisor = continue_everything(listener);
    launched.go().unwrap();
    let mut ready = [0; 1];
    assert_eq!(rustix::io::read(&reader, &mut ready), Ok(1));
    assert!(!marked(mark).is_empty());
    let before = Instant::now();
    launched.end().unwrap();
    eprintln!("{count} lineages of {life_us} us each died in {:?}", before.elapsed());
    assert_nothing_is_left(mark);
    supervisor.join().unwrap();
}

#[test]
fn four_hundred_lineages_are_dead_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = lineages(directory.path()) else { return };
    storm(&program, "many", "400", "100000");
    // Few that never pause.
    storm(&program, "hot", "8", "0");
}

/// Landlock before ABI 6: no scope, so the tree is read and killed one by one.
#[test]
fn without_a_signal_scope_the_tree_is_killed_one_by_one() {
    let trial = Trial { env: vec![format!("{MARK}=unscoped")], scoped: false, ..Trial::new() };
    let script = "for i in 1 2 3; do setsid sh -c 'setsid sleep 1000 & sleep 1000 & wait' & done; echo .; wait";
    let ((launched, listener), reader) = trial.launch(&["/bin/sh", "-c", script]).unwrap();
    let supervisor = continue_everything(listener);
    launched.go().unwrap();
    let mut ready = [0; 1];
    assert_eq!(rustix::io::read(&reader, &mut ready), Ok(1));
    launched.end().unwrap();
    assert_eq!(marked("unscoped"), [0; 0]);
    supervisor.join().unwrap();
    // We are still here, and so is everybody else.
    assert!(!is_dead(1));
}

/// The process that is killed: it launches storms, and is not to come back.
fn be_the_victim(mark: &str) -> ! {
    let program = std::env::var("ASKANCE_TEST_PROGRAM").unwrap();
    let trial = Trial { env: vec![format!("{MARK}={mark}")], ..Trial::new() };
    loop {
        let ((launched, listener), _reader) = trial.launch(&[&program, "8", "1000"]).unwrap();
        let supervisor = continue_everything(listener);
        launched.go().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        drop(launched);
        supervisor.join().unwrap();
    }
}

#[test]
fn askance_killed_at_any_moment_leaves_nothing() {
    // The victim is this test again, in a process of its own.
    if let Ok(mark) = std::env::var(MARK) {
        be_the_victim(&mark)
    }
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = lineages(directory.path()) else { return };
    // Moments spread over a launch and the run after it; a fixed sequence, for who has to repeat it.
    let moments = (0..24_u64).map(|at| Duration::from_micros(at * at * 173 % 60_000));
    let mut running = 0;
    for (round, moment) in moments.enumerate() {
        let mark = format!("killed{round}");
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "sandbox::tests::ending::askance_killed_at_any_moment_leaves_nothing"])
            .env(MARK, &mark)
            .env("ASKANCE_TEST_PROGRAM", &program)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The moments count from the test's first word.
        let mut first = [0; 1];
        victim.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
        std::thread::sleep(moment);
        // Looking takes a while, so not always: killing has to come at once too.
        if round % 4 == 3 {
            // Once it has to be seen at work, however busy the machine is.
            let last = round == 23 && running == 0;
            let until = Instant::now() + Duration::from_secs(if last { 20 } else { 0 });
            while last && marked(&mark).len() <= 2 && Instant::now() < until {}
            running += usize::from(marked(&mark).len() > 2);
        }
        victim.kill().unwrap();
        victim.wait().unwrap();
        assert_nothing_is_left(&mark);
    }
    assert!(running > 0, "no run was ever under way");
}

#[test]
fn the_end_of_the_command_is_told_only_when_its_tree_is_dead() {
    let trial = Trial { env: vec![format!("{MARK}=told")], ..Trial::new() };
    let script = "for i in 1 2 3 4 5; do setsid sleep 1000 & done; exit 3";
    let ((launched, listener), reader) = trial.launch(&["/bin/sh", "-c", script]).unwrap();
    let supervisor = continue_everything(listener);
    launched.go().unwrap();
    assert_eq!(launched.next_event().unwrap(), Event::Exited(3));
    let monitor = launched.monitor_pid;
    assert!(marked("told").iter().all(|pid| *pid == monitor), "{:?}", marked("told"));
    drop((launched, reader));
    supervisor.join().unwrap();
}

#[test]
fn a_stopped_tree_dies_too() {
    let trial = Trial { env: vec![format!("{MARK}=stopped")], ..Trial::new() };
    let ((launched, listener), _reader) =
        trial.launch(&["/bin/sh", "-c", "sleep 1000 & kill -STOP $!; kill -STOP $$"]).unwrap();
    let supervisor = continue_everything(listener);
    launched.go().unwrap();
    assert_eq!(launched.next_event().unwrap(), Event::Stopped(libc::SIGSTOP));
    launched.end().unwrap();
    assert_eq!(marked("stopped"), [0; 0]);
    supervisor.join().unwrap();
}

/// The monitor holds neither the command's standard streams nor anything of askance's.
#[test]
fn the_monitor_keeps_only_what_it_needs() {
    let ((launched, listener), reader) = Trial::new().launch(&["/bin/sh", "-c", "exec >&- 2>&-; sleep 1000"]).unwrap();
    let supervisor = continue_everything(listener);
    launched.go().unwrap();
    // The end of the output is the command's doing, though the run goes on.
    let mut rest = String::new();
    fs::File::from(reader.try_clone().unwrap()).read_to_string(&mut rest).unwrap();
    let held = fs::read_dir(format!("/proc/{}/fd", launched.monitor_pid)).unwrap().count();
    // The channel, askance's pidfd, the children's signals, the reports.
    assert_eq!(held, 4, "{:?}", reader.as_fd().as_raw_fd());
    drop(launched);
    supervisor.join().unwrap();
}

/// Whoever kills the monitor kills the run no less.
#[test]
fn a_monitor_killed_from_outside_takes_the_tree_along() {
    let trial = Trial { env: vec![format!("{MARK}=headless")], ..Trial::new() };
    let script = "for i in 1 2 3; do setsid sh -c 'setsid sleep 1000 & sleep 1000 & wait' & done; echo .; wait";
    let ((launched, listener), reader) = trial.launch(&["/bin/sh", "-c", script]).unwrap();
    let supervisor = continue_everything(listener);
    launched.go().unwrap();
    let mut ready = [0; 1];
    assert_eq!(rustix::io::read(&reader, &mut ready), Ok(1));
    rustix::process::pidfd_send_signal(launched.monitor(), rustix::process::Signal::KILL).unwrap();
    assert!(launched.next_event().is_err());
    launched.end().unwrap();
    assert_eq!(marked("headless"), [0; 0]);
    supervisor.join().unwrap();
}

#[test]
fn a_stopped_monitor_still_ends_its_run() {
    let trial = Trial { env: vec![format!("{MARK}=paused")], ..Trial::new() };
    let ((launched, listener), _reader) = trial.launch(&["/bin/sleep", "1000"]).unwrap();
    let supervisor = continue_everything(listener);
    launched.go().unwrap();
    rustix::process::pidfd_send_signal(launched.monitor(), rustix::process::Signal::STOP).unwrap();
    launched.end().unwrap();
    assert_eq!(marked("paused"), [0; 0]);
    supervisor.join().unwrap();
}
