//! The reply that a received call is owed: made once, when the call is received, and consumed by the reply.
//!
//! It moves with the call to whoever has to answer, and is neither copied nor cloned: so a call is answered
//! once, by the one who has it, to itself. Whoever drops it (a panic, the end, a way that nobody thought of)
//! has refused the call, which therefore never hangs. Nothing else in the supervisor can reply.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::call::{Call, Reply};
use crate::sys::notify;

/// The kernel's side of the calls that wait. `man 2 seccomp_unotify`.
pub trait Kernel: Send + Sync {
    /// Blocks until a call is trapped. `ENOENT`, `EINTR`: as [`notify::receive`] says.
    fn receive(&self) -> io::Result<Call>;
    /// Does the call with this cookie still wait?
    fn is_waiting(&self, id: u64) -> bool;
    /// Nobody is left that could call.
    fn is_deserted(&self) -> bool;
    /// Ends the wait of the call with this cookie. `ENOENT`: it is gone.
    fn respond(&self, id: u64, reply: Reply) -> io::Result<()>;
}

impl Kernel for OwnedFd {
    fn receive(&self) -> io::Result<Call> {
        let received = notify::receive(self.as_fd())?;
        Ok(Call { id: received.id, tid: received.tid, nr: received.nr, args: received.args })
    }

    fn is_waiting(&self, id: u64) -> bool {
        notify::is_waiting(self.as_fd(), id)
    }

    fn is_deserted(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut fds = [PollFd::new(self, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, Some(&at_once)).is_ok() && fds[0].revents().contains(PollFlags::HUP)
    }

    fn respond(&self, id: u64, reply: Reply) -> io::Result<()> {
        let response = match reply {
            Reply::ContinueUnderFloor => notify::Response::Continue,
            Reply::Errno(errno) => notify::Response::Errno(errno),
            Reply::Value(value) => notify::Response::Value(value),
            Reply::Fd { fd, cloexec } => {
                let on_exec = if cloexec { notify::OnExec::Close } else { notify::OnExec::Keep };
                return notify::respond_with_fd(self.as_fd(), id, fd.as_fd(), on_exec);
            }
        };
        notify::respond(self.as_fd(), id, response)
    }
}

/// Where calls are received. That one replies there, only [`Owed`] knows.
pub(super) struct Listener(Arc<dyn Kernel>);

impl Listener {
    pub(super) fn new(kernel: impl Kernel + 'static) -> Self {
        Self(Arc::new(kernel))
    }

    /// Blocks until a call is trapped; it is owed a reply. Errors as [`Kernel::receive`].
    pub(super) fn receive(&self) -> io::Result<Owed> {
        let call = self.0.receive()?;
        Ok(Owed { call, to: Arc::clone(&self.0), replied: false })
    }

    pub(super) fn is_waiting(&self, call: &Call) -> bool {
        self.0.is_waiting(call.id)
    }

    pub(super) fn is_deserted(&self) -> bool {
        self.0.is_deserted()
    }
}

/// A reply that is owed to one received call. Dropped, it refuses the call.
#[must_use]
pub(super) struct Owed {
    call: Call,
    to: Arc<dyn Kernel>,
    replied: bool,
}

impl Owed {
    /// Whose reply it is.
    pub(super) fn call(&self) -> &Call {
        &self.call
    }

    /// Tells the kernel. A caller that is gone needs no answer; one whose answer the kernel does not take (its
    /// table of descriptors is full) is told why.
    pub(super) fn reply(mut self, reply: Reply) {
        if let Err(error) = self.to.respond(self.call.id, reply)
            && error.raw_os_error() != Some(libc::ENOENT)
        {
            let _ = self.to.respond(self.call.id, Reply::from_error(&error));
        }
        self.replied = true;
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if !self.replied {
            // A caller that is gone needs no answer.
            let _ = self.to.respond(self.call.id, Reply::Errno(libc::EACCES));
        }
    }
}

impl fmt::Debug for Owed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Owed").field(&self.call).finish()
    }
}

#[cfg(test)]
#[path = "owed_tests.rs"]
mod tests;
