//! Flags that several subcommands have. Declares; does nothing.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::prompt::Choice;
use crate::run::Output;
use crate::session::{Kind, Name};
use crate::settings::AutonomyLevel;

/// Flags that shape a sandbox: `run`, `exec`, `why`, `settings show`.
#[derive(Debug, Clone, Default, Args)]
pub struct PolicyFlags {
    /// Add a profile: a name that `askance profiles` lists, or a file. May be repeated
    #[arg(long, value_name = "NAME|FILE")]
    pub profile: Vec<OsString>,
    /// The workspace [default: the enclosing repository, else the working directory]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub workspace: Option<PathBuf>,
    /// Where the command starts
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub cwd: Option<PathBuf>,
    /// Let this run read PATH
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub allow_read: Vec<OsString>,
    /// Let this run write PATH
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub allow_write: Vec<OsString>,
    /// Let this run reach DOMAIN: `example.com`, `*.example.com`, an address, a CIDR block; `:port`
    #[arg(long, value_name = "DOMAIN")]
    pub allow_domain: Vec<String>,
    /// Let this run connect to the Unix socket PATH, or `@name` for an abstract one
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub allow_unix: Vec<OsString>,
    /// Refuse this run to read, write or connect to PATH
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub block: Vec<OsString>,
}

/// Flags of what runs: `run` and `exec`.
#[derive(Debug, Clone, Args)]
pub struct RunFlags {
    #[command(flatten)]
    pub policy: PolicyFlags,
    /// Who answers questions: `auto` (the terminal if there is one), `tty`, `deny`, `answers=FILE`,
    /// `fd=N` (lines on that descriptor, with `-o stream-json`) [default: `auto`; `exec`: `deny`]
    #[arg(long, value_name = "WHO", value_parser = clap::value_parser!(Choice))]
    pub prompt: Option<Choice>,
    /// What to print: the command's own output, one object at the end, or an object for each event
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Write what happened to FILE, as one JSON object, when the run ends
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub report: Option<PathBuf>,
    /// End the run after this long, with status 124: `90`, `90s`, `5m`, `1h`, `500ms`
    #[arg(long, value_name = "TIME", value_parser = milliseconds)]
    pub timeout: Option<u64>,
}

/// Flags of approval: `run`, `exec`, `check`.
#[derive(Debug, Clone, Default, Args)]
pub struct ApprovalFlags {
    /// What runs without asking
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    pub auto: Option<AutonomyLevel>,
    /// Plan only: read-only commands, in a sandbox without writes and network
    #[arg(long)]
    pub spec: bool,
    /// The session: runs of the same name share its level, mode and grants "for this session"
    #[arg(long, value_name = "NAME", value_parser = clap::value_parser!(Name))]
    pub session: Option<Name>,
    /// Who works in the session: interactive, exec, subagent, mission
    #[arg(long, value_name = "KIND", value_parser = kind)]
    pub kind: Option<Kind>,
    /// The risk that the caller declares: read-only, low, medium, high
    #[arg(long, value_name = "LEVEL")]
    pub risk: Option<String>,
    /// Why the caller thinks so, in one line
    #[arg(long, value_name = "TEXT", requires = "risk")]
    pub reason: Option<String>,
}

pub(super) fn kind(text: &str) -> Result<Kind, &'static str> {
    Kind::from_word(text).ok_or("expected interactive, exec, subagent or mission")
}

pub(super) fn level(text: &str) -> Result<AutonomyLevel, &'static str> {
    let found = AutonomyLevel::ALL.into_iter().find(|level| level.word() == text);
    found.ok_or("expected off, low, medium or high")
}

pub(super) fn milliseconds(text: &str) -> Result<u64, &'static str> {
    const EXPECTED: &str = "expected a time of at least one millisecond: 90, 90s, 5m, 1h, 500ms";
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "" | "s" => 1000,
        "ms" => 1,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(EXPECTED),
    };
    let time = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    time.filter(|&time| time > 0).ok_or(EXPECTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        let table =
            [("90", Ok(90_000)), ("90s", Ok(90_000)), ("5m", Ok(300_000)), ("1h", Ok(3_600_000)), ("500ms", Ok(500))];
        for (text, expected) in table {
            assert_eq!(milliseconds(text), expected, "{text}");
        }
        for text in ["", "0", "s", "-1", "1.5", "5 m", "1d", "99999999999999999h"] {
            assert!(milliseconds(text).is_err(), "{text}");
        }
    }
}
