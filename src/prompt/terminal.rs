//! Questions on the terminal: one at a time, answered by a single key.
//!
//! Owns the queue and the thread that asks. A question takes the terminal away from the command
//! (see [`pty`](super::pty)), throws away what was typed before it appeared, and takes no key for a
//! moment after, so that only somebody who saw it answers it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, eventfd};

use super::desk::Desk;
use super::pty::Gate;
use crate::supervisor::Asker;
use crate::supervisor::call::AnswerTo;
use crate::supervisor::context::Asked;
use crate::sys::terminal::Tty;

/// Interrupts the run, as Ctrl-C at a question asks for.
pub type Interrupt = Arc<dyn Fn() + Send + Sync>;

/// A question and the way back for its answer.
pub(super) struct Waiting {
    pub(super) asked: Arc<Asked>,
    pub(super) answer: AnswerTo,
}

/// What reached the asker since its thread last looked.
#[derive(Default)]
pub(super) struct Inbox {
    pub(super) arrived: VecDeque<Waiting>,
    pub(super) withdrawn: Vec<u64>,
    pub(super) closing: bool,
    /// The terminal hung up: nobody is there any more.
    pub(super) gone: bool,
}

pub(super) struct Post {
    inbox: Mutex<Inbox>,
    pub(super) wake: OwnedFd,
}

impl Post {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        // An eventfd refuses only when its counter is full, and then it is readable.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

/// Asks on the controlling terminal.
pub struct Terminal {
    post: Arc<Post>,
    /// Started by the first question.
    thread: Mutex<Option<JoinHandle<()>>>,
    screen: Mutex<Option<Surroundings>>,
}

/// What the asking thread works with.
pub(super) struct Surroundings {
    pub(super) place: AskingPlace,
    pub(super) interrupt: Interrupt,
    pub(super) home: Option<PathBuf>,
}

/// Where questions appear.
pub(super) enum AskingPlace {
    /// The terminal that the command's output is relayed to.
    Relayed(Gate),
    /// A terminal that the command does not have.
    Own(Tty),
}

impl AskingPlace {
    pub(super) fn tty(&self) -> &Tty {
        match self {
            Self::Relayed(gate) => gate.tty(),
            Self::Own(tty) => tty,
        }
    }
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Terminal")
    }
}

impl Terminal {
    /// Questions on the terminal of `gate`, else on `/dev/tty`. `home` is shown as `~`.
    pub fn open(gate: Option<Gate>, interrupt: Interrupt, home: Option<PathBuf>) -> io::Result<Self> {
        let place = match gate {
            Some(gate) => AskingPlace::Relayed(gate),
            None => AskingPlace::Own(Tty::controlling()?),
        };
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            post: Arc::new(Post { inbox: Mutex::default(), wake }),
            thread: Mutex::new(None),
            screen: Mutex::new(Some(Surroundings { place, interrupt, home })),
        })
    }

    /// Starts the thread that asks, once. Without one the question is denied.
    fn start(&self) -> io::Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(surroundings) = self.screen.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return Ok(());
        };
        let post = Arc::clone(&self.post);
        let spawned = std::thread::Builder::new().name("questions".to_owned()).spawn(move || {
            let denied = Arc::clone(&post);
            // Whatever ends the desk, nobody waits for an answer that cannot come.
            let _gone = OnDrop(move || deny_all(&denied));
            if let Ok(desk) = Desk::new(post, surroundings) {
                desk.serve();
            }
        });
        *thread = Some(spawned.inspect_err(|_| self.post.lock().gone = true)?);
        Ok(())
    }
}

impl Asker for Terminal {
    fn ask(&self, asked: Arc<Asked>, answer: AnswerTo) {
        let mut inbox = self.post.lock();
        if inbox.gone {
            drop(inbox);
            answer(crate::policy::Answer::Deny);
            return;
        }
        inbox.arrived.push_back(Waiting { asked, answer });
        drop(inbox);
        if self.start().is_err() {
            deny_all(&self.post);
        }
        self.post.wake();
    }

    fn withdraw(&self, id: u64) {
        self.post.lock().withdrawn.push(id);
        self.post.wake();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.post.lock().closing = true;
        self.post.wake();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The last owner may be the asking thread itself, on its way out of an answer.
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            // A desk that panicked has given the terminal back as it unwound.
            let _ = thread.join();
        }
    }
}

/// From here on, every question is denied.
fn deny_all(post: &Post) {
    let mut inbox = post.lock();
    inbox.gone = true;
    let arrived = std::mem::take(&mut inbox.arrived);
    drop(inbox);
    for waiting in arrived {
        (waiting.answer)(crate::policy::Answer::Deny);
    }
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
