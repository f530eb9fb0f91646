//! The real name servers: the system's, or those that the settings name.
//!
//! Owns asking them, in order and within bounds of time, and the search list that applies where a
//! plain name does not exist. It is asked about allowed names only; who asks sees to that.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts, ServerOrderingStrategy,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use super::answer::{Existence, Family};
use super::names::NameError;
use super::nameserver::{Nameserver, NameserverError};
use super::system::{Resolv, System, candidates};

/// Answers live at most this long here, however long their TTL.
const LONGEST_TTL: Duration = Duration::from_secs(30);
const CACHE_ENTRIES: u64 = 1024;
/// Questions that one connection carries at a time: those of the stub, those of `resolve`, twice.
const ACTIVE: usize = 2048;
/// Once one family has addresses the other is waited for no longer than this.
const OTHER_FAMILY: Duration = Duration::from_secs(2);
/// The shortest time that one name server gets to answer.
const SHORTEST_TRY: Duration = Duration::from_secs(1);

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
    #[error("read the configured name servers")]
    Nameserver(#[from] NameserverError),
    #[error("start the resolver")]
    Start(#[source] io::Error),
    /// The run is ending.
    #[error("the resolver has stopped")]
    Stopped,
}

/// Finds the real addresses of names.
#[derive(Debug)]
pub(super) struct Finder {
    configured: Vec<String>,
    system: Arc<System>,
    /// Made on first use, anew when the system's configuration changes.
    servers: Mutex<Option<(Arc<Resolv>, Arc<Servers>)>>,
}

impl Finder {
    pub(super) fn new(configured: Vec<String>, system: Arc<System>) -> Self {
        Self { configured, system, servers: Mutex::new(None) }
    }

    /// Whether a normalised name exists, and has an address of this family.
    pub(super) async fn existence(&self, name: &str, family: Family) -> Existence {
        if let Some(addresses) = self.system.hosts().addresses(name) {
            let has = addresses.iter().any(|address| family.has(address));
            return if has { Existence::Exists } else { Existence::NoData };
        }
        let Ok((resolv, servers)) = self.servers() else { return Existence::Unknown };
        let deadline = servers.deadline();
        let mut last = Existence::NoName;
        for name in candidates(name, &resolv.search) {
            last = match servers.lookup(&name, family, deadline).await {
                Ok(_) => return Existence::Exists,
                Err(ResolveError::NoName) => continue,
                Err(ResolveError::NoAddress) => return Existence::NoData,
                Err(_) => Existence::Unknown,
            };
            break;
        }
        last
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
        let (resolv, servers) = self.servers()?;
        let deadline = servers.deadline();
        for name in candidates(name, &resolv.search) {
            match servers.both(&name, deadline).await {
                Err(ResolveError::NoName) => {}
                other => return other,
            }
        }
        Err(ResolveError::NoName)
    }

    /// The longest that `find` takes.
    pub(super) fn patience(&self) -> Duration {
        let resolv = self.system.resolv();
        resolv.timeout * resolv.attempts
    }

    fn servers(&self) -> Result<(Arc<Resolv>, Arc<Servers>), ResolveError> {
        let resolv = self.system.resolv();
        let mut known = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((seen, servers)) = &*known
            && Arc::ptr_eq(seen, &resolv)
        {
            return Ok((resolv, Arc::clone(servers)));
        }
        let servers = Arc::new(Servers::new(&self.configured, &resolv)?);
        *known = Some((Arc::clone(&resolv), Arc::clone(&servers)));
        Ok((resolv, servers))
    }
}

/// The name servers in the order to ask them. Each is a resolver of its own: the next one is
/// asked only when one fails, for it may know other names.
struct Servers {
    resolvers: Vec<TokioResolver>,
    /// The one that answered last, when others before it did not.
    first: AtomicUsize,
    attempts: u32,
    patience: Duration,
}

impl std::fmt::Debug for Servers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Servers").finish_non_exhaustive()
    }
}

impl Servers {
    fn new(configured: &[String], resolv: &Resolv) -> Result<Self, ResolveError> {
        let configs: Vec<NameServerConfig> = if configured.is_empty() {
            resolv.nameservers.iter().map(|&ip| NameServerConfig::udp_and_tcp(ip)).collect()
        } else {
            let parse = |text: &String| Ok(Nameserver::parse(text)?.config());
            configured.iter().map(parse).collect::<Result<_, ResolveError>>()?
        };
        let patience = resolv.timeout * resolv.attempts;
        let count = u32::try_from(configs.len()).unwrap_or(u32::MAX).max(1);
        let mut options = ResolverOpts::default();
        options.timeout = (resolv.timeout / count).max(SHORTEST_TRY);
        options.attempts = 0;
        options.cache_size = CACHE_ENTRIES;
        options.use_hosts_file = ResolveHosts::Never;
        options.positive_max_ttl = Some(LONGEST_TTL);
        options.negative_max_ttl = Some(LONGEST_TTL);
        options.num_concurrent_reqs = 1;
        options.max_active_requests = ACTIVE;
        options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
        let build = |config| {
            let config = ResolverConfig::from_name_servers(vec![config]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
                .with_options(options.clone())
                .build()
                .map_err(ResolveError::Upstream)
        };
        let resolvers = configs.into_iter().map(build).collect::<Result<_, _>>()?;
        let first = AtomicUsize::new(0);
        Ok(Self { resolvers, first, attempts: resolv.attempts, patience })
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.patience
    }

    /// Both families at once. A name that exists in either is a name.
    async fn both(&self, name: &str, deadline: Instant) -> Result<Vec<IpAddr>, ResolveError> {
        let v4 = self.lookup(name, Family::V4, deadline);
        let v6 = self.lookup(name, Family::V6, deadline);
        tokio::pin!(v4, v6);
        let (v4, v6) = tokio::select! {
            found = &mut v4 => { let other = rest(&found, v6, deadline).await; (found, other) }
            found = &mut v6 => { let other = rest(&found, v4, deadline).await; (other, found) }
        };
        match (v4, v6) {
            (Ok(mut v4), Ok(v6)) => {
                v4.extend(v6);
                Ok(v4)
            }
            (Ok(found), Err(_)) | (Err(_), Ok(found)) => Ok(found),
            (Err(ResolveError::NoName), Err(other)) | (Err(other), Err(ResolveError::NoName)) => {
                Err(other)
            }
            (Err(ResolveError::NoAddress), Err(other)) | (Err(other), _) => Err(other),
        }
    }

    /// Asks one server after the other, as often as the configuration says, until one knows.
    async fn lookup(
        &self,
        name: &str,
        family: Family,
        deadline: Instant,
    ) -> Result<Vec<IpAddr>, ResolveError> {
        // With a final dot: what is searched is decided above.
        let name = Name::from_ascii(format!("{name}.")).map_err(|_| NameError::Character)?;
        let kind = match family {
            Family::V4 => RecordType::A,
            Family::V6 => RecordType::AAAA,
        };
        let mut order: VecDeque<usize> = (0..self.resolvers.len()).collect();
        order.rotate_left(self.first.load(Ordering::Relaxed));
        let mut last = ResolveError::TimedOut;
        for _ in 0..self.attempts {
            for &index in &order {
                let lookup = self.resolvers[index].lookup(name.clone(), kind);
                let Ok(answer) = timeout_at(deadline, lookup).await else {
                    return Err(ResolveError::TimedOut);
                };
                let answer = answer.map(|lookup| {
                    lookup.answers().iter().filter_map(|record| address(&record.data)).collect()
                });
                match answer.map_err(classify) {
                    Err(error @ (ResolveError::Upstream(_) | ResolveError::TimedOut)) => {
                        last = error;
                    }
                    known => {
                        self.first.store(index, Ordering::Relaxed);
                        return known.and_then(|addresses: Vec<IpAddr>| {
                            if addresses.is_empty() {
                                Err(ResolveError::NoAddress)
                            } else {
                                Ok(addresses)
                            }
                        });
                    }
                }
            }
        }
        Err(last)
    }
}

/// Waits for the second family: not long when the first one has addresses.
async fn rest(
    first: &Result<Vec<IpAddr>, ResolveError>,
    second: impl Future<Output = Result<Vec<IpAddr>, ResolveError>>,
    deadline: Instant,
) -> Result<Vec<IpAddr>, ResolveError> {
    let deadline =
        if first.is_ok() { deadline.min(Instant::now() + OTHER_FAMILY) } else { deadline };
    timeout_at(deadline, second).await.unwrap_or(Err(ResolveError::TimedOut))
}

fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(a) => Some(a.0.into()),
        RData::AAAA(aaaa) => Some(aaaa.0.into()),
        _ => None,
    }
}

fn classify(error: NetError) -> ResolveError {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(NoRecords { response_code, .. })) => {
            match response_code {
                ResponseCode::NXDomain => ResolveError::NoName,
                _ => ResolveError::NoAddress,
            }
        }
        NetError::Timeout => ResolveError::TimedOut,
        error => ResolveError::Upstream(error),
    }
}
