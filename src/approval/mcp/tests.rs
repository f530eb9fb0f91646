use super::*;
use crate::approval::tests::{Machine, at};
use crate::policy::{NothingYet, Places};
use crate::settings::{Filesystem, InteractionMode, Layer, Network, Sandbox, Source, Sourced};

fn sourced<T>(value: T) -> Sourced<T> {
    Sourced { value, source: Source::from(Layer::User) }
}

fn policy() -> Policy {
    let list = |entries: &[&str]| entries.iter().map(|entry| sourced((*entry).to_owned().into())).collect::<Vec<_>>();
    let sandbox = Sandbox {
        filesystem: Filesystem {
            allow_read: list(&["/"]),
            deny_read: list(&["~/.ssh"]),
            allow_write: list(&["/home/me/project"]),
            deny_write: list(&["**/.git/hooks"]),
            block_write: list(&["~/.config/askance"]),
            ..Filesystem::default()
        },
        network: Network {
            allowed_domains: list(&["ok.example.com", "*.wide.example.com:8443"]),
            blocked_domains: list(&["bad.example.com"]),
            ..Network::default()
        },
        ..Sandbox::default()
    };
    let places = Places {
        home: "/home/me".into(),
        workspace: "/home/me/project".into(),
        temporary: "/tmp/ask.1".into(),
        cache: "/home/me/.cache/askance/w".into(),
        git_dirs: Vec::new(),
        nursery: None,
        read_only: false,
    };
    Policy::compile(&sandbox, places, &|_| None).unwrap()
}

fn judged(call: Value, overrides: &BTreeMap<String, McpOverrides>, authority: Authority) -> McpVerdict {
    let (policy, machine) = (policy(), Machine::default());
    let rules = McpRules {
        overrides,
        policy: &policy,
        facts: &NothingYet,
        surroundings: &machine,
        cwd: Path::new("/home/me/project"),
        workspace: Path::new("/home/me/project"),
        home: Path::new("/home/me"),
    };
    judge_mcp(&serde_json::from_value(call).unwrap(), None, &rules, authority)
}

#[test]
fn the_risk_comes_from_settings_then_from_hints() {
    let mut overrides = BTreeMap::new();
    let tools = BTreeMap::from([("look".to_owned(), sourced(AutonomyLevel::Off))]);
    overrides.insert("known".to_owned(), McpOverrides { default_level: Some(sourced(AutonomyLevel::Medium)), tools });
    let table = [
        ("known", "look", json!({}), Risk::ReadOnly),
        ("known", "other", json!({"readOnlyHint": true}), Risk::Medium),
        ("new", "look", json!({}), Risk::High),
        ("new", "look", json!({"readOnlyHint": true}), Risk::Low),
        ("new", "look", json!({"readOnlyHint": true, "destructiveHint": false, "title": "x"}), Risk::Low),
        ("new", "look", json!({"readOnlyHint": true, "destructiveHint": true}), Risk::High),
        ("new", "look", json!({"destructiveHint": false}), Risk::Medium),
        ("new", "look", json!({"readOnlyHint": false}), Risk::High),
    ];
    for (server, tool, annotations, risk) in table {
        let call = json!({"server": server, "tool": tool, "annotations": annotations});
        let verdict = judged(call.clone(), &overrides, at(AutonomyLevel::Low));
        assert_eq!(verdict.call.risk, risk, "{call}");
        assert_eq!(verdict.decision == Decision::Allow, risk <= Risk::Low, "{call}");
        let spec = Authority { level: AutonomyLevel::High, ceiling: AutonomyLevel::High, mode: InteractionMode::Spec };
        let planned = judged(call.clone(), &overrides, spec).decision;
        assert_eq!(planned, if risk == Risk::ReadOnly { Decision::Allow } else { Decision::Refuse }, "{call}");
    }
}

#[test]
fn arguments_are_held_against_the_policies() {
    use Decision::{Allow, Ask, Refuse};
    let table = [
        (json!({}), Allow),
        (json!({"query": "a sentence / with a slash", "count": 3, "flag": true, "none": null}), Allow),
        (json!({"path": "src/main.rs"}), Allow),
        (json!({"repository": "owner/name", "type": "text/html"}), Allow),
        (json!({"path": "/etc/hosts"}), Ask),
        (json!({"anything": "../../../etc/hosts"}), Ask),
        (json!({"path": "~/.ssh/id_x"}), Ask),
        (json!({"deep": [{"er": {"filePath": ".git/hooks/x"}}]}), Ask),
        (json!({"x": "link/etc/hosts"}), Ask),
        (json!({"x": "~/.config/askance/settings.json"}), Refuse),
        (json!({"x": "file:///home/me/.config/askance/settings.json"}), Refuse),
        (json!({"x": "file:///home/me/project/../.config/askance/%73ettings.json"}), Refuse),
        (json!({"path": "a\0b"}), Ask),
        (json!({"url": "https://ok.example.com/x"}), Allow),
        (json!({"url": "ok.example.com"}), Allow),
        (json!({"x": "https://OK.example.com:443/"}), Allow),
        (json!({"x": "https://a.wide.example.com:8443/"}), Allow),
        (json!({"x": "https://a.wide.example.com/"}), Ask),
        (json!({"x": "https://ok.example.com@bad.example.com/"}), Refuse),
        (json!({"x": "https:\\\\bad.example.com\\@ok.example.com"}), Refuse),
        (json!({"x": " ht\ntps://bad.example.com/"}), Refuse),
        (json!({"x": "\u{1}https://bad.example.com/"}), Refuse),
        (json!({"x": "https:bad.example.com"}), Refuse),
        (json!({"x": "HTTPS://BAD.EXAMPLE.COM./"}), Refuse),
        (json!({"x": "git@bad.example.com:owner/name"}), Refuse),
        (json!({"x": "ssh://git@BAD.example.com/x"}), Refuse),
        (json!({"host": "bad.example.com:8443"}), Refuse),
        (json!({"x": "http://0x7f000001/"}), Ask),
        (json!({"x": "http://[::1]:8080/"}), Ask),
        (json!({"x": "https://unlisted.example.com/"}), Ask),
        (json!({"x": "https://[broken/"}), Ask),
        (json!({"x": "mailto:somebody@example.com", "note": "see: this"}), Allow),
        (Value::Array(vec![json!("x"); 1_001]), Ask),
        (Value::Null, Allow),
    ];
    for (arguments, decision) in table {
        let call = json!({"server": "s", "tool": "t", "arguments": arguments});
        let verdict = judged(call, &BTreeMap::new(), at(AutonomyLevel::High));
        assert_eq!(verdict.decision, decision, "{arguments}: {verdict:#?}");
    }
}

#[test]
fn a_tool_that_changes_nothing_is_judged_by_what_it_reads() {
    let call = |path: &str| json!({"server": "s", "tool": "t", "arguments": {"path": path}, "annotations": {"readOnlyHint": true}});
    let judged = |path: &str| judged(call(path), &BTreeMap::new(), at(AutonomyLevel::Low)).decision;
    assert_eq!(judged("/etc/hosts"), Decision::Allow);
    assert_eq!(judged("~/.ssh/id_x"), Decision::Ask);
    assert_eq!(judged(".git/hooks/x"), Decision::Allow);
}

#[test]
fn an_interlock_asks_at_every_level() {
    let call = json!({"server": "s", "tool": "t", "arguments": {"path": "/etc/passwd"}});
    let verdict = judged(call, &BTreeMap::new(), at(AutonomyLevel::High));
    assert_eq!((verdict.decision, verdict.call.decision), (Decision::Ask, Decision::Ask));
}

#[test]
fn names_are_read_strictly_and_deep_arguments_end() {
    assert!(serde_json::from_value::<McpCall>(json!({"server": "s"})).is_err());
    assert!(serde_json::from_value::<McpCall>(json!({"server": "s", "tool": "t", "args": {}})).is_err());
    let mut deep = json!("/etc/hosts");
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let verdict =
        judged(json!({"server": "s", "tool": "t", "arguments": deep}), &BTreeMap::new(), at(AutonomyLevel::High));
    assert_eq!(verdict.decision, Decision::Ask);
}
