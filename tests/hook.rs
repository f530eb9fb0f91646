//! `askance hook` and `askance check --mcp`: what agents are told before they call a tool.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{self, File};
use std::io::{Seek, Write};

use serde_json::{Value, json};
use support::{Finished, Launch, Scene, User};

fn fed(scene: &Scene, words: &[&str], input: &[u8]) -> Finished {
    let words = words.iter().map(ToString::to_string).collect();
    let mut stdin: File = tempfile::tempfile().unwrap();
    stdin.write_all(input).unwrap();
    stdin.rewind().unwrap();
    Launch::new(scene, Some(words)).stdin(stdin).finish(&[])
}

/// Claude Code's form; the answer's decision, reason and rewritten command.
fn claude(scene: &Scene, mode: &str, tool: &str, input: Value) -> (String, String, Option<String>) {
    let sent = json!({
        "session_id": "s", "transcript_path": "/t", "cwd": scene.workspace, "permission_mode": mode,
        "hook_event_name": "PreToolUse", "tool_name": tool, "tool_input": input,
    });
    let finished = fed(scene, &["hook", "claude-code"], sent.to_string().as_bytes()).success();
    let said: Value = serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}\n{finished}"));
    let said = &said["hookSpecificOutput"];
    let text = |key: &str| said[key].as_str().unwrap_or_else(|| panic!("no {key}\n{finished}")).to_owned();
    let command = said["updatedInput"]["command"].as_str().map(str::to_owned);
    (text("permissionDecision"), text("permissionDecisionReason"), command)
}

for_each_user! {
    fn a_command_that_may_start_is_rewritten_to_run_in_the_sandbox(scene) {
        let line = "echo it\\'s 'here' > out; cat out";
        let (decision, _, command) = claude(&scene, "bypassPermissions", "Bash", json!({"command": line, "timeout": 9}));
        assert_eq!(decision, "allow");
        let command = command.unwrap();
        assert!(command.contains(" exec --auto high --session s --workspace ") && command.ends_with(r#"-c 'echo it\'\''s '\''here'\'' > out; cat out'"#), "{command}");
        // It does what the agent wanted, where the agent would have run it.
        scene.bare_shell(&command).success().says("it's here");
        let outside = format!("echo x > {}", scene.outside.join("f").display());
        let (_, _, escape) = claude(&scene, "bypassPermissions", "Bash", json!({"command": outside}));
        scene.bare_shell(&escape.unwrap()).fails();
        assert!(!scene.outside.join("f").exists());
        let (decision, reason, command) = claude(&scene, "acceptEdits", "Bash", json!({"command": "npm install x"}));
        assert_eq!(decision, "ask", "{reason}");
        assert!(command.unwrap().contains(" exec --auto "), "the person's yes would run it outside of the sandbox");
        assert_eq!(claude(&scene, "default", "Bash", json!({"command": "git status"})).0, "allow");
        assert_eq!(claude(&scene, "plan", "Bash", json!({"command": "touch x"})).0, "deny");
        let (decision, _, command) = claude(&scene, "plan", "Bash", json!({"command": "ls"}));
        assert_eq!(decision, "allow");
        assert!(command.unwrap().contains(" --spec "));
    }
}

for_each_user! {
    fn row_34_a_directory_that_a_tools_arguments_name_is_no_workspace(scene) {
        scene.file(&scene.outside.join(".git/HEAD"), "ref: refs/heads/main\n");
        let sent = json!({"hook_event_name": "BeforeTool", "session_id": "s", "cwd": scene.workspace, "tool_name": "run_shell_command",
            "tool_input": {"command": "touch planted", "dir_path": scene.outside}});
        let finished = fed(&scene, &["hook", "gemini-cli", "--auto", "high"], sent.to_string().as_bytes()).success();
        let rewritten = format!("--workspace '{}'", scene.workspace.display());
        assert!(finished.stdout.contains(&rewritten), "{finished}");
        assert!(!finished.stdout.contains(&format!("--workspace '{}'", scene.outside.display())), "{finished}");
    }
}

for_each_user! {
    fn lists_interlocks_and_the_highest_level_count(scene) {
        scene.user_settings(r#"{ "commandBlocklist": ["telnet"], "commandDenylist": ["git push"], "maxAutonomyLevel": "medium" }"#);
        for command in ["telnet example.com", "git push origin main", "rm -rf ~", "sh -c 'git push'"] {
            let (decision, reason, command) = claude(&scene, "bypassPermissions", "Bash", json!({"command": command}));
            assert_eq!((decision.as_str(), command), ("deny", None), "{reason}");
        }
        // High is above what anybody may have here: nobody is asked in vain.
        assert_eq!(claude(&scene, "bypassPermissions", "Bash", json!({"command": "$UNKNOWN x"})).0, "deny");
        assert_eq!(claude(&scene, "bypassPermissions", "Bash", json!({"command": "cp a b"})).0, "allow");
    }
}

for_each_user! {
    fn file_tools_are_judged_by_the_file_policy(scene) {
        scene.make_repository();
        let file = |mode: &str, tool: &str, path: &str| claude(&scene, mode, tool, json!({"file_path": path, "content": "", "old_string": "a", "new_string": "b"})).0;
        assert_eq!(file("default", "Read", "src/main.rs"), "allow");
        assert_eq!(file("default", "Write", "src/main.rs"), "ask");
        assert_eq!(file("acceptEdits", "Write", "src/main.rs"), "allow");
        assert_eq!(file("bypassPermissions", "Read", scene.secret().to_str().unwrap()), "ask");
        assert_eq!(file("bypassPermissions", "Edit", ".git/hooks/pre-commit"), "ask");
        assert_eq!(file("bypassPermissions", "Edit", "src/../.git/hooks/pre-commit"), "ask");
        assert_eq!(file("bypassPermissions", "Write", scene.user_settings_path().to_str().unwrap()), "deny");
        std::os::unix::fs::symlink(scene.secret(), scene.workspace.join("link")).unwrap();
        assert_eq!(file("bypassPermissions", "Read", "link"), "ask");
        assert_eq!(file("plan", "Write", "plan.md"), "deny");
        assert_eq!(claude(&scene, "bypassPermissions", "WebFetch", json!({"url": "https://example.com/"})).0, "ask");
        assert_eq!(claude(&scene, "acceptEdits", "Conjure", json!({})).0, "ask");
    }
}

for_each_user! {
    fn tools_of_mcp_servers_are_judged_by_the_settings(scene) {
        scene.user_settings(r#"{ "mcpAutonomyOverrides": { "wiki": { "defaultLevel": "low", "tools": { "search": "off" } } } }"#);
        assert_eq!(claude(&scene, "default", "mcp__wiki__search", json!({"query": "x"})).0, "allow");
        assert_eq!(claude(&scene, "default", "mcp__wiki__edit", json!({})).0, "ask");
        assert_eq!(claude(&scene, "acceptEdits", "mcp__wiki__edit", json!({})).0, "allow");
        assert_eq!(claude(&scene, "acceptEdits", "mcp__other__edit", json!({})).0, "ask");
        assert_eq!(claude(&scene, "bypassPermissions", "mcp__wiki__search", json!({"url": "https://example.com"})).0, "ask");
        let call = json!({"server": "wiki", "tool": "search", "arguments": {"path": scene.secret()}, "annotations": {"readOnlyHint": true}});
        let finished = fed(&scene, &["check", "--mcp", "-o", "json"], call.to_string().as_bytes()).exits(1);
        let said: Value = serde_json::from_str(&finished.stdout).unwrap();
        assert_eq!((&said["verdict"], &said["risk"], &said["arguments"][0]["operation"]), (&json!("ask"), &json!("read-only"), &json!("read")), "{finished}");
        let call = json!({"server": "wiki", "tool": "search", "arguments": {"query": "x"}});
        fed(&scene, &["check", "--mcp"], call.to_string().as_bytes()).success().says("allow at level off");
        fed(&scene, &["check", "--mcp"], b"{\"server\": 1}").exits(125).complains("malformed");
    }
}

#[test]
fn what_cannot_be_understood_or_judged_blocks() {
    let scene = Scene::new(User::Caller);
    let good = |mut change: Value| {
        let mut sent = json!({"session_id": "s", "cwd": scene.workspace, "permission_mode": "default",
            "hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_input": {"command": "ls"}});
        for (key, value) in change.as_object_mut().unwrap() {
            sent[key] = value.take();
        }
        sent.to_string().into_bytes()
    };
    fed(&scene, &["hook", "claude-code"], &good(json!({}))).success();
    let nested = format!("{{\"x\":{}{},", "[".repeat(5000), "]".repeat(5000));
    let table: [(&str, Vec<u8>); 16] = [
        ("claude-code", Vec::new()),
        ("claude-code", vec![0xff; 4096]),
        ("claude-code", b"{\"tool_name\":\"Bash\"".to_vec()),
        ("claude-code", good(json!({"cwd": "/does/not/exist"}))),
        ("claude-code", good(json!({"cwd": "relative"}))),
        ("claude-code", good(json!({"cwd": "/"}))),
        ("claude-code", good(json!({"tool_input": {"command": 1}}))),
        ("claude-code", good(json!({"hook_event_name": "Stop"}))),
        ("no-such-agent", good(json!({}))),
        ("claude-code", vec![b'['; 200_000]),
        ("claude-code", [nested.as_bytes(), &good(json!({}))[1..]].concat()),
        ("claude-code", good(json!({"tool_input": {"command": "ls\0-la"}}))),
        ("claude-code", good(json!({"permission_mode": 7}))),
        ("claude-code", [good(json!({})), good(json!({}))].concat()),
        ("claude-code", [b"[".to_vec(), good(json!({})), b"]".to_vec()].concat()),
        ("claude-code", [good(json!({})), vec![b' '; 33 << 20]].concat()),
    ];
    for (agent, input) in table {
        let finished = fed(&scene, &["hook", agent], &input).exits(2);
        assert!(finished.stdout.is_empty() && finished.stderr.starts_with("askance: "), "{finished}");
    }
    // So does a registration that is none: agents take any other failure for a yes.
    for words in [
        &["hook"][..],
        &["hook", "claude-code", "--surprise"],
        &["hook", "claude-code", "--auto", "most"],
        &["hook", "a", "b"],
    ] {
        fed(&scene, words, &good(json!({}))).exits(2);
    }
    fed(&scene, &["hook", "install", "--surprise"], b"").exits(125);
    // What is far too deep to be understood is asked about, not let through.
    for line in ["(".repeat(200_000), format!("{}{}", "$(".repeat(50_000), ")".repeat(50_000))] {
        let finished = fed(&scene, &["hook", "claude-code"], &good(json!({"tool_input": {"command": line}}))).success();
        assert!(finished.stdout.contains("\"permissionDecision\":\"ask\""), "{}", &finished.stdout[..200]);
    }
    // Settings that are not understood block too.
    scene.file(&scene.user_settings_path(), "{ nonsense");
    fed(&scene, &["hook", "claude-code"], &good(json!({}))).exits(2);
}

for_each_user! {
    fn installing_keeps_what_stands_in_the_agents_settings(scene) {
        let file = scene.home.join(".claude/settings.json");
        let text = "{\n  // my model\n  \"model\": \"x\",\n  \"hooks\": {\n    \"PreToolUse\": [\n      { \"matcher\": \"Bash\", \"hooks\": [] } // mine\n    ]\n  }\n}\n";
        scene.file(&file, text);
        let dry = scene.cli(&["hook", "install", "--agent", "claude-code", "--dry-run"]).success();
        assert!(dry.stdout.contains("hook claude-code") && dry.stdout.contains("// mine"), "{dry}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
        scene.cli(&["hook", "install", "--agent", "claude-code"]).success().says("registered");
        let new = fs::read_to_string(&file).unwrap();
        assert_eq!(new, dry.stdout);
        for part in ["// my model", "// mine", "\"model\": \"x\"", "{ \"matcher\": \"Bash\", \"hooks\": [] }"] {
            assert!(new.contains(part), "{part}\n{new}");
        }
        scene.cli(&["hook", "install", "--agent", "claude-code"]).success().says("already");
        scene.cli(&["hook", "install", "--agent", "claude-code", "--auto", "low"]).success();
        let new = fs::read_to_string(&file).unwrap();
        assert_eq!((new.matches("hook claude-code").count(), new.contains("--auto low")), (1, true), "{new}");
        scene.file(&file, "{ broken");
        scene.cli(&["hook", "install", "--agent", "claude-code"]).exits(125).complains("not JSON");
        assert_eq!(fs::read_to_string(&file).unwrap(), "{ broken");
    }
}

for_each_user! {
    fn what_install_registers_answers(scene) {
        for (agent, file) in [
            ("claude-code", ".claude/settings.json"), ("codex", ".codex/hooks.json"), ("copilot-cli", ".copilot/hooks/askance.json"),
            ("cursor", ".cursor/hooks.json"), ("droid", ".factory/hooks.json"), ("gemini-cli", ".gemini/settings.json"),
        ] {
            scene.cli(&["hook", "install", "--agent", agent]).success();
            let text = fs::read_to_string(scene.home.join(file)).unwrap();
            let command = find(&serde_json::from_str(&text).unwrap(), agent).unwrap_or_else(|| panic!("{agent}: {text}"));
            // Agents that can be told to take silence for a no are told.
            let closed = match agent {
                "claude-code" => text.contains("\"onFailure\": \"block\""),
                "cursor" => text.contains("\"failClosed\": true"),
                _ => true,
            };
            assert!(closed, "{text}");
            // It runs, and blocks what is no call.
            scene.bare_shell(&format!("{command} < /dev/null")).exits(2).complains("askance: ");
        }
    }
}

/// The command in an agent's settings.
fn find(value: &Value, agent: &str) -> Option<String> {
    match value {
        Value::String(text) => text.ends_with(&format!(" hook {agent}")).then(|| text.clone()),
        Value::Array(items) => items.iter().find_map(|item| find(item, agent)),
        Value::Object(fields) => fields.values().find_map(|field| find(field, agent)),
        _ => None,
    }
}

for_each_user! {
    fn a_new_agent_is_a_file(scene) {
        let format = json!({
            "title": "Mine", "input": {"cwd": ["/where"], "tool": ["/what"], "arguments": ["/with"]},
            "tools": {"shell": [{"name": "sh", "command": "/line"}]},
            "answers": {"allow": {"go": true, "with": "$arguments"}, "deny": {"go": false, "why": "$reason"}},
            "install": {"user": "~/mine.json", "project": "mine.json", "list": ["before"], "entry": {"run": "$command"}},
        });
        scene.file(&scene.config_home().join("askance/agents/mine.jsonc"), format!("// mine\n{format}"));
        let call = |line: &str| json!({"where": scene.workspace, "what": "sh", "with": {"line": line}}).to_string();
        let said = fed(&scene, &["hook", "mine"], call("ls").as_bytes()).success();
        let said: Value = serde_json::from_str(&said.stdout).unwrap();
        assert!(said["go"] == true && said["with"]["line"].as_str().unwrap().ends_with("-c 'ls'"), "{said}");
        fed(&scene, &["hook", "mine"], call("touch x").as_bytes()).success().says("\"go\":false");
        let said = fed(&scene, &["hook", "mine", "--auto", "high"], call("touch x").as_bytes()).success();
        assert!(said.stdout.contains("exec --auto high"), "{said}");
    }
}
