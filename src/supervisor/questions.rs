//! Calls that wait for an answer: equal questions asked once, at most 256 waiting, none holding
//! anything but the thread that asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::Supervisor;
use super::call::{ActPermitted, Call, Outcome, Reply};
use super::caller::Caller;
use super::context::{Asked, Asker};
use super::signals::{Interruption, Watch};
use crate::journal::{ProcessReport, QuestionRecord, RuleReport};
use crate::policy::{Answer, Operation, Question, Target, Verdict};

/// More outstanding notifications make every other call of the run pay for walking past them.
pub const WAITING_MAX: usize = 256;

/// How long a question stays open for a call that a signal handler interrupted and that comes back.
const COMES_BACK: Duration = Duration::from_millis(300);

/// Equal questions have equal keys.
type Key = (Operation, Target);

/// One call that waits.
struct Waiter {
    call: Call,
    caller: Arc<Caller>,
    question: Arc<Question>,
    refusal: i32,
    act: ActPermitted,
    since: Instant,
    watch: Watch,
}

/// One question that is being asked.
struct Open {
    id: u64,
    asked: Arc<Asked>,
    waiters: Vec<Waiter>,
    /// Set while nobody waits: an interrupted call may come back for its answer.
    deserted: Option<Instant>,
}

#[derive(Default)]
struct State {
    next_id: u64,
    open: HashMap<Key, Open>,
    waiting: usize,
}

/// The questions of one run.
pub(super) struct Questions {
    asker: Arc<dyn Asker>,
    request: String,
    /// Calls that wait at once, at most.
    most: usize,
    state: Mutex<State>,
}

impl std::fmt::Debug for Questions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Questions").field("waiting", &self.state().waiting).finish_non_exhaustive()
    }
}

/// What a call that has to be asked about brings along.
pub(super) struct Asking {
    pub(super) question: Box<Question>,
    pub(super) refusal: i32,
    pub(super) act: ActPermitted,
}

impl Questions {
    pub(super) fn new(asker: Arc<dyn Asker>, request: String, most: usize) -> Self {
        Self { asker, request, most, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn are_waiting(&self) -> bool {
        let state = self.state();
        !state.open.is_empty()
    }

    /// Lets `call` wait for an answer; asks if no equal question is open. Never blocks.
    pub(super) fn wait(&self, supervisor: &Arc<Supervisor>, call: Call, asking: Asking) {
        let Ok(caller) = supervisor.context.caller(&call) else {
            supervisor.reply(&call, Reply::Errno(libc::EINTR));
            return;
        };
        let question: Arc<Question> = Arc::from(asking.question);
        let key = (question.operation, question.target.clone());
        let waiter = Waiter {
            call,
            question: Arc::clone(&question),
            refusal: asking.refusal,
            act: asking.act,
            since: Instant::now(),
            watch: Watch::default(),
            caller,
        };
        let mut state = self.state();
        if state.waiting >= self.most {
            drop(state);
            let journal = supervisor.context.journal();
            journal.denied(question.operation.word(), &question.target.to_string(), Some(too_many(self.most)), false);
            supervisor.reply(&call, Reply::Errno(waiter.refusal));
            return;
        }
        state.waiting += 1;
        if let Some(open) = state.open.get_mut(&key) {
            open.deserted = None;
            open.waiters.push(waiter);
            return;
        }
        let id = state.next_id;
        state.next_id += 1;
        let process = waiter.caller.describe();
        let asked = Arc::new(Asked { id, question, process, request: self.request.clone() });
        let open = Open { id, asked: Arc::clone(&asked), waiters: vec![waiter], deserted: None };
        state.open.insert(key.clone(), open);
        drop(state);
        supervisor.wake_watch();
        self.asker.ask(asked, answer_to(Arc::downgrade(supervisor), key, id));
    }

    /// Takes an answer: everybody who waits for it goes on, or is refused.
    fn answered(&self, supervisor: &Arc<Supervisor>, key: &Key, id: u64, answer: &Answer) {
        let open = {
            let mut state = self.state();
            if state.open.get(key).is_none_or(|open| open.id != id) {
                return;
            }
            let Some(open) = state.open.remove(key) else { return };
            state.waiting -= open.waiters.len();
            open
        };
        record(supervisor, &open, answer);
        let question = &open.asked.question;
        let offered = matches!(answer, Answer::Deny) || !question.organisation;
        if offered && !open.waiters.is_empty() {
            supervisor.context.adopt(question, answer);
            supervisor.context.keeper.keep(question, answer);
        }
        for waiter in open.waiters {
            settle(supervisor, waiter, answer);
        }
        self.release_covered(supervisor);
    }

    /// After the policy changed: whoever waits for what it covers now goes on unasked.
    pub(super) fn release_covered(&self, supervisor: &Arc<Supervisor>) {
        let policy = supervisor.context.policy();
        let mut released = Vec::new();
        {
            let mut state = self.state();
            let covered: Vec<Key> = state
                .open
                .iter()
                .filter(|(_, open)| {
                    let again = policy.judge(&open.asked.question.access(), supervisor.context.facts());
                    !matches!(again, Verdict::Ask(_))
                })
                .map(|(key, _)| key.clone())
                .collect();
            for key in covered {
                let Some(open) = state.open.remove(&key) else { continue };
                state.waiting -= open.waiters.len();
                released.push(open);
            }
        }
        for open in released {
            self.asker.withdraw(open.id);
            let verdict = policy.judge(&open.asked.question.access(), supervisor.context.facts());
            let answer = if matches!(verdict, Verdict::Allow(_)) { Answer::Run } else { Answer::Deny };
            for waiter in open.waiters {
                settle(supervisor, waiter, &answer);
            }
        }
    }

    /// Looks after those who wait: the dead are forgotten, the signalled are let go.
    pub(super) fn look_after(&self, supervisor: &Arc<Supervisor>) {
        let mut gone = Vec::new();
        let mut interrupted = Vec::new();
        {
            let mut state = self.state();
            let State { open: questions, waiting, .. } = &mut *state;
            questions.retain(|_, open| {
                let before = open.waiters.len();
                open.waiters.retain_mut(|waiter| {
                    if !supervisor.context.still_waiting(&waiter.call) {
                        return false;
                    }
                    match waiter.watch.look(waiter.call.tid, waiter.caller.tgid) {
                        Interruption::None => true,
                        found => {
                            interrupted.push((waiter.call, found));
                            false
                        }
                    }
                });
                *waiting -= before - open.waiters.len();
                if open.waiters.is_empty() {
                    let since = *open.deserted.get_or_insert_with(Instant::now);
                    if since.elapsed() >= COMES_BACK {
                        gone.push(open.id);
                        return false;
                    }
                }
                true
            });
        }
        for (call, found) in interrupted {
            supervisor.reply(&call, Reply::Errno(found.errno()));
        }
        for id in gone {
            self.asker.withdraw(id);
        }
    }

    /// The run ends: nobody waits any more.
    pub(super) fn close(&self) {
        let open = std::mem::take(&mut self.state().open);
        for question in open.into_values() {
            self.asker.withdraw(question.id);
        }
    }
}

fn too_many(most: usize) -> String {
    format!("more than {most} accesses waited for answers")
}

/// How an answer finds its way back. Dropped unanswered, it denies.
fn answer_to(supervisor: Weak<Supervisor>, key: Key, id: u64) -> super::call::AnswerTo {
    struct Denies(Option<(Weak<Supervisor>, Key, u64)>);
    impl Denies {
        fn give(&mut self, answer: &Answer) {
            if let Some((supervisor, key, id)) = self.0.take()
                && let Some(supervisor) = supervisor.upgrade()
            {
                supervisor.questions.answered(&supervisor, &key, id, answer);
            }
        }
    }
    impl Drop for Denies {
        fn drop(&mut self) {
            self.give(&Answer::Deny);
        }
    }
    let mut way = Denies(Some((supervisor, key, id)));
    Box::new(move |answer| way.give(&answer))
}

fn settle(supervisor: &Arc<Supervisor>, waiter: Waiter, answer: &Answer) {
    let Waiter { call, caller, question, refusal, act, .. } = waiter;
    match question.permit(answer) {
        Some(permit) => {
            if matches!(answer, Answer::Once) {
                supervisor.context.remember_once(&question, answer, &caller);
            }
            supervisor.on_worker(call, Box::new(move |context, call| act(permit, context, call)));
        }
        None => {
            let rule = question.reason.rule().map(|rule| rule.text.clone());
            supervisor.context.remember_once(&question, &Answer::Deny, &caller);
            let journal = supervisor.context.journal();
            journal.denied(question.operation.word(), &question.target.to_string(), rule, false);
            supervisor.reply(&call, Reply::Errno(refusal));
        }
    }
}

fn record(supervisor: &Supervisor, open: &Open, answer: &Answer) {
    let question = &open.asked.question;
    let process = &open.asked.process;
    let scope = match answer {
        Answer::Always { scope, .. } => Some(scope.word()),
        _ => None,
    };
    supervisor.context.journal().question(QuestionRecord {
        operation: question.operation.word(),
        target: question.target.to_string(),
        reason: question.reason.to_string(),
        rule: question
            .reason
            .rule()
            .map(|rule| RuleReport { text: rule.text.clone(), source: rule.source.to_string() }),
        process: ProcessReport { pid: process.pid, program: process.program.clone(), argv: process.argv.clone() },
        answer: answer.word(),
        scope,
        waited: open.waiters.iter().map(|waiter| waiter.since.elapsed()).max().unwrap_or_default(),
    });
}

/// Carries an outcome on: replies, waits, or acts apart.
pub(super) fn follow(supervisor: &Arc<Supervisor>, call: Call, outcome: Outcome) {
    match outcome {
        Outcome::Reply(reply) => supervisor.reply(&call, reply),
        Outcome::Ask { question, refusal, act } => {
            supervisor.questions.wait(supervisor, call, Asking { question, refusal, act });
        }
        Outcome::Apart(act) => supervisor.on_worker(call, act),
    }
}
