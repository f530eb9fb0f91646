//! Machine interfaces: what agents and their hosts talk to.

pub mod hook;
