//! Ends a run whose monitor was killed from outside.
//!
//! What loses its monitor comes to askance, which is a subreaper too. A process of a run is told
//! from askance's other children by the filter that it carries on top of askance's own.

use std::fs;

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};

use super::limits::{descendants, field, parents};
use crate::sys::dispositions;

/// Makes this process, and its monitors, such that orphans of its runs come to them and their ends are told: of a caller
/// that ignores them, that would be inherited.
pub(super) fn adopt() {
    dispositions::tell_of_children();
    // Where it fails, only the death of a monitor is less well provided for.
    let _ = rustix::process::set_child_subreaper(Some(getpid()));
}

/// Kills and reaps everything that came here from a run, until nothing comes any more.
pub(super) fn end_all() {
    let own = getpid().as_raw_nonzero().get();
    let filters = filters_of(own);
    loop {
        let parents = parents();
        let children = parents.iter().filter(|(_, parent)| **parent == own).map(|(pid, _)| *pid);
        let adopted: Vec<i32> = children.filter(|pid| filters_of(*pid) > filters).collect();
        if adopted.is_empty() {
            return;
        }
        for root in &adopted {
            for pid in descendants(*root, &parents).into_iter().chain([*root]).filter_map(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        for pid in adopted.into_iter().filter_map(Pid::from_raw) {
            let _ = rustix::io::retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()));
        }
    }
}

fn filters_of(pid: i32) -> u64 {
    field(&fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default(), "Seccomp_filters:")
}
