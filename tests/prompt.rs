//! Questions: on a terminal, from an answers file, and what nobody can forge.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::time::{Duration, Instant};

use support::network::wait_until;
use support::terminal::Terminal;
use support::{Scene, User, build_attack};

for_each_user! {
    fn a_key_lets_the_program_go_on_from_the_very_call(scene) {
        let mut terminal = Terminal::run(&scene, &[], &["sh", "-c", "cat ~/.ssh/id_x; echo ended $?"]);
        terminal.answer(scene.secret().to_str().unwrap(), "y", "TOP-SECRET");
        terminal.expect("ended 0");
        assert!(terminal.shown().contains("cat"), "the question names no program: {}", terminal.shown());
        assert_eq!(terminal.wait(), 0);
    }
}

for_each_user! {
    fn no_is_an_error_that_the_program_sees(scene) {
        let mut terminal = Terminal::run(&scene, &[], &["sh", "-c", "cat ~/.ssh/id_x; echo ended $?"]);
        terminal.answer("id_x", "n", "ermission denied");
        terminal.expect("ended 1");
        assert_eq!(terminal.wait(), 0);
    }
}

for_each_user! {
    fn always_for_a_directory_is_written_to_the_project(scene) {
        let file = scene.outside.join("f");
        let line = format!("echo x > {0}; cat {0}; echo y > {0}2; echo ended", file.display());
        let mut terminal = Terminal::run(&scene, &[], &["sh", "-c", &line]);
        terminal.answer(file.to_str().unwrap(), "d", "ended");
        assert_eq!(terminal.wait(), 0);
        let text = fs::read_to_string(scene.local_settings_path()).unwrap();
        assert!(text.contains(scene.outside.to_str().unwrap()), "{text}");
        scene.shell(&line).success().asks_nothing();
    }
}

for_each_user! {
    fn the_place_of_always_can_be_changed_to_the_user(scene) {
        let file = scene.outside.join("f");
        let mut terminal = Terminal::run(&scene, &[], &["sh", "-c", &format!("echo x > {}; echo ended", file.display())]);
        terminal.answer("outside/f", "u", "answer: ");
        let until = Instant::now() + Duration::from_secs(10);
        while terminal.appears("ended", Duration::from_millis(200)).is_none() {
            terminal.send("f");
            assert!(Instant::now() < until, "{}", terminal.shown());
        }
        assert_eq!(terminal.wait(), 0);
        assert!(fs::read_to_string(scene.user_settings_path()).unwrap().contains(file.to_str().unwrap()));
        assert!(!scene.local_settings_path().exists());
    }
}

for_each_user! {
    fn keys_typed_ahead_do_not_answer(scene) {
        let script = "echo ready; while ! test -e go; do :; done; cat ~/.ssh/id_x; echo ended";
        let mut terminal = Terminal::run(&scene, &[], &["sh", "-c", script]);
        terminal.expect("ready");
        terminal.send("yyyyyyyy");
        scene.file(&scene.workspace.join("go"), "");
        terminal.expect("answer: ");
        terminal.send("y");
        assert_eq!(terminal.appears("TOP-SECRET", Duration::from_millis(150)), None, "{}", terminal.shown());
        terminal.send("n");
        while terminal.appears("ended", Duration::from_millis(200)).is_none() {
            terminal.send("n");
        }
        assert!(!terminal.shown().contains("TOP-SECRET"), "{}", terminal.shown());
    }
}

for_each_user! {
    fn row_22_names_with_escape_sequences_are_shown_harmless(scene) {
        let name = "evil\u{1b}[2J\u{1b}]0;x\u{7}\r\u{202e}answer: yes";
        scene.file(&scene.home.join(".ssh").join(name), "TOP-SECRET\n");
        let mut terminal = Terminal::run(&scene, &[], &["sh", "-c", "cat ~/.ssh/evil*; echo ended"]);
        // The pattern cannot be expanded without listing: that is the first question.
        terminal.answer(".ssh", "y", "askance asks");
        terminal.expect("answer: ");
        let shown = terminal.shown();
        for raw in ["\u{1b}[2J", "\u{1b}]0;", "\u{202e}", "\u{7}"] {
            assert!(!shown.contains(raw), "{raw:?} reached the terminal: {shown:?}");
        }
        assert!(shown.contains("evil"), "{shown}");
    }
}

for_each_user! {
    fn row_22_nothing_pushed_into_a_terminal_answers(scene) {
        let program = build_attack("row_22_terminal");
        let program = program.to_str().unwrap();
        let mut bare = Terminal::bare(&scene, &[program]);
        if bare.appears("through: TIOCSTI", Duration::from_secs(10)).is_none() {
            support::skip("TIOCSTI", "this kernel pushes nothing into terminals anyway");
        }
        let out = scene.workspace.join("out");
        let script = format!("{program} $REAL > {}; cat ~/.ssh/id_x; echo ended", out.display());
        let command = scene.askance().env("NO_COLOR", "1").wrapped("REAL=$(tty) exec \"$@\"").flags(&["--", "sh", "-c", &script]).command(&[], None);
        let mut terminal = Terminal::start(&command);
        let until = Instant::now() + Duration::from_secs(30);
        while terminal.appears("ended", Duration::from_millis(200)).is_none() {
            // Whatever is asked is denied: only a forged key could let the secret through.
            terminal.send("n");
            assert!(Instant::now() < until, "{}", terminal.shown());
        }
        let said = fs::read_to_string(&out).unwrap();
        assert!(said.contains("HELD"), "{said}");
        assert!(!terminal.shown().contains("TOP-SECRET"), "{}", terminal.shown());
    }
}

for_each_user! {
    fn row_04_a_question_is_withdrawn_when_its_process_dies(scene) {
        let program = build_attack("row_04_dies");
        let born = scene.outside.join("born");
        let go = scene.workspace.join("go");
        let argv = [program.to_str().unwrap(), "wait", born.to_str().unwrap(), go.to_str().unwrap()];
        let mut terminal = Terminal::run(&scene, &[], &argv);
        terminal.expect("askance asks");
        terminal.expect("answer: ");
        scene.file(&go, "");
        terminal.expect("no longer asked");
        // Output is held while a question is open: it may come before this one or after.
        wait_until("the program's end", Duration::from_secs(10), || terminal.shown().contains("HELD"));
        assert!(terminal.shown().contains("killed while it waited"), "{}", terminal.shown());
        assert_eq!(terminal.wait(), 0);
        assert!(!born.exists());
    }
}

for_each_user! {
    fn row_32_a_link_exchanged_after_its_question_is_asked_about_again(scene) {
        let program = build_attack("row_32_swap_after_question");
        let first = scene.home.join(".ssh/first");
        scene.file(&first, "harmless\n");
        let (link, go) = (scene.workspace.join("link"), scene.workspace.join("go"));
        let words = [program.as_path(), &link, &first, &scene.secret(), &go].map(|path| path.to_str().unwrap().to_owned());
        let script = format!("{} > out; echo en''ded", words.join(" "));
        let mut terminal = Terminal::run(&scene, &[], &["sh", "-c", &script]);
        terminal.expect("askance asks");
        terminal.expect(".ssh/first");
        scene.file(&go, "");
        let out = || fs::read_to_string(scene.workspace.join("out")).unwrap_or_default();
        wait_until("the exchange", Duration::from_secs(10), || out().contains("exchanged"));
        let until = Instant::now() + Duration::from_secs(10);
        while terminal.appears("askance asks", Duration::from_millis(200)).is_none() {
            terminal.send("y");
            assert!(Instant::now() < until && !out().contains("GOT-THROUGH"), "{}", terminal.shown());
        }
        terminal.expect("id_x");
        while terminal.appears("ended", Duration::from_millis(200)).is_none() {
            terminal.send("n");
            assert!(Instant::now() < until, "{}", terminal.shown());
        }
        assert!(out().contains("HELD 1"), "{}", out());
    }
}

/// How long a question stays open while others work; 30 s by hand, shorter by default.
fn open_for() -> Duration {
    Duration::from_secs(std::env::var("ASKANCE_QUESTION_SECONDS").map_or(3, |text| text.parse().unwrap()))
}

for_each_user! {
    fn row_30_an_open_question_slows_nobody_down(scene) {
        let program = build_attack("row_30_waiting");
        let permitted = scene.workspace.join("permitted");
        scene.file(&permitted, "x");
        let (program, permitted) = (program.to_str().unwrap(), permitted.to_str().unwrap().to_owned());
        let micros = |text: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with("opens ")).unwrap();
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        let none = scene.workspace.join("none");
        let idle = scene.run(&[program, none.to_str().unwrap(), &permitted, "10000"]).success();
        let script = format!("{program} ~/.ssh/id_x {permitted} 10000 > out");
        let mut terminal = Terminal::run(&scene, &[], &["sh", "-c", &script]);
        let opened = Instant::now();
        terminal.expect("askance asks");
        let out = || fs::read_to_string(scene.workspace.join("out")).unwrap_or_default();
        wait_until("10,000 opens beside an open question", Duration::from_secs(30), || out().contains("microseconds"));
        assert!(out().contains("waited yes"), "{}", out());
        let (with, without) = (micros(&out()), micros(&idle.stdout));
        assert!(with < 3.0 * without + 200_000.0, "{with} µs beside an open question, {without} µs without");
        std::thread::sleep(open_for().saturating_sub(opened.elapsed()));
        assert!(!out().contains("answered"), "{}", out());
        let until = Instant::now() + Duration::from_secs(10);
        while !out().contains("answered 0") {
            terminal.send("y");
            std::thread::sleep(Duration::from_millis(100));
            assert!(Instant::now() < until, "{}", terminal.shown());
        }
        assert_eq!(terminal.wait(), 0);
    }
}

for_each_user! {
    fn equal_questions_that_wait_together_are_asked_once(scene) {
        let script = "cat ~/.ssh/id_x > a & cat ~/.ssh/id_x > b & cat ~/.ssh/id_x > c & wait; cat a b c; echo ended";
        let mut terminal = Terminal::run(&scene, &[], &["sh", "-c", script]);
        terminal.answer("id_x", "r", "ended");
        let shown = terminal.shown();
        assert_eq!(shown.matches("TOP-SECRET").count(), 3, "{shown}");
        assert_eq!(terminal.wait(), 0);
    }
}

for_each_user! {
    fn an_answers_file_takes_the_first_line_that_matches(scene) {
        let lines = "# comment\n\nread ~/.ssh/other deny\nread ~/.ssh/* once\nread ~/.ssh/id_x deny\n";
        scene.file(&scene.home.join(".ssh/other"), "TOP-SECRET\n");
        scene.askance().answers(lines).shell("cat ~/.ssh/id_x").success();
        scene.askance().answers(lines).shell("cat ~/.ssh/other").fails();
        scene.askance().answers(lines).shell(&format!("echo x > {}/f", scene.outside.display())).fails();
    }
}

for_each_user! {
    fn a_broken_answers_file_names_its_line_and_nothing_runs(scene) {
        let finished = scene.askance().answers("read ~/x once\nread ~/y perhaps\n").shell("echo ran").exits(125);
        assert!(!finished.stdout.contains("ran"), "{finished}");
        finished.complains(":2");
        scene.cli(&["run", "--prompt", "answers=/nonexistent", "--", "true"]).exits(125).complains("/nonexistent");
    }
}
