//! Other people's suites, bare and sandboxed, compared test by test: the quick part of `tests/suites/run`.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;

use support::{skip, unavailable};

#[test]
fn the_quick_part_of_all_suites_is_alike_bare_and_sandboxed() {
    let programs = [
        "python3",
        "git",
        "make",
        "cc",
        "gdb",
        "strace",
        "ssh-keygen",
        "sqlite3",
        "flock",
        "inotifywait",
        "rsync",
        "perl",
        "node",
        "script",
    ];
    if unavailable("suites", &programs) {
        return;
    }
    if !Command::new("/usr/bin/python3").args(["-c", "import test.test_os"]).output().unwrap().status.success() {
        skip("suites", "the test package of /usr/bin/python3 is not installed (libpython3.x-testsuite)");
        return;
    }
    let run = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suites/run");
    let done = Command::new(run).args(["--quick", "--askance", env!("CARGO_BIN_EXE_askance")]).output().unwrap();
    let (table, errors) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{table}\n{errors}");
    assert!(!errors.contains("SKIPPED"), "{errors}");
    assert!(table.contains("| cpython | ") && table.contains("| node | "), "{table}");
}
