//! Hooks of coding agents: what an agent says of a tool that it is about to call, and the answer in its own form.
//!
//! Formats are data (`policies/agents`): where things stand in the JSON, what each tool does, how an answer is said.
//! Judges nothing.

mod answer;
mod call;
mod format;

pub use answer::Answer;
pub use call::{Act, Call, CallError};
pub use format::{Format, FormatError, Install, Level};

#[cfg(test)]
mod tests;
