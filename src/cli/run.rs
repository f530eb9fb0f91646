//! `askance run` and `askance exec`: from flags to a request.

use std::error::Error;
use std::os::fd::RawFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::agent_args::ExecArgs;
use super::args::RunArgs;
use super::flags::{ApprovalFlags, RunFlags};
use super::{FAILED, Outcome, approval, layers, report};
use crate::journal::{Place, ReportError};
use crate::prompt::Choice;
use crate::run::{self, Approving, Output, RunRequest, Subject};
use crate::session::Kind;
use crate::settings::{AutonomyLevel, Document};

/// Runs the program; the exit status is its own, or says why it did not run.
pub(crate) fn run(args: RunArgs) -> Outcome {
    // Who types a command has decided that it starts; what it then does is asked about.
    let unsaid = AutonomyLevel::High;
    let asked =
        Asked { kind: Kind::Interactive, unsaid, approving: Approving::ByRisk, prompt: Choice::Auto, terminal: None };
    carry_out(Subject::Argv(args.command), &args.approval, args.flags, asked)
}

/// The same for a shell command line, with nobody there unless `--prompt` says so.
pub(super) fn exec(args: ExecArgs) -> Outcome {
    let approving = if args.skip_permissions_unsafe { Approving::Skipped } else { Approving::ByRisk };
    let (unsaid, terminal) = (AutonomyLevel::Off, args.terminal);
    let asked = Asked { kind: Kind::Exec, unsaid, approving, prompt: Choice::Deny, terminal };
    let subject = args.text.map_or(Subject::Argv(args.command), Subject::Shell);
    carry_out(subject, &args.approval, args.flags, asked)
}

/// What is so where no flag says otherwise.
struct Asked {
    kind: Kind,
    unsaid: AutonomyLevel,
    approving: Approving,
    prompt: Choice,
    terminal: Option<RawFd>,
}

fn carry_out(subject: Subject, flags: &ApprovalFlags, run: RunFlags, asked: Asked) -> Outcome {
    let output = run.output;
    let request = request(subject, flags, run, asked).or_else(|error| not_begun(output, error))?;
    match run::run(request) {
        Ok(status) => Ok(status),
        Err(error) => {
            report(&error);
            Ok(error.exit_status())
        }
    }
}

/// Whoever reads events hears of it there too.
pub(super) fn not_begun<T>(output: Output, error: Box<dyn Error>) -> Result<T, Box<dyn Error>> {
    // Where it cannot be told, the exit status and standard error say it.
    let _ = output.not_begun(error.as_ref(), FAILED);
    Err(error)
}

fn request(subject: Subject, flags: &ApprovalFlags, run: RunFlags, asked: Asked) -> Result<RunRequest, Box<dyn Error>> {
    let (locations, runtime) = layers::runtime(&run.policy, Document::default())?;
    let at = locations.clone();
    let session = approval::session(flags, &locations, asked.kind)?;
    Ok(RunRequest {
        subject,
        chosen: approval::chosen(flags),
        unsaid: asked.unsaid,
        session: Arc::new(session),
        approving: asked.approving,
        declared: approval::declared(flags)?,
        locations,
        load: Arc::new(move || layers::settings(&at, &runtime)),
        prompt: run.prompt.unwrap_or(asked.prompt),
        output: run.output,
        report: report_place(run.report.as_deref())?,
        timeout: run.timeout.map(Duration::from_millis),
        terminal: asked.terminal,
    })
}

/// Where `--report` points to now: what the command does to names later does not count.
pub(super) fn report_place(path: Option<&Path>) -> Result<Option<Place>, ReportError> {
    let place = |path: &Path| Place::find(path).map_err(|source| ReportError::Place { path: path.to_owned(), source });
    path.map(place).transpose()
}
