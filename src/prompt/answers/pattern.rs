//! The TARGET of an answers file's line: which targets it covers.

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::error::{Expected, LineError};
use super::words::{Word, literal};
use crate::policy::{Host, Operation, Target, UnixName};

/// What a line covers.
#[derive(Debug)]
pub(super) enum Pattern {
    Path(PathPattern),
    /// Names, addresses and `name=address`, with a port or any.
    Host {
        host: GlobMatcher,
        port: Option<u16>,
    },
    /// An abstract Unix socket, without its `@`.
    Abstract(GlobMatcher),
    Command {
        words: Vec<GlobMatcher>,
        end: End,
    },
}

/// A glob over real paths; `DIR/**` covers `DIR` as well, and names it.
#[derive(Debug)]
pub(super) struct PathPattern {
    glob: GlobMatcher,
    /// The glob of `DIR` in `DIR/**`.
    directory: Option<GlobMatcher>,
}

/// What may follow a command's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Anything,
    Nothing,
}

impl Pattern {
    /// `words` is one word except for commands; it is never empty.
    pub(super) fn parse(operation: Operation, words: &[Word], home: &Path) -> Result<Self, LineError> {
        match operation {
            Operation::Read | Operation::Write => PathPattern::parse(&words[0], home).map(Self::Path),
            Operation::Unix => match words[0].glob.strip_prefix('@') {
                Some(name) => Ok(Self::Abstract(glob(&words[0], name, Separator::Ordinary)?)),
                None => PathPattern::parse(&words[0], home).map(Self::Path),
            },
            Operation::Connect | Operation::Bind => host(&words[0]),
            Operation::Command => command(words),
        }
    }

    pub(super) fn covers(&self, target: &Target) -> bool {
        match (self, target) {
            (Self::Path(pattern), Target::Path(path) | Target::Unix(UnixName::Path(path))) => pattern.covers(path),
            (Self::Host { host, port }, Target::Host { host: name, port: to }) => {
                port.is_none_or(|port| port == *to) && host.is_match(bare(name))
            }
            (Self::Host { host, port }, Target::Resolved { name, address, port: to }) => {
                // A line about names says nothing about the addresses they turn out to have.
                port.is_none_or(|port| port == *to)
                    && host.glob().glob().contains('=')
                    && host.is_match(format!("{name}={address}"))
            }
            (Self::Host { host, port }, Target::Socket(address)) => {
                port.is_none_or(|port| port == address.port()) && host.is_match(address.ip().to_string())
            }
            (Self::Abstract(pattern), Target::Unix(UnixName::Abstract(name))) => {
                std::str::from_utf8(name).is_ok_and(|name| pattern.is_match(name))
            }
            (Self::Command { words, end }, Target::Command(argv)) => covers_command(words, *end, argv),
            _ => false,
        }
    }

    /// The directory that "always directory" means for this target, where the pattern names one.
    pub(super) fn directory(&self, target: &Target) -> Option<PathBuf> {
        let (Self::Path(PathPattern { directory: Some(directory), .. }), Target::Path(path)) = (self, target) else {
            return None;
        };
        path.ancestors().filter(|ancestor| directory.is_match(ancestor)).last().map(Path::to_owned)
    }
}

impl PathPattern {
    fn parse(word: &Word, home: &Path) -> Result<Self, LineError> {
        let text = absolute(word, home)?;
        let directory = match text.strip_suffix("/**") {
            None => None,
            Some("") => Some(glob(word, "/", Separator::Slash)?),
            Some(directory) => Some(glob(word, directory, Separator::Slash)?),
        };
        Ok(Self { glob: glob(word, &text, Separator::Slash)?, directory })
    }

    fn covers(&self, path: &Path) -> bool {
        self.glob.is_match(path) || self.directory.as_ref().is_some_and(|directory| directory.is_match(path))
    }
}

/// The pattern with `~` expanded and without a trailing slash.
fn absolute(word: &Word, home: &Path) -> Result<String, LineError> {
    let wrong = |expected| LineError::new(word.column, expected);
    if word.glob == "*" {
        return Ok("/**".to_owned());
    }
    let text = match word.glob.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            let home = home.to_str().ok_or(wrong(Expected::Utf8Home))?;
            format!("{}{rest}", literal(home.trim_end_matches('/')))
        }
        Some(_) => return Err(wrong(Expected::Path)),
        None if word.glob.starts_with('/') || word.glob.starts_with("**/") => word.glob.clone(),
        None => return Err(wrong(Expected::Path)),
    };
    let trimmed = text.trim_end_matches('/');
    Ok(if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() })
}

/// Whether a `*` crosses a `/`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Separator {
    Slash,
    Ordinary,
}

fn glob(word: &Word, text: &str, separator: Separator) -> Result<GlobMatcher, LineError> {
    GlobBuilder::new(text)
        .literal_separator(separator == Separator::Slash)
        .backslash_escape(true)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|source| LineError { column: word.column, expected: Expected::Glob, source: Some(source) })
}

fn host(word: &Word) -> Result<Pattern, LineError> {
    let (host, port) = split_port(&word.glob);
    let port = match port {
        None | Some("*") => None,
        Some(port) => match port.parse() {
            Ok(0) | Err(_) => return Err(LineError::new(word.column, Expected::Port)),
            Ok(port) => Some(port),
        },
    };
    let host = normalised(host).ok_or(LineError::new(word.column, Expected::Host))?;
    Ok(Pattern::Host { host: glob(word, &host, Separator::Ordinary)?, port })
}

/// `host:port`, `[v6]:port`, `v6` and `host`: a colon begins a port after a bracket, or where it is
/// the only one.
fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if host.ends_with(']') || !host.contains(':') => (host, Some(port)),
        _ => (text, None),
    }
}

/// Brackets removed from addresses; names in lower case, without a trailing dot, as A-labels.
fn normalised(host: &str) -> Option<String> {
    let (name, address) = match host.split_once('=') {
        Some((name, address)) => (Some(name), Some(address)),
        None => (Some(host), None),
    };
    let strip = |text: &str| text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text).to_owned();
    let name = strip(name?).to_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    let (wildcard, rest) = match name.strip_prefix("*.") {
        Some(rest) => ("*.", rest),
        None => ("", name),
    };
    let rest = if rest.is_ascii() { rest.to_owned() } else { idna::domain_to_ascii(rest).ok()? };
    if rest.is_empty() || rest.contains('/') {
        return None;
    }
    Some(match address {
        Some(address) => format!("{wildcard}{rest}={}", strip(address)),
        None => format!("{wildcard}{rest}"),
    })
}

fn bare(host: &Host) -> String {
    match host {
        Host::Name(name) => name.clone(),
        Host::Address(address) => address.to_string(),
    }
}

fn command(words: &[Word]) -> Result<Pattern, LineError> {
    let exact = words[0].glob.starts_with('=');
    let rest = words.len() > 1 && words.last().is_some_and(|word| word.keyword() == Some("*"));
    let count = if rest && !exact { words.len() - 1 } else { words.len() };
    let mut globs = Vec::with_capacity(count);
    for (index, word) in words[..count].iter().enumerate() {
        let text = if index == 0 { word.glob.strip_prefix('=').unwrap_or(&word.glob) } else { &word.glob };
        globs.push(glob(word, text, Separator::Ordinary)?);
    }
    Ok(Pattern::Command { words: globs, end: if exact { End::Nothing } else { End::Anything } })
}

fn covers_command(words: &[GlobMatcher], end: End, argv: &[String]) -> bool {
    let long_enough = match end {
        End::Anything => argv.len() >= words.len(),
        End::Nothing => argv.len() == words.len(),
    };
    long_enough
        && words.iter().zip(argv).enumerate().all(|(index, (word, argument))| {
            word.is_match(argument)
                || (index == 0 && !word.glob().glob().contains('/') && word.is_match(base_name(argument)))
        })
}

fn base_name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}
