//! Profiles: named settings that a run adds, shipped or written by the user.
//!
//! A profile is a settings file with a name and a description. Chosen by a flag, it stands below
//! the other flags and above every file but the organisation's.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Runtime;
use super::load::{SettingsError, understand_profile};
use super::locations::Locations;
use super::nearest::nearest;
use super::schema::Document;

/// The lowest layer of every run already: as a flag it adds nothing, or it would outrank the user.
const DEFAULT: &str = r#"{
  "name": "default",
  "description": "Reads everything but credentials, writes the workspace, asks for every domain. Every run has it."
}"#;

/// The shipped profiles, in the order in which they are listed.
const SHIPPED: [(&str, &str); 9] = [
    ("default", DEFAULT),
    ("read-only", include_str!("../../policies/read-only.jsonc")),
    ("ci", include_str!("../../policies/ci.jsonc")),
    ("mission", include_str!("../../policies/mission.jsonc")),
    ("rust", include_str!("../../policies/rust.jsonc")),
    ("node", include_str!("../../policies/node.jsonc")),
    ("python", include_str!("../../policies/python.jsonc")),
    ("go", include_str!("../../policies/go.jsonc")),
    ("git", include_str!("../../policies/git.jsonc")),
];

/// A profile that was found.
#[derive(Debug, Clone)]
pub struct Profile {
    pub name: String,
    pub description: String,
    /// The file, or `profile NAME` for a shipped one: what sources name.
    pub file: PathBuf,
    pub document: Document,
}

/// A profile could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    #[error("there is no profile {name:?}{}", Known(.nearest, .known))]
    Unknown { name: String, nearest: Option<String>, known: Vec<String> },
    #[error("read the profile {path:?}")]
    Read { path: PathBuf, source: io::Error },
    #[error("the profile {path:?} has no {key:?}")]
    Nameless { path: PathBuf, key: &'static str },
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

struct Known<'a>(&'a Option<String>, &'a [String]);

impl std::fmt::Display for Known<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(nearest) => write!(f, ", did you mean {nearest:?}?"),
            None => write!(f, ", there are {}; a file is named with a slash", self.1.join(", ")),
        }
    }
}

/// The profile of this name, the user's own before a shipped one; or the one in this file, if the
/// text holds a slash.
pub fn find(name: &OsStr, locations: &Locations) -> Result<Profile, ProfileError> {
    if name.as_encoded_bytes().contains(&b'/') {
        return from_file(Path::new(name));
    }
    let name = name.to_string_lossy();
    for file in own_files(locations) {
        if file.file_stem().is_some_and(|stem| *stem == *name) {
            return from_file(&file);
        }
    }
    if let Some((name, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
        return Ok(shipped(name, text));
    }
    let mut known: Vec<String> = SHIPPED.iter().map(|(name, _)| (*name).to_owned()).collect();
    let own = own_files(locations);
    known.extend(own.iter().filter_map(|file| Some(file.file_stem()?.to_string_lossy().into_owned())));
    let words: Vec<&str> = known.iter().map(String::as_str).collect();
    let nearest = nearest(&name, &words);
    Err(ProfileError::Unknown { name: name.into_owned(), nearest, known })
}

/// Every profile that can be named, shipped ones first, each with what is wrong with it if it
/// cannot be used.
pub fn all(locations: &Locations) -> Vec<Result<Profile, ProfileError>> {
    let own = own_files(locations);
    let mine = |name: &str| own.iter().any(|file| file.file_stem().is_some_and(|stem| stem == name));
    let shipped = SHIPPED.iter().filter(|(name, _)| !mine(name)).map(|(name, text)| Ok(shipped(name, text)));
    shipped.chain(own.iter().map(|file| from_file(file))).collect()
}

impl Runtime {
    /// Adds a profile, once; those added first stand higher.
    pub fn add(&mut self, profile: Profile) {
        if self.profiles.iter().all(|(file, _)| *file != profile.file) {
            self.profiles.push((profile.file, profile.document));
        }
    }
}

fn shipped(name: &str, text: &str) -> Profile {
    let file = PathBuf::from(format!("profile {name}"));
    let document = understand_profile(&file, text.as_bytes()).expect("shipped profiles are well-formed");
    named(file, document).expect("shipped profiles have a name and a description")
}

fn from_file(path: &Path) -> Result<Profile, ProfileError> {
    let failed = |source| ProfileError::Read { path: path.to_owned(), source };
    let bytes = fs::read(path).map_err(failed)?;
    let document = understand_profile(path, &bytes)?;
    named(std::path::absolute(path).map_err(failed)?, document)
}

fn named(file: PathBuf, document: Document) -> Result<Profile, ProfileError> {
    let nameless = |key| ProfileError::Nameless { path: file.clone(), key };
    let name = document.name.as_ref().ok_or_else(|| nameless("name"))?.value.to_string();
    let description = document.description.as_ref().ok_or_else(|| nameless("description"))?;
    let description = description.value.to_string();
    Ok(Profile { name, description, file, document })
}

/// `*.json` and `*.jsonc` in the user's profile directory, by name.
fn own_files(locations: &Locations) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(locations.profile_directory()) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "json" || end == "jsonc"))
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::testing::Place;
    use crate::settings::{Layer, Settings};

    #[test]
    fn every_shipped_profile_is_well_formed_and_bears_its_name() {
        let place = Place::new();
        for (name, _) in SHIPPED {
            let profile = find(OsStr::new(name), &place.locations).unwrap();
            assert_eq!(profile.name, name);
            assert!(profile.description.ends_with('.'), "{name}");
            let mut runtime = Runtime::default();
            runtime.add(profile);
            Settings::load(&place.locations, runtime).unwrap();
        }
    }

    #[test]
    fn a_profile_is_found_by_name_by_file_and_the_users_own_first() {
        let place = Place::new();
        let own = place.locations.profile_directory().join("rust.jsonc");
        place.write(&own, r#"{"name": "rust", "description": "mine"}"#);
        assert_eq!(find(OsStr::new("rust"), &place.locations).unwrap().description, "mine");
        let file = place.write(
            &place.locations.workspace.join("p.json"),
            r#"{"name": "p", "description": "d", "sandbox": {"filesystem": {"allowWrite": ["/out"]}}}"#,
        );
        let profile = find(file.as_os_str(), &place.locations).unwrap();
        let mut runtime = Runtime::default();
        runtime.add(profile);
        let settings = Settings::load(&place.locations, runtime).unwrap();
        let entry = &settings.sandbox.filesystem.allow_write[0];
        assert_eq!((&*entry.value, entry.source.layer), ("/out", Layer::Runtime));
        assert_eq!(entry.source.file.as_deref(), Some(file.as_path()));
    }

    #[test]
    fn a_profile_that_cannot_be_used_says_why() {
        let place = Place::new();
        let error = |name: &str| find(OsStr::new(name), &place.locations).unwrap_err().to_string();
        assert_eq!(error("rustt"), r#"there is no profile "rustt", did you mean "rust"?"#);
        assert!(error("something-else").contains("there are default, read-only"), "{}", error("something-else"));
        let file = place.write(&place.locations.workspace.join("p.json"), r#"{"name": "p"}"#);
        assert!(error(file.to_str().unwrap()).ends_with(r#"has no "description""#));
        assert!(error("./absent.json").starts_with("read the profile"));
        let file = place.write(&place.locations.workspace.join("q.json"), "{\"name\": 1}");
        assert!(error(file.to_str().unwrap()).ends_with("q.json:1:10: name: expected a string, found a number"));
    }

    #[test]
    fn the_default_profile_does_not_lift_the_defaults_above_the_users_settings() {
        let place = Place::new();
        let mut runtime = Runtime::default();
        runtime.add(find(OsStr::new("default"), &place.locations).unwrap());
        let settings = Settings::load(&place.locations, runtime).unwrap();
        let denied = &settings.sandbox.filesystem.deny_read;
        assert!(denied.iter().all(|entry| entry.source.layer == Layer::Default));
    }
}
