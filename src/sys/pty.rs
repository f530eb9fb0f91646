//! A pseudo-terminal: `posix_openpt(3)`, `ioctl_tty(2)` `TIOCGPTPEER`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, Termios, Winsize, tcgetwinsize, tcsetattr, tcsetwinsize};

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
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        unlockpt(&master)?;
        let slave = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        tcsetattr(&slave, OptionalActions::Now, modes)?;
        tcsetwinsize(&slave, size)?;
        let flags = rustix::fs::fcntl_getfl(&master)?;
        rustix::fs::fcntl_setfl(&master, flags | OFlags::NONBLOCK)?;
        Ok(Self { master, slave })
    }
}

/// Gives `to` the size of `from`; the kernel sends `SIGWINCH` to the foreground of `to` if it changed.
pub fn copy_size(from: impl AsFd, to: impl AsFd) -> io::Result<()> {
    tcsetwinsize(to, tcgetwinsize(from)?)?;
    Ok(())
}
