//! Name servers over TLS and HTTPS, with a certificate made for the test.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use http::{Response, StatusCode};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::fake::{Heard, Zone, reply, serve_stream, zone_of};
use super::{at, ip};
use crate::dns::system::System;
use crate::dns::{Dns, DnsConfig, Nameserver, ResolveError, ServersError};

/// A certificate for `dns.test` and 127.0.0.1 in `dir/cert.pem`, vouched for by itself.
fn certify(dir: &Path) -> Arc<ServerConfig> {
    let (key, certificate) = (dir.join("key.pem"), dir.join("cert.pem"));
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=dns.test"])
        .args(["-addext", "subjectAltName=DNS:dns.test,IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout".as_ref(), key.as_os_str(), "-out".as_ref(), certificate.as_os_str()])
        .output()
        .expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(certificate).unwrap()],
            PrivateKeyDer::from_pem_file(key).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"dot".to_vec()];
    Arc::new(config)
}

struct Encrypted {
    address: SocketAddr,
    heard: Arc<Heard>,
}

impl Encrypted {
    /// DNS over TLS (RFC 7858).
    fn tls(config: Arc<ServerConfig>, zone: Zone) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(BTreeMap::new()));
        let (notes, zone) = (Arc::clone(&heard), Arc::new(zone));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, notes, zone) = (Arc::clone(&config), Arc::clone(&notes), Arc::clone(&zone));
                thread::spawn(move || {
                    let connection = ServerConnection::new(config).unwrap();
                    serve_stream(StreamOwned::new(connection, stream.unwrap()), &zone, &notes);
                });
            }
        });
        Self { address, heard }
    }

    /// DNS over HTTPS (RFC 8484) at `/dns-query`, by POST.
    fn https(config: Arc<ServerConfig>, zone: Zone) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(BTreeMap::new()));
        let (notes, zone) = (Arc::clone(&heard), Arc::new(zone));
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                listener.set_nonblocking(true).unwrap();
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let acceptor = tokio_rustls::TlsAcceptor::from(config);
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let (acceptor, notes, zone) = (acceptor.clone(), Arc::clone(&notes), Arc::clone(&zone));
                    tokio::spawn(async move {
                        let Ok(stream) = acceptor.accept(stream).await else { return };
                        let Ok(mut connection) = h2::server::handshake(stream).await else {
                            return;
                        };
                        while let Some(Ok((request, mut respond))) = connection.accept().await {
                            let (notes, zone) = (Arc::clone(&notes), Arc::clone(&zone));
                            tokio::spawn(async move {
                                let right = request.uri().path() == "/dns-query";
                                let mut body = request.into_body();
                                let mut query = Vec::new();
                                while let Some(Ok(data)) = body.data().await {
                                    query.extend_from_slice(&data);
                                }
                                let answer = reply(&query, &zone, &notes, false).filter(|_| right);
                                let status = if answer.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
                                let response = Response::builder()
                                    .status(status)
                                    .header("content-type", "application/dns-message")
                                    .body(())
                                    .unwrap();
                                let mut send = respond.send_response(response, false).unwrap();
                                send.send_data(answer.unwrap_or_default().into(), true).unwrap();
                            });
                        }
                    });
                }
            });
        });
        Self { address, heard }
    }
}

/// Its system has a name server that nobody is, and a hosts file.
fn dns(dir: &Path, nameserver: String) -> Dns {
    std::fs::write(dir.join("resolv.conf"), "nameserver 127.255.255.253\n").unwrap();
    std::fs::write(dir.join("hosts"), "127.0.0.1 dns.test other.test\n").unwrap();
    let mut system = System::at(dir.join("resolv.conf"), dir.join("hosts"), "vm".into());
    system.authorities = Some(dir.join("cert.pem"));
    let allowed = Box::new(|_: &str| false);
    Dns::with_system(DnsConfig { nameservers: vec![Nameserver::parse(&nameserver).unwrap()], allowed }, system)
}

fn zone() -> Zone {
    zone_of(&[("a.test", at(&["192.0.2.1"]))])
}

#[test]
fn a_name_server_over_tls_is_asked_by_address_and_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let server = Encrypted::tls(certify(dir.path()), zone());
    let port = server.address.port();
    let forms = [
        format!("tls://127.0.0.1:{port}"),
        format!("tls://127.0.0.1:{port}#dns.test"),
        format!("tls://dns.test:{port}"),
    ];
    for (count, form) in forms.into_iter().enumerate() {
        let dns = dns(dir.path(), form);
        assert_eq!(dns.resolve("a.test").unwrap(), [ip("192.0.2.1")]);
        assert!(matches!(dns.resolve("none.test"), Err(ResolveError::NoName)));
        assert_eq!(server.heard.lock().unwrap()["a.test"], 2 * (count + 1));
    }
}

#[test]
fn a_name_server_over_https_is_asked_by_address_and_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let server = Encrypted::https(certify(dir.path()), zone());
    let port = server.address.port();
    let forms = [
        format!("https://127.0.0.1:{port}"),
        format!("https://127.0.0.1:{port}/dns-query#dns.test"),
        format!("https://dns.test:{port}/dns-query"),
    ];
    for (count, form) in forms.into_iter().enumerate() {
        let dns = dns(dir.path(), form);
        assert_eq!(dns.resolve("a.test").unwrap(), [ip("192.0.2.1")]);
        assert!(matches!(dns.resolve("none.test"), Err(ResolveError::NoName)));
        assert_eq!(server.heard.lock().unwrap()["a.test"], 2 * (count + 1));
    }
    let elsewhere = dns(dir.path(), format!("https://dns.test:{port}/other"));
    assert!(matches!(elsewhere.resolve("a.test"), Err(ResolveError::Upstream(_))));
}

#[test]
fn a_certificate_for_another_name_or_from_nobody_known_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Encrypted::tls(certify(dir.path()), zone());
    let port = server.address.port();
    let wrong = dns(dir.path(), format!("tls://other.test:{port}"));
    assert!(matches!(wrong.resolve("a.test"), Err(ResolveError::Upstream(_))));
    // The authorities are now others than the one that vouches for the server.
    certify(dir.path());
    let unknown = dns(dir.path(), format!("tls://dns.test:{port}"));
    assert!(matches!(unknown.resolve("a.test"), Err(ResolveError::Upstream(_))));
    assert_eq!(*server.heard.lock().unwrap(), BTreeMap::new());
    std::fs::write(dir.path().join("cert.pem"), "nothing\n").unwrap();
    let none = dns(dir.path(), format!("tls://dns.test:{port}"));
    assert!(matches!(none.resolve("a.test"), Err(ResolveError::Servers(ServersError::Authorities(_)))));
}

#[test]
fn a_name_server_whose_name_does_not_exist_is_an_error_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    certify(dir.path());
    let dns = dns(dir.path(), "tls://nowhere.test".into());
    let error = dns.resolve("a.test").unwrap_err();
    assert!(matches!(error, ResolveError::Servers(ServersError::Unresolved(_))), "{error:?}");
}
