//! Interactive programs on a terminal: job control, window size, line editors, as without the sandbox.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use support::terminal::Terminal;
use support::{Scene, User, unavailable};

for_each_user! {
    fn an_interactive_shell_stops_and_continues_its_jobs(scene) {
        let mut terminal = Terminal::run(&scene, &[], &["bash", "--norc", "-i"]);
        terminal.send("PS1='prompt> '; echo rea''dy\n");
        terminal.expect("ready");
        terminal.send("sleep 1000\n");
        terminal.expect("sleep 1000");
        // The job is in the foreground when the shell no longer reads the terminal: then it can be stopped.
        foreground_job(&scene, &terminal, "sleep");
        terminal.control('z');
        terminal.expect("Stopped");
        terminal.expect("prompt> ");
        terminal.send("fg\n");
        terminal.expect("sleep 1000");
        foreground_job(&scene, &terminal, "sleep");
        terminal.control('c');
        terminal.expect("prompt> ");
        terminal.send("echo sta''tus $?\n");
        terminal.expect("status 130");
        terminal.send("exit 7\n");
        assert_eq!(terminal.wait(), 7);
    }
}

/// Waits until a process of this name runs (or waits) in the foreground of a terminal, not stopped.
fn foreground_job(scene: &Scene, terminal: &Terminal, name: &str) {
    let _ = terminal;
    let marker = scene.workspace.to_str().unwrap().to_owned();
    support::network::wait_until("the job's start", std::time::Duration::from_secs(10), || {
        fs::read_dir("/proc").unwrap().flatten().any(|entry| {
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let Some((head, tail)) = stat.split_once(") ") else { return false };
            let fields: Vec<&str> = tail.split(' ').collect();
            head.ends_with(&format!("({name}"))
                && fields[0] == "S"
                // Process group and the terminal's foreground group.
                && fields[2] == fields[5]
                && fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.to_str() == Some(&marker))
        })
    });
}

for_each_user! {
    fn control_c_ends_the_command(scene) {
        let mut terminal = Terminal::run(&scene, &[], &["sh", "-c", "echo started; exec sleep 1000"]);
        terminal.expect("started");
        foreground_job(&scene, &terminal, "sleep");
        terminal.control('c');
        assert_eq!(terminal.wait(), 130);
    }
}

for_each_user! {
    fn askance_itself_is_a_job_that_stops_and_continues(scene) {
        let askance = support::scene::binary(scene.user).to_str().unwrap().to_owned();
        let mut outer = Terminal::bare(&scene, &["bash", "--norc", "-i"]);
        outer.send("PS1='prompt> '; echo rea''dy\n");
        outer.expect("ready");
        outer.send(&format!("{askance} run -- sh -c 'echo star''ted; read line; echo got $line; exit 3'\n"));
        outer.expect("started");
        outer.control('z');
        outer.expect("Stopped");
        outer.expect("prompt> ");
        outer.send("fg\n");
        outer.send("word\n");
        outer.expect("got word");
        outer.expect("prompt> ");
        outer.send("echo sta''tus $?\n");
        outer.expect("status 3");
    }
}

for_each_user! {
    fn the_window_size_is_the_terminals(scene) {
        let script = "trap 'stty size; exit' WINCH; stty size; echo ready; while :; do sleep 0.01; done";
        let mut terminal = Terminal::run(&scene, &[], &["bash", "-c", script]);
        terminal.expect("40 120");
        terminal.expect("ready");
        terminal.resize(23, 77);
        terminal.expect("23 77");
        assert_eq!(terminal.wait(), 0);
    }
}

for_each_user! {
    fn streams_are_terminals_only_where_they_were(scene) {
        let script = "test -t 0 && test -t 1 && test -t 2 && echo all; echo by name > /dev/tty; (test -t 1 || echo piped >&2) | cat; tty";
        let mut terminal = Terminal::run(&scene, &[], &["sh", "-c", script]);
        terminal.expect("all");
        terminal.expect("by name");
        terminal.expect("piped");
        terminal.expect("/dev/pts/");
        assert_eq!(terminal.wait(), 0);
        scene.shell("test -t 0 || test -t 1 || test -t 2 || echo none").success().says("none");
    }
}

for_each_user! {
    fn a_redirected_stream_passes_through_untouched(scene) {
        let askance = support::scene::binary(scene.user).to_str().unwrap().to_owned();
        let line = format!("printf 'a\\nb\\n' | {askance} run -- sh -c 'cat; test -t 1 || echo file; test -t 2 && echo err >&2' > out; echo ended");
        let mut terminal = Terminal::bare(&scene, &["sh", "-c", &line]);
        terminal.expect("err");
        terminal.expect("ended");
        assert_eq!(fs::read_to_string(scene.workspace.join("out")).unwrap(), "a\nb\nfile\n");
    }
}

for_each_user! {
    fn the_terminal_is_as_before_at_the_end(scene) {
        let askance = support::scene::binary(scene.user).to_str().unwrap().to_owned();
        let line = format!("stty -a > before; {askance} run -- sh -c 'stty raw -echo; exit 5'; echo $?; stty -a > after; cmp before after && echo same");
        let mut terminal = Terminal::bare(&scene, &["sh", "-c", &line]);
        terminal.expect("5");
        terminal.expect("same");
    }
}

for_each_user! {
    fn a_python_prompt_answers(scene) {
        let mut terminal = Terminal::run(&scene, &[], &["/usr/bin/python3", "-q"]);
        terminal.expect(">>> ");
        terminal.send("print(6 * 7000)\n");
        terminal.expect("42000");
        terminal.expect(">>> ");
        terminal.control('d');
        assert_eq!(terminal.wait(), 0);
    }
}

for_each_user! {
    fn a_pager_pages(scene) {
        if unavailable("less", &["less"]) {
            return;
        }
        let lines: String = (1..=500).map(|number| format!("line {number}\n")).collect();
        scene.file(&scene.workspace.join("text"), lines);
        let mut terminal = Terminal::run(&scene, &[], &["less", "text"]);
        terminal.expect("line 39");
        terminal.send("G");
        terminal.expect("line 500");
        terminal.send("q");
        assert_eq!(terminal.wait(), 0);
    }
}

for_each_user! {
    fn an_editor_saves(scene) {
        if unavailable("vim", &["vim"]) {
            return;
        }
        let mut terminal = Terminal::run(&scene, &[], &["vim", "-u", "NONE", "-i", "NONE", "text"]);
        terminal.expect("text");
        terminal.send("ihello from the editor\u{1b}:wq\n");
        assert_eq!(terminal.wait(), 0);
        assert_eq!(fs::read_to_string(scene.workspace.join("text")).unwrap(), "hello from the editor\n");
    }
}
