//! The policy in force: replaced whole by answers and by changed settings files.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::policy::{Grant, Policy};

/// A policy that may be replaced while it is in use. Nobody holds its lock across a system call.
#[derive(Debug)]
pub struct LivePolicy {
    current: RwLock<Arc<Policy>>,
    /// Grants of this run, kept apart so that a policy read anew gets them again.
    grants: Mutex<Vec<Grant>>,
}

impl LivePolicy {
    pub fn new(policy: Policy) -> Self {
        Self { current: RwLock::new(Arc::new(policy)), grants: Mutex::default() }
    }

    /// The policy in force now.
    pub fn now(&self) -> Arc<Policy> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a grant. One that is no valid entry adds nothing. The policy is copied only where somebody holds it just
    /// now: thousands of grants in a run cost each its own size, not the size of all.
    pub fn adopt(&self, grant: Grant) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if Arc::make_mut(&mut current).grant(&grant).is_ok() {
            self.grants.lock().unwrap_or_else(PoisonError::into_inner).push(grant);
        }
    }

    /// Takes up a policy read anew; the run's grants still hold.
    pub fn replace(&self, mut fresh: Policy) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        for grant in self.grants.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // It was a valid entry before.
            let _ = fresh.grant(grant);
        }
        *current = Arc::new(fresh);
    }
}
