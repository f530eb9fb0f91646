//! Small languages inside arguments: what their programs could do.

pub(super) mod awk;
pub(super) mod find;
pub(super) mod git;
pub(super) mod one_liner;
pub(super) mod sed;
