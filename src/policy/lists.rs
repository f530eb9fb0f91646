//! What the lists of every kind of target share: effects, provenance, precedence.

use std::path::PathBuf;

use super::verdict::Rule;
use crate::settings::{Layer, List, Sourced, Text};

/// What a list does with what it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// A silent yes.
    Allow,
    /// Always asks.
    Deny,
    /// A silent no.
    Block,
    /// A no that is neither asked nor worth a line: programs cope.
    Quiet,
}

/// An entry of a list that means nothing.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{rule}: {problem}", rule = .rule.text())]
pub struct CompileError {
    pub rule: Rule,
    pub problem: Problem,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("is empty")]
    Empty,
    #[error("is not a path, a glob or a `**/` pattern")]
    Path,
    #[error("is not a domain, `*.domain`, an address or a CIDR block, with an optional `:port`")]
    Host,
    #[error("names a port that is not between 1 and 65535")]
    Port,
}

/// One list: what it does, which it is, what it holds.
pub(super) type Listing<'a> = (Effect, List, &'a [Sourced<Text>]);

/// Every entry with its effect and its rule, in the order in which they were written.
pub(super) fn entries<'a>(lists: &[Listing<'a>]) -> impl Iterator<Item = (&'a str, Entry)> {
    lists.iter().flat_map(|&(effect, list, entries)| {
        entries.iter().map(move |entry| {
            let rule = Rule { list: Some(list), entry: entry.value.clone(), source: entry.source.clone() };
            (&*entry.value, Entry { effect, rule })
        })
    })
}

/// One compiled entry: what it does, who wrote it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) effect: Effect,
    pub(super) rule: Rule,
}

/// An entry that covers a target, and how closely it does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Match<'a> {
    pub(super) entry: &'a Entry,
    /// Larger is closer; comparable only between matches of one target.
    pub(super) specificity: u32,
    /// The ancestor of a path that the entry's pattern matched.
    pub(super) matched_depth: usize,
}

/// What the lists say of a target.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ruling<'a> {
    Allow,
    Deny(Standing<'a>),
    Block(Standing<'a>),
    Quiet(Standing<'a>),
    Unlisted,
}

/// The rule that decided, with how deep in the path it matched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing<'a> {
    pub(super) rule: &'a Rule,
    pub(super) depth: usize,
}

/// What a repository made by the run frees beneath a deny rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relief {
    pub(super) git_dir: PathBuf,
    /// Not a hook that Git would execute.
    pub(super) harmless: bool,
}

impl Standing<'_> {
    /// If the rule speaks of a repository's `config` or `hooks`, what the repository is and
    /// whether this path in it is one that Git does not execute.
    pub(super) fn repository_relief(&self, path: &std::path::Path) -> Option<Relief> {
        use std::os::unix::ffi::OsStrExt;
        let components: Vec<_> = path.components().collect();
        let matched = components.get(..self.depth.min(components.len()))?;
        let part = matched.last()?.as_os_str().as_bytes();
        let above = &matched[..matched.len() - 1];
        let at = above.iter().rposition(|component| component.as_os_str() == ".git")?;
        // A submodule's repository, `.git/modules/NAME`, is born with the one that it is in.
        if above.get(at + 1).is_some_and(|within| within.as_os_str() != "modules") {
            return None;
        }
        let git_dir = above[..=at].iter().collect();
        let harmless = match part {
            b"hooks" => components.len() == self.depth || path.extension().is_some_and(|end| end == "sample"),
            _ => true,
        };
        Some(Relief { git_dir, harmless })
    }
}

/// How closely an entry that matched this many components covers a path.
pub(super) fn specificity(depth: usize) -> u32 {
    u32::try_from(depth).unwrap_or(u32::MAX)
}

/// Holds the matches of one target against each other: a block stands; a deny stands unless an
/// allow is at least as specific *and* comes from the same or a higher layer.
pub(super) fn weigh<'a>(matches: &[Match<'a>]) -> Ruling<'a> {
    let of = |effect: Effect| matches.iter().filter(move |found| found.entry.effect == effect);
    let closest = |effect: Effect| of(effect).max_by_key(|found| (found.specificity, layer(found)));
    if let Some(block) = closest(Effect::Block) {
        return Ruling::Block(standing(block));
    }
    let outweighed =
        |no: &Match<'_>| of(Effect::Allow).any(|yes| yes.specificity >= no.specificity && layer(yes) >= layer(no));
    let deny = of(Effect::Deny).filter(|no| !outweighed(no)).max_by_key(|no| (layer(no), no.specificity));
    let allow = closest(Effect::Allow);
    // Quiet stands in the place of a question, never of a yes, and not of one that a higher layer wants.
    let asks = deny.is_some() || allow.is_none();
    let hushes = |quiet: &&Match<'_>| deny.is_none_or(|deny| layer(quiet) >= layer(deny));
    if let Some(quiet) = closest(Effect::Quiet).filter(hushes)
        && asks
    {
        return Ruling::Quiet(standing(quiet));
    }
    if let Some(deny) = deny {
        return Ruling::Deny(standing(deny));
    }
    match allow {
        Some(_) => Ruling::Allow,
        None => Ruling::Unlisted,
    }
}

/// The rule to name when somebody asks why.
pub(super) fn deciding<'a>(matches: &[Match<'a>]) -> Option<&'a Rule> {
    match weigh(matches) {
        Ruling::Allow => matches
            .iter()
            .filter(|found| found.entry.effect == Effect::Allow)
            .max_by_key(|found| (found.specificity, layer(found)))
            .map(|found| &found.entry.rule),
        Ruling::Deny(found) | Ruling::Block(found) | Ruling::Quiet(found) => Some(found.rule),
        Ruling::Unlisted => None,
    }
}

fn layer(found: &Match<'_>) -> Layer {
    found.entry.rule.source.layer
}

fn standing<'a>(found: &Match<'a>) -> Standing<'a> {
    Standing { rule: &found.entry.rule, depth: found.matched_depth }
}
