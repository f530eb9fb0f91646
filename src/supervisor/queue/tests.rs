//! Every order of events, to the end: calls that arrive, die, are signalled and come back; answers, late ones
//! too; a policy that changes; the end of the run.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::*;

/// Calls 0 and 1 ask the same.
const KEYS: [u8; 3] = [b'a', b'a', b'b'];

/// How often a call may come; the second time it was interrupted, or answered, and comes back.
const ARRIVALS: [u8; 3] = [2, 1, 1];

/// How often time passes: enough to desert a question and to void it.
const LATER: u8 = 1;

/// One arrival of one call: what a notification's id is to the kernel.
type Notification = (usize, u8);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Status {
    Running,
    Waiting,
    /// Waiting, with a signal to take.
    Signalled,
    Dead,
}

/// The kernel's side, the asker's side, and the queue between them.
#[derive(Debug, Clone)]
struct World {
    queue: Queue<u8, u8, Notification>,
    status: [Status; 3],
    arrivals: [u8; 3],
    /// Replies by notification, to see whether one is doubled.
    replied: HashSet<Notification>,
    /// What the asker was asked and may answer at any time, withdrawn or not.
    asked: Vec<(u8, u64)>,
    withdrawn: HashSet<u64>,
    time: u8,
    over: bool,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Arrive(usize),
    Die(usize),
    Signal(usize),
    Look { later: bool },
    Answer(u8, u64),
    Cover(u8),
    Close,
}

impl World {
    fn new(most: usize) -> Self {
        Self {
            queue: Queue::of(most),
            status: [Status::Running; 3],
            arrivals: [0; 3],
            replied: HashSet::new(),
            asked: Vec::new(),
            withdrawn: HashSet::new(),
            time: 0,
            over: false,
        }
    }

    fn events(&self) -> Vec<Event> {
        let mut events = vec![Event::Look { later: false }];
        for (call, status) in self.status.iter().enumerate() {
            match status {
                // A notification that was received before the end is still served after it.
                Status::Running if self.arrivals[call] < ARRIVALS[call] => {
                    events.push(Event::Arrive(call));
                }
                Status::Waiting => events.extend([Event::Signal(call), Event::Die(call)]),
                Status::Signalled => events.push(Event::Die(call)),
                Status::Running | Status::Dead => {}
            }
        }
        events.extend(self.asked.iter().map(|(key, id)| Event::Answer(*key, *id)));
        if self.time < LATER {
            events.push(Event::Look { later: true });
        }
        if !self.over {
            events.extend([Event::Cover(b'a'), Event::Close]);
        }
        events
    }

    fn reply(&mut self, key: u8, notification: Notification) {
        let (call, arrival) = notification;
        assert_eq!(key, KEYS[call], "an answer to another question");
        assert!(self.replied.insert(notification), "{notification:?} is answered twice");
        // The kernel takes no reply for a call that is gone.
        if self.status[call] != Status::Dead {
            assert_eq!(arrival, self.arrivals[call], "an answer to an earlier call");
            assert!(matches!(self.status[call], Status::Waiting | Status::Signalled), "nobody waits");
            self.status[call] = Status::Running;
        }
    }

    fn settle(&mut self, open: Open<u8, Notification>) {
        for waiter in open.waiters {
            self.reply(open.question, waiter);
        }
    }

    fn withdraw(&mut self, id: u64) {
        assert!(self.withdrawn.insert(id), "question {id} is withdrawn twice");
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Arrive(call) => {
                self.arrivals[call] += 1;
                self.status[call] = Status::Waiting;
                let key = KEYS[call];
                match self.queue.join(key, (call, self.arrivals[call]), |_, _| key) {
                    Joined::First(id) => {
                        assert!(!self.over, "something is asked after the end");
                        self.asked.push((key, id));
                    }
                    Joined::Behind => assert!(self.asked.iter().any(|(asked, _)| *asked == key), "behind nothing"),
                    Joined::Refused(waiter) => self.reply(key, waiter),
                }
            }
            Event::Die(call) => self.status[call] = Status::Dead,
            Event::Signal(call) => self.status[call] = Status::Signalled,
            Event::Look { later } => {
                self.time += u8::from(later);
                let status = self.status;
                let found = self.queue.look_after(COMES_BACK * u32::from(self.time), |(call, _)| match status[*call] {
                    Status::Dead => Seen::Gone,
                    Status::Signalled => Seen::LetGo(KEYS[*call]),
                    Status::Running | Status::Waiting => Seen::Waits,
                });
                for (waiter, key) in found.let_go {
                    self.reply(key, waiter);
                }
                for id in found.void {
                    self.withdraw(id);
                }
            }
            Event::Answer(key, id) => {
                self.asked.retain(|asked| *asked != (key, id));
                if let Some(open) = self.queue.take(&key, id) {
                    assert!(!self.withdrawn.contains(&id), "a withdrawn question is answered");
                    self.settle(open);
                }
            }
            Event::Cover(key) => {
                for open in self.queue.take_where(|question| *question == key) {
                    self.withdraw(open.id);
                    self.settle(open);
                }
            }
            Event::Close => {
                self.over = true;
                for open in self.queue.close() {
                    self.withdraw(open.id);
                }
                // The tree is dead before the supervisor is told to end.
                for status in &mut self.status {
                    if matches!(status, Status::Waiting | Status::Signalled) {
                        *status = Status::Dead;
                    }
                }
            }
        }
    }

    /// What holds in every state.
    fn check(&self) {
        let waiters: Vec<_> = self.queue.open.values().flat_map(|open| &open.waiters).collect();
        assert_eq!(waiters.len(), self.queue.waiting(), "the count is wrong");
        assert!(waiters.len() <= self.queue.most, "too many wait");
        for (call, status) in self.status.iter().enumerate() {
            let waits = matches!(status, Status::Waiting | Status::Signalled);
            let held = waiters.iter().filter(|waiter| ***waiter == (call, self.arrivals[call])).count();
            assert!(held <= 1 && (!waits || held == 1), "call {call} waits and nobody knows: {self:?}");
        }
        // Whoever waits, an answer that is still out will reach.
        let mut answered = self.clone();
        for (key, id) in self.asked.clone() {
            answered.apply(Event::Answer(key, id));
        }
        let still = answered.status.iter().any(|status| matches!(status, Status::Waiting | Status::Signalled));
        assert!(!still, "no answer reaches a call: {self:?}");
    }

    /// Equal for states from which the same can happen.
    fn signature(&self) -> String {
        let open: BTreeMap<_, _> = self.queue.open.iter().collect();
        let sorted = |mut all: Vec<_>| {
            all.sort_unstable();
            all
        };
        let replied = sorted(self.replied.iter().map(|(call, arrival)| (*call, u64::from(*arrival))).collect());
        let withdrawn = sorted(self.withdrawn.iter().map(|id| (0, *id)).collect());
        let ids = (self.queue.next_id, self.time, self.over);
        format!("{open:?} {:?} {:?} {replied:?} {withdrawn:?} {:?} {ids:?}", self.status, self.arrivals, self.asked)
    }
}

/// Tries every order of events from the start; gives the number of states.
fn explore(most: usize) -> usize {
    let first = World::new(most);
    let mut seen = HashSet::from([first.signature()]);
    let mut pending = vec![first];
    while let Some(world) = pending.pop() {
        for event in world.events() {
            let mut next = world.clone();
            next.apply(event);
            next.check();
            if seen.insert(next.signature()) {
                pending.push(next);
            }
        }
    }
    seen.len()
}

#[test]
fn no_order_of_events_loses_doubles_or_misdirects_a_reply() {
    let states = explore(3);
    assert!(states > 5_000, "{states} states only");
}

#[test]
fn nor_does_any_where_one_alone_may_wait() {
    assert!(explore(1) > 500);
}

#[test]
fn a_deserted_question_waits_for_who_comes_back() {
    let mut queue = Queue::of(2);
    let at = Duration::from_secs(9);
    assert_eq!(queue.join('k', 1, |_, id| id), Joined::First(0));
    let found = queue.look_after(at, |_| Seen::LetGo(()));
    assert!(found.let_go == [(1, ())] && found.void.is_empty());
    assert_eq!(queue.join('k', 2, |_, id| id), Joined::Behind);
    assert_eq!(queue.take(&'k', 0).unwrap().waiters, [2]);
    assert_eq!(queue.join('k', 3, |_, id| id), Joined::First(1));
    assert!(queue.look_after(at, |_| Seen::<()>::Gone).void.is_empty());
    assert_eq!(queue.look_after(at + COMES_BACK, |_| Seen::<()>::Waits).void, [1]);
    assert!(queue.is_empty() && queue.waiting() == 0);
}
