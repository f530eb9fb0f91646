//! The house rules that a compiler does not know: who may import whom, how long things may be, where `unsafe` lives.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// A module imports only what stands after it here (and itself).
const ORDER: [&str; 15] = [
    "main",
    "cli",
    "run",
    "server",
    "tools",
    "prompt",
    "session",
    "approval",
    "supervisor",
    "dns",
    "sandbox",
    "policy",
    "settings",
    "journal",
    "sys",
];
const MOST_LINES: usize = 500;
const MOST_FUNCTION_LINES: usize = 60;

fn sources(dir: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut dirs = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(dir)];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

fn everything() -> Vec<(PathBuf, String)> {
    [sources("src"), sources("tests"), sources("benches")].concat()
}

/// A file of tests beside the code that it tests.
fn is_test_file(path: &Path) -> bool {
    let name = path.file_stem().unwrap().to_str().unwrap();
    name == "tests" || name.ends_with("_tests") || path.components().any(|part| part.as_os_str() == "tests")
}

/// The text of a line without comments and string literals: what is left is code.
fn code_of(line: &str) -> String {
    let mut code = String::new();
    let mut characters = line.chars().peekable();
    let mut in_string = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' if in_string => {
                characters.next();
            }
            '"' => in_string = !in_string,
            '\'' if !in_string && characters.clone().nth(1) == Some('\'') => {
                characters.next();
                characters.next();
            }
            '/' if !in_string && characters.peek() == Some(&'/') => break,
            _ if !in_string => code.push(character),
            _ => {}
        }
    }
    code
}

fn fail(complaints: &[String]) {
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn modules_import_only_what_stands_after_them() {
    let place = |module: &str| ORDER.iter().position(|name| *name == module);
    let mut complaints = Vec::new();
    for (path, text) in sources("src") {
        let Some(own) = path
            .components()
            .nth(1)
            .map(|part| Path::new(part.as_os_str()).file_stem().unwrap().to_str().unwrap().to_owned())
        else {
            continue;
        };
        let Some(own_place) = place(&own) else {
            if own != "lib" {
                complaints.push(format!("{}: {own} has no place in the order of modules", path.display()));
            }
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            let code = code_of(line);
            for (at, _) in code.match_indices("crate::") {
                let named: String = code[at + 7..]
                    .chars()
                    .take_while(|character| character.is_alphanumeric() || *character == '_')
                    .collect();
                let all: Vec<String> = if named.is_empty() && code[at + 7..].starts_with('{') {
                    code[at + 8..]
                        .split([',', '}'])
                        .map(|part| part.trim().split("::").next().unwrap_or("").to_owned())
                        .collect()
                } else {
                    vec![named]
                };
                for module in all {
                    if place(&module).is_some_and(|there| there < own_place) {
                        complaints.push(format!(
                            "{}:{}: {own} imports {module}, which stands before it",
                            path.display(),
                            number + 1
                        ));
                    }
                }
            }
        }
    }
    fail(&complaints);
}

#[test]
fn files_are_short() {
    let mut complaints = Vec::new();
    for (path, text) in everything() {
        let lines = text.lines().count();
        if lines > MOST_LINES {
            complaints.push(format!("{}: {lines} lines, {MOST_LINES} are allowed", path.display()));
        }
    }
    fail(&complaints);
}

#[test]
fn functions_are_short() {
    let mut complaints = Vec::new();
    for (path, text) in sources("src") {
        if is_test_file(&path) {
            continue;
        }
        // Tests beside the code come last in a file; what they hold are tables.
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let mut open: Option<(usize, String, i64)> = None;
        let mut depth = 0_i64;
        for (number, line) in text.lines().enumerate() {
            let code = code_of(line);
            let trimmed = code.trim_start();
            let starts = [
                "fn ",
                "pub fn ",
                "pub(crate) fn ",
                "pub(super) fn ",
                "async fn ",
                "pub async fn ",
                "const fn ",
                "pub const fn ",
                "unsafe fn ",
                "pub unsafe fn ",
            ]
            .iter()
            .any(|start| trimmed.starts_with(start));
            if open.is_none() && starts && !trimmed.ends_with(';') {
                open = Some((number, trimmed.to_owned(), depth));
            }
            depth +=
                i64::try_from(code.matches('{').count()).unwrap() - i64::try_from(code.matches('}').count()).unwrap();
            if let Some((start, name, outer)) = &open
                && depth <= *outer
                && code.contains('}')
            {
                let length = number - start + 1;
                // A table of constants may be longer: it decides nothing and names nothing.
                let body: Vec<String> = text.lines().skip(start + 1).take(length - 1).map(code_of).collect();
                let is_table = name.ends_with("-> Vec<Row> {")
                    || !body
                        .iter()
                        .any(|line| ["let ", "for ", "while ", "match "].iter().any(|word| line.contains(word)));
                if length > MOST_FUNCTION_LINES && !is_table {
                    complaints.push(format!("{}:{}: {length} lines: {name}", path.display(), start + 1));
                }
                open = None;
            }
        }
    }
    fail(&complaints);
}

#[test]
fn unsafe_code_lives_in_sys_alone_and_says_why_it_is_sound() {
    let mut complaints = Vec::new();
    for (path, text) in everything() {
        let in_sys = path.starts_with("src/sys") || path == Path::new("src/sys.rs");
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let code = code_of(line);
            if !code
                .split(|character: char| !character.is_alphanumeric() && character != '_')
                .any(|word| word == "unsafe")
            {
                continue;
            }
            let place = format!("{}:{}", path.display(), number + 1);
            if !in_sys {
                complaints.push(format!("{place}: unsafe outside src/sys"));
            } else if code.contains("unsafe {") || code.contains("unsafe impl") {
                let above = lines[number.saturating_sub(8)..=number].iter().any(|line| line.contains("SAFETY:"));
                if !above {
                    complaints.push(format!("{place}: no SAFETY comment"));
                }
            }
        }
    }
    fail(&complaints);
}

/// Only what owns a call's reply gives it.
#[test]
fn the_kernel_is_told_in_one_place() {
    let tells = |text: &str| text.lines().any(|line| code_of(line).contains("respond"));
    let tell: Vec<PathBuf> =
        sources("src/supervisor").into_iter().filter(|(_, text)| tells(text)).map(|(path, _)| path).collect();
    let (owed, tests) = (PathBuf::from("src/supervisor/owed.rs"), PathBuf::from("src/supervisor/owed_tests.rs"));
    assert_eq!(tell, [owed, tests]);
}

#[test]
fn nothing_is_left_for_later() {
    // Written apart, so that this file does not accuse itself.
    let words = [
        concat!("todo", "!("),
        concat!("unimpl", "emented!("),
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
        concat!("XX", "X:"),
        concat!("#[ign", "ore"),
        concat!("dbg", "!("),
    ];
    let mut complaints = Vec::new();
    for (path, text) in everything() {
        for (number, line) in text.lines().enumerate() {
            for word in words {
                // A process that another test starts stands among the tests because only they are built.
                if line.contains(word) && !line.contains(concat!("#[ign", "ore = \"run by ")) {
                    complaints.push(format!("{}:{}: {word}", path.display(), number + 1));
                }
            }
        }
    }
    fail(&complaints);
}

#[test]
fn modules_are_named_for_what_they_own() {
    let banned = ["utils", "util", "helpers", "helper", "common", "types", "manager", "misc"];
    let mut complaints = Vec::new();
    for (path, text) in sources("src") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        if banned.contains(&name) || path.components().any(|part| banned.contains(&part.as_os_str().to_str().unwrap()))
        {
            complaints.push(format!("{}: says nothing about what it owns", path.display()));
        }
        if !is_test_file(&path) && !text.starts_with("//!") {
            complaints.push(format!("{}: no module doc", path.display()));
        }
    }
    fail(&complaints);
}

#[test]
fn every_attack_program_is_run_by_a_test_that_names_its_row() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks");
    let tests: String = sources("tests").into_iter().map(|(_, text)| text).collect();
    let mut complaints = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "c") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if !tests.contains(&format!("\"{name}\"")) {
                complaints.push(format!("{name}.c is run by no test"));
            }
        }
    }
    for row in (1..=30)
        .filter(|row| !(9..10).contains(row))
        .map(|row| format!("row_{row:02}_"))
        .chain(["row_09_", "row_09a_", "row_09b_", "row_09c_"].map(str::to_owned))
    {
        if !tests.contains(&format!("fn {row}")) {
            complaints.push(format!("no test is named {row}…"));
        }
    }
    fail(&complaints);
}

/// Every test that `docs/security.md` names, in its table or below, is there; and no row is left out.
#[test]
fn every_test_that_the_security_table_names_exists() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/security.md")).unwrap();
    let code: String = everything().into_iter().map(|(_, text)| text).collect();
    let mut complaints = Vec::new();
    let mut rows = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [row, _, _, tests, _] = cells[..] else { continue };
        rows.push(row.to_owned());
        if !tests.contains('`') && row.starts_with(|first: char| first.is_ascii_digit()) {
            complaints.push(format!("row {row} names no test"));
        }
        for name in tests.split('`').skip(1).step_by(2) {
            if !code.contains(&format!("fn {name}(")) {
                complaints.push(format!("row {row}: no test is called {name}"));
            }
        }
    }
    for row in (1..=32).map(|row: u32| row.to_string()).chain(["9a", "9b", "9c"].map(str::to_owned)) {
        if !rows.contains(&row) {
            complaints.push(format!("row {row} is not in the table"));
        }
    }
    for name in text.lines().filter_map(|line| line.strip_prefix("- `")?.split('`').next()) {
        if !code.contains(&format!("fn {name}(")) {
            complaints.push(format!("no test is called {name}"));
        }
    }
    fail(&complaints);
}
