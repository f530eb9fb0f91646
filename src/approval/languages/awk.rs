//! `awk` programs: `system`, pipes, redirected output, extensions.

use crate::approval::arg::Arg;
use crate::approval::options::Weighed;
use crate::approval::programs::Said;
use crate::approval::verdict::Risk;

/// What the program text in the arguments could do beyond printing.
pub(in crate::approval) fn risk(args: &[Arg], weighed: &Weighed) -> Option<(Said, Option<String>)> {
    let medium = |why| Some((Said::new(Risk::Medium, why), None));
    if weighed.options.iter().any(|(name, _)| name == "-f" || (name.len() > 2 && "--file".starts_with(name.as_str()))) {
        return medium("its program is in a file");
    }
    let given = weighed
        .options
        .iter()
        .filter(|(name, _)| name == "-e" || (name.len() > 2 && "--source".starts_with(name.as_str())));
    let mut sources: Vec<&Arg> = given.filter_map(|(_, value)| value.as_ref()).collect();
    if sources.is_empty() {
        sources.extend(weighed.operands.first().map(|&at| &args[at]));
    }
    for source in sources {
        if source.text.contains(['\0', '\u{1}']) {
            return medium("its program is not known before it runs");
        }
        if let Some(why) = danger(&source.text) {
            return medium(why);
        }
    }
    None
}

/// The first thing in a program that does more than print.
fn danger(program: &str) -> Option<&'static str> {
    let mut lexer = Lexer { rest: program, after_operand: false, printing: false, depth: 0 };
    while let Some(c) = lexer.rest.chars().next() {
        match lexer.token(c) {
            Ok(length) => lexer.rest = &lexer.rest[length..],
            Err(why) => return Some(why),
        }
    }
    None
}

struct Lexer<'p> {
    rest: &'p str,
    /// Tells a division from a regular expression.
    after_operand: bool,
    /// In a `print` statement, where `>` outside of brackets writes a file.
    printing: bool,
    depth: usize,
}

impl Lexer<'_> {
    /// The length of the token that begins with `c`, or what is dangerous about it.
    fn token(&mut self, c: char) -> Result<usize, &'static str> {
        let mut length = c.len_utf8();
        match c {
            '"' => {
                length = quoted(self.rest, '"');
                self.after_operand = true;
            }
            '/' if !self.after_operand => {
                length = quoted(self.rest, '/');
                self.after_operand = true;
            }
            '#' => length = self.rest.find('\n').unwrap_or(self.rest.len()),
            '@' => return Err("its program calls or loads something by name (`@`)"),
            '|' if !self.rest.starts_with("||") => {
                return Err("its program pipes into or out of a command");
            }
            '>' if self.printing && self.depth == 0 => self.redirection()?,
            '(' | '[' => {
                self.depth += 1;
                self.after_operand = false;
            }
            ')' | ']' => {
                self.depth = self.depth.saturating_sub(1);
                self.after_operand = true;
            }
            '{' | '}' | ';' | '\n' => {
                (self.printing, self.depth) = (false, 0);
                self.after_operand = false;
            }
            '\\' => length = self.rest.chars().take(2).map(char::len_utf8).sum(),
            '|' => {
                length = 2;
                self.after_operand = false;
            }
            '+' | '-' if self.rest.starts_with("++") || self.rest.starts_with("--") => length = 2,
            _ if c.is_whitespace() => {}
            _ if is_name(c) => length = self.word()?,
            _ => self.after_operand = false,
        }
        Ok(length)
    }

    fn redirection(&mut self) -> Result<(), &'static str> {
        let target = self.rest[1..].trim_start_matches('>').trim_start();
        self.after_operand = false;
        match target.starts_with("\"/dev/std") {
            true => Ok(()),
            false => Err("its program writes a file"),
        }
    }

    fn word(&mut self) -> Result<usize, &'static str> {
        let length = self.rest.find(|c| !is_name(c)).unwrap_or(self.rest.len());
        match &self.rest[..length] {
            "system" | "popen" => return Err("its program runs commands (`system`)"),
            "print" | "printf" => {
                self.printing = true;
                self.after_operand = false;
            }
            "in" | "return" | "else" | "do" => self.after_operand = false,
            _ => self.after_operand = true,
        }
        Ok(length)
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '.'
}

/// The length of a string or regular expression with its delimiters; one that does not end is an error of the program's.
fn quoted(text: &str, delimiter: char) -> usize {
    let mut escaped = false;
    let mut in_brackets = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' if delimiter == '/' => in_brackets = true,
            ']' => in_brackets = false,
            _ if c == delimiter && !in_brackets => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_that_do_more_than_print_are_dangerous() {
        for program in [
            "{print $1}",
            "{print $1, $NF}",
            "$3 > 100",
            "$3 > 100 {print $1}",
            "/a|b/ {print}",
            "BEGIN{FS=\":\"} {print $2}",
            "NR==1 || /x/",
            "{s+=$1} END {print s/NR}",
            "{print ($1 > 2)}",
            "!seen[$0]++",
            "{print > \"/dev/stderr\"}",
            "{gsub(/[|]/, \"\"); print}",
            "length($0) > 80",
            "{printf \"%s\\n\", $1}",
            "{a[$1]=$2} END {for (k in a) print k, a[k]}",
            "{while ((getline line < \"f\") > 0) n++}",
            "$1 ~ /^[a/]+|x$/",
        ] {
            assert_eq!(danger(program), None, "{program}");
        }
        for program in [
            "BEGIN{system(\"id\")}",
            "BEGIN{\"id\"|getline}",
            "{print | \"sh\"}",
            "{print > \"f\"}",
            "{print $1 >> \"f\"}",
            "{printf \"x\" > $1}",
            "@load \"x\"",
            "BEGIN{f=\"system\"; @f(\"id\")}",
            "{print \"a\" |& \"sh\"}",
            "BEGIN { print \"/\" > \"f\" }",
        ] {
            assert!(danger(program).is_some(), "{program}");
        }
    }
}
