use serde_json::{Value, json};

use super::*;

fn format(name: &str) -> Format {
    Format::find(name, std::path::Path::new("/nowhere")).unwrap()
}

fn read(name: &str, sent: &Value) -> Result<Call, CallError> {
    Call::read(sent.to_string().as_bytes(), &format(name))
}

fn claude(tool: &str, input: Value) -> Value {
    json!({
        "session_id": "s", "transcript_path": "/t", "cwd": "/w", "permission_mode": "acceptEdits",
        "hook_event_name": "PreToolUse", "tool_name": tool, "tool_input": input, "tool_use_id": "u",
    })
}

#[test]
fn every_format_that_comes_along_is_understood() {
    for name in Format::shipped() {
        assert!(!format(name).title.is_empty(), "{name}");
    }
    for name in ["", "..", "../claude-code", "a/b", "unknown", "claude-code\0"] {
        assert!(Format::find(name, std::path::Path::new("/nowhere")).is_err(), "{name:?}");
    }
}

#[test]
fn calls_are_read_in_each_agents_form() {
    let shell = |command: &str, at: &str| Act::Shell { command: command.into(), at: at.into() };
    let files =
        |paths: &[&str], changes| Act::Files { paths: paths.iter().map(|&path| path.into()).collect(), changes };
    let mcp = |server: &str, tool: &str| Act::Mcp { server: server.into(), tool: tool.into() };
    let patch = "*** Begin Patch\n*** Update File: src/a.rs\n*** Move to: ../b.rs\n@@\n-x\n+y\n*** End Patch";
    let table = [
        ("claude-code", claude("Bash", json!({"command": "ls", "timeout": 1})), shell("ls", "/command")),
        ("claude-code", claude("Write", json!({"file_path": "/w/f", "content": "x"})), files(&["/w/f"], true)),
        ("claude-code", claude("Grep", json!({"pattern": "x"})), files(&["."], false)),
        ("claude-code", claude("mcp__wiki__search_all", json!({})), mcp("wiki", "search_all")),
        ("claude-code", claude("TodoWrite", json!({})), Act::Free),
        ("claude-code", claude("bash", json!({"command": "ls"})), Act::Unknown),
        (
            "codex",
            json!({"hook_event_name": "PreToolUse", "session_id": "s", "cwd": "/w", "permission_mode": "default",
                "tool_name": "apply_patch", "tool_input": {"command": patch}}),
            files(&["src/a.rs", "../b.rs"], true),
        ),
        (
            "gemini-cli",
            json!({"hook_event_name": "BeforeTool", "session_id": "s", "cwd": "/w", "tool_name": "run_shell_command",
                "tool_input": {"command": "ls", "dir_path": "sub"}}),
            shell("ls", "/command"),
        ),
        (
            "droid",
            json!({"hook_event_name": "PreToolUse", "session_id": "s", "cwd": "/w", "permission_mode": "auto-low",
                "tool_name": "Execute", "tool_input": {"command": "ls", "riskLevel": "low"}}),
            shell("ls", "/command"),
        ),
        (
            "copilot-cli",
            json!({"sessionId": "s", "timestamp": 1, "cwd": "/w", "toolName": "bash",
                "toolArgs": "{\"command\":\"ls\"}"}),
            shell("ls", "/command"),
        ),
        (
            "cursor",
            json!({"hook_event_name": "preToolUse", "conversation_id": "s", "workspace_roots": ["/w"],
                "tool_name": "Shell", "tool_input": {"command": "ls", "working_directory": ""}}),
            shell("ls", "/command"),
        ),
    ];
    for (name, sent, act) in table {
        let call = read(name, &sent).unwrap_or_else(|error| panic!("{name}: {error}\n{sent}"));
        assert_eq!(call.act, act, "{name}: {sent}");
        assert_eq!(call.session.as_deref(), Some("s"), "{name}");
        assert!(call.cwd.starts_with("/w"), "{name}");
    }
}

#[test]
fn modes_are_levels_and_strange_ones_are_the_least() {
    let at = |mode: Value| {
        let mut sent = claude("Bash", json!({"command": "ls"}));
        sent["permission_mode"] = mode;
        read("claude-code", &sent).map(|call| call.level)
    };
    let table = [
        (json!("default"), Level::Off),
        (json!("acceptEdits"), Level::Low),
        (json!("bypassPermissions"), Level::High),
        (json!("plan"), Level::Spec),
        (json!("bypasspermissions"), Level::Off),
        (json!("high"), Level::Off),
        (Value::Null, Level::Off),
    ];
    for (mode, level) in table {
        assert_eq!(at(mode.clone()).unwrap(), Some(level), "{mode}");
    }
    assert!(at(json!(["bypassPermissions"])).is_err());
    assert!(at(json!({"high": true})).is_err());
}

#[test]
fn a_risk_that_is_no_word_is_not_taken_for_none() {
    let risk = |level: Value| {
        let sent = json!({"hook_event_name": "PreToolUse", "session_id": "s", "cwd": "/w", "permission_mode": "low",
            "tool_name": "Execute", "tool_input": {"command": "ls", "riskLevel": level, "riskLevelReason": 7}});
        read("droid", &sent).unwrap().risk
    };
    for (level, expected) in [
        (json!("low"), Some("low")),
        (json!({"value": "high", "reason": "r"}), Some("high")),
        (Value::Null, None),
        (json!(["low"]), Some("")),
        (json!(1), Some("")),
        (json!({"value": 1}), Some("")),
    ] {
        assert_eq!(risk(level.clone()).as_deref(), expected, "{level}");
    }
}

#[test]
fn what_is_not_understood_is_an_error() {
    let mut other = claude("Bash", json!({"command": "ls"}));
    other["hook_event_name"] = json!("PostToolUse");
    let mut relative = claude("Bash", json!({"command": "ls"}));
    relative["cwd"] = json!("w");
    let table = [
        other,
        relative,
        json!([]),
        json!({}),
        json!("text"),
        claude("Bash", json!({})),
        claude("Bash", json!({"command": ["ls"]})),
        claude("Bash", json!({"command": "ls\0"})),
        claude("Bash", json!("ls")),
        claude("Bash", json!(null)),
        claude("Write", json!({"path": "/w/f"})),
        claude("Write", json!({"file_path": ""})),
        claude("WebFetch", json!({})),
    ];
    for sent in table {
        assert!(read("claude-code", &sent).is_err(), "{sent}");
    }
    for text in ["", "{", "\u{0}", "{} {}", &"[".repeat(100_000)] {
        assert!(Call::read(text.as_bytes(), &format("claude-code")).is_err());
    }
    let empty = json!({"hook_event_name": "PreToolUse", "cwd": "/w", "permission_mode": "default",
        "tool_name": "apply_patch", "tool_input": {"command": "*** Begin Patch\n*** End Patch"}});
    assert!(read("codex", &empty).is_err());
}

#[test]
fn answers_are_said_in_each_agents_form() {
    let call = read("claude-code", &claude("Bash", json!({"command": "ls", "timeout": 7}))).unwrap();
    let rewrite = Answer::Rewrite { command: "askance exec".into(), reason: "why".into() };
    assert_eq!(
        rewrite.say(&call, &format("claude-code")),
        json!({"hookSpecificOutput": {"hookEventName": "PreToolUse", "permissionDecision": "allow",
            "permissionDecisionReason": "why", "updatedInput": {"command": "askance exec", "timeout": 7}}})
    );
    let allow = Answer::Allow { reason: "why".into() };
    assert_eq!(allow.say(&call, &format("codex")), json!({}));
    assert_eq!(allow.say(&call, &format("gemini-cli")), json!({"decision": "allow", "reason": "why"}));
    assert_eq!(rewrite.say(&call, &format("codex"))["hookSpecificOutput"]["updatedInput"]["command"], "askance exec");
    let ask = Answer::Ask { command: Some("askance exec".into()), reason: "why".into() };
    assert_eq!(ask.say(&call, &format("claude-code"))["hookSpecificOutput"]["permissionDecision"], "ask");
    assert_eq!(ask.say(&call, &format("claude-code"))["hookSpecificOutput"]["updatedInput"]["timeout"], 7);
    for (name, at) in
        [("codex", "/hookSpecificOutput/permissionDecision"), ("gemini-cli", "/decision"), ("cursor", "/permission")]
    {
        let said = ask.say(&call, &format(name));
        assert_eq!(said.pointer(at), Some(&json!("deny")), "{name}: {said}");
    }
}

#[test]
fn an_agent_that_would_run_the_command_as_it_was_is_told_no() {
    let mut text: Value = serde_json::from_str(
        &json!({
            "title": "t", "input": {"cwd": ["/cwd"], "tool": ["/tool"], "arguments": ["/arguments"]},
            "tools": {"shell": [{"name": "sh", "command": "/command"}]},
            "answers": {"allow": "yes", "ask": {"ask": "$reason"}, "deny": "no"},
            "install": {"user": "~/x", "project": "x", "list": ["hooks"], "entry": "$command"},
        })
        .to_string(),
    )
    .unwrap();
    let format = Format::read(&text.to_string(), "t").unwrap();
    let call = Call::read(br#"{"cwd": "/w", "tool": "sh", "arguments": {"command": "ls"}}"#, &format).unwrap();
    let ask = |command: Option<&str>| Answer::Ask { command: command.map(Into::into), reason: "r".into() };
    assert_eq!(ask(Some("askance exec")).say(&call, &format), json!("no"));
    assert_eq!(ask(None).say(&call, &format), json!({"ask": "r"}));
    text["surprise"] = json!(1);
    assert!(Format::read(&text.to_string(), "t").is_err());
}
