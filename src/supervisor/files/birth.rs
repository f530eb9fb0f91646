//! New names in directories that the floor had to split: they come from the nursery, with a rule of their own.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::errno::Errno;
use super::held::Held;
use super::quick;
use crate::policy::{Access, Verdict};
use crate::sandbox::{Nursery, Rights};
use crate::supervisor::Context;

/// Makes the directory `name`, called `path`, in `parent` out of the nursery; `false` where it has to be
/// made anew.
pub(super) fn directory(
    context: &Context,
    mode: Mode,
    (parent, name): (&Held, &CStr),
    path: &Path,
) -> Result<bool, Errno> {
    let Some(nursery) = nursery(context, path) else { return Ok(false) };
    let Some(waited) = nursery.directory(mode, (parent.fd.as_fd(), name))? else { return Ok(false) };
    note(context, &waited, path);
    Ok(true)
}

/// The same for a file, which is opened.
pub(super) fn file(
    context: &Context,
    (mode, flags): (Mode, OFlags),
    (parent, name): (&Held, &CStr),
    path: &Path,
) -> Result<Option<OwnedFd>, Errno> {
    let Some(nursery) = nursery(context, path) else { return Ok(None) };
    let born = nursery.file(mode, flags, (parent.fd.as_fd(), name))?;
    Ok(born.map(|(fd, waited)| {
        note(context, &waited, path);
        fd
    }))
}

/// Where `path` should come from. Beneath a rule it gets that one's rights, and what is asked about gets
/// none: those are made in the ordinary way.
fn nursery<'a>(context: &'a Context, path: &Path) -> Option<&'a Nursery> {
    let nursery = context.floor().nursery()?;
    let above = path.parent().unwrap_or(path);
    let ruled = quick::covered(context, above.as_os_str().as_bytes(), Rights::READ);
    let read = context.policy().judge(&Access::Read(path), context.facts());
    (!ruled && matches!(read, Verdict::Allow(_))).then_some(nursery)
}

fn note(context: &Context, waited: &Path, path: &Path) {
    if let Some(rule) = context.floor().covers(waited, Rights::READ) {
        context.files().move_rule(rule, path.to_owned());
    }
}
