//! `awk` programs: `system`, pipes, redirected output, extensions.

use crate::approval::arg::Arg;
use crate::approval::options::Weighed;
use crate::approval::programs::Said;
use crate::approval::verdict::Risk;

/// What the program text in the arguments could do beyond printing.
pub(in crate::approval) fn risk(args: &[Arg], weighed: &Weighed<'_>) -> Option<(Said, Option<String>)> {
    let medium = |why| Some((Said { risk: Risk::Medium, why }, None));
    if weighed.options.iter().any(|(name, _)| name == "-f" || (name.len() > 2 && "--file".starts_with(name.as_str()))) {
        return medium("its program is in a file");
    }
    let given = weighed.options.iter().filter(|(name, _)| name == "-e" || (name.len() > 2 && "--source".starts_with(name.as_str())));
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

/// What the last token was, to tell a division from a regular expression and output from a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Operand,
    Operator,
}

fn danger(program: &str) -> Option<&'static str> {
    let mut last = Last::Operator;
    let mut printing = false;
    let mut depth = 0usize;
    let mut rest = program;
    while let Some(c) = rest.chars().next() {
        let mut length = c.len_utf8();
        match c {
            '"' => {
                length = quoted(rest, '"');
                last = Last::Operand;
            }
            '/' if last == Last::Operator => {
                length = quoted(rest, '/');
                last = Last::Operand;
            }
            '#' => length = rest.find('\n').unwrap_or(rest.len()),
            '@' => return Some("its program calls or loads something by name (`@`)"),
            '|' if rest.starts_with("||") => {
                length = 2;
                last = Last::Operator;
            }
            '|' => return Some("its program pipes into or out of a command"),
            '>' if printing && depth == 0 => {
                if !rest[1..].trim_start_matches('>').trim_start().starts_with("\"/dev/std") {
                    return Some("its program writes a file");
                }
                last = Last::Operator;
            }
            '(' | '[' => {
                depth += 1;
                last = Last::Operator;
            }
            ')' | ']' => {
                depth = depth.saturating_sub(1);
                last = Last::Operand;
            }
            '{' | '}' | ';' | '\n' => {
                printing = false;
                depth = 0;
                last = Last::Operator;
            }
            _ if c.is_alphanumeric() || c == '_' || c == '.' => {
                length = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').unwrap_or(rest.len());
                match &rest[..length] {
                    "system" | "popen" => return Some("its program runs commands (`system`)"),
                    "print" | "printf" => {
                        printing = true;
                        last = Last::Operator;
                    }
                    "in" | "return" | "else" | "do" => last = Last::Operator,
                    _ => last = Last::Operand,
                }
            }
            '$' => last = Last::Operator,
            '+' | '-' if rest.starts_with("++") || rest.starts_with("--") => length = 2,
            _ if c.is_whitespace() => {}
            '\\' => length = rest.chars().take(2).map(char::len_utf8).sum(),
            _ => last = Last::Operator,
        }
        rest = &rest[length..];
    }
    None
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
            "{print $1}", "{print $1, $NF}", "$3 > 100", "$3 > 100 {print $1}", "/a|b/ {print}", "BEGIN{FS=\":\"} {print $2}", "NR==1 || /x/",
            "{s+=$1} END {print s/NR}", "{print ($1 > 2)}", "!seen[$0]++", "{print > \"/dev/stderr\"}", "{gsub(/[|]/, \"\"); print}", "length($0) > 80",
            "{printf \"%s\\n\", $1}", "{a[$1]=$2} END {for (k in a) print k, a[k]}", "{while ((getline line < \"f\") > 0) n++}", "$1 ~ /^[a/]+|x$/",
        ] {
            assert_eq!(danger(program), None, "{program}");
        }
        for program in [
            "BEGIN{system(\"id\")}", "BEGIN{\"id\"|getline}", "{print | \"sh\"}", "{print > \"f\"}", "{print $1 >> \"f\"}", "{printf \"x\" > $1}",
            "@load \"x\"", "BEGIN{f=\"system\"; @f(\"id\")}", "{print \"a\" |& \"sh\"}", "BEGIN { print \"/\" > \"f\" }",
        ] {
            assert!(danger(program).is_some(), "{program}");
        }
    }
}
