//! The way of events to whoever reads them: a queue with a bound, and a thread that writes it.
//!
//! Nobody who reports may be held up by a reader that does not read: only the command's own output
//! waits (which stops the command, as a full pipe does), everything else is queued or dropped and counted.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use nix::sys::signal::SigSet;

use super::event::{Event, Exited};

/// Bytes in the queue before output waits.
const OUTPUT_WAITS: usize = 256 << 10;

/// Bytes in the queue before events are dropped.
const EVENTS_DROPPED: usize = 8 << 20;

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    closed: bool,
    /// The reader went away.
    gone: bool,
    dropped: u64,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// Tells events, one JSON object a line.
#[derive(Debug)]
pub struct Stream {
    shared: Arc<Shared>,
    to: Arc<File>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Stream {
    /// Writes to `to` from a thread of its own, which takes no signals.
    pub fn to(to: OwnedFd) -> io::Result<Self> {
        let shared = Arc::new(Shared { queue: Mutex::default(), changed: Condvar::new() });
        let to = Arc::new(File::from(to));
        let (queue, file) = (Arc::clone(&shared), Arc::clone(&to));
        let writer = without_signals("askance-events", move || write(&queue, &file))?;
        Ok(Self { shared, to, writer: Mutex::new(Some(writer)) })
    }

    /// Tells an event; never waits. `false`: nobody will read it.
    pub fn tell(&self, event: &Event) -> bool {
        let mut queue = self.shared.lock();
        if queue.bytes > EVENTS_DROPPED && !matches!(event, Event::Exited(_)) {
            queue.dropped += 1;
            return false;
        }
        self.push(&mut queue, event)
    }

    /// Tells output; waits while the reader is behind. `false`: nobody will read it.
    pub fn tell_output(&self, event: &Event) -> bool {
        let behind = |queue: &mut Queue| queue.bytes > OUTPUT_WAITS && !queue.gone;
        let queue = self.shared.changed.wait_while(self.shared.lock(), behind);
        self.push(&mut queue.unwrap_or_else(PoisonError::into_inner), event)
    }

    /// Tells the end, and waits until it is written or nobody reads any more.
    pub fn finish(&self, mut exited: Exited) {
        exited.dropped += self.shared.lock().dropped;
        self.tell(&Event::Exited(exited));
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // A writer that panicked has written what it could.
            let _ = writer.join();
        }
    }

    /// Polled for nothing, it says when its reader is gone.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.to.as_fd()
    }

    fn push(&self, queue: &mut Queue, event: &Event) -> bool {
        if queue.gone {
            return false;
        }
        let Ok(mut line) = serde_json::to_vec(event) else { return false };
        line.push(b'\n');
        queue.bytes += line.len();
        queue.lines.push_back(line);
        self.shared.changed.notify_all();
        true
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what is queued until the end, or until nobody reads.
fn write(shared: &Shared, mut to: &File) {
    loop {
        let waiting = |queue: &mut Queue| queue.lines.is_empty() && !queue.closed;
        let queue = shared.changed.wait_while(shared.lock(), waiting);
        let lines = std::mem::take(&mut queue.unwrap_or_else(PoisonError::into_inner).lines);
        if lines.is_empty() {
            return;
        }
        for line in lines {
            let written = to.write_all(&line);
            let mut queue = shared.lock();
            queue.bytes -= line.len();
            if written.is_err() {
                queue.gone = true;
                queue.lines.clear();
                queue.bytes = 0;
            }
            shared.changed.notify_all();
            if queue.gone {
                return;
            }
        }
    }
}

/// Starts a thread that takes no signals: the run's are for the thread that waits for them.
pub fn without_signals(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let before = SigSet::all().thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_SETMASK)?;
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    before.thread_set_mask()?;
    thread
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::journal::event::{Channel, Data, Output};

    fn output(text: &str) -> Event {
        Event::Output(Output { stream: Channel::Stdout, data: Data::Text(text.into()) })
    }

    #[test]
    fn output_waits_for_its_reader_and_the_end_comes_last() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let stream = Arc::new(Stream::to(write).unwrap());
        let teller = Arc::clone(&stream);
        let telling = std::thread::spawn(move || {
            for _ in 0..100 {
                assert!(teller.tell_output(&output(&"x".repeat(10_000))));
                assert!(teller.shared.lock().bytes < OUTPUT_WAITS + 11_000, "the queue outgrew its bound");
            }
            teller.finish(Exited::default());
        });
        let mut text = String::new();
        std::thread::spawn(move || {
            telling.join().unwrap();
            drop(stream);
        });
        File::from(read).read_to_string(&mut text).unwrap();
        assert_eq!(text.lines().count(), 101);
        assert!(text.lines().last().unwrap().starts_with(r#"{"type":"exited""#));
    }

    #[test]
    fn nobody_waits_for_a_reader_that_went_away() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let stream = Stream::to(write).unwrap();
        drop(read);
        while stream.tell_output(&output(&"x".repeat(100_000))) {}
        stream.finish(Exited::default());
    }

    #[test]
    fn events_that_nobody_reads_are_dropped_and_counted() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let stream = Stream::to(write).unwrap();
        let big = output(&"x".repeat(1 << 20));
        while stream.tell(&big) {}
        assert_eq!(stream.shared.lock().dropped, 1);
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            File::from(read).read_to_string(&mut text).map(|_| text)
        });
        stream.finish(Exited::default());
        drop(stream);
        assert!(reading.join().unwrap().unwrap().ends_with("\"dropped\":1}\n"));
    }
}
