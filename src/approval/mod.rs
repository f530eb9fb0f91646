//! Request → verdict: may this command start, why, and by which rule.
//!
//! Deciding is pure: what has to be known of the machine is asked through [`Surroundings`], and only
//! [`Host`] looks at the real one. Nothing here starts, asks or persists anything.

mod arg;
mod assess;
mod environment;
mod execution;
mod expand;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod host;
mod interlock;
mod judge;
mod languages;
mod lists;
mod mcp;
mod options;
mod programs;
mod quiet;
mod request;
mod shell;
mod tool;
mod verdict;

#[cfg(test)]
mod tests;

pub use execution::{Execution, Refusal, concerns_program, judge_argv};
pub use host::Host;
pub use interlock::Interlock;
pub use judge::judge;
pub use lists::{BadPattern, Rules, exact_pattern};
pub use mcp::{Annotations, ArgumentVerdict, KnownTool, McpCall, McpRules, McpVerdict, judge_known, judge_mcp};
pub use quiet::QUIET;
pub use request::{Authority, Chosen, Request, Subject, Surroundings};
pub use tool::{ToolRequest, judge_tool};
pub use verdict::{Decision, Finding, Ground, Risk, Spoken, Verdict};
