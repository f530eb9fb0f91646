//! The compiled lists: pure answers to "may this access happen".
//!
//! Owns rule patterns, precedence and specificity. Does no I/O: what happened during the run is
//! asked of [`Facts`].

pub mod access;
pub mod verdict;

pub use access::{Access, Change, Host, Operation, Target, UnixName};
pub use verdict::{Answer, Denial, Permit, Place, Question, Reason, Rule, Scope, Verdict};
