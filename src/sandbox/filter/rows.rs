//! The words that the table is written in: rows of clauses over registers.

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Allow,
    Trap,
    /// The call returns `-errno`; 0 answers success without effect.
    Errno(i32),
}

/// How many conditions a clause has at most.
const MOST_CONDITIONS: usize = 3;

/// Registers that match; all of them have to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clause {
    when: [Option<Condition>; MOST_CONDITIONS],
    pub(super) then: Action,
}

impl Clause {
    pub(super) fn conditions(&self) -> impl DoubleEndedIterator<Item = Condition> {
        self.when.iter().copied().flatten()
    }
}

/// One system call: the first clause that matches decides, else `otherwise`.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) nr: i64,
    pub(super) clauses: Vec<Clause>,
    pub(super) otherwise: Action,
}

impl Row {
    pub(super) fn new(nr: i64, otherwise: Action) -> Self {
        Self { nr, clauses: Vec::new(), otherwise }
    }

    pub(super) fn when<const N: usize>(mut self, when: [Condition; N], then: Action) -> Self {
        const { assert!(N <= MOST_CONDITIONS) };
        let mut all = [None; MOST_CONDITIONS];
        all.iter_mut().zip(when).for_each(|(place, condition)| *place = Some(condition));
        self.clauses.push(Clause { when: all, then });
        self
    }

    /// What decides, whichever call it is.
    pub(super) fn answer(&self) -> (&[Clause], Action) {
        (&self.clauses, self.otherwise)
    }

    pub(super) fn traps(&self) -> bool {
        self.otherwise == Action::Trap || self.clauses.iter().any(|clause| clause.then == Action::Trap)
    }
}

/// A comparison of one argument register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// The low half is the value: for `int` and `unsigned int`, whose high half the kernel ignores.
    Is(u8, u32),
    /// The low half, masked, is the value.
    Masked(u8, u32, u32),
    /// All 64 bits are the value: for pointers and `long`.
    IsLong(u8, u64),
}

/// Part of a condition: the half of a register at `offset` in `struct seccomp_data`, masked, is `value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Half {
    pub(super) offset: u32,
    pub(super) mask: Option<u32>,
    pub(super) value: u32,
}

impl Condition {
    /// What has to hold, one half after the other.
    pub(super) fn halves(self) -> impl DoubleEndedIterator<Item = Half> {
        // `args` begins at byte 16; on what is little-endian the low half comes first.
        let at = |argument: u8| 16 + 8 * u32::from(argument);
        let halves = match self {
            Self::Is(argument, value) => [Some(Half { offset: at(argument), mask: None, value }), None],
            Self::Masked(argument, mask, value) => [Some(Half { offset: at(argument), mask: Some(mask), value }), None],
            Self::IsLong(argument, value) => [(0, value), (4, value >> 32)]
                .map(|(half, value)| Some(Half { offset: at(argument) + half, mask: None, value: low_half(value) })),
        };
        halves.into_iter().flatten()
    }
}

/// An `int` argument that equals `value`, in whichever sign it is written.
pub(super) fn is(argument: u8, value: impl Into<i64>) -> Condition {
    Condition::Is(argument, low(value))
}

/// An argument with none of the bits of `mask`.
pub(super) fn none_of(argument: u8, mask: impl Into<i64>) -> Condition {
    Condition::Masked(argument, low(mask), 0)
}

/// An argument with all of the bits of `mask`.
pub(super) fn all_of(argument: u8, mask: impl Into<i64>) -> Condition {
    let mask = low(mask);
    Condition::Masked(argument, mask, mask)
}

/// An argument whose bits under `mask` are `value`.
pub(super) fn masked(argument: u8, mask: impl Into<i64>, value: impl Into<i64>) -> Condition {
    Condition::Masked(argument, low(mask), low(value))
}

/// A null pointer.
pub(super) fn null(argument: u8) -> Condition {
    Condition::IsLong(argument, 0)
}

/// The low half, as the kernel reads an `int`.
fn low(value: impl Into<i64>) -> u32 {
    low_half(value.into().cast_unsigned())
}

fn low_half(value: u64) -> u32 {
    let bytes = value.to_le_bytes();
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
