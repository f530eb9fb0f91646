//! One command: a child askance, its events on the way to the session's owner, answers and signals
//! on the way back.
//!
//! Each command has a supervisor of its own, so that what happens to one touches no other. Nothing is
//! read from a child while its client does not read: then the child stops the command at its output.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use super::child;
use super::events::{Answer, Collected, Pump};
use super::frames::{self, Frame, Outbox, Outgoings};
use super::hub::{Hub, Slot};
use super::protocol::RequestPermission;
use super::rpc::RpcError;
use super::session::Session;
use crate::journal::event::{Event, Reply};
use crate::sys::pty;

/// Bytes of one event: a reason and a target have bounds, and many denials fit.
const EVENT_MAX: usize = 4 << 20;

/// Signals and ends that wait for the command.
const WAITING: usize = 64;

/// How long a run may take to end once it was told to.
const ENDING: Duration = Duration::from_secs(5);

/// What reaches a command from its client.
#[derive(Debug)]
pub(super) enum Control {
    Signal(Signal),
    /// SIGTERM, and the end of the run after this long.
    Cancel(Duration),
}

/// A command that runs, as its session knows it.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) number: u64,
    pub(super) id: String,
    /// In one line.
    pub(super) line: String,
    /// What it is, in the words of the Agent Client Protocol.
    pub(super) kind: &'static str,
    questions: Mutex<BTreeMap<String, RequestPermission>>,
    control: mpsc::Sender<Control>,
    /// One for each question that was open: no more of them wait than a run has questions.
    replies: mpsc::UnboundedSender<Reply>,
    input: Mutex<Option<Outbox>>,
    /// The master of its terminal, for its size.
    terminal: Option<OwnedFd>,
    /// The run is to end: nothing more is read of it.
    pub(super) cut: Notify,
    /// It got a signal from its client, which may come before the run knows what to do with one.
    signalled: AtomicBool,
}

/// What is started.
pub(super) struct Launch {
    /// Of `askance`, without what tells it where to ask.
    pub(super) arguments: Vec<OsString>,
    pub(super) line: String,
    pub(super) kind: &'static str,
    pub(super) input: Input,
    pub(super) terminal: Option<Terminal>,
    /// Who waits for what the run prints, and how many answers may wait for the client; else it is told as it comes.
    pub(super) answer: Option<(oneshot::Sender<Answer>, Arc<Semaphore>)>,
}

/// What stands on a run's standard input.
pub(super) enum Input {
    Nothing,
    /// What the client sends.
    Client,
    Whole(Vec<u8>),
}

/// A terminal, and what its command is told of it.
pub(super) struct Terminal {
    pub(super) size: Winsize,
    pub(super) term: String,
}

impl Command {
    /// Starts the run. Its events are told once the sender says that the client knows its id.
    pub(super) fn start(
        hub: &Arc<Hub>,
        session: &Arc<Session>,
        launch: Launch,
    ) -> Result<(Arc<Self>, oneshot::Sender<()>), RpcError> {
        let slot = hub.slot()?;
        let terminal = launch.terminal.as_ref().map(|terminal| pty::master_of(terminal.size));
        let terminal = terminal.transpose().map_err(|error| child::not_started(&error))?;
        let (child, answers) = spawn(hub, &launch, terminal.as_ref()).map_err(|error| child::not_started(&error))?;
        let (control, controls) = mpsc::channel(WAITING);
        let (replies, replied) = mpsc::unbounded_channel();
        let number = session.number();
        let command = Arc::new(Self {
            number,
            id: format!("c{number}"),
            line: launch.line,
            kind: launch.kind,
            questions: Mutex::default(),
            control,
            replies,
            input: Mutex::new(None),
            terminal,
            cut: Notify::new(),
            signalled: AtomicBool::new(false),
        });
        session.add(&command);
        let (go, told) = oneshot::channel();
        let collected = launch.answer.map(|(answer, answers)| Collected::new(answer, answers));
        command.serve(hub, session, Started { child, answers, replied, controls, told, slot, collected })?;
        if let Input::Whole(bytes) = launch.input {
            command.feed(bytes, true)?;
        }
        Ok((command, go))
    }

    fn serve(self: &Arc<Self>, hub: &Arc<Hub>, session: &Arc<Session>, started: Started) -> Result<(), RpcError> {
        let Started { mut child, answers, replied, controls, told, slot, collected } = started;
        let stdout = child.stdout.take().ok_or_else(|| RpcError::internal("a child without an output"))?;
        if let Some(stdin) = child.stdin.take() {
            let (input, pieces) = Outbox::new();
            *self.input() = Some(input);
            tokio::spawn(feed(stdin, pieces));
        }
        let ended = tokio::spawn(keep(child, Reached { answers, replied, controls }, Arc::clone(self)));
        let (hub, session, command) = (Arc::clone(hub), Arc::clone(session), Arc::clone(self));
        tokio::spawn(async move {
            // Dropped: the connection is gone, and the session may be loaded again.
            let _ = told.await;
            let mut pump = Pump::new(&hub, &session, &command, collected);
            let cut = read(&mut pump, &command, stdout).await;
            // The end is told, whether or not the run could tell it itself; where it could, its tree is dead, and nobody
            // waits for the supervisor's own end.
            if pump.is_over() {
                pump.finish(None, cut).await;
                over(&hub, &session, &command);
                // How it ends says nothing more.
                let _ = ended.await;
            } else {
                pump.finish(ended.await.ok().flatten(), cut).await;
                over(&hub, &session, &command);
            }
            drop(slot);
        });
        Ok(())
    }

    pub(super) fn questions(&self) -> MutexGuard<'_, BTreeMap<String, RequestPermission>> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Did its client send it a signal?
    pub(super) fn is_signalled(&self) -> bool {
        self.signalled.load(Ordering::Relaxed)
    }

    fn input(&self) -> MutexGuard<'_, Option<Outbox>> {
        self.input.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an answer to the run. It never waits for room: an answer that were lost would leave its process waiting.
    pub(super) fn reply(&self, reply: Reply) -> Result<(), RpcError> {
        self.replies.send(reply).map_err(|_| RpcError::no_command("the command is over"))
    }

    pub(super) fn control(&self, control: Control) -> Result<(), RpcError> {
        self.control.try_send(control).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => RpcError::too_much("the command takes no more for now; try again"),
            mpsc::error::TrySendError::Closed(_) => RpcError::no_command("the command is over"),
        })
    }

    /// The terminal has another size now.
    pub(super) fn resize(&self, size: Winsize) -> Result<(), RpcError> {
        let terminal = self.terminal.as_ref().ok_or_else(|| RpcError::params("the command has no terminal"))?;
        tcsetwinsize(terminal, size).map_err(|error| RpcError::internal(format!("resize: {error}")))
    }

    /// Hands bytes over to the command's standard input.
    pub(super) fn feed(&self, bytes: Vec<u8>, end: bool) -> Result<(), RpcError> {
        let mut input = self.input();
        let Some(outbox) = input.as_ref() else {
            return Err(RpcError::no_command("the command has no input, or its input has ended"));
        };
        if !bytes.is_empty() {
            outbox.try_send(bytes).map_err(|_| match outbox.is_closed() {
                false => RpcError::too_much("the command does not read its input; try again"),
                true => RpcError::no_command("the command reads no input any more"),
            })?;
        }
        if end {
            *input = None;
        }
        Ok(())
    }
}

struct Started {
    child: Child,
    answers: UnixStream,
    replied: mpsc::UnboundedReceiver<Reply>,
    controls: mpsc::Receiver<Control>,
    told: oneshot::Receiver<()>,
    slot: Slot,
    collected: Option<Collected>,
}

fn spawn(hub: &Hub, launch: &Launch, terminal: Option<&OwnedFd>) -> io::Result<(Child, UnixStream)> {
    let [subcommand, rest @ ..] = &launch.arguments[..] else { return Err(io::ErrorKind::InvalidInput.into()) };
    let mut command = tokio::process::Command::new(&hub.config.program);
    command.arg0("askance").arg(subcommand).process_group(0);
    command.stdin(if matches!(launch.input, Input::Nothing) { Stdio::null() } else { Stdio::piped() });
    if let Some(terminal) = &launch.terminal {
        command.env("TERM", &terminal.term);
    }
    child::run(&mut command, rest, terminal.map(OwnedFd::try_clone).transpose()?)
}

/// What reaches a child, and the way to it.
struct Reached {
    answers: UnixStream,
    replied: mpsc::UnboundedReceiver<Reply>,
    controls: mpsc::Receiver<Control>,
}

/// Carries answers, signals and the end to the child. Gives its exit status.
async fn keep(mut child: Child, reached: Reached, command: Arc<Command>) -> Option<std::process::ExitStatus> {
    let Reached { mut answers, mut replied, mut controls } = reached;
    let mut deadline: Option<tokio::time::Instant> = None;
    loop {
        let control = tokio::select! {
            status = child.wait() => return status.ok(),
            control = controls.recv() => control,
            Some(reply) = replied.recv() => {
                write(&mut answers, &reply).await;
                continue;
            }
            () = until(deadline) => {
                // Its events are read no more: it ends the run and everything in it.
                command.cut.notify_one();
                return end(child).await;
            }
        };
        match control {
            Some(Control::Signal(signal)) => {
                command.signalled.store(true, Ordering::Relaxed);
                send(&child, signal);
            }
            Some(Control::Cancel(grace)) => {
                command.signalled.store(true, Ordering::Relaxed);
                send(&child, Signal::SIGTERM);
                send(&child, Signal::SIGCONT);
                // Who is told twice may hurry; nobody gets longer.
                let until = tokio::time::Instant::now() + grace;
                deadline = Some(deadline.map_or(until, |earlier| earlier.min(until)));
            }
            // The session has forgotten it.
            None => return end(child).await,
        }
    }
}

async fn until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Waits for a run that was told to end; one that does not is killed, and its monitor ends the rest.
async fn end(mut child: Child) -> Option<std::process::ExitStatus> {
    match tokio::time::timeout(ENDING, child.wait()).await {
        Ok(status) => status.ok(),
        Err(_) => {
            // Gone already: that was the aim.
            let _ = child.start_kill();
            child.wait().await.ok()
        }
    }
}

async fn write(answers: &mut UnixStream, reply: &Reply) {
    let Ok(mut line) = serde_json::to_vec(reply) else { return };
    line.push(b'\n');
    // A child that takes no answers any more is about to end.
    let _ = answers.write_all(&line).await;
}

/// Not reaped yet, so the number is its own.
fn send(child: &Child, signal: Signal) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // A child that has just ended needs no signal.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
    }
}

async fn feed(mut stdin: ChildStdin, mut pieces: Outgoings) {
    while let Some(piece) = pieces.next().await {
        if stdin.write_all(&piece.bytes).await.is_err() {
            return;
        }
    }
}

/// Reads events until the last one, or until the run is cut off: was it?
async fn read(pump: &mut Pump<'_>, command: &Command, stdout: ChildStdout) -> bool {
    let mut stdout = BufReader::with_capacity(32 << 10, stdout);
    loop {
        let frame = tokio::select! {
            () = command.cut.notified() => return true,
            frame = frames::read(&mut stdout, EVENT_MAX) => frame,
        };
        let Ok(Frame::Line(line)) = frame else { return false };
        let Ok(event) = serde_json::from_slice::<Event>(&line) else { return false };
        tokio::select! {
            () = command.cut.notified() => return true,
            () = pump.tell(event) => {}
        }
        if pump.is_over() {
            return false;
        }
    }
}

/// The session has one command less, and may be over with it.
fn over(hub: &Arc<Hub>, session: &Session, command: &Command) {
    session.remove(command);
    if session.is_over() {
        hub.remove(session);
    }
}
