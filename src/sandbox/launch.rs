//! Starts a command in its sandbox, with a monitor above it.
//!
//! The forks only make system calls, and find filter and program in memory that askance shares. The command's descriptor
//! table is the monitor's until its filter is there: the listener appears in it, and no container can forbid that.

use std::ffi::{CStr, CString, NulError};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use landlock::{AccessFs, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags, SocketType,
};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};

use super::adopted;
use super::command::{CommandPlan, ProcessLimits, Program, Removal};
use super::directories::Directories;
use super::filter::Filter;
use super::monitor::{self, MonitorPlan};
use super::processors::Processors;
use super::stage::Stage;
use super::wire::{LENGTH, Order, Report};
use crate::sys::dispositions;
use crate::sys::seccomp::Instruction;
use crate::sys::shared::Shared;
use crate::sys::spawn::{self, ChildStack, Forked, StringArray};

/// What is known of a command from the beginning.
#[derive(Debug)]
pub struct Beginning<'a> {
    pub cwd: &'a Path,
    pub stdio: [OwnedFd; 3],
    /// The standard stream (0, 1, 2) that is the run's pseudo-terminal and becomes its controlling one.
    pub controlling_terminal: Option<usize>,
    pub limits: ProcessLimits,
    /// A root caller keeps what archives and copies need.
    pub keep_root_capabilities: bool,
    /// Rules may be added to it until [`Launched::go`].
    pub floor: BorrowedFd<'a>,
}

/// What it is to be.
#[derive(Debug)]
pub struct ChildPlan<'a> {
    pub argv: Vec<CString>,
    /// From [`super::resolve_program`]; relative to the working directory where it is relative.
    pub program: PathBuf,
    /// `NAME=value`, all there is.
    pub env: Vec<CString>,
    /// What is made between the launch and [`Launched::go`], and removed by the monitor where askance dies without
    /// having done so.
    pub directories: Option<&'a Directories>,
}

/// Why the command does not run.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("find {}", program.display())]
    NotFound { program: PathBuf },
    #[error("pass {} to a program", path.display())]
    ProgramName { path: PathBuf, source: NulError },
    #[error("enter the working directory {}", path.display())]
    WorkingDirectory { path: PathBuf, source: io::Error },
    /// A descriptor, a pipe or the ruleset for the monitor could not be had.
    #[error("prepare the launch")]
    Prepare(#[source] io::Error),
    #[error("make the monitor's Landlock ruleset")]
    Scope(#[from] landlock::RulesetError),
    #[error("fork the monitor")]
    Fork(#[source] io::Error),
    #[error("{}", stage.words())]
    Child { stage: Stage, source: io::Error },
    /// A supervised process tree has one listener, and this one has it already.
    #[error("start a sandbox inside a sandbox that has a system call supervisor already")]
    Nested,
    /// Each process tree bears 16.
    #[error(
        "{}: the kernel stacks 16 Landlock layers at most, and askance needs two; start it below fewer sandboxes",
        stage.words()
    )]
    Layers { stage: Stage },
    #[error("execute {}", path.display())]
    Execute { path: PathBuf, source: io::Error },
    /// By somebody outside: nobody had let it go.
    #[error("start the command: it was killed while it waited")]
    Killed,
    /// The monitor died or said what it never says.
    #[error("hear from the monitor")]
    Monitor(#[source] io::Error),
}

impl LaunchError {
    /// 127 not found, 126 not executable, 125 for askance's own failures.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::NotFound { .. } => 127,
            Self::Execute { source, .. } => match source.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR) => 127,
                _ => 126,
            },
            _ => 125,
        }
    }
}

/// What became of the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It is over, and nothing of its tree is left.
    Exited(i32),
    /// As `Exited`, by a signal.
    Signaled(i32),
    Stopped(i32),
    Continued,
}

/// A run whose command is being confined. Dropping it kills the whole tree.
#[derive(Debug)]
pub struct Launching {
    monitor_pid: i32,
    monitor: Monitor,
    go: OwnedFd,
    program: PathBuf,
}

/// Askance's hold on a run: a command that waits, confined, for [`Launched::go`]. Dropping it
/// kills the whole tree.
#[derive(Debug)]
pub struct Launched {
    /// The process that the command was started as.
    pub command_pid: i32,
    pub monitor_pid: i32,
    monitor: Monitor,
    go: OwnedFd,
    program: PathBuf,
}

/// The monitor's process, and the way to talk with it.
#[derive(Debug)]
struct Monitor {
    pidfd: OwnedFd,
    channel: OwnedFd,
}

/// A run whose command gives up what it may not have, and waits for what it is to be. It is forked first, while a fork
/// has little to copy and one thread. Dropping it kills it.
#[derive(Debug)]
pub struct Waiting {
    monitor_pid: i32,
    monitor: Monitor,
    go: OwnedFd,
    program: Shared<Program>,
}

/// Where the command waits for its filter. Dropped, none comes.
#[derive(Debug)]
pub struct Trap {
    filter: Shared<&'static [Instruction]>,
    /// A byte here says that it is there.
    set: OwnedFd,
}

/// What a command's strings have room in, and what leads to them, twice: more than `execve` takes.
const ROOM: usize = 16 << 20;

/// What the longest filter has room in, of that.
const FILTER_ROOM: usize = 64 << 10;

/// Forks the monitor, which confines the command while the caller goes on.
pub fn begin(beginning: Beginning<'_>) -> Result<(Waiting, Trap), LaunchError> {
    begin_scoped(beginning, super::features::scopes_signals())
}

/// As [`begin`], told whether the kernel confines the monitor's signals.
pub(super) fn begin_scoped(beginning: Beginning<'_>, scoped: bool) -> Result<(Waiting, Trap), LaunchError> {
    let (channel, far) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(prepare)?;
    let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(prepare);
    let ((reports, reported), (trap, set), (waited, go)) = (pipe()?, pipe()?, pipe()?);
    rustix::io::ioctl_fionbio(&reports, true).map_err(prepare)?;
    let scope = if scoped { Some(signal_scope()?) } else { None };
    let askance = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).ok();
    let directory = open_directory(beginning.cwd)?;
    let stdio = above_standard(beginning.stdio)?;
    let number = |fd: &OwnedFd| fd.as_raw_fd();
    let mut program = Shared::<Program>::new(ROOM).map_err(LaunchError::Prepare)?;
    let command = CommandPlan {
        directory: number(&directory),
        terminal: beginning.controlling_terminal.and_then(|stream| i32::try_from(stream).ok()).filter(|it| *it < 3),
        limits: beginning.limits,
        ruleset: beginning.floor.as_raw_fd(),
        reports: number(&reported),
        trap: number(&trap),
        filter: program.part(FILTER_ROOM).map_err(LaunchError::Prepare)?,
        go: number(&waited),
        program,
        processors: Processors::of_this_thread(),
    };
    let mut plan = MonitorPlan {
        command,
        stack: ChildStack::default(),
        stdio: stdio.each_ref().map(number),
        keep_root_capabilities: beginning.keep_root_capabilities,
        scope: scope.as_ref().map(number),
        channel: number(&far),
        askance: askance.as_ref().map(number),
        reports: number(&reports),
        needed: Vec::new(),
    };
    plan.needed = needed(&plan);
    adopted::adopt();
    let forked = fork(&plan).map_err(LaunchError::Fork)?;
    if let (Some(processors), Some(process)) = (&plan.command.processors, Pid::from_raw(forked.pid)) {
        processors.send_away(process);
    }
    // The monitor's ends are closed when this returns: only its death must close them then.
    let waiting = Waiting {
        monitor_pid: forked.pid,
        monitor: Monitor { pidfd: forked.pidfd, channel },
        go,
        program: plan.command.program,
    };
    Ok((waiting, Trap { filter: plan.command.filter, set }))
}

impl Trap {
    /// Has the command put itself under this filter.
    pub fn set(mut self, filter: &Filter) -> Result<(), LaunchError> {
        let program = self.filter.put(filter.program()).map_err(LaunchError::Prepare)?;
        self.filter.set(program);
        // Nobody is left to read it where the command was killed: then the monitor says so.
        let _ = rustix::io::write(&self.set, &[1]);
        Ok(())
    }
}

impl Waiting {
    /// The command waits for [`Launched::go`] from now on.
    pub fn launch(self, plan: ChildPlan<'_>) -> Result<Launching, LaunchError> {
        let Self { monitor_pid, monitor, go, program: mut shared } = self;
        let path = c_string(&plan.program)?;
        let directories = plan.directories.into_iter().flat_map(Directories::all);
        let directories = directories.map(c_string).collect::<Result<Vec<_>, _>>()?;
        let program = put(&mut shared, &path, &plan, &directories);
        shared.set(program.map_err(|source| LaunchError::Execute { path: plan.program.clone(), source })?);
        Ok(Launching { monitor_pid, monitor, go, program: plan.program })
    }
}

/// `E2BIG` where `execve` would say so too.
fn put(
    shared: &mut Shared<Program>,
    path: &CStr,
    plan: &ChildPlan<'_>,
    directories: &[CString],
) -> io::Result<Program> {
    let path = shared.put_string(path)?;
    let argv = StringArray::put(shared, &plan.argv)?;
    Ok(Program {
        path,
        argv,
        shell_argv: argv.led_by(&[c"/bin/sh", path], shared)?,
        env: StringArray::put(shared, &plan.env)?,
        removal: removal(shared, directories)?,
    })
}

fn prepare(error: Errno) -> LaunchError {
    LaunchError::Prepare(error.into())
}

/// No handler of ours may run in a child: all signals are blocked across the fork.
fn fork(plan: &MonitorPlan) -> io::Result<Forked> {
    let mask = dispositions::block_all();
    let forked = spawn::fork_with_pidfd(|| monitor::run(plan));
    dispositions::set_mask(mask);
    forked
}

fn failure(report: Report, program: &Path) -> LaunchError {
    let error = io::Error::from_raw_os_error;
    match report {
        // The second: askance's own filter lets nothing but threads share a descriptor table.
        Report::Failed(Stage::Filter, libc::EBUSY) | Report::Failed(Stage::Fork, libc::EPERM) => LaunchError::Nested,
        Report::Failed(stage @ (Stage::Floor | Stage::Scope), libc::E2BIG) => LaunchError::Layers { stage },
        Report::Failed(stage, errno) => LaunchError::Child { stage, source: error(errno) },
        Report::Signaled(_) => LaunchError::Killed,
        Report::NotExecuted(errno) => LaunchError::Execute { path: program.to_owned(), source: error(errno) },
        _ => LaunchError::Monitor(error(libc::EPROTO)),
    }
}

impl Launching {
    /// The monitor's process.
    pub fn monitor_pid(&self) -> i32 {
        self.monitor_pid
    }

    /// Returns when the command is confined, with the filter's notifications: the caller serves them, then calls
    /// [`Launched::go`].
    pub fn confined(self) -> Result<(Launched, OwnedFd), LaunchError> {
        let Self { monitor_pid, monitor, go, program } = self;
        match monitor.receive().map_err(LaunchError::Monitor)? {
            (Report::Listener(command_pid), Some(listener)) => {
                Ok((Launched { command_pid, monitor_pid, monitor, go, program }, listener))
            }
            (report, _) => Err(failure(report, &program)),
        }
    }
}

impl Launched {
    /// Lets the command go, and returns when its program runs. The listener must be served.
    pub fn go(&self) -> Result<(), LaunchError> {
        if rustix::io::write(&self.go, &[1]) == Err(Errno::PIPE) {
            return Err(LaunchError::Killed);
        }
        match self.monitor.receive().map_err(LaunchError::Monitor)? {
            (Report::Started, _) => Ok(()),
            (report, _) => Err(failure(report, &self.program)),
        }
    }

    /// Readable when [`Launched::next_event`] will not block.
    pub fn events(&self) -> BorrowedFd<'_> {
        self.monitor.channel.as_fd()
    }

    /// The next thing that becomes of the command; blocks until then. After `Exited` or `Signaled` comes no more:
    /// the monitor goes, where it has nothing left to see to until it is [dismissed](Launched::dismiss).
    pub fn next_event(&self) -> io::Result<Event> {
        match self.monitor.receive()?.0 {
            Report::Exited(code) => Ok(Event::Exited(code)),
            Report::Signaled(signal) => Ok(Event::Signaled(signal)),
            Report::Stopped(signal) => Ok(Event::Stopped(signal)),
            Report::Continued => Ok(Event::Continued),
            _ => Err(io::Error::from_raw_os_error(libc::EPROTO)),
        }
    }

    /// Sends a signal to the command's process group; to nobody where it is over.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        match self.monitor.order(Order::Signal(signal)) {
            // The monitor has told so and is gone.
            Err(error) if is_of_the_gone(&error) => Ok(()),
            sent => sent,
        }
    }

    /// After `Exited` or `Signaled`: lets the monitor go, for which [`Launched::end`] then waits less.
    pub fn dismiss(&self) {
        // Where it is gone already, there is nothing to say.
        let _ = self.monitor.order(Order::End);
    }

    /// Kills everything that is left of the run and waits until it is dead.
    pub fn end(&self) -> io::Result<()> {
        self.monitor.end()
    }

    /// The monitor's process, by descriptor.
    pub fn monitor(&self) -> BorrowedFd<'_> {
        self.monitor.pidfd.as_fd()
    }
}

impl Monitor {
    fn end(&self) -> io::Result<()> {
        // It may be over already.
        let _ = self.order(Order::End);
        // Stopped, it would not obey.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::CONT);
        let done = WaitIdOptions::EXITED;
        match rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), done)) {
            Ok(Some(status)) if status.killed() || status.dumped() => {
                adopted::end_all();
                Ok(())
            }
            // Reaped before.
            Ok(_) | Err(Errno::CHILD) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn order(&self, order: Order) -> io::Result<()> {
        rustix::io::retry_on_intr(|| rustix::net::send(&self.channel, &order.encode(), SendFlags::NOSIGNAL))?;
        Ok(())
    }

    fn receive(&self) -> io::Result<(Report, Option<OwnedFd>)> {
        match self.receive_once() {
            // What it said comes after the word that it has read no more.
            Err(error) if is_of_the_gone(&error) => self.receive_once(),
            received => received,
        }
    }

    fn receive_once(&self) -> io::Result<(Report, Option<OwnedFd>)> {
        let mut bytes = [0; LENGTH];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            rustix::net::recvmsg(
                &self.channel,
                &mut [io::IoSliceMut::new(&mut bytes)],
                &mut control,
                RecvFlags::CMSG_CLOEXEC,
            )
        })?;
        if received.bytes != LENGTH {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut descriptors = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        });
        Ok((Report::decode(&bytes)?, descriptors.next().and_then(|mut fds| fds.next())))
    }
}

/// Does an error of the channel say that nobody has its other end?
fn is_of_the_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPIPE | libc::ECONNRESET))
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// Duplicates of this process's standard streams, for a run that uses them.
pub fn inherited_stdio() -> io::Result<[OwnedFd; 3]> {
    let copy = |fd: BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(fd, 3);
    Ok([copy(rustix::stdio::stdin())?, copy(rustix::stdio::stdout())?, copy(rustix::stdio::stderr())?])
}

/// The streams under numbers that installing them as 0, 1 and 2 does not overwrite.
fn above_standard(stdio: [OwnedFd; 3]) -> Result<[OwnedFd; 3], LaunchError> {
    let move_up = |fd: OwnedFd| {
        if fd.as_raw_fd() > 2 { Ok(fd) } else { rustix::io::fcntl_dupfd_cloexec(&fd, 3).map_err(prepare) }
    };
    let [stdin, stdout, stderr] = stdio;
    Ok([move_up(stdin)?, move_up(stdout)?, move_up(stderr)?])
}

/// A ruleset that lets everything be but signals to the outside. Every Landlock layer denies moving
/// files between directories unless it handles and grants that, so this one grants it everywhere.
pub(super) fn signal_scope() -> Result<OwnedFd, LaunchError> {
    let root = open_directory(Path::new("/"))?;
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::Refer)?
        .scope(Scope::Signal)?
        .create()?
        .add_rule(PathBeneath::new(root, AccessFs::Refer))?;
    Option::<OwnedFd>::from(ruleset).ok_or(LaunchError::Prepare(io::Error::from_raw_os_error(libc::EOPNOTSUPP)))
}

fn open_directory(path: &Path) -> Result<OwnedFd, LaunchError> {
    rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| LaunchError::WorkingDirectory { path: path.to_owned(), source: error.into() })
}

fn c_string(path: &Path) -> Result<CString, LaunchError> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|source| LaunchError::ProgramName { path: path.to_owned(), source })
}

/// What removes directories, however deep somebody made them.
fn removal(shared: &mut Shared<Program>, directories: &[CString]) -> io::Result<Option<Removal>> {
    if directories.is_empty() {
        return Ok(None);
    }
    let placed: Vec<&'static CStr> =
        directories.iter().map(|directory| shared.put_string(directory)).collect::<Result<_, _>>()?;
    let words = [c"rm", c"-rf", c"--"].iter().chain(&placed);
    let arguments = StringArray::put(shared, words)?;
    let environment = StringArray::put(shared, [c""; 0])?;
    Ok(Some(Removal { directories: shared.put(&placed)?, arguments, environment }))
}

fn needed(plan: &MonitorPlan) -> Vec<RawFd> {
    let command = &plan.command;
    let always =
        [plan.channel, plan.reports, command.directory, command.ruleset, command.reports, command.trap, command.go];
    let mut needed: Vec<RawFd> = always.into_iter().chain(plan.askance).chain(plan.scope).collect();
    needed.sort_unstable();
    needed
}
