//! Questions to another program: asked as events of `-o stream-json`, answered by lines on a
//! descriptor (`--prompt fd=N`).
//!
//! An answer names a question that is open and one of its options; anything else has no effect and
//! is told so. Who closes the descriptor answers nothing any more: what is open, and whatever is
//! asked later, is denied.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::{OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::offers;
use crate::journal::event::{Event, Outcome, Rejected, Reply, Resolved};
use crate::journal::{Stream, without_signals};
use crate::policy::Answer;
use crate::supervisor::Asker;
use crate::supervisor::call::AnswerTo;
use crate::supervisor::context::Asked;
use crate::sys::spawn::inherited;

/// Bytes of one line with an answer.
const LINE_MAX: usize = 64 << 10;

/// A question that is open.
struct Open {
    /// The supervisor's number of it.
    asked: u64,
    options: Vec<(String, Answer)>,
    answer: AnswerTo,
}

#[derive(Default)]
struct State {
    next: u64,
    open: BTreeMap<String, Open>,
    /// Nobody answers any more.
    gone: bool,
}

struct Shared {
    state: Mutex<State>,
    stream: Arc<Stream>,
}

/// Asks another program.
pub struct Remote {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("open", &self.shared.lock().open.len()).finish_non_exhaustive()
    }
}

impl Remote {
    /// Questions on `stream`, answers from the inherited descriptor `number`.
    pub fn on(number: RawFd, stream: Arc<Stream>) -> io::Result<Self> {
        Self::answered_by(inherited(number)?, stream)
    }

    fn answered_by(answers: OwnedFd, stream: Arc<Stream>) -> io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), stream });
        let reader = Arc::clone(&shared);
        without_signals("askance-answers", move || {
            reader.read(File::from(answers));
            reader.deny_all();
        })?;
        Ok(Self { shared })
    }
}

impl Asker for Remote {
    fn ask(&self, asked: Arc<Asked>, answer: AnswerTo) {
        let mut state = self.shared.lock();
        let id = format!("q{}", state.next);
        state.next += 1;
        let options = offers::options(&asked.question);
        let ask = offers::ask(&asked, id.clone(), &options);
        // Under the lock, so that nothing is resolved before it was asked.
        if state.gone || !self.shared.stream.tell(&Event::Question(Box::new(ask))) {
            drop(state);
            answer(Answer::Deny);
            return;
        }
        let options = options.into_iter().map(|(choice, answer)| (choice.option_id, answer)).collect();
        state.open.insert(id, Open { asked: asked.id, options, answer });
    }

    fn withdraw(&self, asked: u64) {
        let mut state = self.shared.lock();
        let found = state.open.iter().find(|(_, open)| open.asked == asked).map(|(id, _)| id.clone());
        let Some(id) = found else { return };
        let open = state.open.remove(&id);
        self.shared.resolved(id, Outcome::Withdrawn, None);
        drop(state);
        // Dropped unanswered it denies, which nobody waits for any more.
        drop(open);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes answers until the descriptor is closed.
    fn read(&self, answers: File) {
        let mut answers = BufReader::new(answers);
        loop {
            let mut line = Vec::new();
            let limit = LINE_MAX as u64 + 1;
            match answers.by_ref().take(limit).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let rejected = if line.len() > LINE_MAX {
                // A line without an end, or the end of the descriptor.
                if answers.skip_until(b'\n').is_err() {
                    return;
                }
                Some(Rejected { question_id: None, reason: format!("an answer is longer than {LINE_MAX} bytes") })
            } else {
                self.take(&line)
            };
            if let Some(rejected) = rejected {
                self.stream.tell(&Event::AnswerRejected(rejected));
            }
        }
    }

    /// One line; why it has no effect, where it has none.
    fn take(&self, line: &[u8]) -> Option<Rejected> {
        if line.trim_ascii().is_empty() {
            return None;
        }
        let reply: Reply = match serde_json::from_slice(line) {
            Ok(reply) => reply,
            Err(error) => return Some(Rejected { question_id: None, reason: format!("not an answer: {error}") }),
        };
        let mut state = self.lock();
        let Some(open) = state.open.get(&reply.question_id) else {
            let reason = "no such question is open".to_owned();
            return Some(Rejected { question_id: Some(reply.question_id), reason });
        };
        let Some(answer) = open.options.iter().find(|(id, _)| *id == reply.option_id).map(|(_, answer)| answer.clone())
        else {
            let reason = format!("the option {:?} was not offered", reply.option_id);
            return Some(Rejected { question_id: Some(reply.question_id), reason });
        };
        let open = state.open.remove(&reply.question_id);
        self.resolved(reply.question_id, Outcome::Answered, Some(reply.option_id));
        drop(state);
        if let Some(open) = open {
            (open.answer)(answer);
        }
        None
    }

    fn deny_all(&self) {
        let mut state = self.lock();
        state.gone = true;
        let open = std::mem::take(&mut state.open);
        drop(state);
        for (id, open) in open {
            self.resolved(id, Outcome::Denied, None);
            (open.answer)(Answer::Deny);
        }
    }

    fn resolved(&self, question_id: String, outcome: Outcome, option_id: Option<String>) {
        self.stream.tell(&Event::QuestionResolved(Resolved { question_id, outcome, option_id }));
    }
}
