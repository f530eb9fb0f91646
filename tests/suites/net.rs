//! What a Rust program does with sockets, files and processes, as its own tests.
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

fn echo(listener: TcpListener) {
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || std::io::copy(&mut stream.try_clone().unwrap(), &mut stream));
        }
    });
}

#[test]
fn a_megabyte_is_echoed_by_each_of_many() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    echo(listener);
    let clients: Vec<_> = (0..8).map(|_| thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let mut reader = stream.try_clone().unwrap();
        let reading = thread::spawn(move || { let mut all = Vec::new(); reader.read_to_end(&mut all).unwrap(); all.len() });
        stream.write_all(&vec![7; 1 << 20]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(reading.join().unwrap(), 1 << 20);
    })).collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
}

#[test]
fn both_families_reach_a_listener_on_the_wildcard() {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    echo(listener);
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    assert_eq!(TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap().peer_addr().unwrap().port(), port);
}

#[test]
fn nobody_there_is_refused_and_silence_times_out() {
    // Not a port that was free a moment ago: a test beside this one may hold it by now.
    assert_eq!(TcpStream::connect((Ipv4Addr::LOCALHOST, 1)).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let begun = Instant::now();
    assert_eq!(socket.recv(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(begun.elapsed() >= Duration::from_millis(45));
}

#[test]
fn datagrams_name_who_sent_them() {
    for here in ["127.0.0.1:0", "[::1]:0"] {
        let (one, other) = (UdpSocket::bind(here).unwrap(), UdpSocket::bind(here).unwrap());
        one.send_to(b"x", other.local_addr().unwrap()).unwrap();
        assert_eq!(other.recv_from(&mut [0; 8]).unwrap(), (1, one.local_addr().unwrap()));
        other.connect(one.local_addr().unwrap()).unwrap();
        other.send(b"back").unwrap();
        assert_eq!(one.recv_from(&mut [0; 8]).unwrap(), (4, other.local_addr().unwrap()));
    }
}

#[test]
fn unix_sockets_have_the_names_they_were_given() {
    let listener = UnixListener::bind("s").unwrap();
    let client = UnixStream::connect("s").unwrap();
    assert_eq!(client.peer_addr().unwrap().as_pathname().unwrap().to_str(), Some("s"));
    let (mut server, _) = listener.accept().unwrap();
    (&client).write_all(b"hi").unwrap();
    drop(client);
    let mut said = String::new();
    server.read_to_string(&mut said).unwrap();
    assert_eq!(said, "hi");
    let (a, b) = (UnixDatagram::bind("a").unwrap(), UnixDatagram::bind("b").unwrap());
    a.send_to(b"to b", "b").unwrap();
    let (length, from) = b.recv_from(&mut [0; 8]).unwrap();
    assert_eq!((length, from.as_pathname().unwrap().to_str()), (4, Some("a")));
    fs::remove_file("s").unwrap();
    assert_eq!(UnixStream::connect("s").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_socket_that_does_not_block_is_told_later() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap();
    client.set_nonblocking(true).unwrap();
    assert_eq!((&client).read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn children_get_what_is_piped_to_them() {
    let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"through").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"through");
    assert_eq!(Command::new("no-such-program").spawn().unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn files_are_made_locked_and_moved() {
    fs::create_dir_all("d/e").unwrap();
    fs::write("d/e/f", "x").unwrap();
    assert_eq!(fs::File::create_new("d/e/f").unwrap_err().kind(), ErrorKind::AlreadyExists);
    fs::rename("d/e/f", "d/g").unwrap();
    assert_eq!(fs::read_to_string("d/g").unwrap(), "x");
    fs::remove_dir_all("d").unwrap();
    assert!(!fs::exists("d").unwrap());
}
