//! The order of judgement: block list, spec mode, deny list and interlocks, allow list, risk against level.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::arg::{Arg, base_name};
use super::assess::{Assessment, assess};
use super::interlock::{self, Interlock, Place};
use super::lists::Rules;
use super::request::{Authority, Request, Surroundings};
use super::verdict::{Decision, Finding, Ground, Risk, Verdict};
use crate::policy::Rule;
use crate::settings::{InteractionMode, Layer, Source};

/// May this request start? First match decides.
pub fn judge(rules: &Rules, request: &Request<'_>, authority: Authority, surroundings: &dyn Surroundings) -> Verdict {
    let mut found = assess(rules, request, surroundings);
    let assessed = found.risk();
    let risk = assessed.max(request.declared.unwrap_or(Risk::ReadOnly));
    let (ground, decision, rule, reason) = decide(&mut found, risk, authority);
    let allowed = ground == Ground::Allowlist;
    Verdict {
        decision,
        ground,
        risk: if allowed { Risk::Low } else { risk },
        assessed_risk: assessed,
        declared_risk: request.declared,
        undecidable: found.undecidable.is_some(),
        reason,
        rule,
        quiet_git: found.quiet_git && assessed == Risk::ReadOnly,
        commands: found.findings,
    }
}

fn decide(found: &mut Assessment, risk: Risk, authority: Authority) -> (Ground, Decision, Option<Rule>, String) {
    if let Some((rule, command)) = found.blocked.take() {
        return (Ground::Blocklist, Decision::Refuse, Some(rule), format!("`{command}` is on the block list"));
    }
    if authority.mode == InteractionMode::Spec && risk > Risk::ReadOnly {
        let why = format!("spec mode is read-only, and {}", worst(found, risk));
        return (Ground::SpecMode, Decision::Refuse, None, why);
    }
    if let Some((rule, command)) = found.denied.take() {
        return (Ground::Denylist, Decision::Ask, Some(rule), format!("`{command}` is on the deny list"));
    }
    if let Some((interlock, command)) = found.interlock.take() {
        let reason = format!("`{command}`: {}", interlock.why);
        return (Ground::Interlock, Decision::Ask, Some(interlock_rule(&interlock)), reason);
    }
    if let Some(rule) = found.allowed.take()
        && !found.uncovered
    {
        return (Ground::Allowlist, Decision::Allow, Some(rule), "every command is on the allow list".into());
    }
    if risk.level() <= authority.level {
        return (Ground::Risk, Decision::Allow, None, worst(found, risk));
    }
    let reason = format!("risk {} is above level {}: {}", risk.word(), authority.level.word(), worst(found, risk));
    (Ground::Risk, Decision::Ask, None, reason)
}

/// The finding that makes the risk, for people.
fn worst(found: &Assessment, risk: Risk) -> String {
    let Some(finding) = found.findings.iter().max_by_key(|finding| (finding.risk, std::cmp::Reverse(finding.via.len()))) else {
        return "there is no command in it".into();
    };
    if finding.risk < risk {
        return format!("the caller declares {} risk", risk.word());
    }
    describe(finding)
}

fn describe(finding: &Finding) -> String {
    let command = finding.argv.join(" ");
    let why = if finding.why.is_empty() { finding.risk.word() } else { &finding.why };
    match (command.is_empty(), finding.via.is_empty()) {
        (true, _) => why.to_owned(),
        (false, true) => format!("`{command}`: {why}"),
        (false, false) => format!("`{command}` (in {}): {why}", finding.via.join(", ")),
    }
}

fn interlock_rule(interlock: &Interlock) -> Rule {
    Rule { text: format!("interlock: {}", interlock.name), source: Arc::new(Source { layer: Layer::Default, file: None, line: None }) }
}

/// What stands against a program's start inside the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `Refuse` for the block list, `Ask` for the deny list and interlocks.
    pub decision: Decision,
    pub ground: Ground,
    pub rule: Rule,
    pub reason: String,
}

/// A program about to start inside the sandbox.
#[derive(Debug, Clone, Copy)]
pub struct Execution<'a> {
    /// The file that is executed; `argv[0]` may say anything.
    pub program: &'a Path,
    pub argv: &'a [&'a OsStr],
    pub cwd: &'a Path,
    pub workspace: &'a Path,
    pub home: Option<&'a Path>,
}

/// Could any argument vector of `program` be refused or asked about at its start?
pub fn concerns_program(rules: &Rules, program: &Path) -> bool {
    let name = program.as_os_str().to_string_lossy();
    let name = base_name(&name);
    has_many_names(name)
        || rules.block.iter().chain(&rules.deny).any(|pattern| pattern.concerns(name))
        || interlock::concerns(name)
}

/// A program that does what the first word of its arguments says.
fn has_many_names(base_name: &str) -> bool {
    matches!(base_name, "busybox" | "toybox" | "coreutils")
}

/// Holds a real argument vector against the block list, the deny list and the interlocks.
/// `None`: nothing stands against it.
pub fn judge_argv(rules: &Rules, execution: &Execution<'_>, surroundings: &dyn Surroundings) -> Option<Refusal> {
    let Execution { program, argv, cwd, workspace, home } = *execution;
    let name = program.as_os_str().to_string_lossy();
    // A program of many names does what its first argument says.
    let applet = argv.first().map(|first| first.to_string_lossy());
    let many_names = has_many_names(base_name(&name));
    let first = match &applet {
        Some(applet) if many_names && base_name(applet) != base_name(&name) => applet,
        _ => &name,
    };
    let concerns_lists = rules.block.iter().chain(&rules.deny).any(|pattern| pattern.concerns(base_name(first)) || many_names);
    if !concerns_lists && !interlock::concerns(base_name(first)) {
        return None;
    }
    let mut args = vec![Arg::literal(first)];
    args.extend(argv.iter().skip(1).map(|arg| Arg::literal(&String::from_utf8_lossy(arg.as_bytes()))));
    let shown = || args.iter().map(Arg::shown).collect::<Vec<_>>().join(" ");
    let vectors = [&args[..], if many_names { &args[1..] } else { &[] }];
    for vector in vectors.into_iter().filter(|vector| !vector.is_empty()) {
        if let Some(pattern) = rules.block.iter().find(|pattern| pattern.forbids(vector)) {
            let reason = format!("`{}` is on the block list", shown());
            return Some(Refusal { decision: Decision::Refuse, ground: Ground::Blocklist, rule: pattern.rule().clone(), reason });
        }
        if let Some(pattern) = rules.deny.iter().find(|pattern| pattern.forbids(vector)) {
            let reason = format!("`{}` is on the deny list", shown());
            return Some(Refusal { decision: Decision::Ask, ground: Ground::Denylist, rule: pattern.rule().clone(), reason });
        }
    }
    let place = Place { cwd: Some(cwd), workspace, home, surroundings };
    let interlock = interlock::of(&args, &place)?;
    let reason = format!("`{}`: {}", shown(), interlock.why);
    Some(Refusal { decision: Decision::Ask, ground: Ground::Interlock, rule: interlock_rule(&interlock), reason })
}
