//! The lists of strings in a settings file: their keys, what they do, where they live.
//!
//! One table for merging, editing and showing, so that no list is forgotten in one of them.

use super::read::{At, Text};
use super::schema::Document;
use super::{Settings, Sourced};

/// A list of strings in the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum List {
    CommandAllow,
    CommandDeny,
    CommandBlock,
    AllowRead,
    DenyRead,
    BlockRead,
    AllowWrite,
    DenyWrite,
    BlockWrite,
    QuietRead,
    QuietWrite,
    AllowedDomains,
    DeniedDomains,
    BlockedDomains,
    AllowUnixSockets,
    DenyUnixSockets,
    BlockUnixSockets,
    QuietUnixSockets,
    Nameservers,
    EnvAllow,
    EnvRemove,
}

/// What an entry of a list does to the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It can only make the policy stricter: it counts from an untrusted file too.
    Narrows,
    /// It can let something happen, or hide that something was refused.
    Widens,
}

/// What the entries of a list are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    Path,
    Domain,
    UnixSocket,
    Command,
    Nameserver,
    Variable,
}

impl List {
    pub const ALL: [Self; 21] = [
        Self::CommandAllow,
        Self::CommandDeny,
        Self::CommandBlock,
        Self::AllowRead,
        Self::DenyRead,
        Self::BlockRead,
        Self::AllowWrite,
        Self::DenyWrite,
        Self::BlockWrite,
        Self::QuietRead,
        Self::QuietWrite,
        Self::AllowedDomains,
        Self::DeniedDomains,
        Self::BlockedDomains,
        Self::AllowUnixSockets,
        Self::DenyUnixSockets,
        Self::BlockUnixSockets,
        Self::QuietUnixSockets,
        Self::Nameservers,
        Self::EnvAllow,
        Self::EnvRemove,
    ];

    /// The keys that lead to the list from the top of the file.
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Self::CommandAllow => &["commandAllowlist"],
            Self::CommandDeny => &["commandDenylist"],
            Self::CommandBlock => &["commandBlocklist"],
            Self::AllowRead => &["sandbox", "filesystem", "allowRead"],
            Self::DenyRead => &["sandbox", "filesystem", "denyRead"],
            Self::BlockRead => &["sandbox", "filesystem", "blockRead"],
            Self::AllowWrite => &["sandbox", "filesystem", "allowWrite"],
            Self::DenyWrite => &["sandbox", "filesystem", "denyWrite"],
            Self::BlockWrite => &["sandbox", "filesystem", "blockWrite"],
            Self::QuietRead => &["sandbox", "filesystem", "quietRead"],
            Self::QuietWrite => &["sandbox", "filesystem", "quietWrite"],
            Self::AllowedDomains => &["sandbox", "network", "allowedDomains"],
            Self::DeniedDomains => &["sandbox", "network", "deniedDomains"],
            Self::BlockedDomains => &["sandbox", "network", "blockedDomains"],
            Self::AllowUnixSockets => &["sandbox", "network", "allowUnixSockets"],
            Self::DenyUnixSockets => &["sandbox", "network", "denyUnixSockets"],
            Self::BlockUnixSockets => &["sandbox", "network", "blockUnixSockets"],
            Self::QuietUnixSockets => &["sandbox", "network", "quietUnixSockets"],
            Self::Nameservers => &["sandbox", "network", "nameservers"],
            Self::EnvAllow => &["sandbox", "env", "allow"],
            Self::EnvRemove => &["sandbox", "env", "remove"],
        }
    }

    /// The key path as messages write it: `sandbox.filesystem.allowRead`.
    pub fn path(self) -> String {
        self.keys().join(".")
    }

    pub fn effect(self) -> Effect {
        match self {
            Self::CommandDeny
            | Self::CommandBlock
            | Self::DenyRead
            | Self::BlockRead
            | Self::DenyWrite
            | Self::BlockWrite
            | Self::DeniedDomains
            | Self::BlockedDomains
            | Self::DenyUnixSockets
            | Self::BlockUnixSockets => Effect::Narrows,
            _ => Effect::Widens,
        }
    }

    pub fn kind(self) -> EntryKind {
        match self {
            Self::CommandAllow | Self::CommandDeny | Self::CommandBlock => EntryKind::Command,
            Self::AllowedDomains | Self::DeniedDomains | Self::BlockedDomains => EntryKind::Domain,
            Self::AllowUnixSockets | Self::DenyUnixSockets | Self::BlockUnixSockets | Self::QuietUnixSockets => {
                EntryKind::UnixSocket
            }
            Self::Nameservers => EntryKind::Nameserver,
            Self::EnvAllow | Self::EnvRemove => EntryKind::Variable,
            _ => EntryKind::Path,
        }
    }

    /// The list's entries in one file.
    pub fn written(self, document: &Document) -> &[At<Text>] {
        let (files, network) = (&document.sandbox.filesystem, &document.sandbox.network);
        match self {
            Self::CommandAllow => &document.command_allowlist,
            Self::CommandDeny => &document.command_denylist,
            Self::CommandBlock => &document.command_blocklist,
            Self::AllowRead => &files.allow_read,
            Self::DenyRead => &files.deny_read,
            Self::BlockRead => &files.block_read,
            Self::AllowWrite => &files.allow_write,
            Self::DenyWrite => &files.deny_write,
            Self::BlockWrite => &files.block_write,
            Self::QuietRead => &files.quiet_read,
            Self::QuietWrite => &files.quiet_write,
            Self::AllowedDomains => &network.allowed_domains,
            Self::DeniedDomains => &network.denied_domains,
            Self::BlockedDomains => &network.blocked_domains,
            Self::AllowUnixSockets => &network.allow_unix_sockets,
            Self::DenyUnixSockets => &network.deny_unix_sockets,
            Self::BlockUnixSockets => &network.block_unix_sockets,
            Self::QuietUnixSockets => &network.quiet_unix_sockets,
            Self::Nameservers => &network.nameservers,
            Self::EnvAllow => &document.sandbox.env.allow,
            Self::EnvRemove => &document.sandbox.env.remove,
        }
    }

    /// The list's entries of all layers.
    pub fn merged(self, settings: &Settings) -> &[Sourced<Text>] {
        let (files, network) = (&settings.sandbox.filesystem, &settings.sandbox.network);
        match self {
            Self::CommandAllow => &settings.approval.command_allowlist,
            Self::CommandDeny => &settings.approval.command_denylist,
            Self::CommandBlock => &settings.approval.command_blocklist,
            Self::AllowRead => &files.allow_read,
            Self::DenyRead => &files.deny_read,
            Self::BlockRead => &files.block_read,
            Self::AllowWrite => &files.allow_write,
            Self::DenyWrite => &files.deny_write,
            Self::BlockWrite => &files.block_write,
            Self::QuietRead => &files.quiet_read,
            Self::QuietWrite => &files.quiet_write,
            Self::AllowedDomains => &network.allowed_domains,
            Self::DeniedDomains => &network.denied_domains,
            Self::BlockedDomains => &network.blocked_domains,
            Self::AllowUnixSockets => &network.allow_unix_sockets,
            Self::DenyUnixSockets => &network.deny_unix_sockets,
            Self::BlockUnixSockets => &network.block_unix_sockets,
            Self::QuietUnixSockets => &network.quiet_unix_sockets,
            Self::Nameservers => &network.nameservers,
            Self::EnvAllow => &settings.sandbox.env.allow,
            Self::EnvRemove => &settings.sandbox.env.remove,
        }
    }

    pub(super) fn merged_mut(self, settings: &mut Settings) -> &mut Vec<Sourced<Text>> {
        let approval = &mut settings.approval;
        let files = &mut settings.sandbox.filesystem;
        let network = &mut settings.sandbox.network;
        match self {
            Self::CommandAllow => &mut approval.command_allowlist,
            Self::CommandDeny => &mut approval.command_denylist,
            Self::CommandBlock => &mut approval.command_blocklist,
            Self::AllowRead => &mut files.allow_read,
            Self::DenyRead => &mut files.deny_read,
            Self::BlockRead => &mut files.block_read,
            Self::AllowWrite => &mut files.allow_write,
            Self::DenyWrite => &mut files.deny_write,
            Self::BlockWrite => &mut files.block_write,
            Self::QuietRead => &mut files.quiet_read,
            Self::QuietWrite => &mut files.quiet_write,
            Self::AllowedDomains => &mut network.allowed_domains,
            Self::DeniedDomains => &mut network.denied_domains,
            Self::BlockedDomains => &mut network.blocked_domains,
            Self::AllowUnixSockets => &mut network.allow_unix_sockets,
            Self::DenyUnixSockets => &mut network.deny_unix_sockets,
            Self::BlockUnixSockets => &mut network.block_unix_sockets,
            Self::QuietUnixSockets => &mut network.quiet_unix_sockets,
            Self::Nameservers => &mut network.nameservers,
            Self::EnvAllow => &mut settings.sandbox.env.allow,
            Self::EnvRemove => &mut settings.sandbox.env.remove,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::read::read;

    fn nested(keys: &[&str], inner: &str) -> String {
        keys.iter().rev().fold(inner.to_owned(), |inner, key| format!("{{\"{key}\": {inner}}}"))
    }

    #[test]
    fn every_list_is_read_from_its_own_key() {
        for list in List::ALL {
            let text = nested(list.keys(), "[\"/entry\"]");
            let document = read(text.as_bytes()).unwrap();
            for other in List::ALL {
                let expected = usize::from(other == list);
                assert_eq!(other.written(&document).len(), expected, "{list:?} in {other:?}");
            }
        }
    }

    #[test]
    fn merged_and_merged_mut_name_the_same_list() {
        for list in List::ALL {
            let mut settings = Settings::default();
            let source = crate::settings::Source::from(crate::settings::Layer::User);
            list.merged_mut(&mut settings).push(Sourced { value: "x".into(), source });
            assert_eq!(list.merged(&settings).len(), 1, "{list:?}");
        }
    }
}
