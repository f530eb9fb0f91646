//! `askance check`: what approval would say to a request, and why. Runs nothing.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;

use super::args::{CheckArgs, Format};
use super::judging::{Bench, JudgingError};
use super::{Outcome, approval, print, visible};
use crate::approval::{Authority, Decision, McpCall, McpVerdict, Subject, Verdict};

/// Exit statuses: a script can tell the verdicts apart without reading them.
const ALLOWED: u8 = 0;
const ASKS: u8 = 1;
const REFUSED: u8 = 126;

/// Standard input holds no request.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error("read the request from standard input")]
    Read(#[source] io::Error),
    #[error("the request has more than {LARGEST_CALL} bytes")]
    TooLarge,
    #[error("the call is malformed: expected {{\"server\": …, \"tool\": …, \"arguments\": …, \"annotations\": …}}")]
    Malformed(#[source] serde_json::Error),
}

/// The most that a tool call, as JSON, or a command line may be.
const LARGEST_CALL: u64 = 4 << 20;

pub(super) fn run(args: &CheckArgs) -> Outcome {
    let bench = match Bench::new(&args.policy, &args.approval) {
        Ok(bench) => bench,
        Err(JudgingError::NoMission(no_mission)) => {
            print(&format!("refuse: {no_mission}\n"))?;
            return Ok(REFUSED);
        }
        Err(error) => return Err(error.into()),
    };
    let declared = approval::declared(&args.approval)?.map(|(risk, _)| risk);
    let (said, decision) = if args.mcp {
        let verdict = bench.mcp(&call()?, declared);
        let said = match args.output {
            Format::Text => mcp_text(&verdict, bench.authority()),
            Format::Json => format!("{:#}\n", verdict.to_json()),
        };
        (said, verdict.decision)
    } else {
        let line = args.text.as_ref().map(|line| command_text(line)).transpose()?;
        let subject = line.as_ref().map_or(Subject::Argv(&args.command), |line| Subject::Shell(line));
        let verdict = bench.command(subject, declared);
        let said = match args.output {
            Format::Text => text(&verdict, bench.authority()),
            Format::Json => format!("{:#}\n", verdict.to_json()),
        };
        (said, verdict.decision)
    };
    print(&said)?;
    Ok(match decision {
        Decision::Allow => ALLOWED,
        Decision::Ask => ASKS,
        Decision::Refuse => REFUSED,
    })
}

fn call() -> Result<McpCall, CallError> {
    serde_json::from_slice(&input()?).map_err(CallError::Malformed)
}

fn input() -> Result<Vec<u8>, CallError> {
    let mut text = Vec::new();
    io::stdin().lock().take(LARGEST_CALL + 1).read_to_end(&mut text).map_err(CallError::Read)?;
    if text.len() as u64 > LARGEST_CALL { Err(CallError::TooLarge) } else { Ok(text) }
}

/// The command line, or for `-` what standard input holds: an argument cannot be longer than 128 KiB, nor hold a NUL.
fn command_text(argument: &OsStr) -> Result<Cow<'_, [u8]>, CallError> {
    if argument == "-" { Ok(Cow::Owned(input()?)) } else { Ok(Cow::Borrowed(argument.as_bytes())) }
}

fn mcp_text(verdict: &McpVerdict, authority: Authority) -> String {
    let mut lines =
        vec![format!("{} at level {}: {}", verdict.decision.word(), authority.level.word(), verdict.reason)];
    if let Some(rule) = &verdict.call.rule {
        lines.push(format!("rule {} ({})", rule.text(), rule.source));
    }
    lines.push(format!("risk {}", verdict.call.risk.word()));
    for found in &verdict.arguments {
        let operation = found.operation.unwrap_or("-");
        lines.push(format!(
            "  {:<6}  {}: {operation} {}: {}",
            found.decision.word(),
            found.argument,
            found.target,
            found.reason
        ));
    }
    lines.iter().map(|line| visible(line) + "\n").collect()
}

fn text(verdict: &Verdict, authority: Authority) -> String {
    let mut lines =
        vec![format!("{} at level {}: {}", verdict.decision.word(), authority.level.word(), verdict.reason)];
    if let Some(rule) = &verdict.rule {
        lines.push(format!("rule {} ({})", rule.text(), rule.source));
    }
    let declared = verdict.declared_risk.map_or_else(String::new, |risk| format!(", declared {}", risk.word()));
    let undecidable = if verdict.undecidable { ", undecidable before it runs" } else { "" };
    lines.push(format!(
        "risk {} (assessed {}{declared}{undecidable})",
        verdict.risk.word(),
        verdict.assessed_risk.word()
    ));
    for found in &verdict.commands {
        let command = if found.argv.is_empty() { "-".to_owned() } else { found.argv.join(" ") };
        let via = if found.via.is_empty() { String::new() } else { format!(" (in {})", found.via.join(", ")) };
        lines.push(format!("  {:<9}  {command}{via}: {}", found.risk.word(), found.why));
    }
    lines.iter().map(|line| visible(line) + "\n").collect()
}
