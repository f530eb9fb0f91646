//! A Linux sandboxing process supervisor: each command runs below a Landlock floor and a seccomp
//! trap, and every access that its policy does not cover stops in its system call until it is answered.
//!
//! Data flows one way; a module imports only what stands after it in this list, or `sys`.
#![deny(unsafe_code)]

pub mod cli;
pub mod run;
pub mod prompt;
pub mod approval;
pub mod supervisor;
pub mod dns;
pub mod sandbox;
pub mod policy;
pub mod settings;
pub mod journal;
#[allow(unsafe_code)]
pub mod sys;
