//! The real name servers: the system's, or those that the settings name.
//!
//! Owns asking them, in order and within bounds of time, and the search list that applies where a
//! plain name does not exist. It is asked about allowed names only; who asks sees to that.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hickory_resolver::net::NetError;
use thiserror::Error;

use super::answer::{Existence, Family};
use super::names::NameError;
use super::nameserver::Nameserver;
use super::servers::{LookupError, Servers, ServersError};
use super::system::{Resolv, System, candidates};

/// Why a name has no addresses.
#[derive(Debug, Error)]
pub enum ResolveError {
    #[error("read the host name")]
    Name(#[from] NameError),
    #[error("no such host name")]
    NoName,
    #[error("the host name has no address")]
    NoAddress,
    #[error("no name server answered in time")]
    TimedOut,
    #[error("ask a name server")]
    Upstream(#[source] NetError),
    #[error("use the configured name servers")]
    Servers(#[from] ServersError),
    #[error("start the resolver")]
    Start(#[source] io::Error),
    /// The run is ending.
    #[error("the resolver has stopped")]
    Stopped,
}

/// Finds the real addresses of names.
#[derive(Debug)]
pub(super) struct Finder {
    configured: Vec<Nameserver>,
    system: Arc<System>,
    /// Made on first use, anew when the system's configuration changes.
    servers: Mutex<Option<(Arc<Resolv>, Arc<Servers>)>>,
}

impl Finder {
    pub(super) fn new(configured: Vec<Nameserver>, system: Arc<System>) -> Self {
        Self { configured, system, servers: Mutex::new(None) }
    }

    /// Whether a normalised name exists, and has an address of this family.
    pub(super) async fn existence(&self, name: &str, family: Family) -> Existence {
        if let Some(addresses) = self.system.hosts().addresses(name) {
            let has = addresses.iter().any(|address| family.has(address));
            return if has { Existence::Exists } else { Existence::NoData };
        }
        let Ok((resolv, servers)) = self.servers().await else { return Existence::Unknown };
        let deadline = servers.deadline();
        for name in candidates(name, &resolv.search) {
            return match servers.lookup(&name, family, deadline).await {
                Ok(_) => Existence::Exists,
                Err(LookupError::NoName) => continue,
                Err(LookupError::NoAddress) => Existence::NoData,
                Err(LookupError::TimedOut | LookupError::Failed(_)) => Existence::Unknown,
            };
        }
        Existence::NoName
    }

    /// The addresses of a normalised name, IPv4 before IPv6, each as the name server ordered them.
    pub(super) async fn find(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let hosts = self.system.hosts();
        if let Some(addresses) = hosts.addresses(name) {
            let (v4, v6): (Vec<_>, Vec<_>) = addresses.iter().partition(|a| a.is_ipv4());
            return Ok([v4, v6].concat());
        }
        if let Some(addresses) = hosts.loopback(name) {
            return Ok(addresses);
        }
        let (resolv, servers) = self.servers().await?;
        let deadline = servers.deadline();
        for name in candidates(name, &resolv.search) {
            match servers.both(&name, deadline).await {
                Err(LookupError::NoName) => {}
                other => return Ok(other?),
            }
        }
        Err(ResolveError::NoName)
    }

    /// The longest that `find` takes.
    pub(super) fn patience(&self) -> Duration {
        let resolv = self.system.resolv();
        resolv.timeout * resolv.attempts
    }

    async fn servers(&self) -> Result<(Arc<Resolv>, Arc<Servers>), ServersError> {
        let resolv = self.system.resolv();
        if let Some((seen, servers)) = &*self.known()
            && Arc::ptr_eq(seen, &resolv)
        {
            return Ok((resolv, Arc::clone(servers)));
        }
        // Two look-ups at once may both build; the later one stays.
        let servers = Arc::new(Servers::build(&self.configured, &resolv, &self.system).await?);
        *self.known() = Some((Arc::clone(&resolv), Arc::clone(&servers)));
        Ok((resolv, servers))
    }

    fn known(&self) -> MutexGuard<'_, Option<(Arc<Resolv>, Arc<Servers>)>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<LookupError> for ResolveError {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::NoName => Self::NoName,
            LookupError::NoAddress => Self::NoAddress,
            LookupError::TimedOut => Self::TimedOut,
            LookupError::Failed(error) => Self::Upstream(error),
        }
    }
}
