//! What every handler of a run shares.

use std::sync::Arc;

use super::call::AnswerTo;
use crate::policy::Question;

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

/// A run's shared state: policy, floor, process tree, what the run itself made.
pub struct Context {}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Context")
    }
}
