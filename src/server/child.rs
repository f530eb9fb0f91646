//! A child askance: what it inherits, and what it prints where it is only asked.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

use rustix::io::{FdFlags, fcntl_setfd};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::rpc::RpcError;

/// A run that tells events, asks on them and takes answers on a socket of ours. `command` has its subcommand; `terminal`
/// is the master of the run's terminal.
pub(super) fn run(
    command: &mut Command,
    arguments: &[OsString],
    terminal: Option<OwnedFd>,
) -> io::Result<(Child, UnixStream)> {
    let (ours, theirs) = StdStream::pair()?;
    ours.set_nonblocking(true)?;
    command.args(["-o", "stream-json"]).arg(format!("--prompt=fd={}", theirs.as_raw_fd()));
    let mut passed = vec![OwnedFd::from(theirs)];
    if let Some(master) = terminal {
        command.arg(format!("--terminal=fd={}", master.as_raw_fd()));
        passed.push(master);
    }
    // What it has to say stands in its events.
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null());
    let child = spawn_with(command, &passed)?;
    Ok((child, UnixStream::from_std(ours)?))
}

/// Starts a child that inherits the descriptors, which no other does.
fn spawn_with(command: &mut Command, passed: &[OwnedFd]) -> io::Result<Child> {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let flag = |flags| passed.iter().try_for_each(|fd| fcntl_setfd(fd.as_fd(), flags));
    flag(FdFlags::empty())?;
    let child = command.spawn();
    flag(FdFlags::CLOEXEC)?;
    child
}

/// Arguments that no program can be given are the client's mistake.
pub(super) fn not_started(error: &io::Error) -> RpcError {
    match error.kind() {
        io::ErrorKind::ArgumentListTooLong => {
            RpcError::params("longer than a program's arguments can be: put it into a file, or send it as input")
        }
        io::ErrorKind::InvalidInput => RpcError::params("a NUL character ends no word"),
        _ => RpcError::internal(format!("start: {error}")),
    }
}

/// The JSON that a child prints to this input, or what it complains of.
pub(super) async fn ask(command: &mut Command, input: Option<Vec<u8>>) -> io::Result<Result<Value, String>> {
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        // It reads everything before it prints; where it does not, it says why.
        let _ = stdin.write_all(&input).await;
    }
    let finished = child.wait_with_output().await?;
    Ok(serde_json::from_slice(&finished.stdout).map_err(|_| {
        let complaint = String::from_utf8_lossy(&finished.stderr);
        complaint.lines().next().unwrap_or("it said nothing").to_owned()
    }))
}
