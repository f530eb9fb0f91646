//! Everything that a request is judged by, made once: what `askance check` and `askance hook` have in common.

use std::path::Path;

use super::approval::{BadSession, chosen, session};
use super::flags::{ApprovalFlags, PolicyFlags};
use super::layers;
use crate::approval::{
    self, Authority, BadPattern, Host, KnownTool, McpCall, McpRules, McpVerdict, Request, Risk, Rules, Subject, Verdict,
};
use crate::policy::{self, Access, Change, NothingYet, Policy};
use crate::run::{self, RunError};
use crate::session::{Kind, NoMission};
use crate::settings::{AutonomyLevel, Locations, Settings};

/// A request could not be judged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JudgingError {
    #[error(transparent)]
    Layers(Box<layers::LayersError>),
    #[error(transparent)]
    Policy(Box<RunError>),
    #[error(transparent)]
    Pattern(#[from] BadPattern),
    #[error(transparent)]
    Session(#[from] BadSession),
    #[error(transparent)]
    NoMission(#[from] NoMission),
}

/// The lists and places of a run that would start now.
pub(super) struct Bench {
    pub(super) locations: Locations,
    settings: Settings,
    rules: Rules,
    pub(super) policy: Policy,
    authority: Authority,
}

impl Bench {
    /// As `exec` would have it: where nobody says anything only read-only commands run unasked.
    pub(super) fn new(flags: &PolicyFlags, approval: &ApprovalFlags) -> Result<Self, JudgingError> {
        let (locations, settings) = layers::load(flags).map_err(|error| JudgingError::Layers(Box::new(error)))?;
        let lists = &settings.approval;
        let rules = Rules::new(&lists.command_blocklist, &lists.command_denylist, &lists.command_allowlist)?;
        let policy = run::foresee(&locations, &settings).map_err(|error| JudgingError::Policy(Box::new(error)))?;
        let session = session(approval, &locations, Kind::Exec)?;
        let authority = session.authority(lists, chosen(approval), AutonomyLevel::Off)?;
        Ok(Self { locations, settings, rules, policy, authority })
    }

    pub(super) fn authority(&self) -> Authority {
        self.authority
    }

    fn host(&self) -> Host<'_> {
        let writable = |path: &Path| {
            let verdict = self.policy.judge(&Access::Write(path, Change::Existing), &NothingYet);
            matches!(verdict, policy::Verdict::Allow(_))
        };
        Host::new(std::env::var_os("PATH").unwrap_or_default(), self.locations.cwd.clone(), writable)
    }

    pub(super) fn command(&self, subject: Subject<'_>, declared: Option<Risk>) -> Verdict {
        let request = Request {
            subject,
            cwd: &self.locations.cwd,
            workspace: &self.locations.workspace,
            home: Some(&self.locations.home),
            declared,
        };
        approval::judge(&self.rules, &request, self.authority, &self.host())
    }

    /// A call of another server's tool.
    pub(super) fn mcp(&self, call: &McpCall, declared: Option<Risk>) -> McpVerdict {
        self.with_rules(|rules| approval::judge_mcp(call, declared, rules, self.authority))
    }

    /// A call of an agent's own tool.
    pub(super) fn tool(&self, tool: &KnownTool<'_>) -> McpVerdict {
        self.with_rules(|rules| approval::judge_known(tool, rules, self.authority))
    }

    fn with_rules(&self, judge: impl FnOnce(&McpRules<'_>) -> McpVerdict) -> McpVerdict {
        judge(&McpRules {
            overrides: &self.settings.approval.mcp_autonomy_overrides,
            policy: &self.policy,
            facts: &NothingYet,
            surroundings: &self.host(),
            cwd: &self.locations.cwd,
            workspace: &self.locations.workspace,
            home: &self.locations.home,
        })
    }
}
