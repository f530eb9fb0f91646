//! The story of one run; only it names every stage.
//!
//! Settings → policy → floor and filter → launch → supervise → report → exit status.

mod environment;
mod keeper;
mod places;
mod telling;
mod wait;

use std::ffi::{CString, NulError, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::dns::{Dns, DnsConfig};
use crate::journal::{self, Journal};
use crate::policy::{CompileError, Operation, Places, Policy};
use crate::prompt::{self, Choice, Console, ConsoleError};
use crate::sandbox::{
    self, ChildPlan, Filter, FilterPlan, Floor, Keep, Launched, Monitor, ProcessLimits, resolve_program,
};
use crate::settings::{Limits, Locations, Runtime, Settings, SettingsError};
use crate::supervisor::{self, Asker, LivePolicy, Parts, Setup, Supervisor};

use environment::Environment;
use keeper::SettingsKeeper;
pub use places::PlaceError;
use wait::{Ending, Watched};

/// What somebody wants run, and how.
#[derive(Debug)]
pub struct RunRequest {
    /// At least the program.
    pub argv: Vec<OsString>,
    pub locations: Locations,
    /// What flags and variables say.
    pub runtime: Runtime,
    pub prompt: Choice,
    pub report: Option<PathBuf>,
    pub timeout: Option<Duration>,
}

/// Why a run did not come about, or could not be brought to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("understand a rule ({origin})")]
    Policy { origin: String, source: CompileError },
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error("pass {word:?} to a program")]
    Word { word: OsString, source: NulError },
    #[error(transparent)]
    Program(#[from] sandbox::ProgramError),
    #[error("lay the floor")]
    Floor(#[from] sandbox::FloorError),
    #[error(transparent)]
    Filter(#[from] sandbox::FilterError),
    #[error(transparent)]
    Launch(#[from] sandbox::LaunchError),
    #[error("start the supervisor")]
    Supervise(#[from] supervisor::StartError),
    #[error(transparent)]
    Console(#[from] ConsoleError),
    #[error(transparent)]
    Prompt(#[from] prompt::AskerError),
    #[error("duplicate a standard stream")]
    Streams(#[source] io::Error),
    #[error("wait for the command")]
    Wait(#[source] io::Error),
    #[error(transparent)]
    Report(#[from] journal::ReportError),
}

impl RunError {
    /// 127 where the program was not found, 126 where it cannot be executed, else 125.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Launch(error) => error.exit_status(),
            Self::Program(error) => error.exit_status(),
            _ => 125,
        }
    }
}

/// Everything that is decided before the first fork.
struct Prepared {
    places: Places,
    live: Arc<LivePolicy>,
    environment: Environment,
    floor: Floor,
    filter: Filter,
    dns: Dns,
    limits: Limits,
    keep: Keep,
}

/// Runs the request to its end and returns askance's exit status.
pub fn run(request: RunRequest) -> Result<u8, RunError> {
    let started = Instant::now();
    let path = std::env::var_os("PATH");
    let program = resolve_program(&request.argv[0], path.as_deref(), &request.locations.cwd)?;
    // Removed with all that is in it when the run is over.
    let (prepared, temporary) = prepare(&request)?;
    let signals = wait::take_signals().map_err(RunError::Wait)?;
    let mut console = Console::attach()?;
    let Launched { listener, monitor } = sandbox::launch(child_plan(&request, program, &prepared, console.as_ref())?)?;
    if let Some(console) = &mut console {
        console.spawn_relay()?;
    }

    let journal = Arc::new(Journal::default());
    let asker = prompt::asker(request.prompt.clone(), console.as_ref().map(Console::gate))?;
    let floor = telling::floor(&prepared.floor);
    let (removed, limits) = (prepared.environment.removed.clone(), prepared.limits);
    let supervisor = supervise(&request, prepared, Served { listener, monitor: &monitor, journal: &journal, asker })?;
    let ending = monitor.start().map_err(RunError::Launch).and_then(|()| {
        let watched = Watched { monitor: &monitor, console: console.as_ref(), signals: &signals, limits: &limits, journal: &journal };
        wait::until_the_end(&watched).map_err(RunError::Wait)
    });
    let ended = monitor.end();
    supervisor.finish();
    drop(supervisor);
    if let Some(console) = console {
        console.finish();
    }
    let (ending, ()) = (ending?, ended.map_err(RunError::Wait)?);
    drop(temporary);

    telling::tell_denials(&journal);
    if let Some(path) = &request.report {
        let facts = telling::Facts { ending, duration: started.elapsed(), floor, removed };
        telling::report(&request, &journal, facts).write(path)?;
    }
    Ok(ending.exit_status())
}

fn prepare(request: &RunRequest) -> Result<(Prepared, TempDir), RunError> {
    let settings = Settings::load(&request.locations, request.runtime.clone())?;
    let (places, temporary) = places::make(&request.locations)?;
    let policy = compile(&settings, &places)?;
    let environment = environment::build(std::env::vars_os(), &settings.sandbox.env, &places);
    let floor = Floor::lay(&policy.silent(Operation::Read), &policy.silent(Operation::Write))?;
    let reads_everything = policy.reads_everything();
    let live = Arc::new(LivePolicy::new(policy));
    let dns = dns(&settings, Arc::clone(&live));
    let filter = Filter::compile(FilterPlan {
        trap_reads: !reads_everything,
        trap_exec: false,
        trap_receives: !dns.bind().is_ok_and(|stub| stub.on_port_53),
        trap_signals: !floor.scopes_signals(),
    })?;
    let mut limits = settings.sandbox.limits;
    if let Some(timeout) = request.timeout {
        limits.wall_time_ms = Some(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
    }
    let keep = if settings.sandbox.keep_root_capabilities { Keep::RootFiles } else { Keep::Nothing };
    Ok((Prepared { places, live, environment, floor, filter, dns, limits, keep }, temporary))
}

/// Compiles the lists; a bad entry is named with the file that it stands in.
fn compile(settings: &Settings, places: &Places) -> Result<Policy, RunError> {
    let real = places::RealPaths::default();
    Policy::compile(&settings.sandbox, places.clone(), &|path| real.of(path))
        .map_err(|source| RunError::Policy { origin: source.rule.source.to_string(), source })
}

/// Starts nothing: the first look-up does.
fn dns(settings: &Settings, live: Arc<LivePolicy>) -> Dns {
    let names = &settings.sandbox.network.nameservers;
    Dns::new(DnsConfig {
        nameservers: names.iter().map(|entry| entry.value.clone()).collect(),
        allowed: Box::new(move |name| live.now().name_is_allowed(name)),
    })
}

fn child_plan<'a>(
    request: &RunRequest,
    program: PathBuf,
    prepared: &'a Prepared,
    console: Option<&Console>,
) -> Result<ChildPlan<'a>, RunError> {
    let slaves = console.map(Console::child_stdio).transpose()?.unwrap_or_default();
    let controlling_terminal = slaves.iter().position(Option::is_some);
    let streams = sandbox::inherited_stdio().map_err(RunError::Streams)?;
    let mut stdio = slaves.into_iter().zip(streams).map(|(slave, stream)| slave.unwrap_or(stream));
    let mut next = || stdio.next().ok_or_else(|| RunError::Streams(io::ErrorKind::NotFound.into()));
    Ok(ChildPlan {
        argv: request.argv.iter().map(word).collect::<Result<_, _>>()?,
        program,
        env: prepared.environment.variables.clone(),
        cwd: request.locations.cwd.clone(),
        stdio: [next()?, next()?, next()?],
        controlling_terminal,
        limits: ProcessLimits { open_files: prepared.limits.open_files, no_core: false },
        keep: prepared.keep,
        floor: &prepared.floor,
        filter: &prepared.filter,
    })
}

fn word(word: &OsString) -> Result<CString, RunError> {
    CString::new(word.clone().into_vec()).map_err(|source| RunError::Word { word: word.clone(), source })
}

/// What supervision serves and reports to.
struct Served<'a> {
    listener: OwnedFd,
    monitor: &'a Monitor,
    journal: &'a Arc<Journal>,
    asker: Arc<dyn Asker>,
}

fn supervise(request: &RunRequest, prepared: Prepared, served: Served<'_>) -> Result<Arc<Supervisor>, RunError> {
    let Prepared { places, live, floor, dns, keep, .. } = prepared;
    let keeper =
        SettingsKeeper::new(request.locations.clone(), request.runtime.clone(), places, Arc::clone(served.journal));
    Ok(Supervisor::start(Setup {
        parts: Parts {
            listener: served.listener,
            policy: live,
            floor,
            monitor: served.monitor.pid(),
            dns,
            journal: Arc::clone(served.journal),
            keeper: Arc::new(keeper),
        },
        asker: served.asker,
        request: telling::one_line(&request.argv),
        keep,
    })?)
}
