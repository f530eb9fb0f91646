//! `sandbox.enabled: false`, which only the organisation, the user or a flag may say: the command is
//! approved like any other, and then runs as it is.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::Command;

use super::environment::Environment;
use super::meter::Meter;
use super::wait::{self, Ending};
use super::{RunError, RunRequest};
use crate::journal::Journal;
use crate::sandbox;

/// Runs the command without a sandbox, and says so.
pub(super) fn run(
    request: &RunRequest,
    program: &Path,
    environment: &Environment,
    meter: Option<Meter>,
    journal: &Journal,
) -> Result<Ending, RunError> {
    if request.terminal.is_some() {
        return Err(RunError::NoTerminal);
    }
    eprintln!("askance: sandbox.enabled is false: nothing confines this command");
    let argv = request.subject.argv();
    let variables = environment.variables.iter().filter_map(|pair| {
        let bytes = pair.as_bytes();
        let at = bytes.iter().position(|&byte| byte == b'=')?;
        Some((OsStr::from_bytes(&bytes[..at]), OsStr::from_bytes(&bytes[at + 1..])))
    });
    let program = request.locations.cwd.join(program);
    let mut command = Command::new(program);
    command.arg0(&argv[0]).args(&argv[1..]).env_clear().envs(variables).current_dir(&request.locations.cwd);
    let mut meter = meter;
    if let Some(meter) = &mut meter {
        let mut attach = |number, stream| meter.attach(number, stream, None).map_err(RunError::Streams);
        let [_, stdout, stderr] = sandbox::inherited_stdio().map_err(RunError::Streams)?;
        command.stdout(attach(1, stdout)?).stderr(attach(2, stderr)?);
    }
    let status = command.status().map_err(RunError::Wait)?;
    drop(command);
    if meter.is_some_and(Meter::finish) {
        return Ok(wait::outgrew_output(journal));
    }
    Ok(match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Exited(code),
        (None, signal) => Ending::Signalled(signal.unwrap_or(libc::SIGKILL)),
    })
}
