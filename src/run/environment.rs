//! The command's environment: the caller's without credentials, with the run's own places.

use std::collections::HashSet;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::policy::Places;
use crate::settings::Env;

/// What the command gets, and the names of what it does not get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Environment {
    pub(super) variables: Vec<CString>,
    pub(super) removed: Vec<String>,
}

impl Environment {
    /// Settings for every Git of the command, above its configuration files (`man 1 git`,
    /// `GIT_CONFIG_COUNT`); what the caller configured so stays below them.
    pub(super) fn configure_git(&mut self, settings: &[(&str, &str)]) {
        let count = self.variables.iter().find_map(|pair| pair.to_bytes().strip_prefix(b"GIT_CONFIG_COUNT="));
        let before: usize = count.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()).unwrap_or(0);
        self.variables.retain(|pair| !pair.to_bytes().starts_with(b"GIT_CONFIG_COUNT="));
        let mut add = |name: String, value: &str| self.variables.extend(pair(name.as_bytes(), value.as_bytes()));
        for (index, (key, value)) in (before..).zip(settings) {
            add(format!("GIT_CONFIG_KEY_{index}"), key);
            add(format!("GIT_CONFIG_VALUE_{index}"), value);
        }
        add("GIT_CONFIG_COUNT".to_owned(), &(before + settings.len()).to_string());
    }
}

/// Filters `inherited` by the settings' patterns and points temporary and cache directories at the
/// run's own.
pub(super) fn build(inherited: impl Iterator<Item = (OsString, OsString)>, env: &Env, places: &Places) -> Environment {
    let own = places_of(places);
    let replaced: HashSet<&str> = own.iter().map(|(name, _)| *name).collect();
    let mut variables = Vec::new();
    let mut removed = Vec::new();
    for (name, value) in inherited {
        let word = name.to_string_lossy();
        if env.removes(&word) {
            removed.push(word.into_owned());
        } else if !replaced.contains(word.as_ref()) {
            variables.extend(pair(name.as_bytes(), value.as_bytes()));
        }
    }
    for (name, value) in own {
        variables.extend(pair(name.as_bytes(), value.as_bytes()));
    }
    removed.sort();
    Environment { variables, removed }
}

fn pair(name: &[u8], value: &[u8]) -> Option<CString> {
    CString::new([name, b"=", value].concat()).ok()
}

fn places_of(places: &Places) -> Vec<(&'static str, OsString)> {
    let beneath = |part: &str| places.cache.join(part).into_os_string();
    let temporary = || places.temporary.clone().into_os_string();
    vec![
        ("TMPDIR", temporary()),
        ("XDG_CACHE_HOME", places.cache.clone().into_os_string()),
        ("npm_config_cache", beneath("npm")),
        ("PIP_CACHE_DIR", beneath("pip")),
        ("GOCACHE", beneath("go-build")),
        ("GOMODCACHE", beneath("go-mod")),
    ]
}
