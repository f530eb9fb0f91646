//! `askance profiles`: what there is, and what each adds.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::args::{Format, ProfilesArgs};
use super::{Outcome, layers, print, report, visible};
use crate::settings::profile::{self, Profile};
use crate::settings::{List, Locations, registries, scalars_of};

pub(super) fn run(args: &ProfilesArgs) -> Outcome {
    let locations = layers::locations(None, None)?;
    let text = match &args.profile {
        Some(name) => {
            let profile = profile::find(name, &locations)?;
            match args.output {
                Format::Text => explained(&profile, &locations),
                Format::Json => format!("{:#}\n", explained_as_json(&profile, &locations)),
            }
        }
        None => listed(&locations, args.output),
    };
    print(&text)?;
    Ok(0)
}

/// Every profile with its description; one that cannot be used is reported and left out.
fn listed(locations: &Locations, output: Format) -> String {
    let mut usable = Vec::new();
    for profile in profile::all(locations) {
        match profile {
            Ok(profile) => usable.push(profile),
            Err(error) => report(&error),
        }
    }
    match output {
        Format::Text => usable.iter().fold(String::new(), |mut text, profile| {
            let _ = writeln!(text, "{:<10} {}", visible(&profile.name), visible(&profile.description));
            text
        }),
        Format::Json => {
            let rows = usable.iter().map(
                |profile| json!({ "name": profile.name, "description": profile.description, "file": profile.file }),
            );
            format!("{:#}\n", Value::Array(rows.collect()))
        }
    }
}

fn explained(profile: &Profile, locations: &Locations) -> String {
    let file = visible(&profile.file.to_string_lossy());
    let mut text = format!("{} ({file})\n{}\n", visible(&profile.name), visible(&profile.description));
    for (key, value) in rows(profile) {
        let _ = writeln!(text, "  {key}: {}", visible(&value.to_string()));
    }
    for at in &profile.document.sandbox.network.package_registries {
        let manager = at.value.word();
        let domains: Vec<String> = registries::domains(at.value, locations).into_iter().collect();
        let now = if domains.is_empty() { "none that it names now".to_owned() } else { domains.join(", ") };
        let _ = writeln!(text, "  the registries of {manager}, as it is configured when the profile is used: {now}");
    }
    if profile.name == "default" {
        text.push_str("  `askance settings defaults` prints it\n");
    }
    text
}

fn explained_as_json(profile: &Profile, locations: &Locations) -> Value {
    let adds = rows(profile).into_iter().map(|(key, value)| json!({ "key": key, "value": value }));
    let managers = &profile.document.sandbox.network.package_registries;
    let registries =
        managers.iter().map(|at| json!({ "manager": at.value, "domains": registries::domains(at.value, locations) }));
    json!({
        "name": profile.name,
        "description": profile.description,
        "file": profile.file,
        "adds": adds.collect::<Vec<_>>(),
        "registries": registries.collect::<Vec<_>>(),
    })
}

fn rows(profile: &Profile) -> Vec<(String, Value)> {
    let scalars = scalars_of(&profile.document).into_iter();
    let scalars = scalars.filter(|shown| shown.key != "sandbox.network.packageRegistries");
    let mut rows: Vec<(String, Value)> = scalars.map(|shown| (shown.key, shown.value)).collect();
    for list in List::ALL {
        let entries = list.written(&profile.document).iter();
        rows.extend(entries.map(|at| (list.path(), json!(at.value))));
    }
    rows
}
