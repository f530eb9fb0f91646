//! Tool calls of MCP servers as requests: their risk, and what their arguments would reach.
//!
//! A server's annotations are its own claims. They lower the risk, but never to read-only: only the settings do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::request::{Authority, Surroundings};
use super::tool::{ToolRequest, judge_tool};
use super::verdict::{Decision, Risk, Verdict};
use crate::policy::{self, Access, Change, Facts, Host, Policy, Rule};
use crate::settings::{AutonomyLevel, McpOverrides};

mod arguments;

use arguments::{Named, Reach};

/// A call of another server's tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct McpCall {
    /// The server, as the settings name it.
    pub server: String,
    pub tool: String,
    #[serde(default)]
    pub arguments: Value,
    #[serde(default)]
    pub annotations: Annotations,
}

/// What the server says of its tool: hints, as the Model Context Protocol has them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Annotations {
    pub read_only_hint: Option<bool>,
    pub destructive_hint: Option<bool>,
}

/// What a call is judged by.
#[derive(Clone, Copy)]
pub struct McpRules<'a> {
    pub overrides: &'a BTreeMap<String, McpOverrides>,
    pub policy: &'a Policy,
    pub facts: &'a dyn Facts,
    pub surroundings: &'a dyn Surroundings,
    pub cwd: &'a Path,
    pub workspace: &'a Path,
    pub home: &'a Path,
}

/// The answer to one call: the strictest of what its risk and each of its arguments get.
#[derive(Debug, Clone, PartialEq)]
pub struct McpVerdict {
    pub decision: Decision,
    /// What counted: of the call itself, or of the argument that decided.
    pub reason: String,
    pub call: Verdict,
    pub arguments: Vec<ArgumentVerdict>,
}

/// What the file or network policy says of one argument.
#[derive(Debug, Clone, PartialEq)]
pub struct ArgumentVerdict {
    /// Where it stands, as a JSON pointer.
    pub argument: String,
    /// `None`: it names something that cannot be judged.
    pub operation: Option<&'static str>,
    pub target: String,
    pub decision: Decision,
    pub reason: String,
    pub rule: Option<Rule>,
}

/// A tool whose risk is known: an agent's own.
#[derive(Debug, Clone)]
pub struct KnownTool<'a> {
    /// As questions show it.
    pub name: &'a str,
    pub risk: Risk,
    pub why: &'a str,
    /// Files that its arguments name are changed, not only read.
    pub changes: bool,
    pub arguments: &'a Value,
    pub declared: Option<Risk>,
}

/// May this tool of an MCP server be called with these arguments?
pub fn judge_mcp(call: &McpCall, declared: Option<Risk>, rules: &McpRules<'_>, authority: Authority) -> McpVerdict {
    let (risk, why) = assessed(call, rules.overrides);
    let tool = KnownTool {
        name: &format!("{}/{}", call.server, call.tool),
        risk,
        why: &why,
        changes: call.annotations.read_only_hint != Some(true),
        arguments: &call.arguments,
        declared,
    };
    judge_known(&tool, rules, authority)
}

/// May this tool be called with these arguments?
pub fn judge_known(tool: &KnownTool<'_>, rules: &McpRules<'_>, authority: Authority) -> McpVerdict {
    let mut writes = Vec::new();
    let mut found = Vec::new();
    for Named { argument, reach } in arguments::named(tool.arguments) {
        match reach {
            Reach::File(text) => {
                let path = real(&text, rules);
                found.push(judged(argument.clone(), &Access::Read(&path), rules));
                if tool.changes {
                    let exists = rules.surroundings.canonical(&path).is_some();
                    let change = if exists { Change::Existing } else { Change::Create };
                    found.push(judged(argument, &Access::Write(&path, change), rules));
                    writes.push(path);
                }
            }
            Reach::Remote { host, port } => found.push(judged(argument, &Access::Connect { host: &host, port }, rules)),
            Reach::Unclear(text) => found.push(unclear(argument, text)),
        }
    }
    let request = ToolRequest {
        name: tool.name,
        risk: tool.risk,
        why: tool.why,
        writes: &writes,
        cwd: rules.cwd,
        workspace: rules.workspace,
        home: Some(rules.home),
        declared: tool.declared,
    };
    combined(judge_tool(&request, authority, rules.surroundings), found)
}

/// The risk of a call and where it comes from.
fn assessed(call: &McpCall, overrides: &BTreeMap<String, McpOverrides>) -> (Risk, String) {
    let said = overrides.get(&call.server);
    let level = said.and_then(|server| server.tools.get(&call.tool).or(server.default_level.as_ref()));
    if let Some(level) = level {
        let risk = match level.value {
            AutonomyLevel::Off => Risk::ReadOnly,
            AutonomyLevel::Low => Risk::Low,
            AutonomyLevel::Medium => Risk::Medium,
            AutonomyLevel::High => Risk::High,
        };
        return (risk, format!("mcpAutonomyOverrides says so ({})", level.source));
    }
    let Annotations { read_only_hint, destructive_hint } = call.annotations;
    match (read_only_hint, destructive_hint) {
        (Some(true), None | Some(false)) => (Risk::Low, "its server says that it changes nothing".into()),
        (_, Some(false)) => (Risk::Medium, "its server says that it destroys nothing".into()),
        _ => (Risk::High, "nothing is known of it".into()),
    }
}

/// The path that an argument means, without symbolic links as far as it exists.
fn real(text: &str, rules: &McpRules<'_>) -> PathBuf {
    let path = match text.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rules.home.join(rest.trim_start_matches('/')),
        _ => rules.cwd.join(text),
    };
    // `..` is resolved as the system does it: after the links before it.
    let mut real = PathBuf::from("/");
    for part in path.components() {
        match part {
            std::path::Component::Normal(name) => {
                let next = real.join(name);
                real = rules.surroundings.canonical(&next).unwrap_or(next);
            }
            std::path::Component::ParentDir => {
                real.pop();
            }
            _ => {}
        }
    }
    real
}

fn judged(argument: String, access: &Access<'_>, rules: &McpRules<'_>) -> ArgumentVerdict {
    let (decision, reason) = match rules.policy.judge(access, rules.facts) {
        policy::Verdict::Allow(_) => (Decision::Allow, "allowed".to_owned()),
        policy::Verdict::Ask(question) => (Decision::Ask, question.reason.to_string()),
        policy::Verdict::Deny(_) => (Decision::Refuse, "blocked".to_owned()),
    };
    ArgumentVerdict {
        argument,
        operation: Some(access.operation().word()),
        target: access.target().to_string(),
        decision,
        reason,
        rule: rules.policy.deciding_rule(access),
    }
}

fn unclear(argument: String, target: String) -> ArgumentVerdict {
    let reason = "it names something that cannot be judged".to_owned();
    ArgumentVerdict { argument, operation: None, target, decision: Decision::Ask, reason, rule: None }
}

fn combined(call: Verdict, arguments: Vec<ArgumentVerdict>) -> McpVerdict {
    let mut decision = call.decision;
    let mut reason = call.reason.clone();
    for found in &arguments {
        if strictness(found.decision) > strictness(decision) {
            decision = found.decision;
            let operation = found.operation.map(|word| format!("{word} ")).unwrap_or_default();
            reason = format!("argument {}: {operation}{}: {}", found.argument, found.target, found.reason);
        }
    }
    McpVerdict { decision, reason, call, arguments }
}

fn strictness(decision: Decision) -> u8 {
    match decision {
        Decision::Allow => 0,
        Decision::Ask => 1,
        Decision::Refuse => 2,
    }
}

impl McpVerdict {
    /// The answer to `mcp/check`, and the form of `askance check --mcp -o json`.
    pub fn to_json(&self) -> Value {
        let rule = |rule: &Rule| json!({ "text": rule.text(), "source": rule.source.to_string() });
        let arguments: Vec<Value> = self
            .arguments
            .iter()
            .map(|found| {
                json!({
                    "argument": found.argument,
                    "operation": found.operation,
                    "target": found.target,
                    "verdict": found.decision.word(),
                    "reason": found.reason,
                    "rule": found.rule.as_ref().map(rule),
                })
            })
            .collect();
        json!({
            "verdict": self.decision.word(),
            "risk": self.call.risk.word(),
            "assessed_risk": self.call.assessed_risk.word(),
            "declared_risk": self.call.declared_risk.map(Risk::word),
            "reason": self.reason,
            "rule": self.call.rule.as_ref().map(rule),
            "arguments": arguments,
        })
    }
}

/// Where an URL without a port leads.
fn host(host: url::Host<&str>) -> Host {
    match host {
        url::Host::Domain(name) => Host::Name(name.trim_end_matches('.').to_owned()),
        url::Host::Ipv4(address) => Host::Address(address.into()),
        url::Host::Ipv6(address) => Host::Address(std::net::IpAddr::V6(address).to_canonical()),
    }
}

#[cfg(test)]
mod tests;
