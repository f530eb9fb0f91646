//! Real children under the real kernel.

use std::ffi::{CStr, CString};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};

use super::*;
use crate::policy::SilentYes;
use crate::sys::notify::{self, Response};

mod ending;
mod flooring;
mod launching;
mod rights;
mod terminal;

pub(crate) fn silent(roots: &[&str], carve: &[&str]) -> SilentYes {
    let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect();
    SilentYes { roots: paths(roots), carve: paths(carve), patterned: false }
}

pub(crate) const EVERYTHING: FilterPlan =
    FilterPlan { trap_reads: true, trap_exec: true, trap_receives: false, trap_signals: false };

/// A supervisor that judges nothing: whatever is trapped is left to the floor.
pub(crate) fn continue_everything(listener: OwnedFd) -> JoinHandle<usize> {
    std::thread::spawn(move || {
        let mut answered = 0;
        loop {
            let mut polled = [PollFd::new(&listener, PollFlags::IN)];
            if poll(&mut polled, None).is_err() {
                continue;
            }
            if !polled[0].revents().contains(PollFlags::IN) {
                return answered;
            }
            if let Ok(call) = notify::receive(listener.as_fd()) {
                let _ = notify::respond(listener.as_fd(), call.id, Response::Continue);
                answered += 1;
            }
        }
    })
}

/// How a command ended and what it wrote.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) event: Event,
    pub(crate) output: String,
    /// Calls that were trapped.
    pub(crate) trapped: usize,
}

/// A shell command below a floor that reads everything and writes nothing but `/dev/null`.
pub(crate) struct Trial {
    pub(crate) read: SilentYes,
    pub(crate) write: SilentYes,
    pub(crate) filter: FilterPlan,
    pub(crate) limits: ProcessLimits,
    pub(crate) keep_root_capabilities: bool,
    pub(crate) scoped: bool,
    pub(crate) cwd: PathBuf,
    /// Beside `PATH` and `LC_ALL`.
    pub(crate) env: Vec<String>,
}

impl Trial {
    pub(crate) fn new() -> Self {
        Self {
            read: silent(&["/"], &[]),
            write: silent(&["/dev/null"], &[]),
            filter: EVERYTHING,
            limits: ProcessLimits::default(),
            keep_root_capabilities: false,
            scoped: true,
            cwd: "/".into(),
            env: Vec::new(),
        }
    }

    /// Confined and waiting; the reader gives what it writes to both output streams.
    pub(crate) fn launch(&self, argv: &[&str]) -> Result<((Launched, OwnedFd), OwnedFd), LaunchError> {
        let laid = Floor::lay(&self.read, &self.write, &Survey::default()).unwrap();
        assert!(laid.floor.left_out().is_empty(), "{:?}", laid.floor.left_out());
        let filter = Filter::compile(self.filter).unwrap();
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let env = ["PATH=/usr/bin:/bin", "LC_ALL=C"].into_iter().chain(self.env.iter().map(String::as_str));
        let beginning = Beginning {
            cwd: &self.cwd,
            stdio: [null.into(), writer.try_clone().unwrap(), writer],
            controlling_terminal: None,
            limits: self.limits,
            keep_root_capabilities: self.keep_root_capabilities,
            floor: laid.as_fd(),
        };
        let (waiting, trap) = launch::begin_scoped(beginning, self.scoped)?;
        trap.set(&filter)?;
        let launched = waiting.launch(ChildPlan {
            argv: argv.iter().map(|word| CString::new(*word).unwrap()).collect(),
            program: argv[0].into(),
            env: env.map(|entry| CString::new(entry).unwrap()).collect(),
            directories: None,
        })?;
        Ok((launched.confined()?, reader))
    }

    pub(crate) fn run(&self, argv: &[&str]) -> Result<Ended, LaunchError> {
        let ((launched, listener), reader) = self.launch(argv)?;
        let supervisor = continue_everything(listener);
        let started = launched.go();
        let mut output = String::new();
        let mut event = Err(std::io::ErrorKind::NotFound.into());
        if started.is_ok() {
            std::fs::File::from(reader).read_to_string(&mut output).unwrap();
            event = launched.next_event();
        }
        launched.end().unwrap();
        let trapped = supervisor.join().unwrap();
        started?;
        Ok(Ended { event: event.unwrap(), output, trapped })
    }

    pub(crate) fn shell(&self, script: &str) -> Ended {
        self.run(&["/bin/sh", "-c", script]).unwrap()
    }
}

/// Is the process gone, or a zombie?
pub(crate) fn is_dead(pid: i32) -> bool {
    match std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")) {
        Ok(stat) => stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')),
        Err(_) => true,
    }
}
