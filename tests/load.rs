//! Load: many runs, many processes, many accesses behind one question, and a supervisor that is killed at any moment.
//! Short by default; `ASKANCE_LOAD=full` for the numbers that the sandbox is held to.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::command::processes_that_mention;
use support::network::wait_until;
use support::terminal::Terminal;
use support::{Scene, User, build_attack};

fn quick_or_full(quick: usize, full: usize) -> usize {
    if std::env::var("ASKANCE_LOAD").is_ok_and(|load| load == "full") { full } else { quick }
}

#[test]
fn many_runs_at_once_each_do_their_work() {
    let scene = Scene::new(User::Caller);
    let line = |number: usize| {
        format!(
            "mkdir d{number} && echo {number} > d{number}/f && mv d{number} e{number} && cat e{number}/f; cat ~/.ssh/id_x"
        )
    };
    let limit = Duration::from_secs(180);
    let start = |number: usize| scene.askance().time_limit(limit).start(&["sh", "-c", &line(number)]);
    let running: Vec<_> = (0..quick_or_full(48, 256)).map(start).collect();
    for (number, run) in running.into_iter().enumerate() {
        assert_eq!(run.wait().fails().stdout, format!("{number}\n"));
    }
}

/// No number of processes, dead or alive, leaves the supervisor without descriptors for the next.
fn processes(mode: &str, number: usize, wrapper: &str) {
    let scene = Scene::new(User::Caller);
    let program = build_attack("load");
    let argv = [program.to_str().unwrap(), mode, &number.to_string(), scene.workspace.to_str().unwrap()];
    let finished = scene.askance().time_limit(Duration::from_secs(120)).wrapped(wrapper).run(&argv).success();
    finished.says(&format!("processes {number} failures 0\n")).asks_nothing();
}

#[test]
fn a_thousand_processes_in_one_run_all_succeed() {
    processes("processes", 1000, "exec \"$@\"");
}

#[test]
fn processes_that_came_and_went_cost_no_descriptors() {
    processes("sequence", quick_or_full(800, 10_000), "ulimit -n 256; exec \"$@\"");
}

#[test]
fn many_processes_share_few_descriptors() {
    processes("processes", 400, "ulimit -n 256; exec \"$@\"");
}

fn number_after(text: &str, word: &str) -> usize {
    let mut words = text.split_whitespace().skip_while(|each| *each != word);
    words.nth(1).unwrap_or_else(|| panic!("{word}: {text}")).parse().unwrap()
}

/// Resident kilobytes of a process, while it has any.
fn resident(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().split(' ').next()?.parse().ok()
}

/// `accesses` behind one question: `expected` wait, the others are denied at once and counted.
fn crowd(scene: &Scene, accesses: usize, wrapper: &str, expected: usize) {
    let program = build_attack("load");
    let permitted = scene.workspace.join("permitted");
    scene.file(&permitted, "x");
    let (out, report) = (scene.workspace.join("out"), scene.outside.join("report"));
    let script = format!(
        "{} crowd {accesses} 300 ~/.ssh/id_x {} > {}; echo en''ded",
        program.display(),
        permitted.display(),
        out.display()
    );
    let flags = ["--report", report.to_str().unwrap(), "--", "sh", "-c", &script];
    let command = scene.askance().env("NO_COLOR", "1").wrapped(wrapper).flags(&flags).command(&[], None);
    let mut terminal = Terminal::start(&command);
    terminal.expect("askance asks");
    let said = || fs::read_to_string(&out).unwrap_or_default();
    let mut most = 0;
    wait_until("the crowd", Duration::from_secs(90), || {
        most = most.max(resident(terminal.pid()).unwrap_or(0));
        said().contains("slowest")
    });
    terminal.expect("ended");
    assert_eq!(terminal.wait(), 0);
    let said = said();
    assert_eq!(number_after(&said, "left"), 0, "{said}");
    assert_eq!(number_after(&said, "waiting"), expected, "{said}");
    assert_eq!(number_after(&said, "denied"), accesses - expected, "{said}");
    assert!(number_after(&said, "slowest") < 1_000_000, "{said}");
    assert!(most < 100 << 10, "the supervisor took {most} kB");
    let report: serde_json::Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    let denied = report["denied"].as_array().unwrap();
    let full = format!("more than {expected} accesses waited for answers");
    let counted = denied.iter().find(|denied| denied["rule"] == *full).unwrap_or_else(|| panic!("{report:#}"));
    assert_eq!(counted["count"], accesses - expected, "{report:#}");
}

for_each_user! {
    fn row_24_of_many_accesses_behind_one_question_256_wait(scene) {
        crowd(&scene, quick_or_full(3000, 10_000), "exec \"$@\"", 256);
    }
}

/// Writers without a reader, in the workspace and where every open is brokered. Everybody else goes on meanwhile, and a
/// reader lets all of them go.
fn crowd_of_writers(scene: &Scene, place: &Path) {
    let program = build_attack("row_24_storms");
    let (workspace, number) = (scene.workspace.to_str().unwrap(), quick_or_full(2000, 10_000));
    let argv = [program.to_str().unwrap(), "writers", workspace, place.to_str().unwrap(), &number.to_string()];
    let answers = format!("write {}/** run\n", scene.outside.display());
    let mut running = scene.askance().answers(answers).time_limit(Duration::from_secs(90)).start(&argv);
    let mut most = 0;
    while running.child.try_wait().unwrap().is_none() {
        most = most.max(resident(running.pid()).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(20));
    }
    let finished = running.wait().success();
    assert_eq!(finished.attack().through, 0, "{finished}");
    assert!(
        finished.stdout.contains(&format!("threads {number} waiting {number}\ncame through {number}\n")),
        "{finished}"
    );
    assert!(number_after(&finished.stdout, "slowest") < 2_000_000, "{finished}");
    assert!((1..100 << 10).contains(&most), "the supervisor took {most} kB");
}

for_each_user! {
    fn row_24_writers_without_a_reader_hold_nobody_up(scene) {
        crowd_of_writers(&scene, &scene.workspace);
        crowd_of_writers(&scene, &scene.outside);
    }
}

#[test]
fn row_24_fewer_wait_where_descriptors_are_few() {
    // An eighth of what there is.
    crowd(&Scene::new(User::Caller), 1000, "ulimit -n 512; exec \"$@\"", 64);
}

for_each_user! {
    fn row_25_killed_at_any_moment_it_leaves_nothing_behind(scene) {
        let settings = scene.user_settings("{ /* old */ }\n");
        let dir = settings.parent().unwrap().to_owned();
        let (out, tag) = (scene.outside.display(), scene.workspace.to_str().unwrap());
        let line = format!(
            "mkdir -p $TMPDIR/a/b; echo $TMPDIR >> {tag}/temporary; for i in 1 2 3 4 5; do (setsid sh -c 'sleep 100; : {tag}' &) ; mkdir {out}/$$-$i; echo x > {out}/$$-$i/f; done; exec sh -c 'sleep 100; : {tag}'"
        );
        let answers = format!("write {out}/** always file user\nwrite {out}/* always file user\n");
        let mut written = 0;
        for round in 0..quick_or_full(12, 100) {
            let running = scene.askance().answers(answers.clone()).time_limit(Duration::from_secs(20)).start(&["sh", "-c", &line]);
            // Spread over the start, the questions, the writing of settings, and the rest.
            std::thread::sleep(Duration::from_millis((round as u64 * 37) % 400));
            kill(Pid::from_raw(running.pid()), Signal::SIGKILL).unwrap();
            let ended = Instant::now();
            assert_eq!(running.wait().code(), 137);
            wait_until("the end of the tree", Duration::from_secs(10), || processes_that_mention(tag).is_empty());
            assert!(ended.elapsed() < Duration::from_secs(10));
            let text = fs::read_to_string(&settings).unwrap();
            assert!(text.contains("/* old */") && text.trim_end().ends_with('}'), "half written: {text}");
            scene.cli(&["settings", "show"]).success();
            written += usize::from(text.contains("allowWrite"));
            if written > 0 {
                scene.user_settings("{ /* old */ }\n");
            }
        }
        // The end of the monitor is after the end of all that mentions the workspace.
        let temporary = fs::read_to_string(scene.workspace.join("temporary")).unwrap();
        assert!(temporary.lines().count() > 0);
        for directory in temporary.lines() {
            assert!(directory.starts_with("/tmp/ask."), "{directory}");
            wait_until("the end of the run's directory", Duration::from_secs(10), || !Path::new(directory).exists());
        }
        // No lock is held, and what was begun is not in the way.
        scene.cli(&["allow", "write", "/srv/after", "--user"]).success();
        assert!(fs::read_to_string(&settings).unwrap().contains("/srv/after"));
        let left: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.len() <= 3, "{left:?}");
        println!("settings were written in {written} rounds; left: {left:?}");
    }
}

/// Does a living process have this as its temporary directory?
fn is_used(directory: &Path) -> bool {
    let wanted = format!("TMPDIR={}", directory.display());
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let mut environments = processes.filter_map(|process| fs::read(process.path().join("environ")).ok());
    environments.any(|environment| environment.split(|byte| *byte == 0).any(|word| word == wanted.as_bytes()))
}

/// Private directories of runs in `/tmp` that are this user's.
fn private_directories(owner: u32) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir("/tmp").unwrap().filter_map(Result::ok);
    let named = entries.map(|entry| entry.path()).filter(|path| path.to_string_lossy().starts_with("/tmp/ask."));
    named.filter(|path| fs::symlink_metadata(path).is_ok_and(|found| found.uid() == owner)).collect()
}

for_each_user! {
    fn row_25_killed_while_it_starts_it_leaves_no_directory_in_tmp(scene) {
        let owner = fs::metadata(&scene.workspace).unwrap().uid();
        // With a denied file in the workspace there is a nursery too.
        scene.user_settings(r#"{ "sandbox": { "filesystem": { "denyRead": ["**/.env"] } } }"#);
        scene.file(&scene.workspace.join(".env"), "");
        let before = private_directories(owner);
        let started = Instant::now();
        scene.run(&["true"]).success();
        let whole = started.elapsed();
        let rounds = quick_or_full(100, 1000);
        let mut killed = 0;
        for round in 0..rounds {
            let running = scene.askance().start(&["true"]);
            std::thread::sleep(whole * u32::try_from(round).unwrap() / u32::try_from(rounds).unwrap());
            // It may be over, but it was not waited for.
            kill(Pid::from_raw(running.pid()), Signal::SIGKILL).unwrap();
            killed += usize::from(running.wait().code() == 137);
        }
        assert!(killed > rounds / 4, "of {rounds} only {killed} were killed");
        // Others make such directories too, and go on to use them or end.
        wait_until("the end of the directories", Duration::from_secs(60), || {
            private_directories(owner).difference(&before).all(|directory| is_used(directory))
        });
        println!("{killed} of {rounds} were killed within {whole:?}");
    }
}
