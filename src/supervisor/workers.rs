//! Threads for what may block: a FIFO, a connect, the act after an answer.
//!
//! Each act has a thread to itself while it runs, so that no act waits for another; idle threads
//! are kept for a moment, because threads with rights of their own take a while to make.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::Supervisor;
use super::call::{Act, Call, Outcome, Reply};
use super::context::Context;
use super::owed::Owed;
use super::pool::{Next, Pool, Taken};
use super::questions::follow;
use super::signals::{Interruption, Watch};
use crate::sys::thread as sys_thread;

/// Acts at once; more wait their turn. Bounds memory in a storm of blocking calls.
const THREADS_MAX: usize = 512;

/// How long a thread waits for another job.
const LINGER: Duration = Duration::from_millis(200);

/// One act under way.
struct Acting {
    /// The thread that acts.
    tid: i32,
    call: Call,
    watch: Watch,
    found: Interruption,
}

impl Acting {
    fn on(tid: i32, (owed, _): &(Owed, Act)) -> Self {
        Self { tid, call: *owed.call(), watch: Watch::default(), found: Interruption::None }
    }
}

/// An act that was interrupted tells its caller so: the kernel restarts the call or not, as the signal that
/// really is pending says.
fn told_why(outcome: Outcome, acted: Option<Acting>) -> Outcome {
    match (outcome, acted) {
        (Outcome::Reply(Reply::Errno(libc::EINTR)), Some(acted)) => Outcome::errno(acted.found.errno()),
        (outcome, _) => outcome,
    }
}

/// What waits for a thread, and what runs now.
type State = Pool<(Owed, Act), Acting>;

/// The run's workers.
pub(super) struct Workers {
    state: Mutex<State>,
    work: Condvar,
}

impl Default for Workers {
    fn default() -> Self {
        Self { state: Mutex::new(Pool::of(THREADS_MAX)), work: Condvar::new() }
    }
}

impl Workers {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn are_busy(&self) -> bool {
        self.state().is_busy()
    }

    pub(super) fn run(&self, supervisor: &Arc<Supervisor>, owed: Owed, act: Act) {
        let taken = self.state().submit(owed.call().id, (owed, act));
        match taken {
            Taken::Queued => {}
            Taken::NeedsThread => self.start(supervisor),
            Taken::Refused((owed, _)) => return owed.reply(Reply::Errno(libc::EAGAIN)),
        }
        self.work.notify_one();
    }

    fn start(&self, supervisor: &Arc<Supervisor>) {
        let own = Arc::clone(supervisor);
        let started = thread::Builder::new().name("askance-act".to_owned()).stack_size(256 << 10).spawn(move || {
            sys_thread::block_interrupts();
            if super::become_broker(own.keep_root_capabilities) {
                own.workers.serve(&own);
            } else {
                own.workers.one_less();
            }
        });
        if started.is_err() {
            self.one_less();
        }
    }

    /// Out of threads: calls that nobody will act for are refused.
    fn one_less(&self) {
        let stranded = self.state().one_less();
        for (_, (owed, _)) in stranded {
            owed.reply(Reply::Errno(libc::EAGAIN));
        }
    }

    fn serve(&self, supervisor: &Arc<Supervisor>) {
        let tid = sys_thread::id();
        let mut state = self.state();
        let mut next = state.next(|job| Acting::on(tid, job));
        loop {
            match next {
                Next::Act(id, (owed, act)) => {
                    drop(state);
                    let outcome = supervisor.act(&owed, act);
                    // First: what comes of it may be another act of the same call, on another thread.
                    let acted = self.state().done(id);
                    follow(supervisor, owed, told_why(outcome, acted));
                    state = self.state();
                    next = state.next(|job| Acting::on(tid, job));
                }
                Next::Wait => {
                    let (locked, waited) =
                        self.work.wait_timeout(state, LINGER).unwrap_or_else(PoisonError::into_inner);
                    state = locked;
                    next = state.woke(waited.timed_out(), |job| Acting::on(tid, job));
                }
                Next::End => break,
            }
        }
        drop(state);
        self.work.notify_all();
    }

    /// Interrupts acts whose caller died or has a signal to take: their blocking call returns `EINTR`.
    pub(super) fn look_after(&self, context: &Context) {
        let looked_at: Vec<_> = self.state().acting().map(|(id, acting)| (id, acting.call, acting.watch)).collect();
        // Looking takes a while with many acts, and whoever receives hands on others meanwhile: not under the lock.
        for (id, call, mut watch) in looked_at {
            let gone = !context.still_waiting(&call);
            let tgid = context.caller(&call).map_or(call.tid, |caller| caller.tgid);
            let found = watch.look(call.tid, tgid);
            let mut state = self.state();
            let Some(acting) = state.of_act(id) else { continue };
            (acting.watch, acting.found) = (watch, found);
            if gone || found != Interruption::None {
                sys_thread::interrupt(acting.tid);
            }
        }
    }

    /// Ends the threads; whatever still blocks is interrupted until it returns.
    pub(super) fn finish(&self) {
        let mut state = self.state();
        // Their callers are dead.
        drop(state.end());
        self.work.notify_all();
        while state.threads() > 0 {
            for (_, acting) in state.acting() {
                sys_thread::interrupt(acting.tid);
            }
            let (next, _) =
                self.work.wait_timeout(state, Duration::from_millis(1)).unwrap_or_else(PoisonError::into_inner);
            state = next;
        }
    }
}
