//! What an approver's connection has to show.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Bytes that a token has at least: fewer can be guessed.
const LEAST: usize = 16;

/// The digest of a token; the token itself is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token([u8; 32]);

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("read the token {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} can be read by others; make it private: chmod 600 {path}")]
    Open { path: PathBuf },
    #[error("{path} holds fewer than {LEAST} characters; make one: head -c 32 /dev/urandom | base64 > {path}")]
    Short { path: PathBuf },
}

impl Token {
    /// The token in a file that nobody else can read.
    pub fn load(path: &Path) -> Result<Self, TokenError> {
        let failed = |source| TokenError::Read { path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
        let file: File = file.map_err(failed)?;
        let found = file.metadata().map_err(failed)?;
        if !found.is_file() || found.mode() & 0o077 != 0 || found.uid() != rustix::process::geteuid().as_raw() {
            return Err(TokenError::Open { path: path.to_owned() });
        }
        let mut text = String::new();
        file.take(4096).read_to_string(&mut text).map_err(failed)?;
        let text = text.trim();
        if text.len() < LEAST {
            return Err(TokenError::Short { path: path.to_owned() });
        }
        Ok(Self(Sha256::digest(text).into()))
    }

    /// Digests are compared: how long that takes says nothing about the token.
    pub(super) fn is(&self, shown: &str) -> bool {
        Self(Sha256::digest(shown.trim()).into()) == *self
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_private_and_long_enough() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let write = |text: &str, mode| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            Token::load(&path)
        };
        assert!(matches!(Token::load(&path), Err(TokenError::Read { .. })));
        assert!(matches!(write("0123456789abcdef", 0o644), Err(TokenError::Open { .. })));
        assert!(matches!(write("short\n", 0o600), Err(TokenError::Short { .. })));
        let token = write("0123456789abcdef\n", 0o600).unwrap();
        assert!(token.is("0123456789abcdef") && !token.is("0123456789abcdeF") && !token.is(""));
        assert!(matches!(Token::load(dir.path()), Err(TokenError::Open { .. })));
    }
}
