//! `inotify_add_watch`: what may be watched is what may be read.
//!
//! The floor does not see watches, so the broker adds them, to the child's own inotify descriptor
//! and on the very inode that was judged.

use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::inotify::{self, WatchFlags};

use super::{Call, Context, Outcome, Reply, low, number};
use crate::policy::{Access, Verdict};
use crate::supervisor::PathBuffer;
use crate::supervisor::files::names::{self, AtEnd, Reached};

pub(super) fn add(context: &Context, call: &Call) -> Outcome {
    decide(context, call).unwrap_or_else(Outcome::errno)
}

fn decide(context: &Context, call: &Call) -> Result<Outcome, i32> {
    let [descriptor, path, mask, ..] = call.args;
    let watcher = context.take_fd(call, number(descriptor))?;
    let mut buffer = PathBuffer::new();
    call.read_path(path, &mut buffer)?;
    let mask = WatchFlags::from_bits_retain(low(mask));
    let at_end = if mask.contains(WatchFlags::DONT_FOLLOW) { AtEnd::Keep } else { AtEnd::Follow };
    let reached = names::reach(context, call, buffer.bytes(), at_end)?;
    if !context.still_waiting(call) {
        return Err(libc::EINTR);
    }
    let real = reached.path.clone().ok_or(libc::EACCES)?;
    Ok(match context.judge(&Access::Read(&real), call) {
        Verdict::Allow(_permit) => act(&watcher, &reached, mask),
        Verdict::Ask(question) => Outcome::Ask {
            question,
            refusal: libc::EACCES,
            act: Box::new(move |_permit, _, _| act(&watcher, &reached, mask)),
        },
        Verdict::Deny(denial) => context.refuse(call, &denial),
    })
}

/// Links were followed, or not, when the object was found.
fn act(watcher: &impl AsFd, reached: &Reached, mask: WatchFlags) -> Outcome {
    let held = format!("/proc/self/fd/{}", reached.fd.as_raw_fd());
    match inotify::add_watch(watcher, held, mask - WatchFlags::DONT_FOLLOW) {
        Ok(watch) => Outcome::Reply(Reply::Value(i64::from(watch))),
        Err(errno) => Outcome::errno(errno.raw_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::inotify::CreateFlags;
    use rustix::fs::{Mode, OFlags};

    use super::*;

    /// Two watches of one inode on one descriptor are one watch, with one number.
    #[test]
    fn the_held_inode_is_watched_a_link_included() {
        let place = tempfile::tempdir().unwrap();
        let (file, link) = (place.path().join("file"), place.path().join("link"));
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        let watcher = inotify::init(CreateFlags::CLOEXEC).unwrap();
        for (path, at_end) in [(&file, WatchFlags::empty()), (&link, WatchFlags::DONT_FOLLOW)] {
            let direct = inotify::add_watch(&watcher, path, WatchFlags::ATTRIB | at_end).unwrap();
            let fd = rustix::fs::open(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()).unwrap();
            let stat = rustix::fs::fstat(&fd).unwrap();
            let outcome = act(&watcher, &Reached { fd, stat, path: None }, WatchFlags::ATTRIB | at_end);
            assert!(
                matches!(outcome, Outcome::Reply(Reply::Value(number)) if number == i64::from(direct)),
                "{outcome:?}"
            );
        }
    }
}
