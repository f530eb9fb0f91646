//! A pseudo-terminal: `posix_openpt(3)`, `ioctl_tty(2)` `TIOCGPTPEER`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{
    InputModes, OptionalActions, Termios, Winsize, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};

/// Both ends, close-on-exec and never anybody's controlling terminal by being opened.
#[derive(Debug)]
pub struct Pty {
    /// Non-blocking.
    pub master: OwnedFd,
    pub slave: OwnedFd,
}

impl Pty {
    /// A pseudo-terminal with these modes and this size. The slave is opened through its master, so
    /// that it needs no `/dev/pts` and cannot be another's.
    pub fn open(modes: &Termios, size: Winsize) -> io::Result<Self> {
        let master = master()?;
        let slave = slave_of(&master)?;
        tcsetattr(&slave, OptionalActions::Now, modes)?;
        tcsetwinsize(&slave, size)?;
        let flags = rustix::fs::fcntl_getfl(&master)?;
        rustix::fs::fcntl_setfl(&master, flags | OFlags::NONBLOCK)?;
        Ok(Self { master, slave })
    }
}

const OURS: OpenptFlags = OpenptFlags::RDWR.union(OpenptFlags::NOCTTY).union(OpenptFlags::CLOEXEC);

fn master() -> io::Result<OwnedFd> {
    let master = openpt(OURS)?;
    unlockpt(&master)?;
    Ok(master)
}

/// The master of a pseudo-terminal of this size, in the kernel's modes, for text in UTF-8. No slave is open yet.
pub fn master_of(size: Winsize) -> io::Result<OwnedFd> {
    let master = master()?;
    // Modes set on a master are its slave's.
    let mut modes = tcgetattr(&master)?;
    modes.input_modes |= InputModes::IUTF8;
    tcsetattr(&master, OptionalActions::Now, &modes)?;
    tcsetwinsize(&master, size)?;
    Ok(master)
}

/// The slave, opened through its master. An error: it is no master.
pub fn slave_of(master: impl AsFd) -> io::Result<OwnedFd> {
    Ok(ioctl_tiocgptpeer(master, OURS)?)
}

/// Gives `to` the size of `from`; the kernel sends `SIGWINCH` to the foreground of `to` if it changed.
pub fn copy_size(from: impl AsFd, to: impl AsFd) -> io::Result<()> {
    tcsetwinsize(to, tcgetwinsize(from)?)?;
    Ok(())
}
