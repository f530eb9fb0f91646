//! Tools and kernel features that a test needs: what is missing is said aloud, and fails where `CI=true`.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

static SKIPPED: AtomicU32 = AtomicU32::new(0);

/// Says that something was not tested and why; a failure where everything has to be there.
pub fn skip(what: &str, why: &str) {
    forbidden(what, why);
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{what}: {why}, and CI=true");
}

/// As [`skip`], for what a machine may well forbid, also one that everything was installed on.
pub fn forbidden(what: &str, why: &str) {
    let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    // Past the test harness's capture: a skipped test must be seen without `--nocapture`.
    let line = format!("SKIPPED: {what}: {why} ({count} in this file)\n");
    let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), line.as_bytes());
}

/// Whether a program stands on the tests' own `PATH`.
pub fn have_command(name: &str) -> bool {
    super::command::PATH.split(':').any(|dir| Path::new(dir).join(name).exists())
}

/// Names the first of `programs` that is missing after saying so aloud: `if unavailable("…", &["curl"]) { return; }`.
pub fn unavailable(what: &str, programs: &[&str]) -> bool {
    match programs.iter().find(|name| !have_command(name)) {
        Some(name) => {
            skip(what, &format!("{name} is not installed"));
            true
        }
        None => false,
    }
}
