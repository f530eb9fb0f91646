//! The quick reader: simple commands of literal words, joined by `;`, `&&`, `||`, `&`, `|` and newlines.
//!
//! It proves that a text is nothing but that, or gives up. Expansions, brackets, here-documents and
//! reserved words are none of its business.

use super::{Joint, Node, Piece, Redirect, Simple, Word};

/// Reserved words and words that begin a compound command.
const RESERVED: [&str; 22] = [
    "if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "in", "select",
    "function", "coproc", "time", "!", "{", "}", "[[", "]]",
];

pub(super) fn read(text: &str) -> Option<Node> {
    let mut reader = Reader { text, at: 0, list: Vec::new(), pipeline: Vec::new(), simple: Simple::default() };
    reader.commands()?;
    Some(Node::List(reader.list))
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    list: Vec<(Node, Joint)>,
    pipeline: Vec<Node>,
    simple: Simple,
}

impl Reader<'_> {
    fn commands(&mut self) -> Option<()> {
        let mut word_start = true;
        while let Some(byte) = self.byte(0) {
            match byte {
                b' ' | b'\t' => self.at += 1,
                b'\\' if self.byte(1) == Some(b'\n') && word_start => self.at += 2,
                b'\n' => {
                    self.at += 1;
                    self.end_line()?;
                }
                b'#' if word_start => self.at += self.text[self.at..].find('\n').unwrap_or(self.text.len() - self.at),
                b';' if self.byte(1) != Some(b';') => self.operator(1, Joint::Then)?,
                b'&' if self.byte(1) == Some(b'&') => self.operator(2, Joint::And)?,
                b'&' if self.byte(1) != Some(b'>') => self.operator(1, Joint::Beside)?,
                b'|' if self.byte(1) == Some(b'|') => self.operator(2, Joint::Or)?,
                b'|' if self.byte(1) != Some(b'&') => self.pipe()?,
                b'>' | b'<' => self.redirect()?,
                b'0'..=b'9' if self.is_descriptor() => self.redirect()?,
                b'&' | b'|' | b';' | b'(' | b')' => return None,
                _ => {
                    let word = self.word()?;
                    self.push(word)?;
                    word_start = false;
                    continue;
                }
            }
            word_start = true;
        }
        self.finish()
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    /// A digit run directly before `<` or `>`.
    fn is_descriptor(&self) -> bool {
        let rest = &self.text.as_bytes()[self.at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        matches!(rest.get(digits), Some(b'<' | b'>'))
    }

    fn push(&mut self, word: Word) -> Option<()> {
        if self.simple.words.is_empty() {
            if let [Piece::Bare(text)] = word.pieces.as_slice()
                && RESERVED.contains(&text.as_str())
            {
                return None;
            }
            // An assignment, or something that looks like one.
            if let Some(Piece::Bare(text)) = word.pieces.first()
                && text.contains('=')
            {
                return None;
            }
        }
        self.simple.words.push(word);
        Some(())
    }

    fn end_simple(&mut self) -> bool {
        let simple = std::mem::take(&mut self.simple);
        let empty = simple.words.is_empty() && simple.redirects.is_empty();
        if !empty {
            self.pipeline.push(Node::Simple(simple));
        }
        !empty
    }

    fn operator(&mut self, length: usize, joint: Joint) -> Option<()> {
        self.at += length;
        if !self.end_simple() {
            return None;
        }
        self.end_pipeline(joint);
        Some(())
    }

    fn end_pipeline(&mut self, joint: Joint) {
        let mut stages = std::mem::take(&mut self.pipeline);
        let node = match stages.pop() {
            Some(only) if stages.is_empty() => only,
            Some(last) => {
                stages.push(last);
                Node::Pipeline(stages)
            }
            None => return,
        };
        self.list.push((node, joint));
    }

    fn pipe(&mut self) -> Option<()> {
        self.at += 1;
        self.end_simple().then_some(())
    }

    /// A newline ends a command, goes on after an operator, and is nothing on an empty line.
    fn end_line(&mut self) -> Option<()> {
        if self.end_simple() {
            self.end_pipeline(Joint::Then);
        }
        Some(())
    }

    fn finish(&mut self) -> Option<()> {
        if self.end_simple() {
            self.end_pipeline(Joint::Then);
            return Some(());
        }
        let unfinished = matches!(self.list.last(), Some((_, Joint::And | Joint::Or)));
        (self.pipeline.is_empty() && !unfinished).then_some(())
    }

    fn redirect(&mut self) -> Option<()> {
        while self.byte(0).is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        let rest = &self.text[self.at..];
        let operator =
            [">>", ">|", ">&", "<&", "<>", "<<", "<(", ">(", ">", "<"].into_iter().find(|op| rest.starts_with(op))?;
        self.at += operator.len();
        if matches!(operator, "<<" | "<(" | ">(") {
            return None;
        }
        while matches!(self.byte(0), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        let before = self.at;
        let word = self.word()?;
        if self.at == before {
            return None;
        }
        let raw = &self.text[before..self.at];
        self.simple.redirects.push(match operator {
            "<" => Redirect::Read(word),
            ">&" | "<&" if raw == "-" || raw.bytes().all(|byte| byte.is_ascii_digit()) => Redirect::Descriptor,
            "<&" => return None,
            _ => Redirect::Write(word),
        });
        Some(())
    }

    /// A word of plain, quoted and escaped text.
    fn word(&mut self) -> Option<Word> {
        let start = self.at;
        while let Some(byte) = self.byte(0) {
            match byte {
                b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' => break,
                b'\'' => self.at += 2 + self.text[self.at + 1..].find('\'')?,
                b'"' => self.double_quoted()?,
                b'\\' => {
                    self.at += 1;
                    self.at += self.text[self.at..].chars().next()?.len_utf8();
                }
                b'(' | b')' | b'$' | b'`' => return None,
                // A brace pair alone is a word (`find -exec`); anything else may expand.
                b'{' if self.text[start..].starts_with("{}") && self.at == start => self.at += 2,
                b'{' | b'}' => return None,
                _ => self.at += 1,
            }
        }
        Word::read(&self.text[start..self.at]).ok()
    }

    fn double_quoted(&mut self) -> Option<()> {
        loop {
            self.at += 1;
            match self.byte(0)? {
                b'"' => break,
                b'\\' => self.at += 1,
                b'$' | b'`' => return None,
                _ => {}
            }
        }
        self.at += 1;
        Some(())
    }
}
