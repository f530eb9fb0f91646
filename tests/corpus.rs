//! Every line of the corpora gets the verdict that it expects.

use std::path::{Path, PathBuf};

use askance::approval::{Authority, Decision, Ground, Request, Risk, Rules, Subject, Surroundings, Verdict, judge};
use askance::settings::{AutonomyLevel, InteractionMode};

/// A machine on which every program is where the package manager put it.
struct Plain;

impl Surroundings for Plain {
    fn find_program(&self, name: &str) -> Option<PathBuf> {
        Some(Path::new("/usr/bin").join(name))
    }
    fn sandbox_may_write(&self, path: &Path) -> bool {
        path.starts_with("/home/me/project") || path.starts_with("/tmp")
    }
    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        Some(path.to_owned())
    }
    fn is_mount_point(&self, path: &Path) -> bool {
        path == Path::new("/mnt/disk")
    }
    fn is_block_device(&self, _: &Path) -> bool {
        false
    }
    fn repository_runs(&self, _: &Path) -> Option<String> {
        None
    }
}

fn verdict(command: &str, level: AutonomyLevel) -> Verdict {
    let request = Request {
        subject: Subject::Shell(command.as_bytes()),
        cwd: Path::new("/home/me/project"),
        workspace: Path::new("/home/me/project"),
        home: Some(Path::new("/home/me")),
        declared: None,
    };
    judge(
        &Rules::default(),
        &request,
        Authority { level, ceiling: AutonomyLevel::High, mode: InteractionMode::Auto },
        &Plain,
    )
}

/// `\n` is a newline and `\\` a backslash.
fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some('n')) => {
                chars.next();
                plain.push('\n');
            }
            ('\\', Some('\\')) => {
                chars.next();
                plain.push('\\');
            }
            _ => plain.push(c),
        }
    }
    plain
}

/// What is wrong with the verdict on one line, if anything.
fn wrong(expected: &str, command: &str) -> Option<String> {
    let at_high = verdict(command, AutonomyLevel::High);
    let trips = at_high.ground == Ground::Interlock;
    let problem = match expected {
        "ask" if !trips => "does not ask".to_owned(),
        "ask" => return None,
        _ if trips => format!("asks: {}", at_high.reason),
        "read-only" if verdict(command, AutonomyLevel::Off).decision != Decision::Allow => {
            "does not run at off".to_owned()
        }
        _ => {
            let exactly = expected.strip_prefix('=');
            let risk = Risk::from_word(exactly.unwrap_or(expected))
                .unwrap_or_else(|| panic!("no such expectation: {expected}"));
            let assessed = at_high.assessed_risk;
            let fits = if exactly.is_some() || risk == Risk::ReadOnly { assessed == risk } else { assessed >= risk };
            if fits {
                return None;
            }
            format!("is {}", assessed.word())
        }
    };
    let findings: Vec<_> = at_high
        .commands
        .iter()
        .map(|found| format!("{} {:?} {} {:?}", found.risk.word(), found.argv, found.why, found.via))
        .collect();
    Some(format!("{expected}: {command:?} {problem}\n      {}", findings.join("\n      ")))
}

fn check(corpus: &str) {
    let lines = corpus.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut total = 0;
    let problems: Vec<String> = lines
        .filter_map(|line| {
            total += 1;
            let mut fields = line.split('\t');
            let (expected, command) = (fields.next()?, fields.next().unwrap_or_else(|| panic!("no command: {line}")));
            wrong(expected, &unescape(command))
        })
        .collect();
    assert!(total > 50, "the corpus has lines");
    assert!(problems.is_empty(), "{} of {total} lines:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn every_line_of_the_shared_corpus_gets_its_verdict() {
    check(include_str!("corpus/commands.tsv"));
}

#[test]
fn every_line_of_our_own_corpus_gets_its_verdict() {
    check(include_str!("corpus/more.tsv"));
}

#[test]
fn every_line_of_the_third_round_gets_its_verdict() {
    check(include_str!("corpus/third.tsv"));
}

#[test]
fn every_one_liner_of_an_interpreter_gets_its_verdict() {
    check(include_str!("corpus/one_liners.tsv"));
}

#[test]
fn every_line_that_agents_write_gets_its_verdict() {
    check(include_str!("corpus/agents.tsv"));
}

#[test]
fn every_line_that_hides_something_gets_its_verdict() {
    check(include_str!("corpus/hidden.tsv"));
}

#[test]
fn every_line_that_perhaps_does_something_gets_its_verdict() {
    check(include_str!("corpus/doubts.tsv"));
}
