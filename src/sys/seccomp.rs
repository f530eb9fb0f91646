//! Installing a system call filter. `man 2 seccomp`.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// `struct sock_filter`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    pub code: u16,
    pub jt: u8,
    pub jf: u8,
    pub k: u32,
}

/// `seccomp(SECCOMP_SET_MODE_FILTER, NEW_LISTENER | WAIT_KILLABLE_RECV, program)`, without the
/// second flag on kernels before 5.19. Async-signal-safe. Needs `no_new_privs`.
///
/// The listener's number in this process's descriptor table, close-on-exec. `EBUSY`: a filter with
/// a listener is already installed.
pub fn install_with_listener(program: &[Instruction]) -> io::Result<RawFd> {
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    match install(program, flags | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => install(program, flags),
        done => done,
    }
}

fn install(program: &[Instruction], flags: libc::c_ulong) -> io::Result<RawFd> {
    let Ok(len) = libc::c_ushort::try_from(program.len()) else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: an Instruction is laid out as C's sock_filter; the kernel copies the program's len instructions,
    // which `program` borrows for the call, and writes none.
    let fd = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    RawFd::try_from(fd).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))
}

/// `seccomp(SECCOMP_SET_MODE_FILTER, flags, NULL)`: does the kernel know `flags`? It looks at them
/// before it looks at the program.
pub fn knows_flags(flags: libc::c_ulong) -> bool {
    let nothing = std::ptr::null::<libc::sock_fprog>();
    // SAFETY: a null program is EFAULT, so nothing is ever installed.
    let done = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, nothing) };
    done < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}

/// `seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &action)`.
pub fn knows_action(action: u32) -> bool {
    // SAFETY: the kernel reads the four bytes of action and keeps no pointer to them.
    unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) == 0 }
}

/// As [`install_with_listener`], owned: for a process that does not share its descriptor table.
pub fn install_with_owned_listener(program: &[Instruction]) -> io::Result<OwnedFd> {
    let fd = install_with_listener(program)?;
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `syscall(nr, ...)` with whatever registers a test wants; the errno or the value.
#[cfg(test)]
pub fn call(nr: i64, args: [u64; 6]) -> Result<i64, i32> {
    let [a, b, c, d, e, f] = args;
    // SAFETY: tests make only calls that a filter answers, or that touch memory of their own.
    let done = unsafe { libc::syscall(nr, a, b, c, d, e, f) };
    if done < 0 { Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)) } else { Ok(done) }
}

/// `int 0x80`: a system call by the 32-bit table's number.
#[cfg(all(test, target_arch = "x86_64"))]
pub fn call_32_bit(nr: u32) -> i64 {
    let mut value = i64::from(nr);
    // SAFETY: the tests' numbers take no arguments; the interrupt keeps all registers but rax.
    unsafe { std::arch::asm!("int 0x80", inout("rax") value, out("r8") _, out("r9") _, out("r10") _, out("r11") _) };
    value
}
