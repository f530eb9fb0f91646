//! The level that was chosen last, for the next session that a person begins.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use rustix::fs::{CWD, Mode};
use serde::{Deserialize, Serialize};

use super::SessionError;
use crate::settings::replace::{Links, Locked, read_at};
use crate::settings::{Approval, AutonomyLevel, Layer, Locations};

const FILE: &str = "level";

#[derive(Debug)]
pub(super) struct Memory {
    directory: PathBuf,
}

/// A level, and what the settings said when it was chosen: what they say anew counts more.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    level: AutonomyLevel,
    settings: Option<AutonomyLevel>,
}

impl Memory {
    pub(super) fn of(locations: &Locations) -> Self {
        Self { directory: locations.state_directory() }
    }

    /// The level chosen last, as long as the settings say what they said then, and only over the user's
    /// own: a project's, a flag's or the organisation's level is no habit of the user.
    pub(super) fn level(&self, settings: &Approval) -> Option<AutonomyLevel> {
        let set = settings.autonomy_level.as_ref();
        if set.is_some_and(|set| set.source.layer > Layer::User) {
            return None;
        }
        self.read().filter(|remembered| remembered.settings == set.map(|set| set.value)).map(|found| found.level)
    }

    pub(super) fn keep(&self, settings: &Approval, level: AutonomyLevel) -> Result<(), SessionError> {
        let remembered = Remembered { level, settings: settings.autonomy_level.as_ref().map(|set| set.value) };
        if self.read().as_ref() == Some(&remembered) {
            return Ok(());
        }
        let path = self.directory.join(FILE);
        let failed = |source| SessionError::Write { path: path.clone(), source };
        let text = serde_json::to_vec(&remembered).map_err(|error| failed(error.into()))?;
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory).map_err(failed)?;
        let locked = Locked::open(&self.directory, Links::Follow).map_err(failed)?;
        locked.replace(FILE, &text, None, Mode::from_raw_mode(0o600)).map_err(failed)
    }

    /// A memory that cannot be read, or that others could have written, is none.
    fn read(&self) -> Option<Remembered> {
        let content = read_at(CWD, &self.directory.join(FILE), Links::Refuse).ok()??;
        let own = content.uid() == rustix::process::geteuid().as_raw() && !content.writable_by_others();
        own.then(|| serde_json::from_slice(&content.bytes).ok()).flatten()
    }
}
