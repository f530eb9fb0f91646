use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;

use super::*;

fn v4(text: &str) -> Vec<u8> {
    encode(&text.parse().unwrap())
}

fn with_family(mut bytes: Vec<u8>, family: i32) -> Vec<u8> {
    bytes[..2].copy_from_slice(&family_bytes(family));
    bytes
}

fn inet(text: &str) -> Result<Peer, i32> {
    Ok(Peer::Inet(text.parse().unwrap()))
}

/// What it is, the socket, the bytes, what they mean.
type Case<T> = (&'static str, Kind, Vec<u8>, Result<T, i32>);

const TCP4: Kind = Kind::Tcp(Version::V4);
const TCP6: Kind = Kind::Tcp(Version::V6);
const UDP4: Kind = Kind::Udp(Version::V4);
const UDP6: Kind = Kind::Udp(Version::V6);

#[test]
fn connect_addresses_are_read_as_the_kernel_reads_them() {
    let short = |text: &str, length: usize| v4(text)[..length].to_vec();
    let long = |text: &str| [v4(text), vec![0xaa; 100]].concat();
    let cases: [Case<Peer>; 19] = [
        ("plain", TCP4, v4("192.0.2.1:80"), inet("192.0.2.1:80")),
        ("surplus bytes are not looked at", TCP4, long("192.0.2.1:80"), inet("192.0.2.1:80")),
        ("one byte short", TCP4, short("192.0.2.1:80", 15), Err(libc::EINVAL)),
        ("one byte", TCP4, vec![2], Err(libc::EINVAL)),
        ("nothing", TCP4, vec![], Err(libc::EINVAL)),
        ("family alone", TCP4, nowhere(), Err(libc::EINVAL)),
        ("the wildcard is loopback", TCP4, v4("0.0.0.0:80"), inet("127.0.0.1:80")),
        ("the IPv6 wildcard too", TCP6, v4("[::]:80"), inet("[::1]:80")),
        ("and the mapped one", TCP6, v4("[::ffff:0.0.0.0]:80"), inet("[::ffff:127.0.0.1]:80")),
        ("another family", TCP4, v4("[2001:db8::1]:80"), Err(libc::EAFNOSUPPORT)),
        ("IPv4 on an IPv6 stream", TCP6, [v4("192.0.2.1:80"), vec![0; 12]].concat(), Err(libc::EAFNOSUPPORT)),
        ("IPv4 on an IPv6 datagram socket", UDP6, v4("192.0.2.1:80"), inet("192.0.2.1:80")),
        ("no family ends the association", TCP4, nobody(), Ok(Peer::Nobody)),
        ("even in two bytes", UDP6, vec![0, 0], Ok(Peer::Nobody)),
        ("a Unix datagram socket can be detached", Kind::UnixDatagram, nobody(), Ok(Peer::Nobody)),
        ("a Unix stream cannot", Kind::UnixStream, nobody(), Err(libc::EINVAL)),
        ("an unknown family", TCP4, with_family(v4("192.0.2.1:80"), 99), Err(libc::EAFNOSUPPORT)),
        ("netlink, to the kernel", Kind::Route, kernel(), Ok(Peer::Kernel)),
        ("netlink, to a process", Kind::Route, [&kernel()[..4], &[1; 8]].concat(), Err(libc::EPERM)),
    ];
    for (what, kind, bytes, expected) in cases {
        assert_eq!(decode_connect(kind, &bytes), expected, "{what}");
    }
}

#[test]
fn an_ipv6_address_without_a_scope_is_enough() {
    let bytes = v4("[fe80::1%7]:443");
    assert_eq!(decode_connect(TCP6, &bytes), inet("[fe80::1%7]:443"));
    assert_eq!(decode_connect(TCP6, &bytes[..24]), inet("[fe80::1]:443"));
    assert_eq!(decode_connect(TCP6, &bytes[..23]), Err(libc::EINVAL));
}

#[test]
fn datagram_addresses_are_read_as_the_kernel_reads_them() {
    let some = |text: &str| inet(text).map(Some);
    let unspecified = with_family(v4("192.0.2.1:80"), libc::AF_UNSPEC);
    let cases: [Case<Option<Peer>>; 10] = [
        ("plain", UDP4, v4("192.0.2.1:80"), some("192.0.2.1:80")),
        ("port 0", UDP4, v4("192.0.2.1:0"), Err(libc::EINVAL)),
        ("IPv4 takes no family for its own", UDP4, unspecified.clone(), some("192.0.2.1:80")),
        ("IPv6 takes no family for no address", UDP6, unspecified, Ok(None)),
        ("IPv4 on an IPv6 socket", UDP6, v4("192.0.2.1:80"), some("192.0.2.1:80")),
        ("the wildcard is loopback", UDP6, v4("[::]:80"), some("[::1]:80")),
        ("another family on IPv6", UDP6, with_family(v4("[::1]:80"), 99), Err(libc::EINVAL)),
        ("another family on IPv4", UDP4, with_family(v4("192.0.2.1:80"), 99), Err(libc::EAFNOSUPPORT)),
        ("short, whatever the family", UDP4, vec![99, 0, 0, 0], Err(libc::EINVAL)),
        ("a stream has no use for it", TCP4, v4("192.0.2.1:80"), Ok(None)),
    ];
    for (what, kind, bytes, expected) in cases {
        assert_eq!(decode_send(kind, &bytes), expected, "{what}");
    }
}

#[test]
fn wildcards_stay_wildcards_in_a_bind() {
    assert_eq!(decode_bind(Version::V4, &v4("0.0.0.0:80")), Ok("0.0.0.0:80".parse().unwrap()));
    assert_eq!(decode_bind(Version::V6, &v4("[::]:80")), Ok("[::]:80".parse().unwrap()));
    let old = with_family(v4("0.0.0.0:80"), libc::AF_UNSPEC);
    assert_eq!(decode_bind(Version::V4, &old), Ok("0.0.0.0:80".parse().unwrap()));
    let not_old = with_family(v4("192.0.2.1:80"), libc::AF_UNSPEC);
    assert_eq!(decode_bind(Version::V4, &not_old), Err(libc::EAFNOSUPPORT));
}

#[test]
fn unix_names_end_where_the_kernel_ends_them() {
    let raw = |name: &[u8]| [&family_bytes(libc::AF_UNIX)[..], name].concat();
    let path = |text: &[u8]| Ok(UnixAddress::Path(text.to_vec()));
    let cases: Vec<(&str, Vec<u8>, Result<UnixAddress, i32>)> = vec![
        ("a path ends at its NUL", raw(b"/run/a\0rest"), path(b"/run/a")),
        ("or at the address's end", raw(b"/run/a"), path(b"/run/a")),
        ("the longest path has no NUL", raw(&[b'x'; 108]), path(&[b'x'; 108])),
        ("longer", raw(&[b'x'; 109]), Err(libc::EINVAL)),
        ("an abstract name keeps its NULs", raw(b"\0a\0b\0"), Ok(UnixAddress::Abstract(b"a\0b\0".to_vec()))),
        ("and may be empty", raw(b"\0"), Ok(UnixAddress::Abstract(vec![]))),
        ("another family", with_family(raw(b"/run/a"), libc::AF_INET), Err(libc::EINVAL)),
    ];
    for (what, bytes, expected) in cases {
        assert_eq!(decode_unix(&bytes), expected, "{what}");
    }
    assert_eq!(decode_unix(&raw(b"")), Ok(UnixAddress::Unnamed));
    assert_eq!(decode_connect(Kind::UnixStream, &raw(b"")), Err(libc::EINVAL));
}

#[test]
fn addresses_fit_the_socket_that_they_are_for() {
    let cases: [(Version, &str, Option<&str>); 5] = [
        (Version::V4, "192.0.2.1", Some("192.0.2.1:9")),
        (Version::V6, "192.0.2.1", Some("[::ffff:192.0.2.1]:9")),
        (Version::V6, "2001:db8::1", Some("[2001:db8::1]:9")),
        (Version::V4, "2001:db8::1", None),
        (Version::V4, "::ffff:192.0.2.1", Some("192.0.2.1:9")),
    ];
    for (version, address, expected) in cases {
        let expected: Option<SocketAddr> = expected.map(|text| text.parse().unwrap());
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(fit(version, address, 9), expected, "{version:?} {address}");
    }
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![
        TCP4,
        TCP6,
        UDP4,
        UDP6,
        Kind::UnixStream,
        Kind::UnixDatagram,
        Kind::UnixSequenced,
        Kind::Route,
    ])
}

fn family_first(rest: Vec<u8>, family: i32) -> Vec<u8> {
    [&family_bytes(family)[..], &rest].concat()
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoders_panic(
        kind in any_kind(),
        family in prop::sample::select(vec![0, 1, 2, 10, 16, 99]),
        rest in prop::collection::vec(any::<u8>(), 0..140),
    ) {
        let bytes = family_first(rest, family);
        for bytes in [&bytes[..], &bytes[..1], &[]] {
            let _ = decode_connect(kind, bytes);
            let _ = decode_send(kind, bytes);
            let _ = decode_unix(bytes);
            let _ = decode_local(bytes);
            let _ = decode_bind(Version::V4, bytes);
            let _ = decode_bind(Version::V6, bytes);
        }
    }

    /// What is judged is what the kernel gets: encoding and decoding again changes nothing, and no
    /// destination is left to be filled in by the kernel.
    #[test]
    fn what_is_judged_is_what_is_encoded(
        kind in any_kind(),
        family in prop::sample::select(vec![0, 1, 2, 10]),
        rest in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        let bytes = family_first(rest, family);
        for decoded in [decode_connect(kind, &bytes).ok(), decode_send(kind, &bytes).ok().flatten()] {
            match decoded {
                Some(Peer::Inet(address)) => {
                    prop_assert!(!address.ip().to_canonical().is_unspecified());
                    prop_assert_eq!(decode_local(&encode(&address)), Some(address));
                }
                Some(Peer::Unix(name)) => {
                    prop_assert_eq!(decode_unix(&encode_unix(&name).unwrap()), Ok(name));
                }
                Some(Peer::Nobody | Peer::Kernel) | None => {}
            }
        }
    }
}
