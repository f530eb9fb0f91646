//! What one entry of a list of paths covers.

use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::Places;
use super::any_depth::{self, Name};
use super::components::{as_path, key, lexical, plain};
use super::glob::{LazyGlob, escape, first_meta, is_meta, unescape};
use super::lists::Problem;

/// What one entry covers.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    /// The path and everything beneath it.
    Literal(PathBuf),
    /// Consecutive components, wherever they stand; each may be a glob.
    AnyDepth(Vec<Name>),
    /// A glob over whole paths; what is beneath a match is covered too.
    Glob { matcher: LazyGlob, literal_prefix: PathBuf },
}

/// Reads one entry: `~/x`, `/x`, `./x` or `x` (beneath the workspace), `**/x` (any depth), globs.
/// A backslash takes the meaning from the character after it.
pub(super) fn parse(text: &str, places: &Places) -> Result<Pattern, Problem> {
    if text.is_empty() {
        return Err(Problem::Empty);
    }
    if let Some(names) = text.strip_prefix("**/")
        && !names.contains("**")
    {
        return any_depth::parse(names).map(Pattern::AnyDepth);
    }
    let text = text.strip_suffix("/**").unwrap_or(text);
    if let Some(path) = unescaped(text, places) {
        return Ok(Pattern::Literal(path));
    }
    let absolute = if text == "~" {
        escape(&places.home)
    } else if let Some(rest) = text.strip_prefix("~/") {
        [&escape(&places.home), "/", rest].concat()
    } else if text.starts_with('/') || text.is_empty() {
        text.to_owned()
    } else {
        [&escape(&places.workspace), "/", text.strip_prefix("./").unwrap_or(text)].concat()
    };
    if absolute.contains('\0') {
        return Err(Problem::Path);
    }
    match first_meta(&absolute) {
        None => Ok(Pattern::Literal(normalise(unescape(&absolute)))),
        Some(at) => {
            let prefix = &absolute[..absolute[..at].rfind('/').unwrap_or(0)];
            Ok(Pattern::Glob { matcher: LazyGlob::parse(&absolute)?, literal_prefix: normalise(unescape(prefix)) })
        }
    }
}

/// An entry that is spelled without any escape, glob or detour, which nearly all are: some three hundred
/// at each start.
fn unescaped(text: &str, places: &Places) -> Option<PathBuf> {
    let (place, rest) = match text.strip_prefix("~/") {
        Some(rest) => (places.home.as_path(), rest),
        None => (Path::new("/"), text.strip_prefix('/')?),
    };
    let odd = rest.bytes().any(|byte| byte == 0 || is_meta(byte))
        || rest.split('/').any(|name| matches!(name, "" | "." | ".."));
    let place = key(place);
    (!odd && is_plain(as_path(place))).then(|| as_path(&[place, b"/", rest.as_bytes()].concat()).to_owned())
}

fn is_plain(path: &Path) -> bool {
    path.is_absolute() && matches!(plain(path), std::borrow::Cow::Borrowed(_))
}

fn normalise(path: Vec<u8>) -> PathBuf {
    let path = PathBuf::from(std::ffi::OsString::from_vec(path));
    if is_plain(&path) {
        return path;
    }
    lexical(&path)
}
