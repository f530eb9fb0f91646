//! Kills a tree where the kernel cannot confine a signal to it (Landlock before ABI 6).
//!
//! Reads parents from `/proc`, since `kill(-1)` would kill what is not ours. A tree that forks
//! faster than it is read may need many rounds: the caller repeats. Async-signal-safe.

use std::ffi::CStr;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use rustix::fs::{CWD, Mode, OFlags, RawDir};
use rustix::process::{Pid, Signal, getpid};

use crate::sys::process::stat_field;

/// Processes looked at in one round; more wait for the next.
const MOST: usize = 8192;

#[derive(Clone, Copy)]
struct Process {
    pid: i32,
    parent: i32,
    ours: bool,
}

/// Sends `SIGKILL` to every descendant of this process that one look finds.
pub(super) fn kill_descendants() {
    let mut processes = [Process { pid: 0, parent: 0, ours: false }; MOST];
    let found = list(&mut processes);
    let Some(processes) = processes.get_mut(..found) else { return };
    let own = getpid().as_raw_nonzero().get();
    // Parents need not come before their children: go on until a pass finds nobody new.
    loop {
        let mut more = false;
        for at in 0..found {
            let Some(process) = processes.get(at).copied() else { return };
            if process.ours {
                continue;
            }
            let child =
                process.parent == own || processes.iter().any(|other| other.ours && other.pid == process.parent);
            if child && let Some(process) = processes.get_mut(at) {
                process.ours = true;
                more = true;
            }
        }
        if !more {
            break;
        }
    }
    for process in processes.iter().filter(|process| process.ours) {
        if let Some(pid) = Pid::from_raw(process.pid) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}

fn list(processes: &mut [Process; MOST]) -> usize {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(proc) = rustix::fs::openat(CWD, c"/proc", flags, Mode::empty()) else { return 0 };
    let mut buffer = [MaybeUninit::uninit(); 8192];
    let mut entries = RawDir::new(&proc, &mut buffer);
    let mut found = 0;
    while let Some(Ok(entry)) = entries.next() {
        let Some(pid) = decimal(entry.file_name().to_bytes()) else { continue };
        let Some(parent) = parent(&proc, pid) else { continue };
        let Some(slot) = processes.get_mut(found) else { break };
        *slot = Process { pid, parent, ours: false };
        found += 1;
    }
    found
}

fn parent(proc: &impl AsFd, pid: i32) -> Option<i32> {
    let mut name = [0_u8; 24];
    let mut path = &mut name[..];
    write!(path, "{pid}/stat").ok()?;
    let path = CStr::from_bytes_until_nul(&name).ok()?;
    let stat = rustix::fs::openat(proc, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut bytes = [0_u8; 256];
    let length = rustix::io::read(&stat, &mut bytes).ok()?;
    stat_field(bytes.get(..length)?, 4)?.parse().ok()
}

fn decimal(bytes: &[u8]) -> Option<i32> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}
