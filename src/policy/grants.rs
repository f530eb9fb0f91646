//! From a question to the answers it offers, and from an answer to the entry that it adds.

use std::net::IpAddr;
use std::path::Path;

use super::access::{Access, Host, Operation, Target, UnixName};
use super::glob::escape;
use super::lists::Effect;
use super::verdict::{Answer, Place, Question, Reason, Rule, Scope};
use crate::settings::{Layer, Source};

/// One entry that an answer adds to a list: for this run, this session, or a settings file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub operation: Operation,
    pub effect: Effect,
    /// In the syntax of settings files.
    pub entry: String,
}

impl Grant {
    /// What `askance why` calls it.
    pub(super) fn rule(&self) -> Rule {
        let origin = match self.effect {
            Effect::Allow => "granted during the run",
            _ => "refused during the run",
        };
        Rule::said([origin, ": ", &self.entry].concat(), Source::from(Layer::Runtime))
    }

    /// The list of settings files that the entry belongs to, from the root object.
    pub fn list(&self) -> Vec<&'static str> {
        if self.operation == Operation::Command {
            return vec![match self.effect {
                Effect::Allow => "commandAllowlist",
                Effect::Deny => "commandDenylist",
                _ => "commandBlocklist",
            }];
        }
        let (group, key) = match (self.operation, self.effect) {
            (Operation::Read, Effect::Allow) => ("filesystem", "allowRead"),
            (Operation::Read, Effect::Deny) => ("filesystem", "denyRead"),
            (Operation::Read, _) => ("filesystem", "blockRead"),
            (Operation::Write, Effect::Allow) => ("filesystem", "allowWrite"),
            (Operation::Write, Effect::Deny) => ("filesystem", "denyWrite"),
            (Operation::Write, _) => ("filesystem", "blockWrite"),
            (Operation::Unix, Effect::Allow) => ("network", "allowUnixSockets"),
            (Operation::Unix, Effect::Deny) => ("network", "denyUnixSockets"),
            (Operation::Unix, _) => ("network", "blockUnixSockets"),
            (_, Effect::Allow) => ("network", "allowedDomains"),
            (_, Effect::Deny) => ("network", "deniedDomains"),
            (_, _) => ("network", "blockedDomains"),
        };
        vec!["sandbox", group, key]
    }
}

impl Question {
    /// The access that raised the question, to be judged again after the lists changed.
    pub fn access(&self) -> Access<'_> {
        match (&self.target, self.operation) {
            (Target::Path(path), Operation::Read) => Access::Read(path),
            (Target::Path(path), _) => Access::Write(path, super::Change::Existing),
            (Target::Host { host, port }, _) => Access::Connect { host, port: *port },
            (Target::Resolved { name, address, port }, _) => {
                Access::PrivateResult { name, address: *address, port: *port }
            }
            (Target::Socket(address), _) => Access::Bind(*address),
            (Target::Unix(name), _) => Access::Unix(name),
            (Target::Command(argv), _) => Access::Command(argv),
        }
    }

    /// May this argument vector start, although `rule` speaks of it? Only for now: a rule that
    /// always asks cannot be answered away.
    pub fn command(argv: Vec<String>, rule: Rule, reason: String) -> Self {
        Self {
            operation: Operation::Command,
            target: Target::Command(argv),
            organisation: false,
            offers: vec![Answer::Once, Answer::Run, Answer::Deny],
            reason: Reason::Command { rule, why: reason },
        }
    }

    /// One more answer, before "deny".
    pub fn offer(&mut self, answer: Answer) {
        self.offers.insert(self.offers.len().saturating_sub(1), answer);
    }

    /// Allowing the command for good, where that takes effect.
    pub fn offer_always_command(&mut self) {
        for place in [Place::Project, Place::User] {
            self.offer(Answer::Always { scope: Scope::Command, place, root: None });
        }
    }

    /// What an answer adds, or `None` where it lasts no longer than the access (or cannot be
    /// written down, such as a path that is not UTF-8).
    pub fn grant(&self, answer: &Answer) -> Option<Grant> {
        let (effect, scope) = match answer {
            Answer::Once | Answer::Deny | Answer::Unlist | Answer::Raise { .. } => return None,
            Answer::Run | Answer::Session => (Effect::Allow, self.narrowest()),
            Answer::Always { scope, .. } => (Effect::Allow, *scope),
            Answer::Never { .. } => (Effect::Block, self.narrowest()),
        };
        let entry = match (answer, &self.target) {
            (Answer::Always { scope: Scope::Directory, root: Some(root), .. }, Target::Path(path))
                if path.starts_with(root) =>
            {
                utf8(root)?
            }
            _ => entry(&self.target, scope)?,
        };
        Some(Grant { operation: self.operation, effect, entry })
    }

    fn narrowest(&self) -> Scope {
        match self.target {
            Target::Path(_) => Scope::File,
            Target::Host { .. } | Target::Resolved { .. } | Target::Socket(_) => Scope::Port,
            Target::Unix(_) => Scope::Socket,
            Target::Command(_) => Scope::Command,
        }
    }
}

/// The entry of a list that covers `target` as far as `scope` says.
pub(super) fn entry(target: &Target, scope: Scope) -> Option<String> {
    match (target, scope) {
        (Target::Path(path), Scope::Directory) => utf8(path.parent().unwrap_or(path)),
        (Target::Path(path), _) => utf8(path),
        (Target::Host { host, port }, Scope::Port) => Some(format!("{host}:{port}")),
        (Target::Host { host: Host::Name(name), .. }, Scope::Subdomains) => {
            registrable(name).map(|domain| format!("*.{domain}"))
        }
        (Target::Host { host: Host::Name(name), .. }, _) => Some(name.clone()),
        (Target::Host { host: Host::Address(address), .. }, _) => Some(address.to_string()),
        (Target::Resolved { name, address, .. }, Scope::Domain) => Some(format!("{name}={address}")),
        (Target::Resolved { name, address: IpAddr::V4(v4), port }, _) => Some(format!("{name}={v4}:{port}")),
        (Target::Resolved { name, address: IpAddr::V6(v6), port }, _) => Some(format!("{name}=[{v6}]:{port}")),
        (Target::Socket(address), _) => Some(address.to_string()),
        (Target::Unix(UnixName::Path(path)), _) => utf8(path),
        (Target::Unix(UnixName::Abstract(name)), _) => {
            String::from_utf8(name.clone()).ok().map(|name| format!("@{name}"))
        }
        (Target::Command(argv), _) => Some(argv.join(" ")),
    }
}

fn utf8(path: &Path) -> Option<String> {
    path.to_str().map(|_| escape(path))
}

/// The domain somebody registered: the public suffix and one label.
fn registrable(name: &str) -> Option<String> {
    let domain = psl::domain_str(name)?;
    Some(domain.to_owned())
}

/// The question that an access raises, with the answers that would take effect.
pub(super) fn question(access: &Access<'_>, reason: Reason, organisation: bool) -> Question {
    let operation = access.operation();
    let target = access.target();
    let offers = if organisation { vec![Answer::Deny] } else { offers(&target, &reason) };
    Question { operation, target, reason, offers, organisation }
}

fn offers(target: &Target, reason: &Reason) -> Vec<Answer> {
    let mut offers = vec![Answer::Once, Answer::Run, Answer::Session];
    let scopes: &[Scope] = match target {
        Target::Path(path) if path.to_str().is_none() => &[],
        Target::Path(_) => &[Scope::File, Scope::Directory],
        Target::Host { host: Host::Name(name), .. } if registrable(name).is_some_and(|domain| domain != *name) => {
            &[Scope::Domain, Scope::Subdomains, Scope::Port]
        }
        Target::Host { .. } | Target::Resolved { .. } => &[Scope::Domain, Scope::Port],
        Target::Unix(_) => &[Scope::Socket],
        Target::Socket(_) | Target::Command(_) => &[],
    };
    let above = match reason {
        Reason::Denied(rule) => rule.source.layer,
        _ => Layer::Default,
    };
    for &scope in scopes {
        if matches!(reason, Reason::Denied(_)) && scope == Scope::Directory && denies_whole(target, reason) {
            continue;
        }
        for (place, layer) in [(Place::Project, Layer::Project), (Place::User, Layer::User)] {
            if layer >= above {
                offers.push(Answer::Always { scope, place, root: None });
            }
        }
    }
    if let Reason::Denied(rule) = reason
        && rule.source.layer == Layer::User
    {
        offers.push(Answer::Unlist);
    }
    offers.push(Answer::Deny);
    if !scopes.is_empty() {
        offers.extend([Answer::Never { place: Place::Project }, Answer::Never { place: Place::User }]);
    }
    offers
}

/// Would allowing the directory be less specific than the rule that denies the target?
fn denies_whole(target: &Target, reason: &Reason) -> bool {
    let (Target::Path(path), Reason::Denied(rule)) = (target, reason) else { return false };
    // The deny rule names the file itself: its directory's entry would be shorter and lose.
    path.file_name().is_some_and(|name| rule.entry.ends_with(&*name.to_string_lossy()))
}
