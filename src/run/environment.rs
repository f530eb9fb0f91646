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

/// Filters `inherited` by the settings' patterns and points temporary and cache directories at the
/// run's own.
pub(super) fn build(inherited: impl Iterator<Item = (OsString, OsString)>, env: &Env, places: &Places) -> Environment {
    let own = places_of(places);
    let replaced: HashSet<&str> = own.iter().map(|(name, _)| *name).collect();
    let mut variables = Vec::new();
    let mut removed = Vec::new();
    for (name, value) in inherited {
        let word = name.to_string_lossy();
        if is_credential(&word, env) {
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

fn is_credential(name: &str, env: &Env) -> bool {
    let listed = |list: &[crate::settings::Sourced<String>]| list.iter().any(|entry| matches(&entry.value, name));
    listed(&env.remove) && !listed(&env.allow)
}

/// `*` stands for any run of characters; letters match in either case.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_ascii_uppercase(), name.to_ascii_uppercase());
    let mut parts = pattern.split('*');
    let Some(rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut rest = rest;
    let mut last = None;
    for part in parts {
        last = Some(part);
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    match last {
        None => rest.is_empty(),
        Some(part) => name.ends_with(part) && name.len() >= pattern.len() - pattern.matches('*').count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names_in_either_case() {
        let table = [
            ("*_TOKEN", "GITHUB_TOKEN", true),
            ("*_TOKEN", "github_token", true),
            ("*_TOKEN", "TOKENIZER", false),
            ("AWS_*", "AWS_REGION", true),
            ("*SECRET*", "MY_SECRET_KEY", true),
            ("*SECRET*", "SECRET", true),
            ("PATH", "PATH", true),
            ("PATH", "MANPATH", false),
            ("A*A", "A", false),
            ("*", "ANY", true),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(matches(pattern, name), expected, "{pattern} against {name}");
        }
    }
}
