//! Signals and time: handlers run while calls wait or are brokered, nothing is lost, nothing loops.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::time::{Duration, Instant};

use support::network::wait_until;
use support::terminal::Terminal;
use support::{Scene, User, build_attack};

/// `signals N interrupted M others K` of a storm.
fn numbers(said: &str) -> [u64; 3] {
    let line = said.lines().find(|line| line.starts_with("signals ")).unwrap_or_else(|| panic!("{said}"));
    let found: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    found.try_into().unwrap()
}

for_each_user! {
    fn a_storm_of_restarting_signals_fails_no_brokered_call(scene) {
        let program = build_attack("signals");
        // Go pre-empts with SIGURG every 10 ms; 200 µs is a storm.
        for pause in ["10000", "200"] {
            let file = scene.workspace.join("stormed");
            let argv = [program.to_str().unwrap(), "storm", file.to_str().unwrap(), "800", pause, "1"];
            let finished = scene.run(&argv).success();
            let [signals, interrupted, others] = numbers(&finished.stdout);
            assert!(signals > 0, "{finished}");
            assert_eq!((interrupted, others), (0, 0), "a call with SA_RESTART failed\n{finished}");
        }
    }
}

for_each_user! {
    fn what_a_signal_without_restart_interrupts_was_not_done(scene) {
        let program = build_attack("signals");
        let file = scene.workspace.join("stormed");
        let argv = [program.to_str().unwrap(), "storm", file.to_str().unwrap(), "800", "500", "0"];
        let finished = scene.run(&argv).success();
        let [signals, _, others] = numbers(&finished.stdout);
        assert!(signals > 0, "{finished}");
        // A call that was carried out and answered EINTR would fail when it is tried again: EEXIST, ENOENT.
        assert_eq!(others, 0, "{finished}");
    }
}

/// Runs `signals` so that its open is asked about, waits until `ready`, answers, and gives what it said.
fn asked(scene: &Scene, arguments: &str, open_for: Duration) -> String {
    let program = build_attack("signals");
    let out = scene.workspace.join("out");
    let script = format!("{} {arguments} > {}; echo en''ded", program.display(), out.display());
    let mut terminal = Terminal::run(scene, &[], &["sh", "-c", &script]);
    terminal.expect("askance asks");
    std::thread::sleep(open_for);
    let until = Instant::now() + Duration::from_secs(10);
    while terminal.appears("ended", Duration::from_millis(200)).is_none() {
        terminal.send("y");
        assert!(Instant::now() < until, "{}", terminal.shown());
    }
    fs::read_to_string(out).unwrap()
}

fn first_number(said: &str) -> u64 {
    said.split(' ').find_map(|word| word.parse().ok()).unwrap_or_else(|| panic!("{said}"))
}

for_each_user! {
    fn an_interval_timer_ticks_on_while_a_question_is_open(scene) {
        let said = asked(&scene, "question ~/.ssh/id_x 1", Duration::from_millis(700));
        assert!(said.contains("result opened"), "{said}");
        // 100 a second; on a busy machine some are merged.
        assert!(first_number(&said) >= 15, "{said}");
    }
}

for_each_user! {
    fn children_end_and_are_noticed_while_a_question_is_open(scene) {
        let said = asked(&scene, "child ~/.ssh/id_x", Duration::from_millis(700));
        assert!(said.contains("children 5 result opened"), "{said}");
    }
}

for_each_user! {
    fn a_signal_without_restart_ends_the_open_that_waits(scene) {
        let program = build_attack("signals");
        let out = scene.workspace.join("out");
        let script = format!("{} question ~/.ssh/id_x 0 > {}; echo en''ded", program.display(), out.display());
        let mut terminal = Terminal::run(&scene, &[], &["sh", "-c", &script]);
        terminal.expect("ended");
        let said = fs::read_to_string(out).unwrap();
        assert!(said.contains("result EINTR") && first_number(&said) >= 1, "{said}");
    }
}

for_each_user! {
    fn control_z_and_fg_pass_an_open_question(scene) {
        let script = "echo star''ted; cat ~/.ssh/id_x; echo en''ded $?";
        let mut terminal = Terminal::run(&scene, &[], &["bash", "--norc", "-i"]);
        terminal.send("PS1='prompt> '; echo rea''dy\n");
        terminal.expect("ready");
        terminal.send(&format!("sh -c \"{}\"\n", script.replace('$', "\\$")));
        terminal.expect("started");
        terminal.expect("askance asks");
        terminal.expect("answer: ");
        // Ctrl-Z at a question belongs to askance's own job; the command's is stopped from elsewhere.
        let stopped = stop_all(&scene);
        assert!(!stopped.is_empty());
        std::thread::sleep(Duration::from_millis(100));
        continue_all(&stopped);
        let until = Instant::now() + Duration::from_secs(20);
        while terminal.appears("ended 0", Duration::from_millis(200)).is_none() {
            terminal.send("y");
            assert!(Instant::now() < until, "{}", terminal.shown());
        }
        assert!(terminal.shown().contains("TOP-SECRET"), "{}", terminal.shown());
    }
}

/// Stops every `cat` that stands in the workspace.
fn stop_all(scene: &Scene) -> Vec<i32> {
    let mut found = Vec::new();
    wait_until("a cat to stop", Duration::from_secs(10), || {
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
            let is_cat = fs::read_to_string(entry.path().join("comm")).is_ok_and(|name| name == "cat\n");
            if is_cat && fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == scene.workspace) {
                found.push(pid);
            }
        }
        !found.is_empty()
    });
    for pid in &found {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), nix::sys::signal::Signal::SIGTSTP);
    }
    found
}

fn continue_all(pids: &[i32]) {
    for pid in pids {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), nix::sys::signal::Signal::SIGCONT);
    }
}

for_each_user! {
    fn control_z_typed_at_an_open_question_stops_askance_and_fg_asks_again(scene) {
        let askance = support::scene::binary(scene.user).to_str().unwrap().to_owned();
        // With the command's output relayed, and with a command that has no part of the terminal.
        for streams in ["", " < /dev/null > out 2>&1"] {
            let mut outer = Terminal::bare(&scene, &["bash", "--norc", "-i"]);
            outer.send("PS1='prompt> '; echo rea''dy\n");
            outer.expect("ready");
            let out = if streams.is_empty() { "cat out 2> /dev/null" } else { "cat out" };
            outer.send(&format!("{askance} run --prompt tty -- sh -c 'cat ~/.ssh/id_x; echo en''ded $?'{streams}; {out}\n"));
            for _ in 0..2 {
                outer.expect("askance asks");
                outer.expect("answer: ");
                // Typed too early after the question it does not count.
                let until = Instant::now() + Duration::from_secs(10);
                while outer.appears("Stopped", Duration::from_millis(200)).is_none() {
                    outer.control('z');
                    assert!(Instant::now() < until, "{}", outer.shown());
                }
                outer.expect("prompt> ");
                // The shell has its terminal back, in its own mode, and the question takes none of its keys.
                outer.send("y=sta''nds; echo it $y; stty -a | grep -c ' icanon'\n");
                outer.expect("it stands");
                outer.expect("1");
                outer.send("fg\n");
            }
            outer.answer("id_x", "y", if streams.is_empty() { "ended 0" } else { "prompt> " });
            if !streams.is_empty() {
                outer.send("sed s/^/out:/ out\n");
                outer.expect("out:ended 0");
            }
            assert!(outer.shown().contains("TOP-SECRET"), "{}", outer.shown());
        }
    }
}

for_each_user! {
    fn control_c_at_a_question_denies_it_and_ends_the_command(scene) {
        let mut terminal = Terminal::run(&scene, &[], &["sh", "-c", "cat ~/.ssh/id_x; echo en''ded"]);
        terminal.expect("askance asks");
        terminal.expect("answer: ");
        let until = Instant::now() + Duration::from_secs(10);
        while terminal.is_running() {
            terminal.control('c');
            std::thread::sleep(Duration::from_millis(100));
            assert!(Instant::now() < until, "{}", terminal.shown());
        }
        assert!(!terminal.shown().contains("TOP-SECRET") && !terminal.shown().contains("ended\r\n"), "{}", terminal.shown());
        assert_eq!(terminal.wait(), 130);
    }
}
