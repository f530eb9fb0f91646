//! `askance doctor`: what this kernel offers, and what the lack of the rest costs.

use std::fmt::Write as _;

use super::args::{DoctorArgs, Format};
use super::{FAILED, Outcome, print};
use crate::sandbox::features::{self, Features};

pub(super) fn run(args: &DoctorArgs) -> Outcome {
    let features = features::probe();
    let text = match args.output {
        Format::Text => as_text(&features),
        Format::Json => format!("{:#}\n", serde_json::to_value(&features)?),
    };
    print(&text)?;
    Ok(if features.suffice() { 0 } else { FAILED })
}

fn as_text(features: &Features) -> String {
    let there = |there: bool| if there { "yes" } else { "no" };
    let rows = [
        ("Landlock ABI", features.landlock_abi.to_string()),
        ("Landlock errata fixed", format!("{:#b}", features.landlock_errata)),
        ("user notification", there(features.user_notification).to_owned()),
        ("uninterrupted waiting", there(features.wait_killable).to_owned()),
        ("synchronous wake-up", there(features.sync_wake_up).to_owned()),
        ("descriptors in one step", there(features.addfd_send).to_owned()),
        ("pidfd_getfd", there(features.pidfd_getfd).to_owned()),
        ("supervised already", there(features.supervised).to_owned()),
        ("control groups", there(features.control_groups).to_owned()),
    ];
    let mut text = String::new();
    for (name, value) in rows {
        let _ = writeln!(text, "{name:<24} {value}");
    }
    for missing in &features.missing {
        let weight = if missing.required { "missing, and required" } else { "missing" };
        let _ = writeln!(text, "\n{weight}: {}\n  {}", missing.feature, missing.cost);
    }
    let _ = writeln!(text, "\n{}", if features.suffice() { "askance can run here" } else { "askance cannot run here" });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_with_its_cost() {
        let mut features = features::probe();
        features.missing = vec![features::Missing { feature: "a thing", cost: "it hurts", required: true }];
        let text = as_text(&features);
        assert!(text.contains("missing, and required: a thing\n  it hurts\n"), "{text}");
        assert!(text.ends_with("askance cannot run here\n"), "{text}");
        features.missing.clear();
        assert!(as_text(&features).ends_with("askance can run here\n"));
    }
}
