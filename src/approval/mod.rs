//! Request → verdict: may this command start, why, and by which rule.
//!
//! Deciding is pure: what has to be known of the machine is asked through [`Surroundings`], and only
//! [`Host`] looks at the real one. Nothing here starts, asks or persists anything.

mod arg;
mod assess;
mod environment;
mod expand;
mod host;
mod interlock;
mod judge;
mod languages;
mod lists;
mod options;
mod programs;
mod request;
mod shell;
mod verdict;

pub use host::Host;
pub use interlock::Interlock;
pub use judge::{Execution, Refusal, concerns_program, judge, judge_argv};
pub use languages::git::QUIET;
pub use lists::{BadPattern, Rules};
pub use request::{Authority, Chosen, Request, Subject, Surroundings};
pub use verdict::{Decision, Finding, Ground, Risk, Verdict};
