//! The text of a program in some language → strings, names and signs. Strings and brackets are what all these languages
//! write alike.

/// More of a text than this is not looked at: it is no one-liner.
const MAX_TOKENS: usize = 3_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Text {
        content: String,
        /// The language runs it as a command: backticks, `qx{…}`, `%x(…)`.
        runs: bool,
    },
    Name(String),
    Sign(char),
    /// A newline or a semicolon.
    End,
}

/// How a language differs from what all have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Backticks are strings, or nothing.
    Plain,
    /// Backticks run commands; `q`, `qq`, `qw`, `qx` and `%x` quote.
    Perl,
    /// Backticks run commands.
    Backticks,
}

impl Dialect {
    pub(super) fn of(base: &str) -> Dialect {
        match base {
            "perl" | "ruby" | "jruby" | "irb" => Dialect::Perl,
            "php" | "julia" => Dialect::Backticks,
            _ => Dialect::Plain,
        }
    }
}

pub(super) fn read(text: &str, dialect: Dialect) -> Vec<Token> {
    let mut reader = Reader { text, at: 0, dialect, tokens: Vec::new() };
    while let Some(c) = reader.rest().chars().next() {
        if reader.tokens.len() >= MAX_TOKENS {
            break;
        }
        reader.token(c);
    }
    reader.tokens
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    dialect: Dialect,
    tokens: Vec<Token>,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn token(&mut self, c: char) {
        match c {
            '"' | '\'' => self.quoted(c, false, false),
            '`' => self.quoted(c, self.dialect != Dialect::Plain, false),
            '\n' | ';' => self.push(Token::End, 1),
            c if c.is_whitespace() => self.at += c.len_utf8(),
            '%' if self.dialect == Dialect::Perl && self.percent() => {}
            c if c.is_alphabetic() || matches!(c, '_' | '$' | '@') => self.name(),
            c => self.push(Token::Sign(c), c.len_utf8()),
        }
    }

    fn push(&mut self, token: Token, length: usize) {
        self.tokens.push(token);
        self.at += length;
    }

    fn name(&mut self) {
        let rest = self.rest();
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let sigil = rest.len() - rest.trim_start_matches(['$', '@']).len();
        let length = rest[sigil..].find(|c| !word(c)).map_or(rest.len(), |end| sigil + end);
        let name = rest[sigil..length].to_owned();
        let next = rest[length..].chars().next();
        let quotes = matches!(name.as_str(), "q" | "qq" | "qw" | "qx") && sigil == 0;
        if self.dialect == Dialect::Perl && quotes {
            let gap = rest[length..].len() - rest[length..].trim_start().len();
            let open = rest[length + gap..].chars().next();
            if let Some(open) = open.filter(|open| !word(*open) && !matches!(open, ',' | ';' | ')' | '=')) {
                self.at += length + gap;
                return self.delimited(open, name == "qx", name == "qw");
            }
        }
        // `f"…{x}…"`
        if matches!(name.as_str(), "f" | "F" | "rf" | "fr") && matches!(next, Some('"' | '\'')) {
            self.at += length;
            return self.quoted(next.unwrap_or('"'), false, true);
        }
        if name.is_empty() { self.at += sigil } else { self.push(Token::Name(name), length) }
    }

    /// `%x(…)`, `%w[…]`, `%q{…}`.
    fn percent(&mut self) -> bool {
        let mut chars = self.rest()[1..].chars();
        let (kind, open) = (chars.next(), chars.next());
        let (Some(kind @ ('x' | 'w' | 'q' | 'Q' | 'W')), Some(open @ ('(' | '[' | '{' | '<' | '|' | '!'))) =
            (kind, open)
        else {
            return false;
        };
        self.at += 2;
        self.delimited(open, kind == 'x', matches!(kind, 'w' | 'W'));
        true
    }

    /// Text up to the partner of `open`, which stands here; `words`: a list of strings.
    fn delimited(&mut self, open: char, runs: bool, words: bool) {
        let close = match open {
            '(' => ')',
            '[' => ']',
            '{' => '}',
            '<' => '>',
            other => other,
        };
        let inside = &self.rest()[open.len_utf8()..];
        let end = inside.find(close).unwrap_or(inside.len());
        let content = inside[..end].to_owned();
        self.at = (self.at + open.len_utf8() + end + close.len_utf8()).min(self.text.len());
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
        if words {
            let words = content.split_whitespace().map(|word| Token::Text { content: word.to_owned(), runs: false });
            self.tokens.extend(words);
        } else {
            self.tokens.push(Token::Text { content, runs });
        }
    }

    /// A string up to the next quote that no backslash takes away. `fills`: braces in it are expressions.
    fn quoted(&mut self, quote: char, runs: bool, fills: bool) {
        let mut content = String::new();
        let mut chars = self.rest()[1..].char_indices();
        let mut end = None;
        while let Some((at, c)) = chars.next() {
            match c {
                _ if c == quote => {
                    end = Some(at);
                    break;
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => content.push('\n'),
                    Some((_, 't')) => content.push('\t'),
                    Some((_, next)) => content.push(next),
                    None => {}
                },
                _ => content.push(c),
            }
        }
        // A quote without a partner, as an apostrophe in a comment, is a sign like any other.
        let Some(end) = end else {
            self.at += 1;
            return;
        };
        self.at += end + 2;
        self.tokens.push(Token::Text { content: filled(&content, fills), runs });
    }
}

/// Expressions in a string are parameters of the shell text that it may be: `#{x}`, `${x}`, and `{x}` where braces fill.
fn filled(content: &str, braces: bool) -> String {
    let mut text = String::new();
    let mut rest = content;
    let opens = |at: usize| braces || matches!(rest_before(content, at), Some('#' | '$'));
    while let Some(at) = rest.find('{') {
        let whole = content.len() - rest.len() + at;
        let end = rest[at..].find('}');
        match end.filter(|_| opens(whole)) {
            Some(end) => {
                text.push_str(rest[..at].trim_end_matches(['#', '$']));
                text.push_str("$filled");
                rest = &rest[at + end + 1..];
            }
            None => {
                text.push_str(&rest[..=at]);
                rest = &rest[at + 1..];
            }
        }
    }
    text + rest
}

fn rest_before(text: &str, at: usize) -> Option<char> {
    text[..at].chars().next_back()
}
