//! What the machine's own files say about names: `/etc/resolv.conf`, `/etc/hosts`, its host name.
//!
//! Owns reading them, anew when they change, and the synthetic files that the sandbox sees instead.

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::names::{normalise, within};

/// The resolver's settings, as `man 5 resolv.conf` reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolv {
    /// At most three, in the order to ask them; never empty.
    pub(super) nameservers: Vec<IpAddr>,
    /// Normalised, in order.
    pub(super) search: Vec<String>,
    /// The file has a search list without a usable name in it: there is no default one either.
    no_search: bool,
    pub(super) timeout: Duration,
    pub(super) attempts: u32,
}

impl Resolv {
    /// What libc takes of each keyword; what it does not know is skipped, as it does.
    pub(super) fn parse(text: &[u8], host_name: &str) -> Self {
        let mut nameservers = Vec::new();
        let mut search: Option<Vec<String>> = None;
        let (mut timeout, mut attempts) = (5, 2);
        for line in String::from_utf8_lossy(text).lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_whitespace();
            match words.next() {
                // An address with a zone (`fe80::1%eth0`) cannot be asked by the upstream client.
                Some("nameserver") => {
                    nameservers.extend(words.next().and_then(|a| a.parse::<IpAddr>().ok()));
                }
                Some("domain") => search = Some(words.take(1).flat_map(normalise).collect()),
                Some("search") => search = Some(words.flat_map(normalise).collect()),
                Some("options") => {
                    for word in words {
                        let number = |prefix| word.strip_prefix(prefix)?.parse::<u32>().ok();
                        timeout = number("timeout:").map_or(timeout, |n| n.clamp(1, 30));
                        attempts = number("attempts:").map_or(attempts, |n| n.clamp(1, 5));
                    }
                }
                _ => {}
            }
        }
        nameservers.truncate(3);
        if nameservers.is_empty() {
            nameservers.push(Ipv4Addr::LOCALHOST.into());
        }
        let no_search = search.as_ref().is_some_and(Vec::is_empty);
        Self {
            nameservers,
            search: search.unwrap_or_else(|| default_search(host_name)),
            no_search,
            timeout: Duration::from_secs(timeout.into()),
            attempts,
        }
    }

    /// The file that the sandbox sees: everything is asked of `nameserver`.
    pub(super) fn synthetic(&self, nameserver: Ipv4Addr) -> Vec<u8> {
        let mut text = format!("nameserver {nameserver}\n");
        if !self.search.is_empty() {
            text.push_str(&format!("search {}\n", self.search.join(" ")));
        } else if self.no_search {
            text.push_str("search .\n");
        }
        text.push_str("options ndots:1\n");
        text.into_bytes()
    }
}

/// Without `search` and `domain`, the domain of the machine's own name.
fn default_search(host_name: &str) -> Vec<String> {
    host_name.split_once('.').and_then(|(_, domain)| normalise(domain).ok()).into_iter().collect()
}

/// `/etc/hosts`, seen from here: real names and addresses, and which names are the machine itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hosts {
    by_name: HashMap<String, Vec<IpAddr>>,
    /// The host name and what stands beside it in the file.
    own: Vec<String>,
    /// The lines with loopback addresses, without comments.
    loopback: Vec<String>,
}

impl Hosts {
    pub(super) fn parse(text: &[u8], host_name: &str) -> Self {
        let mut hosts = Self { own: own_names(host_name), ..Self::default() };
        let short = hosts.own.clone();
        for line in String::from_utf8_lossy(text).lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else {
                continue;
            };
            let on_line: Vec<String> = words.flat_map(normalise).collect();
            if on_line.is_empty() {
                continue;
            }
            if address.is_loopback() {
                hosts.loopback.push(format!("{address}\t{}", on_line.join(" ")));
            } else if on_line.iter().any(|name| short.contains(name)) {
                for name in &on_line {
                    if !hosts.own.contains(name) {
                        hosts.own.push(name.clone());
                    }
                }
            }
            for name in on_line {
                let addresses = hosts.by_name.entry(name).or_default();
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        hosts
    }

    /// The file's addresses for a normalised name, in its order.
    pub(super) fn addresses(&self, name: &str) -> Option<&[IpAddr]> {
        self.by_name.get(name).map(Vec::as_slice)
    }

    /// The loopback addresses of a name that means this machine: these need no stand-in, for a
    /// connection to them is judged by address and port.
    pub(super) fn loopback(&self, name: &str) -> Option<Vec<IpAddr>> {
        if let Some(addresses) = self.addresses(name)
            && addresses.iter().all(IpAddr::is_loopback)
        {
            return Some(addresses.to_vec());
        }
        let usual = within(name, "localhost")
            || matches!(name, "localhost.localdomain" | "ip6-localhost" | "ip6-loopback")
            || self.own.iter().any(|own| own == name);
        let v4 = IpAddr::from(Ipv4Addr::LOCALHOST);
        let v6 = IpAddr::from(Ipv6Addr::LOCALHOST);
        usual.then(|| if name.starts_with("ip6-") { vec![v6] } else { vec![v4, v6] })
    }

    /// The file that the sandbox sees: loopback lines alone, so that other names reach the stub.
    pub(super) fn synthetic(&self) -> Vec<u8> {
        let mut lines = self.loopback.clone();
        let listed = |lines: &[String], name: &str| {
            lines.iter().any(|line| line.split_whitespace().skip(1).any(|word| word == name))
        };
        if !listed(&lines, "localhost") {
            lines.insert(0, "127.0.0.1\tlocalhost".to_owned());
        }
        let missing: Vec<&str> = self.own.iter().map(String::as_str).filter(|name| !listed(&lines, name)).collect();
        if !missing.is_empty() {
            lines.push(format!("127.0.0.1\t{}", missing.join(" ")));
        }
        let mut text = lines.join("\n");
        text.push('\n');
        text.into_bytes()
    }
}

/// The host name as it is and, where it has a domain, its first label.
fn own_names(host_name: &str) -> Vec<String> {
    let Ok(full) = normalise(host_name) else { return Vec::new() };
    match full.split_once('.') {
        Some((short, _)) if normalise(short).is_ok() => {
            let short = short.to_owned();
            vec![full, short]
        }
        _ => vec![full],
    }
}

/// A file's parsed content, read again when the file was replaced or changed.
#[derive(Debug)]
struct Watched<T> {
    path: PathBuf,
    /// Device, inode, size and modification time of what was parsed; `None` = no such file.
    seen: Mutex<Option<(Option<Stamp>, Arc<T>)>>,
}

type Stamp = (u64, u64, u64, i64, i64);

impl<T> Watched<T> {
    fn new(path: PathBuf) -> Self {
        Self { path, seen: Mutex::new(None) }
    }

    /// A file that cannot be read counts as empty, as it does for libc.
    fn get(&self, parse: impl FnOnce(&[u8]) -> T) -> Arc<T> {
        let stamp = fs::metadata(&self.path).ok().map(|m| (m.dev(), m.ino(), m.size(), m.mtime(), m.mtime_nsec()));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match &*seen {
            Some((known, value)) if *known == stamp => Arc::clone(value),
            _ => {
                let value = Arc::new(parse(&fs::read(&self.path).unwrap_or_default()));
                *seen = Some((stamp, Arc::clone(&value)));
                value
            }
        }
    }
}

/// The machine's files, wherever they are.
#[derive(Debug)]
pub(super) struct System {
    resolv: Watched<Resolv>,
    hosts: Watched<Hosts>,
    host_name: String,
    /// A file of certificate authorities to trust, in place of the machine's.
    #[cfg(feature = "encrypted-dns")]
    pub(super) authorities: Option<PathBuf>,
}

impl System {
    pub(super) fn new() -> Self {
        let host_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self::at("/etc/resolv.conf".into(), "/etc/hosts".into(), host_name)
    }

    pub(super) fn at(resolv: PathBuf, hosts: PathBuf, host_name: String) -> Self {
        Self {
            resolv: Watched::new(resolv),
            hosts: Watched::new(hosts),
            host_name,
            #[cfg(feature = "encrypted-dns")]
            authorities: None,
        }
    }

    pub(super) fn resolv(&self) -> Arc<Resolv> {
        self.resolv.get(|text| Resolv::parse(text, &self.host_name))
    }

    pub(super) fn hosts(&self) -> Arc<Hosts> {
        self.hosts.get(|text| Hosts::parse(text, &self.host_name))
    }

    /// A TLS client that trusts the machine's certificate authorities.
    #[cfg(feature = "encrypted-dns")]
    pub(super) fn tls_client(&self) -> std::io::Result<rustls::ClientConfig> {
        super::roots::client(self.authorities.clone().or_else(super::roots::bundle).as_deref())
    }

    pub(super) fn synthetic_hosts(&self) -> Vec<u8> {
        self.hosts().synthetic()
    }

    /// What `name` was before libc appended a domain of the search list, if that is what it did.
    pub(super) fn without_search<'n>(&self, name: &'n str) -> Vec<&'n str> {
        let stripped = |domain: &String| name.strip_suffix(domain.as_str())?.strip_suffix('.');
        self.resolv().search.iter().filter_map(stripped).collect()
    }

    /// Whether `/etc/hosts` has a name whose addresses the sandbox's copy of it does not show.
    pub(super) fn is_hidden_host(&self, name: &str) -> bool {
        let hosts = self.hosts();
        hosts.addresses(name).is_some() && hosts.loopback(name).is_none()
    }
}

/// The names to ask for in turn until one exists. A name with a dot is taken as it is before the
/// search list applies, one without the other way round, as libc does with `ndots:1`. A name that
/// already ends in a search domain has been through the list.
pub(super) fn candidates(name: &str, search: &[String]) -> Vec<String> {
    let mut all = vec![name.to_owned()];
    if search.iter().any(|domain| within(name, domain)) {
        return all;
    }
    let searched = search.iter().filter_map(|domain| normalise(&format!("{name}.{domain}")).ok());
    if name.contains('.') {
        all.extend(searched);
        all
    } else {
        searched.chain([name.to_owned()]).collect()
    }
}

#[cfg(test)]
mod tests;
