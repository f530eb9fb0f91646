//! The check at exec time: a real argument vector against block list, deny list and interlocks.
//!
//! Runs at each `execve` of a sandbox, so it looks at the arguments only where a rule could concern the program.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::arg::{Arg, base_name, shown};
use super::interlock::{self, Place};
use super::lists::Rules;
use super::request::Surroundings;
use super::verdict::{Decision, Ground};
use crate::policy::Rule;

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

/// Programs that are many: which one, their first argument or the name they are called by says.
const MANY_IN_ONE: [&str; 3] = ["busybox", "toybox", "coreutils"];

/// Is it the dynamic loader, which starts the program that its first operand names (`man 8 ld.so`)?
pub(super) fn is_loader(base: &str) -> bool {
    base.starts_with("ld-linux")
        || base.starts_with("ld-musl")
        || base.starts_with("ld.so")
        || base.starts_with("ld64.so")
}

/// What the loader starts.
pub(super) fn loaded(argv: &[Arg]) -> &[Arg] {
    const WITH_VALUE: [&str; 6] =
        ["--library-path", "--inhibit-rpath", "--preload", "--audit", "--argv0", "--glibc-hwcaps-prepend"];
    let mut at = 1;
    while let Some(arg) = argv.get(at).filter(|arg| arg.text.starts_with("--")) {
        at += if WITH_VALUE.contains(&arg.text.as_str()) { 2 } else { 1 };
    }
    argv.get(at..).unwrap_or_default()
}

/// Could any argument vector of `program` be refused or asked about at its start?
pub fn concerns_program(rules: &Rules, program: &Path) -> bool {
    concerns(rules, base_name(&program.as_os_str().to_string_lossy()))
}

fn concerns(rules: &Rules, base: &str) -> bool {
    let mut lists = rules.block.iter().chain(&rules.deny);
    MANY_IN_ONE.contains(&base)
        || is_loader(base)
        || interlock::concerns(base)
        || lists.any(|pattern| pattern.concerns(base))
}

/// Holds a real argument vector against the block list, the deny list and the interlocks.
/// `None`: nothing stands against it.
pub fn judge_argv(rules: &Rules, execution: &Execution<'_>, surroundings: &dyn Surroundings) -> Option<Refusal> {
    let file = execution.program.as_os_str().to_string_lossy();
    let called = execution.argv.first().map(|first| first.to_string_lossy());
    let many = MANY_IN_ONE.contains(&base_name(&file));
    // Called by the name of an applet, it is that applet; by its own, the next word is.
    let name = match &called {
        Some(called) if many && !MANY_IN_ONE.contains(&base_name(called)) => called,
        _ => &file,
    };
    let base = base_name(name);
    if !concerns(rules, base) {
        return None;
    }
    let rest = execution.argv.iter().skip(1);
    let mut args = vec![Arg::literal(name)];
    args.extend(rest.map(|arg| Arg::literal(&String::from_utf8_lossy(arg.as_bytes()))));
    let applet = match is_loader(base) {
        true => loaded(&args),
        false => &args[usize::from(many && MANY_IN_ONE.contains(&base))..],
    };
    let place = Place { cwd: Some(execution.cwd), workspace: execution.workspace, home: execution.home, surroundings };
    listed(rules, &args).or_else(|| listed(rules, applet)).or_else(|| interlocked(applet, &place))
}

fn listed(rules: &Rules, argv: &[Arg]) -> Option<Refusal> {
    let blocked = rules.block.iter().map(|pattern| (pattern, Ground::Blocklist));
    let denied = rules.deny.iter().map(|pattern| (pattern, Ground::Denylist));
    let (pattern, ground) = blocked.chain(denied).find(|(pattern, _)| pattern.forbids(argv))?;
    let (decision, list) = match ground {
        Ground::Blocklist => (Decision::Refuse, "block"),
        _ => (Decision::Ask, "deny"),
    };
    Some(Refusal {
        decision,
        ground,
        rule: pattern.rule().clone(),
        reason: format!("`{}` is on the {list} list", shown(argv).join(" ")),
    })
}

fn interlocked(argv: &[Arg], place: &Place<'_>) -> Option<Refusal> {
    let interlock = interlock::of(argv, place)?;
    Some(Refusal {
        decision: Decision::Ask,
        ground: Ground::Interlock,
        rule: interlock.rule(),
        reason: format!("`{}`: {}", shown(argv).join(" "), interlock.why),
    })
}
