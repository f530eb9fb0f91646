//! The trap: a seccomp filter, compiled from the policy, that refuses what no sandboxed program
//! needs and sends every call that could cross the floor to the supervisor.
//!
//! Owns the program and the table it comes from. It decides by registers alone and looks at no
//! memory; whatever it does not name is let through to the floor.

mod calls;
mod compile;
mod rows;

use std::fmt;

use crate::sys::seccomp::Instruction;

/// The newest system call number that this release has reviewed. Above it: `ENOSYS`.
pub const NEWEST_REVIEWED: u32 = 469;

/// What the policy needs trapped beyond what is always trapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilterPlan {
    /// Opens for reading alone; off where everything may be read.
    pub trap_reads: bool,
    /// `execve` and `execveat`.
    pub trap_exec: bool,
    /// `recvfrom` with a source pointer, `recvmsg` and `recvmmsg`: DNS answers of a stub that
    /// could not bind port 53.
    pub trap_receives: bool,
    /// The kill family; needed where Landlock has no signal scope.
    pub trap_signals: bool,
}

/// Why the filter could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// The kernel takes at most 4,096 instructions.
    #[error("compile the system call filter: {length} instructions are too many")]
    TooLong { length: usize },
}

/// A compiled filter, ready to be installed.
#[derive(Clone)]
pub struct Filter {
    program: Vec<Instruction>,
}

impl Filter {
    pub fn compile(plan: FilterPlan) -> Result<Self, FilterError> {
        let program = compile::program(&calls::rows(plan))?;
        Ok(Self { program })
    }

    /// Instructions in the kernel's layout.
    pub fn program(&self) -> &[Instruction] {
        &self.program
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").field("instructions", &self.program.len()).finish()
    }
}

/// Can some plan's filter send system call `nr` to the supervisor?
pub fn trapped(nr: i64) -> bool {
    let everything = FilterPlan { trap_reads: true, trap_exec: true, trap_receives: true, trap_signals: true };
    calls::rows(everything).iter().any(|row| row.nr == nr && row.traps())
}

#[cfg(test)]
mod tests;
