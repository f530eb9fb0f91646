//! The command between its clone and its exec: confines itself and hands over the listener.
//!
//! Async-signal-safe, on a plan that others built.

use std::convert::Infallible;
use std::ffi::CStr;
use std::io;
use std::os::fd::RawFd;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};

use super::processors::Processors;
use super::stage::Stage;
use super::wire::Report;
use crate::sys::seccomp::Instruction;
use crate::sys::shared::Shared;
use crate::sys::spawn::{self, Range, StringArray, borrow};
use crate::sys::{dispositions, landlock, seccomp};

/// Limits that the kernel keeps for each process. Unset: the caller's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessLimits {
    /// `RLIMIT_NOFILE`, soft and hard.
    pub open_files: Option<u64>,
    /// `RLIMIT_CORE` 0.
    pub no_core: bool,
}

/// Everything that the command needs. Descriptors are numbers, open in the monitor's table.
#[derive(Debug)]
pub(super) struct CommandPlan {
    pub(super) directory: RawFd,
    pub(super) terminal: Option<RawFd>,
    pub(super) limits: ProcessLimits,
    pub(super) ruleset: RawFd,
    /// Where reports go: the monitor reads them.
    pub(super) reports: RawFd,
    /// A byte here says that the filter is there.
    pub(super) trap: RawFd,
    pub(super) filter: Shared<&'static [Instruction]>,
    /// A byte here says that the supervisor serves the listener, and that the program is there.
    pub(super) go: RawFd,
    pub(super) program: Shared<Program>,
    /// Where it may be, as soon as its program runs.
    pub(super) processors: Option<Processors>,
}

/// What a command becomes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Program {
    pub(super) path: &'static CStr,
    pub(super) argv: StringArray,
    /// `/bin/sh`, the program, its arguments: for a script without a first line that says who runs it.
    pub(super) shell_argv: StringArray,
    pub(super) env: StringArray,
    /// What is the run's own: `None` where nothing is.
    pub(super) removal: Option<Removal>,
}

/// Removes the run's own directories.
#[derive(Debug, Clone, Copy)]
pub(super) struct Removal {
    pub(super) directories: &'static [&'static CStr],
    /// What `rm` is told where askance dies.
    pub(super) arguments: StringArray,
    pub(super) environment: StringArray,
}

impl Removal {
    /// Removes what is empty; true where nothing is left.
    pub(super) fn of_empty_ones(&self) -> bool {
        let mut gone = true;
        for directory in self.directories {
            let removed = rustix::fs::rmdir(*directory);
            gone &= matches!(removed, Ok(()) | Err(Errno::NOENT));
        }
        gone
    }

    /// A program does that: trees are deep, and nothing here may allocate.
    pub(super) fn of_everything(&self) -> ! {
        let _ = spawn::execute(c"/bin/rm", &self.arguments, &self.environment);
        spawn::exit_now(125)
    }
}

pub(super) fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

/// Runs in the new process; the descriptor table is shared with the monitor until it is unshared here.
pub(super) fn run(plan: &CommandPlan) -> Infallible {
    let report = match confine(plan) {
        Ok(error) => Report::NotExecuted(errno(&error)),
        Err((stage, error)) => Report::Failed(stage, errno(&error)),
    };
    // Nobody is left to tell where this fails.
    let _ = rustix::io::write(borrow(plan.reports), &report.encode());
    spawn::exit_now(127)
}

/// Up to exec, whose error it returns.
fn confine(plan: &CommandPlan) -> Result<io::Error, (Stage, io::Error)> {
    let at = |stage| move |error| (stage, error);
    session().map_err(|error| (Stage::Session, error.into()))?;
    // While nothing waits for it; all signals are blocked here.
    dispositions::reset_dispositions();
    rustix::process::fchdir(borrow(plan.directory)).map_err(|error| (Stage::Directory, error.into()))?;
    let filter = awaited(plan.trap, &plan.filter);
    let listener = seccomp::install_with_listener(filter).map_err(at(Stage::Filter))?;
    // From here on descriptors are this process's own, and none but the standard streams survives exec.
    spawn::close_range(3, RawFd::MAX, Range::UnshareAndCloseOnExec).map_err(at(Stage::Descriptors))?;
    rustix::io::write(borrow(plan.reports), &Report::Listener(listener).encode())
        .map_err(|error| (Stage::Descriptors, error.into()))?;
    limit(plan.limits).map_err(|error| (Stage::Limits, error.into()))?;
    let program = awaited(plan.go, &plan.program);
    if let Some(processors) = &plan.processors {
        processors.restore();
    }
    if let Some(terminal) = plan.terminal {
        // Now what is typed is meant for it. SIGTTOU is blocked here, so that a background process may do this.
        let front = rustix::termios::tcsetpgrp(borrow(terminal), rustix::process::getpid());
        front.map_err(|error| (Stage::Terminal, error.into()))?;
    }
    // By now the floor is whole.
    landlock::restrict_self(borrow(plan.ruleset)).map_err(at(Stage::Floor))?;
    dispositions::set_mask(dispositions::Mask::empty());
    let error = spawn::execute(program.path, &program.argv, &program.env);
    if error.raw_os_error() == Some(libc::ENOEXEC) {
        return Ok(spawn::execute(c"/bin/sh", &program.shell_argv, &program.env));
    }
    Ok(error)
}

/// What askance has put there when it says so.
fn awaited<T: Copy>(said: RawFd, there: &Shared<T>) -> &'static T {
    let mut byte = [0];
    match (rustix::io::retry_on_intr(|| rustix::io::read(borrow(said), &mut byte)), there.get()) {
        (Ok(1), Some(found)) => found,
        // Askance is gone, or wants none of it; the monitor ends the run.
        _ => spawn::exit_now(125),
    }
}

/// A process group of its own. Dies with the monitor.
fn session() -> rustix::io::Result<()> {
    rustix::process::setpgid(None, None)?;
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
}

fn limit(limits: ProcessLimits) -> rustix::io::Result<()> {
    let both = |value| Rlimit { current: Some(value), maximum: Some(value) };
    if let Some(files) = limits.open_files {
        // Never above what the caller may have.
        let most = rustix::process::getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        rustix::process::setrlimit(Resource::Nofile, both(files.min(most)))?;
    }
    if limits.no_core {
        rustix::process::setrlimit(Resource::Core, both(0))?;
    }
    Ok(())
}
