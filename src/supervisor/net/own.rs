//! Inside or outside: is what answers at a loopback port, or behind a Unix name, the run's own?
//!
//! A socket is the run's own when its cookie, or the inode of its name, was recorded while the run
//! bound it. The kernel is asked what is there now, because ports, names and inode numbers outlive
//! their sockets. What cannot be learnt is somebody else's.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, CWD, Statx, StatxFlags, statx};

use super::diag;

/// Cookies remembered; beyond that those of closed sockets are swept out.
const REMEMBERED: usize = 8192;

/// Far ends with two addresses that are remembered of one socket.
const ALIASES: usize = 64;

/// The sockets that this run bound, and those that it pointed at a name server.
#[derive(Debug, Default)]
pub struct OwnSockets {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Ports of internet sockets, by cookie.
    ports: HashMap<u64, u16>,
    abstract_holders: HashSet<u64>,
    /// The cookie of the socket that was bound to an inode.
    inodes: HashMap<Birth, u64>,
    /// Where datagrams of a socket really go and what the program calls it, by cookie.
    aliases: HashMap<u64, Vec<Alias>>,
}

/// A far end under two addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Alias {
    actual: SocketAddr,
    presented: SocketAddr,
}

/// One inode. Its number may be given out again, though not while its socket lives, and not with
/// the same time of birth but for the clock's coarse tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Birth {
    device: (u32, u32),
    inode: u64,
    born: (i64, u32),
}

impl OwnSockets {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run's socket with this cookie receives at `port`.
    pub(super) fn record_port(&self, cookie: u64, port: u16) {
        if self.known().ports.len() >= REMEMBERED {
            self.sweep();
        }
        self.known().ports.insert(cookie, port);
    }

    /// What this socket sends to `presented` goes to `actual`.
    pub(super) fn record_alias(&self, cookie: u64, actual: SocketAddr, presented: SocketAddr) {
        if self.known().aliases.len() >= REMEMBERED {
            self.sweep();
        }
        let mut known = self.known();
        let aliases = known.aliases.entry(cookie).or_default();
        aliases.retain(|alias| alias.presented != presented);
        if aliases.len() >= ALIASES {
            aliases.remove(0);
        }
        aliases.push(Alias { actual: canonical(actual), presented });
    }

    /// Is there any socket whose peers have two addresses?
    pub(super) fn have_aliases(&self) -> bool {
        !self.known().aliases.is_empty()
    }

    pub(super) fn has_aliases(&self, cookie: u64) -> bool {
        self.known().aliases.contains_key(&cookie)
    }

    /// Where what this socket sends to `presented` went before.
    pub(super) fn actual(&self, cookie: u64, presented: SocketAddr) -> Option<SocketAddr> {
        let known = self.known();
        let found = known.aliases.get(&cookie)?.iter().find(|alias| alias.presented == presented)?;
        Some(found.actual)
    }

    /// What the program calls the far end that is really at `actual`.
    pub(super) fn presented(&self, cookie: u64, actual: SocketAddr) -> Option<SocketAddr> {
        let actual = canonical(actual);
        let known = self.known();
        let found = known.aliases.get(&cookie)?.iter().rev().find(|alias| alias.actual == actual)?;
        Some(found.presented)
    }

    /// The run's Unix socket with this cookie has an abstract name.
    pub(super) fn record_abstract(&self, cookie: u64) {
        self.known().abstract_holders.insert(cookie);
    }

    /// The run bound its Unix socket with this cookie to this inode.
    pub(super) fn record_inode(&self, cookie: u64, inode: BorrowedFd<'_>) {
        if self.known().inodes.len() >= REMEMBERED {
            self.sweep();
        }
        if let Some(birth) = birth_of(inode) {
            self.known().inodes.insert(birth, cookie);
        }
    }

    /// Is everything that could receive at `address` and `port` the run's own? A port that nobody
    /// holds is nobody's, hence not ours.
    pub(in crate::supervisor) fn hold_port(&self, address: IpAddr, port: u16) -> bool {
        self.has_port(port) && self.holder_at(address, port, diag::receivers_at) == Holder::Own
    }

    /// Are the TCP listeners there the run's own?
    pub(super) fn listen_at(&self, to: SocketAddr) -> bool {
        self.has_port(to.port()) && self.listener_at(to) == Holder::Own
    }

    /// Whose are the TCP listeners that a connection to this machine's `to` could reach?
    pub(super) fn listener_at(&self, to: SocketAddr) -> Holder {
        self.holder_at(to.ip().to_canonical(), to.port(), diag::listeners_at)
    }

    /// Whose is the socket that a datagram between these addresses would reach?
    pub(super) fn receiver_of(&self, from: SocketAddr, to: SocketAddr) -> Holder {
        match diag::receiver_of(from, to) {
            Ok(cookie) if self.known().ports.get(&cookie) == Some(&to.port()) => Holder::Own,
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Holder::Nobody,
            Ok(_) | Err(_) => Holder::Stranger,
        }
    }

    fn has_port(&self, port: u16) -> bool {
        self.known().ports.values().any(|own| *own == port)
    }

    fn holder_at(&self, address: IpAddr, port: u16, at: impl Fn(u16) -> io::Result<Vec<diag::InetSocket>>) -> Holder {
        let Ok(mut receivers) = at(port) else { return Holder::Stranger };
        receivers.retain(|receiver| receiver.connected || could_receive(receiver.local, address));
        let known = self.known();
        let ours = |receiver: &diag::InetSocket| known.ports.get(&receiver.cookie) == Some(&port);
        if receivers.iter().any(|receiver| !ours(receiver) && !receiver.connected) {
            return Holder::Stranger;
        }
        if receivers.iter().any(ours) { Holder::Own } else { Holder::Nobody }
    }

    /// Is the abstract name bound by one of the run's own sockets now?
    pub(in crate::supervisor) fn hold_abstract(&self, name: &[u8]) -> bool {
        if self.known().abstract_holders.is_empty() {
            return false;
        }
        let Ok(sockets) = diag::unix_sockets() else {
            return false;
        };
        let known = self.known();
        let mut holders = sockets.iter().filter(|socket| is_abstract(&socket.name, name)).peekable();
        holders.peek().is_some() && holders.all(|socket| known.abstract_holders.contains(&socket.cookie))
    }

    /// Does a socket that the run bound answer at `path` now?
    pub(in crate::supervisor) fn hold_path(&self, path: &Path) -> bool {
        if self.known().inodes.is_empty() {
            return false;
        }
        let found = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, wanted());
        found.ok().and_then(|found| birth(&found)).is_some_and(|birth| self.holder_of(&birth) == Holder::Own)
    }

    /// Who answers at this inode?
    pub(super) fn holder(&self, inode: BorrowedFd<'_>) -> Holder {
        birth_of(inode).map_or(Holder::Stranger, |birth| self.holder_of(&birth))
    }

    fn holder_of(&self, birth: &Birth) -> Holder {
        let Some(cookie) = self.known().inodes.get(birth).copied() else {
            return Holder::Stranger;
        };
        match diag::unix_sockets() {
            Ok(sockets) if sockets.iter().any(|socket| socket.cookie == cookie) => Holder::Own,
            Ok(_) => Holder::Nobody,
            Err(_) => Holder::Stranger,
        }
    }

    /// Forgets sockets that are closed.
    fn sweep(&self) {
        let (Ok(mut living), Ok(unix)) = (diag::living(), diag::unix_sockets()) else {
            return;
        };
        living.extend(unix.iter().map(|socket| socket.cookie));
        let living: HashSet<u64> = living.into_iter().collect();
        let mut known = self.known();
        known.ports.retain(|cookie, _| living.contains(cookie));
        known.aliases.retain(|cookie, _| living.contains(cookie));
        known.abstract_holders.retain(|cookie| living.contains(cookie));
        known.inodes.retain(|_, cookie| living.contains(cookie));
    }
}

/// Who answers at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    Own,
    /// A port without a socket, or an inode whose socket was the run's and is closed.
    Nobody,
    /// Somebody else, or nobody can say who.
    Stranger,
}

/// Does anybody hold the abstract name? Where that cannot be learnt, somebody may.
pub(super) fn abstract_name_is_held(name: &[u8]) -> bool {
    diag::unix_sockets().map_or(true, |all| all.iter().any(|socket| is_abstract(&socket.name, name)))
}

/// Without mapping, scope and flow, in which the kernel's answer may differ from what it was given.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn is_abstract(bound: &[u8], name: &[u8]) -> bool {
    bound.split_first().is_some_and(|(&first, rest)| first == 0 && rest == name)
}

fn could_receive(local: IpAddr, destination: IpAddr) -> bool {
    local.is_unspecified() || local == destination.to_canonical()
}

fn wanted() -> StatxFlags {
    StatxFlags::INO | StatxFlags::TYPE | StatxFlags::BTIME
}

fn birth_of(inode: BorrowedFd<'_>) -> Option<Birth> {
    birth(&statx(inode, c"", AtFlags::EMPTY_PATH, wanted()).ok()?)
}

/// Without a time of birth the number has to do.
fn birth(found: &Statx) -> Option<Birth> {
    let has_birth = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
    let born = if has_birth { (found.stx_btime.tv_sec, found.stx_btime.tv_nsec) } else { (0, 0) };
    Some(Birth { device: (found.stx_dev_major, found.stx_dev_minor), inode: found.stx_ino, born })
}
