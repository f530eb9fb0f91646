//! Threads for what may block: a FIFO, a connect, the act after an answer.
//!
//! Each act has a thread to itself while it runs, so that no act waits for another; idle threads
//! are kept for a moment, because threads with rights of their own take a while to make.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::Supervisor;
use super::call::Call;
use super::context::Context;
use super::signals::{Interruption, Watch};
use crate::sys::thread as sys_thread;

type Job = Box<dyn FnOnce() + Send>;

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

#[derive(Default)]
struct State {
    queue: VecDeque<(Call, Job)>,
    threads: usize,
    idle: usize,
    /// What runs now, by notification: the thread that acts, and the caller's signals.
    acting: HashMap<u64, Acting>,
    ended: bool,
}

/// The run's workers.
#[derive(Default)]
pub(super) struct Workers {
    state: Mutex<State>,
    work: Condvar,
}

impl Workers {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn are_busy(&self) -> bool {
        let state = self.state();
        !state.acting.is_empty() || !state.queue.is_empty()
    }

    pub(super) fn run(&self, supervisor: &Arc<Supervisor>, call: Call, job: Job) {
        let mut state = self.state();
        state.queue.push_back((call, job));
        let needed = state.idle < state.queue.len() && state.threads < THREADS_MAX;
        if needed {
            state.threads += 1;
        }
        drop(state);
        if needed {
            self.start(supervisor);
        }
        self.work.notify_one();
    }

    fn start(&self, supervisor: &Arc<Supervisor>) {
        let own = Arc::clone(supervisor);
        let started = thread::Builder::new().name("askance-act".to_owned()).stack_size(256 << 10).spawn(move || {
            sys_thread::block_interrupts();
            if super::become_broker(own.keep_root_capabilities) {
                own.workers.serve();
            } else {
                own.workers.one_less(&own);
            }
        });
        if started.is_err() {
            self.one_less(supervisor);
        }
    }

    /// Out of threads: those that run take the queue in their turn; with none, the calls are refused.
    fn one_less(&self, supervisor: &Supervisor) {
        let mut state = self.state();
        state.threads -= 1;
        if state.threads == 0 {
            let stranded: Vec<_> = state.queue.drain(..).collect();
            drop(state);
            for (call, _) in stranded {
                supervisor.reply(&call, super::Reply::Errno(libc::EAGAIN));
            }
        }
    }

    fn serve(&self) {
        let tid = sys_thread::id();
        let mut state = self.state();
        loop {
            if let Some((call, job)) = state.queue.pop_front() {
                let acting = Acting { tid, call, watch: Watch::default(), found: Interruption::None };
                state.acting.insert(call.id, acting);
                drop(state);
                job();
                state = self.state();
                state.acting.remove(&call.id);
                continue;
            }
            if state.ended {
                break;
            }
            state.idle += 1;
            let (next, waited) = self.work.wait_timeout(state, LINGER).unwrap_or_else(PoisonError::into_inner);
            state = next;
            state.idle -= 1;
            if waited.timed_out() && state.queue.is_empty() {
                break;
            }
        }
        state.threads -= 1;
        drop(state);
        self.work.notify_all();
    }

    /// Interrupts acts whose caller died or has a signal to take: their blocking call returns `EINTR`.
    pub(super) fn look_after(&self, context: &Context) {
        let mut state = self.state();
        for acting in state.acting.values_mut() {
            let call = &acting.call;
            let gone = !context.still_waiting(call);
            let tgid = context.caller(call).map_or(call.tid, |caller| caller.tgid);
            acting.found = acting.watch.look(call.tid, tgid);
            if gone || acting.found != Interruption::None {
                sys_thread::interrupt(acting.tid);
            }
        }
    }

    /// What an act that was interrupted tells its caller: the kernel restarts the call or not, as
    /// the signal that really is pending says.
    pub(super) fn interrupted_errno(&self, call: &Call) -> i32 {
        match self.state().acting.get(&call.id) {
            Some(acting) if acting.found != Interruption::None => acting.found.errno(),
            _ => libc::EINTR,
        }
    }

    /// Ends the threads; whatever still blocks is interrupted until it returns.
    pub(super) fn finish(&self) {
        let mut state = self.state();
        state.ended = true;
        state.queue.clear();
        self.work.notify_all();
        while state.threads > 0 {
            for acting in state.acting.values() {
                sys_thread::interrupt(acting.tid);
            }
            let (next, _) =
                self.work.wait_timeout(state, Duration::from_millis(1)).unwrap_or_else(PoisonError::into_inner);
            state = next;
        }
    }
}
