//! `askance file`: one operation on files in, as JSON, one result out, as JSON; carried out in the sandbox.
//!
//! What is started there is this very program again, as `askance file-worker`: it has no rights of its own.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::MemfdFlags;

use super::agent_args::FileArgs;
use super::run::{not_begun, report_place};
use super::{FAILED, Outcome, approval, layers, print, report};
use crate::approval::Risk;
use crate::policy::{Access, Change, NothingYet, Policy, Verdict};
use crate::run::{self, Approving, RunRequest, Subject, Tool};
use crate::session::Kind;
use crate::settings::{AutonomyLevel, Document, Locations};
use crate::tools::{Job, LARGEST_OPERATION, Operation, beside, failure};

/// The operation was tried and failed; the answer says why.
const NOT_DONE: u8 = 1;

/// What stands on standard input is no operation.
#[derive(Debug, thiserror::Error)]
enum InputError {
    #[error("read the operation from standard input")]
    Read(#[source] io::Error),
    #[error("the operation has more than {LARGEST_OPERATION} bytes")]
    TooLarge,
    #[error("the operation is malformed")]
    Malformed(#[source] serde_json::Error),
    #[error("hand the operation to the sandbox")]
    Hand(#[source] io::Error),
}

/// Runs one operation in the sandbox. Prints one JSON object, unless the worker was ended from outside, or what the
/// caller wants to read in its place.
pub(super) fn run(args: FileArgs) -> Outcome {
    let output = args.flags.output;
    let ended = request(args).or_else(|error| not_begun(output, error)).and_then(|request| Ok(run::run(request)?));
    let error = match ended {
        Ok(status) => return Ok(status),
        Err(error) => error,
    };
    let status = error.downcast_ref::<run::RunError>().map_or(FAILED, run::RunError::exit_status);
    report(error.as_ref());
    if output == run::Output::Text {
        let kind = if status == 126 { "refused" } else { "bad_input" };
        print(&format!("{}\n", failure(kind, &super::line(error.as_ref()))))?;
    }
    Ok(status)
}

fn request(args: FileArgs) -> Result<RunRequest, Box<dyn std::error::Error>> {
    let flags = args.flags;
    let operation: Operation = serde_json::from_slice(&input()?).map_err(InputError::Malformed)?;
    let targets = operation.targets()?;
    let (locations, runtime) = layers::runtime(&flags.policy, Document::default())?;
    let settings = layers::settings(&locations, &runtime)?;
    let policy = run::foresee(&locations, &settings)?;
    let tool = Tool {
        argv: vec![std::env::current_exe()?.into(), "file-worker".into()],
        line: operation.line(),
        risk: if operation.reads_only() { Risk::ReadOnly } else { Risk::Low },
        writes: if operation.reads_only() { Vec::new() } else { targets.clone() },
    };
    let free = targets.iter().all(|target| is_free(&beside(&real(target, &locations)), &policy));
    hand_over(&Job { operation, beside: free })?;
    let at = locations.clone();
    let session = approval::session(&args.approval, &locations, Kind::Exec)?;
    Ok(RunRequest {
        subject: Subject::Tool(tool),
        chosen: approval::chosen(&args.approval),
        unsaid: AutonomyLevel::Off,
        approving: Approving::ByRisk,
        session: Arc::new(session),
        declared: approval::declared(&args.approval)?,
        locations,
        load: Arc::new(move || layers::settings(&at, &runtime)),
        prompt: flags.prompt.unwrap_or_default(),
        output: flags.output,
        report: report_place(flags.report.as_deref())?,
        timeout: flags.timeout.map(Duration::from_millis),
        terminal: None,
    })
}

/// Would writing this name ask nothing?
fn is_free(path: &Path, policy: &Policy) -> bool {
    matches!(policy.judge(&Access::Write(path, Change::Create), &NothingYet), Verdict::Allow(_))
}

/// What the path really is, as far as it exists. Only how a file is written depends on it, never whether.
fn real(target: &Path, locations: &Locations) -> PathBuf {
    let path = locations.cwd.join(target);
    path.canonicalize().unwrap_or_else(|_| match (path.parent().map(Path::canonicalize), path.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        _ => path,
    })
}

/// Everything on standard input, bounded.
fn input() -> Result<Vec<u8>, InputError> {
    let mut text = Vec::new();
    io::stdin().lock().take(LARGEST_OPERATION + 1).read_to_end(&mut text).map_err(InputError::Read)?;
    if text.len() as u64 > LARGEST_OPERATION {
        return Err(InputError::TooLarge);
    }
    Ok(text)
}

/// Puts the job in the place of standard input, where the worker reads it.
fn hand_over(job: &Job) -> Result<(), InputError> {
    let text = serde_json::to_vec(job).map_err(InputError::Malformed)?;
    let memory = rustix::fs::memfd_create("askance-job", MemfdFlags::CLOEXEC);
    let mut memory = File::from(memory.map_err(|error| InputError::Hand(error.into()))?);
    memory.write_all(&text).and_then(|()| memory.rewind()).map_err(InputError::Hand)?;
    rustix::stdio::dup2_stdin(&memory).map_err(|error| InputError::Hand(error.into()))
}

/// The program inside the sandbox.
pub(super) fn work() -> Outcome {
    let job: Job = serde_json::from_slice(&input()?).map_err(InputError::Malformed)?;
    let (answer, status) = match job.carry_out(Path::new("")) {
        Ok(outcome) => (serde_json::to_value(outcome)?, 0),
        Err(error) => (error.to_json(), NOT_DONE),
    };
    print(&format!("{answer}\n"))?;
    Ok(status)
}
