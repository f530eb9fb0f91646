//! One trapped system call, and what a handler makes of it.

use std::io;
use std::os::fd::OwnedFd;

use super::context::Context;
use crate::policy::{Answer, Permit, Question};

/// A system call that waits for its answer. Its arguments are the registers: whatever they point
/// to is the child's memory, copied once by a handler and never read again.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// The notification's cookie.
    pub id: u64,
    /// The calling thread, in our PID namespace.
    pub tid: i32,
    pub nr: i64,
    pub args: [u64; 6],
}

/// What the kernel is told.
#[derive(Debug)]
pub enum Reply {
    /// Let the kernel carry the call out: only where it decides anyway (I2).
    ContinueUnderFloor,
    /// Return `-errno`.
    Errno(i32),
    /// Return a value.
    Value(i64),
    /// Install a descriptor in the caller and return its number (ADDFD with SEND).
    Fd { fd: OwnedFd, cloexec: bool },
}

impl Reply {
    /// The errno of an I/O error, `EIO` where it has none.
    pub fn from_error(error: &io::Error) -> Self {
        Self::Errno(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

/// Acts on what was judged. Everything it needs it owns: copied arguments, held descriptors.
pub type Act = Box<dyn FnOnce(&Context, &Call) -> Outcome + Send>;

/// Acts once a question is answered with yes; the permit is the proof.
pub type ActPermitted = Box<dyn FnOnce(Permit, &Context, &Call) -> Outcome + Send>;

/// What a handler makes of a call.
pub enum Outcome {
    Reply(Reply),
    /// Ask; on yes go on with `act` (on a worker), on no return `refusal` as errno.
    Ask {
        question: Box<Question>,
        refusal: i32,
        act: ActPermitted,
    },
    /// `act` may block (a FIFO, a connect, a device): it runs on a thread of its own.
    Apart(Act),
}

impl Outcome {
    pub fn errno(errno: i32) -> Self {
        Self::Reply(Reply::Errno(errno))
    }
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reply(reply) => f.debug_tuple("Reply").field(reply).finish(),
            Self::Ask { question, .. } => f.debug_tuple("Ask").field(question).finish(),
            Self::Apart(_) => f.write_str("Apart"),
        }
    }
}

/// How an answer travels back to the supervisor. Dropping it unanswered denies.
pub type AnswerTo = Box<dyn FnOnce(Answer) + Send>;
