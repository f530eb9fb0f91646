//! From flags to locations and loaded settings: what every subcommand that needs a policy does first.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::flags::PolicyFlags;
use super::target::{self, TargetError};
use crate::settings::load::understand;
use crate::settings::profile::{self, ProfileError};
use crate::settings::read::{At, Text};
use crate::settings::{Document, LocationError, Locations, Runtime, Settings, SettingsError, registries};

/// Settings as text, in the form of a settings file: below the flags, above every file.
const SETTINGS_VARIABLE: &str = "ASKANCE_SETTINGS";

/// Profiles, separated by commas, as if `--profile` named them.
const PROFILE_VARIABLE: &str = "ASKANCE_PROFILE";

/// The workspace, where `--workspace` does not name it.
const WORKSPACE_VARIABLE: &str = "ASKANCE_WORKSPACE";

/// Flags or files that make no settings.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LayersError {
    #[error("the workspace would be the whole file system: change into a directory, or name one with --workspace")]
    WholeFileSystem,
    #[error(transparent)]
    Location(#[from] LocationError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error(transparent)]
    Target(#[from] TargetError),
}

/// The locations that flags and variables name.
pub(crate) fn locations(workspace: Option<&Path>, cwd: Option<&Path>) -> Result<Locations, LocationError> {
    let inherited = std::env::var_os(WORKSPACE_VARIABLE).filter(|workspace| !workspace.is_empty());
    Locations::find(workspace.or(inherited.as_deref().map(Path::new)), cwd)
}

/// The locations that the flags name and the settings of all layers.
pub(crate) fn load(flags: &PolicyFlags) -> Result<(Locations, Settings), LayersError> {
    load_with(flags, Document::default())
}

/// The same, with what other flags say in `document`.
pub(crate) fn load_with(flags: &PolicyFlags, document: Document) -> Result<(Locations, Settings), LayersError> {
    let (locations, runtime) = runtime(flags, document)?;
    let settings = settings(&locations, &runtime)?;
    Ok((locations, settings))
}

/// All layers, and the registries that the profiles in use take from package managers.
pub(crate) fn settings(locations: &Locations, runtime: &Runtime) -> Result<Settings, SettingsError> {
    let mut settings = Settings::load(locations, runtime.clone())?;
    registries::allow(&mut settings, locations);
    Ok(settings)
}

/// The locations that the flags name and what the flags say.
pub(crate) fn runtime(flags: &PolicyFlags, mut document: Document) -> Result<(Locations, Runtime), LayersError> {
    let locations = bounded(flags.workspace.as_deref(), flags.cwd.as_deref())?;
    let files = &mut document.sandbox.filesystem;
    files.allow_read.extend(paths(&flags.allow_read, &locations)?);
    files.allow_write.extend(paths(&flags.allow_write, &locations)?);
    let blocked = paths(&flags.block, &locations)?;
    files.block_read.extend(blocked.iter().cloned());
    files.block_write.extend(blocked);
    let network = &mut document.sandbox.network;
    for socket in &flags.block {
        network.block_unix_sockets.push(At::nowhere(target::socket(socket, &locations)?.into()));
    }
    for domain in &flags.allow_domain {
        network.allowed_domains.push(At::nowhere(target::domain(domain)?.into()));
    }
    for socket in &flags.allow_unix {
        network.allow_unix_sockets.push(At::nowhere(target::socket(socket, &locations)?.into()));
    }
    let mut runtime = Runtime { document, profiles: Vec::new() };
    if let Some(text) = std::env::var_os(SETTINGS_VARIABLE) {
        let name = PathBuf::from(SETTINGS_VARIABLE);
        let document = understand(&name, text.as_bytes())?;
        runtime.profiles.push((name, document));
    }
    let inherited = std::env::var_os(PROFILE_VARIABLE).unwrap_or_default();
    let inherited = inherited.as_bytes().split(|&byte| byte == b',').filter(|name| !name.is_empty());
    let named = flags.profile.iter().map(OsString::as_os_str);
    for name in named.chain(inherited.map(OsStr::from_bytes)) {
        runtime.add(profile::find(name, &locations)?);
    }
    Ok((locations, runtime))
}

/// The locations of something that runs. Its workspace is written without asking: all of `/` only for somebody who says so.
pub(crate) fn bounded(workspace: Option<&Path>, cwd: Option<&Path>) -> Result<Locations, LayersError> {
    let found = locations(workspace, cwd)?;
    let inherited = || std::env::var_os(WORKSPACE_VARIABLE).is_some_and(|workspace| !workspace.is_empty());
    if found.workspace == Path::new("/") && workspace.is_none() && !inherited() {
        return Err(LayersError::WholeFileSystem);
    }
    Ok(found)
}

fn paths(flags: &[OsString], locations: &Locations) -> Result<Vec<At<Text>>, TargetError> {
    flags.iter().map(|path| target::path(path, locations).map(|path| At::nowhere(path.into()))).collect()
}
