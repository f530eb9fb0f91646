//! The links of `/proc`, which mean something else to each reader.
//!
//! `self` and `thread-self` are the caller's; a magic link leads to the object that it names, and
//! only where its process is of the run. Nothing here reads a link of our own process.

use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags};

use super::errno::Errno;
use super::held::{Held, Named};
use super::resolve::Viewer;

/// `PROC_SUPER_MAGIC` of `linux/magic.h`.
const PROC_SUPER_MAGIC: u64 = 0x9fa0;
/// Inode of a proc file system's root directory (`PROC_ROOT_INO`).
const PROC_ROOT: u64 = 1;
/// `/proc/PID/task/TID/map_files` is as deep as links lie.
const DEEPEST: usize = 5;

/// Where a symbolic link leads.
#[derive(Debug)]
pub(super) enum Link {
    /// To a path, resolved from the link's directory.
    Text(Vec<u8>),
    /// Straight to an object (a magic link).
    Object(Held),
}

/// Reads `link`, which stands as `name` in `directory`.
pub(super) fn link(viewer: &dyn Viewer, directory: &Held, name: &CStr, link: &Held) -> Result<Link, Errno> {
    if !on_procfs(link)? {
        return text(link);
    }
    let place = place(directory)?;
    let components: Vec<&[u8]> = place.components().filter_map(normal).collect();
    match components.as_slice() {
        [] => match name.to_bytes() {
            b"self" => Ok(Link::Text(viewer.tgid().to_string().into_bytes())),
            b"thread-self" => {
                let thread = format!("{}/task/{}", viewer.tgid(), viewer.tid());
                Ok(Link::Text(thread.into_bytes()))
            }
            _ => text(link),
        },
        [first, rest @ ..] => match number(first) {
            Some(pid) => magic(viewer, directory, name, (pid, rest)),
            None => text(link),
        },
    }
}

/// The process that a file of procfs tells of: `/proc/PID/…`.
pub(super) fn process_of(held: &Held, path: &Path) -> Result<Option<i32>, Errno> {
    if !on_procfs(held)? {
        return Ok(None);
    }
    Ok(path.components().filter_map(normal).find_map(number))
}

/// Is this a file of `/proc/PID` by which a process sets something of its own: its name, how soon
/// it is killed for memory, what it dumps?
pub(super) fn is_setting(path: &Path) -> bool {
    const SETTINGS: [&str; 7] =
        ["comm", "oom_score_adj", "oom_adj", "coredump_filter", "timerslack_ns", "clear_refs", "autogroup"];
    path.file_name().is_some_and(|name| SETTINGS.iter().any(|setting| name == *setting))
}

/// Is `fs.protected_symlinks` on?
pub(super) fn symlinks_are_protected() -> bool {
    static PROTECTED: OnceLock<bool> = OnceLock::new();
    *PROTECTED
        .get_or_init(|| std::fs::read("/proc/sys/fs/protected_symlinks").map_or(true, |text| !text.starts_with(b"0")))
}

fn text(link: &Held) -> Result<Link, Errno> {
    Ok(Link::Text(rustix::fs::readlinkat(&link.fd, c"", Vec::new())?.into_bytes()))
}

/// Nothing is ever made there.
pub(super) fn on_procfs(held: &Held) -> Result<bool, Errno> {
    // Only file systems without a device have 0 here.
    if rustix::fs::major(held.stat.st_dev) != 0 {
        return Ok(false);
    }
    let kind = rustix::fs::fstatfs(&held.fd)?.f_type;
    Ok(u64::try_from(kind) == Ok(PROC_SUPER_MAGIC))
}

/// The path of `directory` from the root of its proc file system, wherever that is mounted.
fn place(directory: &Held) -> Result<PathBuf, Errno> {
    let Named::Path(path) = directory.named()? else { return Err(Errno(libc::ENOENT)) };
    let mut at = Held::new(directory.fd.try_clone()?)?;
    for _ in 0..=DEEPEST {
        if !on_procfs(&at)? {
            break;
        }
        if at.stat.st_ino == PROC_ROOT {
            let Named::Path(root) = at.named()? else { break };
            return path.strip_prefix(&root).map(Path::to_owned).map_err(|_| Errno(libc::EACCES));
        }
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        at = Held::new(rustix::fs::openat(&at.fd, "..", flags, Mode::empty())?)?;
    }
    // A part of a proc file system, mounted alone: whose links these are cannot be told.
    Err(Errno(libc::EACCES))
}

/// Follows `/proc/PID/<rest>/<name>`. `directory` pins the process: after its death the links are
/// gone, whoever has its number by then.
fn magic(viewer: &dyn Viewer, directory: &Held, name: &CStr, (pid, rest): (i32, &[&[u8]])) -> Result<Link, Errno> {
    if !viewer.in_run(pid) {
        return Err(Errno(libc::EACCES));
    }
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let mut object = Held::new(rustix::fs::openat(&directory.fd, name, flags, Mode::empty())?)?;
    object.jumped = true;
    let own = match rest {
        [b"fd"] => pid == viewer.tgid() || pid == viewer.tid(),
        [b"task", tid, b"fd"] => pid == viewer.tgid() && number(tid) == Some(viewer.tid()),
        _ => false,
    };
    if own && let Some(descriptor) = number(name.to_bytes()).and_then(|number| viewer.descriptor(number)) {
        let same = rustix::fs::fstat(&descriptor).is_ok_and(|stat| object.is(&stat));
        object.passed = same.then_some(descriptor);
    }
    Ok(Link::Object(object))
}

fn normal(component: Component<'_>) -> Option<&[u8]> {
    match component {
        Component::Normal(name) => Some(name.as_bytes()),
        _ => None,
    }
}

fn number(name: &[u8]) -> Option<i32> {
    if !name.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(name).ok()?.parse().ok()
}
