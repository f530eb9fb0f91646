//! Where the threads and processes of a start run while they work for each other. Kernels of virtual machines that pack
//! what runs onto few processors put one to the other, where it waits; nobody is kept anywhere once the program runs.
//!
//! Async-signal-safe where it runs in a fork.

use std::sync::OnceLock;
use std::thread::JoinHandle;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

use crate::sys::process::stat_field;
use crate::sys::thread::restrict_to;

/// The processors that this process may use, and the one that the caller was on.
#[derive(Debug, Clone, Copy)]
pub struct Processors {
    own: CpuSet,
    here: usize,
}

impl Processors {
    /// `None` where there is no choice, or where none of them was idle: then whoever is sent away waits there.
    pub fn of_this_thread() -> Option<Self> {
        static WERE_IDLE: OnceLock<bool> = OnceLock::new();
        let own = sched_getaffinity(None).ok().filter(|own| own.count() > 1)?;
        let here = sched_getcpu();
        let idle = *WERE_IDLE.get_or_init(|| someone_is_idle(own.count(), here));
        idle.then_some(Self { own, here })
    }

    /// Takes a new process that has not begun off this processor, which is its maker's, until it
    /// [restores](Self::restore) itself.
    pub fn send_away(&self, process: Pid) {
        let _ = sched_setaffinity(Some(process), &self.others());
    }

    /// As [`Self::send_away`], of a thread.
    pub fn send_thread_away<T>(&self, thread: &JoinHandle<T>) {
        let others = self.others();
        restrict_to(thread, (0..CpuSet::MAX_CPU).filter(|number| others.is_set(*number)));
    }

    fn others(&self) -> CpuSet {
        let mut others = self.own;
        others.unset(self.here);
        others
    }

    /// Takes the caller off the processor of its maker, whom it may have interrupted.
    pub fn leave(&self) {
        if sched_getcpu() == self.here {
            let _ = sched_setaffinity(None, &self.others());
        }
    }

    /// Takes a new process that has not begun, or the caller, to the processor that this was made on.
    pub fn bring(&self, process: Option<Pid>) {
        let mut here = CpuSet::new();
        here.set(self.here);
        let _ = sched_setaffinity(process, &here);
    }

    /// Lets the caller be wherever it could be before. All processors are asked for first: who has asked for what
    /// its control group allows would keep to that when the group is allowed more.
    pub fn restore(&self) {
        let mut all = CpuSet::new();
        (0..CpuSet::MAX_CPU).for_each(|number| all.set(number));
        let _ = sched_setaffinity(None, &all);
        if !sched_getaffinity(None).is_ok_and(|now| now == self.own) {
            let _ = sched_setaffinity(None, &self.own);
        }
    }
}

/// Is one of so many processors idle? Whoever wants the caller's own processor takes none: a shell that has just forked
/// may still be waiting for it to be let on, where kernels pack.
fn someone_is_idle(processors: u32, here: usize) -> bool {
    let Some(runnable) = runnable() else { return false };
    runnable < processors || runnable == processors && parent_waits_on(here)
}

/// How many threads of the machine want a processor now: the fourth word of `/proc/loadavg`, as in `2/871`.
fn runnable() -> Option<u32> {
    let mut line = [0; 64];
    let line = std::str::from_utf8(first_line(c"/proc/loadavg", &mut line)?).ok()?;
    line.split(' ').nth(3)?.split('/').next()?.parse().ok()
}

/// Does the parent want this processor?
fn parent_waits_on(here: usize) -> bool {
    let Some(parent) = rustix::process::getppid() else { return false };
    let mut line = [0; 512];
    let stat = first_line(format!("/proc/{}/stat", parent.as_raw_nonzero()), &mut line);
    stat.is_some_and(|stat| wants(stat, here))
}

/// Does a process that can run have this processor, by its line in `/proc`?
fn wants(stat: &[u8], here: usize) -> bool {
    let processor = stat_field(stat, 39).and_then(|number| number.parse().ok());
    stat_field(stat, 3) == Some("R") && processor == Some(here)
}

/// What `line` has room for of a file in `/proc`, which is a line.
fn first_line(path: impl rustix::path::Arg, line: &mut [u8]) -> Option<&[u8]> {
    let file = rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let length = rustix::io::read(&file, &mut *line).ok()?;
    line.get(..length)
}

/// Waits on this processor: whoever wakes the caller would have it there, and goes on first.
pub fn wait_here<T>(wait: impl FnOnce() -> T) -> T {
    let Some(processors) = Processors::of_this_thread() else { return wait() };
    processors.bring(None);
    let _kept = KeptHere(processors);
    wait()
}

/// Ends when the wait does, however that is.
struct KeptHere(Processors);

impl Drop for KeptHere {
    fn drop(&mut self) {
        self.0.restore();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_wants_the_processor_that_its_line_says() {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let said = stat.rsplit_once(") ").unwrap().1.split(' ').nth(36).unwrap().parse().unwrap();
        assert!(wants(stat.as_bytes(), said));
        assert!(!wants(stat.as_bytes(), said + 1));
        let sleeps = stat.replacen(") R ", ") S ", 1).replacen('(', "(a) R ", 1);
        assert_ne!(sleeps, stat);
        assert!(!wants(sleeps.as_bytes(), said));
        assert!(!wants(b"", said) && !wants(b"1 (a) R", said));
    }

    #[test]
    fn somebody_wants_a_processor_while_this_runs() {
        assert!(runnable().unwrap() >= 1);
    }
}
