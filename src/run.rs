//! The story of one run; only it names every stage.
//!
//! Settings → policy → floor and filter → launch → supervise → report → exit status.

mod environment;
mod keeper;
mod places;
mod wait;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::dns::{Dns, DnsConfig};
use crate::journal::{self, Journal, Report};
use crate::policy::{CompileError, Operation, Policy};
use crate::prompt;
use crate::sandbox::{self, ChildPlan, Filter, FilterPlan, Floor, Launched};
use crate::settings::{Locations, Runtime, Settings, SettingsError};
use crate::supervisor::{self, Parts, Setup, Supervisor};

use keeper::SettingsKeeper;
pub use places::PlaceError;
use wait::Ending;

/// What somebody wants run, and how.
#[derive(Debug)]
pub struct RunRequest {
    /// At least the program.
    pub argv: Vec<OsString>,
    pub locations: Locations,
    /// What flags and variables say.
    pub runtime: Runtime,
    pub prompt: prompt::Choice,
    pub report: Option<PathBuf>,
    pub timeout: Option<Duration>,
}

/// Why a run did not come about, or could not be brought to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("understand a rule of {origin}")]
    Policy { origin: String, source: CompileError },
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error("lay the floor")]
    Floor(#[from] sandbox::FloorError),
    #[error(transparent)]
    Filter(#[from] sandbox::FilterError),
    #[error(transparent)]
    Launch(#[from] sandbox::LaunchError),
    #[error("start the supervisor")]
    Supervise(#[from] supervisor::StartError),
    #[error(transparent)]
    Prompt(#[from] prompt::PromptError),
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

/// Runs the request to its end and returns the exit status of askance.
pub fn run(request: RunRequest) -> Result<u8, RunError> {
    let started = Instant::now();
    let settings = Settings::load(&request.locations, request.runtime.clone())?;
    let program = sandbox::resolve_program(&request.argv[0], &request.locations.cwd)?;
    let (places, temporary) = places::make(&request.locations)?;
    let policy = compile(&settings, &places)?;
    let environment = environment::build(std::env::vars_os(), &settings.sandbox.env, &places);

    let floor = Floor::lay(&policy.silent(Operation::Read), &policy.silent(Operation::Write))?;
    let dns = dns(&settings, &policy);
    let filter = Filter::compile(FilterPlan {
        trap_reads: !policy.reads_everything(),
        trap_exec: false,
        trap_receives: !dns.can_bind_port_53(),
        trap_signals: !floor.scopes_signals(),
    })?;
    let mut console = prompt::Console::attach()?;
    let limits = wait::limits(&settings.sandbox.limits, request.timeout);
    let keep_capabilities = settings.sandbox.keep_root_capabilities;
    let signals = wait::take_signals().map_err(RunError::Wait)?;
    let launched = sandbox::launch(&ChildPlan {
        program,
        argv: &request.argv,
        env: &environment.variables,
        cwd: &request.locations.cwd,
        stdio: console.child_stdio(),
        limits: &limits,
        keep_capabilities,
        floor: &floor,
        filter: &filter,
    })?;

    let journal = Arc::new(Journal::default());
    let report_floor = floor_report(&floor);
    let supervisor = supervise(Stage {
        request: &request,
        policy,
        floor,
        dns,
        launched: &launched,
        journal: &journal,
        places,
        console: &mut console,
        keep_capabilities,
    })?;
    launched.go().map_err(RunError::Wait)?;
    let ending = wait::until_the_end(&launched, &mut console, &signals, &limits);
    launched.end();
    supervisor.finish();
    console.finish();
    let ending = ending.map_err(RunError::Wait)?;
    drop(temporary);

    tell_denials(&journal);
    if let Some(path) = &request.report {
        report(&request, &journal, &ending, started, report_floor, environment.removed).write(path)?;
    }
    Ok(ending.exit_status())
}

/// Compiles the lists; a bad entry is named with the file that it stands in.
fn compile(settings: &Settings, places: &crate::policy::Places) -> Result<Policy, RunError> {
    Policy::compile(&settings.sandbox, places.clone())
        .map_err(|source| RunError::Policy { origin: source.rule.source.to_string(), source })
}

fn dns(settings: &Settings, policy: &Policy) -> Dns {
    let names = &settings.sandbox.network.nameservers;
    let policy = policy.clone();
    Dns::new(DnsConfig {
        nameservers: names.iter().map(|entry| entry.value.clone()).collect(),
        allowed: Box::new(move |name| policy.name_is_allowed(name)),
    })
}

/// What supervision needs of the stages before it.
struct Stage<'a> {
    request: &'a RunRequest,
    live: Arc<LivePolicy>,
    floor: Floor,
    dns: Dns,
    launched: &'a Launched,
    journal: &'a Arc<Journal>,
    places: crate::policy::Places,
    asker: Arc<dyn supervisor::Asker>,
    keep_capabilities: bool,
}

fn supervise(stage: Stage<'_>) -> Result<Arc<Supervisor>, RunError> {
    let request = stage.request;
    let listener = stage.launched.listener.try_clone().map_err(RunError::Wait)?;
    let keeper = SettingsKeeper::new(
        request.locations.clone(),
        request.runtime.clone(),
        stage.places,
        Arc::clone(stage.journal),
    );
    let supervisor = Supervisor::start(Setup {
        parts: Parts {
            listener,
            policy: stage.live,
            floor: stage.floor,
            monitor: stage.launched.monitor_pid,
            dns: stage.dns,
            journal: Arc::clone(stage.journal),
            keeper: Arc::new(keeper),
        },
        asker: stage.asker,
        request: one_line(&request.argv),
        keep_capabilities: stage.keep_capabilities,
    })?;
    Ok(supervisor)
}

fn one_line(argv: &[OsString]) -> String {
    argv.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// At the end of a run, what was denied and how to allow it: on standard error, never in the
/// command's output.
fn tell_denials(journal: &Journal) {
    let denied: Vec<_> = journal.denials().into_iter().filter(|denied| !denied.quiet).collect();
    for denial in denied.iter().take(TOLD_MAX) {
        let times = if denial.count > 1 { format!(" ({} times)", denial.count) } else { String::new() };
        let hint = denial.hint.as_ref().map(|hint| format!("; to allow it: {hint}")).unwrap_or_default();
        eprintln!("askance: denied {} {}{times}{hint}", denial.operation, prompt::visible(&denial.target));
    }
    if denied.len() > TOLD_MAX {
        eprintln!("askance: and {} more; --report FILE lists all", denied.len() - TOLD_MAX);
    }
    for note in journal.notes() {
        eprintln!("askance: {note}");
    }
}

/// Denials that are told on standard error; the report has all.
const TOLD_MAX: usize = 10;
