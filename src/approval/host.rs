//! The real machine behind [`Surroundings`]: looks at files, changes nothing.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::languages::git::running_key;
use super::request::Surroundings;

/// The machine that askance runs on.
pub struct Host<'a> {
    /// The `PATH` that the command will have.
    path: OsString,
    cwd: PathBuf,
    /// May the sandbox write this real path without a question?
    writable: Box<dyn Fn(&Path) -> bool + Send + Sync + 'a>,
}

impl<'a> Host<'a> {
    /// `path` is the command's `PATH`; entries that are not absolute count from `cwd`.
    pub fn new(path: OsString, cwd: PathBuf, writable: impl Fn(&Path) -> bool + Send + Sync + 'a) -> Host<'a> {
        Host { path, cwd, writable: Box::new(writable) }
    }
}

impl std::fmt::Debug for Host<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("path", &self.path).field("cwd", &self.cwd).finish_non_exhaustive()
    }
}

impl Surroundings for Host<'_> {
    fn find_program(&self, name: &str) -> Option<PathBuf> {
        std::env::split_paths(&self.path).find_map(|directory| {
            // An empty entry is the current directory.
            let candidate = self.cwd.join(directory).join(name);
            let metadata = candidate.metadata().ok()?;
            (metadata.is_file() && metadata.permissions().mode() & 0o111 != 0).then_some(candidate)
        })
    }

    fn sandbox_may_write(&self, path: &Path) -> bool {
        (self.writable)(path) || real(path).is_some_and(|real| (self.writable)(&real))
    }

    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        real(path)
    }

    fn is_mount_point(&self, path: &Path) -> bool {
        let Some(parent) = path.parent() else {
            return true;
        };
        match (path.symlink_metadata(), parent.metadata()) {
            (Ok(own), Ok(above)) => own.is_dir() && own.dev() != above.dev(),
            _ => false,
        }
    }

    fn is_block_device(&self, path: &Path) -> bool {
        path.metadata().is_ok_and(|metadata| metadata.file_type().is_block_device())
    }

    fn repository_runs(&self, dir: &Path) -> Option<String> {
        let git_dir = dir.ancestors().find_map(git_dir)?;
        // A worktree's or submodule's own directory names the common one.
        let common = std::fs::read_to_string(git_dir.join("commondir")).ok().map(|text| git_dir.join(text.trim()));
        let files = [common.unwrap_or_else(|| git_dir.clone()).join("config"), git_dir.join("config.worktree")];
        files.iter().find_map(|file| {
            match std::fs::read(file) {
                Ok(bytes) => running_key(&String::from_utf8_lossy(&bytes)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                // What cannot be read may say anything.
                Err(_) => Some("unreadable".into()),
            }
        })
    }
}

/// What the kernel calls what a path leads to. Costs the same however deep that lies, unlike a look at each component.
fn real(path: &Path) -> Option<PathBuf> {
    let held = File::options().read(true).custom_flags(libc::O_PATH).open(path).ok()?;
    let named = std::fs::read_link(format!("/proc/self/fd/{}", held.as_raw_fd()));
    // Without /proc.
    named.or_else(|_| path.canonicalize()).ok().filter(|real| real.is_absolute())
}

/// The repository's directory for a work tree at `dir`, or `dir` itself where it is a bare one.
fn git_dir(dir: &Path) -> Option<PathBuf> {
    let dot_git = dir.join(".git");
    match dot_git.metadata() {
        Ok(metadata) if metadata.is_dir() => return Some(dot_git),
        Ok(_) => {
            let text = std::fs::read_to_string(&dot_git).ok()?;
            return Some(dir.join(text.trim().strip_prefix("gitdir:")?.trim()));
        }
        Err(_) => {}
    }
    let bare = dir.join("HEAD").is_file() && dir.join("objects").is_dir() && dir.join("refs").is_dir();
    bare.then(|| dir.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `realpath` says, for links, what is not there, and what leads nowhere or in a circle.
    #[test]
    fn a_real_path_is_what_a_look_at_each_component_gives() {
        use std::os::unix::fs::symlink;
        let scene = tempfile::tempdir().unwrap();
        let at = |name: &str| scene.path().join(name);
        std::fs::create_dir_all(at("a/b")).unwrap();
        std::fs::write(at("a/b/file"), "").unwrap();
        symlink("a/b", at("link")).unwrap();
        symlink("link/file", at("second")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        symlink("circle", at("circle")).unwrap();
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        let names =
            ["a", "a/b/file", "link", "link/file", "second", "dangling", "circle", "none", "a/b/file/x", "fifo"];
        for path in names.iter().map(|name| at(name)).chain(["/".into(), "/proc/self/cwd".into(), "/dev/null".into()]) {
            assert_eq!(real(&path), path.canonicalize().ok(), "{}", path.display());
        }
    }
}
