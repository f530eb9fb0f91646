//! Answers that last: written to settings files, and settings files that others changed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::journal::Journal;
use crate::policy::{Answer, Place, Places, Policy, Question, Reason};
use crate::settings::{Locations, edit};
use crate::supervisor::Keeper;

use super::places::RealPaths;
use super::{Load, spec};

/// What tells that a file is another than before.
type Stamp = Option<(u64, i64, i64, u64)>;

/// Keeps answers in the settings files of one run's locations.
pub(super) struct SettingsKeeper {
    locations: Locations,
    load: Arc<Load>,
    places: Places,
    journal: Arc<Journal>,
    seen: Mutex<Vec<Stamp>>,
}

impl SettingsKeeper {
    pub(super) fn new(locations: &Locations, load: Arc<Load>, places: Places, journal: Arc<Journal>) -> Self {
        let seen = Mutex::new(stamps(locations));
        Self { locations: locations.clone(), load, places, journal, seen }
    }

    fn file(&self, place: Place) -> PathBuf {
        match place {
            Place::Project => self.locations.local_file(),
            Place::User => self.locations.user_file(),
        }
    }

    fn write(&self, question: &Question, answer: &Answer) -> Result<(), edit::EditError> {
        let place = match answer {
            Answer::Always { place, .. } | Answer::Never { place } => *place,
            Answer::Unlist => return self.unlist(question),
            Answer::Once | Answer::Run | Answer::Session | Answer::Deny => return Ok(()),
        };
        match question.grant(answer) {
            Some(grant) => edit::add(&self.locations, &self.file(place), &grant.list(), &grant.entry).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Takes the deny rule that asked out of the file that it stands in.
    fn unlist(&self, question: &Question) -> Result<(), edit::EditError> {
        let Reason::Denied(rule) = &question.reason else { return Ok(()) };
        let (Some(file), Some((list, entry))) = (&rule.source.file, rule.text.split_once(": ")) else { return Ok(()) };
        let keys: Vec<&str> = list.split('.').collect();
        edit::remove(&self.locations, file, &keys, entry).map(|_| ())
    }
}

impl Keeper for SettingsKeeper {
    fn keep(&self, question: &Question, answer: &Answer) {
        if let Err(error) = self.write(question, answer) {
            let chain = crate::journal::chain(&error);
            self.journal.note(format!("\"{}\" holds for this run only: failed to {chain}", answer.word()));
        }
    }

    fn refresh(&self) -> Option<Policy> {
        let now = stamps(&self.locations);
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if *seen == now {
                return None;
            }
            *seen = now;
        }
        // A file that is broken right now changes nothing: the run goes on by what it knew.
        let mut settings = (self.load)().ok()?;
        if self.places.read_only {
            spec::restrict(&mut settings.sandbox);
        }
        let real = RealPaths::default();
        Policy::compile(&settings.sandbox, self.places.clone(), &|path| real.of(path)).ok()
    }
}

fn stamps(locations: &Locations) -> Vec<Stamp> {
    let own = [locations.user_file(), locations.project_file(), locations.local_file(), locations.organisation.clone()];
    own.iter().map(PathBuf::as_path).chain(locations.folder_files().iter().map(PathBuf::as_path)).map(stamp).collect()
}

fn stamp(path: &Path) -> Stamp {
    fs::metadata(path).ok().map(|found| (found.ino(), found.mtime(), found.mtime_nsec(), found.size()))
}
