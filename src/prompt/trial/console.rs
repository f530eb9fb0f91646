//! Questions while the command has a pseudo-terminal of its own.

use std::time::Duration;

use nix::sys::signal::Signal;
use rustix::termios::{Winsize, tcsetwinsize};

use super::{Trial, is_raw};

const ANSWER: &str = "answer: ";

#[test]
fn the_command_has_a_terminal_of_its_own() {
    let mut trial = Trial::start(Some(
        "tty; stty size; test -t 0 && test -t 1 && test -t 2 && echo all three; read -r line; echo \"got $line\"",
    ));
    trial.see("/dev/pts/");
    trial.see("30 80");
    trial.see("all three\r\n");
    trial.press("hello\r");
    trial.see("got hello\r\n");
    trial.order("finish");
    trial.expect_report("finished");
}

#[test]
fn all_output_is_shown_to_the_last_byte_and_the_modes_are_given_back() {
    let mut trial = Trial::start(Some("seq 1 200000; printf end"));
    let before = "200000\r\nend";
    trial.order("finish");
    trial.see(before);
    trial.expect_report("finished");
    trial.session.exp_eof().unwrap();
    assert!(!is_raw(&trial.modes()));
}

#[test]
fn control_c_goes_through_the_commands_own_terminal() {
    let mut trial = Trial::start(Some("trap 'echo interrupted; exit' INT; echo ready; while :; do sleep 0.1; done"));
    trial.see("ready");
    trial.press("\x03");
    trial.see("interrupted");
    trial.order("finish");
    trial.expect_report("finished");
}

#[test]
fn the_window_size_is_passed_on() {
    let mut trial = Trial::start(Some("trap 'stty size' WINCH; echo ready; while :; do sleep 0.1; done"));
    trial.see("ready");
    tcsetwinsize(&trial.terminal, Winsize { ws_row: 40, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    trial.see("40 100");
}

#[test]
fn output_and_keys_are_held_while_a_question_is_open() {
    let mut trial = Trial::start(Some("echo before; read -r go; while :; do echo noise; sleep 0.02; done"));
    trial.see("before");
    trial.press("\r");
    trial.see("noise");
    trial.order("ask 1 read /a");
    trial.see(ANSWER);
    trial.read_the_question();
    while trial.session.try_read().is_some() {}
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(trial.session.try_read(), None, "something was shown while the question was open");
    trial.press("y");
    trial.expect_report("answer 1 Once");
    trial.see("✓ read /a — once\r\n");
    trial.see("noise");
}

#[test]
fn what_was_written_before_the_question_is_shown_before_it() {
    let mut trial = Trial::start(Some("read -r go; printf 'reading the key: '; sleep 100"));
    trial.press("\r");
    std::thread::sleep(Duration::from_millis(200));
    trial.order("ask 1 read /a");
    let before = trial.see("askance asks");
    assert!(before.contains("reading the key: "), "{before:?}");
    // On a line of its own.
    assert!(before.ends_with("\r\n╭ "), "{before:?}");
}

#[test]
fn a_question_leaves_a_full_screen_program_its_screen() {
    let script = "printf '\\033[?1049h\\033[?25lfull'; trap 'echo redrawn' WINCH; while :; do sleep 0.1; done";
    let mut trial = Trial::start(Some(script));
    trial.see("full");
    trial.order("ask 1 read /a");
    let before = trial.see(ANSWER);
    assert!(before.contains("\x1b[?1049l") && before.contains("\x1b[?25h"), "{before:?}");
    trial.read_the_question();
    trial.press("y");
    trial.see("\x1b[?1049h");
    trial.see("redrawn");
}

#[test]
fn an_answer_the_command_asks_its_terminal_for_is_no_answer() {
    // The command asks for a report just before its access; the terminal's reply arrives late.
    let mut trial = Trial::start(Some("printf '\\033[21t'; sleep 100"));
    trial.see("\x1b[21t");
    trial.order("ask 1 read /a");
    trial.see(ANSWER);
    trial.read_the_question();
    trial.press("\x1b]ly\x1b\\");
    std::thread::sleep(Duration::from_millis(300));
    trial.press("n");
    trial.expect_report("answer 1 Deny");
}

#[test]
fn being_killed_gives_the_modes_back() {
    let mut trial = Trial::start(Some("echo ready; sleep 100"));
    trial.see("ready");
    assert!(is_raw(&trial.modes()));
    trial.session.process_mut().signal(Signal::SIGTERM).unwrap();
    trial.session.process().wait().unwrap();
    assert!(!is_raw(&trial.modes()));
}

#[test]
fn a_background_start_does_not_hang_and_leaves_the_terminal_alone() {
    let mut trial = Trial::start_with(
        Some("echo shown; read -r line; echo \"got $line\""),
        "set -m; \"$0\" \"$@\" & read; fg >/dev/null",
    );
    trial.see("shown");
    assert!(!is_raw(&trial.modes()));
    trial.press("\n");
    // The relay sees within its check that it came to the foreground.
    std::thread::sleep(Duration::from_millis(500));
    assert!(is_raw(&trial.modes()));
    trial.press("hello\r");
    trial.see("got hello");
}

#[test]
fn a_stopped_command_stops_the_job_and_goes_on_with_it() {
    let mut trial =
        Trial::start_with(Some("echo ready; sleep 100"), "set -m; \"$0\" \"$@\"; echo stopped; read; fg >/dev/null");
    trial.see("ready");
    assert!(is_raw(&trial.modes()));
    trial.order("suspend");
    trial.see("stopped");
    assert!(!is_raw(&trial.modes()));
    trial.press("\n");
    std::thread::sleep(Duration::from_millis(500));
    assert!(is_raw(&trial.modes()));
}

#[test]
fn the_commands_terminal_hangs_up_with_the_real_one() {
    let wrapper = "trap '' HUP; script -qfc \"$0 $*\" /dev/null < <(sleep 60) & read -r; kill -9 $!; sleep 60";
    let mut trial = Trial::start_with(Some("trap '' HUP; echo ready; cat"), wrapper);
    trial.see("ready");
    trial.order("finish");
    trial.press("\n");
    // The command read the end of its input and exited.
    trial.expect_report("finished");
}
