//! The kinds of session, and what each of them may have.

use nix::unistd::Uid;

use crate::approval::Authority;
use crate::settings::{Approval, AutonomyLevel, users};

/// Who works in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A person, who is there to answer.
    Interactive,
    /// A program that runs single commands.
    Exec,
    /// An agent that another agent started: asks for high, gets at most `subagentAutonomyLevel`.
    Subagent,
    /// Long, unattended work: needs high, and `missionPolicy` says who may.
    Mission,
}

/// A mission that may not begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoMission {
    #[error("a mission needs level high, and this one may have {} ({origin})", .level.word())]
    NeedsHigh { level: AutonomyLevel, origin: String },
    #[error("missionPolicy.restrictedAccess is on, and missionPolicy.allowedUserIds does not name {0}")]
    NotAllowed(String),
}

/// The user who runs askance, as `missionPolicy.allowedUserIds` may name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub uid: u32,
    pub name: Option<String>,
}

impl Caller {
    /// By the real user id: what `sudo` and set-user-ID programs change counts, variables do not.
    pub fn now() -> Self {
        let uid = Uid::current();
        Self { uid: uid.as_raw(), name: None }
    }

    fn is_named(&self, ids: &[&str]) -> bool {
        // The user database is asked only where a list could name somebody by name.
        let number = self.uid.to_string();
        if ids.contains(&number.as_str()) {
            return true;
        }
        let found = || users::find(self.uid).map(|user| user.name);
        ids.iter().any(|id| id.parse::<u32>().is_err())
            && self.name.clone().or_else(found).is_some_and(|name| ids.contains(&name.as_str()))
    }
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Interactive, Self::Exec, Self::Subagent, Self::Mission];

    /// The word of flags, variables and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Exec => "exec",
            Self::Subagent => "subagent",
            Self::Mission => "mission",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// The highest level that a session of this kind can have, whoever asks for it.
    pub fn ceiling(self, settings: &Approval) -> AutonomyLevel {
        let most = settings.max_autonomy_level.as_ref().map_or(AutonomyLevel::High, |most| most.value);
        let subagents = settings.subagent_autonomy_level.as_ref().map_or(AutonomyLevel::High, |most| most.value);
        match self {
            Self::Subagent => most.min(subagents),
            Self::Interactive | Self::Exec | Self::Mission => most,
        }
    }

    /// Only a mission can be refused as a whole.
    pub(super) fn may_have(self, authority: Authority, settings: &Approval, caller: &Caller) -> Result<(), NoMission> {
        if self != Self::Mission {
            return Ok(());
        }
        let policy = &settings.mission_policy;
        let allowed: Vec<&str> = policy.allowed_user_ids.iter().map(|id| &*id.value).collect();
        if policy.restricted_access && !caller.is_named(&allowed) {
            let name = caller.name.clone().unwrap_or_else(|| format!("user id {}", caller.uid));
            return Err(NoMission::NotAllowed(name));
        }
        if authority.level < AutonomyLevel::High {
            let clamp = settings.max_autonomy_level.as_ref().filter(|most| most.value == authority.level);
            let origin = clamp.map_or_else(|| "--auto".to_owned(), |most| format!("maxAutonomyLevel, {}", most.source));
            return Err(NoMission::NeedsHigh { level: authority.level, origin });
        }
        Ok(())
    }
}
