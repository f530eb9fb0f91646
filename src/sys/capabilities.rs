//! Capabilities of the calling thread. `man 7 capabilities`.
//!
//! Raw, because the C library's wrappers would change every thread, and a forked child may not
//! allocate.

use std::io;

/// `_LINUX_CAPABILITY_VERSION_3`: two halves of 32 bits.
const VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The three sets of a thread, a bit a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sets {
    pub effective: u64,
    pub permitted: u64,
    pub inheritable: u64,
}

fn halves(value: u64) -> [u32; 2] {
    let bytes = value.to_le_bytes();
    let [a, b, c, d, e, f, g, h] = bytes;
    [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])]
}

fn whole(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// `capget` of the calling thread. Async-signal-safe.
pub fn get() -> io::Result<Sets> {
    let mut header = Header { version: VERSION_3, pid: 0 };
    let mut data = [Half::default(); 2];
    // SAFETY: version 3 reads the header and writes two halves, which data holds.
    let done = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    let [low, high] = data;
    Ok(Sets {
        effective: whole(low.effective, high.effective),
        permitted: whole(low.permitted, high.permitted),
        inheritable: whole(low.inheritable, high.inheritable),
    })
}

/// `capset` of the calling thread. Async-signal-safe.
pub fn set(sets: Sets) -> io::Result<()> {
    let header = Header { version: VERSION_3, pid: 0 };
    let (effective, permitted, inheritable) =
        (halves(sets.effective), halves(sets.permitted), halves(sets.inheritable));
    let data = [0, 1].map(|half: usize| Half {
        effective: effective[half],
        permitted: permitted[half],
        inheritable: inheritable[half],
    });
    // SAFETY: version 3 reads the header and two halves, which data holds.
    let done = unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn prctl(option: libc::c_int, second: libc::c_ulong, third: libc::c_ulong) -> io::Result<()> {
    // SAFETY: the options used here take numbers only.
    let done = unsafe { libc::prctl(option, second, third, 0, 0) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// `prctl(PR_CAPBSET_DROP)`. Needs `CAP_SETPCAP`. `EINVAL`: the kernel has none of that number.
pub fn drop_bounding(capability: u32) -> io::Result<()> {
    prctl(libc::PR_CAPBSET_DROP, capability.into(), 0)
}

/// `prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)`.
pub fn clear_ambient() -> io::Result<()> {
    const CLEAR_ALL: libc::c_ulong = 4;
    prctl(libc::PR_CAP_AMBIENT, CLEAR_ALL, 0)
}
