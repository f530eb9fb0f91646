//! Bounds a run's processes and memory: by a control group where one is delegated, else by counting.
//!
//! Never by `RLIMIT_NPROC`, which counts the user's processes everywhere, nor by `RLIMIT_AS`, which
//! breaks programs that reserve address space.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::sys::process;

/// What the tree below a monitor uses now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sample {
    /// Threads count too, as the kernel's `pids` controller counts them.
    pub processes: u64,
    /// Anonymous, shared and swapped memory; a page that several processes hold counts for each.
    pub memory_bytes: u64,
}

/// Counts the descendants of `monitor`, itself left out.
pub fn sample(monitor: i32) -> Sample {
    let parents = parents();
    let mut sample = Sample::default();
    for pid in descendants(monitor, &parents) {
        let status = process::status(pid).unwrap_or_default();
        sample.processes += field(&status, "Threads:");
        sample.memory_bytes += 1024 * MEMORY_KB.map(|name| field(&status, name)).iter().sum::<u64>();
    }
    sample
}

/// Each process's parent.
pub(super) fn parents() -> HashMap<i32, i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return HashMap::new() };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers
        .filter_map(|pid: i32| {
            let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, process::stat_field(&stat, 4)?.parse().ok()?))
        })
        .collect()
}

pub(super) fn descendants(ancestor: i32, parents: &HashMap<i32, i32>) -> HashSet<i32> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for (pid, parent) in parents {
        children.entry(*parent).or_default().push(*pid);
    }
    let mut found = HashSet::new();
    let mut next = vec![ancestor];
    while let Some(pid) = next.pop() {
        next.extend(children.get(&pid).into_iter().flatten().filter(|child| found.insert(**child)));
    }
    found
}

/// What of a process's memory is its own, in kilobytes.
const MEMORY_KB: [&str; 3] = ["RssAnon:", "RssShmem:", "VmSwap:"];

/// A number of `/proc/PID/status`; 0 where it has none, as a zombie has no memory.
pub(super) fn field(status: &str, name: &str) -> u64 {
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    value.unwrap_or(0)
}

/// A control group (v2) for one run. Dropping it removes it, once its processes are dead.
#[derive(Debug)]
pub struct Group {
    directory: PathBuf,
}

impl Group {
    /// Makes a group with these bounds where this process may: beside its own group or below it.
    ///
    /// `Unsupported`: no controller for what is bounded is delegated here.
    pub fn make(processes: Option<u64>, memory_bytes: Option<u64>) -> io::Result<Self> {
        let mut failed = io::Error::from(io::ErrorKind::Unsupported);
        for parent in candidates() {
            if !delegates(&parent, processes, memory_bytes) {
                continue;
            }
            match Self::make_in(&parent, processes, memory_bytes) {
                Ok(group) => return Ok(group),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn make_in(parent: &Path, processes: Option<u64>, memory_bytes: Option<u64>) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("askance-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let group = Self { directory: parent.join(name) };
        fs::create_dir(&group.directory)?;
        if let Some(most) = processes {
            group.write("pids.max", &most.to_string())?;
        }
        if let Some(most) = memory_bytes {
            group.write("memory.max", &most.to_string())?;
            // Absent where swap is not accounted: then nothing swaps past the bound unseen.
            match group.write("memory.swap.max", "0") {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            group.write("memory.oom.group", "1")?;
        }
        Ok(group)
    }

    /// Moves a process, and with it all that it will fork, into the group.
    pub fn admit(&self, pid: i32) -> io::Result<()> {
        self.write("cgroup.procs", &pid.to_string())
    }

    /// Has the kernel killed the group for its memory?
    pub fn was_outgrown(&self) -> bool {
        let events = fs::read_to_string(self.directory.join("memory.events")).unwrap_or_default();
        events.lines().any(|line| line.strip_prefix("oom_kill ").is_some_and(|count| count.trim() != "0"))
    }

    fn write(&self, file: &str, value: &str) -> io::Result<()> {
        // Control files are there already: making one would hide that a controller is missing.
        let mut open = fs::OpenOptions::new();
        io::Write::write_all(&mut open.write(true).open(self.directory.join(file))?, value.as_bytes())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Busy while anything lives in it; then it stays, empty of bounds that would matter.
        let _ = fs::remove_dir(&self.directory);
    }
}

/// Could [`Group::make`] bound both processes and memory?
pub fn delegated() -> bool {
    let writable = |group: &PathBuf| rustix::fs::access(group, rustix::fs::Access::WRITE_OK).is_ok();
    candidates().iter().any(|group| delegates(group, Some(0), Some(0)) && writable(group))
}

/// Groups that a run's could be made in: beside this process's own first, since one that holds
/// processes, as ours does, cannot hand controllers down.
fn candidates() -> Vec<PathBuf> {
    let Some(mount) = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].into_iter().find(|mount| is_unified(mount)) else {
        return Vec::new();
    };
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let Some(own) = groups.lines().find_map(|line| line.strip_prefix("0::/")) else { return Vec::new() };
    let own = Path::new(mount).join(own);
    let beside = own.parent().filter(|parent| parent.starts_with(mount)).map(Path::to_owned);
    beside.into_iter().chain([own]).collect()
}

fn is_unified(mount: &str) -> bool {
    const CGROUP2_SUPER_MAGIC: i64 = 0x6367_7270;
    rustix::fs::statfs(mount).is_ok_and(|stat| stat.f_type == CGROUP2_SUPER_MAGIC)
}

/// Do children of `group` get the controllers that these bounds need?
fn delegates(group: &Path, processes: Option<u64>, memory_bytes: Option<u64>) -> bool {
    let handed_down = fs::read_to_string(group.join("cgroup.subtree_control")).unwrap_or_default();
    let has = |controller: &str| handed_down.split_whitespace().any(|word| word == controller);
    (processes.is_none() || has("pids")) && (memory_bytes.is_none() || has("memory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descendants_are_found_whatever_their_order() {
        let parents = HashMap::from([(2, 1), (3, 2), (9, 3), (4, 9), (5, 8)]);
        assert_eq!(descendants(2, &parents), HashSet::from([3, 9, 4]));
        assert_eq!(descendants(5, &parents), HashSet::new());
    }

    #[test]
    fn a_group_needs_its_controllers_handed_down() {
        let group = tempfile::tempdir().unwrap();
        fs::write(group.path().join("cgroup.subtree_control"), "cpu pids\n").unwrap();
        assert!(delegates(group.path(), Some(1), None));
        assert!(!delegates(group.path(), None, Some(1)));
        assert!(!delegates(&group.path().join("none"), Some(1), None));
    }

    #[test]
    fn a_group_without_its_control_files_is_not_left_behind() {
        let parent = tempfile::tempdir().unwrap();
        let made = Group::make_in(parent.path(), Some(1), None);
        assert_eq!(made.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    /// Controllers may be elsewhere; membership is the unified hierarchy's own.
    #[test]
    fn a_process_is_admitted_and_the_group_goes_when_it_is_dead() {
        let group = match Group::make(None, None) {
            Ok(group) => group,
            Err(error) => {
                eprintln!("skipped: no control group can be made here: {error}");
                return;
            }
        };
        let mut sleeper = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let admitted = group.admit(i32::try_from(sleeper.id()).unwrap());
        let members = fs::read_to_string(group.directory.join("cgroup.procs")).unwrap();
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        admitted.unwrap();
        assert_eq!(members.trim(), sleeper.id().to_string());
        assert!(!group.was_outgrown());
        let directory = group.directory.clone();
        drop(group);
        assert!(!directory.exists());
    }
}
