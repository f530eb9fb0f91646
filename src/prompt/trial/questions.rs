//! Questions on a terminal that the command does not have.

use std::time::Duration;

use nix::sys::signal::Signal;
use rustix::termios::{Winsize, tcsetwinsize};

use super::{Trial, is_raw};

const ANSWER: &str = "answer: ";

#[test]
fn a_single_key_answers_and_leaves_one_line() {
    let mut trial = Trial::start(None);
    trial.order("ask 1 read /home/me/.ssh/config");
    trial.see("read     /home/me/.ssh/config");
    trial.see(ANSWER);
    trial.read_the_question();
    trial.press("y");
    trial.expect_report("answer 1 Once");
    trial.see("✓ read ~/.ssh/config — once\r\n");
}

#[test]
fn keys_typed_before_the_question_answer_nothing() {
    let mut trial = Trial::start(None);
    // In the terminal's input queue when the question appears.
    trial.press("yyyy\ny\n");
    trial.order("ask 1 read /a");
    trial.see(ANSWER);
    // And at once after it appeared.
    trial.press("y");
    std::thread::sleep(Duration::from_millis(500));
    trial.order("withdraw 1");
    trial.see("no longer asked");
    trial.order("ask 2 read /b");
    trial.see(ANSWER);
    std::thread::sleep(Duration::from_millis(1000));
    trial.press("n");
    trial.expect_report("answer 2 Deny");
}

#[test]
fn pasted_text_answers_nothing() {
    let mut trial = Trial::start(None);
    trial.order("ask 1 read /a");
    trial.see(ANSWER);
    trial.read_the_question();
    for pasted in ["yes", "\x1b[200~y\x1b[201~", "\x1b]ly\x1b\\", "\x1b[24;80R"] {
        trial.press(pasted);
        std::thread::sleep(Duration::from_millis(300));
    }
    trial.press("n");
    trial.expect_report("answer 1 Deny");
}

#[test]
fn questions_are_asked_one_at_a_time_and_say_how_many_wait() {
    let mut trial = Trial::start(None);
    trial.order("ask 1 read /one");
    trial.see(ANSWER);
    trial.order("ask 2 read /two");
    trial.see("(1 more waiting)");
    trial.order("ask 3 read /three");
    trial.see("(2 more waiting)");
    for (id, key, answer) in [(1, "r", "Run"), (2, "s", "Session"), (3, "n", "Deny")] {
        trial.see(ANSWER);
        trial.read_the_question();
        trial.press(key);
        trial.expect_report(&format!("answer {id} {answer}"));
    }
}

#[test]
fn a_withdrawn_question_vanishes_and_the_next_one_is_not_answered_by_a_late_key() {
    let mut trial = Trial::start(None);
    trial.order("ask 1 read /one");
    trial.see(ANSWER);
    trial.read_the_question();
    trial.order("ask 2 read /two");
    trial.see("(1 more waiting)");
    trial.see(ANSWER);
    trial.order("withdraw 1");
    trial.see("· read /one — no longer asked");
    trial.see("read     /two");
    trial.see(ANSWER);
    trial.read_the_question();
    trial.press("y");
    std::thread::sleep(Duration::from_millis(600));
    trial.press("n");
    trial.expect_report("answer 2 Deny");
}

#[test]
fn always_offers_scope_and_place() {
    let mut trial = Trial::start(None);
    trial.order("ask 1 write /srv/out/f");
    trial.see("saved    for this project   u for all your projects");
    trial.see(ANSWER);
    trial.read_the_question();
    trial.press("u");
    trial.see("saved    for all your projects");
    trial.see(ANSWER);
    trial.press("d");
    trial.expect_report("answer 1 Always { scope: Directory, place: User, root: None }");
    trial.see("✓ write /srv/out/f — always all of /srv/out, for all your projects");
}

#[test]
fn a_name_with_control_characters_cannot_touch_the_screen() {
    let mut trial = Trial::start(None);
    trial.order("ask 1 read /a\u{202e}\x1b]0;title\x07\x1b[2J");
    let before = trial.see(ANSWER);
    assert!(before.contains("/a\\u{202e}\\x1b]0;title\\x07\\x1b[2J"), "{before:?}");
    assert!(!before.contains("\x1b]0;"), "{before:?}");
}

#[test]
fn control_c_denies_what_waits_and_interrupts_the_run() {
    let mut trial = Trial::start(None);
    let before = trial.modes();
    trial.order("ask 1 read /a");
    trial.order("ask 2 read /b");
    trial.see("(1 more waiting)");
    assert!(is_raw(&trial.modes()));
    trial.press("\x03");
    trial.expect_report("interrupted");
    trial.expect_report("answer 1 Deny");
    trial.expect_report("answer 2 Deny");
    trial.order("finish");
    trial.expect_report("finished");
    assert_eq!(format!("{:?}", trial.modes()), format!("{before:?}"));
}

#[test]
fn control_d_denies() {
    let mut trial = Trial::start(None);
    trial.order("ask 1 read /a");
    trial.see(ANSWER);
    trial.read_the_question();
    trial.press("\x04");
    trial.expect_report("answer 1 Deny");
}

#[test]
fn the_terminal_gets_its_modes_back_between_questions() {
    let mut trial = Trial::start(None);
    trial.order("ask 1 read /a");
    trial.see(ANSWER);
    assert!(is_raw(&trial.modes()));
    trial.read_the_question();
    trial.press("y");
    trial.expect_report("answer 1 Once");
    assert!(!is_raw(&trial.modes()));
}

#[test]
fn every_way_out_gives_the_modes_back() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT] {
        let mut trial = Trial::start(None);
        trial.order("ask 1 read /a");
        trial.see(ANSWER);
        assert!(is_raw(&trial.modes()));
        trial.session.process_mut().signal(signal).unwrap();
        trial.session.process().wait().unwrap();
        assert!(!is_raw(&trial.modes()), "{signal}");
    }
    for end in ["panic", "exit"] {
        let mut trial = Trial::start(None);
        trial.order("ask 1 read /a");
        trial.see(ANSWER);
        assert!(is_raw(&trial.modes()));
        trial.order(end);
        trial.session.exp_eof().unwrap();
        assert!(!is_raw(&trial.modes()), "{end}");
    }
}

#[test]
fn a_terminal_that_hangs_up_denies() {
    // The helper's terminal is `script`'s, which dies.
    let wrapper = "trap '' HUP; script -qfc \"$0 $*\" /dev/null < <(sleep 60) & read -r; kill -9 $!; sleep 60";
    let mut trial = Trial::start_with(None, wrapper);
    trial.order("ask 1 read /a");
    trial.see(ANSWER);
    trial.press("\n");
    trial.expect_report("answer 1 Deny");
    trial.order("ask 2 read /b");
    trial.expect_report("answer 2 Deny");
}

#[test]
fn a_question_is_drawn_anew_when_the_window_changes() {
    let mut trial = Trial::start(None);
    trial.order("ask 1 read /home/me/a/rather/long/path/that/does/not/fit/into/a/narrow/window");
    trial.see(ANSWER);
    let narrow = Winsize { ws_row: 30, ws_col: 30, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&trial.terminal, narrow).unwrap();
    trial.see("arrow/window\r\n");
    trial.see(ANSWER);
}

#[test]
fn a_background_job_asks_when_it_comes_to_the_foreground() {
    // The helper runs as a background job; the shell fetches it when told.
    let mut trial = Trial::start_with(None, "set -m; \"$0\" \"$@\" & read; fg >/dev/null");
    trial.order("ask 1 read /a");
    trial.see("· read /a — askance waits for the foreground (fg)");
    assert!(!is_raw(&trial.modes()));
    trial.press("\n");
    trial.see(ANSWER);
    trial.read_the_question();
    trial.press("y");
    trial.expect_report("answer 1 Once");
}

#[test]
fn control_z_stops_the_job_and_the_question_comes_back() {
    let mut trial = Trial::start_with(None, "set -m; \"$0\" \"$@\"; echo stopped; read; fg >/dev/null");
    trial.order("ask 1 read /a");
    trial.see(ANSWER);
    trial.read_the_question();
    trial.press("\x1a");
    trial.see("stopped");
    assert!(!is_raw(&trial.modes()));
    trial.press("\n");
    trial.see("read     /a");
    trial.see(ANSWER);
    trial.read_the_question();
    trial.press("y");
    trial.expect_report("answer 1 Once");
}
