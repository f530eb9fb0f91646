//! `askance hook`: answers a coding agent before it calls a tool, and registers itself with it.
//!
//! What cannot be read, understood or judged blocks: exit status 2, which all agents take for no.

use std::io::{self, Read};
use std::panic::catch_unwind;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::agent_args::{HookArgs, HookCommand, HookInstallArgs};
use super::flags::{ApprovalFlags, PolicyFlags};
use super::judging::{Bench, JudgingError};
use super::layers;
use super::{Outcome, print, report, visible};
use crate::approval::{
    Annotations, Authority, Decision, Ground, KnownTool, McpCall, McpVerdict, Risk, Subject, Verdict,
};
use crate::server::hook::{Act, Answer, Call, CallError, Format, FormatError, Level};
use crate::session::Name;
use crate::settings::edit::Change;
use crate::settings::foreign::{self, Addition, Writing};
use crate::settings::{AutonomyLevel, InteractionMode};

/// Agents take this for a refusal, with standard error as the reason.
pub(super) const BLOCK: u8 = 2;

/// The most that a hook is told.
const LARGEST_INPUT: u64 = 32 << 20;

/// No answer: the tool must not run.
#[derive(Debug, thiserror::Error)]
enum HookError {
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error("read the hook's input")]
    Read(#[source] io::Error),
    #[error("the hook's input has more than {LARGEST_INPUT} bytes")]
    TooLarge,
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Judging(#[from] JudgingError),
    #[error("find the user's directories")]
    Locations(#[from] crate::settings::LocationError),
    #[error("find askance itself")]
    Own(#[source] io::Error),
    #[error("the path of askance, {path:?}, is not UTF-8")]
    OwnName { path: PathBuf },
    #[error("print the answer")]
    Print(#[source] io::Error),
}

pub(super) fn run(args: HookArgs) -> Outcome {
    match args.command {
        Some(HookCommand::Install(args)) => install(&args),
        None => {
            let answered = catch_unwind(|| answer(&args.name.unwrap_or_default(), args.auto));
            Ok(match answered {
                Ok(Ok(status)) => status,
                Ok(Err(error)) => {
                    report(&error);
                    BLOCK
                }
                // It has said what happened. Agents take the status of a panic for a yes.
                Err(_) => BLOCK,
            })
        }
    }
}

/// Where the user's own formats are.
fn formats() -> Result<PathBuf, HookError> {
    Ok(layers::locations(None, None)?.user_directory().join("agents"))
}

fn answer(name: &str, most: Option<AutonomyLevel>) -> Result<u8, HookError> {
    let format = Format::find(name, &formats()?)?;
    let mut text = Vec::new();
    io::stdin().lock().take(LARGEST_INPUT + 1).read_to_end(&mut text).map_err(HookError::Read)?;
    if text.len() as u64 > LARGEST_INPUT {
        return Err(HookError::TooLarge);
    }
    let call = Call::read(&text, &format)?;
    // The agent says where it works; where the command starts the model says, and that widens nothing.
    let workspace =
        layers::bounded(None, Some(&call.cwd)).map_err(|error| JudgingError::Layers(Box::new(error)))?.workspace;
    let policy = PolicyFlags { workspace: Some(workspace), cwd: Some(call.starts.clone()), ..PolicyFlags::default() };
    let approval = flags(&call, most);
    let bench = Bench::new(&policy, &approval)?;
    let answer = judge(&call, &bench, approval.session.as_ref())?;
    print(&format!("{}\n", answer.say(&call, &format))).map_err(HookError::Print)?;
    Ok(0)
}

/// The session, and the level that the agent's mode amounts to, never above `most`.
fn flags(call: &Call, most: Option<AutonomyLevel>) -> ApprovalFlags {
    let level = match call.level {
        None => most,
        Some(level) => {
            let level = level.autonomy().unwrap_or(AutonomyLevel::Off);
            Some(most.map_or(level, |most| level.min(most)))
        }
    };
    // An identifier that is no name of a session of ours names none.
    let session = call.session.as_deref().and_then(|session| session.parse().ok());
    ApprovalFlags { auto: level, spec: call.level == Some(Level::Spec), session, ..ApprovalFlags::default() }
}

fn judge(call: &Call, bench: &Bench, session: Option<&Name>) -> Result<Answer, HookError> {
    // A risk that is no word of ours is the highest.
    let declared = call.risk.as_ref().map(|word| Risk::from_word(word).unwrap_or(Risk::High));
    let known = |risk, why, changes, arguments: &Value| {
        bench.tool(&KnownTool { name: &call.tool, risk, why, changes, arguments, declared })
    };
    Ok(match &call.act {
        Act::Shell { command, .. } => {
            let verdict = bench.command(Subject::Shell(command.as_bytes()), declared);
            shell(&Line { command, session, bench }, &verdict)?
        }
        Act::Files { paths, changes: false } => {
            told(&known(Risk::ReadOnly, "it changes nothing", false, &json!({ "paths": paths })))
        }
        Act::Files { paths, changes: true } => {
            told(&known(Risk::Low, "it changes files", true, &json!({ "paths": paths })))
        }
        Act::Remote { url } => told(&known(Risk::Low, "it reads from the network", false, &json!({ "url": url }))),
        Act::Mcp { server, tool } => {
            let arguments = call.arguments.clone();
            let annotations = Annotations::default();
            let called = McpCall { server: server.clone(), tool: tool.clone(), arguments, annotations };
            told(&bench.mcp(&called, declared))
        }
        Act::Free => Answer::Allow { reason: "it reaches nothing beyond the agent".to_owned() },
        Act::Unknown => told(&known(Risk::High, "nothing is known of this tool", true, &call.arguments)),
    })
}

fn told(verdict: &McpVerdict) -> Answer {
    let reason = said(&verdict.reason);
    match verdict.decision {
        Decision::Allow => Answer::Allow { reason },
        Decision::Ask => Answer::Ask { command: None, reason },
        Decision::Refuse => Answer::Deny { reason },
    }
}

/// A command line that the agent wants run.
struct Line<'a> {
    command: &'a str,
    session: Option<&'a Name>,
    bench: &'a Bench,
}

/// A command line that may start does so in the sandbox.
fn shell(line: &Line<'_>, verdict: &Verdict) -> Result<Answer, HookError> {
    let reason = said(&verdict.reason);
    let Authority { level, ceiling, .. } = line.bench.authority();
    let needed = verdict.risk.level();
    Ok(match (verdict.decision, verdict.ground) {
        (Decision::Allow, _) => Answer::Rewrite { command: line.in_the_sandbox(level)?, reason },
        (Decision::Refuse, _) => Answer::Deny { reason },
        // The person at the agent may raise the level for this one command, within the maximum.
        (Decision::Ask, Ground::Risk) if needed <= ceiling => {
            Answer::Ask { command: Some(line.in_the_sandbox(needed)?), reason }
        }
        (Decision::Ask, Ground::Risk) => Answer::Deny { reason },
        // Nobody could be asked about what it does once it runs.
        (Decision::Ask, _) => {
            let hint = "to be asked about it, run it in a terminal: askance run -- bash -c '…'";
            Answer::Deny { reason: format!("{reason}; {hint}") }
        }
    })
}

fn said(reason: &str) -> String {
    format!("askance: {}", visible(reason))
}

impl Line<'_> {
    /// `askance exec` for the command line.
    fn in_the_sandbox(&self, level: AutonomyLevel) -> Result<String, HookError> {
        let mut words = format!("{} exec --auto {}", quoted(&own_path()?), level.word());
        if self.bench.authority().mode == InteractionMode::Spec {
            words.push_str(" --spec");
        }
        if let Some(session) = self.session {
            words.push_str(&format!(" --session {session}"));
        }
        let workspace = quoted(&self.bench.locations.workspace.to_string_lossy());
        Ok(format!("{words} --workspace {workspace} -c {}", quoted(self.command)))
    }
}

fn own_path() -> Result<String, HookError> {
    let path = std::env::current_exe().map_err(HookError::Own)?;
    path.into_os_string().into_string().map_err(|path| HookError::OwnName { path: path.into() })
}

/// One word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn install(args: &HookInstallArgs) -> Outcome {
    let locations = layers::locations(None, None)?;
    let format = Format::find(&args.agent, &formats()?)?;
    let place = if args.project { &format.install.project } else { &format.install.user };
    let file = match place.strip_prefix("~/") {
        Some(rest) => locations.home.join(rest),
        None => locations.workspace.join(place),
    };
    let auto = args.auto.map(|level| format!(" --auto {}", level.word())).unwrap_or_default();
    let own = own_path()?;
    let command = format!("{} hook {}{auto}", quoted(&own), args.agent);
    let entry = with_command(&format.install.entry, &command);
    let is_old = |text: &str| is_this_hook(text, &args.agent, &own);
    let (list, beside) = (&format.install.list, &format.install.beside);
    let addition = Addition { list, entry: &entry, beside, is_old: &is_old };
    let writing = if args.dry_run { Writing::DryRun } else { Writing::Yes };
    let (text, change) = foreign::add(&file, &addition, writing)?;
    let shown = visible(&file.to_string_lossy());
    print(&match (args.dry_run, change) {
        (true, _) => text,
        (false, Change::Made) => format!("{}: the hook is registered in {shown}\n", format.title),
        (false, Change::None) => format!("{}: the hook was registered in {shown} already\n", format.title),
    })?;
    Ok(0)
}

/// Is it a command that an earlier `hook install` wrote, perhaps of an askance elsewhere?
fn is_this_hook(text: &str, agent: &str, own: &str) -> bool {
    let Some((program, rest)) = text.split_once(&format!(" hook {agent}")) else { return false };
    let plain = program.trim_matches('\'');
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let one_word = program.starts_with('\'') && program.ends_with('\'') || !program.contains(char::is_whitespace);
    one_word && (name(plain) == "askance" || name(plain) == name(own)) && (rest.is_empty() || rest.starts_with(" --"))
}

fn with_command(template: &Value, command: &str) -> Value {
    match template {
        Value::String(text) if text == "$command" => Value::String(command.to_owned()),
        Value::Array(items) => items.iter().map(|item| with_command(item, command)).collect(),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(key, field)| (key.clone(), with_command(field, command))).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::is_this_hook;

    #[test]
    fn only_what_install_writes_is_taken_for_it() {
        let own =
            ["askance hook x", "/old/askance hook x --auto low", "'/a b/it''s/askance' hook x", "'/new/name' hook x"];
        let others = [
            "askance hook xy",
            "mytool hook x",
            "echo 'see askance hook x'",
            "askance hook x; rm f",
            "askance hook",
            "",
        ];
        for (texts, expected) in [(&own[..], true), (&others[..], false)] {
            for text in texts {
                assert_eq!(is_this_hook(text, "x", "/new/name"), expected, "{text}");
            }
        }
    }
}
