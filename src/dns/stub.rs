//! The stub's sockets: UDP and TCP on loopback, port 53 where this process may have it.
//!
//! Owns framing, limits and timeouts; what a query is answered with is decided in `answer`.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, TcpListener, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::answer::{Answerer, Pending, Step, Transport};
use super::upstream::Finder;

const DNS_PORT: u16 = 53;
/// How many addresses of 127/8, or ephemeral ports, are tried before giving up.
const BIND_TRIES: usize = 8;
/// A query is at most a name of 255 bytes and its options, padding included (RFC 8467).
const LONGEST_QUERY: usize = 4096;
/// Queries for allowed names that wait for upstream at one time; further ones get SERVFAIL.
const WAITING: usize = 256;
/// TCP clients served at one time; further ones wait in the listener's backlog.
const CONNECTIONS: usize = 128;
/// A client that says nothing, or takes nothing, for this long loses its connection.
const IDLE: Duration = Duration::from_secs(5);

/// Where the stub listens, over UDP and TCP alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stub {
    pub v4: SocketAddrV4,
    /// `None` where there is no IPv6 loopback.
    pub v6: Option<SocketAddrV6>,
    /// `v4` has port 53, so that the synthetic `resolv.conf` can name it as it is.
    pub on_port_53: bool,
}

/// The bound sockets, before anybody serves them: queries wait in their buffers.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) stub: Stub,
    sockets: Vec<(UdpSocket, TcpListener)>,
}

impl Bound {
    pub(super) fn new() -> io::Result<Self> {
        let (v4, on_port_53) = match bind_port_53() {
            Some(pair) => (pair, true),
            None => (bind_pair(Ipv4Addr::LOCALHOST.into(), 0)?, false),
        };
        let SocketAddr::V4(v4_address) = v4.0.local_addr()? else {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        };
        let mut sockets = vec![v4];
        let localhost = IpAddr::from(Ipv6Addr::LOCALHOST);
        let mut v6_address = None;
        // The same port if it can be had: one of many runs has ::1 port 53.
        if let Ok(v6) = bind_pair(localhost, v4_address.port()).or_else(|_| bind_pair(localhost, 0))
            && let SocketAddr::V6(address) = v6.0.local_addr()?
        {
            v6_address = Some(address);
            sockets.push(v6);
        }
        Ok(Self { stub: Stub { v4: v4_address, v6: v6_address, on_port_53 }, sockets })
    }

    /// Serves until the runtime ends.
    pub(super) async fn serve(self, server: Server) -> io::Result<()> {
        let server = Arc::new(server);
        for (udp, tcp) in self.sockets {
            udp.set_nonblocking(true)?;
            tcp.set_nonblocking(true)?;
            let udp = tokio::net::UdpSocket::from_std(udp)?;
            let tcp = tokio::net::TcpListener::from_std(tcp)?;
            tokio::spawn(Arc::clone(&server).serve_udp(udp));
            tokio::spawn(Arc::clone(&server).serve_tcp(tcp));
        }
        Ok(())
    }
}

/// A random address of 127/8: runs side by side each have their own port 53.
fn bind_port_53() -> Option<(UdpSocket, TcpListener)> {
    for _ in 0..BIND_TRIES {
        let [a, b, c, ..] = RandomState::new().hash_one(0u8).to_ne_bytes();
        // Neither 127.0.0.0/16, where others listen, nor a broadcast-like end.
        let address = Ipv4Addr::new(127, a | 1, b, c.clamp(1, 254));
        match bind_both(address.into(), DNS_PORT) {
            Ok(pair) => return Some(pair),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(_) => return None,
        }
    }
    None
}

fn bind_pair(address: IpAddr, port: u16) -> io::Result<(UdpSocket, TcpListener)> {
    let mut last = None;
    for _ in 0..BIND_TRIES {
        match bind_both(address, port) {
            // The ephemeral port that UDP got is taken for TCP.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && port == 0 => {
                last = Some(error);
            }
            other => return other,
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
}

fn bind_both(address: IpAddr, port: u16) -> io::Result<(UdpSocket, TcpListener)> {
    let udp = UdpSocket::bind((address, port))?;
    let tcp = TcpListener::bind(udp.local_addr()?)?;
    Ok((udp, tcp))
}

/// What serves each query.
#[derive(Debug)]
pub(super) struct Server {
    answerer: Arc<Answerer>,
    finder: Arc<Finder>,
    waiting: Arc<Semaphore>,
    connections: Arc<Semaphore>,
}

impl Server {
    pub(super) fn new(answerer: Arc<Answerer>, finder: Arc<Finder>) -> Self {
        Self {
            answerer,
            finder,
            waiting: Arc::new(Semaphore::new(WAITING)),
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
        }
    }

    async fn serve_udp(self: Arc<Self>, socket: tokio::net::UdpSocket) {
        let socket = Arc::new(socket);
        let mut buffer = [0; LONGEST_QUERY];
        loop {
            // An error is an earlier datagram's (its sender is gone) and says nothing of the next.
            let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
            match self.step(&buffer[..length], Transport::Udp) {
                Step::Ignore => {}
                // A full send buffer loses this datagram, as a network would.
                Step::Reply(reply) => drop(socket.try_send_to(&reply, client)),
                Step::AskUpstream(pending) => {
                    let Ok(permit) = Arc::clone(&self.waiting).try_acquire_owned() else {
                        drop(socket.try_send_to(&self.answerer.give_up(pending), client));
                        continue;
                    };
                    let (server, socket) = (Arc::clone(&self), Arc::clone(&socket));
                    tokio::spawn(async move {
                        let existence = server.finder.existence(&pending.name, pending.family).await;
                        drop(socket.try_send_to(&server.answerer.finish(pending, existence), client));
                        drop(permit);
                    });
                }
            }
        }
    }

    async fn serve_tcp(self: Arc<Self>, listener: tokio::net::TcpListener) {
        loop {
            let Ok(permit) = Arc::clone(&self.connections).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let server = Arc::clone(&self);
                    tokio::spawn(async move {
                        // Whatever ends a connection ends only that connection.
                        drop(server.serve_stream(stream).await);
                        drop(permit);
                    });
                }
                // Out of descriptors: the client stays in the backlog until there is one.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Answers a connection's queries in their order (RFC 7766 §6.2.1: each has its length before it).
    async fn serve_stream(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut query = Vec::new();
        loop {
            let length = usize::from(timeout(IDLE, stream.read_u16()).await??);
            if length > LONGEST_QUERY {
                return Err(io::ErrorKind::InvalidData.into());
            }
            query.resize(length, 0);
            timeout(IDLE, stream.read_exact(&mut query)).await??;
            let reply = match self.step(&query, Transport::Tcp) {
                Step::Ignore => return Err(io::ErrorKind::InvalidData.into()),
                Step::Reply(reply) => reply,
                Step::AskUpstream(pending) => self.ask_upstream(pending).await,
            };
            timeout(IDLE, stream.write_all(&framed(&reply))).await??;
        }
    }

    async fn ask_upstream(&self, pending: Pending) -> Vec<u8> {
        let Ok(_permit) = self.waiting.try_acquire() else {
            return self.answerer.give_up(pending);
        };
        let existence = self.finder.existence(&pending.name, pending.family).await;
        self.answerer.finish(pending, existence)
    }

    /// A panic while a query is judged loses that query and nothing else.
    fn step(&self, message: &[u8], transport: Transport) -> Step {
        catch_unwind(AssertUnwindSafe(|| self.answerer.step(message, transport))).unwrap_or(Step::Ignore)
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap_or(0);
    let mut framed = Vec::with_capacity(message.len() + 2);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(&message[..usize::from(length)]);
    framed
}
