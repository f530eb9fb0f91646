//! The flags of approval, read the same way by every subcommand that judges a request.

use super::args::ApprovalFlags;
use crate::approval::{Chosen, Risk};
use crate::settings::InteractionMode;

/// A flag that names no risk.
#[derive(Debug, thiserror::Error)]
#[error("--risk {0:?}: expected read-only, low, medium or high")]
pub(crate) struct BadRisk(String);

/// The level and mode that the flags choose.
pub(super) fn chosen(flags: &ApprovalFlags) -> Chosen {
    Chosen { level: flags.auto, mode: flags.spec.then_some(InteractionMode::Spec) }
}

/// The risk that the caller declares, and why.
pub(super) fn declared(flags: &ApprovalFlags) -> Result<Option<(Risk, String)>, BadRisk> {
    let Some(word) = &flags.risk else { return Ok(None) };
    let risk = Risk::from_word(word).ok_or_else(|| BadRisk(word.clone()))?;
    Ok(Some((risk, flags.reason.clone().unwrap_or_default())))
}
