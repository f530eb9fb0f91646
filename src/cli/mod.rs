//! The command line: one file a subcommand.
//!
//! Owns parsing, messages and exit statuses. Decides nothing about what may happen.

pub mod agent_args;
mod approval;
pub mod args;
mod check;
mod completions;
mod deferred;
mod doctor;
mod file;
mod flags;
mod grant;
mod hook;
mod judging;
mod layers;
#[cfg(feature = "mcp")]
mod mcp;
mod plain;
mod profiles;
mod run;
mod serve;
mod settings;
mod target;
mod trust;
mod why;

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};

use clap::Parser;

use crate::sys::memory;
use args::{Cli, Command, Often, OftenCli};
use deferred::Deferred;

/// What a subcommand gives: its exit status, or the error that `main` prints.
pub(crate) type Outcome = Result<u8, Box<dyn Error>>;

/// askance itself failed.
pub(crate) const FAILED: u8 = 125;

/// Parses the arguments, runs the subcommand and maps its result to an exit status.
pub fn main() -> u8 {
    memory::keep_two_heaps();
    let command = match parse(std::env::args_os().collect()) {
        Ok(command) => command,
        Err(usage) => {
            // Nowhere is left to say that printing failed.
            let _ = usage.print();
            let status = if is_hook() { hook::BLOCK } else { FAILED };
            return if usage.use_stderr() { status } else { 0 };
        }
    };
    dispatch(command).unwrap_or_else(|error| {
        report(error.as_ref());
        FAILED
    })
}

fn parse(words: Vec<OsString>) -> Result<Command, clap::Error> {
    if let Some(command) = plain::command(&words) {
        return Ok(command);
    }
    if words.get(1).is_some_and(|word| word == "run" || word == "exec") {
        return OftenCli::try_parse_from(words).map(|cli| Command::Often(cli.command));
    }
    Cli::try_parse_from(words).map(|cli| cli.command)
}

/// Was it an agent that called? It takes any failure that it does not know for a yes.
fn is_hook() -> bool {
    let mut words = std::env::args_os().skip(1);
    words.next().is_some_and(|word| word == "hook") && words.next().is_none_or(|word| word != "install")
}

fn dispatch(command: Command) -> Outcome {
    match command {
        Command::Often(Often::Run(Deferred(args))) => run::run(args),
        Command::File(Deferred(args)) => file::run(args),
        Command::FileWorker => file::work(),
        Command::Often(Often::Exec(Deferred(args))) => run::exec(args),
        #[cfg(feature = "mcp")]
        Command::Mcp(Deferred(args)) => mcp::run(&args),
        Command::Hook(Deferred(args)) => hook::run(args),
        Command::Check(Deferred(args)) => check::run(&args),
        Command::Why(Deferred(args)) => why::run(&args),
        Command::Allow(Deferred(args)) => grant::add(grant::Verb::Allow, &args),
        Command::Deny(Deferred(args)) => grant::add(grant::Verb::Deny, &args),
        Command::Block(Deferred(args)) => grant::add(grant::Verb::Block, &args),
        Command::Forget(Deferred(args)) => grant::forget(&args),
        Command::Settings(Deferred(args)) => settings::run(args.command),
        Command::Trust(Deferred(args)) => trust::run(&args),
        Command::Profiles(Deferred(args)) => profiles::run(&args),
        Command::Doctor(Deferred(args)) => doctor::run(&args),
        Command::Serve(Deferred(args)) => serve::run(&args),
        Command::Completions { shell } => completions::print_for(shell),
        Command::Man { subcommand } => completions::manual(subcommand.as_deref()),
    }
}

/// Prints an error with its causes, once, on one line.
pub(crate) fn report(error: &dyn Error) {
    let _ = writeln!(io::stderr(), "askance: {}", visible(&line(error)));
}

/// An error with its causes.
fn line(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(&format!(": {error}"));
        cause = error.source();
    }
    line
}

/// Writes to standard output; a reader that went away is no failure.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// The text with control, bidirectional and other invisible characters spelled out: file names and
/// settings of a repository must not draw on the terminal.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\'' || character == '"' || character == '\\' {
            shown.push(character);
        } else {
            shown.extend(character.escape_debug());
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is parsed without the other subcommands says the same.
    #[test]
    fn the_subcommands_of_nearly_every_start_are_parsed_as_among_all() {
        for line in [
            "run",
            "run --help",
            "run -h",
            "run --nonsense",
            "run --timeout x -- a",
            "run --auto",
            "exec --help",
            "exec",
            "exec -c a b",
            "exec --nonsense",
            "run -V",
            "run --version -- a",
            "exec --spec --risk",
        ] {
            let words: Vec<OsString> = ["askance"].into_iter().chain(line.split(' ')).map(OsString::from).collect();
            let all = Cli::try_parse_from(&words).map(|cli| format!("{:?}", cli.command));
            let alone = parse(words).map(|command| format!("{command:?}"));
            match (all, alone) {
                (Ok(all), Ok(alone)) => assert_eq!(alone, all, "{line}"),
                (Err(all), Err(alone)) => {
                    assert_eq!(alone.render().ansi().to_string(), all.render().ansi().to_string(), "{line}");
                    assert_eq!(alone.kind(), all.kind(), "{line}");
                }
                (all, alone) => panic!("{line}: {alone:?}, not {all:?}"),
            }
        }
    }

    #[test]
    fn what_could_draw_on_a_terminal_is_spelled_out() {
        let table = [
            ("plain 'text' \"quoted\" ü", "plain 'text' \"quoted\" ü"),
            ("a\x1b[2Jb", "a\\u{1b}[2Jb"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("a\nb", "a\\nb"),
            ("a\u{9b}b", "a\\u{9b}b"),
        ];
        for (text, expected) in table {
            assert_eq!(visible(text), expected);
        }
    }
}
