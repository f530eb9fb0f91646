//! What a run is made of, before it is approved: the command waits in its sandbox, two threads compile the policy.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use super::ahead::{Ahead, Planning};
use super::commands::Commands;
use super::environment::{self, Environment};
use super::hooks::Opinion;
use super::keeper::{self, SettingsKeeper};
use super::streams::Streams;
use super::{Begun, RunError, RunRequest, compile, places, remember, spec};
use crate::approval::Authority;
use crate::dns::{Dns, DnsConfig, Nameserver};
use crate::journal::Journal;
use crate::policy::{Places, Policy, SilentYes};
use crate::sandbox::{self, Directories, Filter, FilterPlan, Groundwork, ProcessLimits, Survey, Trap};
use crate::settings::{InteractionMode, Limits, Settings, Sourced, Text};
use crate::supervisor::LivePolicy;

/// Everything that is decided before the request is approved.
pub(super) struct Prepared {
    /// Nothing where `sandbox.enabled` is false.
    pub(super) waiting: Option<sandbox::Waiting>,
    trap: Option<Trap>,
    pub(super) live: Arc<LivePolicy>,
    pub(super) environment: Environment,
    pub(super) ground: Arc<Groundwork>,
    pub(super) ahead: Ahead,
    /// Was there a question about the start?
    pub(super) asked: bool,
    pub(super) directories: Directories,
    pub(super) dns: Dns,
    pub(super) limits: Limits,
    pub(super) commands: Arc<Commands>,
    pub(super) authority: Authority,
    /// What hooks said.
    pub(super) opinion: Option<Opinion>,
    pub(super) keeper: Arc<SettingsKeeper>,
    pub(super) keep_root_capabilities: bool,
}

/// Begins the command, if there are streams for it in a sandbox, and the second thread.
pub(super) fn prepare(
    request: &RunRequest,
    begun: Begun,
    streams: Option<Streams>,
    journal: &Arc<Journal>,
) -> Result<Prepared, RunError> {
    let Begun { mut settings, authority, opinion } = begun;
    remember(request, &settings, journal);
    let mut places = places::find(&request.locations)?;
    if authority.mode == InteractionMode::Spec {
        places.read_only = true;
        spec::restrict(&mut settings.sandbox);
    }
    let ground = Arc::new(Groundwork::new()?);
    let begin = |streams| begin(request, &settings, streams, &ground);
    let (waiting, trap) = streams.map(begin).transpose()?.unzip();
    let settings = Arc::new(settings);
    let ahead = Ahead::begin(Arc::clone(&settings), &places, Arc::clone(&ground))?;
    let survey = Survey::default();
    let (policy, read) = compiled(request, &settings, (&mut places, &survey), (&ahead, journal))?;
    let live = Arc::new(LivePolicy::new(policy));
    let directories = Directories { temporary: places.temporary.clone(), nursery: places.nursery.clone() };
    ahead.plan(Planning { live: Arc::clone(&live), read, survey, directories: directories.clone() });
    let dns = dns(&settings, Arc::clone(&live))?;
    let mut limits = settings.sandbox.limits;
    if let Some(timeout) = request.timeout {
        limits.wall_time_ms = Some(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
    }
    let commands = Arc::new(Commands::new(&settings, &places, Arc::clone(&live), request)?);
    keep(&live);
    keep(&commands);
    keep(&settings);
    Ok(Prepared {
        waiting,
        trap,
        live,
        environment: environment::build(std::env::vars_os(), &settings.sandbox.env, &places),
        ground,
        ahead,
        asked: false,
        directories,
        dns,
        limits,
        commands,
        authority,
        opinion,
        keeper: Arc::new(SettingsKeeper::new(request, settings.approval.clone(), places, Arc::clone(journal))),
        keep_root_capabilities: settings.sandbox.keep_root_capabilities,
    })
}

fn begin(
    request: &RunRequest,
    settings: &Settings,
    streams: Streams,
    ground: &Groundwork,
) -> Result<(sandbox::Waiting, Trap), RunError> {
    let sandbox = &settings.sandbox;
    Ok(sandbox::begin(sandbox::Beginning {
        cwd: &request.locations.cwd,
        stdio: streams.stdio,
        controlling_terminal: streams.controlling_terminal,
        limits: ProcessLimits { open_files: sandbox.limits.open_files, no_core: false },
        keep_root_capabilities: sandbox.keep_root_capabilities,
        floor: ground.as_fd(),
    })?)
}

/// The policy, and what may be read without a word. Names the nursery, where the policy asks for one.
fn compiled(
    request: &RunRequest,
    settings: &Settings,
    (places, survey): (&mut Places, &Survey),
    (ahead, journal): (&Ahead, &Journal),
) -> Result<(Policy, SilentYes), RunError> {
    let real = |path: &Path| survey.look(path).elsewhere;
    let policy = Policy::compile_beside(&settings.sandbox, places.clone(), &real, |_| ahead.others())?;
    let mut policy = keeper::in_session(policy, &request.session);
    let read = policy.silent_reading(&sandbox::search);
    places.nursery = places::nursery(places, &read, journal);
    if places.nursery.is_some() {
        policy = keeper::in_session(compile(settings, places, survey)?, &request.session);
    }
    Ok((policy, read))
}

impl Prepared {
    /// Has the floor laid, and the command put itself under the filter that the policy needs. In this order: whoever lays
    /// the floor waits for nothing else, and this thread helps when it is done with the rest.
    pub(super) fn confine(&mut self) -> Result<(), RunError> {
        self.ahead.go(self.asked);
        let Some(trap) = self.trap.take() else { return Ok(()) };
        let filter = Filter::compile(FilterPlan {
            trap_reads: !self.live.now().reads_everything(),
            trap_exec: true,
            trap_receives: !self.dns.bind().is_ok_and(|stub| stub.on_port_53),
            trap_signals: !self.ground.scopes_signals(),
        })?;
        trap.set(&filter)?;
        // The command, which may not even have begun, is on this processor: it has the filter installed beside the floor.
        thread::yield_now();
        Ok(())
    }
}

/// Lists are needed to the end, and a process serves one run: the kernel takes them back at once, where
/// taking them apart would touch every page that the forks share.
fn keep<T>(lists: &Arc<T>) {
    std::mem::forget(Arc::clone(lists));
}

/// Starts nothing: the first look-up does. A bad entry is named with the file that it stands in.
fn dns(settings: &Settings, live: Arc<LivePolicy>) -> Result<Dns, RunError> {
    let entries = settings.sandbox.network.nameservers.iter();
    let parse = |entry: &Sourced<Text>| {
        Nameserver::parse(&entry.value)
            .map_err(|source| RunError::Nameserver { origin: entry.source.to_string(), source })
    };
    Ok(Dns::new(DnsConfig {
        nameservers: entries.map(parse).collect::<Result<_, _>>()?,
        allowed: Box::new(move |name| live.now().name_is_allowed(name)),
    }))
}
