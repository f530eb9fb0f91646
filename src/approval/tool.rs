//! Requests that are no commands: file tools, and tools of MCP servers. Their risk is known, not read from a text.

use std::path::{Path, PathBuf};

use super::arg::Arg;
use super::assess::{Assessment, Named};
use super::interlock::{self, Place};
use super::judge::conclude;
use super::request::{Authority, Surroundings};
use super::verdict::{Finding, Risk, Verdict};

/// A call of a tool.
#[derive(Debug, Clone)]
pub struct ToolRequest<'a> {
    /// As questions show it.
    pub name: &'a str,
    /// What a call of it could do, and why that is known.
    pub risk: Risk,
    pub why: &'a str,
    /// The files that it changes, as it names them.
    pub writes: &'a [PathBuf],
    pub cwd: &'a Path,
    pub workspace: &'a Path,
    pub home: Option<&'a Path>,
    pub declared: Option<Risk>,
}

/// May this tool be called? Like [`super::judge()`]: spec mode, interlocks, risk against level. Files that it
/// reads and writes are the file policy's to judge.
pub fn judge_tool(request: &ToolRequest<'_>, authority: Authority, surroundings: &dyn Surroundings) -> Verdict {
    let place = Place { cwd: Some(request.cwd), workspace: request.workspace, home: request.home, surroundings };
    let targets = request.writes.iter().map(|path| Arg::literal(&path.to_string_lossy()));
    let interlock = targets.into_iter().find_map(|target| interlock::of_write(&target, &place));
    let finding = Finding {
        argv: vec![request.name.to_owned()],
        risk: request.risk,
        why: request.why.to_owned(),
        via: Vec::new(),
    };
    let found = Assessment {
        findings: vec![finding],
        interlock: interlock.map(|interlock| (interlock, Named::tool(request.name))),
        uncovered: true,
        beyond_rules: true,
        ..Assessment::default()
    };
    conclude(found, request.declared, authority)
}
