//! `/etc/resolv.conf` and `/etc/hosts` as the sandbox reads them: the stub is its name server.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, MemfdFlags, Mode, SealFlags};

use super::held::Held;
use super::open::{How, opened};
use super::resolve::flag_bits;
use crate::supervisor::{Context, Outcome, Reply};
use crate::sys::files::{self, OpenHow};

/// Answers a read-only open of one of the two; `None` for every other file.
pub(super) fn file(context: &Context, held: &Held, how: How) -> Option<Outcome> {
    if how.writes() || held.kind() != FileType::RegularFile {
        return None;
    }
    let [resolv_conf, hosts] = context.files().resolver_files();
    let is = |path| inode(context, path) == Some((held.stat.st_dev, held.stat.st_ino));
    let content = if is(resolv_conf) {
        context.dns().resolv_conf()
    } else if is(hosts) {
        Ok(context.dns().hosts())
    } else {
        return None;
    };
    let fd = content.and_then(|content| sealed(&content, how));
    Some(fd.map_or_else(|error| Outcome::Reply(Reply::from_error(&error)), |fd| opened(fd, how)))
}

/// The purpose of proofs of what stands at these paths.
const RESOLVER: u64 = u64::MAX - 1;

/// What stands at `path`, asked of the kernel once in a while: every brokered read comes by here.
fn inode(context: &Context, path: &Path) -> Option<(u64, u64)> {
    let files = context.files();
    let key = files.proven().key(path.as_os_str().as_bytes(), RESOLVER, files.span(context.moment()));
    files.proven().inode(key).or_else(|| {
        let stat = rustix::fs::statat(CWD, path, AtFlags::empty()).ok()?;
        files.proven().keep(key, (stat.st_dev, stat.st_ino));
        Some((stat.st_dev, stat.st_ino))
    })
}

/// A read-only descriptor of a file with this content, which nobody can change.
fn sealed(content: &[u8], how: How) -> io::Result<OwnedFd> {
    let memory = rustix::fs::memfd_create(c"askance", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = std::fs::File::from(memory);
    file.write_all(content)?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    let kept = libc::O_NONBLOCK | libc::O_APPEND;
    let flags = libc::O_RDONLY | libc::O_CLOEXEC | how.flags & kept;
    let how = OpenHow { flags: flag_bits(flags), mode: 0, resolve: 0 };
    files::openat2(files::at_cwd(), &files::descriptor_path(file.as_fd()), &how)
}
