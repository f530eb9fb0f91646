//! What a target on the command line means as an entry of a list.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use super::args::Subject;
use crate::policy::lexical;
use crate::settings::entry::literal;
use crate::settings::list::EntryKind;
use crate::settings::{Locations, entry};

/// A target that is no entry of a list.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("{target:?} is not UTF-8: settings files cannot name it")]
    NotUtf8 { target: PathBuf },
    #[error("{target:?} is a URL; the domain alone would be {domain:?}")]
    Url { target: String, domain: String },
    #[error("{target:?}: expected {expected}")]
    Unfit { target: String, expected: &'static str },
    #[error("make {target:?} absolute")]
    Absolute { target: String, source: std::io::Error },
}

/// The target as the entry of a list.
pub(super) fn normal(subject: Subject, target: &OsStr, locations: &Locations) -> Result<String, TargetError> {
    match subject {
        Subject::Read | Subject::Write => path(target, locations),
        Subject::Unix => socket(target, locations),
        Subject::Domain => domain(utf8(target)?),
        Subject::Command => {
            let words: Vec<&str> = utf8(target)?.split_whitespace().collect();
            fit(EntryKind::Command, words.join(" "))
        }
    }
}

/// Every way in which the target may have been written: as it resolves now and as it was typed.
pub(super) fn spellings(subject: Subject, target: &OsStr, locations: &Locations) -> Result<Vec<String>, TargetError> {
    let mut all = vec![normal(subject, target, locations)?, utf8(target)?.to_owned()];
    if matches!(subject, Subject::Read | Subject::Write | Subject::Unix) {
        let absolute = std::path::absolute(Path::new(target));
        all.extend(absolute.ok().and_then(|path| literal(&lexical(&path))));
    }
    Ok(all)
}

/// One text for all spellings of an entry that mean the same.
pub(super) fn comparable(subject: Subject, text: &str, locations: &Locations) -> String {
    match subject {
        Subject::Domain => domain(text).unwrap_or_else(|_| text.to_owned()),
        Subject::Command => text.split_whitespace().collect::<Vec<_>>().join(" "),
        Subject::Read | Subject::Write | Subject::Unix => {
            if text.starts_with("**/") || text.starts_with('@') {
                return text.to_owned();
            }
            let text = text.strip_suffix("/**").unwrap_or(text);
            let text = match text.strip_prefix('~') {
                Some(rest) => format!("{}{rest}", literal(&locations.home).unwrap_or_default()),
                None => text.to_owned(),
            };
            let below = locations.workspace.join(text);
            lexical(&below).to_string_lossy().into_owned()
        }
    }
}

/// An absolute entry below the workspace, the way that a shared file names it.
pub(super) fn below_workspace(text: &str, locations: &Locations) -> String {
    let Some(workspace) = literal(&locations.workspace) else { return text.to_owned() };
    match text.strip_prefix(&workspace) {
        Some("") => ".".to_owned(),
        Some(rest) => rest.strip_prefix('/').map_or_else(|| text.to_owned(), str::to_owned),
        None => text.to_owned(),
    }
}

/// A path target: absolute and real, so that it means what it means now.
pub(crate) fn path(target: &OsStr, locations: &Locations) -> Result<String, TargetError> {
    let text = utf8(target)?;
    if text.is_empty() || text.starts_with("**/") {
        return fit(EntryKind::Path, text.to_owned());
    }
    let text = if text == "/**" { "/" } else { text.strip_suffix("/**").unwrap_or(text) };
    let (plain, from_home) = match text.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            (locations.home.join(rest.trim_start_matches('/')), true)
        }
        _ => (PathBuf::from(text), false),
    };
    let failed = |source| TargetError::Absolute { target: text.to_owned(), source };
    let plain = std::path::absolute(&plain).map_err(failed)?;
    let globs = text.contains(['*', '?', '[', '{', '\\']) && plain.symlink_metadata().is_err();
    let entry = if globs { glob(&plain)? } else { written(&real(&plain))? };
    let entry = match entry.strip_prefix(&written(&locations.home)?) {
        Some(rest) if from_home && (rest.is_empty() || rest.starts_with('/')) => format!("~{rest}"),
        _ => entry,
    };
    fit(EntryKind::Path, entry)
}

/// The one path that a target names: absolute, `~` expanded, without symbolic links.
pub(crate) fn real_path(target: &OsStr, locations: &Locations) -> Result<PathBuf, TargetError> {
    let path = match Path::new(target).strip_prefix("~") {
        Ok(rest) => locations.home.join(rest),
        Err(_) => PathBuf::from(target),
    };
    let failed = |source| TargetError::Absolute { target: path.to_string_lossy().into_owned(), source };
    Ok(real(&std::path::absolute(&path).map_err(failed)?))
}

/// A pattern: what stands before its first special component is a place and made real.
fn glob(pattern: &Path) -> Result<String, TargetError> {
    let special =
        |component: &Component<'_>| component.as_os_str().to_string_lossy().contains(['*', '?', '[', '{', '\\']);
    let components: Vec<Component<'_>> = pattern.components().collect();
    let at = components.iter().position(special).unwrap_or(components.len());
    let place: PathBuf = components[..at].iter().collect();
    let rest: PathBuf = components[at..].iter().collect();
    let place = written(&real(&place))?;
    Ok(format!("{}/{}", place.trim_end_matches('/'), rest.display()))
}

fn written(path: &Path) -> Result<String, TargetError> {
    literal(path).ok_or_else(|| TargetError::NotUtf8 { target: path.to_owned() })
}

/// The path with links resolved as far as it exists, and the rest as it stands.
fn real(path: &Path) -> PathBuf {
    let path = lexical_if_missing(path);
    for ancestor in path.ancestors() {
        if let Ok(found) = ancestor.canonicalize() {
            let rest = path.strip_prefix(ancestor).unwrap_or(Path::new(""));
            // Joining an empty path would end it with a slash.
            return if rest.as_os_str().is_empty() { found } else { found.join(rest) };
        }
    }
    path
}

/// `..` after a link means the link's parent, so it is only resolved by hand where nothing exists.
fn lexical_if_missing(path: &Path) -> PathBuf {
    if path.canonicalize().is_ok() { path.to_owned() } else { lexical(path) }
}

/// A socket target: `@name`, or a path.
pub(crate) fn socket(target: &OsStr, locations: &Locations) -> Result<String, TargetError> {
    let text = utf8(target)?;
    if text.starts_with('@') {
        return fit(EntryKind::UnixSocket, text.to_owned());
    }
    fit(EntryKind::UnixSocket, path(target, locations)?)
}

/// A domain target: lower case, A-labels, no trailing dot; addresses in their shortest form.
pub(crate) fn domain(text: &str) -> Result<String, TargetError> {
    let text = text.trim();
    if let Some((_, rest)) = text.split_once("://") {
        let domain = rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned();
        return Err(TargetError::Url { target: text.to_owned(), domain });
    }
    fit(EntryKind::Domain, text.to_owned())?;
    if let Some((name, address)) = text.split_once('=') {
        return Ok(format!("{}={}", host(name), end(address)));
    }
    Ok(end(text))
}

/// `host`, `host:port`, `[v6]:port`, `block/length`, all of them found fit.
fn end(text: &str) -> String {
    if let Some((address, port)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let port = port.trim_start_matches(':');
        let host = host(address);
        return match port {
            "" => host,
            _ if host.contains(':') => format!("[{host}]:{port}"),
            _ => format!("{host}:{port}"),
        };
    }
    if let Some((address, length)) = text.split_once('/') {
        return format!("{}/{length}", host(address));
    }
    match text.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') => format!("{}:{port}", host(name)),
        _ => host(text),
    }
}

fn host(text: &str) -> String {
    if let Ok(address) = text.parse::<IpAddr>() {
        return address.to_string();
    }
    let (star, name) = match text.strip_prefix("*.") {
        Some(name) => ("*.", name),
        None => ("", text),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let ascii = idna::domain_to_ascii(name).unwrap_or_else(|_| name.to_ascii_lowercase());
    format!("{star}{ascii}")
}

pub(crate) fn utf8(target: &OsStr) -> Result<&str, TargetError> {
    target.to_str().ok_or_else(|| TargetError::NotUtf8 { target: target.into() })
}

fn fit(kind: EntryKind, text: String) -> Result<String, TargetError> {
    match entry::fits(kind, &text) {
        Ok(()) => Ok(text),
        Err(expected) => Err(TargetError::Unfit { target: text, expected }),
    }
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
