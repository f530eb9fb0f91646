//! The order of judgement: block list, spec mode, deny list and interlocks, allow list, risk against level.

use std::os::unix::ffi::OsStrExt;

use super::assess::{Assessment, assess};
use super::lists::Rules;
use super::request::{Authority, Request, Subject, Surroundings};
use super::verdict::{Decision, Finding, Ground, Risk, Verdict};
use crate::policy::Rule;
use crate::settings::InteractionMode;

/// May this request start? First match decides.
pub fn judge(rules: &Rules, request: &Request<'_>, authority: Authority, surroundings: &dyn Surroundings) -> Verdict {
    let work = || assess(rules, request, surroundings);
    let found = if cannot_nest(&request.subject) { in_place(work) } else { on_a_deep_stack(work) };
    conclude(found, request.declared, authority)
}

/// From what was found to the verdict.
pub(super) fn conclude(mut found: Assessment, declared: Option<Risk>, authority: Authority) -> Verdict {
    let assessed = found.risk();
    let risk = assessed.max(declared.unwrap_or(Risk::ReadOnly));
    let spoken = found.spoken_of();
    let (ground, decision, rule, reason) = decide(&mut found, risk, authority);
    let allowed = ground == Ground::Allowlist;
    Verdict {
        decision,
        ground,
        risk: if allowed { Risk::Low } else { risk },
        assessed_risk: assessed,
        declared_risk: declared,
        undecidable: found.undecidable.is_some(),
        reason,
        rule,
        quiet_git: found.quiet_git && assessed == Risk::ReadOnly,
        spoken,
        coverable: if found.beyond_rules { Vec::new() } else { found.coverable },
        commands: found.findings,
    }
}

/// Readers of shell text recurse with its nesting; their limits are set for this much stack, which
/// is only address space until it is used.
const STACK_BYTES: usize = 64 << 20;

/// Words of letters, digits and a few signs: whatever reads them as a shell's text finds nothing in
/// anything, so the stack at hand is deep enough.
fn cannot_nest(subject: &Subject<'_>) -> bool {
    let flat = |byte: &u8| byte.is_ascii_alphanumeric() || b" _-./=:,@%+".contains(byte);
    match subject {
        Subject::Shell(text) => text.iter().all(flat),
        Subject::Argv(words) => words.iter().all(|word| word.as_bytes().iter().all(flat)),
    }
}

/// Whatever ends the work early is never "safe".
fn in_place(work: impl FnOnce() -> Assessment) -> Assessment {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|_| unread())
}

fn unread() -> Assessment {
    Assessment::unknown("its text could not be read to the end")
}

/// As [`in_place`], on a stack for nested texts.
fn on_a_deep_stack(work: impl FnOnce() -> Assessment) -> Assessment {
    in_place(|| stacker::grow(STACK_BYTES, work))
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
        return (Ground::Denylist, Decision::Ask, Some(rule), format!("`{}` is on the deny list", command.line));
    }
    if let Some((interlock, command)) = found.interlock.take() {
        let reason = format!("`{}`: {}", command.line, interlock.why);
        return (Ground::Interlock, Decision::Ask, Some(interlock.rule()), reason);
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
    let Some(finding) =
        found.findings.iter().max_by_key(|finding| (finding.risk, std::cmp::Reverse(finding.via.len())))
    else {
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
