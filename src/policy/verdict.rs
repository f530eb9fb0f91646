//! The answer to "may this access happen", as values: a permit, a question or a denial.

use std::path::PathBuf;

use super::access::{Operation, Target};
use crate::journal::Finality;
use crate::settings::{AutonomyLevel, List, Source, Text};

/// What `judge` says of one access.
#[derive(Debug)]
pub enum Verdict {
    Allow(Permit),
    Ask(Box<Question>),
    Deny(Denial),
}

/// Proof that one access was judged and may happen. Only judgement makes one; what opens,
/// connects or changes something consumes it.
#[derive(Debug)]
pub struct Permit {
    pub(super) _made_by_judgement: (),
}

impl Permit {
    /// For an object that the process holds open with this very access, and for one that no name
    /// leads to: no list speaks of them.
    pub fn held_already() -> Self {
        Self { _made_by_judgement: () }
    }
}

/// The rule that decided, with where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The list that it stands in; without one `entry` says it all.
    pub list: Option<List>,
    /// As written.
    pub entry: Text,
    pub source: Source,
}

impl Rule {
    /// One that stands in no list.
    pub fn said(text: impl Into<Text>, source: Source) -> Self {
        Self { list: None, entry: text.into(), source }
    }

    /// As messages write it: `sandbox.filesystem.denyRead: ~/.ssh`.
    pub fn text(&self) -> String {
        self.list.map_or_else(|| self.entry.to_string(), |list| [&list.path(), ": ", &self.entry].concat())
    }
}

/// Why a question is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// No list covers the target.
    NotListed,
    /// A deny rule covers it.
    Denied(Rule),
    /// A public name resolved to an address that is not public.
    PrivateAddress,
    /// A command list or an interlock speaks of it.
    Command { rule: Rule, why: String },
    /// The entry in a shared temporary directory is older than the run.
    NotOurs,
}

/// How far an allowed answer reaches beyond the access itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    File,
    Directory,
    Domain,
    Subdomains,
    Port,
    Socket,
    Command,
}

/// Where "always" is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// `.askance/settings.local.json` of the workspace.
    Project,
    User,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Once,
    Run,
    Session,
    Always {
        scope: Scope,
        place: Place,
        /// The directory that [`Scope::Directory`] means; `None` = the target's parent. Must cover the target.
        root: Option<PathBuf>,
    },
    /// Raise the autonomy level of the session to what the question needs.
    Raise {
        level: AutonomyLevel,
    },
    /// Take the user's own deny rule out of the file that it stands in.
    Unlist,
    Deny,
    Never {
        place: Place,
    },
}

/// One access that has to be asked about. Complete but for the process, which the supervisor adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub operation: Operation,
    pub target: Target,
    pub reason: Reason,
    /// Answers that would take effect, in the order they are shown.
    pub offers: Vec<Answer>,
    /// The rule is the organisation's: only denial is possible, and the text says so.
    pub organisation: bool,
}

impl Question {
    /// Turns an answer that lets this one access happen into its permit.
    pub fn permit(&self, answer: &Answer) -> Option<Permit> {
        match answer {
            Answer::Deny | Answer::Never { .. } => None,
            _ if self.organisation => None,
            _ => Some(Permit { _made_by_judgement: () }),
        }
    }

    /// Whether an allow list could undo its refusal: not against the organisation.
    pub fn finality(&self) -> Finality {
        if self.organisation { Finality::Final } else { Finality::Open }
    }

    /// The refusal of the same access, where the answer is known before it is asked again.
    pub fn denial(&self) -> Denial {
        let rule = match &self.reason {
            Reason::Denied(rule) => Some(rule.clone()),
            _ => None,
        };
        let (operation, target) = (self.operation, self.target.clone());
        Denial { operation, target, rule, errno: libc::EACCES, finality: self.finality() }
    }
}

/// An access that is refused without a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    pub operation: Operation,
    pub target: Target,
    pub rule: Option<Rule>,
    /// What the program is told: `EACCES` unless programs cope better with another.
    pub errno: i32,
    pub finality: Finality,
}

impl Reason {
    /// The rule that asks, where one does.
    pub fn rule(&self) -> Option<&Rule> {
        match self {
            Self::Denied(rule) | Self::Command { rule, .. } => Some(rule),
            Self::NotListed | Self::PrivateAddress | Self::NotOurs => None,
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotListed => f.write_str("not listed"),
            Self::Denied(rule) => write!(f, "denied by {}", rule.text()),
            Self::PrivateAddress => f.write_str("the name resolves to an address that is not public"),
            Self::Command { why, .. } => f.write_str(why),
            Self::NotOurs => f.write_str("the entry is older than this run"),
        }
    }
}

impl Answer {
    /// The word of answers files and reports.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Run => "run",
            Self::Session => "session",
            Self::Always { .. } => "always",
            Self::Raise { .. } => "raise",
            Self::Unlist => "unlist",
            Self::Deny => "deny",
            Self::Never { .. } => "never",
        }
    }
}

impl Scope {
    /// The word of answers files and reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Domain => "domain",
            Self::Subdomains => "subdomains",
            Self::Port => "port",
            Self::Socket => "socket",
            Self::Command => "command",
        }
    }
}
