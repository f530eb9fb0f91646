use super::*;
use crate::settings::list::List;
use crate::settings::load::{SettingsError, understand};

/// What the user reads: line, column, problem.
fn mistake(text: &[u8]) -> String {
    match understand(std::path::Path::new("f"), text).unwrap_err() {
        SettingsError::Malformed { position, problem, .. } => {
            format!("{}:{}: {problem}", position.line, position.column)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_mistake_names_its_place_and_what_was_expected() {
    let table: &[(&str, &str)] = &[
        ("{", "1:1: not JSON: unterminated object"),
        ("{\"sandbox\": {}", "1:1: not JSON: unterminated object"),
        ("{\n  \"sandbox\": {},,\n}", "2:17: not JSON: unexpected token in object"),
        ("{\"sandbox\" {}}", "1:12: not JSON: expected colon after the string or word in object property"),
        ("{} {}", "1:4: not JSON: text cannot contain more than one JSON value"),
        ("{'sandbox': {}}", "1:2: not JSON: single-quoted strings are not allowed"),
        ("{sandbox: {}}", "1:2: not JSON: expected string for object property"),
        ("/* open", "1:1: not JSON: unterminated comment block"),
        ("[]", "1:1: the file: expected an object, found a list"),
        ("null", "1:1: the file: expected an object, found null"),
        ("\"x\"", "1:1: the file: expected an object, found a string"),
        ("{\n  \"sandbx\": {}\n}", "2:3: unknown key \"sandbx\" in the file, did you mean \"sandbox\"?"),
        (
            "{\"sandbox\": {\"filesystem\": {\"alowRead\": []}}}",
            "1:29: unknown key \"alowRead\" in sandbox.filesystem, did you mean \"allowRead\"?",
        ),
        (
            "{\"allowRead\": []}",
            "1:2: unknown key \"allowRead\" in the file, did you mean \"sandbox.filesystem.allowRead\"?",
        ),
        (
            "{\"sandbox\": {\"zzzzzzzz\": 1}}",
            "1:14: unknown key \"zzzzzzzz\" in sandbox, expected one of enabled, capabilities, filesystem, network, env, limits",
        ),
        (
            "{\"x\\u001b[2J\": 1}",
            "1:2: unknown key \"x\\u{1b}[2J\" in the file, expected one of $schema, name, description, sessionDefaultSettings, maxAutonomyLevel, subagentAutonomyLevel, missionPolicy, commandAllowlist, commandDenylist, commandBlocklist, mcpAutonomyOverrides, hooks, forbidSkipPermissions, server, sandbox",
        ),
        ("{\"sandbox\": []}", "1:13: sandbox: expected an object, found a list"),
        (
            "{\"sandbox\": {\"filesystem\": {\"allowRead\": \"/\"}}}",
            "1:42: sandbox.filesystem.allowRead: expected a list, found a string",
        ),
        (
            "{\"sandbox\": {\"filesystem\": {\"allowRead\": [\n\t\"/\",\n\t7]}}}",
            "3:2: sandbox.filesystem.allowRead[1]: expected a string, found a number",
        ),
        (
            "{\"sandbox\": {\"filesystem\": {\"allowRead\": [\"ü\", null]}}}",
            "1:48: sandbox.filesystem.allowRead[1]: expected a string, found null",
        ),
        ("{\"sandbox\": {\"enabled\": \"no\"}}", "1:25: sandbox.enabled: expected true or false, found a string"),
        ("{\"sandbox\": {\"enabled\": null}}", "1:25: sandbox.enabled: expected true or false, found null"),
        (
            "{\"maxAutonomyLevel\": \"hihg\"}",
            "1:22: maxAutonomyLevel: expected one of off, low, medium, high, found \"hihg\"",
        ),
        ("{\"maxAutonomyLevel\": 3}", "1:22: maxAutonomyLevel: expected one of off, low, medium, high, found a number"),
        (
            "{\"sandbox\": {\"limits\": {\"processes\": 0}}}",
            "1:38: sandbox.limits.processes: expected a whole number of at least 1, found \"0\"",
        ),
        (
            "{\"sandbox\": {\"limits\": {\"processes\": 1.5}}}",
            "1:38: sandbox.limits.processes: expected a whole number of at least 1, found \"1.5\"",
        ),
        (
            "{\"sandbox\": {\"limits\": {\"processes\": -1}}}",
            "1:38: sandbox.limits.processes: expected a whole number of at least 1, found \"-1\"",
        ),
        (
            "{\"sandbox\": {\"limits\": {\"processes\": 99999999999999999999}}}",
            "1:38: sandbox.limits.processes: expected a whole number of at least 1, found \"99999999999999999999\"",
        ),
        (
            "{\"sandbox\": {\"limits\": {\"processes\": \"1\"}}}",
            "1:38: sandbox.limits.processes: expected a whole number of at least 1, found a string",
        ),
        ("{\"sandbox\": {}, \"sandbox\": {}}", "1:17: the key \"sandbox\" stands here twice"),
        ("{\"mcpAutonomyOverrides\": {\"a\": {}, \"a\": {}}}", "1:36: the key \"a\" stands here twice"),
        (
            "{\"mcpAutonomyOverrides\": {\"a\": {\"tools\": {\"t\": \"no\"}}}}",
            "1:48: mcpAutonomyOverrides.a.tools.t: expected one of off, low, medium, high, found \"no\"",
        ),
        (
            "{\"hooks\": {\"preCommand\": [7]}}",
            "1:27: hooks.preCommand[0]: expected a program's path, or a list of it and its arguments, found a number",
        ),
        (
            "{\"hooks\": {\"preCommand\": [\"check\"]}}",
            "1:27: hooks.preCommand[0]: expected a program's absolute path, alone or first in a list, found \"check\"",
        ),
        (
            "{\"hooks\": {\"preCommand\": [[\"/bin/x\", 1]]}}",
            "1:38: hooks.preCommand[0][1]: expected a string, found a number",
        ),
        (
            "{\"sandbox\": {\"filesystem\": {\"denyRead\": [\"\"]}}}",
            "1:42: sandbox.filesystem.denyRead[0]: expected a path: `/x`, `~/x`, `x` below the workspace, `**/x` at any depth, found \"\"",
        ),
        (
            "{\"sandbox\": {\"network\": {\"allowedDomains\": [\"https://example.com\"]}}}",
            "1:45: sandbox.network.allowedDomains[0]: expected `example.com`, `*.example.com`, `*`, an address or a CIDR block, each with an optional `:port`, or `name=address`, found \"https://example.com\"",
        ),
        ("{\"name\": \"x\"}", "1:10: the key \"name\" belongs in profiles, not in settings"),
    ];
    let found: Vec<String> = table.iter().map(|(text, _)| mistake(text.as_bytes())).collect();
    let wrong = table.iter().zip(&found).filter(|((_, expected), found)| found != expected);
    let wrong: Vec<_> =
        wrong.map(|((text, expected), found)| format!("{text}\n  expected {expected}\n  found    {found}")).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(mistake(b"{\n\"\xff\": 1}"), "2:2: not UTF-8 text");
    assert_eq!(mistake(b"\xff\xfe{\x00}\x00"), "1:1: not UTF-8 text");
}

#[test]
fn nesting_without_end_is_a_mistake_and_no_overflow() {
    for open in ["[", "{\"sandbox\":"] {
        let text = open.repeat(50_000);
        assert!(mistake(text.as_bytes()).contains("nesting depth"), "{open}");
    }
}

#[test]
fn what_says_nothing_is_an_empty_document() {
    for text in ["", "\n", "// nothing\n", "/* nothing */", "{}", "\u{feff}{}", "{ /* none */ }"] {
        let document = read(text.as_bytes()).unwrap();
        assert!(!crate::settings::widens(&document), "{text:?}");
    }
}

#[test]
fn values_know_their_lines_and_columns() {
    let text = "\u{feff}// top\r\n{\r\n  \"sandbox\": { \"filesystem\": { \"allowRead\": [\"/ü\", /* x */ \"/b\",\r\n\t\"/c\", ] } },\r\n}";
    let document = read(text.as_bytes()).unwrap();
    let found = document.sandbox.filesystem.allow_read.iter();
    let found: Vec<_> = found.map(|at| (&*at.value, at.position.line, at.position.column)).collect();
    assert_eq!(found, [("/ü", 3, 46), ("/b", 3, 60), ("/c", 4, 2)]);
}

#[test]
fn the_schema_has_every_list_and_the_built_in_defaults_fit_it() {
    let schema = serde_json::to_value(crate::settings::schema::json_schema()).unwrap();
    for list in List::ALL {
        let mut at = &schema;
        for key in list.keys() {
            let reference = at.get("$ref").and_then(|reference| reference.as_str());
            if let Some(name) = reference.and_then(|path| path.strip_prefix("#/$defs/")) {
                at = &schema["$defs"][name];
            }
            at = &at["properties"][key];
        }
        assert_eq!(at["type"], "array", "{}", list.path());
        assert!(at["description"].is_string(), "{}", list.path());
    }
    assert_eq!(schema["additionalProperties"], false);
    let defaults = read(crate::settings::DEFAULTS.as_bytes()).unwrap();
    crate::settings::entry::check(&defaults).unwrap();
}
