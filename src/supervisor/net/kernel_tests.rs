//! What the handlers rely on in the kernel, tried out on this one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixSocketAddr, UnixListener, UnixStream};

use rustix::event::{PollFd, PollFlags, poll};

use super::address::{self, Version};
use super::own::{Holder, OwnSockets};
use super::{closed, diag};
use crate::sys::socket;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn cookie(socket: &impl AsFd) -> u64 {
    socket::cookie(socket.as_fd()).unwrap()
}

#[test]
fn the_closed_port_refuses_datagrams_and_cannot_be_taken() {
    let cases = [(Version::V4, "127.0.0.1:0", HERE), (Version::V6, "[::1]:0", std::net::Ipv6Addr::LOCALHOST.into())];
    for (version, here, far) in cases {
        let closed = closed::port(version, far).unwrap();
        let sender = UdpSocket::bind(here).unwrap();
        sender.connect(closed).unwrap();
        sender.send(b"anybody?").unwrap();
        let refused = sender.recv(&mut [0; 8]).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ECONNREFUSED), "{version:?}");
        assert!(UdpSocket::bind(closed).is_err(), "{version:?}");
    }
}

#[test]
fn the_address_that_leads_nowhere_tells_how_a_connection_stands() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connect =
        |socket: &dyn AsFd, bytes: &[u8]| socket::connect(socket.as_fd(), bytes).map_err(|e| e.raw_os_error().unwrap());
    for domain in [libc::AF_INET, libc::AF_INET6] {
        let fresh = socket::open(domain, libc::SOCK_STREAM, 0).unwrap();
        assert_eq!(connect(&fresh, &address::nowhere()), Err(libc::EINVAL), "a fresh socket goes nowhere");
    }
    let connecting = socket::open(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0).unwrap();
    let to = address::encode(&listener.local_addr().unwrap());
    assert_eq!(connect(&connecting, &to), Err(libc::EINPROGRESS));
    let mut polled = [PollFd::new(&connecting, PollFlags::OUT)];
    assert_eq!(poll(&mut polled, None), Ok(1));
    assert_eq!(connect(&connecting, &address::nowhere()), Ok(()), "the second call reports success once");
    assert_eq!(connect(&connecting, &address::nowhere()), Err(libc::EISCONN));
}

#[test]
fn a_refused_tcp_socket_connects_elsewhere() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let socket = socket::open(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap();
    let refused = socket::connect(socket.as_fd(), &address::encode(&unused)).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::ECONNREFUSED));
    socket::connect(socket.as_fd(), &address::encode(&listener.local_addr().unwrap())).unwrap();
    assert_eq!(TcpStream::from(socket).peer_addr().unwrap(), listener.local_addr().unwrap());
}

#[test]
fn a_port_is_ours_while_our_own_socket_holds_it_alone() {
    let own = OwnSockets::default();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    assert!(!own.hold_port(HERE, port), "nothing is recorded");
    own.record_port(cookie(&listener), port);
    assert!(own.hold_port(HERE, port));
    let elsewhere = TcpListener::bind(("127.0.0.2", port)).unwrap();
    assert!(own.hold_port(HERE, port), "a stranger at another address is not reached");
    assert!(!own.hold_port("127.0.0.2".parse().unwrap(), port), "but there it is the stranger");
    let datagrams = UdpSocket::bind(("0.0.0.0", port)).unwrap();
    assert!(!own.hold_port(HERE, port), "a stranger's datagram socket receives there too");
    own.record_port(cookie(&datagrams), port);
    assert!(own.hold_port(HERE, port));
    drop((listener, datagrams, elsewhere));
    let stranger = TcpListener::bind(("127.0.0.1", port)).unwrap();
    assert!(!own.hold_port(HERE, port), "the port outlives its socket");
    drop(stranger);
    assert!(!own.hold_port(HERE, port), "a port that nobody holds is nobody's");
}

#[test]
fn a_datagram_is_traced_to_the_socket_that_it_would_reach() {
    let own = OwnSockets::default();
    let bind = |at: &str| UdpSocket::bind(at).unwrap();
    for here in ["127.0.0.1:0", "[::1]:0"] {
        let (receiver, sender, other) = (bind(here), bind(here), bind(here));
        let (from, to) = (sender.local_addr().unwrap(), receiver.local_addr().unwrap());
        assert_eq!(own.receiver_of(from, to), Holder::Stranger, "nothing is recorded");
        own.record_port(cookie(&receiver), to.port());
        assert_eq!(own.receiver_of(from, to), Holder::Own);
        receiver.connect(other.local_addr().unwrap()).unwrap();
        assert_eq!(own.receiver_of(from, to), Holder::Nobody, "it hears nobody else now");
        assert_eq!(own.receiver_of(other.local_addr().unwrap(), to), Holder::Own);
        drop(receiver);
        let _stranger = UdpSocket::bind(to).unwrap();
        assert_eq!(own.receiver_of(from, to), Holder::Stranger, "the port outlives its socket");
    }
}

#[test]
fn a_listener_of_another_protocol_is_seen() {
    let own = OwnSockets::default();
    // Multipath TCP, where the kernel has it.
    let Ok(socket) = socket::open(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP) else { return };
    socket::bind(socket.as_fd(), &address::encode(&"127.0.0.1:0".parse().unwrap())).unwrap();
    let local = address::decode_local(&socket::local_address(socket.as_fd()).unwrap()).unwrap();
    assert_eq!(own.listener_at(local), Holder::Nobody);
    socket::listen(socket.as_fd(), 1).unwrap();
    assert_eq!(own.listener_at(local), Holder::Stranger);
}

#[test]
fn a_mapped_listener_is_found_at_its_ipv4_address() {
    let own = OwnSockets::default();
    let socket = socket::open(libc::AF_INET6, libc::SOCK_STREAM, 0).unwrap();
    socket::bind(socket.as_fd(), &address::encode(&"[::ffff:127.0.0.1]:0".parse().unwrap())).unwrap();
    socket::listen(socket.as_fd(), 1).unwrap();
    let local: SocketAddr = address::decode_local(&socket::local_address(socket.as_fd()).unwrap()).unwrap();
    own.record_port(cookie(&socket), local.port());
    assert!(own.hold_port(HERE, local.port()));
}

#[test]
fn an_abstract_name_is_ours_while_our_own_socket_holds_it() {
    let own = OwnSockets::default();
    let name = format!("askance\0{}", std::process::id()).into_bytes();
    let bind = || UnixListener::bind_addr(&UnixSocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let listener = bind();
    assert!(!own.hold_abstract(&name));
    own.record_abstract(cookie(&listener));
    assert!(own.hold_abstract(&name));
    assert!(!own.hold_abstract(b"askance"), "NULs are part of the name");
    drop(listener);
    let _stranger = bind();
    assert!(!own.hold_abstract(&name), "the name outlives its socket");
}

#[test]
fn a_path_is_ours_while_it_names_the_inode_that_was_bound() {
    let own = OwnSockets::default();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let inode = rustix::fs::open(&path, rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
    assert!(!own.hold_path(&path));
    own.record_inode(cookie(&listener), inode.as_fd());
    assert!(own.hold_path(&path));
    assert_eq!(own.holder(inode.as_fd()), Holder::Own);
    std::fs::rename(&path, directory.path().join("moved")).unwrap();
    assert!(own.hold_path(&directory.path().join("moved")));
    drop(listener);
    assert_eq!(own.holder(inode.as_fd()), Holder::Nobody, "a name without a socket");
    drop(inode);
    std::fs::remove_file(directory.path().join("moved")).unwrap();
    let _stranger = UnixListener::bind(&path).unwrap();
    assert!(!own.hold_path(&path), "a reused inode number is another inode");
}

#[test]
fn a_held_inode_is_connected_whatever_its_name_leads_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let inode = rustix::fs::open(&path, rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
    std::fs::rename(&path, directory.path().join("judged")).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    let client = UnixStream::connect(format!("/proc/self/fd/{}", inode.as_raw_fd())).unwrap();
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_ok(), "the judged inode's socket was reached");
    let peer = client.peer_addr().unwrap();
    assert_eq!(peer.as_pathname(), Some(path.as_path()), "the peer's name is what it bound");
}

#[test]
fn the_kernel_lists_datagram_sockets_that_have_a_far_end() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(receiver.local_addr().unwrap()).unwrap();
    let found = diag::receivers_at(client.local_addr().unwrap().port()).unwrap();
    assert!(found.iter().any(|socket| socket.cookie == cookie(&client) && socket.connected), "{found:?}");
    let found = diag::receivers_at(receiver.local_addr().unwrap().port()).unwrap();
    assert!(found.iter().any(|socket| socket.cookie == cookie(&receiver) && !socket.connected), "{found:?}");
}

mod naming {
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::{Mode, OFlags};

    use crate::supervisor::net::name::Naming;
    use crate::sys::socket;

    fn directory(path: &Path) -> OwnedFd {
        rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap()
    }

    fn bind(path: &[u8], start: &Path, judged: &Path, umask: u32) -> (OwnedFd, Result<(), i32>) {
        let socket = socket::open(libc::AF_UNIX, libc::SOCK_STREAM, 0).unwrap();
        let judged = directory(judged);
        let naming = Naming {
            socket: socket.as_fd(),
            path,
            directory: judged.as_fd(),
            name: c"socket",
            start: directory(start),
            umask,
        };
        let bound = naming.bind();
        (socket, bound)
    }

    fn bound_name(socket: &OwnedFd) -> Vec<u8> {
        let bytes = socket::local_address(socket.as_fd()).unwrap();
        bytes[2..].split(|&byte| byte == 0).next().unwrap().to_vec()
    }

    #[test]
    fn the_childs_bytes_are_what_getsockname_says() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("sub")).unwrap();
        let sub = place.path().join("sub");
        for path in ["sub/socket", "./sub//socket", "sub/../sub/socket"] {
            let (socket, bound) = bind(path.as_bytes(), place.path(), &sub, 0o077);
            assert_eq!(bound, Ok(()), "{path}");
            assert_eq!(bound_name(&socket), path.as_bytes());
            let mode = std::fs::metadata(sub.join("socket")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "the child's umask");
            std::fs::remove_file(sub.join("socket")).unwrap();
        }
    }

    #[test]
    fn bytes_that_mean_something_else_to_us_are_left_out() {
        let place = tempfile::tempdir().unwrap();
        let (socket, bound) = bind(b"/proc/self/cwd/socket", Path::new("/"), place.path(), 0o022);
        assert_eq!(bound, Ok(()));
        assert_eq!(bound_name(&socket), b"socket");
        assert!(place.path().join("socket").exists());
    }

    #[test]
    fn a_link_that_flips_never_leads_out_of_the_judged_directory() {
        let place = tempfile::tempdir().unwrap();
        for name in ["judged", "outside"] {
            std::fs::create_dir(place.path().join(name)).unwrap();
        }
        let link = place.path().join("link");
        let next = place.path().join("next");
        std::os::unix::fs::symlink("judged", &link).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    for target in ["outside", "judged"] {
                        std::os::unix::fs::symlink(target, &next).unwrap();
                        std::fs::rename(&next, &link).unwrap();
                    }
                }
            });
            let judged = place.path().join("judged");
            let mut made = 0;
            for _ in 0..400 {
                let (_socket, bound) = bind(b"link/socket", place.path(), &judged, 0o022);
                made += usize::from(bound.is_ok());
                let _ = std::fs::remove_file(judged.join("socket"));
                assert!(!place.path().join("outside/socket").exists());
            }
            stop.store(true, Ordering::Relaxed);
            assert!(made > 0);
        });
    }
}

#[test]
fn a_confined_listener_is_bound_to_the_loopback_device() {
    let socket = socket::open(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap();
    socket::confine_to_loopback(socket.as_fd()).unwrap();
    socket::listen(socket.as_fd(), 1).unwrap();
    let device = socket::option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX).unwrap();
    assert!(socket::is_loopback_device(device));
    let local = address::decode_local(&socket::local_address(socket.as_fd()).unwrap()).unwrap();
    assert!(local.ip().is_unspecified(), "listening on an unbound socket is listening on the wildcard");
    assert!(TcpStream::connect((HERE, local.port())).is_ok());
}
