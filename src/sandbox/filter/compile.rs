//! From rows to BPF: each row's clauses one after the other, joined by a binary search over numbers.
//!
//! The program is made at every start, which by seccompiler took 0.1 ms of it; the tests hold this one
//! against seccompiler's clause by clause. The search matters most at installation, where the kernel
//! walks the program for every number there is, to let those through untried that are always allowed:
//! 0.1 ms so, 1.8 ms one after the other.

use std::ops::Range;

use super::rows::{Action, Clause, Condition, Row};
use super::{FilterError, NEWEST_REVIEWED};
use crate::sys::seccomp::Instruction;

/// `AUDIT_ARCH_…`.
#[cfg(target_arch = "x86_64")]
pub(super) const TARGET: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
pub(super) const TARGET: u32 = 0xc000_00b7;

/// `BPF_MAXINSNS`.
const MOST_INSTRUCTIONS: usize = 4096;
/// `offsetof(struct seccomp_data, nr)` and `arch`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JUMP_IF_GREATER: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
const JUMP_IF_NOT_LESS: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

impl Action {
    pub(super) fn value(self) -> u32 {
        match self {
            Self::Allow => libc::SECCOMP_RET_ALLOW,
            Self::Trap => libc::SECCOMP_RET_USER_NOTIF,
            Self::Errno(errno) => libc::SECCOMP_RET_ERRNO | (errno.unsigned_abs() & libc::SECCOMP_RET_DATA),
        }
    }
}

fn statement(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

/// The whole program: `rows` in the order of their numbers, each number once.
pub(super) fn program(rows: &[Row]) -> Result<Vec<Instruction>, FilterError> {
    let mut program = Vec::with_capacity(1024);
    program.extend([
        statement(LOAD, ARCHITECTURE),
        jump(JUMP_IF_EQUAL, TARGET, 1, 0),
        statement(RETURN, libc::SECCOMP_RET_KILL_PROCESS),
        statement(LOAD, NUMBER),
        // Unsigned: numbers with the x32 bit, and negative ones, are above too.
        jump(JUMP_IF_GREATER, NEWEST_REVIEWED, 0, 1),
        statement(RETURN, Action::Errno(libc::ENOSYS).value()),
    ]);
    let Segments { list, bodies } = segments(rows);
    search(&list, &bodies, &mut program);
    if program.len() > MOST_INSTRUCTIONS {
        return Err(FilterError::TooLong { length: program.len() });
    }
    Ok(program)
}

/// The numbers from `first` to the next segment's are answered by a body, which always returns.
struct Segment {
    first: u32,
    /// Where it is among all.
    body: Range<usize>,
}

struct Segments {
    list: Vec<Segment>,
    /// One after the other.
    bodies: Vec<Instruction>,
}

fn segments(rows: &[Row]) -> Segments {
    let mut bodies = Vec::with_capacity(512);
    bodies.push(statement(RETURN, Action::Allow.value()));
    let allow = 0..1;
    let mut list = Vec::with_capacity(2 * rows.len() + 1);
    list.push(Segment { first: 0, body: allow.clone() });
    for row in rows {
        let nr = u32::try_from(row.nr).unwrap_or(u32::MAX);
        let from = bodies.len();
        body(row, &mut bodies);
        for (first, body) in [(nr, from..bodies.len()), (nr + 1, allow.clone())] {
            // The stretch before it may be empty.
            list.pop_if(|last| last.first == first);
            if list.last().is_none_or(|last| bodies[last.body.clone()] != bodies[body.clone()]) {
                list.push(Segment { first, body });
            }
        }
    }
    Segments { list, bodies }
}

fn body(row: &Row, body: &mut Vec<Instruction>) {
    // What the accumulator holds: the half of a register at this offset.
    let mut holds = None;
    for clause in &row.clauses {
        holds = self::clause(clause, holds, body);
    }
    body.push(statement(RETURN, row.otherwise.value()));
}

/// One clause: returns its action where it matches, else falls off its end. Takes and returns what the
/// accumulator holds before and after it.
fn clause(clause: &Clause, mut holds: Option<u32>, body: &mut Vec<Instruction>) -> Option<u32> {
    let begin = body.len();
    for half in clause.conditions().flat_map(Condition::halves) {
        if holds != Some(half.offset) {
            body.push(statement(LOAD, half.offset));
        }
        holds = Some(half.offset);
        if let Some(mask) = half.mask {
            body.push(statement(AND, mask));
            holds = None;
        }
        body.push(jump(JUMP_IF_EQUAL, half.value, 0, 0));
    }
    body.push(statement(RETURN, clause.then.value()));
    let (mut comparisons, end) = (0, body.len());
    for (at, comparison) in body.iter_mut().enumerate().skip(begin).filter(|(_, it)| it.code == JUMP_IF_EQUAL) {
        // A clause has a handful of instructions.
        comparison.jf = u8::try_from(end - at - 1).expect("the end of a clause is near");
        comparisons += 1;
    }
    // Every comparison can lead to the end.
    holds.filter(|_| comparisons == 1)
}

/// Finds the segment of the number in the accumulator in about log₂ steps.
fn search(segments: &[Segment], bodies: &[Instruction], program: &mut Vec<Instruction>) {
    let [left @ .., only] = segments else { return };
    if left.is_empty() {
        return program.extend(&bodies[only.body.clone()]);
    }
    let (below, above) = segments.split_at(segments.len() / 2);
    let at = program.len();
    program.push(jump(JUMP_IF_NOT_LESS, above[0].first, 0, 0));
    search(below, bodies, program);
    let distance = program.len() - at - 1;
    match u8::try_from(distance) {
        Ok(distance) => program[at].jt = distance,
        // Conditional jumps reach 255 instructions; an unconditional one reaches all.
        Err(_) => {
            program[at].jf = 1;
            program.insert(at + 1, statement(JUMP, u32::try_from(distance).unwrap_or(u32::MAX)));
        }
    }
    search(above, bodies, program);
}
