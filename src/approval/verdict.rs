//! What approval answers, as values: risk, level, decision, and the reason for each.

use std::path::PathBuf;

use crate::policy::Rule;
use crate::settings::AutonomyLevel;

/// What a request could do, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Risk {
    ReadOnly,
    Low,
    Medium,
    High,
}

impl Risk {
    /// The word of the settings, the data files and the JSON output.
    pub fn word(self) -> &'static str {
        match self {
            Risk::ReadOnly => "read-only",
            Risk::Low => "low",
            Risk::Medium => "medium",
            Risk::High => "high",
        }
    }

    pub fn from_word(word: &str) -> Option<Risk> {
        [Risk::ReadOnly, Risk::Low, Risk::Medium, Risk::High].into_iter().find(|risk| risk.word() == word)
    }

    /// The lowest level at which a request of this risk runs without a question.
    pub fn level(self) -> AutonomyLevel {
        match self {
            Risk::ReadOnly => AutonomyLevel::Off,
            Risk::Low => AutonomyLevel::Low,
            Risk::Medium => AutonomyLevel::Medium,
            Risk::High => AutonomyLevel::High,
        }
    }
}

/// May it start?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    Allow,
    Ask,
    Refuse,
}

impl Decision {
    pub fn word(self) -> &'static str {
        match self {
            Decision::Allow => "allow",
            Decision::Ask => "ask",
            Decision::Refuse => "refuse",
        }
    }
}

/// Which step of the order of judgement decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ground {
    Blocklist,
    SpecMode,
    Denylist,
    Interlock,
    Allowlist,
    Risk,
    /// A blocking hook, which sees the request before.
    Hook,
}

/// One simple command of a request and what it could do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The words as far as they are known; `…` stands for what only the run will know.
    pub argv: Vec<String>,
    pub risk: Risk,
    pub why: String,
    /// How it is reached from the request: `$(…)`, `bash -c`, `xargs`, outermost first. Empty for a command of the request itself.
    pub via: Vec<String>,
}

/// A command of a request that a rule speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoken {
    pub argv: Vec<String>,
    /// Where it would start, if that is known.
    pub cwd: Option<PathBuf>,
}

/// The whole answer to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub decision: Decision,
    pub ground: Ground,
    /// What was held against the level: the higher of assessed and declared, or low for an allowlisted request.
    pub risk: Risk,
    pub assessed_risk: Risk,
    pub declared_risk: Option<Risk>,
    /// Some of it cannot be known before it runs.
    pub undecidable: bool,
    pub reason: String,
    pub rule: Option<Rule>,
    pub commands: Vec<Finding>,
    /// The command that the deny rule or interlock speaks of, where all of it is known.
    pub spoken: Option<Spoken>,
    /// The words of each command that would have to be on the allow list; empty where that would not
    /// be enough.
    pub coverable: Vec<Vec<String>>,
    /// The request is read-only because Git runs no program that its repository configures:
    /// the run has to add `QUIET` to its environment.
    pub quiet_git: bool,
}

impl Verdict {
    /// May "raise the level" be offered for this question?
    pub fn level_decides(&self) -> bool {
        self.ground == Ground::Risk
    }

    /// The form of `askance check -o json` and of `decision` in a report.
    pub fn to_json(&self) -> serde_json::Value {
        let commands: Vec<_> = self
            .commands
            .iter()
            .map(|found| {
                serde_json::json!({
                    "argv": found.argv,
                    "risk": found.risk.word(),
                    "why": found.why,
                    "via": found.via,
                })
            })
            .collect();
        serde_json::json!({
            "verdict": self.decision.word(),
            "risk": self.risk.word(),
            "assessed_risk": self.assessed_risk.word(),
            "declared_risk": self.declared_risk.map(Risk::word),
            "undecidable": self.undecidable,
            "reason": self.reason,
            "rule": self.rule.as_ref().map(|rule| serde_json::json!({ "text": rule.text(), "source": rule.source.to_string() })),
            "commands": commands,
        })
    }
}
