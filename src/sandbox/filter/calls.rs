//! The table: what becomes of each system call that is not simply let through.

use libc::{
    EACCES, EAFNOSUPPORT, EBUSY, EINVAL, ENODEV, ENOPROTOOPT, ENOSYS, ENOTTY, EOPNOTSUPP, EPERM, EPROTONOSUPPORT,
};

use super::FilterPlan;
use super::rows::Action::{self, Allow, Errno, Trap};
use super::rows::{Row, all_of, is, masked, none_of, null};

// Newer than the C library's list on some architectures; alike on all of them.
const SYS_FCHMODAT2: i64 = 452;
const SYS_SETXATTRAT: i64 = 463;
const SYS_REMOVEXATTRAT: i64 = 466;
const SYS_OPEN_TREE_ATTR: i64 = 467;
const SYS_FILE_SETATTR: i64 = 469;

fn all(numbers: &[i64], action: Action) -> impl Iterator<Item = Row> {
    numbers.iter().map(move |nr| Row::new(*nr, action))
}

/// The table for one plan, in the order of numbers.
pub(super) fn rows(plan: FilterPlan) -> Vec<Row> {
    let mut rows = Vec::with_capacity(192);
    rows.extend(files(plan));
    rows.extend(sockets(plan));
    rows.extend(processes(plan));
    rows.extend(refused());
    rows.sort_unstable_by_key(|row| row.nr);
    rows
}

/// Opens, names and metadata.
fn files(plan: FilterPlan) -> Vec<Row> {
    let mut rows: Vec<Row> = all(
        &[
            libc::SYS_openat2,
            libc::SYS_mkdirat,
            libc::SYS_mknodat,
            libc::SYS_unlinkat,
            libc::SYS_renameat2,
            libc::SYS_linkat,
            libc::SYS_symlinkat,
            libc::SYS_truncate,
            libc::SYS_fchmod,
            libc::SYS_fchmodat,
            SYS_FCHMODAT2,
            libc::SYS_fchown,
            libc::SYS_fchownat,
            libc::SYS_utimensat,
            libc::SYS_setxattr,
            libc::SYS_lsetxattr,
            libc::SYS_fsetxattr,
            SYS_SETXATTRAT,
            libc::SYS_removexattr,
            libc::SYS_lremovexattr,
            libc::SYS_fremovexattr,
            SYS_REMOVEXATTRAT,
            SYS_FILE_SETATTR,
            libc::SYS_umask,
            libc::SYS_inotify_add_watch,
        ],
        Trap,
    )
    .collect();
    // The kernel has had it since 2.6.16 on every architecture; musl's list lacks it on some.
    rows.push(Row::new(libc::SYS_renameat, Trap));
    rows.push(open(libc::SYS_openat, 2, plan));
    #[cfg(target_arch = "x86_64")]
    rows.extend(legacy_files(plan));
    rows.push(ioctl(plan));
    rows.push(fcntl(plan));
    rows
}

#[cfg(target_arch = "x86_64")]
fn legacy_files(plan: FilterPlan) -> Vec<Row> {
    let mut rows: Vec<Row> = all(
        &[
            libc::SYS_creat,
            libc::SYS_mkdir,
            libc::SYS_rmdir,
            libc::SYS_mknod,
            libc::SYS_unlink,
            libc::SYS_rename,
            libc::SYS_link,
            libc::SYS_symlink,
            libc::SYS_chmod,
            libc::SYS_chown,
            libc::SYS_lchown,
            libc::SYS_utime,
            libc::SYS_utimes,
            libc::SYS_futimesat,
        ],
        Trap,
    )
    .collect();
    rows.push(open(libc::SYS_open, 1, plan));
    rows
}

/// An open whose flags are a register. `O_PATH` gives no content, and every reopening is judged.
fn open(nr: i64, flags: u8, plan: FilterPlan) -> Row {
    let row = Row::new(nr, Trap).when([all_of(flags, libc::O_PATH)], Allow);
    if plan.trap_reads {
        return row;
    }
    // Without O_DIRECTORY: it is a bit of O_TMPFILE.
    let tmpfile = libc::O_TMPFILE & !libc::O_DIRECTORY;
    row.when([none_of(flags, libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | tmpfile)], Allow)
}

/// `TIOCSTI` and its kin type into a terminal; file flags and attributes change through a
/// read-only descriptor, which Landlock does not see; btrfs makes names past every hook.
fn ioctl(plan: FilterPlan) -> Row {
    const FIOSETOWN: u32 = 0x8901;
    const SIOCSPGRP: u32 = 0x8902;
    const TIOCSTI: u32 = 0x5412;
    const TIOCSETD: u32 = 0x5423;
    const TIOCLINUX: u32 = 0x541c;
    const FS_IOC_SETFLAGS: u32 = 0x4008_6602;
    const FS_IOC32_SETFLAGS: u32 = 0x4004_6602;
    const FS_IOC_SETVERSION: u32 = 0x4008_7602;
    const FS_IOC32_SETVERSION: u32 = 0x4004_7602;
    const EXT4_IOC_SETVERSION: u32 = 0x4008_6604;
    const FS_IOC_FSSETXATTR: u32 = 0x401c_5820;
    const FAT_IOCTL_SET_ATTRIBUTES: u32 = 0x4004_7211;
    const FS_IOC_SET_ENCRYPTION_POLICY: u32 = 0x800c_6613;
    const FS_IOC_ENABLE_VERITY: u32 = 0x4080_6685;
    const FICLONE: u32 = 0x4004_9409;
    const FICLONERANGE: u32 = 0x4020_940d;
    const FIDEDUPERANGE: u32 = 0xc018_9436;
    const TYPE: u32 = 0xff00;
    let mut row = Row::new(libc::SYS_ioctl, Allow);
    // Terminal and descriptor requests are the common ones: let them out early.
    for refused in [TIOCSTI, TIOCLINUX, TIOCSETD] {
        row = row.when([is(1, refused)], Errno(EPERM));
    }
    row = row.when([masked(1, TYPE, 0x5400)], Allow);
    for changes in [
        FS_IOC_SETFLAGS,
        FS_IOC32_SETFLAGS,
        FS_IOC_FSSETXATTR,
        FS_IOC_SETVERSION,
        FS_IOC32_SETVERSION,
        EXT4_IOC_SETVERSION,
    ] {
        row = row.when([is(1, changes)], Trap);
    }
    for refused in [FAT_IOCTL_SET_ATTRIBUTES, FS_IOC_SET_ENCRYPTION_POLICY, FS_IOC_ENABLE_VERITY] {
        row = row.when([is(1, refused)], Errno(EOPNOTSUPP));
    }
    for data in [FICLONE, FICLONERANGE, FIDEDUPERANGE] {
        row = row.when([is(1, data)], Allow);
    }
    if plan.trap_signals {
        for owner in [FIOSETOWN, SIOCSPGRP] {
            row = row.when([is(1, owner)], Errno(EPERM));
        }
    }
    const BTRFS: u32 = 0x9400;
    const SECCOMP: u32 = 0x2100;
    row.when([masked(1, TYPE, BTRFS)], Errno(ENOTTY)).when([masked(1, TYPE, SECCOMP)], Errno(EPERM))
}

/// A lease holds up whoever opens the file, outside too; an owner is signalled.
fn fcntl(plan: FilterPlan) -> Row {
    let mut row = Row::new(libc::SYS_fcntl, Allow).when([is(1, libc::F_SETLEASE)], Errno(EINVAL));
    if plan.trap_signals {
        const F_SETOWN_EX: i32 = 15;
        for owner in [libc::F_SETOWN, F_SETOWN_EX] {
            row = row.when([is(1, owner)], Errno(EPERM));
        }
    }
    row
}

/// Sockets, addresses and options.
fn sockets(plan: FilterPlan) -> Vec<Row> {
    const MSG_FASTOPEN: u32 = 0x2000_0000;
    let fast_open = |flags| [all_of(flags, MSG_FASTOPEN)];
    let mut rows: Vec<Row> = all(&[libc::SYS_connect, libc::SYS_bind, libc::SYS_listen], Trap).collect();
    rows.push(socket());
    rows.push(Row::new(libc::SYS_socketpair, Errno(EOPNOTSUPP)).when([is(0, libc::AF_UNIX)], Allow));
    // Fast open connects without connect(2), on older kernels past Landlock's rules too.
    rows.push(Row::new(libc::SYS_sendto, Trap).when(fast_open(3), Errno(EOPNOTSUPP)).when([null(4)], Allow));
    rows.push(Row::new(libc::SYS_sendmsg, Trap).when(fast_open(2), Errno(EOPNOTSUPP)));
    rows.push(Row::new(libc::SYS_sendmmsg, Trap).when(fast_open(3), Errno(EOPNOTSUPP)));
    rows.push(setsockopt());
    if plan.trap_receives {
        rows.push(Row::new(libc::SYS_recvfrom, Trap).when([null(4)], Allow));
        rows.extend(all(&[libc::SYS_recvmsg, libc::SYS_recvmmsg], Trap));
    }
    rows
}

/// `AF_UNIX`, TCP and UDP over IPv4 and IPv6, routing information.
fn socket() -> Row {
    const TYPE: i32 = 0xf;
    let kind = |value: i32| masked(1, TYPE, value);
    let mut row = Row::new(libc::SYS_socket, Errno(EAFNOSUPPORT)).when([is(0, libc::AF_UNIX)], Allow);
    for family in [libc::AF_INET, libc::AF_INET6] {
        let family = is(0, family);
        for (stream_or_datagram, protocols) in
            [(libc::SOCK_STREAM, [0, libc::IPPROTO_TCP]), (libc::SOCK_DGRAM, [0, libc::IPPROTO_UDP])]
        {
            for protocol in protocols {
                row = row.when([family, kind(stream_or_datagram), is(2, protocol)], Allow);
            }
        }
        row = row.when([family, kind(libc::SOCK_RAW)], Errno(EPERM)).when([family], Errno(EPROTONOSUPPORT));
    }
    row.when([is(0, libc::AF_NETLINK), is(2, libc::NETLINK_ROUTE)], Allow)
        .when([is(0, libc::AF_NETLINK)], Errno(EPROTONOSUPPORT))
        .when([is(0, libc::AF_PACKET)], Errno(EPERM))
}

/// Options that would send elsewhere than where the call was judged to go: fast open, source
/// routes, another interface, an encapsulation; and joining a multicast group, which tells its
/// address to the whole link. A machine without multicast says `ENODEV` to that.
fn setsockopt() -> Row {
    const SO_BINDTOIFINDEX: i32 = 62;
    const IPV6_2292PKTOPTIONS: i32 = 6;
    const IPV6_2292RTHDR: i32 = 5;
    const IPV6_JOIN_ANYCAST: i32 = 27;
    const MCAST_JOIN_GROUP: i32 = 42;
    const MCAST_JOIN_SOURCE_GROUP: i32 = 46;
    const UDP_ENCAP: i32 = 100;
    const SOL_UDP: i32 = 17;
    let refused = [
        (libc::SOL_TCP, libc::TCP_FASTOPEN_CONNECT, ENOPROTOOPT),
        (libc::SOL_TCP, libc::TCP_REPAIR, EPERM),
        (libc::SOL_TCP, libc::TCP_ULP, libc::ENOENT),
        (libc::SOL_SOCKET, libc::SO_BINDTODEVICE, EPERM),
        (libc::SOL_SOCKET, SO_BINDTOIFINDEX, EPERM),
        (libc::SOL_IP, libc::IP_OPTIONS, EPERM),
        (libc::SOL_IPV6, libc::IPV6_RTHDR, EPERM),
        (libc::SOL_IPV6, IPV6_2292RTHDR, EPERM),
        (libc::SOL_IPV6, IPV6_2292PKTOPTIONS, EPERM),
        (libc::SOL_IPV6, libc::IPV6_ADDRFORM, ENOPROTOOPT),
        (SOL_UDP, UDP_ENCAP, ENOPROTOOPT),
        (libc::SOL_IP, libc::IP_ADD_MEMBERSHIP, ENODEV),
        (libc::SOL_IP, libc::IP_ADD_SOURCE_MEMBERSHIP, ENODEV),
        (libc::SOL_IP, MCAST_JOIN_GROUP, ENODEV),
        (libc::SOL_IP, MCAST_JOIN_SOURCE_GROUP, ENODEV),
        (libc::SOL_IPV6, libc::IPV6_ADD_MEMBERSHIP, ENODEV),
        (libc::SOL_IPV6, IPV6_JOIN_ANYCAST, ENODEV),
        (libc::SOL_IPV6, MCAST_JOIN_GROUP, ENODEV),
        (libc::SOL_IPV6, MCAST_JOIN_SOURCE_GROUP, ENODEV),
    ];
    refused.into_iter().fold(Row::new(libc::SYS_setsockopt, Allow), |row, (level, option, errno)| {
        row.when([is(1, level), is(2, option)], Errno(errno))
    })
}

/// Processes: birth, programs, limits and priorities of others, System V objects, signals.
fn processes(plan: FilterPlan) -> Vec<Row> {
    const NAMESPACES: i32 = libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET;
    /// Within `CSIGNAL`, hence for `unshare` alone.
    const CLONE_NEWTIME: i32 = 0x80;
    let mut rows = vec![
        // Threads alone share a descriptor table: where a process has one thread, nobody else can
        // put another socket at the number that its send names.
        Row::new(libc::SYS_clone, Errno(EPERM))
            .when([all_of(0, libc::CLONE_FILES), none_of(0, libc::CLONE_THREAD)], Errno(EPERM))
            .when([none_of(0, NAMESPACES)], Allow),
        Row::new(libc::SYS_unshare, Errno(EPERM)).when([none_of(0, NAMESPACES | CLONE_NEWTIME)], Allow),
        seccomp(),
        prctl(),
        Row::new(libc::SYS_prlimit64, Trap).when([is(0, 0)], Allow),
    ];
    // Which = process or group, and who = the caller's own; a user's processes are everybody's.
    for (nr, own) in [(libc::SYS_setpriority, [0, 1, 2]), (libc::SYS_ioprio_set, [1, 2, 3])] {
        let [process, group, user] = own;
        rows.push(
            Row::new(nr, Trap)
                .when([is(0, user)], Errno(EPERM))
                .when([is(0, process), is(1, 0)], Allow)
                .when([is(0, group), is(1, 0)], Allow),
        );
    }
    let scheduling =
        [libc::SYS_sched_setparam, libc::SYS_sched_setscheduler, libc::SYS_sched_setaffinity, libc::SYS_sched_setattr];
    rows.extend(scheduling.map(|nr| Row::new(nr, Trap).when([is(0, 0)], Allow)));
    rows.extend(all(
        &[
            libc::SYS_shmget,
            libc::SYS_shmat,
            libc::SYS_shmctl,
            libc::SYS_semget,
            libc::SYS_semop,
            libc::SYS_semtimedop,
            libc::SYS_semctl,
            libc::SYS_msgget,
            libc::SYS_msgsnd,
            libc::SYS_msgrcv,
            libc::SYS_msgctl,
        ],
        Trap,
    ));
    if plan.trap_exec {
        rows.extend(all(&[libc::SYS_execve, libc::SYS_execveat], Trap));
    }
    if plan.trap_signals {
        let signals =
            [libc::SYS_kill, libc::SYS_tkill, libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo];
        rows.extend(all(&signals, Trap));
        // A descriptor can be exchanged between judgement and use; programs fall back on numbers.
        rows.push(Row::new(libc::SYS_pidfd_send_signal, Errno(ENOSYS)));
    }
    rows
}

/// One listener per process tree: what the kernel answers to a second one.
fn seccomp() -> Row {
    const SET_MODE_FILTER: u32 = 1;
    const NEW_LISTENER: u32 = 8;
    Row::new(libc::SYS_seccomp, Allow).when([is(0, SET_MODE_FILTER), all_of(1, NEW_LISTENER)], Errno(EBUSY))
}

/// A process that is not dumpable could not be read by an ordinary supervisor: the wish is granted
/// without effect. What `PR_SET_MM` moves is what `/proc/PID/cmdline` shows.
fn prctl() -> Row {
    Row::new(libc::SYS_prctl, Allow)
        .when([is(0, libc::PR_SET_DUMPABLE), null(1)], Errno(0))
        .when([is(0, libc::PR_SET_MM)], Errno(EPERM))
}

/// What no sandboxed program needs, with the errno that programs cope with best.
fn refused() -> Vec<Row> {
    let mut rows: Vec<Row> = all(
        &[
            libc::SYS_io_uring_setup,
            libc::SYS_io_uring_enter,
            libc::SYS_io_uring_register,
            libc::SYS_clone3,
            libc::SYS_add_key,
            libc::SYS_request_key,
            libc::SYS_keyctl,
            libc::SYS_mq_open,
            libc::SYS_mq_unlink,
            libc::SYS_nfsservctl,
        ],
        Errno(ENOSYS),
    )
    .collect();
    rows.extend(all(
        &[
            libc::SYS_setns,
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_pivot_root,
            libc::SYS_chroot,
            libc::SYS_open_tree,
            SYS_OPEN_TREE_ATTR,
            libc::SYS_move_mount,
            libc::SYS_fsopen,
            libc::SYS_fsconfig,
            libc::SYS_fsmount,
            libc::SYS_fspick,
            libc::SYS_mount_setattr,
            libc::SYS_bpf,
            libc::SYS_userfaultfd,
            libc::SYS_kexec_load,
            libc::SYS_init_module,
            libc::SYS_finit_module,
            libc::SYS_delete_module,
            libc::SYS_open_by_handle_at,
            libc::SYS_clock_settime,
            libc::SYS_settimeofday,
            libc::SYS_swapon,
            libc::SYS_swapoff,
            libc::SYS_reboot,
            libc::SYS_acct,
            libc::SYS_quotactl,
            libc::SYS_quotactl_fd,
            libc::SYS_sethostname,
            libc::SYS_setdomainname,
            libc::SYS_syslog,
            libc::SYS_vhangup,
            libc::SYS_lookup_dcookie,
            libc::SYS_fanotify_init,
            libc::SYS_fanotify_mark,
        ],
        Errno(EPERM),
    ));
    rows.push(Row::new(libc::SYS_perf_event_open, Errno(EACCES)));
    #[cfg(target_arch = "x86_64")]
    {
        rows.extend(all(&[libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_kexec_file_load], Errno(EPERM)));
        rows.push(Row::new(libc::SYS_uselib, Errno(ENOSYS)));
    }
    rows
}
