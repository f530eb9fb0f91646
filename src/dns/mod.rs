//! Names: a stub name server for the sandbox, stand-in addresses, and the real look-ups.
//!
//! Owns what a name look-up of the sandboxed program is answered with, and the rule that nothing
//! leaves the machine for a name that is not allowed. It connects nowhere but to name servers and
//! decides nothing: which names are allowed it is told.
//!
//! Nothing runs until the first look-up: then one thread with one runtime, until [`Dns`] is dropped.

mod answer;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod names;
mod nameserver;
#[cfg(feature = "encrypted-dns")]
mod roots;
mod servers;
mod standin;
mod stub;
mod system;
#[cfg(test)]
mod tests;
mod transport;
mod upstream;

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use nix::sys::signal::SigSet;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

pub use names::{NameError, normalise};
pub use nameserver::{Nameserver, NameserverError};
pub use servers::ServersError;
pub use standin::is_stand_in;
pub use stub::Stub;
pub use upstream::ResolveError;

use answer::Answerer;
use stub::{Bound, Server};
use system::System;
use upstream::Finder;

/// What a look-up may do.
pub struct DnsConfig {
    /// `sandbox.network.nameservers`; empty = the system's.
    pub nameservers: Vec<Nameserver>,
    /// Whether a normalised name is allowed on some port, so that name servers may hear of it.
    pub allowed: Box<dyn Fn(&str) -> bool + Send + Sync>,
}

impl std::fmt::Debug for DnsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DnsConfig").field("nameservers", &self.nameservers).finish_non_exhaustive()
    }
}

/// The names of one run.
#[derive(Debug)]
pub struct Dns {
    system: Arc<System>,
    answerer: Arc<Answerer>,
    finder: Arc<Finder>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    stub: Option<Stub>,
    /// Bound, and served by nobody yet.
    bound: Option<Bound>,
    service: Option<Service>,
}

impl Dns {
    /// Starts nothing and reads nothing.
    pub fn new(config: DnsConfig) -> Self {
        Self::with_system(config, System::new())
    }

    fn with_system(config: DnsConfig, system: System) -> Self {
        let system = Arc::new(system);
        Self {
            answerer: Arc::new(Answerer::new(config.allowed, Arc::clone(&system))),
            finder: Arc::new(Finder::new(config.nameservers, Arc::clone(&system))),
            system,
            state: Mutex::new(State::default()),
        }
    }

    /// Binds the stub's sockets without starting a thread; queries wait until [`Dns::stub`] is
    /// called. The thread that binds needs `CAP_NET_BIND_SERVICE` for port 53, or a host that has
    /// lowered `net.ipv4.ip_unprivileged_port_start`.
    pub fn bind(&self) -> io::Result<Stub> {
        bind(&mut self.state())
    }

    /// Where the stub answers; the first call starts it.
    pub fn stub(&self) -> io::Result<Stub> {
        let mut state = self.state();
        let stub = bind(&mut state)?;
        if state.bound.is_some() {
            let handle = service(&mut state)?;
            if let Some(bound) = state.bound.take() {
                let server = Server::new(Arc::clone(&self.answerer), Arc::clone(&self.finder));
                handle.spawn(bound.serve(server));
            }
        }
        Ok(stub)
    }

    /// The name that a stand-in address of this run stands for.
    pub fn name_of(&self, address: IpAddr) -> Option<String> {
        self.answerer.name_of(address)
    }

    /// The real addresses of a name that was judged, IPv4 before IPv6, each in the order that the
    /// name server gave. Blocks, at most as long as the system's resolver would (its timeout times
    /// its attempts). `/etc/hosts` comes first; where a plain name does not exist the system's
    /// search list applies.
    pub fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let name = normalise(name)?;
        let handle = service(&mut self.state()).map_err(ResolveError::Start)?;
        let (answer, answered) = mpsc::channel();
        let finder = Arc::clone(&self.finder);
        let task = handle.spawn(async move {
            // Nobody listens any more: the run is ending.
            drop(answer.send(finder.find(&name).await));
        });
        // The look-up keeps its own time; this is for a runtime that does not run.
        match answered.recv_timeout(self.finder.patience() + Duration::from_secs(1)) {
            Ok(result) => result,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                task.abort();
                Err(ResolveError::TimedOut)
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(ResolveError::Stopped),
        }
    }

    /// What the sandbox reads as `/etc/resolv.conf`: the stub as its only name server.
    pub fn resolv_conf(&self) -> io::Result<Vec<u8>> {
        let stub = self.stub()?;
        Ok(self.system.resolv().synthetic(*stub.v4.ip()))
    }

    /// What the sandbox reads as `/etc/hosts`: loopback names alone, so that others reach the stub.
    pub fn hosts(&self) -> Vec<u8> {
        self.system.synthetic_hosts()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bind(state: &mut State) -> io::Result<Stub> {
    if let Some(stub) = state.stub {
        return Ok(stub);
    }
    let bound = Bound::new()?;
    let stub = bound.stub;
    state.bound = Some(bound);
    state.stub = Some(stub);
    Ok(stub)
}

fn service(state: &mut State) -> io::Result<Handle> {
    if let Some(service) = &state.service {
        return Ok(service.handle.clone());
    }
    let service = Service::start()?;
    let handle = service.handle.clone();
    state.service = Some(service);
    Ok(handle)
}

/// The thread on which everything of this module runs.
#[derive(Debug)]
struct Service {
    handle: Handle,
    /// Dropped, it stops the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Service {
    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("askance-dns".into()).spawn(move || {
            // What reads datagrams from anywhere needs no capability and handles no signal.
            let _ = SigSet::all().thread_block();
            let _ = caps::clear(None, caps::CapSet::Effective);
            let _ = caps::clear(None, caps::CapSet::Permitted);
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported where it happened; there is nothing left to stop.
            drop(thread.join());
        }
    }
}
