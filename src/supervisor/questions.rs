//! Calls that wait for an answer: equal questions asked once, at most 256 waiting, none holding
//! anything but the thread that asked.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use super::Supervisor;
use super::call::{ActPermitted, Outcome, Reply};
use super::caller::Caller;
use super::context::{Asked, Asker};
use super::owed::Owed;
use super::queue::{self, Joined, Queue, Seen};
use super::signals::{Interruption, Watch};
use crate::journal::{ProcessReport, QuestionRecord, RuleReport};
use crate::policy::{Answer, Operation, Question, Rule, Target, Verdict};

/// More outstanding notifications make every other call of the run pay for walking past them.
pub const WAITING_MAX: usize = 256;

/// Equal questions have equal keys.
type Key = (Operation, Target);

/// One call that waits.
struct Waiter {
    owed: Owed,
    caller: Arc<Caller>,
    question: Arc<Question>,
    refusal: i32,
    act: ActPermitted,
    since: Instant,
    watch: Watch,
}

/// The queue of this run.
type State = Queue<Key, Arc<Asked>, Waiter>;

/// A question out of the queue, with those who waited for it.
type Open = queue::Open<Arc<Asked>, Waiter>;

/// The questions of one run.
pub(super) struct Questions {
    asker: Arc<dyn Asker>,
    request: String,
    /// Calls that wait at once, at most.
    most: usize,
    born: Instant,
    state: Mutex<State>,
}

impl std::fmt::Debug for Questions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Questions").field("waiting", &self.state().waiting()).finish_non_exhaustive()
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
        Self { asker, request, most, born: Instant::now(), state: Mutex::new(Queue::of(most)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn are_waiting(&self) -> bool {
        !self.state().is_empty()
    }

    /// Lets a call wait for an answer; asks if no equal question is open. Never blocks.
    pub(super) fn wait(&self, supervisor: &Arc<Supervisor>, owed: Owed, asking: Asking) {
        let Ok(caller) = supervisor.context.caller(owed.call()) else { return owed.reply(Reply::Errno(libc::EINTR)) };
        let question: Arc<Question> = Arc::from(asking.question);
        let key = (question.operation, question.target.clone());
        let waiter = Waiter {
            owed,
            question: Arc::clone(&question),
            refusal: asking.refusal,
            act: asking.act,
            since: Instant::now(),
            watch: Watch::default(),
            caller,
        };
        let mut asked = None;
        let joined = self.state().join(key.clone(), waiter, |waiter, id| {
            let (question, process) = (Arc::clone(&waiter.question), waiter.caller.describe());
            Arc::clone(asked.insert(Arc::new(Asked { id, question, process, request: self.request.clone() })))
        });
        if let Joined::Refused(waiter) = joined {
            let journal = supervisor.context.journal();
            journal.denied(
                question.operation.word(),
                &question.target.to_string(),
                Some(too_many(self.most)),
                question.finality(),
            );
            return waiter.owed.reply(Reply::Errno(waiter.refusal));
        }
        let (Joined::First(id), Some(asked)) = (joined, asked) else { return };
        supervisor.wake_watch();
        self.asker.ask(asked, answer_to(Arc::downgrade(supervisor), key, id));
    }

    /// Takes an answer: everybody who waits for it goes on, or is refused.
    fn answered(&self, supervisor: &Arc<Supervisor>, key: &Key, id: u64, answer: &Answer) {
        let Some(open) = self.state().take(key, id) else { return };
        record(supervisor, &open, answer);
        let question = &open.question.question;
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
        let released = self.state().take_where(|asked| {
            let again = policy.judge(&asked.question.access(), supervisor.context.facts());
            !matches!(again, Verdict::Ask(_))
        });
        for open in released {
            self.asker.withdraw(open.id);
            let verdict = policy.judge(&open.question.question.access(), supervisor.context.facts());
            let answer = if matches!(verdict, Verdict::Allow(_)) { Answer::Run } else { Answer::Deny };
            for waiter in open.waiters {
                settle(supervisor, waiter, &answer);
            }
        }
    }

    /// Looks after those who wait: the dead are forgotten, the signalled are let go.
    pub(super) fn look_after(&self, supervisor: &Arc<Supervisor>) {
        let looked_at: Vec<_> =
            self.state().waiters().map(|waiter| (*waiter.owed.call(), waiter.caller.tgid, waiter.watch)).collect();
        // Looking takes a while with many waiters, and whoever receives brings others meanwhile: not under the lock.
        let seen: HashMap<u64, (Seen<Interruption>, Watch)> = looked_at
            .into_iter()
            .map(|(call, tgid, mut watch)| {
                let seen = match watch.look(call.tid, tgid) {
                    _ if !supervisor.context.still_waiting(&call) => Seen::Gone,
                    Interruption::None => Seen::Waits,
                    found => Seen::LetGo(found),
                };
                (call.id, (seen, watch))
            })
            .collect();
        let found = self.state().look_after(self.born.elapsed(), |waiter| {
            // One who came meanwhile is looked at next time.
            let Some((seen, watch)) = seen.get(&waiter.owed.call().id) else { return Seen::Waits };
            waiter.watch = *watch;
            *seen
        });
        for (waiter, found) in found.let_go {
            waiter.owed.reply(Reply::Errno(found.errno()));
        }
        for id in found.void {
            self.asker.withdraw(id);
        }
    }

    /// The run ends: nobody waits any more.
    pub(super) fn close(&self) {
        let open = self.state().close();
        for question in open {
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
                // A panic refuses those who waited, and leaves whoever answers alone.
                let answered = || supervisor.questions.answered(&supervisor, &key, id, answer);
                let _ = catch_unwind(AssertUnwindSafe(answered));
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
    let Waiter { owed, caller, question, refusal, act, .. } = waiter;
    match question.permit(answer) {
        Some(permit) => {
            if matches!(answer, Answer::Once) {
                supervisor.context.remember_once(&question, answer, &caller);
            }
            supervisor.on_worker(owed, Box::new(move |context, call| act(permit, context, call)));
        }
        None => {
            let rule = question.reason.rule().map(Rule::text);
            supervisor.context.remember_once(&question, &Answer::Deny, &caller);
            let journal = supervisor.context.journal();
            journal.denied(question.operation.word(), &question.target.to_string(), rule, question.finality());
            owed.reply(Reply::Errno(refusal));
        }
    }
}

fn record(supervisor: &Supervisor, open: &Open, answer: &Answer) {
    let question = &open.question.question;
    let process = &open.question.process;
    let scope = match answer {
        Answer::Always { scope, .. } => Some(scope.word()),
        _ => None,
    };
    supervisor.context.journal().question(QuestionRecord {
        operation: question.operation.word(),
        target: question.target.to_string(),
        reason: question.reason.to_string(),
        rule: question.reason.rule().map(|rule| RuleReport { text: rule.text(), source: rule.source.to_string() }),
        process: ProcessReport { pid: process.pid, program: process.program.clone(), argv: process.argv.clone() },
        answer: answer.word(),
        scope,
        waited: open.waiters.iter().map(|waiter| waiter.since.elapsed()).max().unwrap_or_default(),
    });
}

/// Carries an outcome on: replies, waits, or acts apart. What panics there refuses the calls that it had.
pub(super) fn follow(supervisor: &Arc<Supervisor>, owed: Owed, outcome: Outcome) {
    let carry_on = || match outcome {
        Outcome::Reply(reply) => owed.reply(reply),
        Outcome::Ask { question, refusal, act } => {
            supervisor.questions.wait(supervisor, owed, Asking { question, refusal, act });
        }
        Outcome::Apart(act) => supervisor.on_worker(owed, act),
    };
    let _ = catch_unwind(AssertUnwindSafe(carry_on));
}
