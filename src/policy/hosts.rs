//! Lists of remote ends: names, wildcards, addresses, CIDR blocks, each with an optional port.

use std::net::IpAddr;
use std::str::FromStr;

use super::Grant;
use super::access::Host;
use super::addresses::is_public;
use super::lists::{CompileError, Effect, Entry, Match, Problem, Ruling, deciding, entries, weigh};
use super::verdict::Rule;
use crate::settings::{List, Network};

/// What one entry covers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct HostPattern {
    end: End,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// `*`: whatever it is; an allow covers no address that is not public.
    Any,
    Name(String),
    /// Everything beneath the name, not the name itself.
    Beneath(String),
    Block {
        address: IpAddr,
        prefix: u8,
    },
    /// A name that may resolve to this address although it is not public.
    Resolved {
        name: String,
        address: IpAddr,
    },
}

/// The compiled lists of domains and addresses.
#[derive(Debug, Clone)]
pub(super) struct HostLists {
    entries: Vec<(HostPattern, Entry)>,
}

impl HostLists {
    pub(super) fn compile(network: &Network) -> Result<Self, CompileError> {
        let lists = [
            (Effect::Allow, List::AllowedDomains, network.allowed_domains.as_slice()),
            (Effect::Deny, List::DeniedDomains, &network.denied_domains),
            (Effect::Block, List::BlockedDomains, &network.blocked_domains),
        ];
        let mut compiled = Vec::new();
        for (text, entry) in entries(&lists) {
            match parse(text) {
                Ok(pattern) => compiled.push((pattern, entry)),
                Err(problem) => return Err(CompileError { rule: entry.rule, problem }),
            }
        }
        Ok(Self { entries: compiled })
    }

    pub(super) fn add(&mut self, grant: &Grant) -> Result<(), CompileError> {
        let rule = grant.rule();
        match parse(&grant.entry) {
            Ok(pattern) => {
                self.entries.push((pattern, Entry { effect: grant.effect, rule }));
                Ok(())
            }
            Err(problem) => Err(CompileError { rule, problem }),
        }
    }

    fn matches(&self, host: &Host, port: u16) -> Vec<Match<'_>> {
        let found = self.entries.iter().filter_map(|(pattern, entry)| {
            let specificity = pattern.covers(host, port)?;
            let private = matches!(host, Host::Address(address) if !is_public(*address));
            if pattern.end == End::Any && entry.effect == Effect::Allow && private {
                return None;
            }
            Some(Match { entry, specificity, matched_depth: 0 })
        });
        found.collect()
    }

    pub(super) fn rule(&self, host: &Host, port: u16) -> Ruling<'_> {
        weigh(&self.matches(host, port))
    }

    pub(super) fn deciding(&self, host: &Host, port: u16) -> Option<&Rule> {
        deciding(&self.matches(host, port))
    }

    /// Is the target allowed by an entry that names this very port?
    pub(super) fn allows_port(&self, host: &Host, port: u16) -> bool {
        let names_it = |(pattern, entry): &(HostPattern, Entry)| {
            entry.effect == Effect::Allow && pattern.port == Some(port) && pattern.covers(host, port).is_some()
        };
        matches!(self.rule(host, port), Ruling::Allow) && self.entries.iter().any(names_it)
    }

    /// May `name` reach `address`, which is not public? By the address's own rule, or by one that
    /// names both.
    pub(super) fn rule_private(&self, name: &str, address: IpAddr, port: u16) -> Ruling<'_> {
        let mut matches = self.matches(&Host::Address(address), port);
        let both = self.entries.iter().filter_map(|(pattern, entry)| {
            let fits = pattern.port.is_none_or(|only| only == port)
                && matches!(&pattern.end, End::Resolved { name: n, address: a } if n == name && *a == address);
            fits.then_some(Match { entry, specificity: u32::MAX, matched_depth: 0 })
        });
        matches.extend(both);
        weigh(&matches)
    }

    pub(super) fn name_is_allowed(&self, name: &str) -> bool {
        let host = Host::Name(name.to_owned());
        let ports = self.entries.iter().filter_map(|(pattern, _)| pattern.port);
        ports.chain([0]).any(|port| matches!(self.rule(&host, port), Ruling::Allow))
    }
}

impl HostPattern {
    /// How closely the pattern covers the target, if it does.
    fn covers(&self, host: &Host, port: u16) -> Option<u32> {
        if self.port.is_some_and(|only| only != port) {
            return None;
        }
        let closeness = match (&self.end, host) {
            (End::Any, _) => 0,
            (End::Name(name), Host::Name(wanted)) if name == wanted => labels(name) * 4 + 2,
            (End::Beneath(apex), Host::Name(wanted)) if is_beneath(wanted, apex) => labels(apex) * 4,
            (End::Block { address, prefix }, Host::Address(wanted)) if contains(*address, *prefix, *wanted) => {
                u32::from(*prefix) * 4 + 2
            }
            _ => return None,
        };
        Some(closeness + u32::from(self.port.is_some()))
    }
}

fn labels(name: &str) -> u32 {
    u32::try_from(name.split('.').count()).unwrap_or(u32::MAX / 8)
}

fn is_beneath(name: &str, apex: &str) -> bool {
    name.strip_suffix(apex).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

fn contains(block: IpAddr, prefix: u8, address: IpAddr) -> bool {
    let shared = |a: u128, b: u128, width: u32| prefix == 0 || (a ^ b) >> (width - u32::from(prefix)) == 0;
    match (block, address) {
        (IpAddr::V4(block), IpAddr::V4(address)) => {
            shared(u128::from(u32::from(block)), u128::from(u32::from(address)), 32)
        }
        (IpAddr::V6(block), IpAddr::V6(address)) => shared(u128::from(block), u128::from(address), 128),
        _ => false,
    }
}

/// A name as every comparison sees it: lower case, A-labels, no trailing dot.
pub(super) fn normalise_name(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let ascii = idna::domain_to_ascii(name).ok()?.to_ascii_lowercase();
    let plausible = !ascii.is_empty()
        && ascii.len() <= 253
        && ascii.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        });
    plausible.then_some(ascii)
}

fn parse(text: &str) -> Result<HostPattern, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Problem::Empty);
    }
    if let Some((name, rest)) = text.split_once('=') {
        let name = normalise_name(name).ok_or(Problem::Host)?;
        let (address, port) = split_port(rest)?;
        let address = parse_address(address).ok_or(Problem::Host)?;
        return Ok(HostPattern { end: End::Resolved { name, address }, port });
    }
    let (host, port) = split_port(text)?;
    if host == "*" {
        return Ok(HostPattern { end: End::Any, port });
    }
    if let Some(end) = parse_block(host)? {
        return Ok(HostPattern { end, port });
    }
    let end = match host.strip_prefix("*.") {
        Some(apex) => End::Beneath(normalise_name(apex).ok_or(Problem::Host)?),
        None => End::Name(normalise_name(host).ok_or(Problem::Host)?),
    };
    // A name whose last label is a number is an address spelled oddly, never a domain.
    let (End::Name(name) | End::Beneath(name)) = &end else { return Err(Problem::Host) };
    if name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(Problem::Host);
    }
    Ok(HostPattern { end, port })
}

/// `host:port`, `[v6]:port`, or either without a port.
fn split_port(text: &str) -> Result<(&str, Option<u16>), Problem> {
    let port = |digits: &str| match u16::from_str(digits) {
        Ok(port) if port > 0 => Ok(Some(port)),
        _ => Err(Problem::Port),
    };
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or(Problem::Host)?;
        return match rest.strip_prefix(':') {
            Some(digits) => Ok((address, port(digits)?)),
            None if rest.is_empty() => Ok((address, None)),
            None => Err(Problem::Host),
        };
    }
    match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Ok((text, None)),
        Some((host, digits)) => Ok((host, port(digits)?)),
        None => Ok((text, None)),
    }
}

fn parse_address(text: &str) -> Option<IpAddr> {
    IpAddr::from_str(text).ok().map(|address| address.to_canonical())
}

fn parse_block(host: &str) -> Result<Option<End>, Problem> {
    if let Some((address, length)) = host.split_once('/') {
        let address = parse_address(address).ok_or(Problem::Host)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        return match u8::from_str(length) {
            Ok(prefix) if prefix <= width => Ok(Some(End::Block { address, prefix })),
            _ => Err(Problem::Host),
        };
    }
    Ok(parse_address(host).map(|address| End::Block { prefix: if address.is_ipv4() { 32 } else { 128 }, address }))
}
