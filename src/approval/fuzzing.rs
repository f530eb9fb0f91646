//! What holds for any shell text: checked with random input by the tests and by `fuzz/`.

use std::path::{Path, PathBuf};

use super::{Authority, Decision, Request, Rules, Subject, Surroundings, judge};
use crate::settings::{AutonomyLevel, InteractionMode, Layer, Source, Sourced};

/// A machine on which every program is installed and nothing is special.
struct Plain;

impl Surroundings for Plain {
    fn find_program(&self, name: &str) -> Option<PathBuf> {
        Some(Path::new("/usr/bin").join(name))
    }
    fn sandbox_may_write(&self, path: &Path) -> bool {
        path.starts_with("/w")
    }
    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        Some(path.to_owned())
    }
    fn is_mount_point(&self, _: &Path) -> bool {
        false
    }
    fn is_block_device(&self, _: &Path) -> bool {
        false
    }
    fn repository_runs(&self, _: &Path) -> Option<String> {
        None
    }
}

/// Any bytes as a command line: judged without a panic, alike each time, and never more freely at a lower
/// level or with a rule that forbids.
pub fn shell(text: &[u8]) {
    let request = Request {
        subject: Subject::Shell(text),
        cwd: Path::new("/w"),
        workspace: Path::new("/w"),
        home: Some(Path::new("/home/u")),
        declared: None,
    };
    let decide = |rules: &Rules, level| {
        let authority = Authority { level, ceiling: AutonomyLevel::High, mode: InteractionMode::Auto };
        judge(rules, &request, authority, &Plain).decision
    };
    let none = Rules::default();
    let low = decide(&none, AutonomyLevel::Off);
    let high = decide(&none, AutonomyLevel::High);
    assert_eq!(high, decide(&none, AutonomyLevel::High), "judged in two ways");
    assert!(low != Decision::Allow || high == Decision::Allow, "more runs at a lower level");
    let source = Source::from(Layer::User);
    let everything = [Sourced { value: "*".into(), source }];
    if let Ok(forbidding) = Rules::new(&everything, &[], &[]) {
        assert!(decide(&forbidding, AutonomyLevel::High) != Decision::Allow || high == Decision::Allow);
    }
}

#[cfg(test)]
#[test]
fn any_input_at_all() {
    crate::sys::fuzzing::drive("shell", shell);
}
