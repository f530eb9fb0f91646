//! The machine as the judgement of one request sees it: what a text repeats is asked once, and not without end.

use std::borrow::Borrow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::OsString;
use std::hash::Hash;
use std::path::{Path, PathBuf};

use crate::approval::request::Surroundings;

/// Different questions that one request may raise: each takes a few microseconds.
const MAX_QUESTIONS: usize = 3_000;

type Answers<Q, A> = RefCell<HashMap<Q, A>>;

pub(super) struct Machine<'a> {
    real: &'a dyn Surroundings,
    questions: Cell<usize>,
    programs: Answers<String, Option<PathBuf>>,
    writable: Answers<OsString, bool>,
    canonical: Answers<OsString, Option<PathBuf>>,
    mount_points: Answers<OsString, bool>,
    block_devices: Answers<OsString, bool>,
    repositories: Answers<OsString, Option<String>>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(real: &'a dyn Surroundings) -> Self {
        Machine {
            real,
            questions: Cell::new(0),
            programs: Answers::default(),
            writable: Answers::default(),
            canonical: Answers::default(),
            mount_points: Answers::default(),
            block_devices: Answers::default(),
            repositories: Answers::default(),
        }
    }

    /// Was something left unanswered? Then nothing that follows from an answer is known.
    pub(super) fn is_exhausted(&self) -> bool {
        self.questions.get() > MAX_QUESTIONS
    }

    /// The answer to a question; the default, which says nothing, when too many were asked.
    fn answer<Q, K, A>(&self, answers: &Answers<K, A>, question: &Q, ask: impl FnOnce() -> A) -> A
    where
        Q: ?Sized + Eq + Hash + ToOwned<Owned = K>,
        K: Borrow<Q> + Eq + Hash,
        A: Clone + Default,
    {
        if let Some(answer) = answers.borrow().get(question) {
            return answer.clone();
        }
        self.questions.set(self.questions.get() + 1);
        if self.is_exhausted() {
            return A::default();
        }
        let answer = ask();
        answers.borrow_mut().insert(question.to_owned(), answer.clone());
        answer
    }
}

impl Surroundings for Machine<'_> {
    fn find_program(&self, name: &str) -> Option<PathBuf> {
        self.answer(&self.programs, name, || self.real.find_program(name))
    }
    fn sandbox_may_write(&self, path: &Path) -> bool {
        self.answer(&self.writable, path.as_os_str(), || self.real.sandbox_may_write(path))
    }
    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        self.answer(&self.canonical, path.as_os_str(), || self.real.canonical(path))
    }
    fn is_mount_point(&self, path: &Path) -> bool {
        self.answer(&self.mount_points, path.as_os_str(), || self.real.is_mount_point(path))
    }
    fn is_block_device(&self, path: &Path) -> bool {
        self.answer(&self.block_devices, path.as_os_str(), || self.real.is_block_device(path))
    }
    fn repository_runs(&self, dir: &Path) -> Option<String> {
        self.answer(&self.repositories, dir.as_os_str(), || self.real.repository_runs(dir))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Counting(Cell<usize>);

    impl Counting {
        fn count<A>(&self, answer: A) -> A {
            self.0.set(self.0.get() + 1);
            answer
        }
    }

    impl Surroundings for Counting {
        fn find_program(&self, name: &str) -> Option<PathBuf> {
            self.count(Some(Path::new("/usr/bin").join(name)))
        }
        fn sandbox_may_write(&self, _: &Path) -> bool {
            self.count(true)
        }
        fn canonical(&self, path: &Path) -> Option<PathBuf> {
            self.count(Some(path.to_owned()))
        }
        fn is_mount_point(&self, _: &Path) -> bool {
            self.count(true)
        }
        fn is_block_device(&self, _: &Path) -> bool {
            self.count(true)
        }
        fn repository_runs(&self, _: &Path) -> Option<String> {
            self.count(Some("key".into()))
        }
    }

    #[test]
    fn a_question_is_asked_once_and_its_answer_kept() {
        let real = Counting::default();
        let machine = Machine::new(&real);
        for _ in 0..3 {
            let path = Path::new("/a");
            assert_eq!(machine.find_program("/a"), Some(path.into()));
            assert_eq!(machine.canonical(path), Some(path.into()));
            assert_eq!(machine.repository_runs(path), Some("key".into()));
            assert!(machine.sandbox_may_write(path) && machine.is_mount_point(path) && machine.is_block_device(path));
        }
        assert_eq!((real.0.get(), machine.is_exhausted()), (6, false));
    }

    #[test]
    fn too_many_questions_are_not_asked_and_that_is_known() {
        let real = Counting::default();
        let machine = Machine::new(&real);
        for at in 0..MAX_QUESTIONS {
            assert!(machine.sandbox_may_write(Path::new(&format!("/{at}"))));
        }
        assert!(!machine.is_exhausted());
        assert!(machine.find_program("one-more").is_none() && machine.is_exhausted());
        assert!(machine.sandbox_may_write(Path::new("/1")), "what is known stays known");
        assert_eq!(real.0.get(), MAX_QUESTIONS);
    }
}
