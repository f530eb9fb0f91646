//! Who waits for which answer: the state machine alone, without clock, kernel or lock, so that every order
//! of its events can be tried (`tests`).
//!
//! A waiter is owned by exactly one place: this queue, or whoever took it out to reply. So no reply is
//! lost, doubled, or given to a call that asked something else.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

#[cfg(test)]
mod tests;

/// How long a question stays open for a call that a signal handler interrupted and that comes back.
pub(super) const COMES_BACK: Duration = Duration::from_millis(300);

/// One question that is being asked, and who waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Open<Q, W> {
    pub(super) id: u64,
    pub(super) question: Q,
    pub(super) waiters: Vec<W>,
    /// Since when nobody waits: an interrupted call may come back for its answer.
    deserted: Option<Duration>,
}

/// What becomes of a call that has to be asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joined<W> {
    /// It is the first: its question has to be asked.
    First(u64),
    /// It waits for an answer that was asked for already.
    Behind,
    /// Too many wait, or nothing is asked any more: it has to be refused.
    Refused(W),
}

/// What was seen of a waiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen<R> {
    Waits,
    /// Its call is gone: nobody is there to be told.
    Gone,
    /// It has to be let go, for this reason.
    LetGo(R),
}

/// Whom a round of looking found.
#[derive(Debug)]
pub(super) struct Found<W, R> {
    pub(super) let_go: Vec<(W, R)>,
    /// Questions that nobody waits for any more.
    pub(super) void: Vec<u64>,
}

/// Open questions, equal ones under one key.
#[derive(Debug, Clone)]
pub(super) struct Queue<K, Q, W> {
    next_id: u64,
    open: HashMap<K, Open<Q, W>>,
    waiting: usize,
    most: usize,
    closed: bool,
}

impl<K: Eq + Hash + Clone, Q, W> Queue<K, Q, W> {
    /// A queue in which so many may wait.
    pub(super) fn of(most: usize) -> Self {
        Self { next_id: 0, open: HashMap::new(), waiting: 0, most, closed: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Everybody who waits.
    pub(super) fn waiters(&self) -> impl Iterator<Item = &W> {
        self.open.values().flat_map(|open| &open.waiters)
    }

    /// Lets `waiter` wait under `key`; `question` is made of the first one and the new question's id.
    pub(super) fn join(&mut self, key: K, waiter: W, question: impl FnOnce(&W, u64) -> Q) -> Joined<W> {
        if self.closed || self.waiting >= self.most {
            return Joined::Refused(waiter);
        }
        if let Some(open) = self.open.get_mut(&key) {
            self.waiting += 1;
            open.deserted = None;
            open.waiters.push(waiter);
            return Joined::Behind;
        }
        let id = self.next_id;
        self.next_id += 1;
        let question = question(&waiter, id);
        self.waiting += 1;
        self.open.insert(key, Open { id, question, waiters: vec![waiter], deserted: None });
        Joined::First(id)
    }

    /// Takes the question out that `id` was asked under `key`; none where it is not open any more.
    pub(super) fn take(&mut self, key: &K, id: u64) -> Option<Open<Q, W>> {
        if self.open.get(key)?.id != id {
            return None;
        }
        let open = self.open.remove(key)?;
        self.waiting -= open.waiters.len();
        Some(open)
    }

    /// Takes every question out that `chosen` names.
    pub(super) fn take_where(&mut self, chosen: impl Fn(&Q) -> bool) -> Vec<Open<Q, W>> {
        let taken: Vec<_> = self.open.extract_if(|_, open| chosen(&open.question)).map(|(_, open)| open).collect();
        self.waiting -= taken.iter().map(|open| open.waiters.len()).sum::<usize>();
        taken
    }

    /// Looks at every waiter at the time `now`: the dead are forgotten, those to let go are handed out.
    pub(super) fn look_after<R>(&mut self, now: Duration, mut look: impl FnMut(&mut W) -> Seen<R>) -> Found<W, R> {
        let mut found = Found { let_go: Vec::new(), void: Vec::new() };
        let waiting = &mut self.waiting;
        self.open.retain(|_, open| {
            for mut waiter in std::mem::take(&mut open.waiters) {
                match look(&mut waiter) {
                    Seen::Waits => open.waiters.push(waiter),
                    Seen::Gone => *waiting -= 1,
                    Seen::LetGo(reason) => {
                        *waiting -= 1;
                        found.let_go.push((waiter, reason));
                    }
                }
            }
            let since = if open.waiters.is_empty() { *open.deserted.get_or_insert(now) } else { now };
            let void = open.waiters.is_empty() && now.saturating_sub(since) >= COMES_BACK;
            if void {
                found.void.push(open.id);
            }
            !void
        });
        found
    }

    /// The end: takes everything out, and lets nobody wait from now on.
    pub(super) fn close(&mut self) -> Vec<Open<Q, W>> {
        self.closed = true;
        self.waiting = 0;
        std::mem::take(&mut self.open).into_values().collect()
    }
}
