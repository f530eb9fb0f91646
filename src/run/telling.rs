//! What a run tells when it is over: denials on standard error, the report in its file.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, sockopt};

use super::outlet::Outlet;
use super::{REFUSED, RunError, RunRequest, Subject};
use crate::approval;
use crate::journal::event::Started;
use crate::journal::{Decision, Exit, FloorReport, Journal, Report, Request, visible};
use crate::sandbox::Floor;
use crate::sandbox::features::missing_in_floor;

/// Denials, and notes, that are told on standard error; the report has all.
const TOLD_MAX: usize = 10;

/// What only the end of the run knows.
pub(super) struct Facts {
    pub(super) decision: Decision,
    pub(super) exit: Exit,
    pub(super) duration: Duration,
    pub(super) floor: FloorReport,
    pub(super) removed: Vec<String>,
}

/// What the kernel's floor was made of, and what this kernel could not give.
pub(super) fn floor(floor: &Floor) -> FloorReport {
    let features = missing_in_floor(floor.abi()).into_iter().map(|missing| missing.feature.to_owned());
    let left_out = floor.left_out().iter().map(ToString::to_string);
    FloorReport { landlock_abi: floor.abi(), missing: features.chain(left_out).collect() }
}

/// What was denied and how to allow it, never in the command's output.
pub(super) fn tell_denials(journal: &Journal) {
    let denied: Vec<_> = journal.denials().into_iter().filter(|denied| !denied.quiet).collect();
    for denial in denied.iter().take(TOLD_MAX) {
        let times = if denial.count > 1 { format!(" ({} times)", denial.count) } else { String::new() };
        let line = format!("denied {} {}{times}{}", denial.operation, denial.target, denial.way_out());
        eprintln!("askance: {}", visible(&line));
    }
    if denied.len() > TOLD_MAX {
        eprintln!("askance: denied {} more; --report FILE lists all", denied.len() - TOLD_MAX);
    }
    let notes = journal.notes();
    for note in notes.iter().take(TOLD_MAX) {
        eprintln!("askance: {}", visible(note));
    }
    if notes.len() > TOLD_MAX {
        eprintln!("askance: {} more notes; --report FILE lists all", notes.len() - TOLD_MAX);
    }
}

/// What is told when the request may start.
pub(super) fn started(request: &RunRequest, journal: &Journal, decision: &Decision) -> Started {
    Started {
        run: journal.run().to_owned(),
        command: request.subject.words(),
        cwd: request.locations.cwd.clone(),
        workspace: request.locations.workspace.clone(),
        decision: decision.clone(),
    }
}

/// The report of the run.
pub(super) fn report(request: &RunRequest, journal: &Journal, facts: Facts) -> Report {
    let (argv, command) = match &request.subject {
        Subject::Argv(_) => (Some(request.subject.words()), None),
        Subject::Shell(_) | Subject::Tool(_) => (None, Some(request.subject.line())),
    };
    Report {
        run: journal.run().to_owned(),
        request: Request {
            argv,
            command,
            cwd: request.locations.cwd.clone(),
            workspace: request.locations.workspace.clone(),
        },
        decision: facts.decision,
        exit: facts.exit,
        duration_ms: u64::try_from(facts.duration.as_millis()).unwrap_or(u64::MAX),
        questions: journal.questions(),
        denied: journal.denials(),
        files: journal.files(),
        floor: facts.floor,
        environment_removed: facts.removed,
        notes: journal.notes().into_iter().chain(socket_streams()).collect(),
    }
}

/// Reports a request that is refused whatever it is: a mission that may not begin, approval that may not be skipped.
pub(super) fn report_early(request: &RunRequest, error: RunError, outlet: &Outlet, since: Instant) -> RunError {
    let Some(place) = request.report.as_ref().filter(|_| error.exit_status() == REFUSED) else { return error };
    let facts = Facts {
        decision: refused_early(&error),
        exit: Exit::Code(i32::from(REFUSED)),
        duration: since.elapsed(),
        floor: FloorReport::default(),
        removed: Vec::new(),
    };
    let journal = Journal::begin(outlet.stream().cloned());
    match report(request, &journal, facts).write(place) {
        Ok(()) => error,
        Err(failed) => failed.into(),
    }
}

/// The decision about a request that was refused before it was looked at.
fn refused_early(error: &RunError) -> Decision {
    let reason = match error {
        RunError::Refused { reason, .. } => reason.clone(),
        other => other.to_string(),
    };
    Decision { verdict: approval::Decision::Refuse.word().to_owned(), reason, ..Decision::default() }
}

/// Standard streams by which descriptors can come in, past every question: whoever holds the other end
/// may pass them. Many hosts start programs so, hence the report alone says it.
fn socket_streams() -> impl Iterator<Item = String> {
    let streams =
        [("input", rustix::stdio::stdin()), ("output", rustix::stdio::stdout()), ("error", rustix::stdio::stderr())];
    let passes = |stream: &BorrowedFd<'_>| sockopt::socket_domain(stream) == Ok(AddressFamily::UNIX);
    streams
        .into_iter()
        .filter(move |(_, stream)| passes(stream))
        .map(|(name, _)| format!("standard {name} is a Unix socket: descriptors can be passed over it"))
}
