//! The places of one run: a short private temporary directory, the workspace's cache, and the
//! repository that a `.git` file names.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::journal::Journal;
use crate::policy::{Places, SilentYes};
use crate::sandbox::{Directories, Nursery, PrivateDirectory, unused_name};
use crate::settings::Locations;
use sha2::{Digest, Sha256};

/// A place could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    #[error("make the run's temporary directory")]
    Temporary(#[source] io::Error),
    #[error("make the workspace's cache {path:?}")]
    Cache { path: PathBuf, source: io::Error },
    #[error("the workspace's cache {path:?} belongs to user {owner}, or others can write it")]
    ForeignCache { path: PathBuf, owner: u32 },
}

/// The run's places; the cache is made, the temporary directory named.
pub(super) fn find(locations: &Locations) -> Result<Places, PlaceError> {
    let cache = cache(locations)?;
    Ok(Places {
        home: locations.home.clone(),
        workspace: locations.workspace.clone(),
        temporary: unused_name(Path::new("/tmp")).map_err(PlaceError::Temporary)?,
        cache,
        git_dirs: git_dirs(&locations.workspace),
        nursery: None,
        read_only: false,
    })
}

/// Makes the run's temporary directory, which is removed when the value is dropped.
pub(super) fn make_temporary(directories: &Directories) -> Result<PrivateDirectory, PlaceError> {
    PrivateDirectory::make(&directories.temporary).map_err(PlaceError::Temporary)
}

/// Makes the run's own directories, which its floor then grants. They are removed when they are dropped.
pub(super) fn furnish(
    directories: &Directories,
    journal: &Journal,
) -> Result<(Vec<PrivateDirectory>, Option<Nursery>), PlaceError> {
    let mut own = vec![make_temporary(directories)?];
    let made = directories.nursery.as_deref().map(Nursery::make).transpose();
    let made = made.inspect_err(|error| without_nursery(journal, error)).ok().flatten();
    let nursery = made.map(|(nursery, home)| {
        own.push(home);
        nursery
    });
    Ok((own, nursery))
}

fn without_nursery(journal: &Journal, error: &io::Error) {
    journal.note(format!("what is made beside a denied file cannot be executed in this run: {error}"));
}

/// Where something in the workspace is denied to readers, what is made beside it needs a place to come from.
pub(super) fn nursery(places: &Places, read: &SilentYes, journal: &Journal) -> Option<PathBuf> {
    let workspace = &places.workspace;
    let splits = |carve: &PathBuf| carve != workspace && carve.starts_with(workspace) && carve.exists();
    if !read.carve.iter().any(splits) {
        return None;
    }
    let git = workspace.join(".git");
    let waiting = [Path::new("/tmp"), places.cache.parent().unwrap_or(&places.cache), &git, workspace];
    Nursery::place(workspace, &waiting).inspect_err(|error| without_nursery(journal, error)).ok()
}

/// The places that a run would have, without making any: what `askance why` judges by.
pub(super) fn foreseen(locations: &Locations) -> Places {
    let cache = cache_of(locations);
    Places {
        home: locations.home.clone(),
        workspace: locations.workspace.clone(),
        temporary: PathBuf::from("/tmp/ask.of-the-run"),
        cache: cache.canonicalize().unwrap_or(cache),
        git_dirs: git_dirs(&locations.workspace),
        nursery: None,
        read_only: false,
    }
}

/// A cache of its own for each workspace: what a shared one holds is executed elsewhere later.
fn cache(locations: &Locations) -> Result<PathBuf, PlaceError> {
    let path = cache_of(locations);
    let failed = |source| PlaceError::Cache { path: path.clone(), source };
    let found = match fs::symlink_metadata(&path) {
        Ok(found) => found,
        Err(_) => {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(failed)?;
            fs::symlink_metadata(&path).map_err(failed)?
        }
    };
    let uid = rustix::process::geteuid().as_raw();
    if !found.is_dir() || found.uid() != uid || found.mode() & 0o022 != 0 {
        return Err(PlaceError::ForeignCache { path, owner: found.uid() });
    }
    path.canonicalize().map_err(failed)
}

fn cache_of(locations: &Locations) -> PathBuf {
    let name = Sha256::digest(locations.workspace.as_os_str().as_bytes());
    let name: String = name.iter().take(10).map(|byte| format!("{byte:02x}")).collect();
    locations.cache_home.join("askance").join(name)
}

/// The repository behind a `.git` *file* (worktree, submodule), if it points back here: a file in
/// a repository is not a friend, and could name any directory.
fn git_dirs(workspace: &Path) -> Vec<PathBuf> {
    let dot_git = workspace.join(".git");
    let Some(git_dir) = pointed_to(&dot_git, "gitdir: ") else { return Vec::new() };
    let backlink = pointed_to(&git_dir.join("gitdir"), "").is_some_and(|back| back == dot_git);
    if !backlink && !is_submodule_of(&git_dir, workspace) {
        return Vec::new();
    }
    let common = pointed_to(&git_dir.join("commondir"), "");
    let common = common.filter(|common| git_dir.starts_with(common.join("worktrees")));
    let mut dirs = vec![git_dir];
    dirs.extend(common);
    dirs
}

/// The path in a small file, relative to that file's directory, made real.
fn pointed_to(file: &Path, prefix: &str) -> Option<PathBuf> {
    let found = fs::symlink_metadata(file).ok()?;
    if !found.is_file() || found.len() > 8192 {
        return None;
    }
    let text = fs::read_to_string(file).ok()?;
    let target = file.parent()?.join(text.strip_prefix(prefix)?.trim_end_matches('\n'));
    target.canonicalize().ok()
}

/// Does the Git directory's own `core.worktree` lead to the workspace?
fn is_submodule_of(git_dir: &Path, workspace: &Path) -> bool {
    let Ok(config) = fs::read_to_string(git_dir.join("config")) else { return false };
    let worktree = config.lines().filter_map(|line| line.trim().strip_prefix("worktree"));
    let mut values = worktree.filter_map(|rest| rest.trim_start().strip_prefix('='));
    values.any(|value| git_dir.join(value.trim()).canonicalize().is_ok_and(|real| real == workspace))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn repository() -> (TempDir, PathBuf, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let base = root.path().canonicalize().unwrap();
        let (git_dir, workspace) = (base.join("main/.git/worktrees/w"), base.join("w"));
        fs::create_dir_all(&git_dir).unwrap();
        fs::create_dir_all(&workspace).unwrap();
        fs::write(workspace.join(".git"), format!("gitdir: {}\n", git_dir.display())).unwrap();
        fs::write(git_dir.join("commondir"), "../..\n").unwrap();
        (root, git_dir, workspace)
    }

    #[test]
    fn a_worktree_is_followed_when_its_repository_points_back() {
        let (_root, git_dir, workspace) = repository();
        fs::write(git_dir.join("gitdir"), format!("{}\n", workspace.join(".git").display())).unwrap();
        let common = git_dir.parent().unwrap().parent().unwrap().to_owned();
        assert_eq!(git_dirs(&workspace), [git_dir, common]);
    }

    #[test]
    fn a_git_file_that_names_somebody_elses_directory_is_not_followed() {
        let (_root, git_dir, workspace) = repository();
        assert_eq!(git_dirs(&workspace), [] as [PathBuf; 0]);
        fs::write(git_dir.join("gitdir"), "/somewhere/else/.git\n").unwrap();
        assert_eq!(git_dirs(&workspace), [] as [PathBuf; 0]);
    }

    #[test]
    fn a_submodule_is_followed_when_its_worktree_is_this_one() {
        let (_root, git_dir, workspace) = repository();
        fs::write(git_dir.join("config"), "[core]\n\tworktree = ../../../../w\n").unwrap();
        assert_eq!(git_dirs(&workspace).first(), Some(&git_dir));
    }
}
