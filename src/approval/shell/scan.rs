//! One linear look at shell text, independent of the grammar: how deep it nests, and where its
//! substitutions are. The full parser is only let loose on text that passed here, and what it found
//! is held against what was found here.
//!
//! Refuses to understand: whatever does not balance, or nests too deep, is an [`Unreadable`].

use std::ops::Range;

use super::Unreadable;
use super::case::CasePatterns;

/// Brackets in brackets. `brush-parser` backtracks exponentially in nested parentheses (12 levels take 0.4 s).
const MAX_DEPTH: usize = 8;
/// Words and brackets that open a compound command, anywhere: bounds the recursion of the parser.
const MAX_OPENERS: usize = 120;

/// Words and operators outside of here-documents: `brush-parser` takes about 3 µs for each.
const MAX_TOKENS: usize = 6_000;

/// What one look found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// The texts inside the outermost `$(…)` and backticks, in order, raw.
    pub(super) substitutions: Vec<Range<usize>>,
    /// `<(…)` and `>(…)` outside of those.
    pub(super) process_substitutions: usize,
}

/// Looks at a whole command text.
pub(super) fn scan(text: &str) -> Result<Scan, Unreadable> {
    // A continued line between `$` and `(` joins them; no reader here does.
    let joins = |before: &str| before.ends_with(['$', '<', '>']);
    if text.match_indices("\\\n").any(|(at, _)| joins(&text[..at])) {
        return Err(Unreadable::Ambiguous);
    }
    let mut scanner = Scanner::new(text);
    scanner.commands(None)?;
    Ok(scanner.found)
}

/// Looks at text in which only expansions count: the body of a here-document.
pub(super) fn scan_expansions(text: &str) -> Result<Scan, Unreadable> {
    let mut scanner = Scanner::new(text);
    scanner.here_document_body(text.len())?;
    Ok(scanner.found)
}

/// The end of the expansion that begins at `text[start..]` with `$(`, `$((`, `${`, `$[` or a backtick: just past it.
pub(super) fn expansion_end(text: &str, start: usize) -> Result<usize, Unreadable> {
    let mut scanner = Scanner::new(text);
    scanner.at = start;
    if scanner.peek() == Some(b'`') {
        scanner.backtick()?;
    } else {
        scanner.dollar()?;
    }
    Ok(scanner.at)
}

struct Scanner<'t> {
    text: &'t [u8],
    at: usize,
    depth: usize,
    /// Substitutions around the current place; only the outermost is recorded.
    inside: usize,
    openers: usize,
    tokens: usize,
    found: Scan,
    /// Delimiters of here-documents whose bodies begin after the next newline.
    pending: Vec<HereDocument>,
}

struct HereDocument {
    end: Vec<u8>,
    expands: bool,
    strips_tabs: bool,
}

impl<'t> Scanner<'t> {
    fn new(text: &'t str) -> Self {
        Scanner {
            text: text.as_bytes(),
            at: 0,
            depth: 0,
            inside: 0,
            openers: 0,
            tokens: 0,
            found: Scan::default(),
            pending: Vec::new(),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn starts_with(&self, prefix: &[u8]) -> bool {
        self.text.get(self.at..).is_some_and(|rest| rest.starts_with(prefix))
    }

    fn enter(&mut self) -> Result<(), Unreadable> {
        self.depth += 1;
        self.open()?;
        if self.depth > MAX_DEPTH { Err(Unreadable::Nesting) } else { Ok(()) }
    }

    fn open(&mut self) -> Result<(), Unreadable> {
        self.openers += 1;
        if self.openers > MAX_OPENERS { Err(Unreadable::Nesting) } else { Ok(()) }
    }

    fn token(&mut self) -> Result<(), Unreadable> {
        self.tokens += 1;
        if self.tokens > MAX_TOKENS { Err(Unreadable::TooLong) } else { Ok(()) }
    }

    /// Commands up to the closing parenthesis (consumed), or to the end of the text.
    fn commands(&mut self, close: Option<u8>) -> Result<(), Unreadable> {
        let mut cases = CasePatterns::default();
        let mut word_start = true;
        while let Some(byte) = self.peek() {
            match byte {
                b'#' if word_start => self.comment(),
                b' ' | b'\t' | b';' | b'&' | b'|' => {
                    self.token()?;
                    self.at += 1;
                    word_start = true;
                    continue;
                }
                b'\n' => {
                    self.at += 1;
                    self.here_documents()?;
                    word_start = true;
                    continue;
                }
                b')' if cases.pattern_ends() => self.at += 1,
                b')' if close.is_some() => {
                    self.at += 1;
                    return if self.pending.is_empty() { Ok(()) } else { Err(Unreadable::HereDocument) };
                }
                b')' => return Err(Unreadable::Unbalanced),
                b'(' => self.parenthesis()?,
                b'<' | b'>' => self.redirection()?,
                _ if word_start => {
                    self.word(&mut cases)?;
                    word_start = false;
                    continue;
                }
                _ => self.part()?,
            }
            word_start = matches!(byte, b'(' | b')' | b'<' | b'>' | b'#');
        }
        match close {
            Some(_) => Err(Unreadable::Unbalanced),
            None if self.pending.is_empty() => Ok(()),
            None => Err(Unreadable::HereDocument),
        }
    }

    /// The beginning of a word: a bare one may be a reserved word.
    fn word(&mut self, cases: &mut CasePatterns) -> Result<(), Unreadable> {
        self.token()?;
        let start = self.at;
        while let Some(byte) = self.peek() {
            if b" \t\n;&|()<>$`'\"\\".contains(&byte) {
                break;
            }
            self.at += 1;
        }
        let bare = &self.text[start..self.at];
        cases.see(bare);
        let opens: [&[u8]; 12] =
            [b"if", b"for", b"while", b"until", b"case", b"select", b"function", b"coproc", b"{", b"[[", b"!", b"time"];
        if opens.contains(&bare) {
            self.open()?;
        }
        if self.at == start { self.part() } else { Ok(()) }
    }

    /// One quoted or expanding part of a word, or one plain byte.
    fn part(&mut self) -> Result<(), Unreadable> {
        match self.peek() {
            Some(b'\\') => self.at = (self.at + 2).min(self.text.len()),
            Some(b'\'') => self.single_quoted()?,
            Some(b'"') => self.double_quoted()?,
            Some(b'`') => self.backtick()?,
            Some(b'$') if self.starts_with(b"$'") => self.ansi_quoted()?,
            Some(b'$') => self.dollar()?,
            Some(_) => self.at += 1,
            None => {}
        }
        Ok(())
    }

    fn comment(&mut self) {
        while self.peek().is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
    }

    fn single_quoted(&mut self) -> Result<(), Unreadable> {
        let rest = &self.text[self.at + 1..];
        let end = rest.iter().position(|&byte| byte == b'\'').ok_or(Unreadable::Unbalanced)?;
        self.at += end + 2;
        Ok(())
    }

    fn ansi_quoted(&mut self) -> Result<(), Unreadable> {
        self.at += 2;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'\\' => self.at += 1,
                b'\'' => return Ok(()),
                _ => {}
            }
        }
        Err(Unreadable::Unbalanced)
    }

    fn double_quoted(&mut self) -> Result<(), Unreadable> {
        self.at += 1;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => self.at += 2,
                b'`' => self.backtick()?,
                b'$' => self.dollar()?,
                _ => self.at += 1,
            }
        }
        Err(Unreadable::Unbalanced)
    }

    /// `$…` where quotes after the dollar are no ANSI-C quotes (or were seen before).
    fn dollar(&mut self) -> Result<(), Unreadable> {
        if self.starts_with(b"$((") {
            self.at += 1;
            self.arithmetic()
        } else if self.starts_with(b"$(") {
            self.at += 2;
            self.substitution()
        } else if self.starts_with(b"${") {
            self.at += 2;
            self.until_bracket(b'}')
        } else if self.starts_with(b"$[") {
            self.at += 2;
            self.until_bracket(b']')
        } else {
            self.at += 1;
            Ok(())
        }
    }

    fn substitution(&mut self) -> Result<(), Unreadable> {
        let start = self.at;
        self.enter()?;
        self.inside += 1;
        let outer = std::mem::take(&mut self.pending);
        self.commands(Some(b')'))?;
        self.pending = outer;
        self.inside -= 1;
        self.depth -= 1;
        self.record(start, self.at - 1);
        Ok(())
    }

    fn record(&mut self, start: usize, end: usize) {
        if self.inside == 0 {
            self.found.substitutions.push(start..end);
        }
    }

    fn backtick(&mut self) -> Result<(), Unreadable> {
        self.enter()?;
        self.at += 1;
        let start = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b'\\' => self.at += 2,
                b'`' => {
                    self.record(start, self.at);
                    self.at += 1;
                    self.depth -= 1;
                    return Ok(());
                }
                _ => self.at += 1,
            }
        }
        Err(Unreadable::Unbalanced)
    }

    /// `((…))` from its first parenthesis: no comments, no here-documents, closed by two adjacent parentheses.
    fn arithmetic(&mut self) -> Result<(), Unreadable> {
        self.enter()?;
        self.at += 2;
        let mut open = 0usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'(' => {
                    open += 1;
                    self.open()?;
                    self.at += 1;
                }
                b')' if open > 0 => {
                    open -= 1;
                    self.at += 1;
                }
                b')' if self.starts_with(b"))") => {
                    self.at += 2;
                    self.depth -= 1;
                    return Ok(());
                }
                // `((a); b)`: subshells after all. Rare enough to be left to a human.
                b')' => return Err(Unreadable::Ambiguous),
                _ => self.part()?,
            }
        }
        Err(Unreadable::Unbalanced)
    }

    /// `${…}` or `$[…]` after its opening bracket.
    fn until_bracket(&mut self, close: u8) -> Result<(), Unreadable> {
        self.enter()?;
        while let Some(byte) = self.peek() {
            if byte == close {
                self.at += 1;
                self.depth -= 1;
                return Ok(());
            }
            self.part()?;
        }
        Err(Unreadable::Unbalanced)
    }

    fn parenthesis(&mut self) -> Result<(), Unreadable> {
        if self.starts_with(b"((") {
            return self.arithmetic();
        }
        self.enter()?;
        self.at += 1;
        self.commands(Some(b')'))?;
        self.depth -= 1;
        Ok(())
    }

    fn redirection(&mut self) -> Result<(), Unreadable> {
        if self.starts_with(b"<(") || self.starts_with(b">(") {
            if self.inside == 0 {
                self.found.process_substitutions += 1;
            }
            self.at += 1;
            self.enter()?;
            self.at += 1;
            self.commands(Some(b')'))?;
            self.depth -= 1;
        } else if self.starts_with(b"<<<") {
            self.at += 3;
        } else if self.starts_with(b"<<") {
            self.at += 2;
            self.here_document_start()?;
        } else {
            self.at += 1;
        }
        Ok(())
    }

    fn here_document_start(&mut self) -> Result<(), Unreadable> {
        let strips_tabs = self.peek() == Some(b'-');
        self.at += usize::from(strips_tabs);
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        let start = self.at;
        while self.peek().is_some_and(|byte| !b" \t\n;&|()<>".contains(&byte)) {
            self.part()?;
        }
        let raw = &self.text[start..self.at];
        if raw.is_empty() || raw.iter().any(|byte| b"$`".contains(byte)) {
            return Err(Unreadable::HereDocument);
        }
        let expands = !raw.iter().any(|byte| b"'\"\\".contains(byte));
        let end = raw.iter().copied().filter(|byte| !b"'\"\\".contains(byte)).collect();
        self.pending.push(HereDocument { end, expands, strips_tabs });
        Ok(())
    }

    /// The bodies of the here-documents announced on the line that just ended.
    fn here_documents(&mut self) -> Result<(), Unreadable> {
        for document in std::mem::take(&mut self.pending) {
            let (body_end, next) = self.body_end(&document)?;
            if document.expands {
                self.here_document_body(body_end)?;
            }
            self.at = next;
        }
        Ok(())
    }

    /// Where the body ends and where the text goes on.
    fn body_end(&self, document: &HereDocument) -> Result<(usize, usize), Unreadable> {
        let mut line_start = self.at;
        while line_start < self.text.len() {
            let rest = &self.text[line_start..];
            let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
            let mut line = &rest[..length];
            if document.strips_tabs {
                while let [b'\t', tail @ ..] = line {
                    line = tail;
                }
            }
            if line == document.end {
                return Ok((line_start, (line_start + length + 1).min(self.text.len())));
            }
            line_start += length + 1;
        }
        Err(Unreadable::HereDocument)
    }

    fn here_document_body(&mut self, end: usize) -> Result<(), Unreadable> {
        while self.at < end {
            match self.text[self.at] {
                b'\\' => self.at += 2,
                b'`' => self.backtick()?,
                b'$' => self.dollar()?,
                _ => self.at += 1,
            }
        }
        // An expansion that runs past the end of its document.
        if self.at > end + 1 { Err(Unreadable::HereDocument) } else { Ok(()) }
    }
}
