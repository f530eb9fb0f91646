//! The command's standard streams: the caller's own, or what stands between them.

use std::io;
use std::os::fd::OwnedFd;

use super::meter::Meter;
use super::terminal::Terminal;
use super::{RunError, RunRequest};
use crate::prompt::Console;
use crate::sandbox;

/// The command's standard streams.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) stdio: [OwnedFd; 3],
    /// Which of them is its terminal.
    pub(super) controlling_terminal: Option<usize>,
    /// The caller's terminal, which is not carried yet.
    pub(super) terminal: Option<Terminal>,
}

impl Streams {
    /// The caller's streams, or what stands between them and the command.
    pub(super) fn of(
        request: &RunRequest,
        console: Option<&Console>,
        mut meter: Option<&mut Meter>,
    ) -> Result<Self, RunError> {
        if let Some(number) = request.terminal {
            let failed = |source| RunError::Terminal { number, source };
            if meter.is_none() {
                return Err(failed(io::Error::other("it needs -o json or -o stream-json")));
            }
            let terminal = Terminal::passed(number).map_err(failed)?;
            let stdio = terminal.streams().map_err(failed)?;
            return Ok(Self { stdio, controlling_terminal: Some(0), terminal: Some(terminal) });
        }
        let slaves = console.map(Console::child_stdio).transpose()?.unwrap_or_default();
        let controlling_terminal = slaves.iter().position(Option::is_some);
        let streams = sandbox::inherited_stdio().map_err(RunError::Streams)?;
        let mut stdio = slaves.into_iter().zip(streams).enumerate().map(|(number, (slave, stream))| match &mut meter {
            Some(meter) if number > 0 => meter.attach(number, stream, slave),
            _ => Ok(slave.unwrap_or(stream)),
        });
        let mut next =
            || stdio.next().unwrap_or_else(|| Err(io::ErrorKind::NotFound.into())).map_err(RunError::Streams);
        Ok(Self { stdio: [next()?, next()?, next()?], controlling_terminal, terminal: None })
    }
}
