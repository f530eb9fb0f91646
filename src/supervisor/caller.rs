//! Who calls: a thread and its process, held by descriptor so that a reused number is nobody else.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::context::Process;
use crate::sys::{pidfd, process};

/// No umask is known yet.
const UNKNOWN: u32 = u32::MAX;

/// The dead are swept out when there are this many callers, or twice as many as lived the last time.
const SWEPT_FROM: usize = 64;

/// A process of the run, as long as somebody holds it.
#[derive(Debug)]
pub struct ProcessHold {
    pub tgid: i32,
    pidfd: OwnedFd,
    umask: AtomicU32,
    /// With `tgid`, names the process for ever: clock ticks since boot. Looked up when somebody asks, which for most
    /// processes nobody does.
    started: OnceLock<u64>,
}

/// One calling thread.
#[derive(Debug)]
pub struct Caller {
    pub tid: i32,
    pub tgid: i32,
    /// The thread itself (Linux 6.9), or nothing that could prove it alive.
    thread: Option<OwnedFd>,
    process: Arc<ProcessHold>,
}

impl Caller {
    /// Our own descriptor for the file that the process calls `fd`: `EBADF` where it has none, `EPERM` or
    /// `ENOSYS` where this place forbids taking any.
    pub fn take_fd(&self, fd: i32) -> Result<OwnedFd, i32> {
        let from = self.thread.as_ref().unwrap_or(&self.process.pidfd);
        pidfd::take_fd(from.as_fd(), fd).map_err(|error| error.raw_os_error().unwrap_or(libc::EBADF))
    }

    /// The process's umask. It is only in `/proc`, so it is read once and then followed.
    pub fn umask(&self) -> u32 {
        let known = self.process.umask.load(Ordering::Relaxed);
        if known != UNKNOWN {
            return known;
        }
        let read = status_field(self.tid, "Umask:").and_then(|text| u32::from_str_radix(&text, 8).ok());
        let umask = read.unwrap_or(0o077);
        self.process.umask.store(umask, Ordering::Relaxed);
        umask
    }

    /// The process is about to change its umask.
    pub fn set_umask(&self, umask: u32) {
        self.process.umask.store(umask & 0o777, Ordering::Relaxed);
    }

    /// Sends the calling thread a signal that the kernel would have raised in the call (`SIGPIPE`).
    pub fn raise(&self, signal: i32) {
        let to = self.thread.as_ref().unwrap_or(&self.process.pidfd);
        // A thread that is gone takes no signal.
        let _ = pidfd::send_signal(to.as_fd(), signal);
    }

    /// Names the process: never equal for two processes that live.
    pub fn key(&self) -> (i32, u64) {
        let look = || started(self.tgid).filter(|_| self.process_is_alive()).unwrap_or(0);
        (self.tgid, *self.process.started.get_or_init(look))
    }

    /// Ends the process at once.
    pub(super) fn kill(&self) {
        // One that is gone already needs no killing.
        let _ = pidfd::send_signal(self.process.pidfd.as_fd(), libc::SIGKILL);
    }

    pub fn process_is_alive(&self) -> bool {
        pidfd::is_alive(self.process.pidfd.as_fd())
    }

    fn thread_is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| pidfd::is_alive(thread.as_fd()))
    }

    /// What a question says of the process.
    pub fn describe(&self) -> Process {
        let program = fs::read_link(format!("/proc/{}/exe", self.tgid));
        let cmdline = fs::read(format!("/proc/{}/cmdline", self.tgid)).unwrap_or_default();
        let argv = cmdline
            .strip_suffix(&[0])
            .unwrap_or(&cmdline)
            .split(|&byte| byte == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        Process { pid: self.tgid, program: program.map(|path| path.display().to_string()).unwrap_or_default(), argv }
    }
}

/// The callers seen lately, by thread id.
#[derive(Debug)]
pub struct Callers {
    known: Mutex<Known>,
    most: usize,
}

#[derive(Debug)]
struct Known {
    by_tid: HashMap<i32, Arc<Caller>>,
    swept_at: usize,
}

impl Known {
    /// Makes room: first the dead go, and where that is not enough all do. Whoever calls again is
    /// looked up again.
    fn sweep(&mut self, most: usize) {
        if self.by_tid.len() < self.swept_at.min(most) {
            return;
        }
        self.by_tid.retain(|_, caller| caller.thread_is_alive());
        if self.by_tid.len() >= most {
            self.by_tid.clear();
        }
        self.swept_at = SWEPT_FROM.max(2 * self.by_tid.len());
    }
}

impl Callers {
    /// Remembers so many callers at most: each holds descriptors, dead or alive.
    pub(super) fn at_most(most: usize) -> Self {
        Self { known: Mutex::new(Known { by_tid: HashMap::new(), swept_at: SWEPT_FROM }), most }
    }

    /// The caller behind a waiting notification's thread id. The thread waits, so the number is its.
    pub fn get(&self, tid: i32) -> Result<Arc<Caller>, i32> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(caller) = known.by_tid.get(&tid)
            && caller.thread_is_alive()
        {
            return Ok(Arc::clone(caller));
        }
        // A process's descriptor is had by the number of its first thread alone.
        let first = pidfd::open_process(tid).ok();
        let tgid = match first {
            Some(_) => tid,
            None => status_field(tid, "Tgid:").and_then(|text| text.parse().ok()).ok_or(libc::EINTR)?,
        };
        // While that process lives the number is its own, and the thread one of its.
        let process = match known.by_tid.values().find(|caller| caller.tgid == tgid && caller.process_is_alive()) {
            Some(sibling) => Arc::clone(&sibling.process),
            None => Arc::new(hold(tgid, first).map_err(|error| error.raw_os_error().unwrap_or(libc::EINTR))?),
        };
        known.sweep(self.most);
        let caller = Arc::new(Caller { tid, tgid, thread: pidfd::open_thread(tid).ok(), process });
        known.by_tid.insert(tid, Arc::clone(&caller));
        Ok(caller)
    }
}

fn hold(tgid: i32, pidfd: Option<OwnedFd>) -> io::Result<ProcessHold> {
    let pidfd = pidfd.map_or_else(|| pidfd::open_process(tgid), Ok)?;
    Ok(ProcessHold { tgid, pidfd, umask: AtomicU32::new(UNKNOWN), started: OnceLock::new() })
}

/// When the process started, in clock ticks since boot: field 22 of its first thread's `stat`. For the `stat` of the
/// process the kernel would add up what all its threads used, ten thousand of them too.
fn started(tgid: i32) -> Option<u64> {
    // Fifty numbers and a name of 64 bytes at most, in one piece.
    let mut stat = [0; 1536];
    let length = File::open(format!("/proc/{tgid}/task/{tgid}/stat")).ok()?.read(&mut stat).ok()?;
    process::stat_field(&stat[..length], 22)?.parse().ok()
}

/// One field of `/proc/TID/status`.
pub(super) fn status_field(tid: i32, name: &str) -> Option<String> {
    let status = process::status(tid).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().to_owned())
}
