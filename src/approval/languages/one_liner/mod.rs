//! One-liners of interpreters: the commands that they start and the directories that they remove, as shell text.
//!
//! Their grammars are not read. What counts is which call a string stands in: `os.system("…")` starts it, `print("…")`
//! does not, and where a call takes a variable every string that could be its value counts.

mod calls;
mod tokens;

use calls::{ASIDE, Call, EVALUATES, HOMES, KNOWN, LISTS, ROOTS};
use tokens::{Dialect, Token};

/// More candidates than this are not held against the lists.
const MAX_CANDIDATES: usize = 200;
/// Programs in strings of programs.
const MAX_LEVELS: usize = 3;

/// Shell texts that stand for what a program text in this interpreter's language starts and removes.
pub(in crate::approval) fn commands(base: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    look(base, text, MAX_LEVELS, &mut found);
    found.truncate(MAX_CANDIDATES);
    found
}

fn look(base: &str, text: &str, levels: usize, found: &mut Vec<String>) {
    let tokens = tokens::read(text, Dialect::of(base));
    let program = Program::new(base, text, &tokens);
    for at in 0..tokens.len() {
        if found.len() > MAX_CANDIDATES {
            return;
        }
        program.at(at, found);
        let evaluates = matches!(&tokens[at], Token::Name(name) if EVALUATES.contains(&name.as_str()));
        if evaluates && levels > 0 {
            for index in program.region(at).into_iter().flatten() {
                if let Token::Text { content, .. } = &tokens[index] {
                    look(base, content, levels - 1, found);
                }
            }
        }
    }
}

struct Program<'t> {
    base: &'t str,
    text: &'t str,
    tokens: &'t [Token],
    /// For each token the opening brackets around it, innermost last.
    around: Vec<Vec<usize>>,
    /// For each opening bracket its partner.
    partner: Vec<usize>,
}

/// Deeper brackets are those around them.
const MAX_AROUND: usize = 24;

impl<'t> Program<'t> {
    fn new(base: &'t str, text: &'t str, tokens: &'t [Token]) -> Self {
        let mut around = Vec::with_capacity(tokens.len());
        let mut partner = vec![tokens.len(); tokens.len()];
        let mut open: Vec<usize> = Vec::new();
        for (at, token) in tokens.iter().enumerate() {
            if let Token::Sign(')' | ']' | '}') = token
                && let Some(start) = open.pop()
            {
                partner[start] = at;
            }
            around.push(open[open.len().saturating_sub(MAX_AROUND)..].to_vec());
            if let Token::Sign('(' | '[' | '{') = token {
                open.push(at);
            }
        }
        Program { base, text, tokens, around, partner }
    }

    fn name(&self, at: usize) -> Option<&str> {
        match self.tokens.get(at)? {
            Token::Name(name) => Some(name),
            _ => None,
        }
    }

    fn sign(&self, at: usize) -> Option<char> {
        match self.tokens.get(at)? {
            Token::Sign(sign) => Some(*sign),
            _ => None,
        }
    }

    fn content(&self, at: usize) -> Option<&str> {
        match self.tokens.get(at)? {
            Token::Text { content, .. } => Some(content),
            _ => None,
        }
    }

    fn before(&self, at: usize, by: usize) -> Option<usize> {
        at.checked_sub(by)
    }

    /// What a call of this name does.
    fn kind(&self, name: &str) -> Call {
        Call::of(name, self.base, self.text)
    }

    /// The arguments of the call whose name stands at `at`, in brackets or up to the end of the statement.
    fn region(&self, at: usize) -> Option<std::ops::Range<usize>> {
        match self.tokens.get(at + 1)? {
            Token::Sign('(') => Some(at + 2..self.partner[at + 1]),
            Token::Text { .. } | Token::Sign('[') | Token::Name(_) => {
                let depth = self.around[at].len();
                let ends = |index: usize| self.tokens[index] == Token::End || self.around[index].len() < depth;
                let end = (at + 1..self.tokens.len()).find(|&index| ends(index)).unwrap_or(self.tokens.len());
                Some(at + 1..end)
            }
            _ => None,
        }
    }

    fn at(&self, at: usize, found: &mut Vec<String>) {
        let called = match &self.tokens[at] {
            Token::Text { content, runs: true } => return found.push(content.clone()),
            // `getattr(os, "system")`, `require("rimraf")`
            Token::Text { content, .. } => match self.kind(content) {
                Call::Starts => return found.extend(self.any_command(at..at)),
                Call::Removes => return found.extend(self.any_directory()),
                Call::Inert | Call::Other => return,
            },
            Token::Name(name) => self.kind(name),
            Token::Sign('|') => return found.extend(self.piped(at)),
            Token::Sign('>') if self.base.ends_with("awk") => {
                return found.extend(self.content(at + 1).map(|path| format!(": > {}", word(path))));
            }
            _ => return,
        };
        match called {
            Call::Starts => self.starts(at, found),
            Call::Removes => self.removes(at, found),
            Call::Inert if matches!(self.name(at), Some("open" | "writeFileSync")) => self.opens(at, found),
            Call::Inert | Call::Other => {}
        }
    }

    /// `open(F, "cmd |")`, `open("f", "w")`, `open(F, ">f")`
    fn opens(&self, at: usize, found: &mut Vec<String>) {
        let texts: Vec<&str> = self.region(at).into_iter().flatten().filter_map(|index| self.content(index)).collect();
        for text in texts.iter().map(|text| text.trim()) {
            if text.starts_with('|') || text.ends_with('|') {
                found.push(text.trim_matches(|c: char| c == '|' || c.is_whitespace()).to_owned());
            } else if text.len() > 1 && text.starts_with('>') {
                found.push(format!(": > {}", word(text.trim_start_matches(['>', ' ']))));
            }
        }
        let mode = |text: &&str| text.len() < 4 && text.contains(['w', 'a', 'x', '+', '>']);
        match texts.as_slice() {
            [path, second, ..] if mode(second) => found.push(format!(": > {}", word(path))),
            [first, path] if mode(first) => found.push(format!(": > {}", word(path))),
            [path, ..] if self.name(at) == Some("writeFileSync") => found.push(format!(": > {}", word(path))),
            _ => {}
        }
    }

    /// `"cmd" | getline`, `print | "cmd"` of awk.
    fn piped(&self, at: usize) -> Vec<String> {
        let beside = [self.before(at, 1), Some(at + 1), Some(at + 2)];
        let texts = beside.into_iter().flatten().filter_map(|index| self.content(index));
        if self.base.ends_with("awk") { texts.map(str::to_owned).collect() } else { Vec::new() }
    }

    /// A name that is brought in under its own name, or defined.
    fn is_declared(&self, at: usize) -> bool {
        let statement = (0..at).rev().take_while(|&index| self.tokens[index] != Token::End);
        let imports =
            statement.filter_map(|index| self.name(index)).any(|name| matches!(name, "import" | "use" | "def"));
        let renamed = self.name(at + 1) == Some("as") || self.sign(at + 1) == Some(':');
        let unpacked = self.around[at].last().is_some_and(|&open| self.sign(open) == Some('{'))
            && !matches!(self.before(at, 1).and_then(|before| self.sign(before)), Some('.'));
        (imports || unpacked) && !renamed
    }

    fn starts(&self, at: usize, found: &mut Vec<String>) {
        // `"rm -rf /".execute()`
        let receiver = self.before(at, 2).filter(|_| self.before(at, 1).and_then(|dot| self.sign(dot)) == Some('.'));
        if let Some(text) = receiver.and_then(|index| self.content(index)) {
            found.push(text.to_owned());
        }
        let Some(region) = self.region(at) else {
            if !self.is_declared(at) && self.sign(at + 1) != Some('.') {
                found.extend(self.any_command(at..at));
            }
            return;
        };
        if self.base == "tclsh" || self.base == "wish" {
            let words = region.clone().filter_map(|index| self.spelled(index));
            found.push(words.collect::<String>());
        }
        let texts: Vec<&str> =
            region.clone().filter(|&index| self.counts(index, at)).filter_map(|index| self.content(index)).collect();
        found.extend(command_of(&texts));
        if region.clone().any(|index| self.is_unknown(index)) || (texts.is_empty() && !self.is_declared(at)) {
            found.extend(self.any_command(region));
        }
    }

    /// Words of a language whose commands are not quoted.
    fn spelled(&self, at: usize) -> Option<String> {
        match &self.tokens[at] {
            Token::Text { content, .. } => Some(format!(" {content}")),
            Token::Name(name) => {
                let joins = self.before(at, 1).and_then(|before| self.sign(before)).is_some();
                Some(if joins { name.clone() } else { format!(" {name}") })
            }
            Token::Sign(sign) => {
                let opens = matches!(sign, '-' | '/' | '~')
                    && !matches!(self.before(at, 1).and_then(|b| self.sign(b)), Some('/'));
                Some(if opens { format!(" {sign}") } else { sign.to_string() })
            }
            Token::End => None,
        }
    }

    /// Whether a string is an argument of the call at `call`, rather than of one within it that does nothing with it.
    fn counts(&self, at: usize, call: usize) -> bool {
        let within = self.around[at].iter().filter(|&&open| open > call + 1);
        let inert = within.filter_map(|&open| self.before(open, 1)).any(|name| {
            self.name(name).is_some_and(|word| self.kind(word) == Call::Inert || LISTS.contains(&word))
                || self.joins(name)
        });
        !inert && !self.is_aside(at)
    }

    /// `cwd="."`, `{ encoding: "utf8" }`
    fn is_aside(&self, at: usize) -> bool {
        let sign = self.before(at, 1).and_then(|before| self.sign(before));
        let named = self.before(at, 2).and_then(|before| self.name(before)).is_some_and(|name| ASIDE.contains(&name));
        named && matches!(sign, Some('=' | ':'))
    }

    /// `", ".join` and `list.join(…)`, but not `path.join`.
    fn joins(&self, at: usize) -> bool {
        const PATHS: [&str; 7] = ["path", "File", "p", "Path", "posixpath", "Pathname", "ntpath"];
        let of = self.before(at, 2).filter(|_| self.before(at, 1).and_then(|dot| self.sign(dot)) == Some('.'));
        self.name(at) == Some("join") && !of.and_then(|of| self.name(of)).is_some_and(|of| PATHS.contains(&of))
    }

    /// A string that could become anything: no argument of a call that does nothing with it, nothing compared.
    fn is_free(&self, at: usize) -> bool {
        let compared = |before: Option<usize>, next: Option<usize>| {
            before.and_then(|before| self.sign(before)) == Some('=')
                && next.and_then(|next| self.sign(next)).is_some_and(|sign| "=!".contains(sign))
        };
        let inert = self.around[at]
            .iter()
            .filter_map(|&open| self.before(open, 1))
            .any(|name| self.joins(name) || self.name(name).is_some_and(|word| self.kind(word) == Call::Inert));
        let bare = self.before(at, 1).and_then(|before| self.name(before));
        let receiver = self.sign(at + 1) == Some('.') && self.joins(at + 2);
        let told = bare.is_some_and(|word| self.kind(word) == Call::Inert);
        !inert && !told && !receiver && !self.is_aside(at) && !compared(self.before(at, 1), self.before(at, 2))
    }

    /// A name in an argument whose value is not known from the text around it.
    fn is_unknown(&self, at: usize) -> bool {
        let Some(name) = self.name(at) else { return false };
        let attribute = self.before(at, 1).and_then(|dot| self.sign(dot)) == Some('.');
        let value = matches!(self.before(at, 1).and_then(|before| self.sign(before)), Some('=' | ':'));
        let called = matches!(self.sign(at + 1), Some('(' | '=' | ':'));
        !(attribute || value || called || KNOWN.contains(&name))
    }

    /// Commands of all strings that a variable may hold.
    fn any_command(&self, region: std::ops::Range<usize>) -> Vec<String> {
        let own = |index: &usize| region.contains(index) || self.is_free(*index);
        let texts: Vec<&str> = (0..self.tokens.len())
            .filter(|&index| self.content(index).is_some() && own(&index))
            .filter_map(|index| self.content(index))
            .collect();
        let mut found: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        found.extend(command_of(&texts));
        found
    }

    fn removes(&self, at: usize, found: &mut Vec<String>) {
        let mut region = self.region(at);
        // `File("/").deleteDir()`
        if region.as_ref().is_none_or(std::ops::Range::is_empty)
            && let Some(close) = self.before(at, 2).filter(|&close| self.sign(close) == Some(')'))
            && let Some(open) = self.partner.iter().position(|&partner| partner == close)
        {
            region = Some(open + 1..close);
        }
        let Some(region) = region else {
            if !self.is_declared(at) && self.sign(at + 1) != Some('.') {
                found.extend(self.any_directory());
            }
            return;
        };
        for argument in self.arguments(region) {
            match self.path(argument.clone(), at) {
                Some(path) => found.push(format!("rm -rf {path}")),
                None if argument.clone().any(|index| self.is_unknown(index)) => found.extend(self.any_directory()),
                None => {}
            }
        }
    }

    /// The parts between the commas that stand in no bracket, but for those of lists.
    fn arguments(&self, region: std::ops::Range<usize>) -> Vec<std::ops::Range<usize>> {
        let mut found = Vec::new();
        let mut start = region.start;
        let parentheses = |index: usize| {
            self.around[index].iter().filter(|&&open| region.contains(&open) && self.sign(open) != Some('[')).count()
        };
        for index in region.clone() {
            if self.sign(index) == Some(',') && parentheses(index) == 0 {
                found.push(start..index);
                start = index + 1;
            }
        }
        found.push(start..region.end);
        found
    }

    /// The path that an argument spells, with what is not known in it as a parameter. `None`: there is nothing known in it.
    fn path(&self, argument: std::ops::Range<usize>, call: usize) -> Option<String> {
        let mut path = String::new();
        let mut known = false;
        for index in argument {
            match &self.tokens[index] {
                Token::Text { content, .. } if self.counts(index, call) => {
                    known = true;
                    path.push_str(&word(content));
                }
                Token::Name(name) if ROOTS.contains(&name.as_str()) => {
                    known = true;
                    path.push('/');
                }
                Token::Name(name) if HOMES.contains(&name.as_str()) && self.content(index + 2).is_none() => {
                    known = true;
                    path.push('~');
                }
                Token::Name(_) if self.is_unknown(index) => path.push_str("$unknown"),
                // `join(a, b)`, `a / b`
                Token::Sign(',' | '/') if !path.is_empty() => path.push('/'),
                _ => {}
            }
        }
        known.then_some(path)
    }

    /// Directories that a variable may name.
    fn any_directory(&self) -> Vec<String> {
        let free = (0..self.tokens.len()).filter(|&index| self.content(index).is_some() && self.is_free(index));
        let removes = |index: usize| self.content(index).is_some_and(|text| self.kind(text) == Call::Removes);
        let paths = free.filter(|&index| !removes(index)).filter_map(|index| {
            let content = self.content(index)?;
            let lists = |at: usize| self.name(at).is_some_and(|name| LISTS.contains(&name));
            let within = self.around[index].iter().filter_map(|&open| self.before(open, 1)).any(lists);
            // What is beneath the directory of the work is listed to find what to remove.
            let listed = within || (2..5).any(|on| lists(index + on));
            let goes_on = (1..3).any(|on| self.sign(index + on) == Some('/'));
            (!((listed || goes_on) && !content.starts_with(['/', '~']))).then(|| format!("rm -rf {}", word(content)))
        });
        paths.collect()
    }
}

/// The command that strings make: one is a shell line, several are an argument vector, or a line that was put together.
fn command_of(texts: &[&str]) -> Vec<String> {
    match texts {
        [] => Vec::new(),
        [line] => vec![(*line).to_owned()],
        [first, ..] => {
            let words: Vec<String> = texts.iter().map(|text| word(text)).collect();
            let mut found = vec![words.join(" ")];
            // A line with further arguments.
            if first.contains(char::is_whitespace) {
                found.push((*first).to_owned());
                found.push(texts.concat());
            }
            found
        }
    }
}

/// A string as one word of shell text.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_./~*?@%+,:=-$".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "")) }
}
