//! `find` expressions.

use crate::approval::arg::{Arg, UNKNOWN};
use crate::approval::programs::Said;
use crate::approval::verdict::Risk;

/// What an expression does.
pub(in crate::approval) struct Looked {
    pub(in crate::approval) said: Option<(Said, Option<String>)>,
    /// Commands of `-exec` and its kin, file names in place of `{}`.
    pub(in crate::approval) commands: Vec<Vec<Arg>>,
}

pub(in crate::approval) fn look(args: &[Arg]) -> Looked {
    let mut looked = Looked { said: None, commands: Vec::new() };
    let mut raise = |risk, why: &'static str| {
        if looked.said.as_ref().is_none_or(|(said, _)| risk > said.risk) {
            looked.said = Some((Said { risk, why }, None));
        }
    };
    let mut at = 0;
    while let Some(arg) = args.get(at) {
        at += 1;
        match arg.text.as_str() {
            "-delete" => raise(Risk::High, "deletes what it finds"),
            "-fprint" | "-fprint0" | "-fprintf" | "-fls" => raise(Risk::Medium, "writes a file"),
            "-exec" | "-execdir" | "-ok" | "-okdir" => {
                let rest = &args[at..];
                let end = rest
                    .iter()
                    .enumerate()
                    .position(|(index, arg)| ends_command(rest, index, arg))
                    .unwrap_or(rest.len());
                looked.commands.push(rest[..end].iter().map(|arg| with_file(arg, args)).collect());
                at += end + 1;
            }
            _ if arg.may_become_option() => {
                raise(Risk::Medium, "an argument that is not known before it runs may be an action")
            }
            _ => {}
        }
    }
    looked
}

/// What is known of the names that are printed.
pub(in crate::approval) fn file(args: &[Arg]) -> Arg {
    with_file(&Arg::literal("{}"), args)
}

/// `;` ends a command, and so does `+` after `{}`.
fn ends_command(rest: &[Arg], index: usize, arg: &Arg) -> bool {
    arg.is_exactly(";") || (arg.is_exactly("+") && index > 0 && rest[index - 1].text.contains("{}"))
}

/// A found file's name begins with the place where the search began, so it is no option unless that is.
fn with_file(arg: &Arg, args: &[Arg]) -> Arg {
    if !arg.text.contains("{}") {
        return arg.clone();
    }
    let root = args
        .first()
        .map(|arg| arg.text.as_str())
        .filter(|text| !text.starts_with(['-', '(', '!', UNKNOWN]))
        .unwrap_or(".");
    Arg { text: arg.text.replace("{}", &format!("{root}/{UNKNOWN}")), glob: false, expanded: true, many: true }
}
