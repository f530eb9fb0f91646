//! What every handler of a run shares.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::call::{AnswerTo, Call, Outcome};
use super::caller::{Caller, Callers};
use super::exec::{Executions, Started};
use super::facts::RunFacts;
use super::files;
use super::live::LivePolicy;
use super::owed::{Kernel, Listener};
use super::tree::Tree;
use crate::dns::Dns;
use crate::journal::Journal;
use crate::policy::{Access, Answer, Denial, Operation, Policy, Question, Rule, Target, Verdict};
use crate::sandbox::Floor;
use crate::sandbox::features::takes_descriptors;

/// How long "once" covers a connection: both address families are tried, and retries.
const ONCE_CONNECT: Duration = Duration::from_secs(10);

/// What is said where a container's filter keeps the broker from the child's sockets.
const NO_HOLD: &str = "connections, listeners and file watches are refused here, because pidfd_getfd is forbidden; \
                       a container needs --cap-add SYS_PTRACE for them (askance doctor says more)";

/// How often settings files are looked at, at most.
const LOOK_AGAIN_MS: u64 = 100;

/// The process that asked, for the question and the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    /// The executable's path.
    pub program: String,
    pub argv: Vec<String>,
}

/// A question as it reaches whoever answers.
#[derive(Debug)]
pub struct Asked {
    /// Unique within the run.
    pub id: u64,
    pub question: Arc<Question>,
    pub process: Process,
    /// The request that the process belongs to, as one line.
    pub request: String,
}

/// Whoever answers questions: a terminal, a file, nobody, a remote client.
pub trait Asker: Send + Sync {
    /// Must not block; `answer` may be called at once or later, from any thread.
    fn ask(&self, asked: Arc<Asked>, answer: AnswerTo);
    /// The process died or was signalled: the question `id` is void.
    fn withdraw(&self, id: u64);
}

/// Makes answers last: writes settings, and reads them again when somebody else changed them.
pub trait Keeper: Send + Sync {
    /// Persists what `answer` says. The grant holds for this run whether or not that works.
    fn keep(&self, question: &Question, answer: &Answer);
    /// The policy as the settings files say now, if they changed since the last call.
    fn refresh(&self) -> Option<Policy>;
}

/// A run's shared state: policy, floor, process tree, what the run itself made.
pub struct Context {
    pub(super) listener: Listener,
    policy: Arc<LivePolicy>,
    floor: Floor,
    tree: Tree,
    callers: Callers,
    facts: RunFacts,
    files: files::State,
    dns: Dns,
    journal: Arc<Journal>,
    once: Mutex<HashMap<OnceKey, (Answer, Option<Instant>)>>,
    born: Instant,
    /// When settings files were last looked at, in milliseconds after `born`.
    looked_ms: AtomicU64,
    pub(super) keeper: Arc<dyn Keeper>,
    executions: Arc<dyn Executions>,
    started: Started,
}

/// A process, and what it was answered for this once.
type OnceKey = ((i32, u64), Operation, Target);

/// What a context is made of.
pub struct Parts {
    pub policy: Arc<LivePolicy>,
    pub monitor: i32,
    pub dns: Dns,
    pub journal: Arc<Journal>,
    pub keeper: Arc<dyn Keeper>,
    pub executions: Arc<dyn Executions>,
}

impl Context {
    /// Remembers so many callers at most. Floor and listener are waited for when all else is ready.
    pub fn new<E, K: Kernel + 'static>(
        parts: Parts,
        callers: usize,
        confined: impl FnOnce() -> Result<(Floor, K), E>,
    ) -> Result<Self, E> {
        let files = files::State::default();
        let callers = Callers::at_most(callers);
        let (floor, listener) = confined()?;
        Ok(Self {
            policy: parts.policy,
            floor,
            tree: Tree::below(parts.monitor),
            callers,
            facts: RunFacts::default(),
            files,
            dns: parts.dns,
            journal: parts.journal,
            once: Mutex::default(),
            born: Instant::now(),
            looked_ms: AtomicU64::new(0),
            keeper: parts.keeper,
            executions: parts.executions,
            started: Started::default(),
            listener: Listener::new(listener),
        })
    }

    /// The policy in force now.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.now()
    }

    pub fn floor(&self) -> &Floor {
        &self.floor
    }

    pub fn tree(&self) -> Tree {
        self.tree
    }

    pub fn facts(&self) -> &RunFacts {
        &self.facts
    }

    pub(super) fn files(&self) -> &files::State {
        &self.files
    }

    pub fn dns(&self) -> &Dns {
        &self.dns
    }

    pub(super) fn executions(&self) -> &dyn Executions {
        &*self.executions
    }

    pub(super) fn started(&self) -> &Started {
        &self.started
    }

    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Who made the call; an errno where that cannot be known any more.
    pub fn caller(&self, call: &Call) -> Result<Arc<Caller>, i32> {
        self.callers.get(call.tid)
    }

    /// Our own descriptor for what the caller calls `fd`. Where this place forbids that, the call is refused
    /// and the report says what to add.
    pub(super) fn take_fd(&self, call: &Call, fd: i32) -> Result<OwnedFd, i32> {
        self.caller(call)?.take_fd(fd).map_err(|errno| match errno {
            libc::EPERM | libc::ENOSYS if !takes_descriptors() => {
                self.journal.note(NO_HOLD);
                libc::EACCES
            }
            errno => errno,
        })
    }

    /// Does the call still wait? To be asked after copying its arguments and before acting on them,
    /// so that nothing is done in the name of a process that took a dead one's number.
    pub fn still_waiting(&self, call: &Call) -> bool {
        self.listener.is_waiting(call)
    }

    /// Judges an access of this call's process: the live policy, then what was allowed it once.
    pub fn judge(&self, access: &Access<'_>, call: &Call) -> Verdict {
        self.notice_changed_settings();
        let verdict = self.policy().judge(access, &self.facts);
        // Before anybody is asked: somebody may have answered in a settings file a moment ago.
        let verdict = match verdict {
            Verdict::Ask(_) if self.refresh() => self.policy().judge(access, &self.facts),
            verdict => verdict,
        };
        let Verdict::Ask(question) = verdict else { return verdict };
        let Some(answer) = self.remembered_once(&question, call) else { return Verdict::Ask(question) };
        match question.permit(&answer) {
            Some(permit) => Verdict::Allow(permit),
            None => Verdict::Deny(question.denial()),
        }
    }

    /// The tenth of a second that it is, for what is remembered only so long.
    pub(super) fn moment(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX) / 100
    }

    /// What others wrote into settings files since is live, at most this much later.
    fn notice_changed_settings(&self) {
        let now = self.born.elapsed().as_millis();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        let before = self.looked_ms.load(Ordering::Relaxed);
        let due = now >= before.saturating_add(LOOK_AGAIN_MS);
        if due && self.looked_ms.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.refresh();
        }
    }

    fn remembered_once(&self, question: &Question, call: &Call) -> Option<Answer> {
        let mut once = self.once.lock().unwrap_or_else(PoisonError::into_inner);
        if once.is_empty() {
            return None;
        }
        let key = (self.caller(call).ok()?.key(), question.operation, question.target.clone());
        match once.get(&key)? {
            (_, Some(until)) if *until < Instant::now() => {
                once.remove(&key);
                None
            }
            (answer, _) => Some(answer.clone()),
        }
    }

    /// "Once" for a write covers the path for that process until it exits, for a connection the
    /// name and port for ten seconds, a refusal too; for a read it is this one open.
    pub(super) fn remember_once(&self, question: &Question, answer: &Answer, caller: &Caller) {
        let until = match question.operation {
            Operation::Write if *answer == Answer::Once => None,
            Operation::Connect | Operation::Unix => Some(Instant::now() + ONCE_CONNECT),
            Operation::Read | Operation::Write | Operation::Bind | Operation::Command => return,
        };
        let mut once = self.once.lock().unwrap_or_else(PoisonError::into_inner);
        once.insert((caller.key(), question.operation, question.target.clone()), (answer.clone(), until));
    }

    /// Makes an answer that outlasts its access part of the live policy.
    pub(super) fn adopt(&self, question: &Question, answer: &Answer) {
        if let Some(grant) = question.grant(answer) {
            self.policy.adopt(grant);
        }
    }

    /// Takes up settings that somebody changed on disk; says whether there were any.
    pub(super) fn refresh(&self) -> bool {
        match self.keeper.refresh() {
            Some(fresh) => {
                self.policy.replace(fresh);
                true
            }
            None => false,
        }
    }

    /// Refuses the call as the denial says, and counts it in the report.
    pub fn refuse(&self, call: &Call, denial: &Denial) -> Outcome {
        let _ = call;
        self.journal.denied(denial.operation.word(), &denial.target.to_string(), denial_rule(denial), denial.finality);
        Outcome::errno(denial.errno)
    }
}

fn denial_rule(denial: &Denial) -> Option<String> {
    denial.rule.as_ref().map(Rule::text)
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("tree", &self.tree).field("facts", &self.facts).finish_non_exhaustive()
    }
}
