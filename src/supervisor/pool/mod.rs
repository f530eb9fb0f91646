//! Which thread carries which act: the state machine alone, without threads, clock, kernel or lock, so that
//! every order of its events can be tried (`tests`).
//!
//! A job is owned by exactly one place: this pool, the thread that took it out, or whoever it is handed back to.
//! So none is lost or done twice.

use std::collections::{HashMap, VecDeque};

#[cfg(test)]
mod tests;

/// What a thread has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<J> {
    /// This job; afterwards it tells [`Pool::done`].
    Act(u64, J),
    /// Wait for work, then tell [`Pool::woke`].
    Wait,
    /// End: it is counted no more.
    End,
}

/// What becomes of a job that is taken on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken<J> {
    /// A thread that waits, or is done with its act, will find it.
    Queued,
    /// A thread has to be started for it, and [`Pool::one_less`] be told where that fails.
    NeedsThread,
    /// Nothing begins any more.
    Refused(J),
}

/// Jobs that wait for a thread, and threads. A job has the id of its call.
#[derive(Debug, Clone)]
pub(super) struct Pool<J, N> {
    queue: VecDeque<(u64, J)>,
    threads: usize,
    idle: usize,
    most: usize,
    /// What runs now, by the call's id.
    acting: HashMap<u64, N>,
    ended: bool,
}

impl<J, N> Pool<J, N> {
    /// A pool in which so many act at once; more wait their turn.
    pub(super) fn of(most: usize) -> Self {
        Self { queue: VecDeque::new(), threads: 0, idle: 0, most, acting: HashMap::new(), ended: false }
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.acting.is_empty() || !self.queue.is_empty()
    }

    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    /// Takes on the job of the call `id`.
    pub(super) fn submit(&mut self, id: u64, job: J) -> Taken<J> {
        if self.ended {
            return Taken::Refused(job);
        }
        self.queue.push_back((id, job));
        if self.idle < self.queue.len() && self.threads < self.most {
            self.threads += 1;
            return Taken::NeedsThread;
        }
        Taken::Queued
    }

    /// A thread could not start. Those that run take the queue in their turn; with none, its jobs are handed out.
    pub(super) fn one_less(&mut self) -> Vec<(u64, J)> {
        self.threads -= 1;
        if self.threads == 0 { self.queue.drain(..).collect() } else { Vec::new() }
    }

    /// What a thread that just started, or is done, does next; of a job that it acts on the pool keeps a `note`.
    pub(super) fn next(&mut self, note: impl FnOnce(&J) -> N) -> Next<J> {
        if let Some((id, job)) = self.queue.pop_front() {
            self.acting.insert(id, note(&job));
            return Next::Act(id, job);
        }
        if self.ended {
            self.threads -= 1;
            return Next::End;
        }
        self.idle += 1;
        Next::Wait
    }

    /// A thread woke up: because of work, or because it waited for long enough.
    pub(super) fn woke(&mut self, waited_enough: bool, note: impl FnOnce(&J) -> N) -> Next<J> {
        self.idle -= 1;
        if waited_enough && self.queue.is_empty() {
            self.threads -= 1;
            return Next::End;
        }
        self.next(note)
    }

    /// An act is over; gives its note.
    pub(super) fn done(&mut self, id: u64) -> Option<N> {
        self.acting.remove(&id)
    }

    /// The acts under way.
    pub(super) fn acting(&mut self) -> impl Iterator<Item = (u64, &mut N)> {
        self.acting.iter_mut().map(|(id, note)| (*id, note))
    }

    pub(super) fn of_act(&mut self, id: u64) -> Option<&mut N> {
        self.acting.get_mut(&id)
    }

    /// The end: nothing begins any more, and threads end when they are done. Gives what had not begun.
    pub(super) fn end(&mut self) -> Vec<(u64, J)> {
        self.ended = true;
        self.queue.drain(..).collect()
    }
}
