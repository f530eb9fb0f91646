//! What holds for any address and any control message: checked with random input by the tests and by `fuzz/`.

use super::address::{
    Kind, Peer, UnixAddress, Version, decode_bind, decode_connect, decode_local, decode_send, decode_unix, encode,
    encode_unix,
};
use super::control;
use super::message::{CONTROL_MAX, Header, PARTS_MAX};
use crate::supervisor::Call;
use crate::sys::socket::ADDRESS_MAX;

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

/// Any bytes as a `struct msghdr` and the memory behind it. Words at odd values point into these bytes, so that vectors,
/// addresses and control messages are found; others stay as they are and mostly point nowhere.
pub fn header(bytes: &[u8]) {
    let mut memory = bytes.to_vec();
    memory.resize(memory.len().next_multiple_of(8).max(size_of::<libc::msghdr>()), 0);
    let (start, length) = (memory.as_ptr() as u64, memory.len() as u64);
    for word in memory.chunks_exact_mut(8) {
        let value = u64::from_ne_bytes(word.try_into().expect("eight bytes"));
        if value % 2 == 1 {
            word.copy_from_slice(&(start + (value >> 1) % length).to_ne_bytes());
        }
    }
    let tid = i32::try_from(std::process::id()).expect("a process number");
    let call = Call { id: 0, tid, nr: libc::SYS_sendmsg, args: [0; 6] };
    let before = memory.clone();
    if let Ok(header) = Header::copy(&call, start) {
        assert!(header.address.len() <= ADDRESS_MAX, "an address longer than any");
        assert!(header.data.parts().len() <= PARTS_MAX && header.control.len() <= CONTROL_MAX);
        assert!(header.data.length() <= 0x7fff_f000, "more than one call moves");
    }
    assert_eq!(memory, before, "the sender's memory is changed");
}

#[cfg(test)]
#[test]
fn any_input_at_all() {
    crate::sys::fuzzing::drive("addresses", address);
    crate::sys::fuzzing::drive("control", messages);
    crate::sys::fuzzing::drive("header", header);
}
