//! Level, mode and the grants that last for a session.
//!
//! Owns what runs of one session share, how much each kind of session may start unasked, and the
//! level that the next session begins with. Asks nobody and judges no command.
//!
//! A session with a name is a file that only this user can write, outside of what any sandbox can
//! write; every run of that name shares it, also while it runs. One without a name lives in this
//! process.

mod kind;
mod memory;
mod state;
mod store;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use kind::{Caller, Kind, NoMission};
pub use state::{CommandGrant, Form};
pub use store::Stamp;

use crate::approval::{Authority, Chosen};
use crate::policy::Grant;
use crate::settings::{Approval, AutonomyLevel, InteractionMode, Locations};
use memory::Memory;
use state::State;
use store::Store;

/// What names a session: it becomes a file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

/// Text that names no session.
#[derive(Debug, thiserror::Error)]
#[error("expected 1 to 64 letters, digits, `.`, `_` and `-`, with a letter or a digit first")]
pub struct BadName;

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let good = text.len() <= 64
            && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
            && text.bytes().all(plain);
        if good { Ok(Self(text.to_owned())) } else { Err(BadName) }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A session's state could not be used; nothing runs in it.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("make the directory of sessions {path:?}")]
    Make { path: std::path::PathBuf, source: std::io::Error },
    #[error("{path:?} belongs to user {uid} or is open to others (mode {mode:o}): remove it")]
    Exposed { path: std::path::PathBuf, uid: u32, mode: u32 },
    #[error("read the session {path:?}")]
    Read { path: std::path::PathBuf, source: std::io::Error },
    #[error("write the session {path:?}")]
    Write { path: std::path::PathBuf, source: std::io::Error },
    #[error("the session {path:?} is not well-formed: remove it")]
    Malformed { path: std::path::PathBuf, source: serde_json::Error },
}

/// The span over which a level, a mode and session grants live.
#[derive(Debug)]
pub struct Session {
    kind: Kind,
    shared: Shared,
    memory: Memory,
}

/// Where a session's state is.
#[derive(Debug)]
enum Shared {
    File(Store),
    /// With how often it changed.
    Process(Mutex<(State, u64)>),
}

impl Session {
    /// The session of this name, or a new one that nobody else shares.
    pub fn open(locations: &Locations, name: Option<&Name>, kind: Kind) -> Result<Self, SessionError> {
        let shared = match name {
            Some(name) => Shared::File(Store::open(locations, name)?),
            None => Shared::Process(Mutex::default()),
        };
        let session = Self { kind, shared, memory: Memory::of(locations) };
        // What cannot be read is an error before anything runs by half of it.
        session.state()?;
        Ok(session)
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How much starts unasked: what `chosen` says, else the session, else what was chosen last (where a
    /// person works), else the settings, else `unsaid`; never more than the kind of session may have.
    pub fn authority(
        &self,
        settings: &Approval,
        chosen: Chosen,
        unsaid: AutonomyLevel,
    ) -> Result<Authority, NoMission> {
        let state = self.state().unwrap_or_default();
        let set = settings.autonomy_level.as_ref().map(|set| set.value);
        let usual = || match self.kind {
            Kind::Interactive => self.memory.level(settings).or(set),
            Kind::Exec | Kind::Subagent | Kind::Mission => set,
        };
        let wanted = match self.kind {
            Kind::Interactive | Kind::Exec => chosen.level.or(state.level).or_else(usual).unwrap_or(unsaid),
            Kind::Subagent | Kind::Mission => chosen.level.unwrap_or(AutonomyLevel::High),
        };
        let ceiling = self.kind.ceiling(settings);
        let mode = chosen.mode.or(state.mode).or(settings.interaction_mode.as_ref().map(|mode| mode.value));
        let authority = Authority { level: wanted.min(ceiling), ceiling, mode: mode.unwrap_or(InteractionMode::Auto) };
        self.kind.may_have(authority, settings, &Caller::now())?;
        Ok(authority)
    }

    /// Chooses the level of the session, and of the next one where a person chose it. Returns what the
    /// settings let it be.
    pub fn set_level(&self, settings: &Approval, level: AutonomyLevel) -> Result<AutonomyLevel, SessionError> {
        let level = level.min(self.kind.ceiling(settings));
        self.change(|state| state.level = Some(level))?;
        self.remember(settings, level)?;
        Ok(level)
    }

    /// Remembers a level that a person chose for the sessions after this one.
    pub fn remember(&self, settings: &Approval, level: AutonomyLevel) -> Result<(), SessionError> {
        match self.kind {
            Kind::Interactive => self.memory.keep(settings, level),
            Kind::Exec | Kind::Subagent | Kind::Mission => Ok(()),
        }
    }

    pub fn set_mode(&self, mode: InteractionMode) -> Result<(), SessionError> {
        self.change(|state| state.mode = Some(mode))
    }

    /// Lets every run of the session do this.
    pub fn grant(&self, grant: Grant) -> Result<(), SessionError> {
        self.change(|state| state.grant(grant))
    }

    /// Lets this command start in every run of the session.
    pub fn grant_command(&self, command: CommandGrant) -> Result<(), SessionError> {
        self.change(|state| state.grant_command(command))
    }

    /// What every run of the session may do.
    pub fn grants(&self) -> Vec<Grant> {
        self.state().map(|state| state.grants()).unwrap_or_default()
    }

    /// Was this command allowed for the session?
    pub fn allows_command(&self, command: &CommandGrant) -> bool {
        self.state().is_ok_and(|state| state.allows_command(command))
    }

    /// Another one where something was changed since.
    pub fn stamp(&self) -> Stamp {
        match &self.shared {
            Shared::File(store) => store.stamp(),
            Shared::Process(own) => Stamp::Count(lock(own).1),
        }
    }

    /// The file of a session with a name.
    pub fn file(&self) -> Option<&Path> {
        match &self.shared {
            Shared::File(store) => Some(store.path()),
            Shared::Process(_) => None,
        }
    }

    fn state(&self) -> Result<State, SessionError> {
        match &self.shared {
            Shared::File(store) => store.read(),
            Shared::Process(own) => Ok(lock(own).0.clone()),
        }
    }

    fn change(&self, edit: impl FnOnce(&mut State)) -> Result<(), SessionError> {
        match &self.shared {
            Shared::File(store) => store.change(edit),
            Shared::Process(own) => {
                let mut own = lock(own);
                edit(&mut own.0);
                own.1 += 1;
                Ok(())
            }
        }
    }
}

fn lock(own: &Mutex<(State, u64)>) -> MutexGuard<'_, (State, u64)> {
    own.lock().unwrap_or_else(PoisonError::into_inner)
}
