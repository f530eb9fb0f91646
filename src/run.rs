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
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::dns::{Dns, DnsConfig, Nameserver, NameserverError};
use crate::journal::{self, Journal};
use crate::policy::{CompileError, Operation, Places, Policy};
use crate::prompt::{Choice, Console, ConsoleError, PromptError, Situation};
use crate::sandbox::{self, ChildPlan, Filter, FilterPlan, Floor, Launched, ProcessLimits, resolve_program};
use crate::settings::{Limits, Locations, Settings, SettingsError, Sourced};
use crate::supervisor::{self, Asker, LivePolicy, Parts, Setup, Supervisor};

use environment::Environment;
use keeper::SettingsKeeper;
pub use places::{NothingYet, PlaceError};
use wait::Watched;

/// Loads and merges every layer.
pub type Load = dyn Fn() -> Result<Settings, SettingsError> + Send + Sync;

/// What somebody wants run, and how.
pub struct RunRequest {
    /// At least the program.
    pub argv: Vec<OsString>,
    pub locations: Locations,
    /// Loads the settings of all layers: at the start, and again when a file has changed.
    pub load: Arc<Load>,
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
    #[error("use a name server ({origin})")]
    Nameserver { origin: String, source: NameserverError },
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error("pass {word:?} to a program")]
    Word { word: OsString, source: NulError },
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
    Prompt(#[from] PromptError),
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
    keep_root_capabilities: bool,
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
    let launched = Arc::new(sandbox::launch(child_plan(&request, program, &prepared, console.as_ref())?)?);
    if let Some(console) = &mut console {
        console.spawn_relay()?;
    }

    let journal = Arc::new(Journal::default());
    let asker = asker(&request, console.as_ref(), &launched)?;
    let floor = telling::floor(&prepared.floor);
    let (removed, limits) = (prepared.environment.removed.clone(), prepared.limits);
    let served = Served { launched: &launched, journal: &journal, asker };
    let supervisor = supervise(&request, prepared, served)?;
    let ending = launched.go().map_err(RunError::Launch).and_then(|()| {
        let console = console.as_ref();
        let watched = Watched { launched: &launched, console, signals: &signals, limits: &limits, journal: &journal };
        wait::until_the_end(&watched).map_err(RunError::Wait)
    });
    let ended = launched.end();
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
    let settings = (request.load)()?;
    let (places, temporary) = places::make(&request.locations)?;
    let policy = compile(&settings, &places)?;
    let environment = environment::build(std::env::vars_os(), &settings.sandbox.env, &places);
    let floor = Floor::lay(&policy.silent(Operation::Read), &policy.silent(Operation::Write))?;
    let reads_everything = policy.reads_everything();
    let live = Arc::new(LivePolicy::new(policy));
    let dns = dns(&settings, Arc::clone(&live))?;
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
    let keep_root_capabilities = settings.sandbox.keep_root_capabilities;
    Ok((Prepared { places, live, environment, floor, filter, dns, limits, keep_root_capabilities }, temporary))
}

/// The policy of a run that would start now; makes nothing and starts nothing.
pub fn foresee(locations: &Locations, settings: &Settings) -> Result<Policy, RunError> {
    compile(settings, &places::foreseen(locations))
}

/// Compiles the lists; a bad entry is named with the file that it stands in.
fn compile(settings: &Settings, places: &Places) -> Result<Policy, RunError> {
    let real = places::RealPaths::default();
    Policy::compile(&settings.sandbox, places.clone(), &|path| real.of(path))
        .map_err(|source| RunError::Policy { origin: source.rule.source.to_string(), source })
}

/// Starts nothing: the first look-up does. A bad entry is named with the file that it stands in.
fn dns(settings: &Settings, live: Arc<LivePolicy>) -> Result<Dns, RunError> {
    let entries = settings.sandbox.network.nameservers.iter();
    let parse = |entry: &Sourced<String>| {
        Nameserver::parse(&entry.value)
            .map_err(|source| RunError::Nameserver { origin: entry.source.to_string(), source })
    };
    Ok(Dns::new(DnsConfig {
        nameservers: entries.map(parse).collect::<Result<_, _>>()?,
        allowed: Box::new(move |name| live.now().name_is_allowed(name)),
    }))
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
        keep_root_capabilities: prepared.keep_root_capabilities,
        floor: &prepared.floor,
        filter: &prepared.filter,
    })
}

fn word(word: &OsString) -> Result<CString, RunError> {
    CString::new(word.clone().into_vec()).map_err(|source| RunError::Word { word: word.clone(), source })
}

/// Who answers. Ctrl-C at a question denies it and interrupts the command.
fn asker(request: &RunRequest, console: Option<&Console>, launched: &Arc<Launched>) -> Result<Arc<dyn Asker>, RunError> {
    let launched = Arc::downgrade(launched);
    let interrupt = Arc::new(move || {
        if let Some(launched) = launched.upgrade() {
            // A command that is over needs no signal.
            let _ = launched.signal(libc::SIGINT);
        }
    });
    let situation = Situation { home: request.locations.home.clone(), gate: console.map(Console::gate), interrupt };
    Ok(request.prompt.asker(situation)?)
}

/// What supervision serves and reports to.
struct Served<'a> {
    launched: &'a Launched,
    journal: &'a Arc<Journal>,
    asker: Arc<dyn Asker>,
}

fn supervise(request: &RunRequest, prepared: Prepared, served: Served<'_>) -> Result<Arc<Supervisor>, RunError> {
    let Prepared { places, live, floor, dns, keep_root_capabilities, .. } = prepared;
    let keeper = SettingsKeeper::new(request.locations.clone(), Arc::clone(&request.load), places, Arc::clone(served.journal));
    Ok(Supervisor::start(Setup {
        parts: Parts {
            listener: served.launched.listener.try_clone().map_err(RunError::Wait)?,
            policy: live,
            floor,
            monitor: served.launched.monitor_pid,
            dns,
            journal: Arc::clone(served.journal),
            keeper: Arc::new(keeper),
        },
        asker: served.asker,
        request: telling::one_line(&request.argv),
        keep_root_capabilities,
    })?)
}
