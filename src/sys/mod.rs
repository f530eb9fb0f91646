//! Every `unsafe`: one thin safe wrapper a call, `io::Result` out, descriptors as `OwnedFd`.

pub mod capabilities;
pub mod dispositions;
pub mod files;
#[cfg(test)]
pub mod fuzzing;
pub mod ipc;
pub mod landlock;
pub mod memory;
pub mod notify;
pub mod pidfd;
pub mod process;
pub mod pty;
pub mod seccomp;
pub mod shared;
pub mod signals;
pub mod socket;
pub mod spawn;
pub mod start;
pub mod terminal;
pub mod thread;
