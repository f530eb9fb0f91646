//! What the run itself made: entries in shared temporary directories, repositories, listeners.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::policy::{Facts, UnixName};

/// A file's identity.
pub type Inode = (u64, u64);

/// The run's own things, remembered from the moment the broker made them.
#[derive(Debug, Default)]
pub struct RunFacts {
    made: Mutex<Made>,
}

#[derive(Debug, Default)]
struct Made {
    /// Direct children of shared temporary directories, and repositories' directories.
    paths: HashMap<PathBuf, Inode>,
    sockets: HashSet<Inode>,
    abstract_names: HashSet<Vec<u8>>,
    /// Cookies of listening and bound datagram sockets, with where they listen.
    listeners: HashMap<u64, (IpAddr, u16)>,
}

impl RunFacts {
    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The broker just created this entry or repository directory.
    pub fn record_path(&self, path: &Path, inode: Inode) {
        self.made().paths.insert(path.to_owned(), inode);
    }

    /// The entry was removed.
    pub fn forget_path(&self, path: &Path) {
        self.made().paths.retain(|known, _| !known.starts_with(path));
    }

    /// The entry, and what was recorded beneath it, has another name now.
    pub fn rename_path(&self, from: &Path, to: &Path) {
        let mut made = self.made();
        let moved: Vec<_> = made.paths.iter().filter(|(path, _)| path.starts_with(from)).map(|(p, i)| (p.clone(), *i)).collect();
        made.paths.retain(|path, _| !path.starts_with(from) && !path.starts_with(to));
        for (path, inode) in moved {
            let rest = path.strip_prefix(from).unwrap_or(Path::new(""));
            let renamed = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
            made.paths.insert(renamed, inode);
        }
    }

    /// The run bound a Unix socket: at a path with this inode, or an abstract name.
    pub fn record_socket(&self, inode: Inode) {
        self.made().sockets.insert(inode);
    }

    pub fn record_abstract(&self, name: &[u8]) {
        self.made().abstract_names.insert(name.to_vec());
    }

    /// The run's socket with this cookie (`SO_COOKIE`) listens, or receives datagrams, there.
    pub fn record_listener(&self, cookie: u64, address: IpAddr, port: u16) {
        self.made().listeners.insert(cookie, (address, port));
    }

    /// Cookies of the run's sockets that were bound to this port.
    pub fn listeners_on(&self, port: u16) -> Vec<u64> {
        self.made().listeners.iter().filter(|(_, (_, bound))| *bound == port).map(|(cookie, _)| *cookie).collect()
    }

    /// Is the entry still the thing that the run made?
    fn still_ours(&self, path: &Path) -> bool {
        let Some(recorded) = self.made().paths.get(path).copied() else { return false };
        fs::symlink_metadata(path).is_ok_and(|now| (now.dev(), now.ino()) == recorded)
    }
}

impl Facts for RunFacts {
    fn entry_born_in_run(&self, top: &Path) -> bool {
        self.still_ours(top)
    }

    fn repository_born_in_run(&self, git_dir: &Path) -> bool {
        self.still_ours(git_dir)
    }

    fn listens(&self, _address: IpAddr, port: u16) -> bool {
        !self.listeners_on(port).is_empty()
    }

    fn socket_born_in_run(&self, name: &UnixName) -> bool {
        match name {
            UnixName::Path(path) => {
                let inode = fs::symlink_metadata(path).map(|now| (now.dev(), now.ino()));
                inode.is_ok_and(|inode| self.made().sockets.contains(&inode))
            }
            UnixName::Abstract(name) => self.made().abstract_names.contains(name),
        }
    }
}
