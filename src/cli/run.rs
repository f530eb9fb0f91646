//! `askance run`: from flags to a request.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::args::RunArgs;
use super::{Outcome, approval, layers, report};
use crate::run::{self, RunRequest, Subject};
use crate::settings::{AutonomyLevel, Document};

/// Runs the program; the exit status is its own, or says why it did not run.
pub(crate) fn run(args: RunArgs) -> Outcome {
    let flags = args.flags;
    let (locations, runtime) = layers::runtime(&flags.policy, Document::default())?;
    let at = locations.clone();
    let request = RunRequest {
        subject: Subject::Argv(args.command),
        chosen: approval::chosen(&args.approval),
        // Who types a command has decided that it starts; what it then does is asked about.
        unsaid: AutonomyLevel::High,
        declared: approval::declared(&args.approval)?,
        locations,
        load: Arc::new(move || layers::settings(&at, &runtime)),
        prompt: flags.prompt,
        report: flags.report,
        timeout: flags.timeout.map(Duration::from_millis),
    };
    match run::run(request) {
        Ok(status) => Ok(ExitCode::from(status)),
        Err(error) => {
            report(&error);
            Ok(ExitCode::from(error.exit_status()))
        }
    }
}
