//! Real containers: `tests/containers/run` with this build's executable. Minutes, root, podman and the archive that apt
//! uses: runs where it is named, `cargo test --test containers`. Many machines allow no containers, so lacking them is no
//! failure with `CI=true` either.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;

use support::{forbidden, have_command};

/// The script's exit status where the machine can start no container.
const NO_CONTAINERS: i32 = 77;

#[test]
fn the_main_scenarios_pass_in_containers() {
    if let Some(missing) = ["podman", "crun", "debootstrap", "unshare"].iter().find(|name| !have_command(name)) {
        forbidden("containers", &format!("{missing} is not installed"));
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        forbidden("containers", "not root");
        return;
    }
    let run = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/containers/run");
    let done = Command::new(run).arg(env!("CARGO_BIN_EXE_askance")).output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    if done.status.code() == Some(NO_CONTAINERS) {
        forbidden("containers", said.trim());
        return;
    }
    assert!(done.status.success(), "{said}\n{errors}");
    for passed in ["default: passed (connected)", "strict: passed (refused)", "flagged: passed (connected)"] {
        assert!(said.contains(passed), "{said}\n{errors}");
    }
}
