use super::*;

#[test]
fn a_command_runs_and_its_status_comes_back() {
    let ended = Trial::new().shell("echo out; echo err >&2; exit 7");
    assert_eq!(ended.event, Event::Exited(7));
    assert_eq!(ended.output, "out\nerr\n");
    assert_eq!(Trial::new().shell("kill -TERM $$").event, Event::Signaled(libc::SIGTERM));
}

#[test]
fn only_the_standard_streams_are_open() {
    let leaked = std::fs::File::open("/etc/passwd").unwrap();
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).unwrap();
    let ended = Trial::new().shell("ls /proc/self/fd");
    // The last one is the directory that ls reads.
    assert_eq!(ended.output, "0\n1\n2\n3\n");
}

#[test]
fn a_process_group_of_its_own_in_a_session_of_the_monitor() {
    let ended = Trial::new().run(&[
        "/usr/bin/python3",
        "-c",
        "import os; print(os.getpid()==os.getpgid(0), os.getsid(0)==os.getppid())",
    ]);
    assert_eq!(ended.unwrap().output, "True True\n");
}

#[test]
fn a_program_that_cannot_be_executed_is_reported_with_its_errno() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str, content: &str, mode: u32| {
        use std::os::unix::fs::PermissionsExt;
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let fails = |path: &str| match Trial::new().run(&[path]) {
        Err(error @ LaunchError::Execute { .. }) => error.exit_status(),
        other => panic!("{path}: {other:?}"),
    };
    assert_eq!(fails("/nonexistent"), 127);
    assert_eq!(fails("/etc"), 126);
    assert_eq!(fails(&at("plain", "x", 0o644)), 126);
    assert_eq!(fails(&at("interpreter", "#!/nonexistent\n", 0o755)), 127);
    let script = at("script", "echo run by a shell: $1", 0o755);
    assert_eq!(Trial::new().run(&[&script, "argument"]).unwrap().output, "run by a shell: argument\n");
}

#[test]
fn a_nested_sandbox_is_refused_by_name() {
    // A filter with a listener in this process tree: a thread's filter is its children's.
    let outcome = std::thread::spawn(|| {
        rustix::thread::set_no_new_privs(true).unwrap();
        let allow = [crate::sys::seccomp::Instruction { code: 6, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW }];
        let _listener = crate::sys::seccomp::install_with_owned_listener(&allow).unwrap();
        Trial::new().run(&["/bin/true"]).unwrap_err()
    });
    assert!(matches!(outcome.join().unwrap(), LaunchError::Nested));
}

#[test]
fn the_working_directory_is_the_plans() {
    let trial = Trial { cwd: "/usr/bin".into(), ..Trial::new() };
    assert_eq!(trial.shell("pwd").output, "/usr/bin\n");
    let trial = Trial { cwd: "/nonexistent".into(), ..Trial::new() };
    assert!(matches!(trial.run(&["/bin/true"]), Err(LaunchError::WorkingDirectory { .. })));
}

#[test]
fn daemons_are_dead_when_the_run_is_over() {
    let ended = Trial::new().shell("setsid sh -c 'setsid sleep 1000 >/dev/null 2>&1 & echo $!'; true");
    assert_eq!(ended.event, Event::Exited(0));
    assert!(is_dead(ended.output.trim().parse().unwrap()), "{}", ended.output);
}

#[test]
fn ending_a_run_kills_it() {
    let ((launched, listener), reader) = Trial::new().launch(&["/bin/sleep", "1000"]).unwrap();
    let supervisor = continue_everything(listener);
    launched.go().unwrap();
    let command = launched.command_pid;
    assert!(!is_dead(command));
    launched.end().unwrap();
    assert!(is_dead(command));
    launched.end().unwrap();
    supervisor.join().unwrap();
    drop(reader);
}

#[test]
fn a_command_that_never_starts_is_dead_too() {
    let ((launched, _listener), _reader) = Trial::new().launch(&["/bin/sleep", "1000"]).unwrap();
    let (command, above) = (launched.command_pid, launched.monitor_pid);
    drop(launched);
    assert!(is_dead(command) && is_dead(above));
}

#[test]
fn signals_reach_the_command_and_stops_are_told() {
    let ((launched, listener), reader) = Trial::new().launch(&["/bin/sleep", "1000"]).unwrap();
    let supervisor = continue_everything(listener);
    launched.go().unwrap();
    launched.signal(libc::SIGSTOP).unwrap();
    assert_eq!(launched.next_event().unwrap(), Event::Stopped(libc::SIGSTOP));
    launched.signal(libc::SIGCONT).unwrap();
    assert_eq!(launched.next_event().unwrap(), Event::Continued);
    launched.signal(libc::SIGINT).unwrap();
    assert_eq!(launched.next_event().unwrap(), Event::Signaled(libc::SIGINT));
    drop(launched);
    supervisor.join().unwrap();
    drop(reader);
}

/// The monitor goes when it has told the end, whatever it is sent meanwhile: that hides no end.
#[test]
fn what_is_sent_to_a_command_that_is_over_is_lost_and_its_end_is_not() {
    for unread in [false, true] {
        let ((launched, listener), _reader) = Trial::new().launch(&["/bin/sleep", "0.2"]).unwrap();
        let supervisor = continue_everything(listener);
        launched.go().unwrap();
        let monitor = rustix::process::Pid::from_raw(launched.monitor_pid).unwrap();
        if unread {
            rustix::process::kill_process(monitor, rustix::process::Signal::STOP).unwrap();
            while !is_dead(launched.command_pid) {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            launched.signal(libc::SIGTERM).unwrap();
            rustix::process::kill_process(monitor, rustix::process::Signal::CONT).unwrap();
        }
        let gone = rustix::event::PollFlags::IN;
        rustix::event::poll(&mut [rustix::event::PollFd::from_borrowed_fd(launched.monitor(), gone)], None).unwrap();
        launched.signal(libc::SIGTERM).unwrap();
        assert_eq!(launched.next_event().unwrap(), Event::Exited(0), "unread: {unread}");
        launched.end().unwrap();
        supervisor.join().unwrap();
    }
}

#[test]
fn the_tree_below_the_monitor_is_counted() {
    let script = "python3 -c 'import time; hold = bytearray(64 << 20); print(1, flush=True); time.sleep(1000)' & wait";
    let ((launched, listener), reader) = Trial::new().launch(&["/bin/sh", "-c", script]).unwrap();
    let supervisor = continue_everything(listener);
    launched.go().unwrap();
    let mut ready = [0; 1];
    rustix::io::read(&reader, &mut ready).unwrap();
    let sample = limits::sample(launched.monitor_pid);
    assert_eq!(sample.processes, 2);
    assert!((64 << 20..256 << 20).contains(&sample.memory_bytes), "{}", sample.memory_bytes);
    drop(launched);
    supervisor.join().unwrap();
}

#[test]
fn limits_of_a_process_are_the_plans() {
    let limits = ProcessLimits { open_files: Some(64), no_core: true };
    let ended = Trial { limits, ..Trial::new() }.shell("ulimit -n; ulimit -Hn; ulimit -c");
    assert_eq!(ended.output, "64\n64\n0\n");
}

/// A fork elsewhere in askance inherits what a launch holds open for a moment.
#[test]
fn launches_at_the_same_time_do_not_confuse_each_other() {
    std::thread::scope(|scope| {
        for code in 0..4 {
            scope.spawn(move || {
                for _ in 0..40 {
                    let ended = Trial::new().shell(&format!("exit {code}"));
                    assert_eq!(ended.event, Event::Exited(code));
                }
            });
        }
    });
}

/// What the policy cannot want a question for costs no notification; counted over a hundred of each call.
#[test]
fn what_cannot_need_a_question_is_not_trapped() {
    const NOTHING: FilterPlan =
        FilterPlan { trap_reads: false, trap_exec: false, trap_receives: false, trap_signals: false };
    let hundred = |body: &str| format!("i=0; while [ $i -lt 100 ]; do {body}; i=$((i+1)); done; echo done");
    let receive = "import socket; a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\nfor _ in range(100):\n  a.send(b'x'); b.recvfrom(1)\nprint('done')";
    let shell = |body: &str| vec!["/bin/sh".to_owned(), "-c".to_owned(), hundred(body)];
    for (argv, filter) in [
        (shell(": < /etc/passwd"), FilterPlan { trap_reads: true, ..NOTHING }),
        (shell("/bin/true"), FilterPlan { trap_exec: true, ..NOTHING }),
        (shell("kill -0 $$"), FilterPlan { trap_signals: true, ..NOTHING }),
        (
            vec!["/usr/bin/python3".to_owned(), "-ESsc".to_owned(), receive.to_owned()],
            FilterPlan { trap_receives: true, ..NOTHING },
        ),
    ] {
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let trapped = |filter| {
            let ended = Trial { filter, ..Trial::new() }.run(&argv).unwrap();
            assert_eq!(ended.output, "done\n", "{argv:?}");
            ended.trapped
        };
        let (with, without) = (trapped(filter), trapped(NOTHING));
        assert!(with >= 100, "{with} of {argv:?}");
        assert!(without < 20, "{without} of {argv:?}");
    }
}

#[test]
fn below_too_many_layers_nothing_starts_and_the_error_says_why() {
    // Layers and `no_new_privs` are a thread's own, and what it forks has them.
    let below = |layers: u32| {
        let launched = move || {
            rustix::thread::set_no_new_privs(true).unwrap();
            for _ in 0..layers {
                crate::sys::landlock::restrict_self(launch::signal_scope().unwrap().as_fd()).unwrap();
            }
            Trial::new().run(&["/bin/echo", "ran"]).map(|ended| ended.output)
        };
        std::thread::spawn(launched).join().unwrap()
    };
    let scopes = u32::from(features::scopes_signals());
    assert_eq!(below(15 - scopes).unwrap(), "ran\n");
    let full = below(16 - scopes).unwrap_err();
    assert!(matches!(full, LaunchError::Layers { stage: Stage::Floor }) && full.exit_status() == 125, "{full}");
    if scopes > 0 {
        assert!(matches!(below(16), Err(LaunchError::Layers { stage: Stage::Scope })));
    }
}
