//! Blocking hooks: programs of the settings that see each request before approval judges it.
//!
//! A hook gets the request as one JSON object on standard input. Exit status 0 with nothing on standard
//! output has no opinion; with `{"decision": "allow"|"ask"|"refuse", "reason": …, "command": …}` it has
//! one, and `command` (text for a shell, or a list of words) replaces the request. Exit status 2 refuses,
//! for the reason on standard error. Anything else, and anything late, refuses too.
//!
//! The strictest opinion counts, together with approval's own. A rewritten request is judged like any
//! other. A repository's hooks come first, then the user's, the organisation's last: they see what is
//! really going to be judged.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use serde::Deserialize;
use serde_json::json;

use super::{RunRequest, Subject};
use crate::approval::{Authority, Decision};
use crate::policy::Rule;
use crate::settings::{Hooks, Layer, Sourced};

/// How long a hook may take, unless the settings say less.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a hook says is read up to here; more is a failure.
const SAID_MAX: u64 = 1 << 20;

/// What the hooks think of a request.
#[derive(Debug)]
pub(super) struct Opinion {
    pub(super) decision: Decision,
    pub(super) reason: String,
    /// The hook, with where it was written.
    pub(super) rule: Rule,
}

/// Why a hook has no valid opinion; it refuses.
#[derive(Debug, thiserror::Error)]
enum HookError {
    #[error("it cannot be started")]
    Start(#[source] io::Error),
    #[error("it cannot be watched")]
    Watch(#[source] io::Error),
    #[error("it took longer than {} ms", .0.as_millis())]
    Late(Duration),
    #[error("it said more than {SAID_MAX} bytes")]
    Flood,
    #[error("it ended with {0}")]
    Failed(std::process::ExitStatus),
    #[error("it did not say `{{\"decision\": …}}`")]
    Malformed(#[source] serde_json::Error),
    #[error("its \"decision\" is {0:?}: expected allow, ask or refuse")]
    Decision(String),
    #[error("its \"command\" is empty")]
    Empty,
    #[error("it rewrites an operation on files, which has no command")]
    Tool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    decision: String,
    #[serde(default)]
    reason: String,
    command: Option<Rewritten>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Rewritten {
    Shell(String),
    Argv(Vec<String>),
}

/// Asks every hook, a repository's first and the organisation's last; each sees what those before it made of the request.
pub(super) fn consult(hooks: &Hooks, request: &mut RunRequest, authority: Authority) -> Option<Opinion> {
    let limit = hooks.time_limit_ms.map_or(PATIENCE, |limit| Duration::from_millis(limit).min(PATIENCE));
    let mut in_order: Vec<&Sourced<Vec<String>>> = hooks.pre_command.iter().collect();
    in_order.sort_by_key(|hook| (!matches!(hook.source.layer, Layer::Project | Layer::Folder), hook.source.layer));
    let mut strictest: Option<Opinion> = None;
    for hook in in_order {
        let opinion = match ask(hook, request, authority, limit) {
            Ok((decision, reason)) => opinion(hook, decision, &reason),
            Err(error) => {
                let why = crate::journal::chain(&error);
                Opinion {
                    reason: format!("the hook {:?} failed: {why}", hook.value[0]),
                    ..opinion(hook, Decision::Refuse, "")
                }
            }
        };
        let strictness = |decision| match decision {
            Decision::Allow => 0,
            Decision::Ask => 1,
            Decision::Refuse => 2,
        };
        if strictest.as_ref().is_none_or(|before| strictness(before.decision) < strictness(opinion.decision)) {
            strictest = Some(opinion);
        }
        if strictest.as_ref().is_some_and(|found| found.decision == Decision::Refuse) {
            break;
        }
    }
    strictest.filter(|found| found.decision != Decision::Allow)
}

fn opinion(hook: &Sourced<Vec<String>>, decision: Decision, reason: &str) -> Opinion {
    let says = match decision {
        Decision::Refuse => "refuses",
        Decision::Ask | Decision::Allow => "asks",
    };
    let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    Opinion {
        decision,
        reason: format!("the hook {:?} {says}{because}", hook.value[0]),
        rule: Rule::said(format!("hooks.preCommand: {}", hook.value.join(" ")), hook.source.clone()),
    }
}

/// Runs one hook to its end and takes up what it rewrote.
fn ask(
    hook: &Sourced<Vec<String>>,
    request: &mut RunRequest,
    authority: Authority,
    limit: Duration,
) -> Result<(Decision, String), HookError> {
    let said = run(&hook.value, &described(request, authority), limit)?;
    match said.status.code() {
        Some(0) if said.out.trim_ascii().is_empty() => return Ok((Decision::Allow, String::new())),
        Some(0) => {}
        Some(2) => return Ok((Decision::Refuse, String::from_utf8_lossy(said.err.trim_ascii()).into_owned())),
        _ => return Err(HookError::Failed(said.status)),
    }
    let Said { decision, reason, command } = serde_json::from_slice(&said.out).map_err(HookError::Malformed)?;
    let decision = match decision.as_str() {
        "allow" => Decision::Allow,
        "ask" => Decision::Ask,
        "refuse" | "deny" => Decision::Refuse,
        _ => return Err(HookError::Decision(decision)),
    };
    if let Some(command) = command {
        request.subject = rewritten(command, &request.subject)?;
    }
    Ok((decision, reason))
}

fn rewritten(command: Rewritten, old: &Subject) -> Result<Subject, HookError> {
    if matches!(old, Subject::Tool(_)) {
        return Err(HookError::Tool);
    }
    match command {
        Rewritten::Shell(text) if text.trim().is_empty() => Err(HookError::Empty),
        Rewritten::Argv(words) if words.first().is_none_or(String::is_empty) => Err(HookError::Empty),
        Rewritten::Shell(text) => Ok(Subject::Shell(text.into())),
        Rewritten::Argv(words) => Ok(Subject::Argv(words.into_iter().map(Into::into).collect())),
    }
}

/// The request as a hook sees it.
fn described(request: &RunRequest, authority: Authority) -> Vec<u8> {
    let (key, value) = match &request.subject {
        Subject::Argv(_) => ("argv", json!(request.subject.words())),
        Subject::Shell(_) => ("command", json!(request.subject.line())),
        Subject::Tool(_) => ("tool", json!(request.subject.line())),
    };
    let declared = request.declared.as_ref();
    json!({
        "hook": "preCommand",
        key: value,
        "cwd": request.locations.cwd.to_string_lossy(),
        "workspace": request.locations.workspace.to_string_lossy(),
        "kind": request.session.kind().word(),
        "level": authority.level.word(),
        "mode": authority.mode.word(),
        "declared_risk": declared.map(|(risk, _)| risk.word()),
        "declared_reason": declared.map(|(_, reason)| reason),
    })
    .to_string()
    .into_bytes()
}

/// What a hook came to.
struct Ended {
    status: std::process::ExitStatus,
    out: Vec<u8>,
    err: Vec<u8>,
}

/// Runs a program in a process group of its own, which does not outlive it.
fn run(argv: &[String], input: &[u8], limit: Duration) -> Result<Ended, HookError> {
    let until = Instant::now() + limit;
    let mut child = Command::new(&argv[0])
        .args(&argv[1..])
        // Not where the request comes from: what lies there is not the hook's.
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(HookError::Start)?;
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_vec();
        // A hook that does not read its input is none the worse for it.
        std::thread::spawn(move || stdin.write_all(&input));
    }
    let (out, err) = (collect(child.stdout.take()), collect(child.stderr.take()));
    let ended = wait(&mut child, until);
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // Whatever it left behind; nothing is left in most cases.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let status = child.wait().map_err(HookError::Watch)?;
    if !ended.map_err(HookError::Watch)? {
        return Err(HookError::Late(limit));
    }
    let read = |stream: mpsc::Receiver<Vec<u8>>| {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(10));
        let bytes = stream.recv_timeout(left).map_err(|_| HookError::Late(limit))?;
        if bytes.len() as u64 > SAID_MAX { Err(HookError::Flood) } else { Ok(bytes) }
    };
    Ok(Ended { status, out: read(out)?, err: read(err)? })
}

/// Reads a stream apart; the reader is given up where somebody keeps the stream open.
fn collect(stream: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (give, take) = mpsc::channel();
    if let Some(stream) = stream {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stream.take(SAID_MAX + 1).read_to_end(&mut bytes);
            let _ = give.send(bytes);
        });
    }
    take
}

/// Waits for the end without reaping, so that its number stays its own; `false` if it is late.
fn wait(child: &mut Child, until: Instant) -> io::Result<bool> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    let watched = pidfd_open(pid, PidfdFlags::empty())?;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&watched.as_fd(), PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
