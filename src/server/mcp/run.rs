//! One call: a child askance, its events, answers to its questions.

use std::ffi::OsString;
use std::io;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdout};

use super::super::child;
use super::Askance;
use crate::journal::event::{Ask, Channel, Event, Exited, Reply};

/// Bytes of one event.
const LONGEST_EVENT: usize = 4 << 20;

/// What happens next in a run.
pub(super) enum Step {
    Question(Box<Ask>),
    /// A question needs no answer any more.
    Resolved(String),
    /// The command wrote something; so many bytes altogether.
    Output(usize),
    /// Nothing that concerns the client.
    Quiet,
    Over(Box<Exited>),
}

/// How much of the output is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep(pub(super) usize);

/// A child that runs. Dropped, it is killed, and its whole tree with it.
#[derive(Debug)]
pub(super) struct Run {
    child: Child,
    events: BufReader<ChildStdout>,
    answers: UnixStream,
    /// The beginning of an event.
    line: Vec<u8>,
    keep: Keep,
    total: usize,
    pub(super) stdout: Kept,
    pub(super) stderr: Kept,
}

/// Output: all of it, or its first bytes and how many are missing.
#[derive(Debug, Default)]
pub(super) struct Kept {
    bytes: Vec<u8>,
    pub(super) left_out: usize,
}

impl Kept {
    fn push(&mut self, bytes: &[u8], keep: Keep) {
        let room = keep.0.saturating_sub(self.bytes.len()).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
        self.left_out += bytes.len() - room;
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

impl Run {
    /// Starts `askance ARGUMENTS` with questions and events on pipes of ours.
    pub(super) fn start(
        askance: &Askance,
        subcommand: &str,
        arguments: &[OsString],
        input: Option<Vec<u8>>,
        keep: Keep,
    ) -> io::Result<Self> {
        let mut command = askance.command(subcommand);
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let (mut child, answers) = child::run(&mut command, arguments, None)?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            tokio::spawn(async move {
                // A child that reads no further says why itself.
                let _ = stdin.write_all(&input).await;
            });
        }
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self {
            child,
            events: BufReader::new(stdout),
            answers,
            line: Vec::new(),
            keep,
            total: 0,
            stdout: Kept::default(),
            stderr: Kept::default(),
        })
    }

    /// Waits for what happens next. May be given up and called again: nothing is lost.
    pub(super) async fn next(&mut self) -> io::Result<Step> {
        let read = self.events.read_until(b'\n', &mut self.line).await?;
        if read == 0 || self.line.len() > LONGEST_EVENT {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "askance ended without a word"));
        }
        if self.line.last() != Some(&b'\n') {
            return Ok(Step::Quiet);
        }
        let event = serde_json::from_slice(&std::mem::take(&mut self.line))?;
        Ok(match event {
            Event::Question(ask) => Step::Question(ask),
            Event::QuestionResolved(resolved) => Step::Resolved(resolved.question_id),
            Event::Output(output) => {
                let bytes = output.data.bytes().unwrap_or_default();
                self.total += bytes.len();
                let kept = if output.stream == Channel::Stderr { &mut self.stderr } else { &mut self.stdout };
                kept.push(&bytes, self.keep);
                Step::Output(self.total)
            }
            Event::Exited(exited) => Step::Over(Box::new(exited)),
            Event::Started(_) | Event::FileChanged(_) | Event::AnswerRejected(_) => Step::Quiet,
        })
    }

    pub(super) async fn answer(&mut self, reply: &Reply) -> io::Result<()> {
        let mut line = serde_json::to_vec(reply)?;
        line.push(b'\n');
        self.answers.write_all(&line).await
    }

    /// Waits for the child after its last event.
    pub(super) async fn finish(mut self) -> (Kept, Kept) {
        // It has told everything: how it ends says nothing more.
        let _ = self.child.wait().await;
        (self.stdout, self.stderr)
    }
}
