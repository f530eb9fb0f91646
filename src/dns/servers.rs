//! Name servers in their order, and one look-up among them.
//!
//! Owns whom to ask next and how long to wait. Which names to ask about is decided elsewhere.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_resolver::Resolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts, ServerOrderingStrategy};
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use super::answer::Family;
use super::nameserver::{Endpoint, Nameserver};
use super::system::{Resolv, System};
use super::transport::ConnectedUdp;

/// Answers live at most this long here, however long their TTL.
const LONGEST_TTL: Duration = Duration::from_secs(30);
/// And this long where there is nothing: what was just set up is to be found.
const LONGEST_NEGATIVE_TTL: Duration = Duration::from_secs(5);
/// A no without a TTL of its own: the look-up of a connection follows that of its address.
const SHORTEST_NEGATIVE_TTL: Duration = Duration::from_secs(1);
const CACHE_ENTRIES: u64 = 1024;
/// Questions that one connection carries at a time: those of the stub, those of `resolve`, twice.
const ACTIVE: usize = 2048;
/// Once one family has addresses the other is waited for no longer than this.
const OTHER_FAMILY: Duration = Duration::from_secs(2);
/// The shortest time that one name server gets to answer.
const SHORTEST_TRY: Duration = Duration::from_secs(1);

/// Why the configured name servers cannot be asked at all.
#[derive(Debug, Error)]
pub enum ServersError {
    /// The host name of a name server has no address.
    #[error("find name server {0}")]
    Unresolved(String),
    #[error("read the certificate authorities")]
    Authorities(#[source] io::Error),
    #[error("set up the client")]
    Client(#[source] NetError),
}

/// Why one look-up has no addresses.
#[derive(Debug, Error)]
pub(super) enum LookupError {
    #[error("no such name")]
    NoName,
    #[error("no address")]
    NoAddress,
    #[error("no answer in time")]
    TimedOut,
    #[error("ask a name server")]
    Failed(#[source] NetError),
}

/// The name servers in the order to ask them. Each is a resolver of its own: the next one is
/// asked only when one fails, for it may know other names.
pub(super) struct Servers {
    resolvers: Vec<Resolver<ConnectedUdp>>,
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
    /// The system's name servers.
    fn of_system(resolv: &Resolv) -> Result<Self, ServersError> {
        let plain = |&ip: &IpAddr| NameServerConfig::udp_and_tcp(ip);
        Self::new(resolv.nameservers.iter().map(plain).collect(), resolv, None)
    }

    /// The name servers that the settings name, or else the system's.
    pub(super) async fn build(
        configured: &[Nameserver],
        resolv: &Resolv,
        system: &System,
    ) -> Result<Self, ServersError> {
        if configured.is_empty() {
            return Self::of_system(resolv);
        }
        let mut configs = Vec::new();
        let mut encrypted = false;
        for server in configured {
            let address = match server.endpoint() {
                Endpoint::Address(address) => *address,
                Endpoint::Name(name) => address_of(name, resolv, system)
                    .await
                    .ok_or_else(|| ServersError::Unresolved(server.to_string()))?,
            };
            encrypted |= server.is_encrypted();
            configs.push(server.config(address));
        }
        Self::new(configs, resolv, encrypted.then_some(system))
    }

    /// With `encrypted` the client trusts the authorities of that system.
    fn new(configs: Vec<NameServerConfig>, resolv: &Resolv, encrypted: Option<&System>) -> Result<Self, ServersError> {
        let options = options(resolv, configs.len());
        #[cfg(feature = "encrypted-dns")]
        let tls = encrypted.map(System::tls_client).transpose().map_err(ServersError::Authorities)?;
        #[cfg(not(feature = "encrypted-dns"))]
        let _ = encrypted;
        let build = |config| {
            let config = ResolverConfig::from_name_servers(vec![config]);
            let builder = Resolver::builder_with_config(config, ConnectedUdp::default()).with_options(options.clone());
            #[cfg(feature = "encrypted-dns")]
            let builder = match &tls {
                Some(client) => builder.with_tls_config(client.clone()),
                None => builder,
            };
            builder.build().map_err(ServersError::Client)
        };
        let resolvers = configs.into_iter().map(build).collect::<Result<_, _>>()?;
        let patience = resolv.timeout * resolv.attempts;
        Ok(Self { resolvers, first: AtomicUsize::new(0), attempts: resolv.attempts, patience })
    }

    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.patience
    }

    /// Both families at once. A name that exists in either is a name.
    pub(super) async fn both(&self, name: &str, deadline: Instant) -> Result<Vec<IpAddr>, LookupError> {
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
            (Err(LookupError::NoName), Err(other)) | (Err(other), Err(LookupError::NoName)) => Err(other),
            (Err(LookupError::NoAddress), Err(other)) | (Err(other), _) => Err(other),
        }
    }

    /// Asks one server after the other, as often as the configuration says, until one knows.
    pub(super) async fn lookup(
        &self,
        name: &str,
        family: Family,
        deadline: Instant,
    ) -> Result<Vec<IpAddr>, LookupError> {
        // With a final dot: what is searched is decided above.
        let name = Name::from_ascii(format!("{name}.")).map_err(|error| LookupError::Failed(error.into()))?;
        let kind = match family {
            Family::V4 => RecordType::A,
            Family::V6 => RecordType::AAAA,
        };
        let mut order: VecDeque<usize> = (0..self.resolvers.len()).collect();
        order.rotate_left(self.first.load(Ordering::Relaxed));
        let mut last = LookupError::TimedOut;
        for _ in 0..self.attempts {
            for &index in &order {
                let lookup = self.resolvers[index].lookup(name.clone(), kind);
                let Ok(answer) = timeout_at(deadline, lookup).await else {
                    return Err(LookupError::TimedOut);
                };
                let answer =
                    answer.map(|lookup| lookup.answers().iter().filter_map(|record| address(&record.data)).collect());
                match answer.map_err(classify) {
                    Err(error @ (LookupError::Failed(_) | LookupError::TimedOut)) => {
                        last = error;
                    }
                    known => {
                        self.first.store(index, Ordering::Relaxed);
                        return known.and_then(|addresses: Vec<IpAddr>| {
                            if addresses.is_empty() { Err(LookupError::NoAddress) } else { Ok(addresses) }
                        });
                    }
                }
            }
        }
        Err(last)
    }
}

/// As libc asks: one server after the other, each with its share of the time.
fn options(resolv: &Resolv, servers: usize) -> ResolverOpts {
    let servers = u32::try_from(servers).unwrap_or(u32::MAX).max(1);
    let mut options = ResolverOpts::default();
    options.timeout = (resolv.timeout / servers).max(SHORTEST_TRY);
    options.attempts = 0;
    options.cache_size = CACHE_ENTRIES;
    options.use_hosts_file = ResolveHosts::Never;
    options.positive_max_ttl = Some(LONGEST_TTL);
    options.negative_min_ttl = Some(SHORTEST_NEGATIVE_TTL);
    options.negative_max_ttl = Some(LONGEST_NEGATIVE_TTL);
    options.num_concurrent_reqs = 1;
    options.max_active_requests = ACTIVE;
    options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
    options
}

/// The address of a name server that is given by name.
async fn address_of(name: &str, resolv: &Resolv, system: &System) -> Option<IpAddr> {
    if let Some(address) = system.hosts().addresses(name).and_then(<[_]>::first) {
        return Some(*address);
    }
    let servers = Servers::of_system(resolv).ok()?;
    servers.both(name, servers.deadline()).await.ok()?.first().copied()
}

/// Waits for the second family: not long when the first one has addresses.
async fn rest(
    first: &Result<Vec<IpAddr>, LookupError>,
    second: impl Future<Output = Result<Vec<IpAddr>, LookupError>>,
    deadline: Instant,
) -> Result<Vec<IpAddr>, LookupError> {
    let deadline = if first.is_ok() { deadline.min(Instant::now() + OTHER_FAMILY) } else { deadline };
    timeout_at(deadline, second).await.unwrap_or(Err(LookupError::TimedOut))
}

fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(a) => Some(a.0.into()),
        RData::AAAA(aaaa) => Some(aaaa.0.into()),
        _ => None,
    }
}

fn classify(error: NetError) -> LookupError {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(NoRecords { response_code, .. })) => match response_code {
            ResponseCode::NXDomain => LookupError::NoName,
            _ => LookupError::NoAddress,
        },
        NetError::Timeout => LookupError::TimedOut,
        error => LookupError::Failed(error),
    }
}
