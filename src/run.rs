//! The story of one run; only it names every stage.
//!
//! Settings → policy → floor and filter → launch → supervise → report → exit status.

mod ahead;
mod commands;
mod end;
mod environment;
mod hooks;
mod keeper;
mod meter;
mod outlet;
mod places;
mod prepare;
mod spec;
mod streams;
mod subject;
mod telling;
mod terminal;
mod unconfined;
mod wait;

use std::ffi::{CString, NulError, OsString};
use std::io;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use crate::approval::{self, Authority, BadPattern, Chosen, Risk};
use crate::dns::NameserverError;
use crate::journal::{self, Decision, Exit, FloorReport, Journal};
use crate::policy::{CompileError, Places, Policy};
use crate::prompt::{Choice, Console, ConsoleError, PromptError, Situation};
use crate::sandbox::{self, ChildPlan, Laid, Launched, Launching, Nursery, Scaffold, Survey, resolve_program};
use crate::session::{Kind, NoMission, Session};
use crate::settings::{AutonomyLevel, InteractionMode, Locations, Settings, SettingsError};
use crate::supervisor::{self, Asker, Parts, Setup, Supervisor};

use end::{Concluded, conclude};
use hooks::Opinion;
use meter::Meter;
use outlet::Outlet;
pub use outlet::Output;
pub use places::PlaceError;
use prepare::{Prepared, prepare};
use streams::Streams;
pub use subject::{Subject, Tool};
use wait::Watched;

/// Loads and merges every layer.
pub type Load = dyn Fn() -> Result<Settings, SettingsError> + Send + Sync;

/// What somebody wants run, and how.
pub struct RunRequest {
    pub subject: Subject,
    /// How much starts unasked, as far as flags say.
    pub chosen: Chosen,
    /// What the level, the mode and the grants of other runs are taken from.
    pub session: Arc<Session>,
    /// The level where nobody says one.
    pub unsaid: AutonomyLevel,
    pub approving: Approving,
    /// What the caller says of the risk, and why.
    pub declared: Option<(Risk, String)>,
    pub locations: Locations,
    /// Loads the settings of all layers: at the start, and again when a file has changed.
    pub load: Arc<Load>,
    pub prompt: Choice,
    /// What is printed about the run.
    pub output: Output,
    pub report: Option<journal::Place>,
    pub timeout: Option<Duration>,
    /// The inherited descriptor of a master whose pseudo-terminal is the command's.
    pub terminal: Option<RawFd>,
}

/// Whether risk, deny list and interlocks keep a request from starting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approving {
    ByRisk,
    /// `--skip-permissions-unsafe`: only the block list and spec mode refuse.
    Skipped,
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
    #[error("use descriptor {number}, the master of the command's terminal")]
    Terminal { number: RawFd, source: io::Error },
    #[error("give the command a terminal: sandbox.enabled is false, and what has no sandbox gets none")]
    NoTerminal,
    #[error("print what the run came to")]
    Print(#[source] io::Error),
    #[error("wait for the command")]
    Wait(#[source] io::Error),
    #[error(transparent)]
    Report(#[from] journal::ReportError),
    #[error("plan the floor: the thread that does it has died")]
    Ahead,
    #[error(transparent)]
    Pattern(#[from] BadPattern),
    #[error(transparent)]
    Mission(#[from] NoMission),
    #[error("refused: {reason}; to allow it: {hint}")]
    Refused { reason: String, hint: String },
}

/// The exit status of what was refused.
const REFUSED: u8 = 126;

impl RunError {
    /// 127 where the program was not found, 126 where it cannot be executed, else 125.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Launch(error) => error.exit_status(),
            Self::Refused { .. } | Self::Mission(_) => REFUSED,
            _ => 125,
        }
    }
}

/// Runs the request to its end and returns askance's exit status.
pub fn run(mut request: RunRequest) -> Result<u8, RunError> {
    let outlet = Outlet::new(request.output).map_err(RunError::Streams)?;
    let since = Instant::now();
    let outcome = match begin(&mut request) {
        Ok(begun) => carry_out(&request, begun, &outlet),
        Err(error) => Err(telling::report_early(&request, error, &outlet, since)),
    };
    outcome.inspect_err(|error| {
        // The error itself is what the caller gets.
        let _ = outlet.failed(error);
    })
}

/// What is known before anything is made.
struct Begun {
    settings: Settings,
    authority: Authority,
    opinion: Option<Opinion>,
}

/// Loads the settings and asks their hooks, which may rewrite the request.
fn begin(request: &mut RunRequest) -> Result<Begun, RunError> {
    let settings = (request.load)()?;
    let authority = request.session.authority(&settings.approval, request.chosen, request.unsaid)?;
    if request.approving == Approving::Skipped {
        commands::may_skip(&settings.approval, authority)?;
    }
    let opinion = hooks::consult(&settings.approval.hooks, request, authority);
    Ok(Begun { settings, authority, opinion })
}

fn carry_out(request: &RunRequest, begun: Begun, outlet: &Outlet) -> Result<u8, RunError> {
    let started = Instant::now();
    let path = std::env::var_os("PATH");
    let program = resolve_program(&request.subject.argv()[0], path.as_deref(), &request.locations.cwd)?;
    let journal = Arc::new(Journal::begin(outlet.stream().cloned()));
    let mut console = Console::attach()?;
    let sandbox = &begun.settings.sandbox;
    let mut meter = Meter::new(sandbox.limits.output_bytes, outlet);
    let streams = sandbox.enabled.then(|| Streams::of(request, console.as_ref(), meter.as_mut()));
    let mut streams = streams.transpose()?;
    let terminal = streams.as_mut().and_then(|streams| streams.terminal.take());
    let mut prepared = prepare(request, begun, streams, &journal)?;
    let command: Arc<OnceLock<Weak<Launched>>> = Arc::default();
    let situation = situation(request, console.as_ref(), outlet, Arc::clone(&command));
    let asker = asker(request, &prepared, situation)?;
    let decision = approve(request, &mut prepared, &asker, &journal, started)?;
    outlet.started(|| telling::started(request, &journal, &decision));
    let Some(waiting) = prepared.waiting.take() else {
        let _temporary = places::make_temporary(&prepared.directories)?;
        let ending = unconfined::run(request, &program, &prepared.environment, meter, &journal)?;
        let (floor, removed) = (FloorReport::default(), prepared.environment.removed);
        let facts = telling::Facts { decision, exit: ending.report(), duration: started.elapsed(), floor, removed };
        return conclude(request, outlet, &journal, Concluded { status: ending.exit_status(), facts });
    };
    if let (Some(number), Some(terminal), Some(meter)) = (request.terminal, terminal, &mut meter) {
        terminal.carry(meter).map_err(|source| RunError::Terminal { number, source })?;
    }
    let signals = wait::take_signals().map_err(RunError::Wait)?;
    let launching = waiting.launch(child_plan(request, program, &prepared)?)?;
    let (own, nursery) = places::furnish(&prepared.directories, &journal)?;
    prepared.confine()?;
    let (removed, limits) = (prepared.environment.removed.clone(), prepared.limits);
    let served = Served { launching, nursery, journal: &journal, asker };
    let Supervised { supervisor, launched, floor, scaffold } = supervise(request, prepared, served)?;
    // Set once: there is one command.
    let _ = command.set(Arc::downgrade(&launched));
    if let Some(console) = &mut console {
        console.spawn_relay()?;
    }
    let group = wait::group(&launched, &limits);
    let ending = launched.go().map_err(RunError::Launch).and_then(|()| {
        // The program has its first pages to find: nobody waits for these two.
        supervisor.rehearse();
        drop(scaffold);
        let console = console.as_ref();
        let (launched, signals, limits, group) = (&*launched, &signals, &limits, group.as_ref());
        let (meter, reader) = (meter.as_ref(), outlet.reader());
        let watched = Watched { launched, console, signals, limits, group, meter, reader, journal: &journal };
        wait::until_the_end(&watched, || supervisor.stand_by())
    });
    let ended = end::take_down(&launched, &ending, end::Running { supervisor, console, meter, group, own });
    let (ending, spent) = (ending?, ended.map_err(RunError::Wait)?);
    let ending = if spent { wait::outgrew_output(&journal) } else { ending };
    let facts = telling::Facts { decision, exit: ending.report(), duration: started.elapsed(), floor, removed };
    conclude(request, outlet, &journal, Concluded { status: ending.exit_status(), facts })
}

/// Lets the request start, or says why not.
fn approve(
    request: &RunRequest,
    prepared: &mut Prepared,
    asker: &Arc<dyn Asker>,
    journal: &Journal,
    started: Instant,
) -> Result<Decision, RunError> {
    let commands = &prepared.commands;
    let verdict = commands.judge(request, prepared.authority);
    let verdict = commands::with_opinion(verdict, prepared.opinion.take());
    if request.approving == Approving::Skipped {
        commands::warn_of_skipping(journal);
    }
    let allowed = match verdict.decision {
        approval::Decision::Allow => true,
        approval::Decision::Refuse => false,
        approval::Decision::Ask if request.approving == Approving::Skipped => {
            return Ok(commands::skipped(&verdict));
        }
        approval::Decision::Ask if commands.allowed_in_session(request, &verdict) => true,
        approval::Decision::Ask => {
            let question = commands.question(request, &verdict, prepared.authority);
            let answer = commands::ask(request, &question, asker);
            journal.question(commands::record(&question, &answer));
            let allowed = question.permit(&answer).is_some();
            if allowed {
                prepared.keeper.keep_start(&verdict, &question, &answer);
            }
            prepared.asked = true;
            allowed
        }
    };
    if !allowed {
        let error = commands::refusal(&verdict, prepared.authority);
        if let Some(place) = &request.report {
            let facts = telling::Facts {
                decision: commands::refused(&verdict),
                exit: Exit::Code(i32::from(error.exit_status())),
                duration: started.elapsed(),
                floor: FloorReport { landlock_abi: prepared.ground.abi(), missing: Vec::new() },
                removed: prepared.environment.removed.clone(),
            };
            telling::report(request, journal, facts).write(place)?;
        }
        return Err(error);
    }
    // What was answered for the request is not asked again when it comes to it.
    commands.let_start(&verdict);
    if verdict.quiet_git {
        // It counts as read-only because Git runs nothing that its repository names.
        prepared.environment.configure_git(&approval::QUIET);
    }
    Ok(commands::decision(&verdict))
}

/// A level that a person chose by a flag is the session's, and the next one's too. What a program
/// passes holds for this run.
fn remember(request: &RunRequest, settings: &Settings, journal: &Journal) {
    let Some(level) = request.chosen.level else { return };
    if request.session.kind() == Kind::Interactive
        && request.prompt.is_attended()
        && let Err(error) = request.session.set_level(&settings.approval, level)
    {
        journal.note(format!("the level holds for this run only: failed to {}", journal::chain(&error)));
    }
}

/// The policy of a run that would start now; makes nothing and starts nothing.
pub fn foresee(locations: &Locations, settings: &Settings) -> Result<Policy, RunError> {
    compile(settings, &places::foreseen(locations), &Survey::default())
}

/// Compiles the lists; a bad entry is named with the file that it stands in.
fn compile(settings: &Settings, places: &Places, survey: &Survey) -> Result<Policy, RunError> {
    Ok(Policy::compile(&settings.sandbox, places.clone(), &|path| survey.look(path).elsewhere)?)
}

impl From<CompileError> for RunError {
    fn from(source: CompileError) -> Self {
        Self::Policy { origin: source.rule.source.to_string(), source }
    }
}

fn child_plan<'a>(request: &RunRequest, program: PathBuf, prepared: &'a Prepared) -> Result<ChildPlan<'a>, RunError> {
    Ok(ChildPlan {
        argv: request.subject.argv().iter().map(word).collect::<Result<_, _>>()?,
        program,
        env: prepared.environment.variables.clone(),
        directories: Some(&prepared.directories),
    })
}

fn word(word: &OsString) -> Result<CString, RunError> {
    CString::new(word.clone().into_vec()).map_err(|source| RunError::Word { word: word.clone(), source })
}

/// What an asker needs. Ctrl-C at a question denies it and interrupts the command, once there is one.
fn situation(
    request: &RunRequest,
    console: Option<&Console>,
    outlet: &Outlet,
    command: Arc<OnceLock<Weak<Launched>>>,
) -> Situation {
    let interrupt = Arc::new(move || {
        if let Some(launched) = command.get().and_then(Weak::upgrade) {
            // A command that is over needs no signal.
            let _ = launched.signal(libc::SIGINT);
        }
    });
    let (home, gate) = (request.locations.home.clone(), console.map(Console::gate));
    Situation { home, gate, interrupt, stream: outlet.stream().cloned() }
}

/// Who answers. Spec mode asks nothing: what it does not allow it refuses.
fn asker(request: &RunRequest, prepared: &Prepared, situation: Situation) -> Result<Arc<dyn Asker>, RunError> {
    let prompt = if prepared.authority.mode == InteractionMode::Spec { &Choice::Deny } else { &request.prompt };
    Ok(prompt.asker(situation)?)
}

/// What supervision serves and reports to.
struct Served<'a> {
    launching: Launching,
    nursery: Option<Nursery>,
    journal: &'a Arc<Journal>,
    asker: Arc<dyn Asker>,
}

/// A command that waits for word to go, and what looks after it.
struct Supervised {
    supervisor: Arc<Supervisor>,
    launched: Arc<Launched>,
    floor: FloorReport,
    scaffold: Scaffold,
}

/// Makes everything ready while the command is being confined and the floor is laid.
fn supervise(request: &RunRequest, prepared: Prepared, served: Served<'_>) -> Result<Supervised, RunError> {
    let Prepared { live, ahead, dns, commands, keeper, keep_root_capabilities, .. } = prepared;
    let Served { launching, nursery, journal, asker } = served;
    let (floor, ready) = ahead.lay(nursery);
    let setup = Setup {
        parts: Parts {
            policy: live,
            monitor: launching.monitor_pid(),
            dns,
            journal: Arc::clone(journal),
            keeper,
            executions: commands,
        },
        asker,
        request: request.subject.line(),
        keep_root_capabilities,
    };
    let mut confined = None;
    let supervisor = Supervisor::start(setup, ready, || {
        let Laid { floor, scaffold } = floor()?;
        let (launched, listener) = launching.confined()?;
        confined = Some((Arc::new(launched), telling::floor(&floor), scaffold));
        Ok::<_, RunError>((floor, listener))
    })?;
    let (launched, floor, scaffold) = confined.expect("the supervisor has its listener");
    Ok(Supervised { supervisor, launched, floor, scaffold })
}
