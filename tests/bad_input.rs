//! Command texts that no shell would take: a verdict in bounded time and memory, and never that they are harmless.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::Stdio;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use support::{Launch, Scene, User};

/// What a verdict may cost: 50 ms. An unoptimised build took 5 to 8 times as long, and others may use the machine.
const CPU: Duration = Duration::from_millis(if cfg!(debug_assertions) { 500 } else { 50 });
const MEMORY_KIB: i64 = 64 * 1024;
/// As many brackets as the worst nesting has, and the length of the longest text.
const NESTED: usize = 10_000;
const LONG: usize = 1_000_000;

fn repeated(part: &str, length: usize) -> Vec<u8> {
    part.repeat(length / part.len()).into_bytes()
}

fn nested(open: &str, inside: &str, close: &str) -> Vec<u8> {
    [open.repeat(NESTED), inside.to_owned(), close.repeat(NESTED)].concat().into_bytes()
}

/// As much as is read of `part`, in which each `#` stands for a number.
fn long_list(before: &str, part: &str, after: &str, number: fn(usize) -> usize) -> Vec<u8> {
    let mut text = before.to_owned();
    for at in 0.. {
        let next = part.replace('#', &number(at).to_string());
        if text.len() + next.len() + after.len() > 64 * 1024 {
            break;
        }
        text.push_str(&next);
    }
    (text + after).into_bytes()
}

/// What each is, and its text.
fn texts() -> Vec<(String, Vec<u8>)> {
    let mut texts = Vec::new();
    let mut add = |what: String, text: Vec<u8>| texts.push((what, text));
    for (open, close) in [
        ("(", ")"),
        ("{", "}"),
        ("[", "]"),
        ("( ", " )"),
        ("{ ", "; }"),
        ("[[ ", " ]]"),
        ("$(", ")"),
        ("${", "}"),
        ("${x:-", "}"),
        ("$((", "))"),
        ("((", "))"),
        ("<(", ")"),
        ("`", "`"),
        ("\"$(", ")\""),
        ("echo $(", ")"),
        ("cat <(", ")"),
        ("{a,", "}"),
        ("{a..", "}"),
        ("if a; then ", "; fi"),
        ("case a in a) ", ";; esac"),
        ("f() { ", "; }"),
    ] {
        add(format!("{open} without end"), repeated(open, NESTED * open.len()));
        add(format!("{open} in each other"), nested(open, "a", close));
        add(format!("{open} after a command"), [b"ls ".to_vec(), nested(open, "a", close)].concat());
        add(format!("{close} alone"), repeated(close, NESTED * close.len()));
    }
    for part in [
        "a",
        "a ",
        "ls;",
        "ls -la\n",
        "'",
        "\"",
        "\\",
        "$",
        "|",
        "&",
        "<",
        ">",
        "#",
        "`",
        "(",
        "{",
        "[",
        "cat <<a\n",
        "a=b ",
        "$(a) ",
        "${a} ",
        "{a,b}",
        "{a..b}",
        "*",
        "\u{1f600}",
        "env ",
        "! ",
        "a|",
        "a'b'",
        "\n",
    ] {
        add(format!("a megabyte of {part:?}"), repeated(part, LONG));
        add(format!("64 KiB of {part:?}"), repeated(part, 64 * 1024));
        add(format!("an argument of {part:?}"), [b"echo ".to_vec(), repeated(part, 60 * 1024)].concat());
    }
    for (before, part, after) in [
        ("cat <<EOF\n", "x", "\nEOF\n"),
        ("python3 -c '", "os.system(\"x\");", "'"),
        ("awk '", "{system(\"x\")}", "'"),
        ("sed '", "s/e/e/e;", "'"),
        ("git ", "-c a=!b ", "status"),
        ("echo {", ",", "}aaaaaaaa"),
        ("vim ", "-c '!a' ", ""),
        ("tmux ", "a ", ""),
        ("find . ", "-exec a ; ", ""),
        ("x=a; ", "x=$x$x; ", "echo $x"),
        ("perl -e '", "`a`;", "'"),
        ("ls ", "'a'{a..b}", ""),
        ("ls ", "{a..b}'aaaaaaaaaaaaaaaaaaaaaaa'", ""),
    ] {
        add(format!("{before}{part}"), [before.as_bytes(), &repeated(part, 60 * 1024), after.as_bytes()].concat());
    }
    // Commands in commands, and files: the same again and again, and a new one each time.
    for (before, part, after) in [
        ("vim ", "-c '!a#' ", ""),
        ("find . ", "-exec sh -c 'a#' \\; ", ""),
        ("", "xargs sh -c 'a#';", ""),
        ("git ", "-c alias.x='!a#' ", "status"),
        ("", "ssh h 'a#';", ""),
        ("", "env -S 'a#';", ""),
        ("", "bash -c \"sh -c 'a# b'\";", ""),
        ("sed ", "-e 'e a#' ", "x"),
        ("", "awk 'BEGIN{system(\"a#\")}';", ""),
        ("", "python3 -c 'os.system(\"a#\")';", ""),
        ("psql ", "-c '\\! a#' ", ""),
        ("tmux ", "a# ", ""),
        ("", "a#;", ""),
        ("", "/a/#;", ""),
        ("", "a>b#;", ""),
        ("", "git -C # status;", ""),
        ("touch ", "# ", ""),
        ("rm -r ", "a# ", ""),
        ("rm -r ", "/proc/self/root/proc/self/root/usr/lib/# ", ""),
        ("find ", "# ", "-delete"),
        ("sh -c 'f() { g \"$@\"; }; f' ", "# ", ""),
    ] {
        add(format!("{before}{part}, equal"), long_list(before, part, after, |_| 1));
        add(format!("{before}{part}, different"), long_list(before, part, after, |at| at));
    }
    for before in ["xargs touch", "parallel touch"] {
        let fed = format!("echo {} | {before}", "a ".repeat(15_000));
        add(format!("a list into {before}"), long_list(&fed, "| xargs touch ", "", |at| at));
    }
    add("a NUL".into(), b"ls \0; rm -rf /".to_vec());
    add("NULs".into(), vec![0; LONG]);
    add("no UTF-8".into(), b"ls \xff\xfe; rm -rf /".to_vec());
    add("a long text that is no UTF-8".into(), vec![0xff; LONG]);
    add("nothing".into(), Vec::new());
    texts
}

/// The processor time and the greatest memory of what this process has waited for.
fn used() -> (Duration, i64) {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let time = |value: nix::sys::time::TimeVal| {
        Duration::from_micros(u64::try_from(value.tv_sec() * 1_000_000 + value.tv_usec()).unwrap())
    };
    (time(usage.user_time()) + time(usage.system_time()), usage.max_rss())
}

// One test: what it measures is what its children used.
#[test]
fn a_verdict_on_any_text_is_quick_and_small() {
    let scene = Scene::new(User::Caller);
    let file = scene.beside("text");
    let mut wrong = Vec::new();
    let mut most = (Duration::ZERO, String::new());
    for (what, text) in texts() {
        scene.file(&file, &text);
        // Other work on the machine costs this one too: what it takes is the least of three.
        let mut taken = Duration::MAX;
        let mut finished = None;
        for _ in 0..3 {
            let (before, _) = used();
            let input = Stdio::from(std::fs::File::open(&file).unwrap());
            let check = ["check", "-o", "json", "-c", "-"].map(str::to_owned).to_vec();
            finished = Some(Launch::new(&scene, Some(check)).stdin(input).finish(&[]));
            taken = taken.min(used().0 - before);
            if taken <= CPU {
                break;
            }
        }
        let (finished, memory) = (finished.unwrap(), used().1);
        let verdict: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap_or_default();
        let harmless = ["echo ", "ls ", "#", "\n", "cat <<EOF\nx"];
        let prints = harmless.iter().any(|start| text.starts_with(start.as_bytes())) || text.is_empty();
        let judged = verdict["verdict"] == "ask" || (verdict["verdict"] == "allow" && prints);
        if !judged || ![0, 1].contains(&finished.code()) {
            wrong.push(format!("{what}: exit {} {} {}", finished.code(), verdict["verdict"], finished.stderr));
        }
        if taken > CPU || memory > MEMORY_KIB {
            wrong.push(format!("{what}: {taken:?}, the greatest so far took {memory} KiB"));
        }
        if taken > most.0 {
            most = (taken, what);
        }
    }
    println!("the slowest: {} in {:?}; the greatest took {} KiB", most.1, most.0, used().1);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
