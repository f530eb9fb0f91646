//! Who is told of a run, and in which form (`-o text|json|stream-json`).

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clap::ValueEnum;
use serde::Serialize;

use super::RunError;
use crate::journal::event::{Channel, Cutter, Data, Event, Exited, Refused, Started};
use crate::journal::{self, Report, Stream};

/// The form of what askance prints about a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// The command's own output, untouched; messages on standard error.
    #[default]
    Text,
    /// One object when the run is over: status, output, report.
    Json,
    /// One object a line while it goes on: started, output, question, `file_changed`, exited.
    StreamJson,
}

impl Output {
    /// Says that no run began, and why: a stream ends with `exited` also where nothing was ever started.
    pub fn not_begun(self, error: &dyn std::error::Error, status: u8) -> io::Result<()> {
        let error = Some(journal::chain(error));
        let exited = || Exited { status, error: error.clone(), ..Exited::default() };
        let printed = Printed { status, error: error.clone(), ..Printed::default() };
        Outlet::new(self)?.conclude(exited, printed)
    }
}

/// Bytes of each stream that `-o json` keeps.
const KEPT: usize = 16 << 20;

/// Denials and notes that the last event carries; reports have all.
const TOLD: usize = 100;

/// Where what happens goes to.
#[derive(Debug, Clone)]
pub(super) enum Outlet {
    Text,
    Json(Arc<Mutex<Kept>>),
    Stream(Arc<Stream>),
}

/// The command's output, for one object at the end.
#[derive(Debug, Default)]
pub(super) struct Kept {
    streams: [Vec<u8>; 2],
    truncated: bool,
}

/// One stream's way out.
#[derive(Debug)]
pub(super) enum To {
    Caller(File),
    Kept(Arc<Mutex<Kept>>, usize),
    Stream(Arc<Stream>, Channel, Cutter),
}

/// `-o json`.
#[derive(Debug, Default, Serialize)]
struct Printed<'a> {
    status: u8,
    stdout: Option<Data>,
    stderr: Option<Data>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Refused>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<&'a Report>,
}

impl Outlet {
    pub(super) fn new(output: Output) -> io::Result<Self> {
        Ok(match output {
            Output::Text => Self::Text,
            Output::Json => Self::Json(Arc::default()),
            Output::StreamJson => {
                let stdout = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
                Self::Stream(Arc::new(Stream::to(stdout)?))
            }
        })
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self, Self::Text)
    }

    pub(super) fn stream(&self) -> Option<&Arc<Stream>> {
        match self {
            Self::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    /// Polled for nothing, it says when nobody reads the events any more.
    pub(super) fn reader(&self) -> Option<BorrowedFd<'_>> {
        self.stream().map(|stream| stream.fd())
    }

    /// The way of the command's stream `number` (1 or 2), where it is not the caller's own.
    pub(super) fn channel(&self, number: usize) -> Option<To> {
        let channel = if number == 1 { Channel::Stdout } else { Channel::Stderr };
        match self {
            Self::Text => None,
            Self::Json(kept) => Some(To::Kept(Arc::clone(kept), number - 1)),
            Self::Stream(stream) => Some(To::Stream(Arc::clone(stream), channel, Cutter::default())),
        }
    }

    pub(super) fn started(&self, started: impl FnOnce() -> Started) {
        if let Self::Stream(stream) = self {
            stream.tell(&Event::Started(started()));
        }
    }

    /// The run came to its end.
    pub(super) fn ended(&self, status: u8, report: &Report) -> io::Result<()> {
        let loud = report.denied.iter().filter(|denied| !denied.quiet);
        let dropped = loud.clone().count().saturating_sub(TOLD) + report.notes.len().saturating_sub(TOLD);
        let exited = || Exited {
            status,
            exit: Some(report.exit),
            duration_ms: report.duration_ms,
            denied: loud.take(TOLD).cloned().collect(),
            notes: report.notes.iter().take(TOLD).cloned().collect(),
            dropped: dropped as u64,
            ..Exited::default()
        };
        self.conclude(exited, Printed { status, report: Some(report), ..Printed::default() })
    }

    /// The run did not come about, or askance failed.
    pub(super) fn failed(&self, failure: &RunError) -> io::Result<()> {
        let status = failure.exit_status();
        let (refused, error) = match failure {
            RunError::Refused { reason, hint } => (Some(Refused { reason: reason.clone(), hint: hint.clone() }), None),
            error => (None, Some(journal::chain(error))),
        };
        let exited = || Exited { status, refused: refused.clone(), error: error.clone(), ..Exited::default() };
        let printed = Printed { status, refused: refused.clone(), error: error.clone(), ..Printed::default() };
        self.conclude(exited, printed)
    }

    fn conclude(&self, exited: impl FnOnce() -> Exited, mut printed: Printed<'_>) -> io::Result<()> {
        match self {
            Self::Text => Ok(()),
            Self::Stream(stream) => {
                stream.finish(exited());
                Ok(())
            }
            Self::Json(kept) => {
                let kept = lock(kept);
                let [stdout, stderr] = &kept.streams;
                (printed.stdout, printed.stderr) = (Some(Data::of(stdout)), Some(Data::of(stderr)));
                printed.truncated = kept.truncated;
                let mut text = serde_json::to_vec(&printed)?;
                text.push(b'\n');
                match io::stdout().lock().write_all(&text) {
                    Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
                    _ => Ok(()),
                }
            }
        }
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl To {
    /// An error: nobody reads it.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Caller(file) => file.write_all(bytes),
            Self::Kept(kept, index) => {
                let mut kept = lock(kept);
                let room = KEPT.saturating_sub(kept.streams[*index].len()).min(bytes.len());
                kept.streams[*index].extend_from_slice(&bytes[..room]);
                kept.truncated |= room < bytes.len();
                Ok(())
            }
            Self::Stream(stream, channel, cutter) => match cutter.push(bytes) {
                Some(data) => told(stream, *channel, data),
                None => Ok(()),
            },
        }
    }

    pub(super) fn finish(&mut self) {
        if let Self::Stream(stream, channel, cutter) = self
            && let Some(data) = cutter.finish()
        {
            // At the end it does not matter whether somebody reads it.
            let _ = told(stream, *channel, data);
        }
    }
}

fn told(stream: &Stream, channel: Channel, data: Data) -> io::Result<()> {
    let output = journal::event::Output { stream: channel, data };
    if stream.tell_output(&Event::Output(output)) { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
}
