//! Where the program begins: what the standard library does before `main`, but for its handler of stack overflows.
//! That one reads and takes apart `/proc/self/maps`, and maps a stack for signals in each thread: a fiftieth of a start.
//! What overflows its stack still dies, by the signal alone.

use std::io::{self, Write};
use std::panic::catch_unwind;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::IntoRawFd;
use rustix::fs::{CWD, Mode, OFlags};

use super::spawn::{borrow, exit_now};

/// The status of a panic, as the standard library's.
const PANICKED: u8 = 101;

/// Makes `$main`, which gives the exit status, the program's `main`.
#[macro_export]
macro_rules! program {
    ($main:path) => {
        // SAFETY: no other function of the program has this name, and C calls it as it is declared.
        #[cfg(all(target_env = "gnu", not(test)))]
        #[unsafe(no_mangle)]
        extern "C" fn main(_argc: std::ffi::c_int, _argv: *const *const std::ffi::c_char) -> std::ffi::c_int {
            $crate::sys::start::begin($main)
        }

        // Elsewhere the standard library has the arguments only from its own `main`.
        #[cfg(not(all(target_env = "gnu", not(test))))]
        fn main() -> std::process::ExitCode {
            std::process::ExitCode::from($main())
        }
    };
}

/// Runs `main`, and gives its exit status.
pub fn begin(main: fn() -> u8) -> libc::c_int {
    if open_standard_streams().is_err() {
        // Whatever is opened next would be one of them.
        exit_now(i32::from(PANICKED));
    }
    // SAFETY: ignoring a signal runs nothing; there is one thread. Who writes to nobody gets an error.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    let status = catch_unwind(main).unwrap_or(PANICKED);
    // Nowhere is left to say that it failed.
    let _ = io::stdout().flush();
    libc::c_int::from(status)
}

/// Puts `/dev/null` in the place of a standard stream that is closed.
fn open_standard_streams() -> io::Result<()> {
    let closed = rustix::io::retry_on_intr(|| {
        let mut polled = [0, 1, 2].map(|number| PollFd::from_borrowed_fd(borrow(number), PollFlags::empty()));
        poll(&mut polled, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 }))?;
        Ok(polled.map(|polled| polled.revents().contains(PollFlags::NVAL)))
    })?;
    for _ in closed.into_iter().filter(|closed| *closed) {
        // The lowest number that is free is the first of them.
        let _ = rustix::fs::openat(CWD, "/dev/null", OFlags::RDWR, Mode::empty())?.into_raw_fd();
    }
    Ok(())
}
