//! The thread that asks: takes the terminal, shows a question, waits for a key, gives it back.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::face::{Drawn, Surface};
use super::keys::{Key, Keys};
use super::layout::Ending;
use super::menu::{Menu, Press};
use super::terminal::{Inbox, Interrupt, Post, Surroundings, Waiting};
use crate::policy::Answer;
use crate::sys::signals::{Signals, block_terminal_stops};
use crate::sys::terminal::stop_job;

/// Keys pressed within this of a question's appearance were not meant for it.
const QUIET: Duration = Duration::from_millis(300);
/// The same where it appeared in the place of one that was withdrawn: a finger may be on its way.
const QUIET_AFTER_WITHDRAWAL: Duration = Duration::from_millis(800);
/// Typing that goes on must pause this long before a key counts.
const PAUSE: Duration = Duration::from_millis(150);
/// Nothing tells a background process that it came to the foreground.
const FOREGROUND_CHECK: Duration = Duration::from_millis(200);

pub(super) struct Desk {
    post: Arc<Post>,
    surface: Surface,
    interrupt: Interrupt,
    signals: Signals,
    queue: VecDeque<Waiting>,
    open: Option<Open>,
    keys: Keys,
    /// No key counts before this.
    quiet_until: Instant,
    /// The question for which the person was called to the foreground.
    called: Option<u64>,
    next_quiet: Duration,
}

/// The question on the screen.
struct Open {
    waiting: Waiting,
    menu: Menu,
    drawn: Drawn,
    /// How many more waited when it was drawn.
    others: usize,
}

/// The terminal hung up.
struct Gone;

impl From<io::Error> for Gone {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl Desk {
    pub(super) fn new(post: Arc<Post>, surroundings: Surroundings) -> io::Result<Self> {
        block_terminal_stops()?;
        let signals = Signals::catch(&[Signal::SIGWINCH, Signal::SIGCONT])?;
        let now = Instant::now();
        Ok(Self {
            post,
            surface: Surface::new(surroundings.place, surroundings.home),
            interrupt: surroundings.interrupt,
            signals,
            queue: VecDeque::new(),
            open: None,
            keys: Keys::new(now),
            quiet_until: now,
            called: None,
            next_quiet: QUIET,
        })
    }

    /// Asks until the run is over or the terminal is gone; then denies what is left.
    pub(super) fn serve(mut self) {
        loop {
            let step = self.step();
            match step {
                Ok(true) => {}
                Ok(false) | Err(Gone) => break,
            }
        }
        if let Some(open) = self.open.take() {
            let _ = self.surface.end(&open.drawn, &open.waiting.asked.question, Ending::Withdrawn);
            self.queue.push_front(open.waiting);
        }
        self.surface.leave();
        for waiting in self.queue {
            (waiting.answer)(Answer::Deny);
        }
    }

    /// One turn; `false` when the run is over.
    fn step(&mut self) -> Result<bool, Gone> {
        if !self.collect()? {
            return Ok(false);
        }
        self.open_next()?;
        self.count_others()?;
        if self.open.is_none() && self.queue.is_empty() {
            self.surface.leave();
        }
        self.wait()?;
        Ok(true)
    }

    /// Takes what arrived; `false` when the run is over.
    fn collect(&mut self) -> Result<bool, Gone> {
        let Inbox { arrived, withdrawn, closing, .. } = {
            let mut inbox = self.post.lock();
            let gone = inbox.gone;
            let taken = std::mem::take(&mut *inbox);
            inbox.gone = gone;
            inbox.closing = taken.closing;
            taken
        };
        self.queue.extend(arrived);
        for id in withdrawn {
            self.queue.retain(|waiting| waiting.asked.id != id);
            if let Some(open) = self.open.take_if(|open| open.waiting.asked.id == id) {
                self.surface.end(&open.drawn, &open.waiting.asked.question, Ending::Withdrawn)?;
                self.next_quiet = QUIET_AFTER_WITHDRAWAL;
            }
        }
        Ok(!closing)
    }

    /// Shows the next question, if none is shown and the terminal is this job's.
    fn open_next(&mut self) -> Result<(), Gone> {
        if self.open.is_some() || self.queue.is_empty() {
            return Ok(());
        }
        if !self.surface.take()? {
            self.call_to_foreground()?;
            return Ok(());
        }
        let Some(waiting) = self.queue.pop_front() else { return Ok(()) };
        let menu = Menu::new(&waiting.asked.question);
        self.open = Some(Open { waiting, menu, drawn: Drawn::default(), others: self.queue.len() });
        self.show_afresh()
    }

    /// Once for each question that waits while another job has the terminal.
    fn call_to_foreground(&mut self) -> Result<(), Gone> {
        let Some(next) = self.queue.front() else { return Ok(()) };
        if self.called != Some(next.asked.id) {
            self.called = Some(next.asked.id);
            self.surface.call(&next.asked.question)?;
        }
        Ok(())
    }

    /// Draws the open question where nothing of it is on the screen; earlier keys do not count.
    fn show_afresh(&mut self) -> Result<(), Gone> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.drawn = Drawn::default();
        self.draw()?;
        self.surface.flush_keys()?;
        self.quiet_until = Instant::now() + std::mem::replace(&mut self.next_quiet, QUIET);
        Ok(())
    }

    fn draw(&mut self) -> Result<(), Gone> {
        if let Some(open) = &mut self.open {
            open.others = self.queue.len();
            let lines = (open.waiting.asked.as_ref(), &open.menu, open.others);
            open.drawn = self.surface.draw(&open.drawn, lines)?;
        }
        Ok(())
    }

    fn count_others(&mut self) -> Result<(), Gone> {
        match &self.open {
            Some(open) if open.others != self.queue.len() => self.draw(),
            _ => Ok(()),
        }
    }

    fn wait(&mut self) -> Result<(), Gone> {
        let mut descriptors =
            vec![PollFd::new(&self.post.wake, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
        if self.open.is_some() {
            descriptors.push(PollFd::new(self.surface.tty(), PollFlags::IN));
        }
        let in_background = self.open.is_none() && !self.queue.is_empty();
        let patience = if in_background { Timespec::try_from(FOREGROUND_CHECK).ok() } else { None };
        match poll(&mut descriptors, patience.as_ref()) {
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(io::Error::from(error).into()),
            Ok(_) => {}
        }
        let ready: Vec<bool> = descriptors.iter().map(|descriptor| !descriptor.revents().is_empty()).collect();
        drop(descriptors);
        if ready[0] {
            let _ = rustix::io::read(&self.post.wake, &mut [0; 8]);
        }
        if ready[1] {
            self.handle_signals()?;
        }
        if ready.get(2) == Some(&true) {
            self.read_keys()?;
        }
        Ok(())
    }

    fn handle_signals(&mut self) -> Result<(), Gone> {
        let signals = self.signals.drain();
        if self.open.is_none() {
            return Ok(());
        }
        if signals.contains(&Signal::SIGCONT) {
            self.come_back()?;
        } else if signals.contains(&Signal::SIGWINCH) {
            self.draw()?;
        }
        Ok(())
    }

    /// After a stop: the screen shows something else, and the terminal may be another job's.
    fn come_back(&mut self) -> Result<(), Gone> {
        self.surface.forget();
        if self.surface.take()? {
            return self.show_afresh();
        }
        if let Some(open) = self.open.take() {
            self.queue.push_front(open.waiting);
        }
        Ok(())
    }

    fn read_keys(&mut self) -> Result<(), Gone> {
        let mut bytes = [0; 256];
        let length = match rustix::io::read(self.surface.tty(), &mut bytes) {
            Ok(0) => return Err(Gone),
            Ok(length) => length,
            Err(Errno::INTR | Errno::AGAIN) => return Ok(()),
            Err(_) => return if self.surface.tty().is_foreground()? { Err(Gone) } else { self.come_back() },
        };
        let now = Instant::now();
        let keys = self.keys.read(&bytes[..length], now);
        // Keys that come together were pasted, or typed before the question was read.
        if now < self.quiet_until || keys.len() > 1 {
            self.quiet_until = self.quiet_until.max(now + PAUSE);
            if !keys.contains(&Key::Interrupt) {
                return Ok(());
            }
        }
        match keys.iter().find(|key| **key == Key::Interrupt).or(keys.first()) {
            Some(&key) => self.press(key),
            None => Ok(()),
        }
    }

    fn press(&mut self, key: Key) -> Result<(), Gone> {
        let Some(open) = &mut self.open else { return Ok(()) };
        match key {
            Key::Character(character) => match open.menu.press(character) {
                Press::Answer(answer) => self.answer(answer),
                Press::Place => self.draw(),
                Press::Nothing => Ok(()),
            },
            Key::EndOfFile => self.answer(Answer::Deny),
            Key::Interrupt => self.interrupt(),
            Key::Suspend => self.suspend(),
            Key::Redraw => self.draw(),
        }
    }

    /// Leaves one line behind and lets the process go on.
    fn answer(&mut self, answer: Answer) -> Result<(), Gone> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let shown = self.surface.end(&open.drawn, &open.waiting.asked.question, Ending::Answered(&answer));
        if self.queue.is_empty() && self.post.lock().arrived.is_empty() {
            self.surface.leave();
        }
        (open.waiting.answer)(answer);
        Ok(shown?)
    }

    /// Denies everything that waits and interrupts the run.
    fn interrupt(&mut self) -> Result<(), Gone> {
        self.collect()?;
        let waiting = std::mem::take(&mut self.queue);
        // First: the refusals then find processes that are about to be interrupted, and say nothing.
        (self.interrupt)();
        let shown = self.answer(Answer::Deny);
        for waiting in waiting {
            (waiting.answer)(Answer::Deny);
        }
        shown
    }

    /// Stops this job, with the question put away until it is continued.
    fn suspend(&mut self) -> Result<(), Gone> {
        if let Some(open) = &self.open {
            self.surface.erase(&open.drawn)?;
        }
        self.surface.tty().restore();
        stop_job(&self.signals)?;
        self.signals.drain();
        self.come_back()
    }
}
