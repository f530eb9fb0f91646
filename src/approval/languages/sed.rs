//! `sed` scripts: commands that write, run or read other than by name.

use crate::approval::arg::Arg;
use crate::approval::options::Weighed;
use crate::approval::programs::Said;
use crate::approval::verdict::Risk;

type Judged = Option<(Said, Option<String>)>;

/// What the scripts in the arguments could do beyond printing.
pub(in crate::approval) fn risk(args: &[Arg], weighed: &Weighed) -> Judged {
    let medium = |why| Some((Said::new(Risk::Medium, why), None));
    let is_script = |name: &str| name == "-e" || (name.len() > 2 && "--expression".starts_with(name));
    let mut scripts: Vec<&Arg> =
        weighed.options.iter().filter(|(name, _)| is_script(name)).filter_map(|(_, value)| value.as_ref()).collect();
    let from_file =
        weighed.options.iter().any(|(name, _)| name == "-f" || (name.len() > 2 && "--file".starts_with(name.as_str())));
    if from_file {
        return medium("its script is in a file");
    }
    if scripts.is_empty() {
        scripts.extend(weighed.operands.first().map(|&at| &args[at]));
    }
    for script in scripts {
        // A script is quoted nearly always; a glob in it is a file name's business.
        if script.text.contains(['\0', '\u{1}']) {
            return medium("its script is not known before it runs");
        }
        if let Some(why) = Script::new(&script.text).danger() {
            return medium(why);
        }
    }
    None
}

struct Script<'s> {
    rest: std::iter::Peekable<std::str::Chars<'s>>,
}

const UNCLEAR: &str = "its script is not understood";

impl<'s> Script<'s> {
    fn new(text: &'s str) -> Self {
        Script { rest: text.chars().peekable() }
    }

    /// The first command that does more than print.
    fn danger(mut self) -> Option<&'static str> {
        loop {
            while self.rest.next_if(|c| c.is_whitespace() || *c == ';').is_some() {}
            if !self.addresses() {
                return Some(UNCLEAR);
            }
            let command = self.rest.next()?;
            match command {
                'e' => return Some("its script runs a command (`e`)"),
                'w' | 'W' => return Some("its script writes a file (`w`)"),
                '{' | '}' | '=' | 'd' | 'D' | 'g' | 'G' | 'h' | 'H' | 'n' | 'N' | 'p' | 'P' | 'x' | 'z' | 'F' => {}
                '#' | 'a' | 'i' | 'c' | 'r' | 'R' => self.line(),
                ':' | 'b' | 't' | 'T' => while self.rest.next_if(|c| !matches!(c, ';' | '\n' | '}')).is_some() {},
                'q' | 'Q' | 'l' | 'L' => while self.rest.next_if(|c| c.is_ascii_digit() || *c == ' ').is_some() {},
                's' => match self.substitute() {
                    Some(None) => {}
                    Some(danger) => return danger,
                    None => return Some(UNCLEAR),
                },
                'y' => {
                    if self.delimited().is_none() {
                        return Some(UNCLEAR);
                    }
                }
                _ => return Some(UNCLEAR),
            }
        }
    }

    /// The rest of a line, continued lines included.
    fn line(&mut self) {
        while let Some(c) = self.rest.next() {
            match c {
                '\\' => {
                    self.rest.next();
                }
                '\n' => return,
                _ => {}
            }
        }
    }

    /// `1,/x/!`: false if it is no address.
    fn addresses(&mut self) -> bool {
        loop {
            match self.rest.peek() {
                Some('0'..='9' | '$' | ',' | '~' | '+' | '!' | ' ') => {
                    self.rest.next();
                }
                Some('/') => {
                    self.rest.next();
                    if !self.until('/') {
                        return false;
                    }
                    while self.rest.next_if(|c| matches!(c, 'I' | 'M')).is_some() {}
                }
                Some('\\') => {
                    self.rest.next();
                    let Some(delimiter) = self.rest.next() else {
                        return false;
                    };
                    if !self.until(delimiter) {
                        return false;
                    }
                    while self.rest.next_if(|c| matches!(c, 'I' | 'M')).is_some() {}
                }
                _ => return true,
            }
        }
    }

    fn until(&mut self, delimiter: char) -> bool {
        // In brackets a delimiter stands for itself only in some implementations; none is trusted.
        while let Some(c) = self.rest.next() {
            match c {
                '\\' => {
                    self.rest.next();
                }
                _ if c == delimiter => return true,
                _ => {}
            }
        }
        false
    }

    /// Both parts of `s` or `y` after the command's letter.
    fn delimited(&mut self) -> Option<()> {
        let delimiter = self.rest.next().filter(|c| !matches!(c, '\n' | '\\'))?;
        (self.until(delimiter) && self.until(delimiter)).then_some(())
    }

    /// `None`: not understood. `Some(Some(_))`: dangerous flags.
    fn substitute(&mut self) -> Option<Option<&'static str>> {
        self.delimited()?;
        loop {
            match self.rest.peek() {
                Some('g' | 'p' | 'i' | 'I' | 'm' | 'M' | '0'..='9' | ' ') => {
                    self.rest.next();
                }
                Some('e') => return Some(Some("its script runs what it makes (`s///e`)")),
                Some('w') => return Some(Some("its script writes a file (`s///w`)")),
                None | Some(';' | '\n' | '}' | '#') => return Some(None),
                Some(_) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_commands_that_do_more_than_print_are_dangerous() {
        for script in [
            "s/a/b/g",
            "1,5p",
            "/x/d",
            "$!N;P;D",
            "s|/usr|/opt|",
            "/a/,/b/{s/x/y/;p}",
            "5q",
            "s/we/be/",
            "/w/p",
            "y/abc/xyz/",
            "1~2d",
            "s/a\\/b/c/gI",
            "/start/,$ s/e/w/p",
            ":a;N;$!ba;s/\\n/ /g",
            "a\\ text w file",
            "2i hello",
            "\\,x,d",
            "$=",
            "n;d",
            "10,20p;20q",
            "/^#/!p",
            "s,e,w,2p",
            "$ d",
        ] {
            assert_eq!(Script::new(script).danger(), None, "{script}");
        }
        for script in [
            "e",
            "1e touch x",
            "w f",
            "1wf",
            "s/a/b/e",
            "s/a/b/w f",
            "s/a/b/ge",
            "/x/e",
            "1,3{w out\n}",
            "p;w x",
            "s/x/y/;e id",
            "W x",
            "{e id\n}",
            "/a/,/b/we",
        ] {
            assert!(Script::new(script).danger().is_some(), "{script}");
        }
    }
}
