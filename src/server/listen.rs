//! The socket: in a private directory, for this user alone.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{UnixListener, UnixStream};

use super::connection;
use super::hub::Hub;

/// Connections at once.
const CONNECTIONS_MAX: usize = 1024;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("{path} names no socket: give a path with a directory and a name")]
    Name { path: PathBuf },
    #[error("make the private directory {path}")]
    Directory { path: PathBuf, source: io::Error },
    #[error("{path} is not a directory of this user alone; make one: install -d -m 700 {path}")]
    NotPrivate { path: PathBuf },
    #[error("others can change {path}, above the socket's directory; choose another place")]
    Above { path: PathBuf },
    #[error("{path} exists and is no socket; choose another name")]
    Occupied { path: PathBuf },
    #[error("another server listens on {path}")]
    InUse { path: PathBuf },
    #[error("listen on {path}")]
    Listen { path: PathBuf, source: io::Error },
}

/// A socket that is removed when its server ends.
#[derive(Debug)]
pub(super) struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Of the socket, so that another's is not removed.
    inode: u64,
}

impl Socket {
    /// Has to be called within a runtime.
    pub(super) fn open(path: &Path) -> Result<Self, SocketError> {
        let named = || SocketError::Name { path: path.to_owned() };
        let (parent, name) = (path.parent().ok_or_else(named)?, path.file_name().ok_or_else(named)?);
        let parent = private_directory(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
        let path = parent.join(name);
        let failed = |source| SocketError::Listen { path: path.clone(), source };
        // Two that start at once would take each other's socket for a stale one.
        let turn = fs::File::open(&parent).map_err(failed)?;
        turn.lock().map_err(failed)?;
        make_room(&path)?;
        let listener = UnixListener::bind(&path).map_err(failed)?;
        // Nobody else passes through its directory, whatever the umask left.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let inode = fs::symlink_metadata(&path).map_err(failed)?.ino();
        Ok(Self { listener, path: path.clone(), inode })
    }

    /// Where it is, without symbolic links.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes clients in, for good.
    pub(super) async fn serve(&self, hub: &Arc<Hub>) {
        let places = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let Ok((stream, _)) = self.listener.accept().await else {
                // Out of descriptors, most likely: those who are served give some back.
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            };
            if !is_ours(&stream) {
                continue;
            }
            let hub = Arc::clone(hub);
            tokio::spawn(async move {
                let (read, write) = stream.into_split();
                connection::serve(&hub, read, write).await;
                drop(place);
            });
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            // Left behind it is found stale by the next server.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The mode of the socket keeps others out already; root is no other for it.
fn is_ours(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == rustix::process::geteuid().as_raw())
}

/// The directory, made if it is missing, without symbolic links; nobody else can enter or replace it.
fn private_directory(path: &Path) -> Result<PathBuf, SocketError> {
    let failed = |source| SocketError::Directory { path: path.to_owned(), source };
    if fs::symlink_metadata(path).is_err() {
        fs::DirBuilder::new().mode(0o700).create(path).map_err(failed)?;
    }
    let real = path.canonicalize().map_err(failed)?;
    let own = rustix::process::geteuid().as_raw();
    let found = fs::symlink_metadata(&real).map_err(failed)?;
    if !found.is_dir() || found.uid() != own || found.mode() & 0o077 != 0 {
        return Err(SocketError::NotPrivate { path: path.to_owned() });
    }
    for above in real.ancestors().skip(1) {
        let found = fs::symlink_metadata(above).map_err(failed)?;
        let sticky = found.mode() & 0o1000 != 0;
        if ![0, own].contains(&found.uid()) || found.mode() & 0o022 != 0 && !sticky {
            return Err(SocketError::Above { path: above.to_owned() });
        }
    }
    Ok(real)
}

/// Removes the socket of a server that is gone; anything else stays, and is an error.
fn make_room(path: &Path) -> Result<(), SocketError> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(SocketError::Occupied { path: path.to_owned() });
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(SocketError::InUse { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|source| SocketError::Listen { path: path.to_owned(), source })
        }
        Err(source) => Err(SocketError::Listen { path: path.to_owned(), source }),
    }
}
