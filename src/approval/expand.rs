//! Words → arguments, with the variables whose values are known.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use super::arg::{Arg, NUMBER, UNKNOWN};
use super::shell::{Operator, Parameter, Piece, Word};

/// More alternatives of one brace expression than this are as good as unknown.
const MAX_BRACES: usize = 64;
/// Text that is looked at to take one word's brace expressions apart.
const MAX_BRACE_BYTES: usize = 1 << 20;

/// Names no variable: the root of the workspace.
pub(super) const WORKSPACE: &str = "(workspace)";

/// Variables that the shell itself sets, whatever a command assigned.
const OWN: [&str; 9] = ["REPLY", "OPTARG", "OPTIND", "MAPFILE", "PIPESTATUS", "FUNCNAME", "DIRSTACK", "COPROC", "_"];

/// The variables of a shell. A value may hold [`UNKNOWN`].
#[derive(Debug, Clone, Default)]
pub(super) struct Variables {
    values: Rc<HashMap<String, String>>,
    /// Takes the likely for the known: a default for the value of a variable that nothing sets.
    pub(super) guesses: bool,
}

impl Variables {
    pub(super) fn set(&mut self, name: &str, value: String) {
        let value = if OWN.contains(&name) || name.starts_with("BASH_") { UNKNOWN.to_string() } else { value };
        Rc::make_mut(&mut self.values).insert(name.to_owned(), value);
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.values.keys().cloned().collect()
    }

    /// `$1`, `$2`, … and all of them together as they are there.
    pub(super) fn take_positional(&mut self, from: &Variables) {
        let positional =
            |name: &str| (name != "0" && name.bytes().all(|byte| byte.is_ascii_digit())) || matches!(name, "@" | "*");
        let values = Rc::make_mut(&mut self.values);
        values.retain(|name, _| !positional(name));
        let theirs = from.values.iter().filter(|(name, _)| positional(name));
        values.extend(theirs.map(|(name, value)| (name.clone(), value.clone())));
    }

    pub(super) fn forget(&mut self, name: &str) {
        self.set(name, UNKNOWN.to_string());
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    fn value(&self, name: &str) -> String {
        match name {
            "?" | "#" | "$" | "!" | "RANDOM" | "SECONDS" | "LINENO" | "PPID" | "UID" | "EUID" => NUMBER.to_string(),
            _ => self.get(name).map_or_else(|| UNKNOWN.to_string(), str::to_owned),
        }
    }
}

/// All arguments that a command's words make.
pub(super) fn all(words: &[Word], variables: &Variables) -> Vec<Arg> {
    let mut args = Vec::with_capacity(words.len());
    for word in words {
        into(word, variables, &mut args);
    }
    args
}

/// The value of a variable that holds this argument.
pub(super) fn value_of(arg: &Arg) -> String {
    arg.exact().map_or_else(|| UNKNOWN.to_string(), str::to_owned)
}

/// The output of the few commands in substitutions that print what is known.
fn substituted(text: &str, variables: &Variables) -> Option<String> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    match words.as_slice() {
        // Two of them are two files; which they are does not matter.
        ["mktemp"] | ["mktemp", "-d"] => Some("/tmp/tmp.mktemp".to_owned()),
        ["pwd"] | ["pwd", "-P" | "-L"] => variables.get("PWD").map(str::to_owned),
        ["git", "rev-parse", "--show-toplevel"] => variables.get(WORKSPACE).map(str::to_owned),
        ["echo" | "printf", word] if !word.contains(|c: char| "$`;|&<>()\"'\\*?[{}%".contains(c)) => {
            Some(match word.strip_prefix('~') {
                Some(rest) if rest.is_empty() || rest.starts_with('/') => tilde("", variables) + rest,
                _ => (*word).to_owned(),
            })
        }
        _ => None,
    }
}

/// A word where the shell splits and globs nothing: an assigned value, a here-document.
pub(super) fn value(word: &Word, variables: &Variables) -> String {
    let mut text = String::new();
    for piece in &word.pieces {
        match piece {
            Piece::Quoted(part) | Piece::Bare(part) => text.push_str(part),
            Piece::Tilde(user) => text.push_str(&tilde(user, variables)),
            Piece::Parameter(parameter) => text.push_str(&parameter_value(parameter, variables)),
            Piece::Arithmetic(_) => text.push(NUMBER),
            Piece::Substitution { text: inner, .. } => match substituted(inner, variables) {
                Some(known) => text.push_str(&known),
                None => text.push(UNKNOWN),
            },
            Piece::Unknown => text.push(UNKNOWN),
        }
    }
    text
}

fn into(word: &Word, variables: &Variables, args: &mut Vec<Arg>) {
    match braces(word) {
        Braces::None => fields(word, variables, args),
        Braces::Words(words) => {
            for word in words {
                let start = args.len();
                fields(&word, variables, args);
                args[start..].iter_mut().for_each(|arg| arg.expanded = true);
            }
        }
        Braces::Unclear => args.push(Arg::anything()),
    }
}

/// Expands parameters and splits what is unquoted.
fn fields(word: &Word, variables: &Variables, args: &mut Vec<Arg>) {
    let mut current: Option<Arg> = None;
    for piece in &word.pieces {
        match piece {
            Piece::Quoted(text) => current.get_or_insert_default().text.push_str(text),
            Piece::Bare(text) => {
                let arg = current.get_or_insert_default();
                arg.glob |= is_glob(text);
                arg.text.push_str(text);
            }
            Piece::Tilde(user) => {
                let arg = current.get_or_insert_default();
                arg.text.push_str(&tilde(user, variables));
            }
            Piece::Parameter(parameter) => {
                let value = parameter_value(parameter, variables);
                if parameter.quoted && parameter.name == "@" && !value.contains(UNKNOWN) {
                    // Each of them a word of its own.
                    unquoted(&value, &mut current, args);
                } else if parameter.quoted {
                    let arg = current.get_or_insert_default();
                    arg.expanded = true;
                    arg.many |= parameter.name == "@" || parameter.name.ends_with("[@]");
                    arg.text.push_str(&value);
                } else {
                    unquoted(&value, &mut current, args);
                }
            }
            Piece::Arithmetic(_) => {
                let arg = current.get_or_insert_default();
                arg.expanded = true;
                arg.text.push(NUMBER);
            }
            Piece::Substitution { text, quoted } => {
                let known = substituted(text, variables).unwrap_or_else(|| UNKNOWN.to_string());
                if *quoted {
                    let arg = current.get_or_insert_default();
                    arg.expanded = true;
                    arg.text.push_str(&known);
                } else {
                    unquoted(&known, &mut current, args);
                }
            }
            Piece::Unknown => {
                let arg = current.get_or_insert_default();
                arg.expanded = true;
                arg.text.push(UNKNOWN);
            }
        }
    }
    args.extend(current);
}

/// Adds an unquoted value: blanks in it end one argument and begin the next.
fn unquoted(value: &str, current: &mut Option<Arg>, args: &mut Vec<Arg>) {
    for (index, part) in value.split([' ', '\t', '\n']).enumerate() {
        if index > 0 {
            // What stands before is a word of its own because something was expanded.
            args.extend(current.take().map(|arg| Arg { expanded: true, ..arg }));
        }
        if !part.is_empty() {
            let arg = current.get_or_insert_default();
            arg.expanded = true;
            arg.many |= part.contains(UNKNOWN);
            arg.glob |= is_glob(part);
            arg.text.push_str(part);
        }
    }
}

/// `[` alone is a command, and no pattern.
fn is_glob(text: &str) -> bool {
    text.contains(['*', '?'])
        || text.find('[').is_some_and(|at| text[at..].contains(']'))
        || EXTENDED.iter().any(|sign| text.contains(sign))
}

fn tilde(user: &str, variables: &Variables) -> String {
    match user {
        "" => variables.get("HOME").map_or_else(|| format!("/{UNKNOWN}"), str::to_owned),
        "+" => variables.get("PWD").map_or_else(|| format!("/{UNKNOWN}"), str::to_owned),
        "root" => "/root".to_owned(),
        "-" => format!("/{UNKNOWN}"),
        _ => format!("/home/{user}"),
    }
}

fn parameter_value(parameter: &Parameter, variables: &Variables) -> String {
    let name = &parameter.name;
    match &parameter.operator {
        Operator::Plain => variables.value(name),
        Operator::Length => NUMBER.to_string(),
        // A variable that this request did not set may be anything, or nothing.
        Operator::Default(word) | Operator::Assign(word) => match variables.get(name) {
            Some(known) if !known.is_empty() => known.to_owned(),
            None if !variables.guesses => UNKNOWN.to_string(),
            _ => value(word, variables),
        },
        // With a value it is that; without one the shell gives up.
        Operator::Demand(_) => variables.value(name),
        Operator::Alternate(_) | Operator::Other(_) | Operator::Computes(_) | Operator::Evaluates(_) => {
            UNKNOWN.to_string()
        }
    }
}

/// Patterns of `extglob` that begin with none of the plain signs.
pub(super) const EXTENDED: [&str; 3] = ["!(", "@(", "+("];

enum Braces {
    None,
    Words(Vec<Word>),
    /// A brace expression with quotes or expansions between its braces, or too many alternatives.
    Unclear,
}

/// The words that a brace expression stands for.
fn braces(word: &Word) -> Braces {
    let opens = |piece: &Piece| matches!(piece, Piece::Bare(text) if text.contains('{'));
    if !word.pieces.iter().any(opens) {
        return Braces::None;
    }
    let mut done = Vec::new();
    let mut open = vec![word.clone()];
    let mut looked_at = 0;
    while let Some(word) = open.pop() {
        looked_at += word.pieces.iter().map(Piece::weight).sum::<usize>();
        if looked_at > MAX_BRACE_BYTES {
            return Braces::Unclear;
        }
        match first_brace(&word) {
            Some(brace) if done.len() + open.len() + brace.parts.len() > MAX_BRACES => return Braces::Unclear,
            Some(brace) => open.extend(brace.parts.iter().rev().map(|part| brace.with(part, &word))),
            None if spans_pieces(&word) => return Braces::Unclear,
            None => done.push(word),
        }
    }
    Braces::Words(done)
}

/// An opening brace in one piece and a closing one in a later piece.
fn spans_pieces(word: &Word) -> bool {
    let bare = |piece: &Piece, brace| matches!(piece, Piece::Bare(text) if text.contains(brace));
    let first =
        word.pieces.iter().position(|piece| matches!(piece, Piece::Bare(text) if text.rfind('{') > text.rfind('}')));
    first.is_some_and(|first| word.pieces[first + 1..].iter().any(|piece| bare(piece, '}')))
}

/// A brace expression in a word.
struct Brace {
    piece: usize,
    range: Range<usize>,
    parts: Vec<String>,
}

impl Brace {
    /// The word with one part in the expression's place.
    fn with(&self, part: &str, word: &Word) -> Word {
        let mut pieces = word.pieces.clone();
        if let Piece::Bare(text) = &mut pieces[self.piece] {
            text.replace_range(self.range.clone(), part);
        }
        Word { pieces }
    }
}

fn first_brace(word: &Word) -> Option<Brace> {
    word.pieces.iter().enumerate().find_map(|(piece, found)| {
        let Piece::Bare(text) = found else { return None };
        let start = opening(text)?;
        let (length, parts) = alternatives(&text[start..])?;
        Some(Brace { piece, range: start..start + length, parts })
    })
}

/// Where the first brace expression of a text begins: found in one pass, however many braces open and never close.
fn opening(text: &str) -> Option<usize> {
    let mut open: Vec<(usize, bool)> = Vec::new();
    let mut first: Option<usize> = None;
    for (at, byte) in text.bytes().enumerate() {
        match (byte, open.last_mut()) {
            (b'{', _) => open.push((at, false)),
            (b',', Some((_, comma))) => *comma = true,
            (b'}', Some(&mut (start, comma))) => {
                open.pop();
                if comma || is_sequence(&text[start + 1..at]) {
                    first = Some(first.map_or(start, |first| first.min(start)));
                }
            }
            _ => {}
        }
    }
    first
}

/// The inside of `{1..9}`.
fn is_sequence(inside: &str) -> bool {
    inside.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)) && inside.contains("..")
}

/// `{a,b}…` → the length of the expression and its alternatives; a sequence `{1..9}` counts as one unknown number.
fn alternatives(text: &str) -> Option<(usize, Vec<String>)> {
    let mut depth = 0usize;
    let mut start = 1;
    let mut parts = Vec::new();
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b',' if depth == 1 => {
                parts.push(text[start..at].to_owned());
                start = at + 1;
            }
            b'}' if depth == 1 => {
                let last = &text[start..at];
                if parts.is_empty() {
                    return is_sequence(last).then(|| (at + 1, vec![NUMBER.to_string()]));
                }
                parts.push(last.to_owned());
                return Some((at + 1, parts));
            }
            b'}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}
