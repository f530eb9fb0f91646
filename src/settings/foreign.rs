//! Adding an entry to another program's settings file: comments, order and layout stay.
//!
//! Knows nothing of what such a file means: a list in JSON with comments, found by its keys.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jsonc_parser::cst::{CstInputValue, CstNode, CstObject, CstRootNode};
use rustix::fs::Mode;
use serde_json::{Map, Value};

use super::edit::Change;
use super::read::SYNTAX;
use super::replace::{Links, Locked};

/// The file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    #[error("create the directory {path:?}")]
    Create { path: PathBuf, source: io::Error },
    #[error("open the directory {path:?}")]
    Open { path: PathBuf, source: io::Error },
    #[error("read {path:?}")]
    Read { path: PathBuf, source: io::Error },
    #[error("write {path:?}")]
    Write { path: PathBuf, source: io::Error },
    #[error("{path:?} is not UTF-8 text")]
    NotText { path: PathBuf },
    #[error("{path:?} is not JSON: {problem}")]
    NotJson { path: PathBuf, problem: String },
    #[error("{path:?} says {key:?} twice in the same place: programs differ in which of them they heed")]
    Twice { path: PathBuf, key: String },
    #[error("{path:?}: expected {expected} at {key:?}")]
    Shape { path: PathBuf, key: String, expected: &'static str },
    #[error("{path:?} leads nowhere that could be written")]
    NoName { path: PathBuf },
}

/// What is to stand in the file.
pub struct Addition<'a> {
    /// The keys that lead to the list.
    pub list: &'a [String],
    pub entry: &'a Value,
    /// Keys of the whole file that are set where they are missing.
    pub beside: &'a Map<String, Value>,
    /// Is a text what an older addition said? It is taken out: alone where it stands in a list beside others, else with
    /// what it stands in.
    pub is_old: &'a dyn Fn(&str) -> bool,
}

/// Are files changed, or is only said what they would be?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    Yes,
    DryRun,
}

/// What the file says afterwards, and whether that is new.
pub fn add(file: &Path, addition: &Addition<'_>, mode: Writing) -> Result<(String, Change), ForeignError> {
    // A link is followed: people keep such files elsewhere.
    let real = match file.is_symlink() {
        true => file.canonicalize().map_err(|source| ForeignError::Read { path: file.to_owned(), source })?,
        false => file.to_owned(),
    };
    let no_name = || ForeignError::NoName { path: file.to_owned() };
    let directory = real.parent().ok_or_else(no_name)?;
    let name = real.file_name().and_then(|name| name.to_str()).ok_or_else(no_name)?;
    if !directory.exists() {
        if mode == Writing::DryRun {
            return edited(file, "", addition);
        }
        let made = DirBuilder::new().recursive(true).mode(0o755).create(directory);
        made.map_err(|source| ForeignError::Create { path: directory.to_owned(), source })?;
    }
    let open = |source| ForeignError::Open { path: directory.to_owned(), source };
    let locked = Locked::open(directory, Links::Follow).map_err(open)?;
    let old = locked.read(name).map_err(|source| ForeignError::Read { path: file.to_owned(), source })?;
    let bytes = old.as_ref().map_or(&b""[..], |content| &content.bytes);
    let text = std::str::from_utf8(bytes).map_err(|_| ForeignError::NotText { path: file.to_owned() })?;
    let (text, change) = edited(file, text, addition)?;
    if change == Change::Made && mode == Writing::Yes {
        locked
            .replace(name, text.as_bytes(), old.as_ref(), Mode::from_raw_mode(0o644))
            .map_err(|source| ForeignError::Write { path: file.to_owned(), source })?;
    }
    Ok((text, change))
}

fn edited(file: &Path, text: &str, addition: &Addition<'_>) -> Result<(String, Change), ForeignError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let not_json =
        |problem: &dyn std::fmt::Display| ForeignError::NotJson { path: file.to_owned(), problem: problem.to_string() };
    let root = CstRootNode::parse(text, &SYNTAX).map_err(|error| not_json(&error))?;
    let shape = |key: &str, expected| ForeignError::Shape { path: file.to_owned(), key: key.to_owned(), expected };
    let mut object = match root.value() {
        None => root.object_value_or_set(),
        Some(_) => root.object_value().ok_or_else(|| shape("", "an object"))?,
    };
    for (key, value) in addition.beside {
        if object.get(key).is_none() {
            object.append(key, input(value));
        }
    }
    let (last, parents) = addition.list.split_last().ok_or_else(|| shape("", "a list"))?;
    let once = |object: &CstObject, key: &str| match said(object, key) {
        0 | 1 => Ok(()),
        _ => Err(ForeignError::Twice { path: file.to_owned(), key: key.to_owned() }),
    };
    for key in parents {
        once(&object, key)?;
        object = inner(&object, key).ok_or_else(|| shape(key, "an object"))?;
    }
    once(&object, last)?;
    let array = match object.get(last) {
        None => object.array_value_or_set(last),
        Some(_) => object.array_value(last).ok_or_else(|| shape(last, "a list"))?,
    };
    let mut known = false;
    for element in array.elements() {
        let says = jsonc_parser::parse_to_serde_value::<Value>(&element.to_string(), &SYNTAX).unwrap_or_default();
        if says == *addition.entry && !known {
            known = true;
        } else if weed(&element, addition.is_old) {
            element.remove();
        }
    }
    if !known {
        if array.elements().is_empty() {
            array.ensure_multiline();
        }
        array.append(input(addition.entry));
    }
    let mut new = root.to_string();
    if !new.ends_with('\n') {
        new.push('\n');
    }
    let change = if new == text { Change::None } else { Change::Made };
    Ok((new, change))
}

fn inner(object: &CstObject, key: &str) -> Option<CstObject> {
    match object.get(key) {
        None => Some(object.object_value_or_set(key)),
        Some(_) => object.object_value(key),
    }
}

/// How often an object says the key.
fn said(object: &CstObject, key: &str) -> usize {
    let names = object.properties().into_iter().filter_map(|property| property.name()?.decoded_value().ok());
    names.filter(|name| name == key).count()
}

/// Takes old texts out of the lists in it that hold something else too. `true`: it is old as a whole.
fn weed(node: &CstNode, is_old: &dyn Fn(&str) -> bool) -> bool {
    if let Some(array) = node.as_array() {
        let items = array.elements();
        let old: Vec<_> = items.iter().filter(|item| weed(item, is_old)).cloned().collect();
        let whole = !old.is_empty() && old.len() == items.len();
        if !whole {
            old.into_iter().for_each(CstNode::remove);
        }
        return whole;
    }
    if let Some(object) = node.as_object() {
        let values = object.properties().into_iter().filter_map(|property| property.value());
        return values.filter(|value| weed(value, is_old)).count() > 0;
    }
    node.as_string_lit().and_then(|text| text.decoded_value().ok()).is_some_and(|text| is_old(&text))
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(yes) => CstInputValue::Bool(*yes),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(items) => CstInputValue::Array(items.iter().map(input).collect()),
        Value::Object(fields) => {
            CstInputValue::Object(fields.iter().map(|(key, field)| (key.clone(), input(field))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn add_to(text: &str) -> Result<(String, Change), ForeignError> {
        let list = ["hooks".to_owned(), "PreToolUse".to_owned()];
        let entry = json!({"hooks": [{"type": "command", "command": "/usr/bin/askance hook x", "timeout": 30}]});
        let beside = json!({"version": 1});
        let is_old = |text: &str| text.ends_with("/askance hook x");
        let addition = Addition { list: &list, entry: &entry, beside: beside.as_object().unwrap(), is_old: &is_old };
        edited(Path::new("/f"), text, &addition)
    }

    #[test]
    fn comments_and_other_entries_stay() {
        let text = "// mine\n{\n  \"version\": 3, // three\n  \"hooks\": {\n    \"PreToolUse\": [\n      { \"hooks\": [] }, // first\n    ],\n  },\n}\n";
        let (new, change) = add_to(text).unwrap();
        assert_eq!(change, Change::Made);
        for part in ["// mine", "\"version\": 3, // three", "{ \"hooks\": [] }, // first", "askance hook x"] {
            assert!(new.contains(part), "{part}\n{new}");
        }
        assert_eq!(add_to(&new).unwrap(), (new, Change::None));
    }

    #[test]
    fn an_older_entry_of_the_same_hook_is_replaced() {
        let old =
            "{\"version\": 1, \"hooks\": {\"PreToolUse\": [{\"hooks\": [{\"command\": \"/old/askance hook x\"}]}]}}\n";
        let (new, _) = add_to(old).unwrap();
        assert!(!new.contains("/old/") && new.contains("/usr/bin/askance hook x"), "{new}");
    }

    #[test]
    fn what_stands_beside_an_older_entry_stays() {
        let old = "{\"version\": 1, \"hooks\": {\"PreToolUse\": [\n  {\"matcher\": \"*\", \"hooks\": [{\"command\": \"/old/askance hook x\"}, /* mine */ {\"command\": \"/my/linter\"}]},\n  {\"command\": \"echo see askance hook x here\"}, // too\n]}}\n";
        let (new, _) = add_to(old).unwrap();
        for part in ["/* mine */", "/my/linter", "echo see askance hook x here", "// too", "/usr/bin/askance hook x"] {
            assert!(new.contains(part), "{part}\n{new}");
        }
        assert!(!new.contains("/old/"), "{new}");
        assert_eq!(add_to(&new).unwrap(), (new, Change::None));
    }

    #[test]
    fn what_is_not_understood_is_left_alone() {
        let twice = ["{\"hooks\": {}, \"hooks\": {}}", "{\"hooks\": {\"PreToolUse\": [], \"\\u0050reToolUse\": []}}"];
        for text in twice {
            assert!(matches!(add_to(text), Err(ForeignError::Twice { .. })), "{text}");
        }
        for text in ["[]", "{", "{\"hooks\": []}", "{\"hooks\": {\"PreToolUse\": {}}}", "nonsense"] {
            assert!(add_to(text).is_err(), "{text}");
        }
        for text in ["", "{}", "// only a comment\n"] {
            let (new, _) = add_to(text).unwrap();
            let value: Value = jsonc_parser::parse_to_serde_value(&new, &SYNTAX).unwrap();
            assert_eq!(value["version"], 1, "{new}");
        }
    }
}
