//! A Linux sandboxing process supervisor: each command runs below a Landlock floor and a seccomp
//! trap, and every access that its policy does not cover stops in its system call until it is answered.
//!
//! Data flows one way; a module imports only what stands after it in this list, or `sys`.
#![deny(unsafe_code)]

pub mod approval;
pub mod cli;
pub mod dns;
pub mod journal;
pub mod policy;
pub mod prompt;
pub mod run;
pub mod sandbox;
pub mod server;
pub mod session;
pub mod settings;
pub mod supervisor;
#[allow(unsafe_code)]
pub mod sys;
pub mod tools;
