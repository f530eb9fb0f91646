//! The thread that receives, and the one that stands by for it.
//!
//! One receiver serves at full speed: with several taking turns every call would meet a thread that
//! has slept, on whatever processor that was. So that a slow disk under one call holds up no other
//! (I6), a second thread watches the first one's pace and receives in its place when it gets stuck.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::descriptors::make_room;
use super::owed::Owed;
use super::{StartError, Supervisor};
use crate::sandbox::privileges::drop_in_broker;
use crate::sandbox::processors::{Processors, wait_here};
use crate::sys::{dispositions, thread as sys_thread};

/// A call that takes longer holds its receiver up.
const STUCK: Duration = Duration::from_millis(20);

/// After so many looks at a receiver that nobody called, the stand-by sleeps until somebody does.
const QUIET_LOOKS: u32 = 20;

/// What receiving and serving needs.
const STACK: usize = 512 << 10;

/// Looks at an ending thread before it is interrupted.
const LOOKS_BEFORE_TELLING: u32 = 50;

/// How far a receiver is: odd while it serves a call.
#[derive(Debug, Default)]
struct Pace {
    steps: AtomicU64,
    /// Another receives in its place: it ends after the call that held it up.
    relieved: AtomicBool,
}

impl Pace {
    fn step(&self) {
        self.steps.fetch_add(1, Ordering::SeqCst);
    }

    fn now(&self) -> u64 {
        self.steps.load(Ordering::SeqCst)
    }
}

/// A thread, and where it tells its id for whoever has to interrupt it.
#[derive(Debug)]
struct Running {
    told: mpsc::Receiver<i32>,
    handle: JoinHandle<()>,
}

/// The receiving threads of one run.
#[derive(Default)]
pub(super) struct Receivers {
    threads: Mutex<Vec<Running>>,
    /// The pace of the receiver that leads.
    pace: Mutex<Arc<Pace>>,
    /// The stand-by, while it sleeps.
    asleep: AtomicBool,
    stand_by: Mutex<Option<thread::Thread>>,
}

impl Receivers {
    /// A call begins: the stand-by has to look from now on.
    fn rouse(&self) {
        if self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst) {
            let stand_by = self.stand_by.lock().unwrap_or_else(PoisonError::into_inner);
            stand_by.iter().for_each(thread::Thread::unpark);
        }
    }

    fn pace(&self) -> Arc<Pace> {
        Arc::clone(&self.pace.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes somebody the receiver: the pace that is watched from now on.
    fn lead(&self) -> Arc<Pace> {
        let pace = Arc::default();
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&pace);
        pace
    }

    /// Returns when the receiver with this pace is held up by a call: true, or when it is over.
    fn until_stuck(&self, watched: &Pace, stopping: &AtomicBool) -> bool {
        *self.stand_by.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread::current());
        let (mut seen, mut quiet) = (watched.now(), 0);
        while !stopping.load(Ordering::Acquire) {
            thread::park_timeout(STUCK);
            let now = watched.now();
            if now != seen {
                (seen, quiet) = (now, 0);
            } else if now % 2 == 1 {
                return true;
            } else if quiet < QUIET_LOOKS {
                quiet += 1;
            } else {
                // In this order: a receiver that begins a call either finds us asleep or is seen.
                self.asleep.store(true, Ordering::SeqCst);
                if watched.now() == seen && !stopping.load(Ordering::Acquire) {
                    thread::park();
                }
                self.asleep.store(false, Ordering::SeqCst);
                quiet = 0;
            }
        }
        false
    }

    /// Ends the threads; `stopping` is set.
    pub(super) fn finish(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for Running { handle, .. } in &threads {
            handle.thread().unpark();
        }
        for Running { told, handle } in threads {
            let mut tid = None;
            let mut looks = 0;
            // It ends by itself when nobody is left that could call; a moment later it has to be told.
            while !handle.is_finished() {
                looks += 1;
                if looks < LOOKS_BEFORE_TELLING {
                    thread::yield_now();
                    continue;
                }
                handle.thread().unpark();
                sys_thread::interrupt(*tid.get_or_insert_with(|| told.recv().unwrap_or(0)));
                thread::sleep(Duration::from_micros(100));
            }
            let _ = handle.join();
        }
    }
}

/// The run's second thread: it works ahead for the run, and receives once there is something to be received, with the
/// child's rights. Dropped, it ends when its work is done.
#[derive(Debug)]
pub struct Ready {
    serve: mpsc::SyncSender<Arc<Supervisor>>,
    running: Running,
}

impl Ready {
    /// Starts the thread, whose work is waited for. A root caller's keeps the file capabilities that its child keeps.
    pub fn after(work: impl FnOnce() + Send + 'static, keep_root_capabilities: bool) -> Result<Self, StartError> {
        let (serve, served) = mpsc::sync_channel::<Arc<Supervisor>>(1);
        let processors = Processors::of_this_thread();
        let begun = processors;
        let work = move || {
            begun.iter().for_each(Processors::leave);
            work();
            begun.iter().for_each(Processors::restore);
            let able = become_broker(keep_root_capabilities);
            if let Ok(supervisor) = served.recv() {
                sys_thread::allow_interrupts();
                let pace = supervisor.receivers.pace();
                supervisor.receive_all(&pace, if able { Supervisor::serve } else { Supervisor::refuse });
            }
        };
        make_room();
        // Signals are for the thread that runs the run, which takes them later.
        let mask = dispositions::block_all();
        let running = spawn(work, 2 << 20);
        dispositions::set_mask(mask);
        let running = running?;
        if let Some(processors) = processors {
            processors.send_thread_away(&running.handle);
        }
        Ok(Self { serve, running })
    }

    /// Waits for something that the thread works at.
    pub fn wait<T>(from: &mpsc::Receiver<T>) -> Result<T, mpsc::RecvError> {
        from.try_recv().or_else(|_| wait_here(|| from.recv()))
    }

    pub(super) fn receive_for(self, supervisor: &Arc<Supervisor>) {
        // It waits for this.
        let _ = self.serve.send(Arc::clone(supervisor));
        supervisor.receivers.threads.lock().unwrap_or_else(PoisonError::into_inner).push(self.running);
    }
}

fn spawn(work: impl FnOnce() + Send + 'static, stack: usize) -> Result<Running, StartError> {
    let (tell, told) = mpsc::sync_channel(1);
    let work = move || {
        let _ = tell.send(sys_thread::id());
        work();
    };
    let builder = thread::Builder::new().name("askance-receive".to_owned()).stack_size(stack);
    Ok(Running { told, handle: builder.spawn(work).map_err(StartError::Thread)? })
}

/// Gives the calling thread the child's rights and no more (I5). `false`: it must not serve.
pub(super) fn become_broker(keep_root_capabilities: bool) -> bool {
    sys_thread::unshare_fs();
    drop_in_broker(keep_root_capabilities).is_ok()
}

impl Supervisor {
    /// Starts the thread that takes over when the receiver is held up.
    pub fn stand_by(self: &Arc<Self>) -> Result<(), StartError> {
        let supervisor = Arc::clone(self);
        let running = spawn(move || supervisor.watch_pace(), STACK)?;
        self.receivers.threads.lock().unwrap_or_else(PoisonError::into_inner).push(running);
        Ok(())
    }

    /// Looks at the receiver's pace; when it is stuck, becomes the receiver and has another stand by.
    fn watch_pace(self: &Arc<Self>) {
        let watched = self.receivers.pace();
        if self.receivers.until_stuck(&watched, &self.stopping) {
            self.relieve(&watched);
        }
    }

    fn relieve(self: &Arc<Self>, stuck: &Pace) {
        if !become_broker(self.keep_root_capabilities) {
            return;
        }
        let pace = self.receivers.lead();
        stuck.relieved.store(true, Ordering::Relaxed);
        // Without one, this receiver has nobody behind it; that is how the kernel wants it.
        let _ = self.stand_by();
        self.receive_all(&pace, Self::serve);
    }

    fn receive_all(self: &Arc<Self>, pace: &Pace, serve: fn(&Arc<Self>, Owed)) {
        while !self.is_stopping() {
            match self.context.listener.receive() {
                Ok(owed) => {
                    pace.step();
                    self.receivers.rouse();
                    serve(self, owed);
                    pace.step();
                    if pace.relieved.load(Ordering::Relaxed) {
                        return;
                    }
                }
                // ENOENT: that caller died first. EINTR: we are told to look at `stopping`.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => {
                    if self.context.listener.is_deserted() {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A receiver that is held up is noticed, also where nobody had called for so long that the stand-by slept.
    #[test]
    fn a_receiver_that_is_held_up_is_noticed() {
        let (receivers, stopping, pace) = (Receivers::default(), AtomicBool::new(false), Pace::default());
        thread::scope(|scope| {
            let stand_by = scope.spawn(|| receivers.until_stuck(&pace, &stopping));
            while !receivers.asleep.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(1));
            }
            pace.step();
            receivers.rouse();
            assert!(stand_by.join().unwrap());
        });
    }

    #[test]
    fn a_receiver_that_gets_on_or_is_not_called_is_left_alone() {
        let (receivers, stopping, pace) = (Receivers::default(), AtomicBool::new(false), Pace::default());
        thread::scope(|scope| {
            let stand_by = scope.spawn(|| receivers.until_stuck(&pace, &stopping));
            for _ in 0..200 {
                pace.step();
                receivers.rouse();
                pace.step();
                thread::sleep(Duration::from_millis(1));
            }
            assert!(!stand_by.is_finished());
            stopping.store(true, Ordering::Release);
            stand_by.thread().unpark();
            assert!(!stand_by.join().unwrap());
        });
    }
}
