//! From the files of all layers to [`Settings`].
//!
//! Reads each file once, from one descriptor; a file that is not there costs one failed open. A
//! file that cannot be read or understood is an error, never an empty one.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode};

use super::list::List;
use super::locations::Locations;
use super::merge::{Layered, Standing, block_own_files, hush_session_bus, merge, widens};
use super::read::{Mistake, Position, Problem, read};
use super::replace::{Links, read_at};
use super::schema::Document;
use super::trust::{Trust, TrustError};
use super::{Layer, Settings, entry};

/// Settings could not be loaded; nothing may run.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("read the settings file {path:?}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{}:{}:{}: {problem}", .path.display(), .position.line, .position.column)]
    Malformed { path: PathBuf, position: Position, problem: Problem },
    #[error("{option} {text:?}: expected {expected}")]
    Flag { option: String, text: String, expected: &'static str },
    #[error(
        "the organisation's settings {path:?} count only if root owns them and nobody else can write them (owner {uid}, mode {mode:o})"
    )]
    Exposed { path: PathBuf, uid: u32, mode: u32 },
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// What flags and variables say: a document that stands in no file, and chosen profiles.
#[derive(Debug, Clone, Default)]
pub struct Runtime {
    pub document: Document,
    /// In the order in which they were named; they stand below the flags, above every file.
    pub profiles: Vec<(PathBuf, Document)>,
}

impl Settings {
    /// Loads and merges every layer.
    pub fn load(locations: &Locations, runtime: Runtime) -> Result<Self, SettingsError> {
        let mut layers = Vec::with_capacity(8);
        layers.extend(organisation(&locations.organisation)?);
        check_flags(&runtime.document)?;
        layers.push(Layered {
            layer: Layer::Runtime,
            file: None,
            standing: Standing::Full,
            document: runtime.document,
        });
        layers.extend(runtime.profiles.into_iter().map(|(file, document)| Layered {
            layer: Layer::Runtime,
            file: Some(file.into()),
            standing: Standing::Full,
            document,
        }));
        repository(locations, &mut layers)?;
        let user = locations.user_file();
        if let Some((document, _)) = open(&user)? {
            let file = Some(user.into());
            layers.push(Layered { layer: Layer::User, file, standing: Standing::Full, document });
        }
        layers.push(defaults());
        let mut settings = merge(&layers);
        let organisation = locations.organisation.parent().unwrap_or(&locations.organisation);
        let own = [locations.user_directory(), locations.state_directory(), organisation.to_owned()];
        // What a command could write would be run outside of its sandbox.
        let hooks: Vec<PathBuf> =
            settings.approval.hooks.pre_command.iter().flat_map(|hook| &hook.value).map(PathBuf::from).collect();
        // Each file by its own name too: it may be a link to where a run may write.
        let read = layers.into_iter().filter_map(|layer| layer.file.map(|file| file.to_path_buf()));
        let runtime = locations.runtime_dir.iter().map(|runtime| runtime.join("askance"));
        block_own_files(&mut settings, own.into_iter().chain(runtime).chain(hooks).chain(read));
        if let Some(runtime_dir) = &locations.runtime_dir {
            hush_session_bus(&mut settings, runtime_dir);
        }
        Ok(settings)
    }
}

/// The built-in layer.
fn defaults() -> Layered {
    Layered { layer: Layer::Default, file: None, standing: Standing::Full, document: super::defaults::document() }
}

/// The layers that come from the workspace, nearest first.
fn repository(locations: &Locations, layers: &mut Vec<Layered>) -> Result<(), SettingsError> {
    let folders = locations.folder_files().into_iter().map(|file| (Layer::Folder, file));
    let project = [locations.local_file(), locations.project_file()];
    let project = project.into_iter().map(|file| (Layer::Project, file));
    let mut trust = None;
    for (layer, file) in folders.chain(project) {
        let Some((document, bytes)) = open(&file)? else { continue };
        let standing = if widens(&document) {
            let trust = match &mut trust {
                Some(trust) => trust,
                none => none.insert(Trust::read(locations)?),
            };
            if trust.covers(&file, &bytes) { Standing::Full } else { Standing::Untrusted }
        } else {
            Standing::Full
        };
        layers.push(Layered { layer, file: Some(file.into()), standing, document });
    }
    Ok(())
}

/// The organisation's file: absent, or root's alone, or an error.
fn organisation(path: &Path) -> Result<Option<Layered>, SettingsError> {
    let failed = |source| SettingsError::Read { path: path.to_owned(), source };
    let Some(content) = read_at(CWD, path, Links::Follow).map_err(failed)? else {
        // A link that leads nowhere, or no directory where one should be: something was meant to be there.
        let directory = path.parent().unwrap_or(path);
        let strange = |path: &Path| path.symlink_metadata().is_ok_and(|found| !found.is_dir());
        return if strange(path) || strange(directory) {
            Err(failed(io::ErrorKind::NotFound.into()))
        } else {
            Ok(None)
        };
    };
    let exposed = |uid, mode| SettingsError::Exposed { path: path.to_owned(), uid, mode };
    if content.uid() != 0 || content.writable_by_others() {
        return Err(exposed(content.uid(), content.mode_bits()));
    }
    // Who can write the directory can put another file there.
    let real = path.canonicalize().map_err(failed)?;
    for directory in [path, &real].map(|path| path.parent().unwrap_or(path)) {
        let directory = rustix::fs::stat(directory).map_err(|e| failed(e.into()))?;
        let mode = Mode::from_raw_mode(directory.st_mode & 0o7777);
        if directory.st_uid != 0 || mode.intersects(Mode::WGRP | Mode::WOTH) {
            return Err(exposed(directory.st_uid, mode.as_raw_mode()));
        }
    }
    let document = understand(path, &content.bytes)?;
    let file = Some(path.into());
    Ok(Some(Layered { layer: Layer::Organisation, file, standing: Standing::Full, document }))
}

/// A settings file's document and content; `None` if there is no such file.
pub fn open(path: &Path) -> Result<Option<(Document, Vec<u8>)>, SettingsError> {
    let content =
        read_at(CWD, path, Links::Follow).map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    let Some(content) = content else { return Ok(None) };
    let document = understand(path, &content.bytes)?;
    Ok(Some((document, content.bytes)))
}

/// Reads the content of the settings file `path` and checks every entry.
pub fn understand(path: &Path, bytes: &[u8]) -> Result<Document, SettingsError> {
    let malformed =
        |Mistake { position, problem }| SettingsError::Malformed { path: path.to_owned(), position, problem };
    let document = read(bytes).map_err(malformed)?;
    for (key, at) in [("name", &document.name), ("description", &document.description)] {
        if let Some(at) = at {
            let problem = Problem::OnlyInProfiles { key };
            return Err(malformed(Mistake { position: at.position, problem }));
        }
    }
    entry::check(&document).map_err(malformed)?;
    Ok(document)
}

/// Reads the content of the profile `path`: a settings file that may have a name and a description.
pub(super) fn understand_profile(path: &Path, bytes: &[u8]) -> Result<Document, SettingsError> {
    let malformed =
        |Mistake { position, problem }| SettingsError::Malformed { path: path.to_owned(), position, problem };
    let document = read(bytes).map_err(malformed)?;
    entry::check(&document).map_err(malformed)?;
    Ok(document)
}

fn check_flags(document: &Document) -> Result<(), SettingsError> {
    for list in List::ALL {
        for at in list.written(document) {
            if let Err(expected) = entry::fits(list.kind(), &at.value) {
                let option = list.path();
                return Err(SettingsError::Flag { option, text: at.value.to_string(), expected });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
