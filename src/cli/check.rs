//! `askance check`: what approval would say to a request, and why. Runs nothing.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

use super::args::{CheckArgs, Format};
use super::{Outcome, approval, layers, print, visible};
use crate::approval::{Authority, Decision, Host, Request, Rules, Subject, Verdict, judge};
use crate::policy::{self, Access, Change};
use crate::run;
use crate::session::Kind;
use crate::settings::AutonomyLevel;

/// Exit statuses: a script can tell the verdicts apart without reading them.
const ALLOWED: u8 = 0;
const ASKS: u8 = 1;
const REFUSED: u8 = 126;

pub(super) fn run(args: &CheckArgs) -> Outcome {
    let (locations, settings) = layers::load(&args.policy)?;
    let lists = &settings.approval;
    let rules = Rules::new(&lists.command_blocklist, &lists.command_denylist, &lists.command_allowlist)?;
    let policy = run::foresee(&locations, &settings)?;
    let writable = |path: &Path| {
        matches!(policy.judge(&Access::Write(path, Change::Existing), &run::NothingYet), policy::Verdict::Allow(_))
    };
    let host = Host::new(std::env::var_os("PATH").unwrap_or_default(), locations.cwd.clone(), writable);
    let request = Request {
        subject: subject(args.text.as_ref(), &args.command),
        cwd: &locations.cwd,
        workspace: &locations.workspace,
        home: Some(&locations.home),
        declared: approval::declared(&args.approval)?.map(|(risk, _)| risk),
    };
    // As `exec` would have it: where nobody says anything only read-only commands run unasked.
    let session = approval::session(&args.approval, &locations, Kind::Exec)?;
    let authority = match session.authority(lists, approval::chosen(&args.approval), AutonomyLevel::Off) {
        Ok(authority) => authority,
        Err(no_mission) => {
            print(&format!("refuse: {no_mission}\n"))?;
            return Ok(ExitCode::from(REFUSED));
        }
    };
    let verdict = judge(&rules, &request, authority, &host);
    print(&match args.output {
        Format::Text => text(&verdict, authority),
        Format::Json => format!("{:#}\n", verdict.to_json()),
    })?;
    Ok(ExitCode::from(match verdict.decision {
        Decision::Allow => ALLOWED,
        Decision::Ask => ASKS,
        Decision::Refuse => REFUSED,
    }))
}

fn subject<'a>(text: Option<&'a OsString>, command: &'a [OsString]) -> Subject<'a> {
    match text {
        Some(text) => Subject::Shell(text.as_bytes()),
        None => Subject::Argv(command),
    }
}

fn text(verdict: &Verdict, authority: Authority) -> String {
    let mut lines =
        vec![format!("{} at level {}: {}", verdict.decision.word(), authority.level.word(), verdict.reason)];
    if let Some(rule) = &verdict.rule {
        lines.push(format!("rule {} ({})", rule.text, rule.source));
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
