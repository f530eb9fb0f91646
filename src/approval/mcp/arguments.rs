//! What the arguments of a tool call name: files, and remote ends.

use serde_json::Value;
use url::Url;

use super::host;
use crate::policy::Host;

/// Strings that are looked at; what has more is asked about.
const MOST_STRINGS: usize = 1_000;
/// Longer strings are content, not names.
const LONGEST_NAME: usize = 4_096;

/// The names of arguments that are paths, whatever they look like.
const PATH_KEYS: [&str; 14] = [
    "path",
    "paths",
    "file",
    "files",
    "filepath",
    "filename",
    "filenames",
    "directory",
    "dir",
    "folder",
    "cwd",
    "root",
    "source",
    "destination",
];

/// The names of arguments that are remote ends, whatever they look like.
const HOST_KEYS: [&str; 9] = ["url", "urls", "uri", "uris", "host", "hostname", "domain", "endpoint", "address"];

/// The port where a remote end names none.
const USUAL_PORT: u16 = 443;

/// An argument that names something.
pub(super) struct Named {
    /// A JSON pointer.
    pub(super) argument: String,
    pub(super) reach: Reach,
}

pub(super) enum Reach {
    File(String),
    Remote {
        host: Host,
        port: u16,
    },
    /// Something is named, and nobody can say what.
    Unclear(String),
}

/// Everything that the arguments name.
pub(super) fn named(arguments: &Value) -> Vec<Named> {
    let mut found = Vec::new();
    let mut strings = 0;
    let mut waiting = vec![(String::new(), String::new(), arguments)];
    while let Some((pointer, key, value)) = waiting.pop() {
        match value {
            Value::String(text) => {
                strings += 1;
                if strings > MOST_STRINGS {
                    let what = format!("more than {MOST_STRINGS} texts");
                    found.push(Named { argument: pointer, reach: Reach::Unclear(what) });
                    break;
                }
                found.extend(reach(&key, text).map(|reach| Named { argument: pointer, reach }));
            }
            Value::Array(items) => {
                for (number, item) in items.iter().enumerate().rev() {
                    waiting.push((format!("{pointer}/{number}"), key.clone(), item));
                }
            }
            Value::Object(fields) => {
                for (name, field) in fields.iter().rev() {
                    let escaped = name.replace('~', "~0").replace('/', "~1");
                    waiting.push((format!("{pointer}/{escaped}"), plain(name), field));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    found
}

/// `filePath`, `file_path` and `FILE-PATH` are one key.
fn plain(key: &str) -> String {
    key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn reach(key: &str, text: &str) -> Option<Reach> {
    // As those who read URLs do.
    let trimmed = text.trim_matches(|c: char| c <= ' ');
    if trimmed.is_empty() {
        return None;
    }
    if let Some(reach) = by_scheme(trimmed) {
        return reach;
    }
    if let Some((_, host)) = trimmed.split_once(':').and_then(|(end, _)| end.split_once('@'))
        && !host.is_empty()
        && !host.contains(['/', ' '])
    {
        // `git@example.com:project`, as ssh has it.
        return Some(remote(&format!("ssh://{host}/")).unwrap_or_else(|| Reach::Unclear(shown(trimmed))));
    }
    if HOST_KEYS.contains(&key) && !trimmed.starts_with(['/', '.', '~']) {
        return Some(remote(&format!("https://{trimmed}")).unwrap_or_else(|| Reach::Unclear(shown(trimmed))));
    }
    let says_path = PATH_KEYS.contains(&key) || key.ends_with("path") || key.ends_with("dir");
    if !says_path && !looks_like_path(text) {
        return None;
    }
    match text.contains('\0') || text.len() > LONGEST_NAME {
        true => Some(Reach::Unclear(shown(text))),
        false => Some(Reach::File(text.to_owned())),
    }
}

/// What a URL names: `None` is no URL, `Some(None)` one that names nothing.
#[allow(clippy::option_option, reason = "both are answers")]
fn by_scheme(text: &str) -> Option<Option<Reach>> {
    // What a browser takes for a URL, tabs, newlines and backslashes in it included.
    let (scheme, rest) = text.split_once(':')?;
    let scheme: String = scheme.chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).collect();
    let begins = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    if !begins || !scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    let special = ["http", "https", "ws", "wss", "ftp", "file"].contains(&scheme.to_ascii_lowercase().as_str());
    let slashes = rest.starts_with("//");
    if !special && !slashes {
        return None;
    }
    if text.len() > LONGEST_NAME * 4 {
        return Some(Some(Reach::Unclear(shown(text))));
    }
    Some(Some(match Url::parse(text) {
        Ok(url) if url.scheme() == "file" => match url.to_file_path() {
            Ok(path) => path.to_str().map_or(Reach::Unclear(shown(text)), |path| Reach::File(path.to_owned())),
            Err(()) => Reach::Unclear(shown(text)),
        },
        Ok(_) => remote(text).unwrap_or_else(|| Reach::Unclear(shown(text))),
        Err(_) => Reach::Unclear(shown(text)),
    }))
}

fn remote(text: &str) -> Option<Reach> {
    let url = Url::parse(text).ok()?;
    let port = url.port_or_known_default().unwrap_or(match url.scheme() {
        "ssh" | "git+ssh" | "sftp" => 22,
        "git" => 9418,
        _ => USUAL_PORT,
    });
    // Hosts of schemes that browsers do not know are left as written: read them as those that they know.
    let known = if url.host_str().is_some() && !["http", "https", "ws", "wss", "ftp"].contains(&url.scheme()) {
        Url::parse(&format!("https://{}/", url.host_str()?)).ok()?
    } else {
        url
    };
    Some(Reach::Remote { host: host(known.host()?), port })
}

/// A word with a slash in it, or a text that begins like a path.
fn looks_like_path(text: &str) -> bool {
    if text.contains('\n') || text.len() > LONGEST_NAME {
        return false;
    }
    let begins = ["/", "~/", "./", "../"].iter().any(|start| text.starts_with(start));
    begins || matches!(text, "~" | "..") || (text.contains('/') && !text.contains(char::is_whitespace))
}

fn shown(text: &str) -> String {
    text.chars().take(200).collect()
}
