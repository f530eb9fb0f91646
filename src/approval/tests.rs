use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::settings::{AutonomyLevel, InteractionMode, Layer, Source, Sourced, Text};

/// A machine with one link, one mount and one disk.
#[derive(Default)]
pub(super) struct Machine {
    /// A key that the repository's configuration runs a program by.
    configured: Option<String>,
}

impl Surroundings for Machine {
    fn find_program(&self, name: &str) -> Option<PathBuf> {
        match name {
            "planted" => Some("/home/me/project/bin/planted".into()),
            "absent" => None,
            _ => Some(Path::new("/usr/bin").join(name)),
        }
    }
    fn sandbox_may_write(&self, path: &Path) -> bool {
        path.starts_with("/home/me/project")
    }
    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix("/home/me/project/link").ok();
        Some(below.map_or_else(|| path.to_owned(), |rest| Path::new("/").join(rest)))
    }
    fn is_mount_point(&self, path: &Path) -> bool {
        path == Path::new("/data")
    }
    fn is_block_device(&self, path: &Path) -> bool {
        path == Path::new("/dev/odd")
    }
    fn repository_runs(&self, _: &Path) -> Option<String> {
        self.configured.clone()
    }
}

fn entries(patterns: &[&str]) -> Vec<Sourced<Text>> {
    let source = Source {
        layer: Layer::User,
        file: Some(Path::new("/home/me/.config/askance/settings.json").into()),
        line: Some(7),
    };
    let entry = |pattern: &&str| Sourced { value: (*pattern).to_owned().into(), source: source.clone() };
    patterns.iter().map(entry).collect()
}

fn rules(block: &[&str], deny: &[&str], allow: &[&str]) -> Rules {
    Rules::new(&entries(block), &entries(deny), &entries(allow)).unwrap()
}

fn request(text: &[u8]) -> Request<'_> {
    Request {
        subject: Subject::Shell(text),
        cwd: Path::new("/home/me/project"),
        workspace: Path::new("/home/me/project"),
        home: Some(Path::new("/home/me")),
        declared: None,
    }
}

pub(super) fn at(level: AutonomyLevel) -> Authority {
    Authority { level, ceiling: AutonomyLevel::High, mode: InteractionMode::Auto }
}

fn verdict(rules: &Rules, text: &str, level: AutonomyLevel) -> Verdict {
    judge(rules, &request(text.as_bytes()), at(level), &Machine::default())
}

#[test]
fn no_number_of_words_hides_a_command_from_lists_and_interlocks() {
    let rules = rules(&["git push --force"], &["npm publish"], &[]);
    let table = [
        ("git push --force", Ground::Blocklist),
        ("npm publish", Ground::Denylist),
        ("rm -rf ~", Ground::Interlock),
        ("tee /etc/passwd", Ground::Interlock),
        ("env npm publish", Ground::Denylist),
        ("bash -c 'npm publish'", Ground::Denylist),
    ];
    for (text, ground) in table {
        let verdict = verdict(&rules, &format!("{text} {}", "a ".repeat(30_000)), AutonomyLevel::High);
        assert_eq!(verdict.ground, ground, "{text}");
    }
}

#[test]
fn the_first_step_that_matches_decides() {
    use AutonomyLevel::{High, Low, Medium, Off};
    let rules = rules(&["git push --force"], &["git push", "npm publish"], &["npm test", "=make check", "git *"]);
    let table = [
        ("git push --force", High, Decision::Refuse, Ground::Blocklist),
        ("git push", High, Decision::Ask, Ground::Denylist),
        ("git -C x push origin", High, Decision::Ask, Ground::Denylist),
        ("env -i timeout 5 git push", High, Decision::Ask, Ground::Denylist),
        ("echo $(git push)", High, Decision::Ask, Ground::Denylist),
        ("bash -c 'eval git push'", High, Decision::Ask, Ground::Denylist),
        ("find . -exec /opt/x/git push \\;", High, Decision::Ask, Ground::Denylist),
        ("ls | xargs git push", High, Decision::Ask, Ground::Denylist),
        ("rm -rf ~; git push --force", High, Decision::Refuse, Ground::Blocklist),
        ("rm -rf ~", High, Decision::Ask, Ground::Interlock),
        ("npm test", Off, Decision::Allow, Ground::Allowlist),
        ("npm test -- --watch | head", Off, Decision::Allow, Ground::Allowlist),
        ("npm test && npm run x", Off, Decision::Ask, Ground::Risk),
        ("npm test > log", Off, Decision::Ask, Ground::Risk),
        ("PATH=. npm test", High, Decision::Allow, Ground::Risk),
        ("PATH=. npm test", Medium, Decision::Ask, Ground::Risk),
        ("./npm test", Off, Decision::Ask, Ground::Risk),
        ("git commit -m x", Off, Decision::Allow, Ground::Allowlist),
        ("make check", Off, Decision::Allow, Ground::Allowlist),
        ("make check x", Off, Decision::Ask, Ground::Risk),
        ("npm ls", Low, Decision::Allow, Ground::Risk),
        ("npm ls", Off, Decision::Ask, Ground::Risk),
        ("frobnicate", High, Decision::Allow, Ground::Risk),
        ("frobnicate", Medium, Decision::Ask, Ground::Risk),
    ];
    for (text, level, decision, ground) in table {
        let verdict = verdict(&rules, text, level);
        assert_eq!((verdict.decision, verdict.ground), (decision, ground), "{text}: {}", verdict.reason);
    }
}

#[test]
fn a_rule_is_named_with_its_file_and_line() {
    let verdict = verdict(&rules(&[], &["git push"], &[]), "git push", AutonomyLevel::High);
    let json = verdict.to_json();
    assert_eq!(json["rule"]["text"], "commandDenylist: git push");
    assert_eq!(json["rule"]["source"], "/home/me/.config/askance/settings.json:7");
    assert_eq!(json["verdict"], "ask");
    assert_eq!(json["commands"][0]["argv"], serde_json::json!(["git", "push"]));
}

#[test]
fn patterns_are_plain_words() {
    for bad in ["", "  ", "git $x", "git 'x", "ls $(id)", "=", "a `b`", "x \\"] {
        assert!(Rules::new(&[], &[], &entries(&[bad])).is_err(), "{bad:?}");
    }
    let error = Rules::new(&entries(&["git $x"]), &[], &[]).unwrap_err().to_string();
    assert!(error.contains("commandBlocklist") && error.contains("settings.json:7"), "{error}");
}

#[test]
fn spec_mode_is_read_only() {
    let authority = Authority { level: AutonomyLevel::High, ceiling: AutonomyLevel::High, mode: InteractionMode::Spec };
    for (text, decision) in
        [("git log | head", Decision::Allow), ("npm test", Decision::Refuse), ("echo x > f", Decision::Refuse)]
    {
        let verdict = judge(&rules(&[], &[], &["npm test"]), &request(text.as_bytes()), authority, &Machine::default());
        assert_eq!(verdict.decision, decision, "{text}");
        if decision == Decision::Refuse {
            assert!(verdict.reason.starts_with("spec mode is read-only"), "{}", verdict.reason);
        }
    }
}

#[test]
fn a_declared_risk_raises_and_never_lowers() {
    for (text, declared, expected) in [
        ("ls", Risk::Medium, Risk::Medium),
        ("npm install", Risk::ReadOnly, Risk::Medium),
        ("frobnicate", Risk::Low, Risk::High),
    ] {
        let request = Request { declared: Some(declared), ..request(text.as_bytes()) };
        let verdict = judge(&Rules::default(), &request, at(AutonomyLevel::Off), &Machine::default());
        assert_eq!(verdict.risk, expected, "{text}");
        assert_eq!(verdict.decision, Decision::Ask, "{text}");
    }
}

#[test]
fn a_program_from_a_writable_directory_is_not_what_its_name_says() {
    let machine = Machine::default();
    let verdict = judge(&Rules::default(), &request(b"planted"), at(AutonomyLevel::Off), &machine);
    assert_eq!(verdict.risk, Risk::High);
    assert!(verdict.commands[0].why.contains("/home/me/project/bin/planted"), "{:?}", verdict.commands);
}

#[test]
fn a_repository_that_configures_programs_makes_git_more_than_read_only() {
    let machine = Machine { configured: Some("diff.external".into()) };
    let clean = verdict(&Rules::default(), "git diff", AutonomyLevel::Off);
    assert!(clean.decision == Decision::Allow && clean.quiet_git);
    let verdict = judge(&Rules::default(), &request(b"git diff"), at(AutonomyLevel::Off), &machine);
    assert_eq!(verdict.risk, Risk::Medium);
    assert!(!verdict.quiet_git && verdict.reason.contains("diff.external"), "{}", verdict.reason);
}

#[test]
fn interlocks_look_through_links_mounts_and_devices() {
    for text in [
        "rm -rf link/",
        "rm -rf link/etc/",
        "rm -rf /data",
        "rm -rf link/*",
        "cat x > /dev/odd",
        "echo x > link/etc/passwd",
        "chmod -R 0 link/.",
    ] {
        let ground = verdict(&Rules::default(), text, AutonomyLevel::High).ground;
        assert_eq!(ground, Ground::Interlock, "{text}");
    }
    for text in ["rm -rf link", "rm -rf /data/x", "cat x > /dev/null"] {
        let ground = verdict(&Rules::default(), text, AutonomyLevel::High).ground;
        assert_ne!(ground, Ground::Interlock, "{text}");
    }
}

/// What `judge_argv` says to a vector whose first word is the file that is executed.
fn executed(rules: &Rules, words: &[&str], called: &str) -> Option<Ground> {
    let mut argv: Vec<&OsStr> = words.iter().map(|word| OsStr::new(*word)).collect();
    argv[0] = OsStr::new(called);
    let execution = Execution {
        program: Path::new(words[0]),
        argv: &argv,
        cwd: Path::new("/home/me/project/sub"),
        workspace: Path::new("/home/me/project"),
        home: Some(Path::new("/home/me")),
    };
    judge_argv(rules, &execution, &Machine::default()).map(|refusal| refusal.ground)
}

#[test]
fn real_argument_vectors_are_held_against_the_same_rules() {
    let rules = rules(&["touch marker"], &["git push"], &[]);
    let table: [(&[&str], Option<Ground>); 16] = [
        (&["/usr/bin/touch", "marker"], Some(Ground::Blocklist)),
        (&["/usr/bin/touch", "other"], None),
        (&["/opt/x/git", "-C", "d", "push"], Some(Ground::Denylist)),
        (&["/usr/bin/git", "status"], None),
        (&["/bin/rm", "-rf", "/"], Some(Ground::Interlock)),
        (&["/bin/rm", "-rf", "/bin", "/etc"], Some(Ground::Interlock)),
        (&["/bin/rm", "-rf", "."], Some(Ground::Interlock)),
        (&["/bin/rm", "-rf", ".."], Some(Ground::Interlock)),
        (&["/bin/rm", "-rf", "*"], None),
        (&["/bin/rm", "-rf", "target"], None),
        (&["/bin/busybox", "rm", "-rf", "/"], Some(Ground::Interlock)),
        (&["/bin/busybox", "touch", "marker"], Some(Ground::Blocklist)),
        (&["/bin/busybox", "ls"], None),
        (&["/usr/bin/find", "/", "-delete"], Some(Ground::Interlock)),
        (&["/usr/sbin/mkfs.ext4", "/dev/sda1"], Some(Ground::Interlock)),
        (&["/usr/bin/true"], None),
    ];
    for (words, expected) in table {
        assert_eq!(executed(&rules, words, words[0]), expected, "{words:?}");
        assert_eq!(
            executed(&rules, words, "innocent").is_some(),
            expected.is_some() && words[0] != "/bin/busybox",
            "{words:?} called innocent"
        );
    }
    assert_eq!(executed(&rules, &["/bin/busybox", "-rf", "/"], "rm"), Some(Ground::Interlock));
    for (words, ground) in table {
        assert!(ground.is_none() || concerns_program(&rules, Path::new(words[0])), "{words:?}");
    }
}

/// The processor time of this thread: other tests and other programs do not count.
fn spent() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}

/// Debug builds are allowed to be slower.
const PATIENCE: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1000 } else { 50 });

#[test]
fn hostile_texts_get_a_verdict_in_time() {
    let nested = |open: &str, close: &str, times: usize| format!("{}id{}", open.repeat(times), close.repeat(times));
    let mut texts: Vec<Vec<u8>> = vec![
        vec![b'a'; 1 << 20],
        b"ls;".repeat(350_000),
        b"ls 1;".repeat(13_000),
        b"echo $x;".repeat(8_000),
        b"x=1;".repeat(16_000),
        b"echo $(id) `id`;".repeat(4_000),
        b"{a,b}".repeat(13_000),
        b"ls \0 x".to_vec(),
        b"ls \xff\xfe".to_vec(),
        vec![0; 1 << 20],
        b"\\\n".repeat(30_000),
        b"<<E ".repeat(10_000),
        b"'".repeat(65_535),
        b"for x in 1 2 3 4 5 6 7 8; do ".repeat(30),
    ];
    for times in [3, 7, 9, 50, 119, 10_000] {
        for (open, close) in [
            ("(", ")"),
            ("( ", " )"),
            ("((", "))"),
            ("$(", ")"),
            ("\"$(", ")\""),
            ("${x:-", "}"),
            ("$((", "))"),
            ("{ ", "; }"),
            ("<(", ")"),
            ("[[ ( ", " ) ]]"),
            ("if true; then ", "; fi"),
            ("while true; do ", "; done"),
            ("case x in a) ", ";; esac"),
            ("f() { ", "; }"),
            ("sh -c '", "'"),
            ("eval ", ""),
            ("for x in 1 2 3 4 5 6 7 8; do ", "; done"),
            ("timeout 1 ", ""),
            ("! ", ""),
            ("$[", "]"),
            ("`", "`"),
            ("{a,", "}"),
            ("xargs ", ""),
        ] {
            texts.push(nested(open, close, times).into_bytes());
            texts.push(format!("echo {}", nested(open, close, times)).into_bytes());
        }
    }
    for text in texts {
        let began = spent();
        let verdict = judge(&Rules::default(), &request(&text), at(AutonomyLevel::High), &Machine::default());
        let took = spent() - began;
        let shown = String::from_utf8_lossy(&text[..text.len().min(40)]).into_owned();
        assert!(took < PATIENCE, "{shown:?}… ({} bytes) took {took:?}", text.len());
        if text.len() > 1 << 16 || text.contains(&0) || std::str::from_utf8(&text).is_err() {
            assert!(verdict.risk == Risk::High && verdict.undecidable, "{shown:?}");
        }
    }
}

fn command() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "ls", "rm", "-rf", "/", "~", "*", "$(", ")", "`", "\"", "'", "${", "}", "$((", "))", "((", "(", "{", ";", "&&",
        "||", "|", "&", "\n", ">", ">>", "<", "<<E", "\nE\n", "<<<", "<(", "if", "then", "fi", "for", "in", "do",
        "done", "case", "esac", ";;", "while", "function", "f()", "x=", "$x", "[[", "]]", "!", "time", "\\", "#",
        "eval", "sh", "-c", "git", "-exec", "xargs", "{}", "@P", "é", "\t", "coproc", "select", "[", "]", "=(", "$'",
        "\\'", "%", "{a,b}", "..",
    ]);
    prop::collection::vec((token, prop::sample::select(vec!["", " "])), 0..24)
        .prop_map(|parts| parts.into_iter().flat_map(|(token, blank)| [token, blank]).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 2_000 } else { 50_000 }))]

    #[test]
    fn no_text_makes_judgement_panic_or_linger(text in command()) {
        let began = spent();
        verdict(&Rules::default(), &text, AutonomyLevel::High);
        prop_assert!(spent() - began < PATIENCE, "{text:?}");
    }

    /// What one list forbids, no other list and no text around it frees.
    #[test]
    fn nothing_makes_a_verdict_milder_than_a_forbidding_rule(before in command(), allow in prop::sample::subsequence(vec!["ls", "git *", "*", "rm", "touch marker"], 0..5)) {
        let text = format!("touch marker; {before}");
        let blocked = verdict(&rules(&["touch marker"], &[], &allow), &text, AutonomyLevel::High);
        let denied = verdict(&rules(&[], &["touch marker"], &allow), &text, AutonomyLevel::High);
        // A text that cannot be read as a whole has no commands; the check at exec time meets them.
        if !blocked.commands.iter().any(|found| found.why.starts_with("cannot be read")) {
            prop_assert_eq!(blocked.decision, Decision::Refuse, "{}", &text);
            prop_assert_eq!(denied.decision, Decision::Ask, "{}", &text);
        } else {
            prop_assert_eq!(blocked.risk, Risk::High);
        }
    }
}
