//! Starting, ending, and what is left: exit statuses, limits of time, daemons, a supervisor that dies.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::network::wait_until;
use support::{Launch, Scene, User, build_attack, skip};

for_each_user! {
    fn the_exit_status_is_the_commands_own(scene) {
        for code in [0, 1, 7, 125, 126, 127, 255] {
            scene.shell(&format!("exit {code}")).exits(code);
        }
        for (signal, number) in [("TERM", 15), ("KILL", 9), ("SEGV", 11), ("HUP", 1), ("SYS", 31)] {
            scene.shell(&format!("ulimit -c 0; kill -{signal} $$")).exits(128 + number);
        }
    }
}

for_each_user! {
    fn a_program_that_is_not_there_or_not_executable_says_so(scene) {
        scene.run(&["no-such-program-anywhere"]).exits(127).complains("no-such-program-anywhere");
        scene.run(&["./none"]).exits(127);
        scene.run(&["/usr"]).exits(126);
        scene.file(&scene.workspace.join("text"), "no program\n");
        scene.run(&["./text"]).exits(126);
        scene.file(&scene.workspace.join("script"), "#!/no/such/interpreter\n");
        fs::set_permissions(scene.workspace.join("script"), fs::Permissions::from_mode(0o755)).unwrap();
        scene.run(&["./script"]).exits(127);
        scene.run(&[""]).exits(127);
    }
}

for_each_user! {
    fn a_script_without_a_first_line_runs_as_a_shell_would_run_it(scene) {
        scene.file(&scene.workspace.join("plain"), "echo plain\n");
        fs::set_permissions(scene.workspace.join("plain"), fs::Permissions::from_mode(0o755)).unwrap();
        scene.shell("./plain").success().says("plain");
    }
}

for_each_user! {
    fn wrong_usage_is_askances_own_failure(scene) {
        scene.cli(&["run"]).exits(125);
        scene.cli(&["run", "--no-such-flag", "--", "true"]).exits(125).complains("--no-such-flag");
        scene.cli(&["nonsense"]).exits(125);
        scene.cli(&["run", "--workspace", "/no/such/dir", "--", "true"]).exits(125).complains("/no/such/dir");
        scene.cli(&["--version"]).success().says("askance");
        scene.cli(&["run", "--help"]).success().says("--report");
    }
}

for_each_user! {
    fn the_time_limit_ends_everything_with_124(scene) {
        let start = Instant::now();
        let finished = scene.askance().flags(&["--timeout", "500ms"]).shell("sleep 1000 & setsid sleep 1000 & echo started; sleep 1000").exits(124).says("started");
        assert!(start.elapsed() < Duration::from_secs(10), "{finished}");
        scene.askance().flags(&["--timeout", "60s"]).shell("exit 3").exits(3);
    }
}

for_each_user! {
    fn streams_pass_through_to_the_byte(scene) {
        let bytes: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
        let input = scene.beside("bytes");
        fs::write(&input, &bytes).unwrap();
        let finished = scene.askance().stdin(fs::File::open(&input).unwrap()).shell("cksum; echo err >&2").success();
        let native = scene.bare_shell(&format!("cksum < {}", input.display())).success();
        assert_eq!(finished.stdout, native.stdout);
        assert_eq!(finished.stderr, "err\n", "askance added to standard error");
    }
}

for_each_user! {
    fn questions_and_messages_never_reach_standard_output(scene) {
        let finished = scene.shell("cat ~/.ssh/id_x; echo own").success();
        assert_eq!(finished.stdout, "own\n");
    }
}

for_each_user! {
    fn row_26_daemons_are_dead_at_the_end_of_the_run(scene) {
        let program = build_attack("row_26_daemons");
        let (program, tag) = (program.to_str().unwrap(), scene.workspace.to_str().unwrap());
        // They hold its output, whose end `wait` waits for: it comes only when the last of them is dead.
        let finished = scene.askance().time_limit(Duration::from_secs(20)).run(&[program, "20", tag]).success().says("daemons started");
        assert!(finished.stdout.lines().count() > 1, "{finished}");
        assert_eq!(support::command::processes_that_mention(tag), "");
    }
}

for_each_user! {
    fn row_26_daemons_are_dead_when_the_time_limit_strikes(scene) {
        let program = build_attack("row_26_daemons");
        let (program, tag) = (program.to_str().unwrap(), scene.workspace.to_str().unwrap());
        scene.askance().flags(&["--timeout", "1s"]).run(&[program, "20", tag, "stay"]).exits(124);
        assert_eq!(support::command::processes_that_mention(tag), "");
    }
}

for_each_user! {
    fn row_25_a_killed_supervisor_takes_its_tree_along(scene) {
        let program = build_attack("row_26_daemons");
        let (program, tag) = (program.to_str().unwrap(), scene.workspace.to_str().unwrap());
        let marker = scene.workspace.join("started");
        let line = format!("{program} 20 {tag}; touch {}; exec sleep 1000", marker.display());
        let running = scene.askance().time_limit(Duration::from_secs(20)).start(&["sh", "-c", &line]);
        wait_until("the daemons", Duration::from_secs(20), || marker.exists());
        kill(Pid::from_raw(running.pid()), Signal::SIGKILL).unwrap();
        // Ends when the last process that holds its output is dead.
        assert_eq!(running.wait().code(), 137);
        wait_until("the monitor's end", Duration::from_secs(5), || support::command::processes_that_mention(tag).is_empty());
    }
}

for_each_user! {
    fn row_25_a_terminated_supervisor_ends_its_tree_and_says_so(scene) {
        let marker = scene.workspace.join("started");
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            // Not a shell: dash forgets an interrupt that comes between two of its children.
            let script = format!("import signal; signal.signal(signal.SIGINT, signal.SIG_DFL); open('{}', 'w').close(); signal.pause()", marker.display());
            let running = scene.askance().time_limit(Duration::from_secs(20)).start(&["/usr/bin/python3", "-c", &script]);
            wait_until("the start", Duration::from_secs(20), || marker.exists());
            fs::remove_file(&marker).unwrap();
            kill(Pid::from_raw(running.pid()), signal).unwrap();
            running.wait().exits(128 + signal as i32);
        }
    }
}

for_each_user! {
    fn row_25_a_stopped_supervisor_lets_nothing_through(scene) {
        let born = scene.outside.join("born");
        let go = scene.workspace.join("go");
        let line = format!("touch started; while ! test -e go; do :; done; cat ~/.ssh/id_x; echo x > {}", born.display());
        let running = scene.askance().time_limit(Duration::from_secs(20)).start(&["sh", "-c", &line]);
        wait_until("the start", Duration::from_secs(20), || scene.workspace.join("started").exists());
        let pid = Pid::from_raw(running.pid());
        kill(pid, Signal::SIGSTOP).unwrap();
        scene.file(&go, "");
        std::thread::sleep(Duration::from_millis(300));
        assert!(!born.exists());
        kill(pid, Signal::SIGCONT).unwrap();
        let finished = running.wait().fails();
        assert!(!finished.stdout.contains("TOP-SECRET") && !born.exists(), "{finished}");
    }
}

#[test]
fn row_25_a_full_disk_leaves_the_old_settings_and_the_grant_holds() {
    let scene = Scene::new(User::Caller);
    let settings = scene.user_settings("{ /* old */ }\n");
    let dir = settings.parent().unwrap().display().to_string();
    // A small file system over the settings' directory, filled to the last byte, in a mount namespace of its own.
    let wrapper = format!(
        "unshare -m sh -c 'mount -t tmpfs -o size=16k,mode=755 none {dir} && echo \"{{ /* old */ }}\" > {dir}/settings.json && \
         {{ cat /dev/zero > {dir}/filler 2>/dev/null; \"$@\"; code=$?; cat {dir}/settings.json > {}; exit $code; }}' sh \"$@\"",
        scene.beside("after").display()
    );
    if !scene.bare_shell(&format!("unshare -m mount -t tmpfs none {dir}")).status.success() {
        skip("a full disk", "no right to mount");
        return;
    }
    let out = scene.outside.display().to_string();
    let finished = scene
        .askance()
        .wrapped(&wrapper)
        .answers(format!("write {out}/** always directory user\n"))
        .shell(&format!("echo a > {out}/a; echo b > {out}/b"))
        .success();
    assert_eq!(finished.questions().len(), 1, "the grant does not hold for the run\n{finished}");
    assert_eq!(fs::read_to_string(scene.beside("after")).unwrap(), "{ /* old */ }\n");
    assert!(!finished.stderr.is_empty(), "no warning");
}

for_each_user! {
    fn a_nested_askance_gets_one_clear_line(scene) {
        let askance = support::scene::binary(scene.user).to_str().unwrap().to_owned();
        let finished = scene.run(&[&askance, "run", "--", "true"]).exits(125);
        assert_eq!(finished.stderr.lines().count(), 1, "{finished}");
        assert!(finished.stderr.contains("inside a sandbox"), "{finished}");
    }
}

for_each_user! {
    fn a_run_changes_neither_directory_nor_identity(scene) {
        let line = "pwd; id -u; id -g; umask; echo $HOME; nice; ulimit -n; hostname; cat /proc/self/cgroup | cksum";
        assert_eq!(scene.shell(line).success().stdout, scene.bare_shell(line).success().stdout);
        let sub = scene.workspace.join("sub");
        scene.make_dir(&sub);
        scene.askance().flags(&["--cwd", sub.to_str().unwrap()]).shell("pwd").success().says(sub.to_str().unwrap());
    }
}

for_each_user! {
    fn the_command_holds_no_capability_that_an_ordinary_one_lacks(scene) {
        let finished = scene.shell("grep -E 'Cap|NoNewPrivs' /proc/self/status").success();
        let mask = |name: &str| -> u64 {
            let line = finished.stdout.lines().find(|line| line.starts_with(name)).unwrap();
            u64::from_str_radix(line.rsplit('\t').next().unwrap(), 16).unwrap()
        };
        // CHOWN, DAC_OVERRIDE, FOWNER, FSETID for root; nothing for anybody else.
        let kept = if scene.user == User::Caller && nix::unistd::geteuid().is_root() { 0b1_1011 } else { 0 };
        for name in ["CapPrm", "CapEff"] {
            assert_eq!(mask(name), kept, "{finished}");
        }
        assert_eq!(mask("CapInh") & !kept, 0, "{finished}");
        assert_eq!(mask("CapAmb") & !kept, 0, "{finished}");
        if kept != 0 {
            // Only who holds CAP_SETPCAP can take something off the bounding set.
            assert_eq!(mask("CapBnd") & !kept, 0, "{finished}");
        }
        assert!(finished.stdout.contains("NoNewPrivs:\t1"), "{finished}");
    }
}

for_each_user! {
    fn many_runs_at_once_do_not_disturb_each_other(scene) {
        let running: Vec<_> = (0..16).map(|number| scene.askance().start(&["sh", "-c", &format!("echo {number} > f{number}; cat f{number}; cat ~/.ssh/id_x")])).collect();
        for (number, run) in running.into_iter().enumerate() {
            let finished = run.wait().fails();
            assert_eq!(finished.stdout, format!("{number}\n"));
        }
    }
}

for_each_user! {
    fn closed_standard_streams_are_no_reason_to_fail(scene) {
        scene.askance().wrapped("exec \"$@\" <&- 2>&-").shell("echo out").success().says("out");
        scene.askance().stdin(Stdio::null()).wrapped("exec \"$@\" >&-").shell("exit 4").exits(4);
    }
}

/// Standard streams that are sockets stay what they are, as hosts start programs; the report says what that means.
#[test]
fn a_standard_stream_that_is_a_socket_is_reported() {
    let scene = Scene::new(User::Caller);
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(ours);
    let finished = scene.askance().stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs))).shell("cat").success();
    let notes = finished.report["notes"].to_string();
    assert!(notes.contains("standard input is a Unix socket"), "{finished}");
    assert!(!finished.stderr.contains("socket"), "{finished}");
    assert!(scene.shell("true").success().report["notes"].is_null());
}

/// It is linked statically: a loader would say that it cannot preload this.
#[test]
fn the_supervisor_loads_nothing_that_its_environment_names() {
    let scene = Scene::new(User::Caller);
    let absent = "/nonexistent/askance-preload.so";
    let loaded = std::process::Command::new("true").env("LD_PRELOAD", absent).output().unwrap();
    assert!(String::from_utf8_lossy(&loaded.stderr).contains(absent), "this machine preloads nothing");
    let finished = Launch::new(&scene, Some(vec!["--version".to_owned()])).env("LD_PRELOAD", absent).finish(&[]);
    assert_eq!(finished.success().stderr, "");
}

for_each_user! {
    fn without_home_the_user_database_says_where_it_is(scene) {
        let uid = nix::unistd::Uid::from_raw(fs::metadata(&scene.workspace).unwrap().uid());
        let home = nix::unistd::User::from_uid(uid).unwrap().unwrap().dir;
        let words = vec!["settings".to_owned(), "paths".to_owned()];
        let launch = Launch::new(&scene, Some(words)).env("HOME", "").env("XDG_CONFIG_HOME", "");
        let expected = home.join(".config/askance/settings.json");
        launch.finish(&[]).success().says(expected.to_str().unwrap());
    }
}

for_each_user! {
    fn a_standard_stream_that_is_closed_leads_nowhere(scene) {
        let launch = scene.askance().wrapped("exec \"$@\" <&- 2>&-");
        launch.shell("readlink /proc/self/fd/0 /proc/self/fd/2; ls /proc/self/fd | wc -l; cat; echo lost >&2").success().says("/dev/null\n/dev/null\n4\n");
        let settings = Launch::new(&scene, Some(vec!["settings".to_owned(), "defaults".to_owned()]));
        let piped = settings.wrapped("\"$@\" | head -c 1").finish(&[]);
        assert!(piped.stdout.len() == 1 && !piped.stderr.contains("panicked"), "{piped}");
    }
}

for_each_user! {
    fn as_many_words_as_the_kernel_takes_reach_the_program(scene) {
        let words = "a ".repeat(150_000);
        let many: Vec<&str> = ["sh", "-c", "echo $#", "x"].into_iter().chain(words.split_whitespace()).collect();
        scene.run(&many).success().says("150000");
        let long = "b".repeat(120 << 10);
        scene.run(&["sh", "-c", "echo ${#1}", "x", &long]).success().says(&long.len().to_string());
    }
}

/// The first processes of a run begin on another processor than askance's. Nothing shows that afterwards.
fn processors(scene: &Scene, wrapped: &str) -> Vec<String> {
    let line = "sleep 0.3; for process in self $PPID; do grep Cpus_allowed: /proc/$process/status; done";
    let finished = scene.askance().wrapped(wrapped).shell(line).success();
    finished.stdout.lines().map(str::to_owned).collect()
}

for_each_user! {
    fn a_command_may_use_the_processors_that_its_caller_may(scene) {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let own = status.lines().find(|line| line.starts_with("Cpus_allowed:")).unwrap();
        assert_eq!(processors(&scene, "exec \"$@\""), [own, own]);
        // The first one that there is, alone.
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:\t")).unwrap();
        let first: String = list.chars().take_while(char::is_ascii_digit).collect();
        let bits = |line: &String| line.chars().filter_map(|digit| digit.to_digit(16)).map(u32::count_ones).sum::<u32>();
        let one = processors(&scene, &format!("exec taskset -c {first} \"$@\""));
        let mask = one[0].trim_start_matches("Cpus_allowed:").to_owned();
        assert!(one.len() == 2 && one[0] == one[1] && bits(&mask) == 1, "{one:?}");
        // Nor is a thread of askance kept anywhere.
        let marker = scene.workspace.join("started");
        let line = format!("touch {}; exec sleep 1000", marker.display());
        let running = scene.askance().time_limit(Duration::from_secs(20)).start(&["sh", "-c", &line]);
        wait_until("the start", Duration::from_secs(20), || marker.exists());
        let threads = fs::read_dir(format!("/proc/{}/task", running.pid())).unwrap();
        let masks: Vec<_> = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("status")).unwrap()).collect();
        assert!(masks.len() > 1 && masks.iter().all(|status| status.lines().any(|line| line == own)), "{masks:?}");
        kill(Pid::from_raw(running.pid()), Signal::SIGTERM).unwrap();
        running.wait().exits(143);
    }
}

for_each_user! {
    fn the_supervisors_descriptors_have_room_and_none_of_the_floors_is_left(scene) {
        let marker = scene.workspace.join("started");
        let line = format!("touch {}; exec sleep 1000", marker.display());
        let running = scene.askance().time_limit(Duration::from_secs(20)).start(&["sh", "-c", &line]);
        wait_until("the start", Duration::from_secs(20), || marker.exists());
        // Growing it later, among threads, would hold a call up for milliseconds.
        let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
        let size = status.lines().find_map(|line| line.strip_prefix("FDSize:\t")).unwrap();
        assert!(size.parse::<u32>().unwrap() >= 512, "{size}");
        wait_until("the floor's paths to be closed", Duration::from_secs(20), || {
            let descriptors = fs::read_dir(format!("/proc/{}/fd", running.pid())).unwrap();
            let paths: Vec<_> = descriptors.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok()).collect();
            !paths.is_empty() && paths.len() < 50 && !paths.iter().any(|path| path.starts_with("/usr"))
        });
        kill(Pid::from_raw(running.pid()), Signal::SIGTERM).unwrap();
        running.wait().exits(143);
    }
}
