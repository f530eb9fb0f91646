//! File calls: read → decide → act → reply.

mod errno;
mod held;
mod proc;
mod resolve;
mod spelling;

#[cfg(test)]
mod resolve_tests;
