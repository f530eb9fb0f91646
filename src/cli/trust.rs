//! `askance trust`: look at what a repository's settings would widen, then let it count.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};

use super::args::TrustArgs;
use super::{Outcome, layers, print, visible};
use crate::settings::trust::{self, Trust};
use crate::settings::{self, Document, List, Locations, list, load};

/// Nothing was trusted.
#[derive(Debug, thiserror::Error)]
enum TrustError {
    #[error("{path:?} does not exist")]
    Missing { path: PathBuf },
    #[error("{path:?} is not a settings file of this workspace: it would never be read")]
    Elsewhere { path: PathBuf },
    #[error("find {path:?}")]
    Find { path: PathBuf, source: io::Error },
    #[error("nobody can be asked here: look at the files, then run `askance trust --yes`")]
    NobodyToAsk(#[source] io::Error),
}

pub(super) fn run(args: &TrustArgs) -> Outcome {
    let locations = layers::locations(args.workspace.as_deref(), None)?;
    if args.list {
        return show(&locations);
    }
    let files = match args.files.as_slice() {
        [] => all(&locations),
        named => named.iter().map(|file| named_here(file, &locations)).collect::<Result<_, _>>()?,
    };
    if args.revoke {
        return revoke(&locations, &files);
    }
    let known = Trust::read(&locations)?;
    let mut said = 0;
    for file in files {
        let Some((document, content)) = load::open(&file)? else {
            return match args.files.as_slice() {
                [] => continue,
                _ => Err(TrustError::Missing { path: file }.into()),
            };
        };
        if !args.files.is_empty() && !all(&locations).contains(&file) && !is_settings_file(&file) {
            return Err(TrustError::Elsewhere { path: file }.into());
        }
        if !settings::widens(&document) || known.covers(&file, &content) {
            continue;
        }
        said += 1;
        let name = visible(&file.to_string_lossy());
        if !args.yes && !confirmed(&name, &document)? {
            print(&format!("{name}: not trusted\n"))?;
            continue;
        }
        trust::remember(&locations, &file, &content)?;
        print(&format!("{name}: trusted as it is now\n"))?;
    }
    if said == 0 {
        print("nothing here needs trust\n")?;
    }
    Ok(0)
}

/// The files that count here, of a kind that needs trust.
fn all(locations: &Locations) -> Vec<PathBuf> {
    let mut files = locations.folder_files();
    files.extend([locations.local_file(), locations.project_file()]);
    files
}

/// Folder settings are trusted from anywhere, before somebody works in that folder.
fn is_settings_file(file: &Path) -> bool {
    file.ends_with(".askance/settings.json") || file.ends_with(".askance/settings.local.json")
}

/// The file by the name that it counts under here, where `.askance` is a link too.
fn named_here(file: &Path, locations: &Locations) -> Result<PathBuf, TrustError> {
    let named = real(file)?;
    let here = all(locations).into_iter().find(|here| real(here).is_ok_and(|real| real == named));
    Ok(here.unwrap_or(named))
}

/// The file as settings name it: its directory real, its own name as it stands.
fn real(file: &Path) -> Result<PathBuf, TrustError> {
    let failed = |source| TrustError::Find { path: file.to_owned(), source };
    let absolute = std::path::absolute(file).map_err(failed)?;
    let (Some(directory), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(TrustError::Elsewhere { path: absolute });
    };
    // A directory that is gone can still be revoked by its name.
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    Ok(directory.join(name))
}

fn show(locations: &Locations) -> Outcome {
    let mut text = String::new();
    for (file, fingerprint) in Trust::read(locations)?.files() {
        let state = match load::open(file) {
            Ok(Some((_, content))) if trust::Fingerprint::of(&content) == fingerprint => "as it is",
            Ok(Some(_)) => "changed since: not trusted",
            Ok(None) => "gone",
            Err(_) => "malformed or unreadable",
        };
        let _ = writeln!(text, "{}  ({state})", visible(&file.to_string_lossy()));
    }
    print(&text)?;
    Ok(0)
}

fn revoke(locations: &Locations, files: &[PathBuf]) -> Outcome {
    let mut status = 0;
    for file in files {
        let name = visible(&file.to_string_lossy());
        if trust::revoke(locations, file)? {
            print(&format!("{name}: no longer trusted\n"))?;
        } else {
            eprintln!("askance: {name} was not trusted");
            status = 1;
        }
    }
    Ok(status)
}

/// Shows what would count and asks on the terminal.
fn confirmed(name: &str, document: &Document) -> Result<bool, TrustError> {
    let mut text = format!("{name} would add:\n");
    for row in widening(document) {
        let _ = writeln!(text, "  {row}");
    }
    text.push_str("Trust this file as it is now? [y/N] ");
    let ask = || -> io::Result<bool> {
        let mut terminal = std::fs::File::options().read(true).write(true).open("/dev/tty")?;
        if !terminal.is_terminal() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        terminal.write_all(text.as_bytes())?;
        // What was typed before the question is no answer to it.
        rustix::termios::tcflush(&terminal, rustix::termios::QueueSelector::IFlush)?;
        let mut answer = String::new();
        BufReader::new(terminal).read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    };
    ask().map_err(TrustError::NobodyToAsk)
}

/// What counts only with trust, one row each.
fn widening(document: &Document) -> Vec<String> {
    let mut rows = Vec::new();
    for list in List::ALL.into_iter().filter(|list| list.effect() == list::Effect::Widens) {
        for at in list.written(document) {
            rows.push(format!("{}: {}", list.path(), visible(&at.value)));
        }
    }
    for shown in settings::scalars_of(document) {
        rows.push(format!("{}: {}", shown.key, visible(&shown.value.to_string())));
    }
    rows
}
