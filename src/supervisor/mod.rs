//! The notify loop and the broker: receive → copy → judge → act → reply.
//!
//! Owns every decision made while the command runs. It never looks at the child's memory after
//! judging, and nothing here fails open: whatever is unexpected refuses that one call.

pub mod call;
pub mod context;

pub use call::{Call, Outcome, Reply};
pub use context::{Asker, Context};
