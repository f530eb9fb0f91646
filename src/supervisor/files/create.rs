//! Makes files for opens: under the caller's umask, in a directory that is held.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::birth;
use super::decide::{Granted, Need, Stop, judge};
use super::errno::Errno;
use super::held::{Held, Named};
use super::open::How;
use super::proc;
use super::record;
use super::resolve::{Entry, flag_bits};
use super::state::Moment;
use super::view::View;
use rustix::fs::{Mode, OFlags};

use crate::policy::Change;
use crate::supervisor::{Call, Context};
use crate::sys::files::{self, OpenHow};
use crate::sys::thread;

/// How an attempt to make something ended.
#[derive(Debug)]
pub(super) enum Made {
    Opened(OwnedFd),
    /// Nothing can be made there, and the kernel knows how to say so.
    Impossible,
    Failed(Errno),
    /// Not permitted by the policy; and perhaps not by the file system either.
    Stopped(Stop, Result<(), Errno>),
    /// Something appeared, or a directory moved: what was judged is not what would happen.
    Changed(Granted),
}

/// The path of a name in a held directory, with the directory's own. Nothing can be made in a
/// directory that was removed.
pub(super) fn entry_path(entry: &Entry) -> Result<(PathBuf, PathBuf), Errno> {
    match entry.parent.named()? {
        Named::Path(parent) => {
            let name = entry.name.to_bytes();
            let end = name.iter().position(|byte| *byte == b'/').unwrap_or(name.len());
            Ok((parent.join(OsStr::from_bytes(&name[..end])), parent))
        }
        Named::Unlinked | Named::Nameless => Err(Errno(libc::ENOENT)),
    }
}

/// Makes and opens the file `entry`, which was not there at `moment`.
pub(super) fn file(
    context: &Context,
    (call, view): (&Call, &View<'_>),
    (entry, moment): (&Entry, Moment),
    how: How,
    granted: Granted,
) -> Made {
    if let Ok(true) = proc::on_procfs(&entry.parent) {
        return Made::Impossible;
    }
    let (path, parent) = match entry_path(entry) {
        Ok(paths) => paths,
        Err(errno) => return Made::Failed(errno),
    };
    let granted = match judge(context, call, &[Need::write(&path, Change::Create)], granted) {
        Ok(granted) => granted,
        Err(stop) => return Made::Stopped(stop, may_change(&entry.parent)),
    };
    let umask = view.caller.umask();
    let _making = context.files().making();
    if !context.files().still_named(&entry.parent, &parent, moment) {
        return Made::Changed(granted);
    }
    if !context.still_waiting(call) {
        return Made::Failed(Errno(libc::EINTR));
    }
    match make(context, (entry, &path), how, umask) {
        Ok(fd) => {
            record::created(context, path, fd.as_fd());
            Made::Opened(fd)
        }
        Err(Errno(libc::EEXIST)) if !how.has(libc::O_EXCL) => Made::Changed(granted),
        Err(errno) => Made::Failed(errno),
    }
}

fn make(context: &Context, (entry, path): (&Entry, &Path), how: How, umask: u32) -> Result<OwnedFd, Errno> {
    let parent = entry.parent.fd.as_fd();
    let mode = Mode::from_raw_mode(how.mode & 0o7777 & !umask);
    let flags = how.flags & !(libc::O_CREAT | libc::O_EXCL) | libc::O_NOCTTY | libc::O_CLOEXEC;
    let born = (mode, OFlags::from_bits_retain(flags.cast_unsigned()));
    if let Some(fd) = birth::file(context, born, (&entry.parent, &entry.name), path)? {
        return Ok(fd);
    }
    let flags = flags | libc::O_CREAT | libc::O_EXCL;
    let open = OpenHow { flags: flag_bits(flags), mode: how.mode.into(), resolve: 0 };
    Ok(thread::with_umask(umask, || files::openat2(parent, &entry.name, &open))?)
}

/// Opens a file without a name (`O_TMPFILE`) in `directory`.
pub(super) fn unnamed(
    context: &Context,
    (call, view): (&Call, &View<'_>),
    (directory, path): (&Held, &Path),
    how: How,
    granted: Granted,
) -> Made {
    if let Ok(true) = proc::on_procfs(directory) {
        return Made::Impossible;
    }
    let need = Need::write(&path.join("#unnamed"), Change::Create);
    let _granted = match judge(context, call, &[need], granted) {
        Ok(granted) => granted,
        Err(stop) => return Made::Stopped(stop, may_change(directory)),
    };
    if !context.still_waiting(call) {
        return Made::Failed(Errno(libc::EINTR));
    }
    let flags = how.flags | libc::O_CLOEXEC;
    let open = OpenHow { flags: flag_bits(flags), mode: how.mode.into(), resolve: 0 };
    match thread::with_umask(view.caller.umask(), || files::openat2(directory.fd.as_fd(), c".", &open)) {
        Ok(fd) => Made::Opened(fd),
        Err(error) => Made::Failed(error.into()),
    }
}

/// May names be made and taken in this directory, by its mode bits and mount?
pub(super) fn may_change(directory: &Held) -> Result<(), Errno> {
    Ok(files::access(directory.fd.as_fd(), libc::W_OK | libc::X_OK)?)
}
