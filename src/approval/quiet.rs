//! What a read-only run switches off in Git.

/// Configuration to add to the environment of a read-only run, so that Git runs nothing that the repository names:
/// hooks and the file-system monitor. (Drivers for diffs and filters cannot be switched off so; a repository that
/// configures any makes the request more than read-only.)
pub const QUIET: [(&str, &str); 2] = [("core.fsmonitor", "false"), ("core.hooksPath", "/dev/null")];
