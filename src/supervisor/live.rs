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

    /// Adds a grant. One that is no valid entry adds nothing.
    pub fn adopt(&self, grant: Grant) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if let Ok(next) = current.with_grant(&grant) {
            *current = Arc::new(next);
            self.grants.lock().unwrap_or_else(PoisonError::into_inner).push(grant);
        }
    }

    /// Takes up a policy read anew; the run's grants still hold.
    pub fn replace(&self, fresh: Policy) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        let granted = grants.iter().fold(fresh, |policy, grant| policy.with_grant(grant).unwrap_or(policy));
        *current = Arc::new(granted);
    }
}
