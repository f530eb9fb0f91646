//! The user's lists of commands: block, deny, allow.
//!
//! A pattern is shell words: `git status` matches a command that begins with them; a `*` word matches any
//! one word, a trailing `*` any rest; `=` in front means exactly these words.

use std::path::Path;

use super::arg::{Arg, base_name};
use super::shell::Word;
use crate::policy::Rule;
use crate::settings::{List, Source, Sourced, Text};

/// The compiled lists.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    pub(super) block: Vec<Pattern>,
    pub(super) deny: Vec<Pattern>,
    pub(super) allow: Vec<Pattern>,
}

/// A pattern that is no sequence of plain shell words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{list}: {text:?} at {origin}: a command pattern is plain words, with `*` for any word")]
pub struct BadPattern {
    list: String,
    text: String,
    origin: String,
}

#[derive(Debug, Clone)]
pub(super) struct Pattern {
    words: Vec<Part>,
    reach: Reach,
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Word(String),
    Any,
}

/// Does the pattern say all of the command?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Beginning,
    Exact,
}

impl Rules {
    /// Compiles the three lists of the settings.
    pub fn new(block: &[Sourced<Text>], deny: &[Sourced<Text>], allow: &[Sourced<Text>]) -> Result<Rules, BadPattern> {
        let compile = |list, entries: &[Sourced<Text>]| -> Result<Vec<Pattern>, BadPattern> {
            entries.iter().map(|entry| Pattern::new(list, &entry.value, &entry.source)).collect()
        };
        Ok(Rules {
            block: compile(List::CommandBlock, block)?,
            deny: compile(List::CommandDeny, deny)?,
            allow: compile(List::CommandAllow, allow)?,
        })
    }
}

impl Pattern {
    fn new(list: List, text: &Text, source: &Source) -> Result<Pattern, BadPattern> {
        let bad = || BadPattern { list: list.path(), text: text.to_string(), origin: source.to_string() };
        let (body, exact) = match text.trim().strip_prefix('=') {
            Some(body) => (body, true),
            None => (&**text, false),
        };
        let mut words = split(body).ok_or_else(bad)?;
        if words.is_empty() {
            return Err(bad());
        }
        // A trailing `*` is any rest, also none: the same as a beginning.
        let reach = if exact { Reach::Exact } else { Reach::Beginning };
        if reach == Reach::Beginning && words.len() > 1 && words.last() == Some(&Part::Any) {
            words.pop();
        }
        Ok(Pattern { words, reach, rule: Rule { list: Some(list), entry: text.clone(), source: source.clone() } })
    }

    pub(super) fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Could it match a program of this base name?
    pub(super) fn concerns(&self, base: &str) -> bool {
        match self.words.first() {
            Some(Part::Word(word)) => base_name(word) == base,
            _ => true,
        }
    }

    /// Deny and block: the program's base name wherever it comes from. What is not known yet is judged when it runs.
    pub(super) fn forbids(&self, argv: &[Arg]) -> bool {
        let (Some(program), Some(first)) = (argv.first(), self.words.first()) else {
            return false;
        };
        let named = match (first, program.exact()) {
            (Part::Any, _) => true,
            (Part::Word(word), Some(text)) => text == word || base_name(text) == word,
            (Part::Word(_), None) => return false,
        };
        // Options before a subcommand do not hide it: `git -C dir push`.
        let options = argv[1..]
            .iter()
            .scan(false, |after_option, arg| {
                let option = arg.text.starts_with('-');
                let skipped = option || *after_option;
                *after_option = option;
                skipped.then_some(())
            })
            .count();
        let hides = self.reach == Reach::Beginning && argv.len() > 1;
        let places = 1..=if hides { 1 + options } else { 1 };
        named && places.into_iter().any(|place| self.rest_fits(&argv[place.min(argv.len())..]))
    }

    /// Allow: the program as it resolves.
    pub(super) fn permits(&self, argv: &[Arg], resolved: Option<&Path>) -> bool {
        let (Some(program), Some(first)) = (argv.first(), self.words.first()) else {
            return false;
        };
        let Some(text) = program.exact() else {
            return false;
        };
        let named = match first {
            Part::Any => true,
            Part::Word(word) => text == word || resolved.is_some_and(|path| path == Path::new(word)),
        };
        named && self.rest_fits(&argv[1..])
    }

    /// Do the arguments fit what stands after the program's name?
    fn rest_fits(&self, args: &[Arg]) -> bool {
        let words = &self.words[1..];
        let long_enough = match self.reach {
            Reach::Exact => args.len() == words.len(),
            Reach::Beginning => args.len() >= words.len(),
        };
        long_enough && words.iter().zip(args).all(|(part, arg)| part.fits(arg))
    }
}

impl Part {
    fn fits(&self, arg: &Arg) -> bool {
        match self {
            Part::Any => true,
            Part::Word(word) => arg.is_exactly(word),
        }
    }
}

/// The pattern of exactly these words.
pub fn exact_pattern(words: &[String]) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "%+,-./:@_".contains(c);
    let quoted = words.iter().map(|word| match !word.is_empty() && word.chars().all(safe) {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    });
    format!("={}", quoted.collect::<Vec<_>>().join(" "))
}

/// Splits plain words: quotes count, expansions are not allowed.
fn split(text: &str) -> Option<Vec<Part>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut escaped = false;
    let mut raw = Vec::new();
    for (at, c) in text.char_indices() {
        match (c, quote) {
            _ if escaped => escaped = false,
            ('\\', _) if quote != Some('\'') => escaped = true,
            (_, Some(open)) if c == open => quote = None,
            (_, Some(_)) => {}
            ('\'' | '"', None) => {
                quote = Some(c);
                start.get_or_insert(at);
                continue;
            }
            (_, None) if c.is_whitespace() => {
                raw.extend(start.take().map(|start: usize| &text[start..at]));
                continue;
            }
            _ => {}
        }
        start.get_or_insert(at);
    }
    if quote.is_some() || escaped {
        return None;
    }
    raw.extend(start.map(|start| &text[start..]));
    for word in raw {
        words.push(if word == "*" { Part::Any } else { Part::Word(Word::plain(word)?) });
    }
    Some(words)
}
