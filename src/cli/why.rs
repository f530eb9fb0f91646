//! `askance why`: what a run that started now would say to an access, and by which rule.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::path::PathBuf;

use serde_json::json;

use super::args::{AccessKind, Format, WhyArgs};
use super::settings::origin;
use super::target::{self, TargetError};
use super::{Outcome, layers, print, visible};
use crate::journal::Finality;
use crate::policy::{Access, Change, Host, NothingYet, Reason, Rule, Target, UnixName, Verdict};
use crate::run;
use crate::settings::Locations;

/// The port that a connection without one is judged by.
const USUAL_PORT: u16 = 443;

pub(super) fn run(args: &WhyArgs) -> Outcome {
    let (locations, settings) = layers::load(&args.policy)?;
    let policy = run::foresee(&locations, &settings)?;
    let target = Asked::read(args.access, &args.target, &locations)?;
    let access = target.access();
    let explained = Explained {
        operation: access.operation().word(),
        target: access.target(),
        rule: policy.deciding_rule(&access),
        verdict: policy.judge(&access, &NothingYet),
    };
    print(&match args.output {
        Format::Text => explained.text(),
        Format::Json => explained.json(),
    })?;
    Ok(0)
}

/// What was asked about, owned.
enum Asked {
    Read(PathBuf),
    Write(PathBuf, Change),
    Connect { host: Host, port: u16 },
    Unix(UnixName),
}

impl Asked {
    fn read(kind: AccessKind, target: &OsStr, locations: &Locations) -> Result<Self, TargetError> {
        Ok(match kind {
            AccessKind::Read => Self::Read(target::real_path(target, locations)?),
            AccessKind::Write => {
                let path = target::real_path(target, locations)?;
                let exists = path.symlink_metadata().is_ok();
                let change = if exists { Change::Existing } else { Change::Create };
                Self::Write(path, change)
            }
            AccessKind::Connect => {
                let text = target::domain(target::utf8(target)?)?;
                let (host, port) = split(&text).ok_or(TargetError::Unfit {
                    target: text.clone(),
                    expected: "one domain or address, with an optional `:port`",
                })?;
                Self::Connect { host, port: port.unwrap_or(USUAL_PORT) }
            }
            AccessKind::Unix => match target.as_encoded_bytes().strip_prefix(b"@") {
                Some(name) => Self::Unix(UnixName::Abstract(name.to_vec())),
                None => Self::Unix(UnixName::Path(target::real_path(target, locations)?)),
            },
        })
    }

    fn access(&self) -> Access<'_> {
        match self {
            Self::Read(path) => Access::Read(path),
            Self::Write(path, change) => Access::Write(path, *change),
            Self::Connect { host, port } => Access::Connect { host, port: *port },
            Self::Unix(name) => Access::Unix(name),
        }
    }
}

/// A single remote end of a normalised entry; `None` for wildcards, blocks and pairs.
fn split(text: &str) -> Option<(Host, Option<u16>)> {
    if text.contains(['*', '/', '=']) {
        return None;
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((Host::Address(address.to_canonical()), None));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (text, None),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let host = match bare.parse::<IpAddr>() {
        Ok(address) => Host::Address(address.to_canonical()),
        Err(_) => Host::Name(bare.to_owned()),
    };
    Some((host, port))
}

struct Explained {
    operation: &'static str,
    target: Target,
    verdict: Verdict,
    /// The rule that decided; `None` where no list covers the target.
    rule: Option<Rule>,
}

impl Explained {
    fn verdict(&self) -> &'static str {
        match self.verdict {
            Verdict::Allow(_) => "allow",
            Verdict::Ask(_) => "ask",
            Verdict::Deny(_) => "deny",
        }
    }

    fn because(&self) -> &'static str {
        match &self.verdict {
            Verdict::Allow(_) if self.rule.is_none() => "what a run creates here is its own",
            Verdict::Allow(_) => "an allow rule covers it",
            Verdict::Deny(denial) if denial.finality == Finality::Quiet => {
                "refused without a question: programs do without it"
            }
            Verdict::Deny(_) => "a block rule covers it",
            Verdict::Ask(question) if question.organisation => {
                "a deny rule covers it (organisation policy): every answer but no is out of reach"
            }
            Verdict::Ask(question) => match question.reason {
                Reason::NotListed => "no list covers it",
                Reason::Denied(_) => "a deny rule covers it",
                Reason::PrivateAddress => "a public name leads to an address that is not public",
                Reason::Command { .. } => "a command rule speaks of it",
                Reason::NotOurs => "it lies in a shared temporary directory and is older than the run",
            },
        }
    }

    fn text(&self) -> String {
        let target = visible(&self.target.to_string());
        let mut text = format!("{}: {} {target}\n  {}\n", self.verdict(), self.operation, self.because());
        if let Some(rule) = &self.rule {
            text.push_str(&format!("  {}  ({})\n", visible(&rule.text()), origin(&rule.source)));
        }
        text
    }

    fn json(&self) -> String {
        let rule = self.rule.as_ref().map(|rule| {
            let source = &rule.source;
            json!({ "text": rule.text(), "layer": source.layer, "file": source.file, "line": source.line })
        });
        let value = json!({
            "operation": self.operation,
            "target": self.target.to_string(),
            "verdict": self.verdict(),
            "reason": self.because(),
            "rule": rule,
        });
        format!("{value:#}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_ends_are_split_into_host_and_port() {
        let name = |text: &str| Host::Name(text.to_owned());
        let address = |text: &str| Host::Address(text.parse().unwrap());
        let table = [
            ("example.com", Some((name("example.com"), None))),
            ("example.com:8443", Some((name("example.com"), Some(8443)))),
            ("10.0.0.1:80", Some((address("10.0.0.1"), Some(80)))),
            ("::1", Some((address("::1"), None))),
            ("[::1]:80", Some((address("::1"), Some(80)))),
            ("*.example.com", None),
            ("10.0.0.0/8", None),
        ];
        for (text, expected) in table {
            assert_eq!(split(text), expected, "{text}");
        }
    }
}
