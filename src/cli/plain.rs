//! `run` and `exec` in the words that nearly every start uses, taken as they are: describing the two to the parser and
//! matching them costs a thirtieth of a start.
//!
//! The parser stays the authority. What this understands it understands as the parser does (a property holds the two to
//! that), and it leaves to the parser whatever is not plain: help, mistakes, `--flag=value`, values that begin with a dash.

use std::ffi::OsString;
use std::mem;
use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;

use super::agent_args::ExecArgs;
use super::args::{Command, Often, RunArgs};
use super::deferred::Deferred;
use super::flags::{ApprovalFlags, PolicyFlags, RunFlags, kind, level, milliseconds};
use crate::prompt::Choice;
use crate::run::Output;

/// The command that these words say; `None` where the parser has to look.
pub(super) fn command(words: &[OsString]) -> Option<Command> {
    let (subcommand, words) = words.get(1..)?.split_first()?;
    let often = match subcommand.to_str()? {
        "run" => Often::Run(Deferred(run(words)?)),
        "exec" => Often::Exec(Deferred(exec(words)?)),
        _ => return None,
    };
    Some(Command::Often(often))
}

fn run(words: &[OsString]) -> Option<RunArgs> {
    let mut said = Said::default();
    let command = said.all(words)?;
    // Only `exec` has a command line.
    let plain = said.text.is_none() && !command.is_empty();
    let (flags, approval) = said.flags()?;
    plain.then(|| RunArgs { flags, approval, command: command.to_vec() })
}

fn exec(words: &[OsString]) -> Option<ExecArgs> {
    let mut said = Said::default();
    let command = said.all(words)?.to_vec();
    let text = said.text.take();
    let (flags, approval) = said.flags()?;
    // One of the two.
    (text.is_some() == command.is_empty()).then_some(ExecArgs {
        flags,
        approval,
        terminal: None,
        text,
        command,
        skip_permissions_unsafe: false,
    })
}

/// What the flags so far have said.
#[derive(Default)]
struct Said {
    policy: PolicyFlags,
    approval: ApprovalFlags,
    prompt: Option<Choice>,
    output: Option<Output>,
    report: Option<PathBuf>,
    timeout: Option<u64>,
    text: Option<OsString>,
}

impl Said {
    /// Takes the flags; the words after them are the command.
    fn all<'a>(&mut self, mut words: &'a [OsString]) -> Option<&'a [OsString]> {
        while let [flag, rest @ ..] = words {
            if flag == "--" {
                return Some(rest);
            }
            if !flag.as_encoded_bytes().starts_with(b"-") {
                // A later `--` is the parser's to take or to leave.
                return (!flag.is_empty() && !rest.iter().any(|word| word == "--")).then_some(words);
            }
            if flag == "--spec" {
                // Said twice it is a mistake.
                if mem::replace(&mut self.approval.spec, true) {
                    return None;
                }
                words = rest;
                continue;
            }
            let [value, rest @ ..] = rest else { return None };
            if value.is_empty() || value.as_encoded_bytes().starts_with(b"-") {
                return None;
            }
            self.one(flag.to_str()?, value)?;
            words = rest;
        }
        Some(words)
    }

    fn one(&mut self, flag: &str, value: &OsString) -> Option<()> {
        let Self { policy, approval, .. } = self;
        match flag {
            "--profile" => policy.profile.push(value.clone()),
            "--workspace" => once(&mut policy.workspace, value.into())?,
            "--cwd" => once(&mut policy.cwd, value.into())?,
            "--allow-read" => policy.allow_read.push(value.clone()),
            "--allow-write" => policy.allow_write.push(value.clone()),
            "--allow-domain" => policy.allow_domain.push(value.to_str()?.into()),
            "--allow-unix" => policy.allow_unix.push(value.clone()),
            "--block" => policy.block.push(value.clone()),
            "--auto" => once(&mut approval.auto, level(value.to_str()?).ok()?)?,
            "--session" => once(&mut approval.session, parsed(value)?)?,
            "--kind" => once(&mut approval.kind, kind(value.to_str()?).ok()?)?,
            "--risk" => once(&mut approval.risk, value.to_str()?.into())?,
            "--reason" => once(&mut approval.reason, value.to_str()?.into())?,
            "--prompt" => once(&mut self.prompt, parsed(value)?)?,
            "--output" | "-o" => once(&mut self.output, Output::from_str(value.to_str()?, false).ok()?)?,
            "--report" => once(&mut self.report, value.into())?,
            "--timeout" => once(&mut self.timeout, milliseconds(value.to_str()?).ok()?)?,
            "-c" => once(&mut self.text, value.clone())?,
            _ => return None,
        }
        Some(())
    }

    fn flags(self) -> Option<(RunFlags, ApprovalFlags)> {
        let Self { policy, approval, prompt, output, report, timeout, text: _ } = self;
        let output = output.unwrap_or_default();
        let complete = approval.reason.is_none() || approval.risk.is_some();
        complete.then_some((RunFlags { policy, prompt, output, report, timeout }, approval))
    }
}

/// Said twice it is a mistake.
fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

fn parsed<T: FromStr>(value: &OsString) -> Option<T> {
    value.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use clap::Parser;
    use proptest::prelude::*;

    use super::super::args::OftenCli;
    use super::*;

    fn words(line: &[&str]) -> Vec<OsString> {
        ["askance"].iter().chain(line).map(OsString::from).collect()
    }

    fn by_the_parser(words: &[OsString]) -> Result<String, clap::Error> {
        OftenCli::try_parse_from(words).map(|cli| format!("{:?}", Command::Often(cli.command)))
    }

    #[test]
    fn what_nearly_every_start_says_is_plain() {
        for line in [
            &["run", "--prompt", "deny", "--", "true"][..],
            &["run", "true", "-x", "--prompt"],
            &["run", "--profile", "rust", "--profile", "git", "--", "cargo", "--", "build"],
            &["run", "--prompt", "answers=a", "--report", "r.json", "--", "sh", "-c", "echo"],
            &["exec", "--auto", "medium", "-c", "npm ci && npm test"],
            &["exec", "--auto", "high", "-o", "stream-json", "--prompt", "fd=3", "-c", "make"],
            &["exec", "--risk", "low", "--reason", "it reads", "--spec", "--", "ls"],
            &["exec", "--session", "a", "--kind", "mission", "--timeout", "5m", "--cwd", "/", "--", "ls"],
        ] {
            let words = words(line);
            let plain = command(&words).unwrap_or_else(|| panic!("{line:?} is left to the parser"));
            assert_eq!(format!("{plain:?}"), by_the_parser(&words).unwrap(), "{line:?}");
        }
    }

    #[test]
    fn mistakes_and_help_are_the_parsers() {
        for line in [
            &["run"][..],
            &["run", "--"],
            &["run", "--help"],
            &["run", "--prompt", "nobody", "--", "a"],
            &["run", "--prompt", "deny", "--prompt", "deny", "--", "a"],
            &["run", "--reason", "a", "--", "a"],
            &["run", "-c", "a"],
            &["exec", "-c", "a", "b"],
            &["exec", "--spec", "--spec", "-c", "a"],
            &["exec", "-c"],
            &["check", "-c", "a"],
        ] {
            assert!(command(&words(line)).is_none(), "{line:?}");
        }
    }

    /// Flags with their values, and what is not plain.
    const PARTS: &str = concat!(
        "--|--prompt deny|--prompt tty|--prompt fd=3|--prompt nobody|--prompt=deny|--prompt|--output json|",
        "-o text|-o no|-ojson|--out|--report r|--timeout 5m|--timeout 0|--auto high|--auto no|--spec|--session s|--session -|",
        "--kind exec|--kind no|--risk low|--reason r|--profile rust|--workspace w|--cwd c|--allow-read p|--allow-write p|",
        "--allow-domain d|--allow-unix u|--block b|-c t|-c -t|-x|-|-h|--skip-permissions-unsafe|--terminal fd=3|true|true|ü|",
    );

    fn part() -> impl Strategy<Value = Vec<OsString>> {
        let parts: Vec<&str> = PARTS.split('|').collect();
        prop_oneof![
            60 => prop::sample::select(parts).prop_map(|part| part.split(' ').map(OsString::from).collect()),
            1 => Just(vec![OsString::from_vec(vec![0xff])]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]
        #[test]
        fn what_is_taken_as_plain_is_what_the_parser_says(
            subcommand in prop::sample::select(&["run", "exec"][..]),
            parts in prop::collection::vec(part(), 0..5),
        ) {
            let words: Vec<OsString> =
                ["askance", subcommand].into_iter().map(OsString::from).chain(parts.concat()).collect();
            if let Some(plain) = command(&words) {
                let parsed = by_the_parser(&words);
                prop_assert!(parsed.is_ok(), "a mistake is taken as plain: {plain:?}");
                prop_assert_eq!(format!("{plain:?}"), parsed.unwrap());
            }
        }
    }
}
