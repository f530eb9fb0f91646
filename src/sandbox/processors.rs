//! Where a forked process begins. Kernels of virtual machines that pack what runs onto few processors leave it
//! on its parent's, where it waits until that sleeps; askance has more to do meanwhile, and so has the monitor.
//!
//! Async-signal-safe where it runs in a fork.

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// The processors that this process may use.
#[derive(Debug)]
pub(super) struct Processors {
    own: CpuSet,
    all: CpuSet,
}

impl Processors {
    /// `None` where there is no choice.
    pub(super) fn of_this_thread() -> Option<Self> {
        let own = sched_getaffinity(None).ok().filter(|own| own.count() > 1)?;
        let mut all = CpuSet::new();
        (0..CpuSet::MAX_CPU).for_each(|number| all.set(number));
        Some(Self { own, all })
    }

    /// Takes a new process off the processor of the caller, until it [restores](Self::restore) itself.
    pub(super) fn send_away(&self, process: Pid) {
        let mut others = self.own;
        others.unset(sched_getcpu());
        // Where it may not be, it begins where it is.
        let _ = sched_setaffinity(Some(process), &others);
    }

    /// Lets the caller be wherever it could be before. All processors are asked for first: who has asked for what
    /// its control group allows would keep to that when the group is allowed more.
    pub(super) fn restore(&self) {
        let _ = sched_setaffinity(None, &self.all);
        if !sched_getaffinity(None).is_ok_and(|now| now == self.own) {
            let _ = sched_setaffinity(None, &self.own);
        }
    }
}
