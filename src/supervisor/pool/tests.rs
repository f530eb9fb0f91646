//! Every order of events, to the end, between a call's arrival and its reply: questions and their answers,
//! threads that start, fail to start, act, wait and end; calls that die and are signalled; the end of the run.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::*;
use crate::supervisor::queue::{COMES_BACK, Joined, Open, Queue, Seen};

/// What each call needs: the first two ask the same, the others act at once.
const ASKS: [bool; 4] = [true, true, false, false];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Status {
    Running,
    Waiting,
    Signalled,
    Dead,
    Answered,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Thread {
    Starting,
    Acting(u64),
    Waiting,
    Ended,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Arrive(usize),
    Die(usize),
    Signal(usize),
    Look,
    Answer {
        yes: bool,
    },
    Starts(usize),
    FailsToStart(usize),
    /// Its act is over, and leads to a reply or to another act of the same call.
    Acts {
        thread: usize,
        again: bool,
    },
    Wakes {
        thread: usize,
        waited_enough: bool,
    },
    Close,
}

/// The kernel's side, the asker's side, the threads, and what is between them.
#[derive(Debug, Clone)]
struct World {
    queue: Queue<(), (), u64>,
    pool: Pool<u64, usize>,
    calls: usize,
    status: [Status; 4],
    threads: Vec<Thread>,
    asked: Option<u64>,
    /// Whose act has led to another one.
    again: [bool; 4],
    /// A thread could not be started.
    short: bool,
    over: bool,
}

impl World {
    fn new(calls: usize, most_threads: usize) -> Self {
        World {
            queue: Queue::of(4),
            pool: Pool::of(most_threads),
            calls,
            status: [Status::Running; 4],
            threads: Vec::new(),
            asked: None,
            again: [false; 4],
            short: false,
            over: false,
        }
    }

    fn waits(&self, call: usize) -> bool {
        matches!(self.status[call], Status::Waiting | Status::Signalled)
    }

    fn events(&self) -> Vec<Event> {
        let mut events = vec![Event::Look];
        for call in 0..self.calls {
            match self.status[call] {
                Status::Running if !self.over => events.push(Event::Arrive(call)),
                Status::Waiting => events.extend([Event::Signal(call), Event::Die(call)]),
                Status::Signalled => events.push(Event::Die(call)),
                Status::Running | Status::Dead | Status::Answered => {}
            }
        }
        if self.asked.is_some() {
            events.extend([Event::Answer { yes: true }, Event::Answer { yes: false }]);
        }
        for (thread, what) in self.threads.iter().enumerate() {
            match what {
                Thread::Starting => events.extend([Event::Starts(thread), Event::FailsToStart(thread)]),
                Thread::Acting(id) => {
                    events.push(Event::Acts { thread, again: false });
                    if !self.again[usize::try_from(*id).unwrap()] {
                        events.push(Event::Acts { thread, again: true });
                    }
                }
                Thread::Waiting => {
                    events.extend([true, false].map(|waited_enough| Event::Wakes { thread, waited_enough }));
                }
                Thread::Ended => {}
            }
        }
        if !self.over {
            events.push(Event::Close);
        }
        events
    }

    /// The kernel takes one reply for each call, and none for one that is gone.
    fn reply(&mut self, id: u64) {
        let call = usize::try_from(id).unwrap();
        match self.status[call] {
            Status::Waiting | Status::Signalled => self.status[call] = Status::Answered,
            Status::Dead => {}
            Status::Running | Status::Answered => panic!("call {call} is answered, and does not wait: {self:?}"),
        }
    }

    fn submit(&mut self, id: u64) {
        match self.pool.submit(id, id) {
            Taken::Queued => {}
            Taken::NeedsThread => self.threads.push(Thread::Starting),
            Taken::Refused(id) => self.reply(id),
        }
    }

    fn goes_on(&mut self, thread: usize, next: Next<u64>) {
        self.threads[thread] = match next {
            Next::Act(id, job) => {
                assert_eq!(id, job, "the job of another call");
                assert!(!self.over, "an act begins after the end");
                Thread::Acting(id)
            }
            Next::Wait => Thread::Waiting,
            Next::End => Thread::Ended,
        };
    }

    fn settle(&mut self, open: Open<(), u64>, yes: bool) {
        for id in open.waiters {
            if yes { self.submit(id) } else { self.reply(id) }
        }
    }

    /// Interrupts go to threads that act for whom they are meant, and to no other.
    fn interrupts(&mut self) {
        for (id, thread) in self.pool.acting() {
            assert_eq!(self.threads[*thread], Thread::Acting(id), "an interrupt hits another act");
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Arrive(call) => {
                self.status[call] = Status::Waiting;
                let id = call as u64;
                match ASKS[call] {
                    false => self.submit(id),
                    true => match self.queue.join((), id, |_, _| ()) {
                        Joined::First(question) => self.asked = Some(question),
                        Joined::Behind => assert!(self.asked.is_some(), "behind nothing"),
                        Joined::Refused(id) => self.reply(id),
                    },
                }
            }
            Event::Die(call) => self.status[call] = Status::Dead,
            Event::Signal(call) => self.status[call] = Status::Signalled,
            Event::Look => {
                let status = self.status;
                let now = if self.over { COMES_BACK } else { Duration::ZERO };
                let found = self.queue.look_after(now, |id| match status[usize::try_from(*id).unwrap()] {
                    Status::Dead => Seen::Gone,
                    Status::Signalled => Seen::LetGo(()),
                    _ => Seen::Waits,
                });
                found.let_go.into_iter().for_each(|(id, ())| self.reply(id));
                self.interrupts();
            }
            Event::Answer { yes } => {
                let question = self.asked.take().unwrap();
                if let Some(open) = self.queue.take(&(), question) {
                    self.settle(open, yes);
                }
            }
            Event::Starts(thread) => {
                let next = self.pool.next(|_| thread);
                self.goes_on(thread, next);
            }
            Event::FailsToStart(thread) => {
                self.short = true;
                self.threads[thread] = Thread::Ended;
                let stranded = self.pool.one_less();
                assert!(stranded.is_empty() || self.alive() == 0, "refused while a thread could act: {self:?}");
                stranded.into_iter().for_each(|(id, _)| self.reply(id));
            }
            Event::Acts { thread, again } => {
                let Thread::Acting(id) = self.threads[thread] else { panic!("it does not act") };
                assert_eq!(self.pool.done(id), Some(thread), "an act that nobody knew of");
                if again {
                    self.again[usize::try_from(id).unwrap()] = true;
                    self.submit(id);
                } else {
                    self.reply(id);
                }
                let next = self.pool.next(|_| thread);
                self.goes_on(thread, next);
            }
            Event::Wakes { thread, waited_enough } => {
                let next = self.pool.woke(waited_enough, |_| thread);
                self.goes_on(thread, next);
            }
            Event::Close => {
                self.over = true;
                // The tree is dead before the supervisor is told to end.
                (0..self.calls).filter(|call| self.waits(*call)).collect::<Vec<_>>().into_iter().for_each(|call| {
                    self.status[call] = Status::Dead;
                });
                self.queue.close();
                self.pool.end().into_iter().for_each(|(id, _)| self.reply(id));
            }
        }
    }

    fn alive(&self) -> usize {
        self.threads.iter().filter(|thread| **thread != Thread::Ended).count()
    }

    /// How many places own a call.
    fn owners(&self, id: u64) -> usize {
        let mut pool = self.pool.clone();
        let queued = pool.end().iter().filter(|(queued, _)| *queued == id).count();
        let mut queue = self.queue.clone();
        let asks = queue.close().iter().flat_map(|open| &open.waiters).filter(|waiter| **waiter == id).count();
        queued + asks + self.threads.iter().filter(|thread| **thread == Thread::Acting(id)).count()
    }

    /// What holds in every state.
    fn check(&self, most_threads: usize) {
        let alive = self.alive();
        assert_eq!(self.pool.threads(), alive, "the threads are miscounted: {self:?}");
        assert!(alive <= most_threads, "too many threads");
        let idle = self.threads.iter().filter(|thread| **thread == Thread::Waiting).count();
        assert_eq!(self.pool.idle, idle, "the idle are miscounted");
        // An act may block for ever: none waits behind another while there can be one more thread.
        let starting = self.threads.iter().filter(|thread| **thread == Thread::Starting).count();
        let served = self.pool.queue.len() <= idle + starting;
        assert!(served || self.short || alive == most_threads, "an act waits for another: {self:?}");
        for call in 0..self.calls {
            let owners = self.owners(call as u64);
            assert!(owners <= 1 && (!self.waits(call) || owners == 1), "{owners} places own call {call}: {self:?}");
        }
        let acting = self.threads.iter().filter(|thread| matches!(thread, Thread::Acting(_))).count();
        assert_eq!(self.pool.acting.len(), acting, "the acts are miscounted");
        self.check_end();
    }

    /// From every state on, everybody who waits is answered without further help: the question is, threads go
    /// on, and those that wait are woken once for each job. After the end no thread stays.
    fn check_end(&self) {
        let mut later = self.clone();
        if later.asked.is_some() {
            later.apply(Event::Answer { yes: true });
        }
        for _ in 0..64 {
            let queued = later.pool.queue.len();
            let next = later.threads.iter().enumerate().find_map(|(thread, what)| match what {
                Thread::Starting => Some(Event::Starts(thread)),
                Thread::Acting(_) => Some(Event::Acts { thread, again: false }),
                Thread::Waiting if queued > 0 || later.over => Some(Event::Wakes { thread, waited_enough: false }),
                Thread::Waiting | Thread::Ended => None,
            });
            let Some(event) = next else { break };
            later.apply(event);
        }
        assert!((0..later.calls).all(|call| !later.waits(call)), "no reply reaches a call: {self:?}");
        assert!(!later.over || later.pool.threads() == 0, "a thread stays after the end: {self:?}");
    }

    /// Equal for states from which the same can happen.
    fn signature(&self) -> String {
        let acting: BTreeMap<_, _> = self.pool.acting.iter().map(|(id, thread)| (id, self.threads[*thread])).collect();
        let mut threads = self.threads.clone();
        threads.retain(|thread| *thread != Thread::Ended);
        threads.sort_unstable();
        let pool = (&self.pool.queue, self.pool.threads, self.pool.idle, acting, self.pool.ended);
        format!(
            "{:?} {pool:?} {:?} {threads:?} {:?} {:?}",
            self.queue,
            self.status,
            self.asked,
            (self.again, self.short, self.over)
        )
    }
}

/// Tries every order of events from the start; gives the number of states.
fn explore(calls: usize, most_threads: usize) -> usize {
    let first = World::new(calls, most_threads);
    let mut seen = HashSet::from([first.signature()]);
    let mut pending = vec![first];
    while let Some(world) = pending.pop() {
        for event in world.events() {
            let mut next = world.clone();
            next.apply(event);
            next.check(most_threads);
            if seen.insert(next.signature()) {
                pending.push(next);
            }
        }
    }
    seen.len()
}

#[test]
fn no_order_of_events_between_a_call_and_its_reply_loses_or_doubles_it() {
    let states = explore(3, 2);
    assert!(states > 5_000, "{states} states only");
}

#[test]
fn nor_does_any_where_one_thread_acts_alone() {
    let states = explore(3, 1);
    assert!(states > 300, "{states} states only");
}
