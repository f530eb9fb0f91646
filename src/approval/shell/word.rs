//! One word of shell text → its pieces: what is literal, what is expanded, and how.

use super::{Unreadable, ansi, parameter, scan};

/// A word as the shell sees it before expansion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Quoted or escaped: stands for itself.
    Quoted(String),
    /// Unquoted: globs and braces in it are live.
    Bare(String),
    /// `~NAME`, also `~`, `~+` and `~-`.
    Tilde(String),
    Parameter(Parameter),
    /// `$(…)` or backticks, with the text inside.
    Substitution {
        text: String,
        quoted: bool,
    },
    /// `$((…))`: a number. Its inner expansions.
    Arithmetic(Word),
    /// Something unknown, as the name of a pipe for `<(…)`.
    Unknown,
}

/// `$NAME` or `${NAME…}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) quoted: bool,
    pub(crate) operator: Operator,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operator {
    Plain,
    /// `:-` and `-`
    Default(Word),
    /// `:=` and `=`: the same, and the variable has it from then on.
    Assign(Word),
    /// `:+` and `+`
    Alternate(Word),
    /// `:?` and `?`
    Demand(Word),
    /// `#NAME`: a number.
    Length,
    /// Cutting, replacing, changing case: another value. Expansions in its operand.
    Other(Word),
    /// `:OFFSET` and `[SUBSCRIPT]`: another value, found by arithmetic.
    Computes(Word),
    /// `@P`, `!NAME`, and subscripts that are not plain: evaluates a value as shell text.
    Evaluates(Word),
}

impl Word {
    pub(crate) fn literal(text: &str) -> Word {
        Word { pieces: vec![Piece::Quoted(text.to_owned())] }
    }

    pub(crate) fn unknown() -> Word {
        Word { pieces: vec![Piece::Unknown] }
    }

    /// The text of a word that expands nothing.
    pub(crate) fn plain(raw: &str) -> Option<String> {
        let mut text = String::new();
        for piece in Word::read(raw).ok()?.pieces {
            match piece {
                Piece::Quoted(part) | Piece::Bare(part) => text.push_str(&part),
                _ => return None,
            }
        }
        Some(text)
    }

    /// Reads the raw text of one word.
    pub(super) fn read(raw: &str) -> Result<Word, Unreadable> {
        Reader { text: raw, at: 0, pieces: Vec::new() }.word()
    }

    /// Reads text in which only expansions count: a here-document, arithmetic, the operand of an expansion.
    pub(super) fn read_expansions(raw: &str) -> Result<Word, Unreadable> {
        let mut reader = Reader { text: raw, at: 0, pieces: Vec::new() };
        reader.quoted_until(None)?;
        Ok(Word { pieces: reader.pieces })
    }

    /// Calls `each` with the text of every substitution in the word, in order.
    pub(crate) fn substitutions<'w>(&'w self, each: &mut impl FnMut(&'w str)) {
        for piece in &self.pieces {
            match piece {
                Piece::Substitution { text, .. } => each(text),
                Piece::Arithmetic(inner) => inner.substitutions(each),
                Piece::Parameter(parameter) => {
                    if let Some(inner) = parameter.operator.operand() {
                        inner.substitutions(each);
                    }
                }
                Piece::Quoted(_) | Piece::Bare(_) | Piece::Tilde(_) | Piece::Unknown => {}
            }
        }
    }
}

impl Piece {
    /// Roughly the bytes that a copy of it moves.
    pub(crate) fn weight(&self) -> usize {
        const SMALLEST: usize = 16;
        match self {
            Piece::Quoted(text) | Piece::Bare(text) => SMALLEST + text.len(),
            _ => SMALLEST,
        }
    }
}

impl Operator {
    pub(crate) fn operand(&self) -> Option<&Word> {
        match self {
            Operator::Default(word)
            | Operator::Assign(word)
            | Operator::Alternate(word)
            | Operator::Demand(word)
            | Operator::Other(word)
            | Operator::Computes(word)
            | Operator::Evaluates(word) => Some(word),
            Operator::Plain | Operator::Length => None,
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    pieces: Vec<Piece>,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn next_char(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bare(&mut self, text: &str) {
        match self.pieces.last_mut() {
            Some(Piece::Bare(last)) => last.push_str(text),
            _ => self.pieces.push(Piece::Bare(text.to_owned())),
        }
    }

    fn quoted(&mut self, text: &str) {
        match self.pieces.last_mut() {
            Some(Piece::Quoted(last)) => last.push_str(text),
            _ => self.pieces.push(Piece::Quoted(text.to_owned())),
        }
    }

    fn word(mut self) -> Result<Word, Unreadable> {
        self.tilde();
        while let Some(next) = self.next_char() {
            match next {
                '\\' => self.escape(),
                '\'' => {
                    let end = self.rest()[1..].find('\'').ok_or(Unreadable::Unbalanced)?;
                    let inner = self.rest()[1..=end].to_owned();
                    self.quoted(&inner);
                    self.at += end + 2;
                }
                '"' => self.double_quoted()?,
                '$' if self.rest().starts_with("$'") => self.ansi_quoted()?,
                '$' if self.rest().starts_with("$\"") => {
                    self.at += 1;
                    self.double_quoted()?;
                }
                '$' => self.dollar(false)?,
                '`' => self.backtick(false)?,
                _ => {
                    let length = self.rest().find(['\\', '\'', '"', '$', '`']).unwrap_or(self.rest().len());
                    let text = self.rest()[..length].to_owned();
                    self.bare(&text);
                    self.at += length;
                }
            }
        }
        Ok(Word { pieces: self.pieces })
    }

    fn tilde(&mut self) {
        if let Some(rest) = self.text.strip_prefix('~') {
            let end = rest.find('/').unwrap_or(rest.len());
            if rest[..end].chars().all(|c| c.is_alphanumeric() || "_-+.".contains(c)) {
                self.pieces.push(Piece::Tilde(rest[..end].to_owned()));
                self.at = end + 1;
            }
        }
    }

    fn escape(&mut self) {
        self.at += 1;
        if let Some(next) = self.next_char() {
            self.at += next.len_utf8();
            if next != '\n' {
                self.quoted(next.encode_utf8(&mut [0; 4]));
            }
        }
    }

    fn double_quoted(&mut self) -> Result<(), Unreadable> {
        self.at += 1;
        // So that `""` is a word, and an empty one.
        self.quoted("");
        self.quoted_until(Some('"'))?;
        self.at += 1;
        Ok(())
    }

    /// Text in which only `\`, `$` and backticks mean something, up to `end`.
    fn quoted_until(&mut self, end: Option<char>) -> Result<(), Unreadable> {
        while let Some(next) = self.next_char() {
            match next {
                _ if Some(next) == end => return Ok(()),
                '\\' => {
                    let escaped = self.rest()[1..].chars().next();
                    match escaped {
                        Some(c @ ('$' | '`' | '"' | '\\')) => self.quoted(c.encode_utf8(&mut [0; 4])),
                        Some('\n') => {}
                        Some(c) => {
                            self.quoted("\\");
                            self.quoted(c.encode_utf8(&mut [0; 4]));
                        }
                        None => self.quoted("\\"),
                    }
                    self.at += 1 + escaped.map_or(0, char::len_utf8);
                }
                '$' => self.dollar(true)?,
                '`' => self.backtick(true)?,
                _ => {
                    let stops = ['\\', '$', '`', end.unwrap_or('`')];
                    let length = self.rest().find(stops).unwrap_or(self.rest().len());
                    let text = self.rest()[..length].to_owned();
                    self.quoted(&text);
                    self.at += length;
                }
            }
        }
        if end.is_none() { Ok(()) } else { Err(Unreadable::Unbalanced) }
    }

    fn ansi_quoted(&mut self) -> Result<(), Unreadable> {
        let body = &self.rest()[2..];
        let mut end = None;
        let mut escaped = false;
        for (index, c) in body.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '\'' => {
                    end = Some(index);
                    break;
                }
                _ => {}
            }
        }
        let end = end.ok_or(Unreadable::Unbalanced)?;
        let decoded = ansi::decode(&body[..end])?;
        self.at += end + 3;
        self.quoted(&decoded);
        Ok(())
    }

    fn backtick(&mut self, quoted: bool) -> Result<(), Unreadable> {
        let end = scan::expansion_end(self.text, self.at)?;
        let raw = &self.text[self.at + 1..end - 1];
        let mut text = String::with_capacity(raw.len());
        let mut chars = raw.chars().peekable();
        while let Some(c) = chars.next() {
            match chars.peek() {
                Some(&next @ ('$' | '`' | '\\')) if c == '\\' => {
                    text.push(next);
                    chars.next();
                }
                Some('"') if c == '\\' && quoted => {}
                _ => text.push(c),
            }
        }
        self.pieces.push(Piece::Substitution { text, quoted });
        self.at = end;
        Ok(())
    }

    fn dollar(&mut self, quoted: bool) -> Result<(), Unreadable> {
        let rest = self.rest();
        if rest.starts_with("$((") || rest.starts_with("$[") {
            let end = scan::expansion_end(self.text, self.at)?;
            let inner = Word::read_expansions(&self.text[self.at + 2..end - 1])?;
            self.pieces.push(Piece::Arithmetic(inner));
            self.at = end;
        } else if rest.starts_with("$(") {
            let end = scan::expansion_end(self.text, self.at)?;
            let text = self.text[self.at + 2..end - 1].to_owned();
            self.pieces.push(Piece::Substitution { text, quoted });
            self.at = end;
        } else if rest.starts_with("${") {
            let end = scan::expansion_end(self.text, self.at)?;
            let parameter = parameter::braced(&self.text[self.at + 2..end - 1], quoted)?;
            self.pieces.push(Piece::Parameter(parameter));
            self.at = end;
        } else {
            self.simple_parameter(quoted);
        }
        Ok(())
    }

    fn simple_parameter(&mut self, quoted: bool) {
        let after = &self.rest()[1..];
        let length = match after.chars().next() {
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len())
            }
            Some(c) if c.is_ascii_digit() || "@*#?-$!".contains(c) => 1,
            _ => {
                self.at += 1;
                self.quoted("$");
                return;
            }
        };
        let name = after[..length].to_owned();
        self.at += 1 + length;
        self.pieces.push(Piece::Parameter(Parameter { name, quoted, operator: Operator::Plain }));
    }
}
