//! The run's process tree: everything below the monitor, which reaps what loses its parent.

use std::fs;

use crate::sys::process::stat_field;

/// Answers whether a number belongs to a process of the run.
#[derive(Debug, Clone, Copy)]
pub struct Tree {
    monitor: i32,
}

/// Deeper chains are taken for a loop made by numbers reused while we looked.
const DEPTH_MAX: usize = 4096;

impl Tree {
    pub fn below(monitor: i32) -> Self {
        Self { monitor }
    }

    pub fn monitor(self) -> i32 {
        self.monitor
    }

    /// Is `pid` (a process or a thread) strictly below the monitor? A process that vanishes while
    /// we look is not.
    pub fn contains(self, pid: i32) -> bool {
        let mut current = pid;
        for _ in 0..DEPTH_MAX {
            match parent_of(current) {
                Some(parent) if parent == self.monitor => return true,
                Some(parent) if parent > 1 => current = parent,
                _ => return false,
            }
        }
        false
    }
}

fn parent_of(pid: i32) -> Option<i32> {
    stat_field(&fs::read(format!("/proc/{pid}/stat")).ok()?, 4)?.parse().ok()
}
