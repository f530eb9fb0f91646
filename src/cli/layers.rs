//! From flags to locations and loaded settings: what every subcommand that needs a policy does first.

use super::args::PolicyFlags;
use super::grant::{self, TargetError};
use crate::settings::profile::{self, ProfileError};
use crate::settings::read::At;
use crate::settings::{registries, Document, LocationError, Locations, Runtime, Settings, SettingsError};

/// Flags or files that make no settings.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LayersError {
    #[error(transparent)]
    Location(#[from] LocationError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error(transparent)]
    Target(#[from] TargetError),
}

/// The locations that the flags name and the settings of all layers.
pub(crate) fn load(flags: &PolicyFlags) -> Result<(Locations, Settings), LayersError> {
    load_with(flags, Document::default())
}

/// The same, with what other flags say in `document`.
pub(crate) fn load_with(
    flags: &PolicyFlags,
    document: Document,
) -> Result<(Locations, Settings), LayersError> {
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
pub(crate) fn runtime(
    flags: &PolicyFlags,
    mut document: Document,
) -> Result<(Locations, Runtime), LayersError> {
    let locations = Locations::find(flags.workspace.as_deref(), flags.cwd.as_deref())?;
    let files = &mut document.sandbox.filesystem;
    files.allow_read.extend(paths(&flags.allow_read, &locations)?);
    files.allow_write.extend(paths(&flags.allow_write, &locations)?);
    let network = &mut document.sandbox.network;
    for domain in &flags.allow_domain {
        network.allowed_domains.push(At::nowhere(grant::domain(domain)?));
    }
    for socket in &flags.allow_unix {
        network.allow_unix_sockets.push(At::nowhere(grant::socket(socket, &locations)?));
    }
    let mut runtime = Runtime { document, profiles: Vec::new() };
    for name in &flags.profile {
        runtime.add(profile::find(name, &locations)?);
    }
    Ok((locations, runtime))
}

fn paths(
    flags: &[std::ffi::OsString],
    locations: &Locations,
) -> Result<Vec<At<String>>, TargetError> {
    flags.iter().map(|path| grant::path(path, locations).map(At::nowhere)).collect()
}
