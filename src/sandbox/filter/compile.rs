//! From rows to BPF: seccompiler compiles each row's conditions, a binary search over numbers
//! joins them.
//!
//! seccompiler has no user-notification action and searches numbers one after the other. Each
//! clause is compiled with `Trace(0)`, whose returns then become the clause's own action. The
//! search matters most at installation, where the kernel walks the program for every number there
//! is, to let those through untried that are always allowed: 0.1 ms so, 1.8 ms one after the other.

use std::collections::BTreeMap;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, SeccompRule, TargetArch, sock_filter};

use super::rows::{Action, Clause, Row};
use super::{FilterError, NEWEST_REVIEWED};

#[cfg(target_arch = "x86_64")]
pub(super) const TARGET: (TargetArch, u32) = (TargetArch::x86_64, 0xc000_003e);
#[cfg(target_arch = "aarch64")]
pub(super) const TARGET: (TargetArch, u32) = (TargetArch::aarch64, 0xc000_00b7);

/// `BPF_MAXINSNS`.
const MOST_INSTRUCTIONS: usize = 4096;
/// `offsetof(struct seccomp_data, nr)` and `arch`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JUMP_IF_GREATER: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
const JUMP_IF_NOT_LESS: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// What seccompiler returns where a clause matches, until [`clause`] replaces it.
const MARK: SeccompAction = SeccompAction::Trace(0);
/// Instructions before a single rule's first condition: architecture check, load, comparison, and two
/// jumps that only rules too long for one conditional jump need.
const PROLOGUE: usize = 7;
/// After its last rule: the row's and the filter's default.
const EPILOGUE: usize = 2;

impl Action {
    pub(super) fn value(self) -> u32 {
        match self {
            Self::Allow => libc::SECCOMP_RET_ALLOW,
            Self::Trap => libc::SECCOMP_RET_USER_NOTIF,
            Self::Errno(errno) => libc::SECCOMP_RET_ERRNO | (errno.unsigned_abs() & libc::SECCOMP_RET_DATA),
        }
    }
}

fn statement(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// The whole program: `rows` in the order of their numbers, each number once.
pub(super) fn program(rows: &[Row]) -> Result<Vec<sock_filter>, FilterError> {
    let mut program = vec![
        statement(LOAD, ARCHITECTURE),
        jump(JUMP_IF_EQUAL, TARGET.1, 1, 0),
        statement(RETURN, libc::SECCOMP_RET_KILL_PROCESS),
        statement(LOAD, NUMBER),
        // Unsigned: numbers with the x32 bit, and negative ones, are above too.
        jump(JUMP_IF_GREATER, NEWEST_REVIEWED, 0, 1),
        statement(RETURN, Action::Errno(libc::ENOSYS).value()),
    ];
    program.extend(search(&segments(rows)?));
    if program.len() > MOST_INSTRUCTIONS {
        return Err(FilterError::TooLong { length: program.len() });
    }
    Ok(program)
}

/// The numbers from `first` to the next segment's are answered by `body`, which always returns.
struct Segment {
    first: u32,
    body: Vec<sock_filter>,
}

fn segments(rows: &[Row]) -> Result<Vec<Segment>, FilterError> {
    let allow = || vec![statement(RETURN, Action::Allow.value())];
    let mut segments = vec![Segment { first: 0, body: allow() }];
    let mut push = |first: u32, body: Vec<sock_filter>| {
        // The stretch before it may be empty.
        segments.pop_if(|last| last.first == first);
        if segments.last().is_none_or(|last| last.body != body) {
            segments.push(Segment { first, body });
        }
    };
    for row in rows {
        let nr = u32::try_from(row.nr).unwrap_or(u32::MAX);
        push(nr, body(row)?);
        push(nr + 1, allow());
    }
    Ok(segments)
}

fn body(row: &Row) -> Result<Vec<sock_filter>, FilterError> {
    let mut body = Vec::new();
    for clause in &row.clauses {
        body.extend(self::clause(row.nr, clause)?);
    }
    body.push(statement(RETURN, row.otherwise.value()));
    Ok(body)
}

/// One clause: returns its action where it matches, else falls off its end.
fn clause(nr: i64, clause: &Clause) -> Result<Vec<sock_filter>, FilterError> {
    let conditions = clause.when.iter().map(|condition| condition.compile()).collect::<Result<Vec<_>, _>>()?;
    let rules = BTreeMap::from([(nr, vec![SeccompRule::new(conditions)?])]);
    let compiled: BpfProgram = SeccompFilter::new(rules, SeccompAction::Allow, MARK, TARGET.0)?.try_into()?;
    let mut body = compiled[PROLOGUE..compiled.len() - EPILOGUE].to_vec();
    let mark = u32::from(MARK);
    for instruction in body.iter_mut().filter(|instruction| instruction.code == RETURN && instruction.k == mark) {
        instruction.k = clause.then.value();
    }
    Ok(body)
}

/// Finds the segment of the number in the accumulator in about log₂ steps.
fn search(segments: &[Segment]) -> Vec<sock_filter> {
    let [left @ .., only] = segments else { return Vec::new() };
    if left.is_empty() {
        return only.body.clone();
    }
    let (below, above) = segments.split_at(segments.len() / 2);
    let middle = above[0].first;
    let below = search(below);
    let mut found = match u8::try_from(below.len()) {
        Ok(distance) => vec![jump(JUMP_IF_NOT_LESS, middle, distance, 0)],
        // Conditional jumps reach 255 instructions; an unconditional one reaches all.
        Err(_) => {
            vec![jump(JUMP_IF_NOT_LESS, middle, 0, 1), statement(JUMP, u32::try_from(below.len()).unwrap_or(u32::MAX))]
        }
    };
    found.extend(below);
    found.extend(search(above));
    found
}
