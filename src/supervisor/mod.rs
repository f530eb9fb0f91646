//! The notify loop and the broker: receive → copy → judge → act → reply.
//!
//! Owns every decision made while the command runs. It never looks at the child's memory after
//! judging, and nothing here fails open: whatever is unexpected refuses that one call.

pub mod call;
pub mod caller;
pub mod context;
mod descriptors;
mod dispatch;
pub mod exec;
pub mod facts;
pub(crate) mod files;
mod live;
pub mod memory;
pub mod net;
mod owed;
mod pool;
pub mod processes;
mod questions;
mod queue;
mod receivers;
mod signals;
pub mod tree;
mod workers;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub use call::{Call, Outcome, Reply};
pub use caller::Caller;
pub use context::{Asked, Asker, Context, Keeper, Parts, Process};
pub use exec::{Execution, Executions, Lasting, Standing};
pub use facts::RunFacts;
pub use live::LivePolicy;
pub use memory::PathBuffer;
pub use owed::Kernel;
pub use questions::WAITING_MAX;
pub use tree::Tree;

use crate::sandbox::Floor;
use crate::sys::{notify, thread as sys_thread};
use descriptors::Shares;
use owed::Owed;
use questions::{Questions, follow};
pub use receivers::Ready;
use receivers::{Receivers, become_broker};
use workers::Workers;

/// The `paths` target of `fuzz/`.
#[cfg(fuzzing)]
pub fn fuzz_paths(bytes: &[u8]) {
    files::fuzzing::paths(bytes);
}

/// What reads, decides, acts and replies for one kind of call.
pub type Handler = fn(&Context, &Call) -> Outcome;

/// What becomes of one received call, all but the reply. A panic refuses this call and nothing else.
pub fn outcome(context: &Context, call: &Call) -> Outcome {
    let Some(handler) = dispatch::handler(call.nr) else { return Outcome::errno(libc::ENOSYS) };
    let handled = || match exec::prove(context, call) {
        true => handler(context, call),
        false => Outcome::errno(libc::EACCES),
    };
    catch_unwind(AssertUnwindSafe(handled)).unwrap_or(Outcome::errno(libc::EACCES))
}

/// How often waiting calls are looked after, while there are any.
const LOOK_AFTER: Duration = Duration::from_millis(10);

/// Looking after hundreds takes a while: the watch rests so many times as long, and leaves the processor to others.
const REST: u32 = 3;

/// How often changed settings files are noticed while a question is open.
const REFRESH_EVERY: u32 = 20;

/// The supervisor of one run: its threads live from start to [`Supervisor::finish`].
pub struct Supervisor {
    context: Context,
    questions: Questions,
    workers: Workers,
    stopping: AtomicBool,
    watch: (Mutex<bool>, Condvar),
    watch_started: Once,
    receivers: Receivers,
    keep_root_capabilities: bool,
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor").field("context", &self.context).finish_non_exhaustive()
    }
}

/// The supervisor could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("start a supervisor thread")]
    Thread(#[source] io::Error),
    #[error("prepare the signal that interrupts blocked threads")]
    Signal(#[source] io::Error),
}

/// What one run's supervisor needs beyond its context.
pub struct Setup {
    pub parts: Parts,
    pub asker: Arc<dyn Asker>,
    /// The request, as one line, for questions.
    pub request: String,
    /// A root caller's broker keeps the file capabilities that its child keeps.
    pub keep_root_capabilities: bool,
}

impl Supervisor {
    /// Lets the thread that is `ready` serve the listener, which is waited for with the floor when all else is there.
    pub fn start<E: From<StartError>>(
        setup: Setup,
        ready: Ready,
        confined: impl FnOnce() -> Result<(Floor, OwnedFd), E>,
    ) -> Result<Arc<Self>, E> {
        sys_thread::prepare_interrupts().map_err(StartError::Signal)?;
        let shares = Shares::take();
        let supervisor = Arc::new(Self {
            context: Context::new(setup.parts, shares.callers, || {
                let (floor, listener) = confined()?;
                // Before Linux 6.6 the wake-up stays asynchronous: slower, not different.
                let _ = notify::set_sync_wake_up(listener.as_fd());
                Ok::<_, E>((floor, listener))
            })?,
            questions: Questions::new(setup.asker, setup.request, shares.waiting),
            workers: Workers::default(),
            stopping: AtomicBool::new(false),
            watch: Default::default(),
            watch_started: Once::new(),
            receivers: Receivers::default(),
            keep_root_capabilities: setup.keep_root_capabilities,
        });
        ready.receive_for(&supervisor);
        Ok(supervisor)
    }

    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Finds out, in a moment when nobody waits, what the first call would have to.
    pub fn rehearse(&self) {
        self.context.files().resolver_files();
    }

    /// For a thread that has more rights than the child: nobody is left waiting, and nothing is done.
    fn refuse(self: &Arc<Self>, owed: Owed) {
        owed.reply(Reply::Errno(libc::EPERM));
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// One call, from registers to reply.
    fn serve(self: &Arc<Self>, owed: Owed) {
        let outcome = outcome(&self.context, owed.call());
        follow(self, owed, outcome);
    }

    /// Runs `act` on a thread of its own, which may block.
    fn on_worker(self: &Arc<Self>, owed: Owed, act: call::Act) {
        self.workers.run(self, owed, act);
        self.wake_watch();
    }

    /// What a worker does. A panic refuses this call and nothing else.
    fn act(&self, owed: &Owed, act: call::Act) -> Outcome {
        let acted = || catch_unwind(AssertUnwindSafe(|| act(&self.context, owed.call())));
        sys_thread::interruptible(acted).unwrap_or(Outcome::errno(libc::EACCES))
    }

    /// Somebody waits: the watch looks after them. It is started by the first.
    fn wake_watch(self: &Arc<Self>) {
        self.watch_started.call_once(|| {
            let watched = Arc::downgrade(self);
            // Without a watch nobody is let go early; answers and ends still come through.
            let _ = thread::Builder::new().name("askance-watch".to_owned()).stack_size(128 << 10).spawn(move || {
                while let Some(supervisor) = watched.upgrade() {
                    if !supervisor.watch_once() {
                        return;
                    }
                }
            });
        });
        self.rouse_watch();
    }

    fn rouse_watch(&self) {
        *self.watch.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.watch.1.notify_one();
    }

    /// One round of looking after who waits; sleeps while nobody does. `false` at the end.
    fn watch_once(self: &Arc<Self>) -> bool {
        let mut awake = self.watch.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !*awake && !self.stopping.load(Ordering::Acquire) {
            awake = self.watch.1.wait(awake).unwrap_or_else(PoisonError::into_inner);
        }
        *awake = false;
        drop(awake);
        let (mut round, mut took) = (0_u32, Duration::ZERO);
        while !self.stopping.load(Ordering::Acquire) && (self.questions.are_waiting() || self.workers.are_busy()) {
            thread::sleep(LOOK_AFTER.max(took * REST));
            let begun = Instant::now();
            self.questions.look_after(self);
            self.workers.look_after(&self.context);
            took = begun.elapsed();
            round = round.wrapping_add(1);
            if round.is_multiple_of(REFRESH_EVERY) && self.questions.are_waiting() && self.context.refresh() {
                self.questions.release_covered(self);
            }
        }
        !self.stopping.load(Ordering::Acquire)
    }

    /// The tree is dead: ends every thread of the supervisor and voids open questions.
    pub fn finish(&self) {
        self.stopping.store(true, Ordering::Release);
        self.rouse_watch();
        self.questions.close();
        self.receivers.finish();
        self.workers.finish();
    }
}
