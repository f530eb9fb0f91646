//! A terminal of the test's own: askance runs on it, the test reads what is shown and types.

use rexpect::session::{PtySession, spawn_command};

use super::scene::Scene;

/// How long anything expected on the terminal may take.
const PATIENCE_MS: u64 = 20_000;

/// Starts `askance run FLAGS -- program` on a new terminal.
pub fn on_terminal(scene: &Scene, flags: &[&str], program: &[&str]) -> PtySession {
    let mut words = flags.to_vec();
    words.push("--");
    words.extend(program);
    let command = scene.askance().flags(&words).command(&[], None);
    spawn_command(command, Some(PATIENCE_MS)).unwrap()
}

/// Starts a program bare on a new terminal.
pub fn bare_on_terminal(scene: &Scene, program: &[&str]) -> PtySession {
    let command = super::Launch::new(scene, None).command(program, None);
    spawn_command(command, Some(PATIENCE_MS)).unwrap()
}
