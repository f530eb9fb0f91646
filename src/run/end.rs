//! The end of a run: what was running is taken down, and what is to be told is told.

use std::io;
use std::sync::Arc;

use super::meter::Meter;
use super::outlet::Outlet;
use super::wait::Ending;
use super::{RunError, RunRequest, telling};
use crate::journal::Journal;
use crate::prompt::Console;
use crate::sandbox::limits::Group;
use crate::sandbox::{Launched, PrivateDirectory};
use crate::supervisor::Supervisor;

/// What serves the command while it runs.
pub(super) struct Running {
    pub(super) supervisor: Arc<Supervisor>,
    pub(super) console: Option<Console>,
    pub(super) meter: Option<Meter>,
    pub(super) group: Option<Group>,
    /// The run's own directories.
    pub(super) own: Vec<PrivateDirectory>,
}

/// Sees to it that nothing of the run lives, and ends what served it. Had it an end of its own, and had it written more
/// than it may?
pub(super) fn take_down(launched: &Launched, ending: &Result<Ending, RunError>, running: Running) -> io::Result<bool> {
    let Running { supervisor, console, meter, group, own } = running;
    let by_itself = matches!(ending, Ok(Ending::Exited(_) | Ending::Signalled(_)));
    let ended = if by_itself {
        // Its tree is dead: the monitor, which would remove them, ends while the threads here do.
        own.iter().for_each(PrivateDirectory::remove);
        launched.dismiss();
        Ok(())
    } else {
        launched.end()
    };
    // Its processes are dead: it can be removed.
    drop(group);
    supervisor.finish();
    // What it holds open is closed while the monitor ends.
    drop(supervisor);
    if let Some(console) = console {
        console.finish();
    }
    let spent = meter.is_some_and(Meter::finish);
    ended.and_then(|()| launched.end())?;
    Ok(by_itself && spent)
}

/// How a run that was started ended.
pub(super) struct Concluded {
    pub(super) status: u8,
    pub(super) facts: telling::Facts,
}

/// Tells what was denied, writes the report, and gives the exit status.
pub(super) fn conclude(
    request: &RunRequest,
    outlet: &Outlet,
    journal: &Journal,
    ended: Concluded,
) -> Result<u8, RunError> {
    let Concluded { status, facts } = ended;
    if outlet.is_text() {
        telling::tell_denials(journal);
    }
    if outlet.is_text() && request.report.is_none() {
        return Ok(status);
    }
    let report = telling::report(request, journal, facts);
    if let Some(place) = &request.report {
        report.write(place)?;
    }
    outlet.ended(status, &report).map_err(RunError::Print)?;
    Ok(status)
}
