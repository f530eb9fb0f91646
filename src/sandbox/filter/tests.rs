use rustix::event::{PollFd, PollFlags, poll};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::compile::TARGET;
use super::rows::Condition;
use super::*;
use crate::sys::notify::{self, Response};
use crate::sys::{seccomp, spawn};

const LEAST: FilterPlan = FilterPlan { trap_reads: false, trap_exec: false, trap_receives: false, trap_signals: false };
const MOST: FilterPlan = FilterPlan { trap_reads: true, trap_exec: true, trap_receives: true, trap_signals: true };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Allowed,
    Trapped,
    Refused(i32),
    Killed,
}
use Answer::{Allowed, Killed, Refused, Trapped};

/// Runs the program as the kernel would: what it returns, and after how many steps.
fn run(program: &[Instruction], nr: u32, architecture: u32, args: [u64; 6]) -> (u32, usize) {
    let mut words = vec![nr, architecture, 0, 0];
    words.extend(args.iter().flat_map(|value| [(value & 0xffff_ffff) as u32, (value >> 32) as u32]));
    let (mut at, mut accumulator, mut steps) = (0, 0_u32, 0);
    loop {
        let instruction = &program[at];
        let branch = |taken: bool| usize::from(if taken { instruction.jt } else { instruction.jf });
        at += 1;
        steps += 1;
        match instruction.code {
            0x20 => accumulator = words[instruction.k as usize / 4],
            0x54 => accumulator &= instruction.k,
            0x05 => at += instruction.k as usize,
            0x15 => at += branch(accumulator == instruction.k),
            0x25 => at += branch(accumulator > instruction.k),
            0x35 => at += branch(accumulator >= instruction.k),
            0x06 => return (instruction.k, steps),
            code => panic!("instruction {code:#x}"),
        }
    }
}

fn evaluate(filter: &Filter, nr: u32, architecture: u32, args: [u64; 6]) -> (Answer, usize) {
    let (value, steps) = run(filter.program(), nr, architecture, args);
    (answer(value), steps)
}

fn answer(value: u32) -> Answer {
    match value & libc::SECCOMP_RET_ACTION_FULL {
        libc::SECCOMP_RET_ALLOW => Allowed,
        libc::SECCOMP_RET_USER_NOTIF => Trapped,
        libc::SECCOMP_RET_ERRNO => Refused((value & libc::SECCOMP_RET_DATA) as i32),
        libc::SECCOMP_RET_KILL_PROCESS => Killed,
        other => panic!("action {other:#x}"),
    }
}

fn of(plan: FilterPlan, nr: i64, args: [u64; 6]) -> Answer {
    evaluate(&Filter::compile(plan).unwrap(), u32::try_from(nr).unwrap(), TARGET, args).0
}

#[test]
fn every_number_has_one_row() {
    for plan in [LEAST, MOST] {
        let rows = calls::rows(plan);
        for pair in rows.windows(2) {
            assert!(pair[0].nr < pair[1].nr, "{} twice", pair[0].nr);
        }
        assert!(rows.iter().all(|row| row.nr <= i64::from(NEWEST_REVIEWED)));
    }
}

#[test]
fn the_search_finds_every_row_and_nothing_else() {
    for plan in [LEAST, MOST] {
        let filter = Filter::compile(plan).unwrap();
        let rows = calls::rows(plan);
        for nr in 0..=NEWEST_REVIEWED {
            let expected = match rows.iter().find(|row| row.nr == i64::from(nr)) {
                None => Allowed,
                Some(row) if row.clauses.is_empty() => answer(row.otherwise.value()),
                Some(_) => continue,
            };
            assert_eq!(evaluate(&filter, nr, TARGET, [0; 6]).0, expected, "{nr}");
        }
    }
}

/// seccompiler's own program for one clause.
fn by_seccompiler(nr: i64, when: impl Iterator<Item = Condition>) -> Vec<Instruction> {
    let condition = |condition: Condition| match condition {
        Condition::Is(argument, value) => {
            SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value.into())
        }
        Condition::Masked(argument, mask, value) => {
            let masked = SeccompCmpOp::MaskedEq(mask.into());
            SeccompCondition::new(argument, SeccompCmpArgLen::Dword, masked, value.into())
        }
        Condition::IsLong(argument, value) => {
            SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, value)
        }
    };
    let rule = SeccompRule::new(when.map(|one| condition(one).unwrap()).collect()).unwrap();
    let architecture = if cfg!(target_arch = "x86_64") { TargetArch::x86_64 } else { TargetArch::aarch64 };
    let (no, yes) = (SeccompAction::Allow, SeccompAction::Trace(0));
    let program: BpfProgram =
        SeccompFilter::new([(nr, vec![rule])].into(), no, yes, architecture).unwrap().try_into().unwrap();
    let ours = |one: &seccompiler::sock_filter| Instruction { code: one.code, jt: one.jt, jf: one.jf, k: one.k };
    program.iter().map(ours).collect()
}

/// Every combination of what a row's clauses compare with, and of neighbours of it.
fn interesting(row: &rows::Row) -> Vec<[u64; 6]> {
    let mut values: [Vec<u64>; 6] = std::array::from_fn(|_| vec![0, 1, u64::MAX]);
    for condition in row.clauses.iter().flat_map(rows::Clause::conditions) {
        let (argument, found) = match condition {
            Condition::Is(argument, value) => (argument, vec![u64::from(value), u64::from(value) ^ 1]),
            Condition::Masked(argument, mask, value) => {
                (argument, vec![value.into(), (value | !mask).into(), (value ^ (mask & mask.wrapping_neg())).into()])
            }
            Condition::IsLong(argument, value) => (argument, vec![value, value ^ 1, value ^ (1 << 32)]),
        };
        let high = found.iter().map(|value| value | 0xdead_beef << 32).collect::<Vec<_>>();
        values[usize::from(argument)].extend(found.into_iter().chain(high));
    }
    let asked: Vec<usize> = (0..6).filter(|at| values[*at].len() > 3).collect();
    let mut all = vec![[0; 6]];
    for at in asked {
        values[at].sort_unstable();
        values[at].dedup();
        let with =
            |args: [u64; 6], value: u64| std::array::from_fn(|other| if other == at { value } else { args[other] });
        all = all.into_iter().flat_map(|args| values[at].iter().map(move |value| with(args, *value))).collect();
    }
    all
}

#[test]
fn the_program_answers_as_seccompiler_s_would() {
    let mut tried = 0;
    for plan in [LEAST, MOST] {
        let filter = Filter::compile(plan).unwrap();
        for row in calls::rows(plan).iter().filter(|row| !row.clauses.is_empty()) {
            let nr = u32::try_from(row.nr).unwrap();
            let clauses: Vec<_> =
                row.clauses.iter().map(|clause| (by_seccompiler(row.nr, clause.conditions()), clause.then)).collect();
            for args in interesting(row) {
                let matching = |(program, _): &&(Vec<Instruction>, rows::Action)| {
                    run(program, nr, TARGET, args).0 == u32::from(SeccompAction::Trace(0))
                };
                let expected = clauses.iter().find(matching).map_or(row.otherwise, |(_, then)| *then);
                assert_eq!(run(filter.program(), nr, TARGET, args).0, expected.value(), "{nr} {args:x?}");
                tried += 1;
            }
        }
    }
    assert!(tried > 5_000, "{tried}");
}

#[test]
fn what_is_newer_foreign_or_x32_never_gets_through() {
    const X32: u32 = 0x4000_0000;
    let filter = Filter::compile(LEAST).unwrap();
    let newer = (NEWEST_REVIEWED + 1..600).chain((0..600).map(|nr| nr | X32)).chain([u32::MAX, 1 << 31]);
    for nr in newer {
        assert_eq!(evaluate(&filter, nr, TARGET, [0; 6]).0, Refused(libc::ENOSYS), "{nr:#x}");
    }
    for architecture in [0x4000_0003, 0, 0x4000_0028, 0xc000_00f3] {
        assert_eq!(evaluate(&filter, 0, architecture, [0; 6]).0, Killed, "{architecture:#x}");
    }
}

#[test]
fn the_largest_filter_fits_and_is_searched_quickly() {
    let filter = Filter::compile(MOST).unwrap();
    assert!(filter.program().len() < 4096, "{}", filter.program().len());
    for nr in [libc::SYS_read, libc::SYS_getppid, libc::SYS_openat, libc::SYS_newfstatat, libc::SYS_close] {
        let (_, steps) = evaluate(&filter, u32::try_from(nr).unwrap(), TARGET, [0; 6]);
        assert!(steps < 30, "{nr}: {steps}");
    }
}

fn args<const N: usize>(values: [i64; N]) -> [u64; 6] {
    std::array::from_fn(|at| values.get(at).copied().unwrap_or(0) as u64)
}

/// The high half of an `int` is not the kernel's to see, nor ours.
#[test]
fn high_halves_of_ints_change_nothing() {
    const HIGH: u64 = 0xdead_beef << 32;
    let cases: [(i64, [i64; 3], &[usize]); 8] = [
        (libc::SYS_socket, [libc::AF_PACKET.into(), 3, 0], &[0, 1, 2]),
        (libc::SYS_socket, [libc::AF_INET.into(), 1, 262], &[0, 1, 2]),
        (libc::SYS_ioctl, [0, 0x5412, 0], &[1]),
        (libc::SYS_clone, [libc::CLONE_NEWUSER.into(), 0, 0], &[0]),
        (libc::SYS_unshare, [libc::CLONE_NEWNS.into(), 0, 0], &[0]),
        (libc::SYS_openat, [0, 0, libc::O_WRONLY.into()], &[2]),
        (libc::SYS_prlimit64, [1, 0, 0], &[0]),
        (libc::SYS_seccomp, [1, 8, 0], &[0, 1]),
    ];
    for (nr, values, ints) in cases {
        let plain = of(LEAST, nr, args(values));
        assert_ne!(plain, Allowed, "{nr}");
        for int in ints {
            let mut high = args(values);
            high[*int] |= HIGH;
            assert_eq!(of(LEAST, nr, high), plain, "{nr} argument {int}");
        }
    }
    // A pointer's high half is a pointer.
    assert_eq!(of(LEAST, libc::SYS_sendto, [0, 0, 0, 0, 0, 0]), Allowed);
    assert_eq!(of(LEAST, libc::SYS_sendto, [0, 0, 0, 0, 1 << 32, 0]), Trapped);
}

#[test]
fn opens_are_trapped_as_far_as_the_plan_says() {
    let open = |plan, flags: i32| of(plan, libc::SYS_openat, args([-100, 0, flags.into()]));
    let reading = [libc::O_RDONLY, libc::O_CLOEXEC | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_NONBLOCK];
    for flags in reading {
        assert_eq!(open(LEAST, flags), Allowed, "{flags:#o}");
        assert_eq!(open(MOST, flags), Trapped, "{flags:#o}");
    }
    let writing = [libc::O_WRONLY, libc::O_RDWR, 3, libc::O_CREAT, libc::O_TRUNC, libc::O_TMPFILE, libc::O_TMPFILE | 1];
    for flags in writing {
        assert_eq!(open(LEAST, flags), Trapped, "{flags:#o}");
    }
    assert_eq!(open(MOST, libc::O_PATH | libc::O_CREAT), Allowed);
    assert_eq!(of(LEAST, libc::SYS_openat2, args([-100])), Trapped);
}

#[test]
fn sockets_are_known_by_their_registers() {
    let socket = |family: i32, kind: i32, protocol: i32| {
        of(LEAST, libc::SYS_socket, args([family.into(), kind.into(), protocol.into()]))
    };
    let nonblocking = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    for (family, kind, protocol) in [
        (libc::AF_UNIX, libc::SOCK_STREAM, 0),
        (libc::AF_UNIX, libc::SOCK_SEQPACKET | nonblocking, 0),
        (libc::AF_INET, libc::SOCK_STREAM, 0),
        (libc::AF_INET6, libc::SOCK_STREAM | nonblocking, libc::IPPROTO_TCP),
        (libc::AF_INET6, libc::SOCK_DGRAM | nonblocking, libc::IPPROTO_UDP),
        (libc::AF_INET, libc::SOCK_DGRAM, 0),
        (libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE),
    ] {
        assert_eq!(socket(family, kind, protocol), Allowed, "{family} {kind} {protocol}");
    }
    const AF_ALG: i32 = 38;
    const AF_VSOCK: i32 = 40;
    const AF_XDP: i32 = 44;
    const SOCK_DCCP: i32 = 6;
    for (family, kind, protocol, errno) in [
        (libc::AF_INET, libc::SOCK_STREAM, 262, libc::EPROTONOSUPPORT),
        (libc::AF_INET6, libc::SOCK_STREAM, libc::IPPROTO_SCTP, libc::EPROTONOSUPPORT),
        (libc::AF_INET, libc::SOCK_SEQPACKET, libc::IPPROTO_SCTP, libc::EPROTONOSUPPORT),
        (libc::AF_INET, SOCK_DCCP, 0, libc::EPROTONOSUPPORT),
        (libc::AF_INET, libc::SOCK_DGRAM, 136, libc::EPROTONOSUPPORT),
        (libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP, libc::EPROTONOSUPPORT),
        (libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_UDP, libc::EPROTONOSUPPORT),
        (libc::AF_INET6, libc::SOCK_RAW | nonblocking, libc::IPPROTO_ICMPV6, libc::EPERM),
        (libc::AF_PACKET, libc::SOCK_RAW, 0, libc::EPERM),
        (libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_AUDIT, libc::EPROTONOSUPPORT),
        (AF_ALG, libc::SOCK_SEQPACKET, 0, libc::EAFNOSUPPORT),
        (AF_VSOCK, libc::SOCK_STREAM, 0, libc::EAFNOSUPPORT),
        (AF_XDP, libc::SOCK_RAW, 0, libc::EAFNOSUPPORT),
        (-1, libc::SOCK_STREAM, 0, libc::EAFNOSUPPORT),
    ] {
        assert_eq!(socket(family, kind, protocol), Refused(errno), "{family} {kind} {protocol}");
    }
}

#[test]
fn sends_and_options_that_go_round_the_judgement_are_refused() {
    const FASTOPEN: i64 = 0x2000_0000;
    let refused = Refused(libc::EOPNOTSUPP);
    assert_eq!(of(LEAST, libc::SYS_sendto, args([3, 0, 0, FASTOPEN | 0x4000, 0])), refused);
    assert_eq!(of(LEAST, libc::SYS_sendto, args([3, 0, 0, FASTOPEN, 4096])), refused);
    assert_eq!(of(LEAST, libc::SYS_sendmsg, args([3, 4096, FASTOPEN])), refused);
    assert_eq!(of(LEAST, libc::SYS_sendmmsg, args([3, 4096, 1, FASTOPEN])), refused);
    assert_eq!(of(LEAST, libc::SYS_sendmsg, args([3, 4096, 0x4000])), Trapped);
    let option = |level: i32, name: i32| of(LEAST, libc::SYS_setsockopt, args([3, level.into(), name.into()]));
    assert_eq!(option(libc::SOL_TCP, libc::TCP_FASTOPEN_CONNECT), Refused(libc::ENOPROTOOPT));
    assert_eq!(option(libc::SOL_IP, libc::IP_OPTIONS), Refused(libc::EPERM));
    assert_eq!(option(libc::SOL_IPV6, libc::IPV6_RTHDR), Refused(libc::EPERM));
    assert_eq!(option(libc::SOL_SOCKET, libc::SO_BINDTODEVICE), Refused(libc::EPERM));
    assert_eq!(option(libc::SOL_IP, libc::IP_ADD_MEMBERSHIP), Refused(libc::ENODEV));
    assert_eq!(option(libc::SOL_TCP, libc::TCP_NODELAY), Allowed);
    assert_eq!(option(libc::SOL_SOCKET, libc::SO_REUSEADDR), Allowed);
}

#[test]
fn a_call_on_oneself_is_free_and_on_others_trapped() {
    for nr in [libc::SYS_prlimit64, libc::SYS_sched_setaffinity, libc::SYS_sched_setattr] {
        assert_eq!(of(LEAST, nr, args([0])), Allowed, "{nr}");
        assert_eq!(of(LEAST, nr, args([1])), Trapped, "{nr}");
    }
    for (which, who, answer) in [(0, 0, Allowed), (1, 0, Allowed), (2, 0, Refused(libc::EPERM)), (0, 7, Trapped)] {
        assert_eq!(of(LEAST, libc::SYS_setpriority, args([which, who, 19])), answer);
        assert_eq!(of(LEAST, libc::SYS_ioprio_set, args([which + 1, who, 19])), answer);
    }
    // An owner is signalled on the setter's behalf.
    for (plan, answer) in [(LEAST, Allowed), (MOST, Refused(libc::EPERM))] {
        assert_eq!(of(plan, libc::SYS_fcntl, args([0, libc::F_SETOWN.into()])), answer);
        assert_eq!(of(plan, libc::SYS_ioctl, args([0, 0x8902])), answer);
    }
    for (plan, answer) in [(LEAST, Allowed), (MOST, Trapped)] {
        for nr in [libc::SYS_kill, libc::SYS_tgkill] {
            assert_eq!(of(plan, nr, args([7, 9])), answer);
        }
    }
}

#[test]
fn ioctls_that_type_or_change_metadata_are_caught() {
    let ioctl = |request: u32| of(LEAST, libc::SYS_ioctl, args([0, request.into()]));
    for refused in [0x5412, 0x541c, 0x5423] {
        assert_eq!(ioctl(refused), Refused(libc::EPERM), "{refused:#x}");
    }
    for changes in [0x4008_6602, 0x4004_6602, 0x401c_5820] {
        assert_eq!(ioctl(changes), Trapped, "{changes:#x}");
    }
    // A btrfs subvolume, a listener's answer.
    assert_eq!(ioctl(0x5000_940e), Refused(libc::ENOTTY));
    assert_eq!(ioctl(0xc018_2101), Refused(libc::EPERM));
    for free in [0x5401, 0x5413, 0x541b, 0x4004_9409, 0x8008_6601] {
        assert_eq!(ioctl(free), Allowed, "{free:#x}");
    }
}

#[test]
fn what_can_be_trapped_is_told() {
    for nr in [libc::SYS_openat, libc::SYS_execve, libc::SYS_recvmsg, libc::SYS_kill, libc::SYS_ioctl, libc::SYS_umask]
    {
        assert!(trapped(nr), "{nr}");
    }
    for nr in
        [libc::SYS_read, libc::SYS_close, libc::SYS_mount, libc::SYS_socket, libc::SYS_clone, libc::SYS_newfstatat]
    {
        assert!(!trapped(nr), "{nr}");
    }
}

/// The table is as new as the headers that the kernel ships here.
#[test]
fn the_newest_number_of_the_kernel_headers_is_reviewed() {
    let headers = ["/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm-generic/unistd.h"];
    let Some(text) = headers.iter().find_map(|path| std::fs::read_to_string(path).ok()) else {
        eprintln!("skipped: no kernel headers");
        return;
    };
    let numbers = text.lines().filter_map(|line| {
        line.strip_prefix("#define __NR_")
            .filter(|rest| !rest.starts_with("syscalls"))?
            .split_whitespace()
            .nth(1)?
            .parse()
            .ok()
    });
    let newest: u32 = numbers.max().unwrap();
    assert!((400..=NEWEST_REVIEWED).contains(&newest), "review system calls up to {newest}");
}

/// What the kernel makes of one call below the filter; a trapped one is answered with `EXFULL`.
fn really(plan: FilterPlan, make: impl Fn() -> Result<i64, i32>) -> Result<Answer, i32> {
    let filter = Filter::compile(plan).unwrap();
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    // The listener appears in our table: the child may not serve it, its own filter sees to that.
    let caller = spawn::fork_sharing_descriptors(|| {
        let _ = rustix::thread::set_no_new_privs(true);
        let listener = seccomp::install_with_listener(filter.program()).unwrap_or(-1);
        let _ = rustix::io::write(&writer, &listener.to_ne_bytes());
        spawn::exit_now(make().err().unwrap_or(0))
    });
    let caller = rustix::process::Pid::from_raw(caller.unwrap()).unwrap();
    let mut number = [0; 4];
    rustix::io::read(&reader, &mut number).unwrap();
    let listener = spawn::borrow(i32::from_ne_bytes(number));
    let mut trapped = false;
    loop {
        let mut polled = [PollFd::new(&listener, PollFlags::IN)];
        poll(&mut polled, None).unwrap();
        if polled[0].revents().contains(PollFlags::IN) {
            let call = notify::receive(listener).unwrap();
            notify::respond(listener, call.id, Response::Errno(libc::EXFULL)).unwrap();
            trapped = true;
        } else {
            break;
        }
    }
    let (_, status) = rustix::process::waitpid(Some(caller), rustix::process::WaitOptions::empty()).unwrap().unwrap();
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) if trapped => {
            assert_eq!(code, libc::EXFULL);
            Ok(Trapped)
        }
        (Some(0), _) => Ok(Allowed),
        (Some(code), _) => Err(code),
        (None, Some(libc::SIGSYS)) => Ok(Killed),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_kernel_agrees() {
    let call = |nr: i64, values: [i64; 3]| really(LEAST, || seccomp::call(nr, args(values)));
    assert_eq!(call(libc::SYS_getppid, [0; 3]), Ok(Allowed));
    assert_eq!(call(libc::SYS_mkdirat, [-100, 0, 0]), Ok(Trapped));
    assert_eq!(call(libc::SYS_io_uring_setup, [1, 0, 0]), Err(libc::ENOSYS));
    assert_eq!(call(libc::SYS_clone3, [0, 88, 0]), Err(libc::ENOSYS));
    assert_eq!(call(libc::SYS_mount, [0; 3]), Err(libc::EPERM));
    assert_eq!(call(libc::SYS_socket, [libc::AF_INET.into(), 1, 262]), Err(libc::EPROTONOSUPPORT));
    assert_eq!(call(libc::SYS_unshare, [libc::CLONE_NEWUSER.into(), 0, 0]), Err(libc::EPERM));
    assert_eq!(call(libc::SYS_prctl, [libc::PR_SET_DUMPABLE.into(), 0, 0]), Ok(Allowed));
    assert_eq!(call(1_000_000, [0; 3]), Err(libc::ENOSYS));
    assert_eq!(call(0x4000_0000 | 39, [0; 3]), Err(libc::ENOSYS));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_32_bit_call_kills() {
    // getpid of the 32-bit table.
    assert_eq!(really(LEAST, || Ok(seccomp::call_32_bit(20))), Ok(Killed));
}

#[test]
fn a_process_that_wants_not_to_be_dumpable_stays_readable() {
    let dumpable = really(LEAST, || {
        seccomp::call(libc::SYS_prctl, args([libc::PR_SET_DUMPABLE.into(), 0]))?;
        match seccomp::call(libc::SYS_prctl, args([libc::PR_GET_DUMPABLE.into()]))? {
            1 => Ok(0),
            _ => Err(1),
        }
    });
    assert_eq!(dumpable, Ok(Allowed));
}
