//! Judging what one call needs, and starting it over when a question was answered.
//!
//! A call is attempted in passes. Each pass resolves anew, judges what it holds and acts on that;
//! an answer counts for the operation and real path that it was given for, so a path that leads
//! elsewhere by then is judged again.

use std::path::{Path, PathBuf};

use super::errno::Errno;
use crate::policy::{Access, Change, Denial, Operation, Permit, Question, Verdict};
use crate::supervisor::{Call, Context, Outcome};

/// One access that a call needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    operation: Operation,
    path: PathBuf,
    change: Change,
}

impl Need {
    pub(super) fn read(path: &Path) -> Self {
        Self { operation: Operation::Read, path: path.to_owned(), change: Change::Existing }
    }

    pub(super) fn write(path: &Path, change: Change) -> Self {
        Self { operation: Operation::Write, path: path.to_owned(), change }
    }

    fn access(&self) -> Access<'_> {
        match self.operation {
            Operation::Read => Access::Read(&self.path),
            _ => Access::Write(&self.path, self.change),
        }
    }
}

/// Permits for the accesses of one call, each with what it was given for.
#[derive(Debug, Default)]
pub(super) struct Granted {
    permits: Vec<(Operation, PathBuf, Permit)>,
    /// Passes that found the file system changed under them.
    restarts: u32,
}

/// A program that moves things about faster than we can judge is told to try again.
const RESTARTS_MAX: u32 = 32;

impl Granted {
    /// The caller holds the object open with this access already.
    pub(super) fn held(permit: Permit) -> Self {
        Self { permits: vec![(Operation::Read, PathBuf::new(), permit)], restarts: 0 }
    }

    fn covers(&self, need: &Need) -> bool {
        self.permits.iter().any(|(operation, path, _)| *operation == need.operation && *path == need.path)
    }
}

/// Why a call does not go on now.
#[derive(Debug)]
pub(super) enum Stop {
    Denied(Box<Denial>),
    Asks(Box<Question>, PathBuf, Granted),
}

/// Judges each need that is not granted yet, in order.
pub(super) fn judge(context: &Context, call: &Call, needs: &[Need], mut granted: Granted) -> Result<Granted, Stop> {
    for need in needs {
        if granted.covers(need) {
            continue;
        }
        match context.judge(&need.access(), call) {
            Verdict::Allow(permit) => granted.permits.push((need.operation, need.path.clone(), permit)),
            Verdict::Ask(question) => return Err(Stop::Asks(question, need.path.clone(), granted)),
            Verdict::Deny(denial) => return Err(Stop::Denied(Box::new(denial))),
        }
    }
    Ok(granted)
}

/// What a trapped call wants, owned: copied arguments and held descriptors.
pub(super) trait Job: Send + 'static {
    /// One pass: resolve, judge with what is granted, act.
    fn attempt(self, context: &Context, call: &Call, granted: Granted) -> Outcome;
}

impl Stop {
    /// Refuses, or asks and attempts `job` again. What fails anyway, as `vain` says, is neither asked
    /// nor counted.
    pub(super) fn outcome(self, context: &Context, call: &Call, job: impl Job, vain: Result<(), Errno>) -> Outcome {
        if let Err(Errno(errno)) = vain {
            return Outcome::errno(errno);
        }
        match self {
            Self::Denied(denial) => context.refuse(call, &denial),
            Self::Asks(question, path, mut granted) => {
                let operation = question.operation;
                Outcome::Ask {
                    question,
                    refusal: libc::EACCES,
                    act: Box::new(move |permit, context, call| {
                        granted.permits.push((operation, path, permit));
                        job.attempt(context, call, granted)
                    }),
                }
            }
        }
    }
}

/// Attempts `job` again because what it held is not what it was.
pub(super) fn restart(job: impl Job, context: &Context, call: &Call, mut granted: Granted) -> Outcome {
    granted.restarts += 1;
    if granted.restarts > RESTARTS_MAX {
        return Outcome::errno(libc::EAGAIN);
    }
    if !context.still_waiting(call) {
        return Outcome::errno(libc::EINTR);
    }
    job.attempt(context, call, granted)
}
