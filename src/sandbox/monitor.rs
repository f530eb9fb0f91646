//! The monitor: the process between askance and the command that sees to it that nothing of a run
//! outlives it.
//!
//! Reaps every orphan of the run, relays what becomes of the command, and, when the command ends,
//! when askance says so, or when askance dies, kills everything in its own Landlock domain, which
//! confines its signals. Async-signal-safe throughout: it is a fork of a threaded process.

use std::convert::Infallible;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use super::command::{self, CommandPlan, Program, Removal, errno};
use super::orphans;
use super::privileges;
use super::processors::Processors;
use super::stage::Stage;
use super::wire::{LENGTH, Order, Report};
use crate::sys::shared::Shared;
use crate::sys::spawn::{self, ChildStack, borrow};
use crate::sys::{dispositions, landlock};

/// Everything that the monitor needs. Descriptors are numbers, open in the table that the fork copied.
#[derive(Debug)]
pub(super) struct MonitorPlan {
    pub(super) command: CommandPlan,
    /// What the command runs on until it executes its program.
    pub(super) stack: ChildStack,
    pub(super) stdio: [RawFd; 3],
    pub(super) keep_root_capabilities: bool,
    /// The ruleset that scopes signals; absent before Landlock ABI 6.
    pub(super) scope: Option<RawFd>,
    /// To askance, both ways.
    pub(super) channel: RawFd,
    /// Readable when askance is dead; absent where pidfds are forbidden.
    pub(super) askance: Option<RawFd>,
    /// The command's reports.
    pub(super) reports: RawFd,
    /// Every descriptor named in the plan but the standard streams', sorted.
    pub(super) needed: Vec<RawFd>,
}

/// Runs in the forked process.
pub(super) fn run(plan: &MonitorPlan) -> Infallible {
    match confine(plan) {
        Ok(children) => spawn::fork_sharing_memory(&plan.stack, &plan.command, command::run, |command| {
            match command.map(Pid::from_raw) {
                Ok(Some(command)) => {
                    // Where askance's first thread is, which has less to do than the second.
                    if let Some(processors) = &plan.command.processors {
                        processors.bring(Some(command));
                    }
                    Monitor::over(command, plan, children).watch()
                }
                Ok(None) => fail(plan, Stage::Fork, &io::Error::from_raw_os_error(libc::ECHILD)),
                Err(error) => fail(plan, Stage::Fork, &error),
            }
        }),
        Err((stage, error)) => fail(plan, stage, &error),
    }
}

fn fail(plan: &MonitorPlan, stage: Stage, error: &io::Error) -> ! {
    send(borrow(plan.channel), Report::Failed(stage, errno(error)));
    spawn::exit_now(125)
}

/// Waits for askance's last order; false where none comes, because it is dead.
fn is_dismissed(channel: BorrowedFd<'_>, askance: Option<BorrowedFd<'_>>) -> bool {
    loop {
        let mut polled = [
            PollFd::from_borrowed_fd(askance.unwrap_or(channel), PollFlags::IN),
            PollFd::from_borrowed_fd(channel, PollFlags::IN),
        ];
        let dead = poll(&mut polled, None).is_ok() && !polled[0].revents().is_empty() && askance.is_some();
        let mut bytes = [0; LENGTH];
        match rustix::net::recv(channel, &mut bytes[..], RecvFlags::DONTWAIT) {
            Ok((LENGTH, LENGTH)) if matches!(Order::decode(&bytes), Ok(Order::Signal(_))) => {}
            Ok((LENGTH, LENGTH)) => return true,
            Err(Errno::INTR | Errno::AGAIN) if !dead => {}
            _ => return false,
        }
    }
}

type Failed = (Stage, io::Error);

/// Session, privileges, scope; the descriptor that tells of children.
fn confine(plan: &MonitorPlan) -> Result<OwnedFd, Failed> {
    let at = |stage| move |error: Errno| (stage, io::Error::from(error));
    if let Some(processors) = &plan.command.processors {
        processors.leave();
    }
    // Not the name that `pkill askance` looks for: who kills askance wants the run to end.
    let _ = rustix::thread::set_name(c"run-monitor");
    rustix::process::setsid().map_err(at(Stage::Session))?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(at(Stage::Session))?;
    for (number, fd) in (0..).zip(plan.stdio) {
        spawn::copy_to_number(borrow(fd), number).map_err(|error| (Stage::Descriptors, error))?;
    }
    spawn::close_all_but(3, &plan.needed).map_err(|error| (Stage::Descriptors, error))?;
    if let Some(terminal) = plan.command.terminal {
        rustix::process::ioctl_tiocsctty(borrow(terminal)).map_err(at(Stage::Terminal))?;
    }
    privileges::drop_in_thread(plan.keep_root_capabilities).map_err(|error| (Stage::Privileges, error))?;
    if let Some(scope) = plan.scope {
        landlock::restrict_self(borrow(scope)).map_err(|error| (Stage::Scope, error))?;
    }
    dispositions::child_signal_fd().map_err(|error| (Stage::Session, error))
}

struct Monitor<'a> {
    channel: BorrowedFd<'a>,
    askance: Option<BorrowedFd<'a>>,
    /// Until exec.
    reports: Option<BorrowedFd<'a>>,
    children: OwnedFd,
    command: Pid,
    scoped: bool,
    program: &'a Shared<Program>,
    /// It leads the session of the command's terminal, whose output is lost with it.
    has_terminal: bool,
    processors: Option<&'a Processors>,
    /// The command is under its filter; it can run from then on.
    trapped: bool,
    /// Why the command does not run.
    failed: Option<Report>,
    /// It was stopped before its program ran, as far as is known, and still is.
    stopped: Option<i32>,
}

impl<'a> Monitor<'a> {
    fn over(command: Pid, plan: &'a MonitorPlan, children: OwnedFd) -> Self {
        Self {
            channel: borrow(plan.channel),
            askance: plan.askance.map(borrow),
            reports: Some(borrow(plan.reports)),
            children,
            command,
            scoped: plan.scope.is_some(),
            program: &plan.command.program,
            processors: plan.command.processors.as_ref(),
            has_terminal: plan.command.terminal.is_some(),
            trapped: false,
            failed: None,
            stopped: None,
        }
    }

    fn watch(&mut self) -> ! {
        loop {
            let quiet = self.channel.as_fd();
            let mut polled = [
                PollFd::new(&self.channel, PollFlags::IN),
                PollFd::from_borrowed_fd(self.askance.unwrap_or(quiet), PollFlags::IN),
                PollFd::from_borrowed_fd(self.children.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(self.reports.unwrap_or(quiet), PollFlags::IN),
            ];
            let ready = match poll(&mut polled, None) {
                Ok(_) => polled.map(|polled| !polled.revents().is_empty()),
                Err(Errno::INTR) => continue,
                Err(_) => self.end(None),
            };
            let [ordered, dead, child, reported] = ready;
            if dead && self.askance.is_some() {
                self.end(None);
            }
            // Before the command's death: it may have said why.
            if reported && self.reports.is_some() {
                self.report();
            }
            if child {
                self.reap();
            }
            if ordered {
                self.obey();
            }
        }
    }

    /// The command's way to exec. False when it has no more to say for now.
    fn report(&mut self) -> bool {
        let Some(reports) = self.reports else { return false };
        let mut bytes = [0; LENGTH];
        match rustix::io::read(reports, &mut bytes) {
            Ok(LENGTH) => match Report::decode(&bytes) {
                Ok(Report::Listener(number)) => {
                    self.trapped = true;
                    self.hand_over(number);
                }
                Ok(report) => {
                    self.reports = None;
                    self.failed = Some(report);
                }
                Err(_) => self.end(None),
            },
            // The last writer was closed by exec.
            Ok(0) => self.started(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return false,
            _ => self.end(None),
        }
        true
    }

    /// The program runs.
    fn started(&mut self) {
        self.reports = None;
        send(self.channel, Report::Started);
        if let Some(signal) = self.stopped.take() {
            send(self.channel, Report::Stopped(signal));
        }
    }

    /// Sends the listener, which the command left in the table that it has unshared by now, and
    /// closes it here, with the standard streams and the writing end of the reports.
    fn hand_over(&self, listener: RawFd) {
        let fds = [borrow(listener)];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&fds));
        let message = Report::Listener(self.command.as_raw_nonzero().get()).encode();
        let sent = rustix::io::retry_on_intr(|| {
            rustix::net::sendmsg(self.channel, &[io::IoSlice::new(&message)], &mut control, SendFlags::NOSIGNAL)
        });
        if sent.is_err() {
            self.end(None);
        }
        let kept = [Some(self.channel), Some(self.children.as_fd()), self.askance, self.reports];
        let mut keep = kept.map(|fd| fd.map_or(-1, |fd| fd.as_raw_fd()));
        keep.sort_unstable();
        if spawn::close_all_but(0, &keep).is_err() {
            self.end(None);
        }
        // What it tells next it tells beside the program.
        if let Some(processors) = self.processors {
            processors.restore();
        }
    }

    fn obey(&self) {
        let mut bytes = [0; LENGTH];
        let received = rustix::net::recv(self.channel, &mut bytes[..], RecvFlags::DONTWAIT);
        match received {
            Ok((LENGTH, LENGTH)) => match Order::decode(&bytes) {
                Ok(Order::Signal(signal)) => {
                    if let Some(signal) = Signal::from_named_raw(signal) {
                        // It may have left its group: then nobody gets the signal, as from a terminal.
                        let _ = rustix::process::kill_process_group(self.command, signal);
                    }
                }
                _ => self.ordered(),
            },
            Err(Errno::INTR | Errno::AGAIN) => {}
            // Askance has closed its end or is dead.
            _ => self.end(None),
        }
    }

    /// Waits for whoever has changed; the command's end is the run's.
    fn reap(&mut self) {
        let mut pending = [0_u8; 128];
        let _ = rustix::io::read(&self.children, &mut pending);
        let what = WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
        while let Ok(Some((pid, status))) = rustix::process::wait(what) {
            if pid == self.command {
                self.tell(status);
            }
        }
    }

    fn tell(&mut self, status: WaitStatus) {
        // It may have changed between its last report and our reading it.
        while self.report() {}
        if self.reports.is_some() && (status.stopped() || status.continued()) {
            // While it waits for word to go, that is between it and whoever stops it; it is told of a program that runs.
            self.stopped = status.stopping_signal();
            return;
        }
        if self.trapped && self.reports.is_some() {
            // It runs: a fork elsewhere in askance still holds the pipe whose end would have said so.
            self.started();
        }
        if let Some(code) = status.exit_status() {
            self.end(Some(self.failed.unwrap_or(Report::Exited(code))))
        } else if let Some(signal) = status.terminating_signal() {
            self.end(Some(self.failed.unwrap_or(Report::Signaled(signal))))
        } else if let Some(signal) = status.stopping_signal() {
            send(self.channel, Report::Stopped(signal));
        } else {
            send(self.channel, Report::Continued);
        }
    }

    /// Kills and reaps the whole tree, tells the command's end, and is gone.
    fn end(&self, report: Option<Report>) -> ! {
        // Most commands leave nobody behind.
        while !matches!(rustix::process::wait(WaitOptions::NOHANG), Err(Errno::CHILD)) && !self.kill_and_reap() {}
        let Some(report) = report else { self.take_leave() };
        // Most commands leave nothing behind either: then it goes while askance hears of it.
        let needed = self.has_terminal || !self.removal().is_none_or(Removal::of_empty_ones);
        send(self.channel, report);
        if needed {
            self.take_leave();
        }
        spawn::exit_now(0)
    }

    /// The end that askance ordered: it lives, and removes what is its own.
    fn ordered(&self) -> ! {
        while !self.kill_and_reap() {}
        spawn::exit_now(0)
    }

    fn removal(&self) -> Option<&'static Removal> {
        self.program.get()?.removal.as_ref()
    }

    /// Where askance is dead, what it would have removed is removed.
    fn take_leave(&self) -> ! {
        if !is_dismissed(self.channel, self.askance)
            && let Some(removal) = self.removal()
        {
            removal.of_everything();
        }
        spawn::exit_now(0)
    }

    /// One round; true when no child is left. All orphans of the run are children here.
    fn kill_and_reap(&self) -> bool {
        const SOON: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
        if self.scoped {
            let _ = spawn::signal_all_in_scope(libc::SIGKILL);
        } else {
            orphans::kill_descendants();
        }
        loop {
            let mut pending = [0_u8; 128];
            let _ = rustix::io::read(&self.children, &mut pending);
            match rustix::process::wait(WaitOptions::NOHANG) {
                Err(Errno::CHILD) => return true,
                Ok(Some(_)) | Err(_) => continue,
                Ok(None) => {}
            }
            let mut polled = [PollFd::from_borrowed_fd(self.children.as_fd(), PollFlags::IN)];
            if matches!(poll(&mut polled, Some(&SOON)), Ok(0)) {
                return false;
            }
        }
    }
}

fn send(channel: BorrowedFd<'_>, report: Report) {
    // Where askance no longer listens, its death is what ends the run.
    let _ = rustix::io::retry_on_intr(|| rustix::net::send(channel, &report.encode(), SendFlags::NOSIGNAL));
}
