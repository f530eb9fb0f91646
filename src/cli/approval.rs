//! The flags of approval, read the same way by every subcommand that judges a request.

use super::flags::ApprovalFlags;
use crate::approval::{Chosen, Risk};
use crate::session::{BadName, Kind, Name, Session, SessionError};
use crate::settings::{InteractionMode, Locations};

/// The session, where `--session` does not name it.
const SESSION_VARIABLE: &str = "ASKANCE_SESSION";

/// The kind of session, where `--kind` does not say it.
const KIND_VARIABLE: &str = "ASKANCE_KIND";

/// Flags or variables that make no session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadSession {
    #[error("{SESSION_VARIABLE} {text:?}: {source}")]
    Name { text: String, source: BadName },
    #[error("{KIND_VARIABLE} {0:?}: expected interactive, exec, subagent or mission")]
    Kind(String),
    #[error("--kind {}: {KIND_VARIABLE} says subagent, and what a subagent starts is one", .0.word())]
    StaysSubagent(Kind),
    #[error(transparent)]
    State(#[from] SessionError),
}

/// A flag that names no risk.
#[derive(Debug, thiserror::Error)]
#[error("--risk {0:?}: expected read-only, low, medium or high")]
pub(crate) struct BadRisk(String);

/// The level and mode that the flags choose.
pub(super) fn chosen(flags: &ApprovalFlags) -> Chosen {
    Chosen { level: flags.auto, mode: flags.spec.then_some(InteractionMode::Spec) }
}

/// The session that the flags and variables name; of the `usual` kind where nobody says one.
pub(super) fn session(flags: &ApprovalFlags, locations: &Locations, usual: Kind) -> Result<Session, BadSession> {
    let inherited =
        variable(KIND_VARIABLE).map(|word| Kind::from_word(&word).ok_or(BadSession::Kind(word))).transpose()?;
    let kind = match (flags.kind, inherited) {
        (Some(said), Some(Kind::Subagent)) if said != Kind::Subagent => return Err(BadSession::StaysSubagent(said)),
        (said, inherited) => said.or(inherited).unwrap_or(usual),
    };
    let named = match (&flags.session, variable(SESSION_VARIABLE)) {
        (Some(name), _) => Some(name.clone()),
        (None, Some(text)) => Some(text.parse::<Name>().map_err(|source| BadSession::Name { text, source })?),
        (None, None) => None,
    };
    Ok(Session::open(locations, named.as_ref(), kind)?)
}

fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()).filter(|value| !value.is_empty())
}

/// The risk that the caller declares, and why.
pub(super) fn declared(flags: &ApprovalFlags) -> Result<Option<(Risk, String)>, BadRisk> {
    let Some(word) = &flags.risk else { return Ok(None) };
    let risk = Risk::from_word(word).ok_or_else(|| BadRisk(word.clone()))?;
    Ok(Some((risk, flags.reason.clone().unwrap_or_default())))
}
