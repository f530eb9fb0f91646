//! Opens an object that is held, as the caller would have.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::FileType;

use super::decide::Granted;
use super::devices;
use super::errno::Errno;
use super::held::Held;
use super::open::{How, opened};
use super::record;
use super::resolve::flag_bits;
use crate::supervisor::{Call, Context, Outcome};
use crate::sys::files::{self, OpenHow};

/// Opens what `held` pins: the judged object, whatever its name leads to by now.
pub(super) fn act(
    context: &Context,
    call: &Call,
    (held, path): (Held, PathBuf),
    (how, granted): (How, Granted),
) -> Outcome {
    let changes = how.has(libc::O_TRUNC) || held.kind() != FileType::RegularFile;
    if changes && !context.still_waiting(call) {
        return Outcome::errno(libc::EINTR);
    }
    if may_block(&held, how) {
        return Outcome::Apart(Box::new(move |context, _| finish(context, (held, path), how, granted)));
    }
    finish(context, (held, path), how, granted)
}

/// A FIFO waits for its other end, a terminal for its carrier.
fn may_block(held: &Held, how: How) -> bool {
    match held.kind() {
        FileType::Fifo => !how.has(libc::O_NONBLOCK) && how.flags & libc::O_ACCMODE != libc::O_RDWR,
        FileType::CharacterDevice | FileType::BlockDevice => true,
        _ => false,
    }
}

fn finish(context: &Context, (held, path): (Held, PathBuf), how: How, _granted: Granted) -> Outcome {
    match open(&held, how) {
        Ok(fd) => {
            devices::record_if_multiplexer(context, &held.stat, &fd);
            if how.writes() && held.kind() == FileType::RegularFile {
                record::modified(context, path);
            }
            opened(fd, how)
        }
        Err(Errno(errno)) => Outcome::errno(errno),
    }
}

/// The descriptor pins the object, so creation and links are out of the question; a controlling
/// terminal would become ours.
fn open(held: &Held, how: How) -> Result<OwnedFd, Errno> {
    let mut flags = how.flags & !libc::O_NOFOLLOW | libc::O_NOCTTY | libc::O_CLOEXEC;
    if how.has(libc::O_CREAT) {
        flags &= !(libc::O_CREAT | libc::O_EXCL);
    }
    let how = OpenHow { flags: flag_bits(flags), mode: 0, resolve: 0 };
    let pinned = held.passed.as_ref().unwrap_or(&held.fd);
    Ok(files::openat2(files::at_cwd(), &files::descriptor_path(pinned.as_fd()), &how)?)
}
