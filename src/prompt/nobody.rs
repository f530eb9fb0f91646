//! Nobody is there: every question is denied at once.

use std::sync::Arc;

use crate::policy::Answer;
use crate::supervisor::Asker;
use crate::supervisor::call::AnswerTo;
use crate::supervisor::context::Asked;

/// Denies whatever is asked (`--prompt deny`, and runs without a terminal).
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

impl Asker for Nobody {
    fn ask(&self, _: Arc<Asked>, answer: AnswerTo) {
        answer(Answer::Deny);
    }

    fn withdraw(&self, _: u64) {}
}
