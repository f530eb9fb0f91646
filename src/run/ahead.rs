//! What the run's second thread does beside the first one: it compiles the lists that are not for reading, plans the
//! floor while the request is approved, and lays it, which the first one then does too.

use std::sync::{Arc, mpsc};

use super::RunError;
use crate::policy::{CompileError, OtherLists, Places, SilentYes};
use crate::sandbox::{self, Bound, Directories, FloorPlan, Groundwork, Laid, Laying, Nursery, Survey};
use crate::settings::Settings;
use crate::supervisor::{LivePolicy, Ready};

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
    others: mpsc::Receiver<Result<OtherLists, CompileError>>,
    planning: mpsc::SyncSender<Planning>,
    go: mpsc::SyncSender<Go>,
    laying: mpsc::Receiver<Arc<Laying>>,
    bound: mpsc::Receiver<Bound>,
    ready: Ready,
}

impl Ahead {
    pub(super) fn begin(settings: Arc<Settings>, places: &Places, ground: Arc<Groundwork>) -> Result<Self, RunError> {
        let (compiled, others) = mpsc::sync_channel(1);
        let (planning, planned) = mpsc::sync_channel::<Planning>(1);
        let (go, goes) = mpsc::sync_channel(1);
        let (lays, laying) = mpsc::sync_channel(1);
        let (binds, bound) = mpsc::sync_channel(1);
        let (places, keep_root_capabilities) = (places.clone(), settings.sandbox.keep_root_capabilities);
        // Whoever does not wait any more needs none of it.
        let work = move || {
            let mut survey = Survey::default();
            let real = |path: &std::path::Path| survey.look(path).elsewhere;
            let _ = compiled.send(OtherLists::compile(&settings.sandbox, &places, &real));
            let Ok(planning) = planned.recv() else { return };
            let Planning { live, read, survey: seen, directories } = planning;
            survey.absorb(seen);
            let Some(plan) = plan(&live, &read, &survey, &directories, &goes) else { return };
            // The kernel takes it back.
            std::mem::forget((read, survey));
            let laying = Arc::new(Laying::new(ground, plan));
            let _ = lays.send(Arc::clone(&laying));
            let mine = laying.bind();
            drop(laying);
            let _ = binds.send(mine);
        };
        let ready = Ready::after(work, keep_root_capabilities)?;
        Ok(Self { others, planning, go, laying, bound, ready })
    }

    /// The lists that are not for reading, once.
    pub(super) fn others(&self) -> Result<OtherLists, RunError> {
        Ok(Ready::wait(&self.others).map_err(|_| RunError::Ahead)??)
    }

    /// Has the floor planned.
    pub(super) fn plan(&self, planning: Planning) {
        // Where the thread has died, it is missed when its work is waited for.
        let _ = self.planning.send(planning);
    }

    /// Has the floor laid as soon as it is planned, with the rules for the run's own directories, which are there by now.
    pub(super) fn go(&self, asked: bool) {
        let _ = self.go.send(Go { asked });
    }

    /// After [`Self::go`]: gives what helps to lay the floor and waits for it, and the thread that receives afterwards.
    pub(super) fn lay(self, nursery: Option<Nursery>) -> (impl FnOnce() -> Result<Laid, RunError>, Ready) {
        let Self { laying, bound, ready, .. } = self;
        let floor = move || {
            let laying = Ready::wait(&laying).map_err(|_| RunError::Ahead)?;
            let mine = laying.bind();
            let theirs = Ready::wait(&bound).map_err(|_| RunError::Ahead)?;
            // The other has let go of it by now.
            let laying = Arc::into_inner(laying).ok_or(RunError::Ahead)?;
            Ok(laying.finish([mine, theirs], nursery))
        };
        (floor, ready)
    }
}

/// The rules of the floor, when the request may start.
fn plan(
    live: &LivePolicy,
    read: &SilentYes,
    survey: &Survey,
    directories: &Directories,
    goes: &mpsc::Receiver<Go>,
) -> Option<FloorPlan> {
    let rules = |read: &SilentYes, survey: &Survey| {
        FloorPlan::new((read, &live.now().silent_writing()), survey, Some(directories))
    };
    let planned = rules(read, survey);
    let Go { asked } = goes.recv().ok()?;
    Some(match asked {
        true => rules(&live.now().silent_reading(&sandbox::search), &Survey::default()),
        false => planned,
    })
}
