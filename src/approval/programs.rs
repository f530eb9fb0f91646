//! What is known of programs: `policies/commands/*.jsonc`, read one entry at a time.
//!
//! A file's first line lists the programs in it after `//`; each entry begins on a line of its own,
//! indented by two, and is plain JSON, so that one entry can be cut out and read without the rest.
//! `policies/commands/README.md` explains the fields.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, LazyLock, RwLock};

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::verdict::Risk;

macro_rules! family {
    ($name:literal) => {
        include_str!(concat!("../../policies/commands/", $name, ".jsonc"))
    };
}

const FAMILIES: &[&str] = &[
    family!("shell"),
    family!("files"),
    family!("text"),
    family!("search"),
    family!("system"),
    family!("processes"),
    family!("wrappers"),
    family!("git"),
    family!("archives"),
    family!("network"),
    family!("packages-node"),
    family!("packages-python"),
    family!("packages-rust-go"),
    family!("packages-system"),
    family!("build"),
    family!("containers"),
    family!("services"),
    family!("databases"),
    family!("interpreters"),
    family!("editors"),
];

/// A risk with its reason, written as one string: `medium installs packages`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) risk: Risk,
    pub(super) why: &'static str,
}

impl Said {
    pub(super) const fn new(risk: Risk, why: &'static str) -> Said {
        Said { risk, why }
    }

    fn parse(text: &'static str) -> Option<Said> {
        let (risk, why) = text.split_once(' ').unwrap_or((text, ""));
        Some(Said::new(Risk::from_word(risk)?, why))
    }
}

/// How a program reads its arguments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Dialect {
    /// `-abc`, `-o value`, `--long[=value]`, long options abbreviated.
    #[default]
    Gnu,
    /// `-name value` or `-name=value`, one dash or two, no clusters.
    Go,
    /// `name=value` operands.
    Assign,
    /// Like `gnu`, where a first word without a dash is a cluster too.
    Tar,
}

/// Code that looks closer than data can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reader {
    Find,
    Sed,
    Awk,
    Git,
    Shell,
    /// Runs a program text from its standard input or its first operand: `python`, `node`.
    Interpreter,
}

/// How a command is found in another's arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Inner {
    /// Operands before it.
    #[serde(default)]
    pub(super) skip: usize,
    /// `NAME=value` words before it set its environment.
    #[serde(default)]
    pub(super) assignments: bool,
    /// More arguments follow that only the run knows.
    #[serde(default)]
    pub(super) appends: bool,
    /// The words are joined and given to a shell.
    #[serde(default)]
    pub(super) shell: bool,
    /// There may be none.
    #[serde(default)]
    pub(super) optional: bool,
    /// Only what stands after `--` is a command.
    #[serde(default)]
    pub(super) after_dashes: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Fields {
    risk: &'static str,
    #[serde(default)]
    takes: &'static str,
    #[serde(default)]
    ends: &'static str,
    #[serde(default)]
    options: Pairs<&'static str>,
    #[serde(default)]
    lowers: Pairs<&'static str>,
    #[serde(default)]
    operands: Option<&'static str>,
    #[serde(default)]
    words: Pairs<&'static str>,
    #[serde(default)]
    subcommands: Pairs<Program>,
    #[serde(default)]
    runs: Pairs<&'static str>,
    #[serde(default)]
    inner: Option<Inner>,
    #[serde(default)]
    reader: Option<Reader>,
    #[serde(default)]
    dialect: Dialect,
    #[serde(default)]
    exact_options: bool,
}

/// A program, or a subcommand of one.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) base: Said,
    /// Options that take a value and are harmless, separated by blanks.
    pub(super) takes: &'static str,
    /// Options after which nothing is read as one: `python -m`.
    pub(super) ends: &'static str,
    /// Option spellings, separated by blanks → what they make of the risk.
    pub(super) options: Vec<(&'static str, Said)>,
    /// Options that make the program do less than its base.
    pub(super) lowers: Vec<(&'static str, Said)>,
    /// From that many operands on, this.
    pub(super) operands: Option<(usize, Said)>,
    /// Operands that say what it does: `deploy*`.
    pub(super) words: Vec<(&'static str, Said)>,
    pub(super) subcommands: Vec<(&'static str, Program)>,
    /// Options whose value is a command: `shell`, `words` (up to `;`), `program`.
    pub(super) runs: Vec<(&'static str, &'static str)>,
    pub(super) inner: Option<Inner>,
    pub(super) reader: Option<Reader>,
    pub(super) dialect: Dialect,
    /// Long options may not be abbreviated.
    pub(super) exact_options: bool,
}

impl Program {
    fn plain(base: Said) -> Program {
        Program {
            base,
            takes: "",
            ends: "",
            options: Vec::new(),
            lowers: Vec::new(),
            operands: None,
            words: Vec::new(),
            subcommands: Vec::new(),
            runs: Vec::new(),
            inner: None,
            reader: None,
            dialect: Dialect::Gnu,
            exact_options: false,
        }
    }

    fn from_fields(fields: Fields) -> Option<Program> {
        let said = |pairs: Pairs<&'static str>| {
            pairs.0.into_iter().map(|(key, text)| Some((key, Said::parse(text)?))).collect::<Option<Vec<_>>>()
        };
        let operands = match fields.operands {
            None => None,
            Some(text) => {
                let (count, rest) = text.split_once(' ')?;
                Some((count.parse().ok()?, Said::parse(rest)?))
            }
        };
        Some(Program {
            base: Said::parse(fields.risk)?,
            takes: fields.takes,
            ends: fields.ends,
            options: said(fields.options)?,
            lowers: said(fields.lowers)?,
            operands,
            words: said(fields.words)?,
            subcommands: fields.subcommands.0,
            runs: fields.runs.0,
            inner: fields.inner,
            reader: fields.reader,
            dialect: fields.dialect,
            exact_options: fields.exact_options,
        })
    }

    /// The entry for a subcommand; names in one key are separated by blanks, and `*` is any other.
    pub(super) fn subcommand(&self, name: &str) -> Option<&Program> {
        self.subcommands
            .iter()
            .find(|(names, _)| names.split(' ').any(|known| known == name || known == "*"))
            .map(|(_, program)| program)
    }

    /// Could some option make it more than its base?
    pub(super) fn has_raising_options(&self) -> bool {
        !self.options.is_empty()
            || !self.runs.is_empty()
            || matches!(self.reader, Some(Reader::Sed | Reader::Awk | Reader::Find))
    }
}

impl<'de> Deserialize<'de> for Program
where
    'de: 'static,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Program, D::Error> {
        struct Either;
        impl<'de: 'static> Visitor<'de> for Either {
            type Value = Program;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a risk with its reason, or an object")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Program, E> {
                Said::parse(text).map(Program::plain).ok_or_else(|| E::custom("not a risk"))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Program, A::Error> {
                let fields = Fields::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Program::from_fields(fields).ok_or_else(|| de::Error::custom("a field is not a risk with its reason"))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A JSON object in the order that it was written.
#[derive(Debug)]
struct Pairs<V>(Vec<(&'static str, V)>);

impl<V> Default for Pairs<V> {
    fn default() -> Self {
        Pairs(Vec::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<V>
where
    'de: 'static,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ordered<V>(PhantomData<V>);
        impl<'de: 'static, V: Deserialize<'de>> Visitor<'de> for Ordered<V> {
            type Value = Pairs<V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<V>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Ordered(PhantomData))
    }
}

/// Programs read so far; `None` for names that are in no file.
static READ: LazyLock<RwLock<HashMap<String, Option<Arc<Program>>>>> = LazyLock::new(RwLock::default);

/// How many unknown names are remembered before all are forgotten.
const MAX_REMEMBERED: usize = 1024;

/// What is known of a program, by its base name.
pub(super) fn lookup(name: &str) -> Option<Arc<Program>> {
    if let Ok(read) = READ.read()
        && let Some(program) = read.get(name)
    {
        return program.clone();
    }
    let program = FAMILIES
        .iter()
        .find_map(|family| entry(family, name))
        .and_then(|text| serde_json::from_str(text).ok())
        .map(Arc::new);
    if let Ok(mut read) = READ.write() {
        if read.len() > MAX_REMEMBERED {
            read.clear();
        }
        read.insert(name.to_owned(), program.clone());
    }
    program
}

/// Cuts the entry of one program out of a file.
fn entry(family: &'static str, name: &str) -> Option<&'static str> {
    // Each name stands between spaces, the last before the end of the line: nearly all are not there.
    let listed = family.lines().next()?.strip_prefix("//")?;
    let between = format!(" {name} ");
    if !listed.contains(&between) && !listed.ends_with(between.trim_end_matches(' ')) {
        return None;
    }
    let mut at = 0;
    while let Some(found) = family[at..].find("\n  \"") {
        let key_start = at + found + 4;
        let key_end = key_start + family[key_start..].find('"')?;
        if family[key_start..key_end].split(' ').any(|known| known == name) {
            let value_start = key_end + 2;
            let rest = &family[value_start..];
            let length = rest.find("\n  \"").or_else(|| rest.find("\n}"))?;
            return Some(rest[..length].trim().trim_end_matches(','));
        }
        at = key_end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(family: &'static str) -> Vec<&'static str> {
        let starts = family.match_indices("\n  \"").map(|(at, _)| at + 4);
        starts.flat_map(|start| family[start..].split('"').next().unwrap_or_default().split(' ')).collect()
    }

    #[test]
    fn every_entry_is_listed_and_readable() {
        let mut seen: HashMap<&str, &str> = HashMap::new();
        for family in FAMILIES {
            let header = family.lines().next().unwrap();
            let listed: Vec<&str> = header.strip_prefix("// ").unwrap().split(' ').collect();
            let keys = keys(family);
            assert_eq!(listed, keys, "the first line lists the entries");
            for name in keys {
                assert_eq!(seen.insert(name, header), None, "{name} is in two files");
                let text = entry(family, name).unwrap();
                serde_json::from_str::<Program>(text).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
            }
        }
    }

    #[test]
    fn every_file_is_valid_jsonc() {
        for family in FAMILIES {
            jsonc_parser::parse_to_ast(family, &Default::default(), &Default::default()).unwrap();
        }
    }

    #[test]
    fn unknown_programs_are_unknown() {
        assert!(lookup("no-such-program").is_none());
    }
}
