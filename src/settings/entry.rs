//! Is an entry of a list one that means something? Checked where its file, line and column are known. And: the entry that
//! means one path.
//!
//! Only the form: what an entry covers is `policy`'s to say.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::str::FromStr;

use super::list::{EntryKind, List};
use super::read::{Mistake, Problem};
use super::schema::Document;

/// Checks every entry of every list.
pub(super) fn check(document: &Document) -> Result<(), Mistake> {
    for list in List::ALL {
        for (index, at) in list.written(document).iter().enumerate() {
            if let Err(expected) = fits(list.kind(), &at.value) {
                let problem = Problem::WrongValue {
                    key: format!("{}[{index}]", list.path()),
                    expected: expected.to_owned(),
                    found: at.value.to_string(),
                };
                return Err(Mistake { position: at.position, problem });
            }
        }
    }
    for (index, hook) in document.hooks.pre_command.iter().enumerate() {
        if hook.value.0.first().is_none_or(|program| !program.starts_with('/')) {
            let problem = Problem::WrongValue {
                key: format!("hooks.preCommand[{index}]"),
                expected: "a program's absolute path, alone or first in a list".to_owned(),
                found: hook.value.0.join(" "),
            };
            return Err(Mistake { position: hook.position, problem });
        }
    }
    Ok(())
}

/// `Err` says what was expected.
pub fn fits(kind: EntryKind, text: &str) -> Result<(), &'static str> {
    let (good, expected) = match kind {
        EntryKind::Path => (is_path(text), "a path: `/x`, `~/x`, `x` below the workspace, `**/x` at any depth"),
        EntryKind::Domain => (
            is_domain(text),
            "`example.com`, `*.example.com`, `*`, an address or a CIDR block, each with an optional `:port`, or `name=address`",
        ),
        EntryKind::UnixSocket => (is_socket(text), "a socket's path, or `@name` for an abstract one"),
        EntryKind::Command => (is_command(text), "shell words, `=` in front for exactly these"),
        EntryKind::Nameserver => {
            (is_nameserver(text), "`address`, `address:port`, `tls://host` or `https://host/path`")
        }
        EntryKind::Variable => (is_variable(text), "a variable's name, in which `*` matches anything"),
    };
    if good { Ok(()) } else { Err(expected) }
}

/// A path as the entry of a list that means just this path; `None` if it is not UTF-8.
pub fn literal(path: &Path) -> Option<String> {
    let text = path.to_str()?;
    let mut entry = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '{' | '}' | '\\') {
            entry.push('\\');
        }
        entry.push(character);
    }
    Some(entry)
}

fn is_path(text: &str) -> bool {
    let named_home = text.starts_with('~') && text != "~" && !text.starts_with("~/");
    let depth = text.strip_prefix("**/").unwrap_or(text);
    !text.trim().is_empty()
        && !text.contains('\0')
        && !named_home
        && !depth.is_empty()
        && !text.split('/').any(|part| part == "..")
        && is_glob(text)
}

/// Brackets and braces are closed; a backslash has something to escape.
fn is_glob(text: &str) -> bool {
    if !text.contains(['*', '?', '[', '{', '}', '\\']) {
        return true;
    }
    globset::GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build().is_ok()
}

fn is_socket(text: &str) -> bool {
    match text.strip_prefix('@') {
        Some(name) => !name.is_empty(),
        None => is_path(text) && !text.starts_with("**/"),
    }
}

fn is_command(text: &str) -> bool {
    !text.strip_prefix('=').unwrap_or(text).trim().is_empty() && !text.contains('\0')
}

fn is_variable(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c == '=' || c == '\0' || c.is_whitespace())
}

fn is_nameserver(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix("tls://").or_else(|| text.strip_prefix("https://")) {
        let host = rest.split('/').next().unwrap_or_default();
        return is_domain(host) && !host.contains(['*', '=']);
    }
    IpAddr::from_str(text).is_ok() || SocketAddr::from_str(text).is_ok()
}

fn is_domain(text: &str) -> bool {
    if let Some((name, rest)) = text.split_once('=') {
        return is_name(name) && split_port(rest).is_some_and(|host| IpAddr::from_str(host).is_ok());
    }
    let Some(host) = split_port(text) else { return false };
    if host == "*" {
        return true;
    }
    if let Some((address, prefix)) = host.split_once('/') {
        let width = match IpAddr::from_str(address) {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        return u8::from_str(prefix).is_ok_and(|prefix| prefix <= width);
    }
    IpAddr::from_str(host).is_ok() || is_name(host.strip_prefix("*.").unwrap_or(host))
}

/// The text without its port; `None` if the port is none.
fn split_port(text: &str) -> Option<&str> {
    let good = |port: &str| u16::from_str(port).is_ok_and(|port| port > 0);
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        return match port.strip_prefix(':') {
            Some(port) => good(port).then_some(address),
            None => port.is_empty().then_some(address),
        };
    }
    match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Some(text),
        Some((host, port)) => good(port).then_some(host),
        None => Some(text),
    }
}

fn is_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let Ok(ascii) = idna::domain_to_ascii(name) else { return false };
    let label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(plain)
    };
    let numeric = ascii.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    ascii.len() <= 253 && ascii.split('.').all(label) && !numeric
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_mean_something_are_told_from_those_that_do_not() {
        let table: [(EntryKind, &[&str], &[&str]); 6] = [
            (
                EntryKind::Path,
                &["/", "~", "~/x", "/x y", "x", "./x", "**/.git/hooks", "/a/*.c", "/a/[ab]", "/a\\*b", "/srv/**"],
                &["", " ", "~other/x", "**/", "/a\0b", "/a/[b", "../x", "/a/../b", "/x{a,b"],
            ),
            (
                EntryKind::Domain,
                &[
                    "example.com",
                    "*.example.com",
                    "example.com:443",
                    "EXAMPLE.com.",
                    "bücher.example",
                    "*",
                    "*:443",
                    "localhost",
                    "10.0.0.1",
                    "10.0.0.0/8",
                    "10.0.0.1:80",
                    "::1",
                    "[::1]:80",
                    "fd00::/8",
                    "api.example.com=10.0.0.1",
                    "api.example.com=[::1]:8443",
                ],
                &[
                    "",
                    "https://example.com",
                    "example.com/path",
                    "example.com:0",
                    "example.com:65536",
                    "*x",
                    "*.",
                    "a.*.example.com",
                    "10.0.0.0/33",
                    "1.2.3",
                    "0x7f.1",
                    "a b.example",
                    "x=y",
                    "[::1",
                ],
            ),
            (EntryKind::UnixSocket, &["/run/docker.sock", "@name", "~/s", "/run/user/*/bus"], &["", "@", "**/s"]),
            (EntryKind::Command, &["git status", "=ls", "npm *"], &["", "=", "  "]),
            (
                EntryKind::Nameserver,
                &[
                    "127.0.0.1",
                    "127.0.0.1:5353",
                    "::1",
                    "[::1]:53",
                    "tls://dns.example.com",
                    "https://dns.example.com/dns-query",
                ],
                &["", "dns.example.com", "tls://", "http://dns.example.com", "127.0.0.1:0x"],
            ),
            (EntryKind::Variable, &["TOKEN", "*_TOKEN", "AWS_*"], &["", "A B", "A=b"]),
        ];
        for (kind, good, bad) in table {
            for text in good {
                assert_eq!(fits(kind, text), Ok(()), "{kind:?} {text:?}");
            }
            for text in bad {
                assert!(fits(kind, text).is_err(), "{kind:?} {text:?}");
            }
        }
    }
}
