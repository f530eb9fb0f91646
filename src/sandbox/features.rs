//! What this kernel offers, and what the lack of the rest costs.

use std::convert::Infallible;
use std::os::fd::AsFd;

use rustix::process::{PidfdFlags, WaitId, WaitIdOptions};
use serde::Serialize;

use super::ground::LEAST_ABI;
use super::limits;
use crate::sys::{self, notify, spawn};

/// The oldest Landlock ABI that keeps signals inside.
const SCOPES_SIGNALS: u32 = 6;

/// Bits of Landlock's errata that matter here: each is a hole that a fixed kernel has closed.
const ERRATA: [(u32, &str); 3] = [
    (1 << 0, "TCP rules also deny Multipath TCP and SMC sockets; the filter refuses those by itself"),
    (1 << 1, "a threaded program may be unable to signal its own threads"),
    (1 << 2, "a directory moved out of a bind mount may be denied; such accesses are brokered"),
];

/// Something that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    pub feature: &'static str,
    /// What that means for a run.
    pub cost: &'static str,
    /// Nothing runs without it.
    pub required: bool,
}

/// The kernel as a run would find it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Features {
    /// 0: no Landlock.
    pub landlock_abi: u32,
    /// A bit for each erratum that is fixed.
    pub landlock_errata: u32,
    pub user_notification: bool,
    /// A call that the supervisor works on is interrupted by fatal signals alone.
    pub wait_killable: bool,
    /// The supervisor and the calling thread hand the processor to each other.
    pub sync_wake_up: bool,
    /// A descriptor is given and the call answered in one step.
    pub addfd_send: bool,
    pub pidfd_getfd: bool,
    /// Another supervisor's filter is above this process.
    pub supervised: bool,
    /// Control groups bound processes and memory.
    pub control_groups: bool,
    pub missing: Vec<Missing>,
}

impl Features {
    /// Can anything run here?
    pub fn suffice(&self) -> bool {
        self.missing.iter().all(|missing| !missing.required)
    }
}

/// Does the kernel keep a domain's signals inside?
pub(super) fn scopes_signals() -> bool {
    sys::landlock::abi() >= SCOPES_SIGNALS
}

/// Asks the kernel. Forks a child that installs a filter of its own.
pub fn probe() -> Features {
    let tried = Tried::by_a_child();
    let mut features = Features {
        landlock_abi: sys::landlock::abi(),
        landlock_errata: sys::landlock::errata(),
        user_notification: sys::seccomp::knows_action(libc::SECCOMP_RET_USER_NOTIF) && tried.listener,
        wait_killable: sys::seccomp::knows_flags(
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
        ),
        sync_wake_up: tried.sync_wake_up,
        addfd_send: tried.addfd_send,
        pidfd_getfd: takes_descriptors(),
        supervised: tried.supervised,
        control_groups: limits::delegated(),
        missing: Vec::new(),
    };
    features.missing = missing(&features);
    features
}

/// What a floor of this ABI does not hold, for the report of a run.
pub fn missing_in_floor(abi: u32) -> Vec<Missing> {
    let rows = [
        (LEAST_ABI, "Landlock ABI 3", "truncation would pass the floor: nothing runs", true),
        (4, "Landlock TCP rules (ABI 4)", "only the socket traps stand between a program and the network", false),
        (5, "Landlock device control (ABI 5)", "a device that may be read can also be controlled by ioctl", false),
        (
            SCOPES_SIGNALS,
            "Landlock scopes (ABI 6)",
            "every signal is trapped, abstract Unix sockets are held by the socket traps alone, and a run that forks \
             faster than it is read may outlive its end for a while",
            false,
        ),
    ];
    let older = rows.into_iter().filter(|(since, ..)| abi < *since);
    older.map(|(_, feature, cost, required)| Missing { feature, cost, required }).collect()
}

fn missing(features: &Features) -> Vec<Missing> {
    let mut missing = missing_in_floor(features.landlock_abi);
    if features.landlock_abi >= LEAST_ABI {
        let open = ERRATA.iter().filter(|(bit, _)| features.landlock_errata & bit == 0);
        missing.extend(open.map(|(_, cost)| Missing { feature: "a Landlock erratum's fix", cost, required: false }));
    }
    let rows = [
        (
            features.supervised || features.user_notification,
            "seccomp user notification",
            "no call can be asked about: nothing runs",
            true,
        ),
        (
            !features.supervised,
            "a process tree without a supervisor",
            "a filter with a listener is above this process already (askance in askance?), and the kernel allows one",
            true,
        ),
        (
            features.pidfd_getfd,
            "pidfd_getfd",
            "no socket of a program can be acted on: every connection, listener, message with an address and file \
             watch is refused. A container's filter forbids it: add --cap-add SYS_PTRACE",
            false,
        ),
        (features.addfd_send, "giving descriptors in one step", "brokered opens need Linux 5.14: nothing runs", true),
        (
            features.wait_killable,
            "uninterrupted waiting (Linux 5.19)",
            "a program that handles many signals may repeat calls that wait for an answer",
            false,
        ),
        (features.sync_wake_up, "synchronous wake-up (Linux 6.6)", "a trapped call takes several times as long", false),
        (
            features.control_groups,
            "a delegated control group (v2)",
            "limits of processes and memory are kept by counting, ten times a second",
            false,
        ),
    ];
    let lacking = rows.into_iter().filter(|(there, ..)| !there);
    missing.extend(lacking.map(|(_, feature, cost, required)| Missing { feature, cost, required }));
    missing
}

/// What only a process with a listener of its own can find out.
#[derive(Debug, Clone, Copy, Default)]
struct Tried {
    listener: bool,
    sync_wake_up: bool,
    addfd_send: bool,
    supervised: bool,
}

impl Tried {
    const LISTENER: i32 = 1;
    const SYNC_WAKE_UP: i32 = 2;
    const ADDFD_SEND: i32 = 4;
    const SUPERVISED: i32 = 8;

    fn by_a_child() -> Self {
        let Ok(child) = spawn::fork_with_pidfd(try_in_child) else { return Self::default() };
        let waited = rustix::io::retry_on_intr(|| {
            rustix::process::waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED)
        });
        let status = waited.ok().flatten().and_then(|status| status.exit_status()).unwrap_or(0);
        Self {
            listener: status & Self::LISTENER != 0,
            sync_wake_up: status & Self::SYNC_WAKE_UP != 0,
            addfd_send: status & Self::ADDFD_SEND != 0,
            supervised: status & Self::SUPERVISED != 0,
        }
    }
}

fn try_in_child() -> Infallible {
    let allow = [sys::seccomp::Instruction { code: 0x06, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW }];
    let _ = rustix::thread::set_no_new_privs(true);
    let listener = match sys::seccomp::install_with_owned_listener(&allow) {
        Ok(listener) => listener,
        Err(error) if error.raw_os_error() == Some(libc::EBUSY) => spawn::exit_now(Tried::SUPERVISED),
        Err(_) => spawn::exit_now(0),
    };
    let mut found = Tried::LISTENER;
    if notify::set_sync_wake_up(listener.as_fd()).is_ok() {
        found |= Tried::SYNC_WAKE_UP;
    }
    // Nobody waits under this number: a kernel that knows the flag says so, an older one EINVAL.
    let sent = notify::respond_with_fd(listener.as_fd(), 0, listener.as_fd(), notify::OnExec::Close);
    if sent.is_err_and(|error| error.raw_os_error() == Some(libc::ENOENT)) {
        found |= Tried::ADDFD_SEND;
    }
    spawn::exit_now(found)
}

/// Does this place let a supervisor take descriptors from the processes that it watches?
pub fn takes_descriptors() -> bool {
    let own = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty());
    own.is_ok_and(|own| sys::pidfd::take_fd(own.as_fd(), 0).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modern() -> Features {
        Features {
            landlock_abi: 7,
            landlock_errata: 7,
            user_notification: true,
            wait_killable: true,
            sync_wake_up: true,
            addfd_send: true,
            pidfd_getfd: true,
            supervised: false,
            control_groups: true,
            missing: Vec::new(),
        }
    }

    fn names(features: &Features) -> Vec<&'static str> {
        missing(features).iter().map(|missing| missing.feature).collect()
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(missing(&modern()), []);
        assert_eq!(names(&Features { landlock_abi: 5, ..modern() }), ["Landlock scopes (ABI 6)"]);
        assert_eq!(names(&Features { sync_wake_up: false, ..modern() }), ["synchronous wake-up (Linux 6.6)"]);
        assert_eq!(names(&Features { landlock_errata: 5, ..modern() }), ["a Landlock erratum's fix"]);
        assert_eq!(
            names(&Features { supervised: true, user_notification: false, ..modern() }),
            ["a process tree without a supervisor"]
        );
    }

    #[test]
    fn without_what_is_required_nothing_suffices() {
        for features in [Features { landlock_abi: 2, ..modern() }, Features { user_notification: false, ..modern() }] {
            let missing = missing(&features);
            assert!(!Features { missing, ..features }.suffice());
        }
        assert_eq!(names(&Features { pidfd_getfd: false, ..modern() }), ["pidfd_getfd"]);
        let old = Features { pidfd_getfd: false, landlock_abi: 3, wait_killable: false, ..modern() };
        assert!(Features { missing: missing(&old), ..old }.suffice());
    }

    #[test]
    fn this_kernel_is_probed() {
        let features = probe();
        assert!(features.landlock_abi >= LEAST_ABI && features.user_notification && features.addfd_send);
        assert!(!features.supervised);
    }

    #[test]
    fn a_supervisor_above_is_noticed() {
        let features = std::thread::spawn(|| {
            rustix::thread::set_no_new_privs(true).unwrap();
            let allow = [sys::seccomp::Instruction { code: 0x06, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW }];
            let _listener = sys::seccomp::install_with_owned_listener(&allow).unwrap();
            probe()
        });
        let features = features.join().unwrap();
        assert!(features.supervised && !features.suffice());
    }
}
