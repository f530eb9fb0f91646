//! What holds for any address and any control message: checked with random input by the tests and by `fuzz/`.

use super::address::{
    Kind, Peer, UnixAddress, Version, decode_bind, decode_connect, decode_local, decode_send, decode_unix, encode,
    encode_unix,
};
use super::control;

const KINDS: [Kind; 8] = [
    Kind::Tcp(Version::V4),
    Kind::Tcp(Version::V6),
    Kind::Udp(Version::V4),
    Kind::Udp(Version::V6),
    Kind::UnixStream,
    Kind::UnixDatagram,
    Kind::UnixSequenced,
    Kind::Route,
];

/// Any bytes as an address: what is judged is what is sent, so that its encoding reads back as itself.
pub fn address(bytes: &[u8]) {
    for kind in KINDS {
        let peers = [decode_connect(kind, bytes).ok(), decode_send(kind, bytes).ok().flatten()];
        for peer in peers.into_iter().flatten() {
            again(kind, &peer);
        }
    }
    for version in [Version::V4, Version::V6] {
        if let Ok(local) = decode_bind(version, bytes) {
            assert_eq!(decode_bind(version, &encode(&local)), Ok(local));
        }
    }
    if let Ok(name) = decode_unix(bytes)
        && let Ok(encoded) = encode_unix(&name)
    {
        assert_eq!(decode_unix(&encoded), Ok(name));
    }
    let _ = decode_local(bytes);
}

fn again(kind: Kind, peer: &Peer) {
    let encoded = match peer {
        Peer::Inet(address) => encode(address),
        Peer::Unix(name) => match encode_unix(name) {
            Ok(encoded) => encoded,
            Err(_) => return,
        },
        Peer::Nobody | Peer::Kernel => return,
    };
    assert_eq!(decode_connect(kind, &encoded).as_ref(), Ok(peer), "{kind:?}");
    if let Peer::Unix(UnixAddress::Path(path)) = peer {
        assert!(!path.contains(&0), "a path ends at its first NUL");
    }
}

/// Any bytes as the control messages of a `msghdr`: what passes is well formed and passes again.
pub fn messages(bytes: &[u8]) {
    for kind in KINDS {
        if let Ok(passed) = control::passed(kind, bytes) {
            assert_eq!(control::passed(kind, &passed).as_deref(), Ok(&*passed), "{kind:?}");
            assert!(passed.len() <= bytes.len() + 8, "{kind:?}");
        }
    }
}

#[cfg(test)]
#[test]
fn any_input_at_all() {
    crate::sys::fuzzing::drive("addresses", address);
    crate::sys::fuzzing::drive("control", messages);
}
