//! Which registries a package manager is configured to use, asked of the manager itself.
//!
//! A repository may not widen anything: managers are asked outside the workspace, so that its
//! configuration files do not count, and never through a program that lies in the workspace. No
//! registry is named here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::entry::fits;
use super::list::EntryKind;
use super::schema::PackageManager;
use super::{Locations, Settings, Sourced};

/// A manager that takes longer is treated as one that says nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// Adds the registries of every manager that the settings name to the allowed domains, with the
/// source of the entry that named the manager.
pub fn allow(settings: &mut Settings, locations: &Locations) {
    // Asking takes a while, and settings are loaded again whenever a file changes during a run.
    static KNOWN: Mutex<BTreeMap<PackageManager, BTreeSet<String>>> = Mutex::new(BTreeMap::new());
    let managers = settings.sandbox.network.package_registries.clone();
    for Sourced { value, source } in managers {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let domains = known.entry(value).or_insert_with(|| domains(value, locations));
        for domain in domains.iter().cloned() {
            let entry = Sourced { value: domain.into(), source: source.clone() };
            settings.sandbox.network.allowed_domains.push(entry);
        }
    }
}

/// `host:port` of each registry that the manager is configured to use now.
pub fn domains(manager: PackageManager, locations: &Locations) -> BTreeSet<String> {
    let urls = match manager {
        PackageManager::Npm => npm(locations),
        PackageManager::Pip => pip(locations),
        PackageManager::Go => go(locations),
        PackageManager::Cargo => cargo(locations),
    };
    urls.iter().filter_map(|url| domain(url)).collect()
}

fn npm(locations: &Locations) -> Vec<String> {
    let mut urls = vec![ask(locations, "npm", &["config", "get", "registry"])];
    // Registries of single scopes: `@scope:registry=URL`.
    let file = fs::read_to_string(locations.home.join(".npmrc")).unwrap_or_default();
    urls.extend(file.lines().filter_map(|line| {
        let (key, url) = line.split_once('=')?;
        let scoped = key.trim().starts_with('@') && key.trim().ends_with(":registry");
        scoped.then(|| url.trim().to_owned())
    }));
    urls
}

fn pip(locations: &Locations) -> Vec<String> {
    let set = ask(locations, "python3", &["-m", "pip", "config", "list"]);
    let of = |key: &str| {
        let lines = set.lines().filter_map(|line| line.split_once('='));
        let values = lines.filter(|(name, _)| name.rsplit('.').next() == Some(key));
        let values =
            values.flat_map(|(_, value)| value.trim_matches('\'').split(|c: char| c.is_whitespace() || c == '\\'));
        values.map(|url| url.trim_start_matches('n').to_owned()).collect::<Vec<_>>()
    };
    let mut urls = of("index-url");
    if urls.is_empty() {
        const DEFAULTS: &str = "from pip._internal.models.index import PyPI; \
            print(PyPI.simple_url); print('https://' + PyPI.file_storage_domain)";
        let defaults = ask(locations, "python3", &["-c", DEFAULTS]);
        urls.extend(defaults.lines().map(str::to_owned));
    }
    urls.extend(of("extra-index-url"));
    urls
}

fn go(locations: &Locations) -> Vec<String> {
    let set = ask(locations, "go", &["env", "GOPROXY", "GOSUMDB"]);
    let mut lines = set.lines();
    let proxies = lines.next().unwrap_or_default();
    let mut urls: Vec<String> = proxies.split([',', '|']).map(str::to_owned).collect();
    // `NAME`, `NAME+KEY` or `NAME+KEY URL`; the name alone is a host.
    let checksums = lines.next().unwrap_or_default();
    match checksums.split_once(' ') {
        Some((_, url)) => urls.push(url.to_owned()),
        None if checksums != "off" => {
            let name = checksums.split('+').next().unwrap_or_default();
            urls.push(format!("https://{name}"));
        }
        None => {}
    }
    urls
}

/// cargo prints no default: what it is set to, and what the indexes that it has fetched so far say.
/// Runs cannot make or change those (see `policies/rust.jsonc`).
fn cargo(locations: &Locations) -> Vec<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.filter(|home| home.is_absolute()).unwrap_or_else(|| locations.home.join(".cargo"));
    if home.starts_with(&locations.workspace) {
        return Vec::new();
    }
    let mut urls = Vec::new();
    for name in ["config.toml", "config"] {
        let file = fs::read_to_string(home.join(name)).unwrap_or_default();
        urls.extend(file.lines().filter_map(|line| {
            let (key, value) = line.split_once('=')?;
            let named = matches!(key.trim(), "index" | "registry");
            named.then(|| value.trim().trim_matches('"').to_owned())
        }));
    }
    let Ok(indexes) = fs::read_dir(home.join("registry/index")) else { return urls };
    // A link to an index could be made by a run, under any name.
    let indexes = indexes.filter_map(Result::ok).filter(|index| index.file_type().is_ok_and(|kind| kind.is_dir()));
    for index in indexes {
        let Ok(config) = fs::read(index.path().join("config.json")) else { continue };
        let Ok(config) = serde_json::from_slice::<serde_json::Value>(&config) else { continue };
        urls.extend(config["dl"].as_str().map(str::to_owned));
        // `HOST-HASH`.
        let name = index.file_name().to_string_lossy().into_owned();
        urls.extend(name.rsplit_once('-').map(|(host, _)| format!("https://{host}")));
    }
    urls
}

/// `host:port` of a URL such as `sparse+https://user@host:8443/path`.
fn domain(url: &str) -> Option<String> {
    let (scheme, rest) = url.trim().split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let default = match scheme.rsplit('+').next()? {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let bare = host.strip_prefix('[').map_or(!host.contains(':'), |rest| rest.ends_with(']'));
    let entry = if bare { format!("{host}:{default}") } else { host.to_owned() };
    let entry = entry.to_ascii_lowercase();
    let plain = !entry.contains(['*', '=', '/']);
    (plain && fits(EntryKind::Domain, &entry).is_ok()).then_some(entry)
}

/// What a program prints when it is asked in `/`; nothing if it is not there, fails or takes too long.
fn ask(locations: &Locations, program: &str, arguments: &[&str]) -> String {
    let Some(program) = installed(program, &locations.workspace) else { return String::new() };
    let child = Command::new(program)
        .args(arguments)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return String::new() };
    let Some(mut output) = child.stdout.take() else { return String::new() };
    // A few lines: they fit in the pipe, so the program never waits for the reader.
    let since = Instant::now();
    let ended = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status.success(),
            Ok(None) if since.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(5)),
            _ => break false,
        }
    };
    if !ended {
        // It may have ended by itself meanwhile.
        let _ = child.kill();
        let _ = child.wait();
        return String::new();
    }
    let mut text = String::new();
    let read = output.by_ref().take(64 * 1024).read_to_string(&mut text);
    if read.is_ok() { text.trim().to_owned() } else { String::new() }
}

/// The program on `PATH`, in a directory that is no part of the workspace.
fn installed(program: &str, workspace: &Path) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(program))
        .filter(|file| file.is_file())
        .find(|file| file.canonicalize().is_ok_and(|real| !real.starts_with(workspace) && !file.starts_with(workspace)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::testing::Place;

    #[test]
    fn urls_become_hosts_with_ports() {
        let table = [
            ("https://registry.example.com/", Some("registry.example.com:443")),
            ("http://127.0.0.1:4873", Some("127.0.0.1:4873")),
            ("http://[::1]/", Some("[::1]:80")),
            ("http://[::1]:4873/", Some("[::1]:4873")),
            ("sparse+https://Index.example.com/x/", Some("index.example.com:443")),
            ("https://user:secret@registry.example.com:8443/a?b", Some("registry.example.com:8443")),
            ("https://*.example.com/", None),
            ("file:///srv/registry", None),
            ("direct", None),
            ("undefined", None),
            ("", None),
        ];
        for (url, expected) in table {
            assert_eq!(domain(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn cargo_is_believed_where_a_repository_cannot_write() {
        let place = Place::new();
        let home = place.locations.home.join(".cargo");
        place.write(&home.join("config.toml"), "[registries.x]\nindex = \"sparse+https://index.example.com/\"\n");
        let index = home.join("registry/index/mirror.example.com-1cd66030c949c28d");
        place.write(&index.join("config.json"), r#"{"dl": "https://files.example.com/crates", "api": null}"#);
        std::os::unix::fs::symlink(&index, index.with_file_name("linked.example.com-1cd66030c949c28d")).unwrap();
        if std::env::var_os("CARGO_HOME").is_none() {
            let found = cargo(&place.locations);
            let found: BTreeSet<String> = found.iter().filter_map(|url| domain(url)).collect();
            let expected = ["files.example.com:443", "index.example.com:443", "mirror.example.com:443"];
            assert_eq!(found, expected.map(str::to_owned).into());
        }
    }

    #[test]
    fn a_program_in_the_workspace_is_not_asked() {
        let workspace = PathBuf::from("/usr");
        assert_eq!(installed("env", &workspace), None);
        assert!(installed("env", Path::new("/nonexistent")).is_some());
    }
}
