//! Where settings, state and the workspace are.
//!
//! Reads the environment and looks for the enclosing repository; opens no settings file.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::users;

/// The organisation's settings file. Nothing moves it: what could name another could widen it.
const ORGANISATION: &str = "/etc/askance/settings.json";

/// Every place that settings come from or go to. All paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locations {
    /// Real, if it exists.
    pub home: PathBuf,
    /// `$XDG_CONFIG_HOME`, else `~/.config`.
    pub config_home: PathBuf,
    /// `$XDG_STATE_HOME`, else `~/.local/state`.
    pub state_home: PathBuf,
    /// `$XDG_CACHE_HOME`, else `~/.cache`.
    pub cache_home: PathBuf,
    /// `$XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
    /// Real: no symbolic link in it.
    pub workspace: PathBuf,
    /// Where the command starts. Real; outside the workspace there are no folder settings.
    pub cwd: PathBuf,
    pub organisation: PathBuf,
}

/// A place that settings need could not be found.
#[derive(Debug, thiserror::Error)]
pub enum LocationError {
    #[error("find the home directory: HOME is not an absolute path and the user database names none")]
    Home,
    #[error("find the working directory")]
    WorkingDirectory(#[source] io::Error),
    #[error("find the directory {path:?}")]
    Directory { path: PathBuf, source: io::Error },
    #[error("{path:?} is not a directory")]
    NotADirectory { path: PathBuf },
}

impl Locations {
    /// The locations for a command that starts in `cwd` (else the caller's working directory) with
    /// `workspace` (else the enclosing repository's root, else `cwd`).
    pub fn find(workspace: Option<&Path>, cwd: Option<&Path>) -> Result<Self, LocationError> {
        let named = || users::find(rustix::process::getuid().as_raw()).map(|user| user.home);
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from).or_else(named);
        let home = home.filter(|home| home.is_absolute()).ok_or(LocationError::Home)?;
        // Accesses are judged by real paths, so what is below `~` has to be one.
        let home = home.canonicalize().unwrap_or(home);
        let cwd = match cwd {
            Some(cwd) => real_directory(cwd)?,
            None => std::env::current_dir().map_err(LocationError::WorkingDirectory)?,
        };
        let workspace = match workspace {
            Some(workspace) => real_directory(workspace)?,
            None => enclosing_repository(&cwd, &home).unwrap_or_else(|| cwd.clone()),
        };
        let below_home = |variable: &str, default: &str| absolute(variable).unwrap_or_else(|| home.join(default));
        Ok(Self {
            config_home: below_home("XDG_CONFIG_HOME", ".config"),
            state_home: below_home("XDG_STATE_HOME", ".local/state"),
            cache_home: below_home("XDG_CACHE_HOME", ".cache"),
            runtime_dir: absolute("XDG_RUNTIME_DIR"),
            organisation: PathBuf::from(ORGANISATION),
            home,
            workspace,
            cwd,
        })
    }

    /// askance's own settings directory of the user.
    pub fn user_directory(&self) -> PathBuf {
        self.config_home.join("askance")
    }

    pub fn user_file(&self) -> PathBuf {
        self.user_directory().join("settings.json")
    }

    /// The user's own profiles.
    pub fn profile_directory(&self) -> PathBuf {
        self.user_directory().join("profiles")
    }

    /// The project's settings, shared through its repository.
    pub fn project_file(&self) -> PathBuf {
        self.workspace.join(".askance/settings.json")
    }

    /// The project's settings of this user alone: where "allow always" is written.
    pub fn local_file(&self) -> PathBuf {
        self.workspace.join(".askance/settings.local.json")
    }

    /// What askance remembers: trust, journals.
    pub fn state_directory(&self) -> PathBuf {
        self.state_home.join("askance")
    }

    /// Where sessions with a name are: below `$XDG_RUNTIME_DIR` if that is this user's alone, else in the
    /// state directory.
    pub fn session_directory(&self) -> PathBuf {
        let own = |directory: &Path| {
            let found = directory.metadata();
            found.is_ok_and(|found| {
                found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0
            })
        };
        match self.runtime_dir.as_deref().filter(|directory| own(directory)) {
            Some(runtime) => runtime.join("askance/sessions"),
            None => self.state_directory().join("sessions"),
        }
    }

    /// The settings files of the folders from `cwd` up to, and without, the workspace's root.
    pub fn folder_files(&self) -> Vec<PathBuf> {
        let Ok(_) = self.cwd.strip_prefix(&self.workspace) else { return Vec::new() };
        self.cwd
            .ancestors()
            .take_while(|folder| *folder != self.workspace)
            .map(|folder| folder.join(".askance/settings.json"))
            .collect()
    }
}

/// The variable's value if it is an absolute path; the XDG specification says to ignore others.
fn absolute(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

fn real_directory(path: &Path) -> Result<PathBuf, LocationError> {
    let failed = |source| LocationError::Directory { path: path.to_owned(), source };
    let real = path.canonicalize().map_err(failed)?;
    if real.is_dir() { Ok(real) } else { Err(LocationError::NotADirectory { path: real }) }
}

/// The root of the repository that `cwd` is in. A repository at the home directory or above it is
/// not a workspace, and neither is one that somebody else planted (`man 1 git-config`,
/// `safe.directory`).
fn enclosing_repository(cwd: &Path, home: &Path) -> Option<PathBuf> {
    let home = home.canonicalize().unwrap_or_else(|_| home.to_owned());
    let uid = rustix::process::geteuid().as_raw();
    cwd.ancestors()
        .take_while(|folder| !home.starts_with(folder))
        .find(|folder| is_repository(folder, uid))
        .map(Path::to_owned)
}

fn is_repository(folder: &Path, uid: u32) -> bool {
    let git = folder.join(".git");
    let Ok(metadata) = git.symlink_metadata() else { return false };
    let ours = uid == 0 || metadata.uid() == uid || metadata.uid() == 0;
    let real = if metadata.is_file() {
        let mut start = [0; 8];
        std::fs::File::open(&git).and_then(|mut file| file.read_exact(&mut start)).is_ok_and(|()| &start == b"gitdir: ")
    } else {
        git.join(OsStr::new("HEAD")).symlink_metadata().is_ok()
    };
    ours && real
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn locations(workspace: &str, cwd: &str) -> Locations {
        Locations {
            home: "/home/u".into(),
            config_home: "/home/u/.config".into(),
            state_home: "/home/u/.local/state".into(),
            cache_home: "/home/u/.cache".into(),
            runtime_dir: None,
            workspace: workspace.into(),
            cwd: cwd.into(),
            organisation: ORGANISATION.into(),
        }
    }

    #[test]
    fn folder_files_stand_between_the_workspace_and_the_working_directory_nearest_first() {
        let table: [(&str, &str, &[&str]); 4] = [
            ("/w", "/w", &[]),
            ("/w", "/w/a/b", &["/w/a/b/.askance/settings.json", "/w/a/.askance/settings.json"]),
            ("/w", "/elsewhere/a", &[]),
            ("/w", "/wider/a", &[]),
        ];
        for (workspace, cwd, expected) in table {
            let files = locations(workspace, cwd).folder_files();
            assert_eq!(files, expected.iter().map(PathBuf::from).collect::<Vec<_>>(), "{cwd}");
        }
    }

    #[test]
    fn the_workspace_is_the_enclosing_repository_but_never_the_home_directory() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("home");
        let project = home.join("project");
        let inner = project.join("src/deep");
        fs::create_dir_all(&inner).unwrap();
        assert_eq!(enclosing_repository(&inner, &home), None);

        fs::create_dir(home.join(".git")).unwrap();
        fs::write(home.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
        assert_eq!(enclosing_repository(&inner, &home), None, "dotfiles in a repository");

        fs::create_dir(project.join(".git")).unwrap();
        assert_eq!(enclosing_repository(&inner, &home), None, "a .git without a HEAD");
        fs::write(project.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
        assert_eq!(enclosing_repository(&inner, &home), Some(project.clone()));

        fs::write(project.join("src/.git"), "gitdir: ../.git/modules/src\n").unwrap();
        assert_eq!(enclosing_repository(&inner, &home), Some(project.join("src")));
    }
}
