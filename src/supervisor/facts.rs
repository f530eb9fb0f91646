//! What the run itself made: entries in shared temporary directories, repositories, sockets.

use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::net::OwnSockets;
use super::processes::Objects;
use crate::policy::{Facts, UnixName};

/// A file's identity.
pub type Inode = (u64, u64);

/// The run's own things, remembered from the moment the broker made them.
#[derive(Debug, Default)]
pub struct RunFacts {
    made: Mutex<Made>,
    sockets: OwnSockets,
    objects: Objects,
}

#[derive(Debug, Default)]
struct Made {
    /// Direct children of shared temporary directories, and repositories' directories.
    paths: HashMap<PathBuf, Inode>,
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
        let moved: Vec<_> =
            made.paths.iter().filter(|(path, _)| path.starts_with(from)).map(|(p, i)| (p.clone(), *i)).collect();
        made.paths.retain(|path, _| !path.starts_with(from) && !path.starts_with(to));
        for (path, inode) in moved {
            let rest = path.strip_prefix(from).unwrap_or(Path::new(""));
            let renamed = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
            made.paths.insert(renamed, inode);
        }
    }

    /// The sockets that the run bound.
    pub fn sockets(&self) -> &OwnSockets {
        &self.sockets
    }

    /// The System V objects that the run made.
    pub fn objects(&self) -> &Objects {
        &self.objects
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

    fn listens(&self, address: IpAddr, port: u16) -> bool {
        self.sockets.hold_port(address, port)
    }

    fn socket_born_in_run(&self, name: &UnixName) -> bool {
        match name {
            UnixName::Path(path) => self.sockets.hold_path(path),
            UnixName::Abstract(name) => self.sockets.hold_abstract(name),
        }
    }
}
