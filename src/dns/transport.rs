//! How the client library reaches the network: as tokio does, but for UDP.
//!
//! A datagram socket is connected to its name server. The kernel then drops what others send to
//! it, and says at once when nobody listens there, where an unconnected one would wait in vain.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hickory_resolver::net::runtime::{DnsUdpSocket, RuntimeProvider, TokioHandle, TokioRuntimeProvider, TokioTime};
use tokio::io::{Interest, ReadBuf};
use tokio::net::UdpSocket;

type Soon<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

#[derive(Clone, Default)]
pub(super) struct ConnectedUdp(TokioRuntimeProvider);

impl RuntimeProvider for ConnectedUdp {
    type Handle = TokioHandle;
    type Timer = TokioTime;
    type Udp = Connected;
    type Tcp = <TokioRuntimeProvider as RuntimeProvider>::Tcp;

    fn create_handle(&self) -> Self::Handle {
        self.0.create_handle()
    }

    fn connect_tcp(
        &self,
        server: SocketAddr,
        bind: Option<SocketAddr>,
        timeout: Option<Duration>,
    ) -> Soon<'static, Self::Tcp> {
        self.0.connect_tcp(server, bind, timeout)
    }

    /// The library asks for a socket that is not connected, for systems where `sendto` then fails;
    /// on Linux it does not.
    fn bind_udp(&self, local: SocketAddr, server: SocketAddr) -> Soon<'static, Self::Udp> {
        Box::pin(async move {
            let socket = UdpSocket::bind(local).await?;
            socket.connect(server).await?;
            Ok(Connected(socket))
        })
    }
}

/// A socket connected to the one name server that it asks.
pub(super) struct Connected(UdpSocket);

impl Connected {
    /// `epoll` reports a refused datagram as an error and not as something to read, and tokio wakes
    /// a reader for the latter alone: both are waited for.
    async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        loop {
            self.0.ready(Interest::READABLE | Interest::ERROR).await?;
            if let Some(error) = self.0.take_error()? {
                return Err(error);
            }
            match self.0.try_recv_from(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            // The error was another's to take: wait for the next one.
            let _: io::Result<()> = self.0.try_io(Interest::ERROR, || Err(io::ErrorKind::WouldBlock.into()));
        }
    }
}

impl DnsUdpSocket for Connected {
    type Time = TokioTime;

    fn poll_recv_from(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut buffer = ReadBuf::new(buffer);
        let from = ready!(self.0.poll_recv_from(cx, &mut buffer))?;
        Poll::Ready(Ok((buffer.filled().len(), from)))
    }

    fn recv_from<'s, 'b, 'f>(&'s self, buffer: &'b mut [u8]) -> Soon<'f, (usize, SocketAddr)>
    where
        's: 'f,
        'b: 'f,
        Self: 'f,
    {
        Box::pin(self.receive(buffer))
    }

    fn poll_send_to(&self, cx: &mut Context<'_>, buffer: &[u8], target: SocketAddr) -> Poll<io::Result<usize>> {
        self.0.poll_send_to(cx, buffer, target)
    }
}
