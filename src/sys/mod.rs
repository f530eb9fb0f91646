//! Every `unsafe`: one thin safe wrapper a call, `io::Result` out, descriptors as `OwnedFd`.

pub mod ipc;
pub mod memory;
pub mod notify;
pub mod pidfd;
pub mod pty;
pub mod signals;
pub mod terminal;
pub mod socket;
pub mod thread;
pub mod files;
pub mod capabilities;
pub mod dispositions;
pub mod landlock;
pub mod seccomp;
pub mod spawn;
