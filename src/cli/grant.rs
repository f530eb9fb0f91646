//! `askance allow`, `deny`, `block` and `forget`: one entry, in one file, said out loud.
//!
//! What a target means is `target`'s, the lists themselves are `settings`', and what they cover is `policy`'s.

use std::path::{Path, PathBuf};

use super::args::{ForgetArgs, GrantArgs, PlaceFlags, Subject};
use super::target::{below_workspace, comparable, normal, spellings};
use super::{Outcome, layers, print, visible};
use crate::settings::edit::{self, Change};
use crate::settings::{List, Locations, load};

/// What is done with the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Allow,
    Deny,
    Block,
}

/// Adds the target to the list of the verb, and takes it out of the two others of the same file:
/// what was said last counts.
pub(crate) fn add(verb: Verb, args: &GrantArgs) -> Outcome {
    let locations = layers::locations(args.workspace.as_deref(), None)?;
    let mut text = normal(args.subject, &args.target, &locations)?;
    if args.place.project && matches!(args.subject, Subject::Read | Subject::Write) {
        text = below_workspace(&text, &locations);
    }
    let file = place(args.place, &locations);
    let list = list(verb, args.subject);
    let mut said = String::new();
    for other in lists(args.subject).into_iter().filter(|other| *other != list) {
        for written in standing(&file, other, args.subject, std::slice::from_ref(&text), &locations)? {
            edit::remove(&locations, &file, other.keys(), &written)?;
            said.push_str(&line("removed from", other, &written, &file));
        }
    }
    let done = match edit::add(&locations, &file, list.keys(), &text)? {
        Change::Made => "added to",
        Change::None => "already in",
    };
    said.push_str(&line(done, list, &text, &file));
    print(&said)?;
    Ok(0)
}

/// Removes the target from every list that it stands in. Exit status 1 if that is none.
pub(crate) fn forget(args: &ForgetArgs) -> Outcome {
    let locations = layers::locations(args.workspace.as_deref(), None)?;
    let wanted = spellings(args.subject, &args.target, &locations)?;
    let files = match args.place {
        PlaceFlags { user: false, project: false, local: false } => {
            let mut files = locations.folder_files();
            files.extend([locations.local_file(), locations.project_file(), locations.user_file()]);
            files
        }
        one => vec![place(one, &locations)],
    };
    let mut said = String::new();
    for file in files {
        for list in lists(args.subject) {
            for written in standing(&file, list, args.subject, &wanted, &locations)? {
                edit::remove(&locations, &file, list.keys(), &written)?;
                said.push_str(&line("removed from", list, &written, &file));
            }
        }
    }
    if said.is_empty() {
        eprintln!("askance: {} stands in no list", visible(&wanted[0]));
        return Ok(1);
    }
    print(&said)?;
    Ok(0)
}

fn line(done: &str, list: List, text: &str, file: &Path) -> String {
    let (text, file) = (visible(text), visible(&file.to_string_lossy()));
    format!("{text}: {done} {} in {file}\n", list.path())
}

fn place(flags: PlaceFlags, locations: &Locations) -> PathBuf {
    match flags {
        PlaceFlags { user: true, .. } => locations.user_file(),
        PlaceFlags { project: true, .. } => locations.project_file(),
        _ => locations.local_file(),
    }
}

fn list(verb: Verb, subject: Subject) -> List {
    let [allow, deny, block] = lists(subject);
    match verb {
        Verb::Allow => allow,
        Verb::Deny => deny,
        Verb::Block => block,
    }
}

/// The allow, deny and block list of a subject.
fn lists(subject: Subject) -> [List; 3] {
    match subject {
        Subject::Read => [List::AllowRead, List::DenyRead, List::BlockRead],
        Subject::Write => [List::AllowWrite, List::DenyWrite, List::BlockWrite],
        Subject::Domain => [List::AllowedDomains, List::DeniedDomains, List::BlockedDomains],
        Subject::Unix => [List::AllowUnixSockets, List::DenyUnixSockets, List::BlockUnixSockets],
        Subject::Command => [List::CommandAllow, List::CommandDeny, List::CommandBlock],
    }
}

/// The entries of a list in a file that mean one of the targets, as they are written there.
fn standing(
    file: &Path,
    list: List,
    subject: Subject,
    wanted: &[String],
    locations: &Locations,
) -> Result<Vec<String>, load::SettingsError> {
    let wanted: Vec<String> = wanted.iter().map(|text| comparable(subject, text, locations)).collect();
    let Some((document, _)) = load::open(file)? else { return Ok(Vec::new()) };
    let entries = list.written(&document).iter().map(|at| &at.value);
    let meant = entries.filter(|text| wanted.contains(&comparable(subject, text, locations)));
    let mut meant: Vec<String> = meant.map(|entry| entry.to_string()).collect();
    meant.dedup();
    Ok(meant)
}
