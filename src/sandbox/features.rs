//! What this kernel offers, and what the lack of the rest costs.

use crate::sys;

/// Does the kernel keep a domain's signals inside (Landlock ABI 6)?
pub(super) fn scopes_signals() -> bool {
    sys::landlock::abi() >= 6
}
