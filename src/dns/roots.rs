//! The certificate authorities that vouch for encrypted name servers: the machine's own.
//!
//! Owns finding them. It brings none along, so that an organisation's additions and removals count.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Where distributions keep the bundle, in one file each.
const BUNDLES: [&str; 6] = [
    // Debian, Alpine, Arch.
    "/etc/ssl/certs/ca-certificates.crt",
    // Fedora, RHEL.
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    // openSUSE.
    "/var/lib/ca-certificates/ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// `SSL_CERT_FILE`, as OpenSSL has it, else the distribution's bundle.
pub(super) fn bundle() -> Option<PathBuf> {
    if let Some(file) = std::env::var_os("SSL_CERT_FILE") {
        return Some(file.into());
    }
    BUNDLES.iter().map(PathBuf::from).find(|path| path.exists())
}

/// A TLS client that trusts the authorities in `bundle`. Entries that cannot be read are passed
/// over, as OpenSSL does; a bundle without any is an error.
pub(super) fn client(bundle: Option<&Path>) -> io::Result<ClientConfig> {
    let bundle = bundle.ok_or(io::ErrorKind::NotFound)?;
    let entries = CertificateDer::pem_file_iter(bundle).map_err(io::Error::other)?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(entries.flatten());
    if roots.is_empty() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(client)
}
