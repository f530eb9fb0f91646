//! What the run's second thread does beside the first one: it makes the command's environment, names and filter while
//! the policy is compiled, plans the floor while the request is approved, and lays it, which the first one then does too.

use std::sync::{Arc, OnceLock, mpsc};

use super::environment::{self, Environment};
use super::{RunError, dns};
use crate::dns::Dns;
use crate::policy::{Places, SilentYes};
use crate::sandbox::floor::Bound;
use crate::sandbox::{
    self, Directories, Filter, FilterPlan, Floor, FloorPlan, Groundwork, Laying, Nursery, Survey, Trap,
};
use crate::settings::{Layer, Settings};
use crate::supervisor::{LivePolicy, Ready};

/// What is begun with.
pub(super) struct Beginning {
    pub(super) settings: Arc<Settings>,
    pub(super) places: Places,
    pub(super) ground: Arc<Groundwork>,
    /// Where the command waits for its filter; nowhere without a sandbox.
    pub(super) trap: Option<Trap>,
    /// Will hold the policy that names are looked up by.
    pub(super) policy: Arc<OnceLock<Arc<LivePolicy>>>,
}

/// What the command will be surrounded by.
pub(super) struct Surroundings {
    pub(super) environment: Environment,
    pub(super) dns: Dns,
}

/// What the floor is planned by.
pub(super) struct Planning {
    pub(super) live: Arc<LivePolicy>,
    /// What may be read without a word.
    pub(super) read: SilentYes,
    pub(super) survey: Survey,
    pub(super) directories: Directories,
}

/// The request may start.
struct Go {
    /// There was a question first, which may have waited for hours: what the floor is planned by is looked at again.
    asked: bool,
}

/// The second thread's work.
pub(super) struct Ahead {
    surroundings: mpsc::Receiver<Result<Surroundings, RunError>>,
    planning: mpsc::SyncSender<Planning>,
    go: mpsc::SyncSender<Go>,
    laying: mpsc::Receiver<Result<Arc<Laying>, RunError>>,
    bound: mpsc::Receiver<Bound>,
    ready: Ready,
}

impl Ahead {
    pub(super) fn begin(beginning: Beginning) -> Result<Self, RunError> {
        let (surrounds, surroundings) = mpsc::sync_channel(1);
        let (planning, planned) = mpsc::sync_channel(1);
        let (go, goes) = mpsc::sync_channel(1);
        let (lays, laying) = mpsc::sync_channel(1);
        let (binds, bound) = mpsc::sync_channel(1);
        let keep_root_capabilities = beginning.settings.sandbox.keep_root_capabilities;
        // Whoever does not wait any more needs none of it.
        let work = move || {
            let ground = Arc::clone(&beginning.ground);
            let (all, later) = match surround(beginning) {
                Ok(done) => done,
                Err(error) => return drop(surrounds.send(Err(error))),
            };
            let _ = surrounds.send(Ok(all));
            let Ok(planning) = planned.recv() else { return };
            let plan = plan(&planning, later, &goes);
            // Both threads use it to the end, and the kernel takes it back.
            std::mem::forget(planning);
            match plan {
                Some(Ok(plan)) => {
                    let laying = Arc::new(Laying::new(ground, plan));
                    let _ = lays.send(Ok(Arc::clone(&laying)));
                    let mine = laying.bind();
                    drop(laying);
                    let _ = binds.send(mine);
                }
                Some(Err(error)) => drop(lays.send(Err(error))),
                None => {}
            }
        };
        let ready = Ready::after(work, keep_root_capabilities)?;
        Ok(Self { surroundings, planning, go, laying, bound, ready })
    }

    /// Has the floor planned.
    pub(super) fn plan(&self, planning: Planning) {
        // Where the thread has died, it is missed when its work is waited for.
        let _ = self.planning.send(planning);
    }

    /// What was begun with, once.
    pub(super) fn surroundings(&self) -> Result<Surroundings, RunError> {
        Ready::wait(&self.surroundings).map_err(|_| RunError::Ahead)?
    }

    /// Has the floor laid, with the rules for the run's own directories, which are there by now. Gives what helps and
    /// waits for it, and the thread that receives afterwards.
    pub(super) fn lay(
        self,
        asked: bool,
        nursery: Option<Nursery>,
    ) -> (impl FnOnce() -> Result<Floor, RunError>, Ready) {
        let Self { go, laying, bound, ready, .. } = self;
        let _ = go.send(Go { asked });
        let floor = move || {
            let laying = Ready::wait(&laying).map_err(|_| RunError::Ahead)??;
            let mine = laying.bind();
            let theirs = Ready::wait(&bound).map_err(|_| RunError::Ahead)?;
            // The other has let go of it by now.
            let laying = Arc::into_inner(laying).ok_or(RunError::Ahead)?;
            Ok(laying.finish([mine, theirs], nursery))
        };
        (floor, ready)
    }
}

/// A filter that waits for the policy.
type Later = Option<(Trap, FilterPlan)>;

fn surround(beginning: Beginning) -> Result<(Surroundings, Later), RunError> {
    let Beginning { settings, places, ground, trap, policy } = beginning;
    let dns = dns(&settings, policy)?;
    let plan = FilterPlan {
        trap_reads: true,
        trap_exec: true,
        trap_receives: !dns.bind().is_ok_and(|stub| stub.on_port_53),
        trap_signals: !ground.scopes_signals(),
    };
    // The built-in settings deny reads: only where somebody allows some can there be nothing to trap.
    let reading = &settings.sandbox.filesystem.allow_read;
    let later = match trap {
        Some(trap) if reading.iter().all(|entry| entry.source.layer == Layer::Default) => {
            set(trap, plan)?;
            None
        }
        trap => trap.map(|trap| (trap, plan)),
    };
    let environment = environment::build(std::env::vars_os(), &settings.sandbox.env, &places);
    std::mem::forget(settings);
    Ok((Surroundings { environment, dns }, later))
}

fn set(trap: Trap, plan: FilterPlan) -> Result<(), RunError> {
    Ok(trap.set(&Filter::compile(plan)?)?)
}

/// The rules of the floor, when the request may start.
fn plan(planning: &Planning, later: Later, goes: &mpsc::Receiver<Go>) -> Option<Result<FloorPlan, RunError>> {
    let policy = planning.live.now();
    if let Some((trap, plan)) = later
        && let Err(error) = set(trap, FilterPlan { trap_reads: !policy.reads_everything(), ..plan })
    {
        return Some(Err(error));
    }
    let rules = |read: &SilentYes, survey: &Survey| {
        FloorPlan::new((read, &planning.live.now().silent_writing()), survey, Some(&planning.directories))
    };
    let planned = rules(&planning.read, &planning.survey);
    let Go { asked } = goes.recv().ok()?;
    Some(Ok(match asked {
        true => rules(&planning.live.now().silent_reading(&sandbox::search), &Survey::default()),
        false => planned,
    }))
}
