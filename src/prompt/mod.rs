//! Question → answer: the terminal, an answers file, another program, or nobody.
//!
//! Owns what a person sees and types, and the pseudo-terminal that keeps the command from seeing
//! or typing it. It decides nothing: an answer that was not offered never leaves this module.

pub mod answers;
mod choice;
mod desk;
mod face;
mod keys;
mod layout;
mod menu;
mod narrow;
mod nobody;
mod offers;
pub mod pty;
mod relay;
mod remote;
mod sanitize;
mod screen;
mod terminal;

#[cfg(test)]
mod trial;

pub use answers::{AnswersError, AnswersFile};
pub use choice::{Choice, ChoiceError, PromptError, Situation};
pub use nobody::Nobody;
pub use offers::{ask, options};
pub use pty::{Console, ConsoleError, Gate};
pub use remote::Remote;
pub use terminal::{Interrupt, Terminal};
