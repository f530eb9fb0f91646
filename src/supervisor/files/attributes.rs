//! Reads the arguments of metadata calls into a subject and a deed.

use super::change::Deed;
use super::errno::Errno;
use super::metadata::{Subject, serve};
use super::resolve::Last;
use super::view::{int, low};
use crate::supervisor::{Call, Context, Outcome, PathBuffer, Reply};
use crate::sys::files::{self, InodeAttribute, Times};

type Read = Result<(Subject, Deed), Errno>;

/// The kernel's `XATTR_NAME_MAX` and `XATTR_SIZE_MAX`.
const NAME_MAX: usize = 255;
const VALUE_MAX: u64 = 65536;

pub(super) fn truncate(context: &Context, call: &Call) -> Outcome {
    let length = call.args[1].cast_signed();
    if length < 0 {
        return Outcome::errno(libc::EINVAL);
    }
    let subject = Subject::path(call, call.args[0], Last::Follow);
    serve(context, call, subject.map(|subject| (subject, Deed::Length(length))))
}

fn mode(register: u64) -> Deed {
    Deed::Mode(low(register) & 0o7777)
}

#[cfg(target_arch = "x86_64")]
pub(super) fn chmod(context: &Context, call: &Call) -> Outcome {
    let subject = Subject::path(call, call.args[0], Last::Follow);
    serve(context, call, subject.map(|subject| (subject, mode(call.args[1]))))
}

pub(super) fn fchmod(context: &Context, call: &Call) -> Outcome {
    let subject = Subject::descriptor(context, call, call.args[0]);
    serve(context, call, subject.map(|subject| (subject, mode(call.args[1]))))
}

pub(super) fn fchmodat(context: &Context, call: &Call) -> Outcome {
    let subject = Subject::at(call, (call.args[0], call.args[1]), Last::Follow);
    serve(context, call, subject.map(|subject| (subject, mode(call.args[2]))))
}

pub(super) fn fchmodat2(context: &Context, call: &Call) -> Outcome {
    let subject = Subject::flagged(call, (call.args[0], call.args[1]), call.args[3]);
    serve(context, call, subject.map(|subject| (subject, mode(call.args[2]))))
}

fn owner(uid: u64, gid: u64) -> Deed {
    Deed::Owner(low(uid), low(gid))
}

#[cfg(target_arch = "x86_64")]
pub(super) fn chown(context: &Context, call: &Call) -> Outcome {
    let subject = Subject::path(call, call.args[0], Last::Follow);
    serve(context, call, subject.map(|subject| (subject, owner(call.args[1], call.args[2]))))
}

#[cfg(target_arch = "x86_64")]
pub(super) fn lchown(context: &Context, call: &Call) -> Outcome {
    let subject = Subject::path(call, call.args[0], Last::Keep);
    serve(context, call, subject.map(|subject| (subject, owner(call.args[1], call.args[2]))))
}

pub(super) fn fchown(context: &Context, call: &Call) -> Outcome {
    let subject = Subject::descriptor(context, call, call.args[0]);
    serve(context, call, subject.map(|subject| (subject, owner(call.args[1], call.args[2]))))
}

pub(super) fn fchownat(context: &Context, call: &Call) -> Outcome {
    let subject = Subject::flagged(call, (call.args[0], call.args[1]), call.args[4]);
    serve(context, call, subject.map(|subject| (subject, owner(call.args[2], call.args[3]))))
}

/// `struct utimbuf`: seconds.
#[cfg(target_arch = "x86_64")]
pub(super) fn utime(context: &Context, call: &Call) -> Outcome {
    let times = pairs::<2>(call, call.args[1]).map(|read| read.map(|[access, change]| [[access, 0], [change, 0]]));
    let subject = || Subject::path(call, call.args[0], Last::Follow);
    serve(context, call, times.and_then(|times| Ok((subject()?, Deed::Times(times)))))
}

#[cfg(target_arch = "x86_64")]
pub(super) fn utimes(context: &Context, call: &Call) -> Outcome {
    let subject = || Subject::path(call, call.args[0], Last::Follow);
    serve(context, call, microseconds(call, call.args[1]).and_then(|times| Ok((subject()?, Deed::Times(times)))))
}

#[cfg(target_arch = "x86_64")]
pub(super) fn futimesat(context: &Context, call: &Call) -> Outcome {
    let subject = || match call.args[1] {
        0 => Subject::descriptor(context, call, call.args[0]),
        address => Subject::at(call, (call.args[0], address), Last::Follow),
    };
    serve(context, call, microseconds(call, call.args[2]).and_then(|times| Ok((subject()?, Deed::Times(times)))))
}

pub(super) fn utimensat(context: &Context, call: &Call) -> Outcome {
    let times = nanoseconds(call, call.args[2]);
    if let Ok(Some(times)) = &times
        && times.iter().all(|time| time[1] == libc::UTIME_OMIT)
    {
        // The kernel looks at nothing else either.
        return Outcome::Reply(Reply::Value(0));
    }
    let subject = || match (call.args[1], low(call.args[3])) {
        (0, 0) if int(call.args[0]) != libc::AT_FDCWD => Subject::descriptor(context, call, call.args[0]),
        (address, _) => Subject::flagged(call, (call.args[0], address), call.args[3]),
    };
    serve(context, call, times.and_then(|times| Ok((subject()?, Deed::Times(times)))))
}

/// `N` 64-bit words at `address`; `None` for a null pointer.
fn pairs<const N: usize>(call: &Call, address: u64) -> Result<Option<[i64; N]>, Errno> {
    if address == 0 {
        return Ok(None);
    }
    let bytes = call.read_bytes(address, N * 8)?;
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = i64::from_ne_bytes(bytes.try_into().map_err(|_| Errno(libc::EFAULT))?);
    }
    Ok(Some(words))
}

fn nanoseconds(call: &Call, address: u64) -> Result<Times, Errno> {
    let times = pairs::<4>(call, address)?.map(|[s, n, t, m]| [[s, n], [t, m]]);
    let is_valid = |n: i64| (0..1_000_000_000).contains(&n) || n == libc::UTIME_NOW || n == libc::UTIME_OMIT;
    match times {
        Some([[_, n], [_, m]]) if !is_valid(n) || !is_valid(m) => Err(Errno(libc::EINVAL)),
        times => Ok(times),
    }
}

#[cfg(target_arch = "x86_64")]
fn microseconds(call: &Call, address: u64) -> Result<Times, Errno> {
    let is_valid = |u: i64| (0..1_000_000).contains(&u);
    match pairs::<4>(call, address)? {
        Some([_, u, _, v]) if !is_valid(u) || !is_valid(v) => Err(Errno(libc::EINVAL)),
        Some([s, u, t, v]) => Ok(Some([[s, u * 1000], [t, v * 1000]])),
        None => Ok(None),
    }
}

pub(super) fn setxattr(context: &Context, call: &Call) -> Outcome {
    let subject = || Subject::path(call, call.args[0], Last::Follow);
    serve(context, call, set(call).and_then(|deed| Ok((subject()?, deed))))
}

pub(super) fn lsetxattr(context: &Context, call: &Call) -> Outcome {
    let subject = || Subject::path(call, call.args[0], Last::Keep);
    serve(context, call, set(call).and_then(|deed| Ok((subject()?, deed))))
}

pub(super) fn fsetxattr(context: &Context, call: &Call) -> Outcome {
    let subject = || Subject::descriptor(context, call, call.args[0]);
    serve(context, call, set(call).and_then(|deed| Ok((subject()?, deed))))
}

/// `setxattrat(dirfd, path, flags, name, struct xattr_args *, size)`.
pub(super) fn setxattrat(context: &Context, call: &Call) -> Outcome {
    let read = || -> Read {
        let size = call.args[5];
        if size < 16 {
            return Err(Errno(libc::EINVAL));
        }
        let bytes = call.read_bytes(call.args[4], usize::try_from(size.min(4097)).unwrap_or(0))?;
        if size > 4096 || bytes[16..].iter().any(|byte| *byte != 0) {
            return Err(Errno(libc::E2BIG));
        }
        let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let halves = [word(0), word(4)];
        let address = if cfg!(target_endian = "little") {
            u64::from(halves[1]) << 32 | u64::from(halves[0])
        } else {
            u64::from(halves[0]) << 32 | u64::from(halves[1])
        };
        let deed = attribute(call, call.args[3], (address, word(8).into()), word(12).cast_signed())?;
        Ok((Subject::flagged(call, (call.args[0], call.args[1]), call.args[2])?, deed))
    };
    serve(context, call, read())
}

fn set(call: &Call) -> Result<Deed, Errno> {
    attribute(call, call.args[1], (call.args[2], call.args[3]), int(call.args[4]))
}

fn attribute(call: &Call, name: u64, (value, size): (u64, u64), flags: i32) -> Result<Deed, Errno> {
    if flags & !(libc::XATTR_CREATE | libc::XATTR_REPLACE) != 0 {
        return Err(Errno(libc::EINVAL));
    }
    let name = attribute_name(call, name)?;
    if size > VALUE_MAX {
        return Err(Errno(libc::E2BIG));
    }
    let length = usize::try_from(size).map_err(|_| Errno(libc::E2BIG))?;
    let value = if length == 0 { Vec::new() } else { call.read_bytes(value, length)? };
    Ok(Deed::SetAttribute { name, value, flags })
}

fn attribute_name(call: &Call, address: u64) -> Result<std::ffi::CString, Errno> {
    let mut buffer = PathBuffer::new();
    match call.read_path(address, &mut buffer) {
        Ok(()) if (1..=NAME_MAX).contains(&buffer.bytes().len()) => Ok(buffer.with_nul().to_owned()),
        Ok(()) | Err(libc::ENAMETOOLONG) => Err(Errno(libc::ERANGE)),
        Err(errno) => Err(Errno(errno)),
    }
}

fn remove(call: &Call, name: u64) -> Result<Deed, Errno> {
    Ok(Deed::RemoveAttribute { name: attribute_name(call, name)? })
}

pub(super) fn removexattr(context: &Context, call: &Call) -> Outcome {
    let subject = || Subject::path(call, call.args[0], Last::Follow);
    serve(context, call, remove(call, call.args[1]).and_then(|deed| Ok((subject()?, deed))))
}

pub(super) fn lremovexattr(context: &Context, call: &Call) -> Outcome {
    let subject = || Subject::path(call, call.args[0], Last::Keep);
    serve(context, call, remove(call, call.args[1]).and_then(|deed| Ok((subject()?, deed))))
}

pub(super) fn fremovexattr(context: &Context, call: &Call) -> Outcome {
    let subject = || Subject::descriptor(context, call, call.args[0]);
    serve(context, call, remove(call, call.args[1]).and_then(|deed| Ok((subject()?, deed))))
}

pub(super) fn removexattrat(context: &Context, call: &Call) -> Outcome {
    let subject = || Subject::flagged(call, (call.args[0], call.args[1]), call.args[2]);
    serve(context, call, remove(call, call.args[3]).and_then(|deed| Ok((subject()?, deed))))
}

/// `file_setattr(dirfd, path, struct file_attr *, size, flags)`.
pub(super) fn file_setattr(context: &Context, call: &Call) -> Outcome {
    let read = || -> Read {
        let size = usize::try_from(call.args[3]).unwrap_or(usize::MAX);
        match size {
            0..24 => return Err(Errno(libc::EINVAL)),
            24..=4096 => {}
            _ => return Err(Errno(libc::E2BIG)),
        }
        let attributes = call.read_bytes(call.args[2], size)?;
        let subject = Subject::flagged(call, (call.args[0], call.args[1]), call.args[4])?;
        Ok((subject, Deed::FileAttributes(attributes)))
    };
    serve(context, call, read())
}

/// The ioctls that change an inode; a descriptor opened for reading is enough for them.
pub(super) fn ioctl(context: &Context, call: &Call) -> Outcome {
    let read = || -> Read {
        let subject = Subject::descriptor(context, call, call.args[0])?;
        let int = || call.read_value::<u32>(call.args[2]);
        let attribute = match low(call.args[1]) {
            files::FS_IOC_SETFLAGS => InodeAttribute::Flags(int()?),
            files::FS_IOC_SETVERSION => InodeAttribute::Version(int()?),
            files::EXT4_IOC_SETVERSION => InodeAttribute::Ext4Version(int()?),
            files::FS_IOC_FSSETXATTR => {
                let bytes = call.read_bytes(call.args[2], 28)?;
                InodeAttribute::Extended(bytes.try_into().map_err(|_| Errno(libc::EFAULT))?)
            }
            // The forms of 32-bit programs mean nothing to a 64-bit one.
            _ => return Err(Errno(libc::ENOTTY)),
        };
        Ok((subject, Deed::InodeAttribute(attribute)))
    };
    serve(context, call, read())
}
