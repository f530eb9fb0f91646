//! Lists of Unix sockets: paths, globs of them, `@abstract` names.

use super::access::UnixName;
use super::links::Links;
use super::lists::{CompileError, Effect, Entry, Match, Problem, Ruling, deciding, entries, weigh};
use super::pattern::{Pattern, parse};
use super::verdict::Rule;
use super::{Grant, Places};
use crate::settings::{List, Network};

#[derive(Debug, Clone)]
enum SocketPattern {
    Path(Pattern),
    Abstract(Vec<u8>),
}

/// The compiled lists of Unix sockets.
#[derive(Debug, Clone)]
pub(super) struct SocketLists {
    entries: Vec<(SocketPattern, Entry)>,
}

impl SocketLists {
    pub(super) fn compile(network: &Network, places: &Places, links: &Links<'_>) -> Result<Self, CompileError> {
        let lists = [
            (Effect::Allow, List::AllowUnixSockets, network.allow_unix_sockets.as_slice()),
            (Effect::Deny, List::DenyUnixSockets, &network.deny_unix_sockets),
            (Effect::Block, List::BlockUnixSockets, &network.block_unix_sockets),
            (Effect::Quiet, List::QuietUnixSockets, &network.quiet_unix_sockets),
        ];
        let mut compiled = Vec::new();
        for (text, entry) in entries(&lists) {
            match parse_socket(text, places) {
                Ok(SocketPattern::Path(Pattern::Literal(path))) => {
                    let meant = links.meant(path, entry.effect).map(|path| SocketPattern::Path(Pattern::Literal(path)));
                    compiled.extend(meant.map(|pattern| (pattern, entry.clone())));
                }
                Ok(pattern) => compiled.push((pattern, entry)),
                Err(problem) => return Err(CompileError { rule: entry.rule, problem }),
            }
        }
        Ok(Self { entries: compiled })
    }

    pub(super) fn add(&mut self, grant: &Grant, places: &Places) -> Result<(), CompileError> {
        let rule = grant.rule();
        match parse_socket(&grant.entry, places) {
            Ok(pattern) => {
                self.entries.push((pattern, Entry { effect: grant.effect, rule }));
                Ok(())
            }
            Err(problem) => Err(CompileError { rule, problem }),
        }
    }

    fn matches(&self, name: &UnixName) -> Vec<Match<'_>> {
        let found = self.entries.iter().filter_map(|(pattern, entry)| {
            let specificity = pattern.covers(name)?;
            Some(Match { entry, specificity, matched_depth: 0 })
        });
        found.collect()
    }

    pub(super) fn rule(&self, name: &UnixName) -> Ruling<'_> {
        weigh(&self.matches(name))
    }

    pub(super) fn deciding(&self, name: &UnixName) -> Option<&Rule> {
        deciding(&self.matches(name))
    }
}

impl SocketPattern {
    fn covers(&self, name: &UnixName) -> Option<u32> {
        let depth = |path: &std::path::Path| u32::try_from(path.components().count()).ok();
        match (self, name) {
            (Self::Path(Pattern::Literal(rule)), UnixName::Path(path)) if path.starts_with(rule) => depth(rule),
            (Self::Path(Pattern::Glob { matcher, .. }), UnixName::Path(path)) if matcher.matches(path) => depth(path),
            (Self::Abstract(rule), UnixName::Abstract(name)) if rule == name => Some(1),
            _ => None,
        }
    }
}

fn parse_socket(text: &str, places: &Places) -> Result<SocketPattern, Problem> {
    if let Some(name) = text.strip_prefix('@') {
        return if name.is_empty() {
            Err(Problem::Empty)
        } else {
            Ok(SocketPattern::Abstract(name.as_bytes().to_vec()))
        };
    }
    match parse(text, places)? {
        Pattern::AnyDepth(_) => Err(Problem::Path),
        pattern => Ok(SocketPattern::Path(pattern)),
    }
}
