//! The methods, one function each: parameters in, result out.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use rustix::termios::Winsize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::child;
use super::command::{Command, Control, Input, Launch, Terminal};
use super::connection::{After, Handled};
use super::hub::{COMMANDS_MAX, Client, Hub, Slot};
use super::protocol as say;
use super::protocol::{Done, FRAME_MAX, Line, SignalName, VERSION};
use super::rpc::RpcError;
use super::session::{Made, Session};
use crate::approval::McpCall;
use crate::session::{self, Kind};
use crate::settings::InteractionMode;

/// How long `command/cancel` waits after SIGTERM, unless it says.
const CANCEL_GRACE_MS: u64 = 2_000;

/// What an introduction says of a connection.
pub(super) struct Introduction {
    pub(super) approver: bool,
    pub(super) asks: bool,
}

pub(super) fn initialize(hub: &Hub, params: Value) -> Result<(Introduction, Value), RpcError> {
    let said: say::Initialize = understand(params)?;
    if said.protocol_version < VERSION {
        return Err(RpcError::params(format!("protocolVersion has to be {VERSION} or newer")));
    }
    let approver = match (&said.approver_token, &hub.config.token) {
        (None, _) => false,
        (Some(shown), Some(token)) if token.is(shown) => true,
        (Some(_), _) => return Err(RpcError::not_allowed("this is not the approver's token")),
    };
    let result = say::Initialized {
        protocol_version: VERSION,
        server_info: say::ServerInfo { name: "askance", version: env!("CARGO_PKG_VERSION") },
        server_capabilities: say::ServerCapabilities {
            require_approver: hub.config.settings.require_approver,
            frame_max: FRAME_MAX,
            commands_max: COMMANDS_MAX,
            grace_period_ms: hub.config.settings.grace_period_ms,
            workspaces: hub.config.settings.require_approver.then(|| hub.config.workspaces.clone()),
        },
        approver,
    };
    let asks = said.client_capabilities.request_permission;
    Ok((Introduction { approver, asks }, value(&result)?))
}

/// A check that has been begun: a child that runs nothing.
pub(super) struct Checking {
    slot: Slot,
    program: PathBuf,
    arguments: Vec<OsString>,
    input: Option<Vec<u8>>,
}

impl Checking {
    pub(super) async fn carry_out(self) -> Result<Value, RpcError> {
        let mut command = tokio::process::Command::new(&self.program);
        command.arg0("askance").args(&self.arguments);
        let said = child::ask(&mut command, self.input).await;
        drop(self.slot);
        said.map_err(|error| child::not_started(&error))?.map_err(RpcError::internal)
    }
}

/// `command/check` or `mcp/check`.
pub(super) fn check(hub: &Arc<Hub>, client: &Client, method: &str, params: Value) -> Result<Checking, RpcError> {
    let begin = |session: &str, cwd: Option<&Path>, risk| {
        let session = hub.own_session(session, client)?;
        let mut arguments = arguments("check", (hub, &session), cwd);
        arguments.extend(["-o".into(), "json".into()]);
        declare(&mut arguments, risk, None);
        Ok(Checking { slot: hub.slot()?, program: hub.config.program.clone(), arguments, input: None })
    };
    if method == "command/check" {
        let said: say::Check = understand(params)?;
        let mut check = begin(&said.session_id, said.cwd.as_deref(), said.risk)?;
        match said.command {
            // However long it is, and whatever it begins with.
            Line::Shell(text) => {
                check.arguments.extend(["-c".into(), "-".into()]);
                check.input = Some(text.into());
            }
            argv @ Line::Argv(_) => subject(&mut check.arguments, argv)?,
        }
        return Ok(check);
    }
    let say::InSession::<McpCall> { session_id, what: call } = understand(params)?;
    let mut check = begin(&session_id, None, None)?;
    check.arguments.push("--mcp".into());
    check.input = Some(serde_json::to_vec(&call).map_err(|error| RpcError::internal(error.to_string()))?);
    Ok(check)
}

/// Everything that is answered at once.
pub(super) fn handle(hub: &Arc<Hub>, client: &Arc<Client>, method: &str, params: Value) -> Result<Handled, RpcError> {
    match method {
        "initialize" => Err(RpcError::not_initialized("this connection is initialized already")),
        "session/new" => done(&new_session(hub, client, understand(params)?)?),
        "session/load" => load_session(hub, client, &understand(params)?),
        "session/close" => done(&close_session(hub, client, &understand(params)?)?),
        "session/set_level" => done(&set_level(hub, client, &understand(params)?)?),
        "session/set_mode" => done(&set_mode(hub, client, &understand(params)?)?),
        "command/run" => run(hub, client, understand(params)?),
        "command/input" => done(&input(hub, client, &understand(params)?)?),
        "command/resize" => {
            let said: say::Resize = understand(params)?;
            let command = hub.own_session(&said.session_id, client)?.command(&said.command_id)?;
            command.resize(size(said.rows, said.columns)?)?;
            done(&Done {})
        }
        "command/signal" => {
            let say::Signal { session_id, command_id, signal: name } = understand(params)?;
            done(&control(hub, client, (&session_id, &command_id), Control::Signal(signal(name)))?)
        }
        "command/cancel" => {
            let say::Cancel { session_id, command_id, grace_ms } = understand(params)?;
            let grace = Duration::from_millis(grace_ms.unwrap_or(CANCEL_GRACE_MS));
            done(&control(hub, client, (&session_id, &command_id), Control::Cancel(grace))?)
        }
        "question/answer" => {
            let say::Answer { session_id, question_id, option_id } = understand(params)?;
            let session = hub.session(&session_id)?;
            if !hub.may_answer(&session, client) {
                return Err(RpcError::not_allowed("this connection does not answer this session's questions"));
            }
            session.answer(&question_id, &option_id)?;
            done(&Done {})
        }
        _ => Err(RpcError::no_method(format!("no method {method:?}"))),
    }
}

pub(super) fn understand<T: DeserializeOwned>(params: Value) -> Result<T, RpcError> {
    serde_json::from_value(params).map_err(|error| RpcError::params(error.to_string()))
}

fn value(result: &impl serde::Serialize) -> Result<Value, RpcError> {
    serde_json::to_value(result).map_err(|error| RpcError::internal(error.to_string()))
}

fn done(result: &impl serde::Serialize) -> Result<Handled, RpcError> {
    Ok(Handled { result: value(result)?, after: After::Nothing })
}

/// Only approvers widen what runs unasked, where the settings demand approvers.
fn may_widen(hub: &Hub, client: &Client) -> Result<(), RpcError> {
    if client.approver || !hub.config.settings.require_approver {
        return Ok(());
    }
    Err(RpcError::not_allowed("only an approver's connection may widen what runs unasked"))
}

/// The workspace that a client names; where approvers are demanded, one of those that the server was started for. Not one
/// beneath them: commands could put a link in its place.
fn workspace(hub: &Hub, client: &Client, named: &Path) -> Result<PathBuf, RpcError> {
    let named = directory("workspace", named)?;
    if may_widen(hub, client).is_ok() {
        return Ok(named);
    }
    let real = named.canonicalize().map_err(|error| RpcError::params(format!("workspace: {error}")))?;
    if hub.config.workspaces.contains(&real) {
        return Ok(real);
    }
    Err(RpcError::not_allowed(format!("only an approver's connection may work in {}", real.display())))
}

/// Subagents and missions have the highest level there is, a person's session the one that the person chose last.
fn kind(hub: &Hub, client: &Client, said: &say::NewSession) -> Result<Kind, RpcError> {
    let kind = match said.kind {
        None | Some(say::SessionKind::Exec) => return Ok(Kind::Exec),
        Some(say::SessionKind::Interactive) => Kind::Interactive,
        Some(say::SessionKind::Subagent) => Kind::Subagent,
        Some(say::SessionKind::Mission) => Kind::Mission,
    };
    may_widen(hub, client)?;
    if said.level.is_some() {
        has_a_level(kind)?;
    }
    Ok(kind)
}

fn has_a_level(kind: Kind) -> Result<(), RpcError> {
    if matches!(kind, Kind::Interactive | Kind::Exec) {
        return Ok(());
    }
    Err(RpcError::params(format!("level: a {} has the highest level that the settings allow", kind.word())))
}

fn new_session(hub: &Arc<Hub>, client: &Arc<Client>, said: say::NewSession) -> Result<say::SessionMade, RpcError> {
    let workspace = workspace(hub, client, &said.workspace)?;
    let cwd = match &said.cwd {
        Some(cwd) => directory("cwd", cwd)?,
        None => workspace.clone(),
    };
    let kind = kind(hub, client, &said)?;
    if said.level.is_some() || said.mode == Some(InteractionMode::Auto) || !said.profiles.is_empty() {
        may_widen(hub, client)?;
    }
    let mut random = [0; 16];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| RpcError::internal(error.to_string()))?;
    let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let name = id.parse().map_err(|_| RpcError::internal("a session without a name"))?;
    let shared = session::Session::open(&hub.config.locations, Some(&name), kind).map_err(unusable)?;
    if let Some(level) = said.level {
        shared.set_level(&hub.config.approval, level).map_err(unusable)?;
    }
    if let Some(mode) = said.mode {
        shared.set_mode(mode).map_err(unusable)?;
    }
    let made = Made { id: id.clone(), workspace, cwd, profiles: said.profiles };
    let session = Arc::new(Session::new(made, shared, client));
    let begun = session.authority(hub).and_then(|_| hub.add(&session));
    begun.inspect_err(|_| session.forget())?;
    Ok(say::SessionMade { session_id: id })
}

fn unusable(error: session::SessionError) -> RpcError {
    RpcError::internal(format!("failed to {}", crate::journal::chain(&error)))
}

fn directory(key: &str, path: &Path) -> Result<PathBuf, RpcError> {
    if !path.is_absolute() || !path.is_dir() {
        return Err(RpcError::params(format!("{key}: {path:?} is not an absolute path of a directory")));
    }
    Ok(path.to_owned())
}

fn load_session(hub: &Arc<Hub>, client: &Arc<Client>, said: &say::SessionNamed) -> Result<Handled, RpcError> {
    let session = hub.session(&said.session_id)?;
    if !session.attach(client) && !client.approver {
        return Err(RpcError::no_session("another connection has this session"));
    }
    hub.attend(&session, client);
    Ok(Handled { result: value(&session.loaded(hub)?)?, after: After::Offer(vec![session]) })
}

fn close_session(hub: &Arc<Hub>, client: &Client, said: &say::SessionNamed) -> Result<Done, RpcError> {
    let session = hub.own_session(&said.session_id, client)?;
    for command in session.commands() {
        // One that is over needs no end.
        let _ = command.control(Control::Cancel(Duration::from_millis(CANCEL_GRACE_MS)));
    }
    session.deny_all();
    session.detach(client);
    session.give_up();
    hub.remove(&session);
    Ok(Done {})
}

fn set_level(hub: &Hub, client: &Client, said: &say::SetLevel) -> Result<Done, RpcError> {
    let session = answerable(hub, client, &said.session_id)?;
    has_a_level(session.shared.kind())?;
    if said.level > session.authority(hub)?.level {
        may_widen(hub, client)?;
    }
    session.shared.set_level(&hub.config.approval, said.level).map_err(unusable)?;
    Ok(Done {})
}

fn set_mode(hub: &Hub, client: &Client, said: &say::SetMode) -> Result<Done, RpcError> {
    let session = answerable(hub, client, &said.session_id)?;
    if said.mode == InteractionMode::Auto {
        may_widen(hub, client)?;
    }
    session.shared.set_mode(said.mode).map_err(unusable)?;
    Ok(Done {})
}

/// The owner's session, or any for an approver.
fn answerable(hub: &Hub, client: &Client, id: &str) -> Result<Arc<Session>, RpcError> {
    if client.approver { hub.session(id) } else { hub.own_session(id, client) }
}

fn run(hub: &Arc<Hub>, client: &Client, said: say::Run) -> Result<Handled, RpcError> {
    let session = hub.own_session(&said.session_id, client)?;
    let mut arguments = arguments("exec", (hub, &session), said.cwd.as_deref());
    declare(&mut arguments, said.risk, said.reason);
    if let Some(timeout) = said.timeout_ms {
        if timeout == 0 {
            return Err(RpcError::params("timeoutMs: has to be at least 1"));
        }
        arguments.push(format!("--timeout={timeout}ms").into());
    }
    let line = match &said.command {
        Line::Shell(text) => text.clone(),
        Line::Argv(words) => words.join(" "),
    };
    subject(&mut arguments, said.command)?;
    let terminal = said.terminal.map(terminal).transpose()?;
    // Who shows a terminal types as well.
    let input = if said.input || terminal.is_some() { Input::Client } else { Input::Nothing };
    let launch = Launch { arguments, line, kind: "execute", input, terminal, answer: None };
    let (command, go) = Command::start(hub, &session, launch)?;
    let result = value(&say::CommandMade { command_id: command.id.clone() })?;
    Ok(Handled { result, after: After::Tell(go) })
}

fn terminal(said: say::Terminal) -> Result<Terminal, RpcError> {
    let term = said.term.unwrap_or_else(|| "xterm-256color".to_owned());
    if term.is_empty() || !term.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(RpcError::params("term: not the name of a terminal"));
    }
    Ok(Terminal { size: size(said.rows, said.columns)?, term })
}

fn size(rows: u16, columns: u16) -> Result<Winsize, RpcError> {
    if rows == 0 || columns == 0 {
        return Err(RpcError::params("a terminal has at least one row and one column"));
    }
    Ok(Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })
}

/// A subcommand of askance with what the session says.
pub(super) fn arguments(subcommand: &str, (hub, session): (&Hub, &Session), cwd: Option<&Path>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec![subcommand.into()];
    let mut flag = |name: &str, value: OsString| {
        let mut word = OsString::from(format!("--{name}="));
        word.push(value);
        arguments.push(word);
    };
    flag("workspace", session.workspace.clone().into());
    flag("cwd", session.cwd.join(cwd.unwrap_or(Path::new(""))).into());
    for profile in &session.profiles {
        flag("profile", profile.into());
    }
    for private in &hub.config.private {
        flag("block", private.into());
    }
    flag("session", session.id.clone().into());
    flag("kind", session.shared.kind().word().into());
    arguments
}

fn declare(arguments: &mut Vec<OsString>, risk: Option<say::DeclaredRisk>, reason: Option<String>) {
    if let Some(risk) = risk {
        arguments.push(format!("--risk={}", risk.word()).into());
        arguments.extend(reason.map(|reason| format!("--reason={reason}").into()));
    }
}

fn subject(arguments: &mut Vec<OsString>, line: Line) -> Result<(), RpcError> {
    match line {
        Line::Shell(text) => {
            no_nul(&text)?;
            arguments.extend(["-c".into(), text.into()]);
        }
        Line::Argv(words) => {
            if words.first().is_none_or(String::is_empty) {
                return Err(RpcError::params("command: the list needs a program"));
            }
            words.iter().try_for_each(|word| no_nul(word))?;
            arguments.push("--".into());
            arguments.extend(words.into_iter().map(OsString::from));
        }
    }
    Ok(())
}

fn no_nul(word: &str) -> Result<(), RpcError> {
    if word.contains('\0') { Err(RpcError::params("command: a NUL character ends no word")) } else { Ok(()) }
}

fn input(hub: &Hub, client: &Client, said: &say::Input) -> Result<Done, RpcError> {
    let command = hub.own_session(&said.session_id, client)?.command(&said.command_id)?;
    let bytes = match &said.data {
        Some(data) => data.bytes().ok_or_else(|| RpcError::params("base64: not base64"))?,
        None if said.end => Vec::new(),
        None => return Err(RpcError::params("needs text, base64 or end")),
    };
    command.feed(bytes, said.end)?;
    Ok(Done {})
}

fn control(hub: &Hub, client: &Client, (session, command): (&str, &str), control: Control) -> Result<Done, RpcError> {
    hub.own_session(session, client)?.command(command)?.control(control)?;
    Ok(Done {})
}

fn signal(name: SignalName) -> Signal {
    match name {
        SignalName::Hup => Signal::SIGHUP,
        SignalName::Int => Signal::SIGINT,
        SignalName::Quit => Signal::SIGQUIT,
        SignalName::Term => Signal::SIGTERM,
        SignalName::Usr1 => Signal::SIGUSR1,
        SignalName::Usr2 => Signal::SIGUSR2,
        SignalName::Tstp => Signal::SIGTSTP,
        SignalName::Cont => Signal::SIGCONT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_command_is_refused() {
        let mut arguments = Vec::new();
        subject(&mut arguments, Line::Shell("--auto high".into())).unwrap();
        subject(&mut arguments, Line::Argv(vec!["--auto".into()])).unwrap();
        assert_eq!(arguments, ["-c", "--auto high", "--", "--auto"]);
        let unusable = [
            Line::Shell("a\0b".into()),
            Line::Argv(vec![]),
            Line::Argv(vec![String::new()]),
            Line::Argv(vec!["\0".into()]),
        ];
        for line in unusable {
            assert_eq!(subject(&mut Vec::new(), line.clone()).unwrap_err().code, -32602, "{line:?}");
        }
    }
}
