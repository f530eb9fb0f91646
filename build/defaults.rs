//! Turns the built-in settings into code, so that a start does not parse them.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use jsonc_parser::ast::{ObjectPropName, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

const FILE: &str = "policies/default.jsonc";

/// Writes an expression that fills a `Document`: what its text says, each value with its position.
pub(crate) fn compile() {
    println!("cargo::rerun-if-changed={FILE}");
    let text = fs::read_to_string(FILE).expect("read the built-in settings");
    let tree = parse_to_ast(&text, &CollectOptions::default(), &ParseOptions::default());
    let tree = tree.expect("the built-in settings are well-formed");
    let mut code = String::from("{\nlet mut document = Document::default();\n");
    assign(&mut code, &text, "document", tree.value.as_ref().expect("the built-in settings say something"));
    code.push_str("document\n}\n");
    let file = Path::new(&crate::variable("OUT_DIR")).join("defaults.rs");
    fs::write(file, code).expect("write the built-in settings as code");
}

fn assign(code: &mut String, text: &str, place: &str, value: &Value<'_>) {
    let (line, column) = position(text, value.start());
    let mut set = |value: String| {
        writeln!(code, "{place} = Some(at({value}, {line}, {column}));").expect("a string takes everything");
    };
    match value {
        Value::Object(object) => {
            for property in &object.properties {
                let ObjectPropName::String(key) = &property.name else { panic!("a key without quotes") };
                assign(code, text, &format!("{place}.{}", field(&key.value)), &property.value);
            }
        }
        Value::Array(array) => {
            let entries: Vec<String> = array.elements.iter().map(|entry| within(text, entry)).collect();
            writeln!(code, "{place} = entries(&[{}]);", entries.join(", ")).expect("a string takes everything");
        }
        Value::NumberLit(number) => set(number.value.to_owned()),
        Value::BooleanLit(truth) => set(truth.value.to_string()),
        Value::StringLit(word) => set(format!("word({:?})", word.value)),
        Value::NullKeyword(_) => panic!("a null"),
    }
}

/// Where in the text an entry stands: its first byte, its length, its line and its column.
fn within(text: &str, entry: &Value<'_>) -> String {
    let Value::StringLit(entry) = entry else { panic!("an entry that is no string") };
    let start = entry.range.start + 1;
    assert_eq!(text[start..entry.range.end - 1], entry.value, "a built-in entry has no escapes");
    let (line, column) = position(text, entry.range.start);
    format!("({start}, {}, {line}, {column})", entry.value.len())
}

/// One-based line and column, in characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset];
    let line = before.rsplit('\n').next().unwrap_or(before);
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// `allowRead` → `allow_read`.
fn field(key: &str) -> String {
    let letters = key.chars().map(|letter| match letter {
        'A'..='Z' => format!("_{}", letter.to_ascii_lowercase()),
        _ => letter.to_string(),
    });
    letters.collect()
}
