//! A pseudo-terminal whose master the caller holds (`--terminal fd=N`): it is all three standard streams of the
//! command. What the command shows is its output, what stands on standard input is typed.
//!
//! Its size stays the caller's to set, on the master.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;

use rustix::fs::OFlags;
use rustix::termios::{SpecialCodeIndex, tcgetattr};

use super::meter::Meter;
use crate::journal::without_signals;
use crate::sandbox;
use crate::sys::pty;
use crate::sys::spawn::inherited;

/// The terminal of a command that has not started.
#[derive(Debug)]
pub(super) struct Terminal {
    master: Arc<File>,
    slave: OwnedFd,
}

impl Terminal {
    /// The master is the inherited descriptor `number`.
    pub(super) fn passed(number: RawFd) -> io::Result<Self> {
        let master = inherited(number)?;
        let slave = pty::slave_of(&master)?;
        // Threads of their own read and write it.
        let flags = rustix::fs::fcntl_getfl(&master)?;
        rustix::fs::fcntl_setfl(&master, flags - OFlags::NONBLOCK)?;
        Ok(Self { master: Arc::new(File::from(master)), slave })
    }

    /// The command's standard streams.
    pub(super) fn streams(&self) -> io::Result<[OwnedFd; 3]> {
        Ok([self.slave.try_clone()?, self.slave.try_clone()?, self.slave.try_clone()?])
    }

    /// Starts carrying bytes, when the command may start: nothing is typed for one that may not.
    pub(super) fn carry(self, meter: &mut Meter) -> io::Result<()> {
        let master = self.master;
        meter.follow(master.try_clone()?)?;
        let [keys, ..] = sandbox::inherited_stdio()?;
        // Nobody waits for it: it may wait for keys, or for a command that reads none, when the run is over.
        without_signals("askance-keys", move || type_all(File::from(keys), &master))?;
        Ok(())
    }
}

/// Types what is read; its end is typed too, with the key that means it there.
fn type_all(mut keys: File, mut master: &File) {
    let mut buffer = [0; 4096];
    loop {
        match keys.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) if master.write_all(&buffer[..read]).is_err() => return,
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return,
            _ => {}
        }
    }
    if let Ok(modes) = tcgetattr(master) {
        // A command that is gone needs no end of its input.
        let _ = master.write_all(&[modes.special_codes[SpecialCodeIndex::VEOF]]);
    }
}
