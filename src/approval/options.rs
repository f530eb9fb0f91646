//! Arguments held against what is known of their program: options, operands, subcommands.

use super::arg::Arg;
use super::programs::{Dialect, Inner, Program, Said};
use super::verdict::Risk;

/// What the arguments make of a program.
#[derive(Debug)]
pub(super) struct Weighed {
    pub(super) said: Said,
    /// Where the operands of `program` are, as far as options were read.
    pub(super) operands: Vec<usize>,
    /// Options of `program` and what follows them, by index.
    pub(super) options: Vec<(String, Option<Arg>)>,
    /// Commands that options name.
    pub(super) runs: Vec<Run>,
    /// The wrapped command, with the names of assignments before it.
    pub(super) inner: Option<Wrapped>,
}

/// A command that is the value of an option.
#[derive(Debug)]
pub(super) enum Run {
    Shell(Arg),
    Words(Vec<Arg>),
}

/// The command that a wrapper starts.
#[derive(Debug)]
pub(super) struct Wrapped {
    pub(super) assignments: Vec<Arg>,
    pub(super) argv: Vec<Arg>,
    pub(super) how: Inner,
}

/// Whether an option is followed by a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Value,
    /// Only attached: `-i.bak`.
    Attached,
}

#[derive(Debug, Clone, Copy)]
enum Meaning {
    Raises(Said),
    Lowers(Said),
    Runs(&'static str),
    Harmless,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    meaning: Meaning,
    takes: Takes,
}

/// Weighs the arguments after the program's name.
pub(super) fn weigh(program: &Program, args: &[Arg]) -> Weighed {
    let mut reader = Reader::new(program, args);
    reader.read();
    let own = reader.result();
    let Some(&first) = reader.operands.first() else {
        return reader.finish(own, None);
    };
    if program.subcommands.is_empty() {
        let lowered = reader.lowered.is_some();
        let inner =
            program.inner.filter(|_| !lowered).and_then(|how| wrapped(how, args, &reader.operands, reader.dashes));
        return reader.finish(own, inner);
    }
    let lowered = reader.lowered.is_some();
    let name = args[first].exact();
    match name.and_then(|name| program.subcommand(name)) {
        Some(_) if lowered => reader.finish(own, None),
        Some(subcommand) => {
            let mut deeper = weigh(subcommand, &args[first + 1..]);
            deeper.operands.iter_mut().for_each(|at| *at += first + 1);
            if let Some(raised) = reader.raised
                && raised.risk > deeper.said.risk
            {
                deeper.said = raised;
            }
            deeper.options.extend(reader.options);
            deeper.runs.extend(reader.runs);
            deeper
        }
        None if name.is_none() => {
            let said = Said::new(Risk::High, "a subcommand that is not known before it runs");
            reader.finish(said, None)
        }
        None => reader.finish(own, None),
    }
}

fn wrapped(how: Inner, args: &[Arg], operands: &[usize], dashes: Option<usize>) -> Option<Wrapped> {
    let mut start = match (how.after_dashes, dashes) {
        (true, Some(dashes)) => dashes + 1,
        (true, None) => return None,
        (false, _) => *operands.first()?,
    };
    let mut assignments = Vec::new();
    if how.assignments {
        while let Some(arg) = args.get(start).filter(|arg| arg.text.contains('=')) {
            assignments.push(arg.clone());
            start += 1;
        }
    }
    start += how.skip;
    let argv = args.get(start..).unwrap_or_default().to_vec();
    (!argv.is_empty() || !assignments.is_empty()).then_some(Wrapped { assignments, argv, how })
}

struct Reader<'p, 'a> {
    program: &'p Program,
    args: &'a [Arg],
    at: usize,
    operands: Vec<usize>,
    options: Vec<(String, Option<Arg>)>,
    runs: Vec<Run>,
    raised: Option<Said>,
    lowered: Option<Said>,
    dashes: Option<usize>,
}

impl<'p, 'a> Reader<'p, 'a> {
    fn new(program: &'p Program, args: &'a [Arg]) -> Self {
        Reader {
            program,
            args,
            at: 0,
            operands: Vec::new(),
            options: Vec::new(),
            runs: Vec::new(),
            raised: None,
            lowered: None,
            dashes: None,
        }
    }

    fn finish(self, said: Said, inner: Option<Wrapped>) -> Weighed {
        Weighed { said, operands: self.operands, options: self.options, runs: self.runs, inner }
    }

    /// A wrapper's or a program's own options end where its command or subcommand begins.
    fn stops_at_operand(&self) -> bool {
        self.program.inner.is_some_and(|inner| !inner.after_dashes) || !self.program.subcommands.is_empty()
    }

    fn read(&mut self) {
        while let Some(arg) = self.args.get(self.at) {
            let index = self.at;
            self.at += 1;
            if arg.is_exactly("--") && self.program.dialect != Dialect::Assign {
                self.dashes = Some(index);
                self.operands.extend(index + 1..self.args.len());
                return;
            }
            if self.program.dialect == Dialect::Assign {
                self.assign(arg);
                continue;
            }
            let old_tar = self.program.dialect == Dialect::Tar && index == 0 && !arg.text.starts_with('-');
            if arg.text.len() > 1 && arg.text.starts_with('-') || old_tar {
                if arg.exact().is_none() {
                    self.unknown_option();
                }
                let seen = self.options.len();
                self.option(arg, old_tar);
                if self.options[seen..].iter().any(|(name, _)| self.program.ends.split(' ').any(|end| end == name)) {
                    self.operands.extend(self.at..self.args.len());
                    return;
                }
                continue;
            }
            if arg.may_become_option() {
                self.unknown_option();
            }
            self.operands.push(index);
            if self.stops_at_operand() {
                return;
            }
        }
    }

    fn unknown_option(&mut self) {
        if self.program.has_raising_options() {
            self.raise(Said::new(Risk::Medium, "an argument that is not known before it runs may be an option"));
        }
    }

    fn raise(&mut self, said: Said) {
        if self.raised.is_none_or(|raised| said.risk > raised.risk) {
            self.raised = Some(said);
        }
    }

    fn assign(&mut self, arg: &Arg) {
        if let Some((name, value)) = arg.text.split_once('=')
            && let Some(known) = self.find(name, Some(value), false)
        {
            let value = Arg { text: value.to_owned(), ..arg.clone() };
            self.apply(name, known, Some(value));
        } else if arg.may_become_option() {
            self.unknown_option();
        }
    }

    fn option(&mut self, arg: &Arg, old_tar: bool) {
        let text = arg.text.clone();
        let long = text.starts_with("--") || self.program.dialect == Dialect::Go;
        if long {
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(Arg { text: value.to_owned(), ..arg.clone() })),
                None => (text.as_str(), None),
            };
            let abbreviates = self.program.dialect != Dialect::Go && !self.program.exact_options;
            let next = self.args.get(self.at);
            let shown = value.as_ref().or(next).map(|arg| arg.text.clone());
            let found = self.find_long(name, shown.as_deref(), abbreviates);
            let value = value.or_else(|| match found {
                Some(Known { takes: Takes::Value, .. }) => {
                    self.at += 1;
                    next.cloned()
                }
                _ => None,
            });
            match found {
                Some(known) => self.apply(name, known, value),
                None => self.options.push((name.to_owned(), value)),
            }
            return;
        }
        if old_tar {
            // Letters first, then their values in order.
            for letter in text.chars() {
                self.cluster(arg, &letter.to_string());
            }
        } else {
            self.cluster(arg, &text[1..]);
        }
    }

    fn find_long(&self, name: &str, value: Option<&str>, abbreviates: bool) -> Option<Known> {
        if self.program.dialect == Dialect::Go {
            let bare = name.trim_start_matches('-');
            return [format!("-{bare}"), format!("--{bare}")].iter().find_map(|name| self.find(name, value, false));
        }
        self.find(name, value, abbreviates && name.len() > 2)
    }

    fn cluster(&mut self, arg: &Arg, cluster: &str) {
        for (at, c) in cluster.char_indices() {
            let name = format!("-{c}");
            let attached = &cluster[at + c.len_utf8()..];
            let next = self.args.get(self.at);
            let shown = if attached.is_empty() { next.map(|arg| arg.text.as_str()) } else { Some(attached) };
            let Some(known) = self.find(&name, shown, false) else {
                self.options.push((name, None));
                continue;
            };
            let value = match known.takes {
                Takes::Nothing => None,
                _ if !attached.is_empty() => Some(Arg { text: attached.to_owned(), ..arg.clone() }),
                Takes::Attached => None,
                Takes::Value => {
                    self.at += 1;
                    next.cloned()
                }
            };
            self.apply(&name, known, value);
            if known.takes != Takes::Nothing {
                return;
            }
        }
    }

    fn apply(&mut self, name: &str, known: Known, value: Option<Arg>) {
        match known.meaning {
            Meaning::Raises(said) => self.raise(said),
            Meaning::Lowers(said) => {
                if self.lowered.is_none_or(|lowered| said.risk > lowered.risk) {
                    self.lowered = Some(said);
                }
            }
            Meaning::Runs("words") => {
                let rest = &self.args[self.at.min(self.args.len())..];
                let end = rest.iter().position(|arg| arg.is_exactly(";")).unwrap_or(rest.len());
                let words = value.iter().chain(&rest[..end]).cloned().collect();
                self.runs.push(Run::Words(words));
                self.at += end + 1;
            }
            Meaning::Runs(kind) => {
                let command = value.clone().unwrap_or_else(Arg::anything);
                self.runs.push(if kind == "program" { Run::Words(vec![command]) } else { Run::Shell(command) });
            }
            Meaning::Harmless => {}
        }
        self.options.push((name.to_owned(), value));
    }

    /// What is known of an option; the dangerous reading of an abbreviation first.
    fn find(&self, name: &str, value: Option<&str>, abbreviates: bool) -> Option<Known> {
        let program = self.program;
        let raises =
            program.options.iter().flat_map(|(key, said)| key.split(' ').map(|token| (token, Meaning::Raises(*said))));
        let runs = program.runs.iter().flat_map(|(key, kind)| key.split(' ').map(|token| (token, Meaning::Runs(kind))));
        let lowers =
            program.lowers.iter().flat_map(|(key, said)| key.split(' ').map(|token| (token, Meaning::Lowers(*said))));
        let takes = program.takes.split(' ').map(|token| (token, Meaning::Harmless));
        let mut exact = None;
        let mut begun = None;
        for (token, meaning) in raises.chain(runs).chain(lowers).chain(takes) {
            let (spelled, takes, wanted) = spelling(token, meaning);
            if wanted.is_some_and(|wanted| value != Some(wanted)) {
                continue;
            }
            let known = Known { meaning, takes };
            if spelled == name {
                if wanted.is_some() {
                    return Some(known);
                }
                exact = exact.or(Some(known));
            } else if abbreviates && spelled.starts_with(name) {
                begun = worse(begun, known);
            }
        }
        exact.or(begun)
    }

    fn result(&self) -> Said {
        let mut said = self.lowered.unwrap_or(self.program.base);
        let mut counted = 0;
        let mut open_ended = false;
        for arg in self.operands.iter().map(|&at| &self.args[at]) {
            match word_risk(self.program, arg) {
                Some(word) if word.risk > said.risk => said = word,
                Some(_) => {}
                None => {
                    counted += 1;
                    open_ended |= arg.many;
                }
            }
        }
        if let Some((least, word)) = self.program.operands
            && self.lowered.is_none()
            && (counted >= least || open_ended)
            && word.risk > said.risk
        {
            said = word;
        }
        match self.raised {
            Some(raised) if raised.risk > said.risk => raised,
            _ => said,
        }
    }
}

/// Of two readings of an abbreviation the more dangerous.
fn worse(before: Option<Known>, known: Known) -> Option<Known> {
    let danger = |known: &Known| match known.meaning {
        Meaning::Runs(_) => 5,
        Meaning::Raises(said) => 1 + u8::from(said.risk > Risk::ReadOnly) * 3,
        Meaning::Lowers(_) | Meaning::Harmless => 0,
    };
    match before {
        Some(before) if danger(&before) >= danger(&known) => Some(before),
        _ => Some(known),
    }
}

/// `-o=` takes a value, `-i?` an attached one, `-X=GET` is meant with this value only.
fn spelling(token: &'static str, meaning: Meaning) -> (&'static str, Takes, Option<&'static str>) {
    if let Some(name) = token.strip_suffix('?') {
        return (name, Takes::Attached, None);
    }
    match token.split_once('=') {
        Some((name, "")) => (name, Takes::Value, None),
        Some((name, wanted)) => (name, Takes::Value, Some(wanted)),
        None if matches!(meaning, Meaning::Harmless) => (token, Takes::Value, None),
        None if matches!(meaning, Meaning::Runs("words")) => (token, Takes::Attached, None),
        None if matches!(meaning, Meaning::Runs(_)) => (token, Takes::Value, None),
        None => (token, Takes::Nothing, None),
    }
}

fn word_risk(program: &Program, arg: &Arg) -> Option<Said> {
    let matches = |pattern: &str| match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(_), Some(_)) => arg.text.contains(pattern.trim_matches('*')),
        (Some(suffix), None) => arg.text.ends_with(suffix),
        (None, Some(prefix)) => arg.text.starts_with(prefix),
        (None, None) => arg.text == pattern,
    };
    program.words.iter().find(|(keys, _)| keys.split(' ').any(matches)).map(|(_, said)| *said)
}
