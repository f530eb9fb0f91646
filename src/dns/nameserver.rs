//! How a setting names a name server: `192.0.2.1`, `127.0.0.1:5353`, `[2001:db8::1]:53`,
//! `tls://192.0.2.1#dns.example`, `tls://dns.example:853`, `https://dns.example/dns-query`.
//!
//! Owns reading that and turning it into what the client library wants. A name after `#` is the one
//! that the certificate has to hold; without it that is the host itself.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
#[cfg(feature = "encrypted-dns")]
use std::sync::Arc;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig};
use thiserror::Error;

use super::names::normalise;

/// Why a name server cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameserverError {
    #[error("name server {0:?} is not an address with an optional port")]
    Address(String),
    #[error("name server {0:?} is not tls://HOST[:PORT][#NAME] or https://HOST[:PORT][/PATH][#NAME]")]
    Url(String),
    #[error("name server {0:?} needs the name in its certificate: …#NAME")]
    Name(String),
    /// Built without the feature `encrypted-dns`.
    #[error("name server {0:?} needs a build with encrypted-dns")]
    Unencrypted(String),
}

/// How a name server is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Protocol {
    Plain,
    Tls { server_name: String },
    Https { server_name: String, path: String },
}

/// Where a name server is; a name has to be looked up first, by the system's name servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    Address(IpAddr),
    Name(String),
}

/// One configured name server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nameserver {
    text: String,
    endpoint: Endpoint,
    port: u16,
    protocol: Protocol,
}

impl Nameserver {
    /// Reads one entry of `sandbox.network.nameservers`.
    pub fn parse(text: &str) -> Result<Self, NameserverError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            let (endpoint, port) = split_port(text, 53)
                .filter(|(endpoint, _)| matches!(endpoint, Endpoint::Address(_)))
                .ok_or_else(|| NameserverError::Address(text.to_owned()))?;
            return Ok(Self { text: text.to_owned(), endpoint, port, protocol: Protocol::Plain });
        };
        if !cfg!(feature = "encrypted-dns") {
            return Err(NameserverError::Unencrypted(text.to_owned()));
        }
        let malformed = || NameserverError::Url(text.to_owned());
        let (rest, name) = match rest.split_once('#') {
            Some((rest, name)) => (rest, Some(normalise(name).map_err(|_| malformed())?)),
            None => (rest, None),
        };
        let (host, path) = match rest.split_once('/') {
            Some((host, path)) => (host, Some(format!("/{path}"))),
            None => (rest, None),
        };
        let default_port = if scheme == "tls" { 853 } else { 443 };
        let (endpoint, port) = split_port(host, default_port).ok_or_else(malformed)?;
        let server_name = match (name, &endpoint) {
            (Some(name), _) => name,
            (None, Endpoint::Name(name)) => name.clone(),
            // In a URL's authority it would stand in brackets, in a certificate it does not.
            (None, Endpoint::Address(IpAddr::V6(_))) if scheme == "https" => {
                return Err(NameserverError::Name(text.to_owned()));
            }
            (None, Endpoint::Address(address)) => address.to_string(),
        };
        let protocol = match (scheme, path) {
            ("tls", None) => Protocol::Tls { server_name },
            ("https", path) => Protocol::Https { server_name, path: path.unwrap_or_else(|| "/dns-query".into()) },
            _ => return Err(malformed()),
        };
        Ok(Self { text: text.to_owned(), endpoint, port, protocol })
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.protocol != Protocol::Plain
    }

    /// The client library's view, with the server at `address`.
    pub(super) fn config(&self, address: IpAddr) -> NameServerConfig {
        let mut connections = match &self.protocol {
            #[cfg(feature = "encrypted-dns")]
            Protocol::Tls { server_name } => vec![ConnectionConfig::tls(Arc::from(&**server_name))],
            #[cfg(feature = "encrypted-dns")]
            Protocol::Https { server_name, path } => {
                let path = Some(Arc::from(&**path));
                vec![ConnectionConfig::https(Arc::from(&**server_name), path)]
            }
            _ => vec![ConnectionConfig::udp(), ConnectionConfig::tcp()],
        };
        for connection in &mut connections {
            connection.port = self.port;
        }
        NameServerConfig::new(address, true, connections)
    }
}

/// As it was written.
impl fmt::Display for Nameserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `host`, `host:port`, `[address]` or `[address]:port`.
fn split_port(text: &str, default: u16) -> Option<(Endpoint, u16)> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse() {
        return Some((Endpoint::Address(address), default));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return (address.port() != 0).then(|| (Endpoint::Address(address.ip()), address.port()));
    }
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, port.parse().ok().filter(|port| *port != 0)?),
        None => (text, default),
    };
    Some((Endpoint::Name(normalise(name).ok()?), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Endpoint {
        Endpoint::Address(text.parse().unwrap())
    }

    #[test]
    fn addresses_with_and_without_ports_are_read() {
        let cases = [
            ("192.0.2.1", "192.0.2.1", 53),
            ("127.0.0.1:5353", "127.0.0.1", 5353),
            ("2001:db8::1", "2001:db8::1", 53),
            ("[2001:db8::1]", "2001:db8::1", 53),
            ("[2001:db8::1]:5353", "2001:db8::1", 5353),
        ];
        for (text, ip, port) in cases {
            let server = Nameserver::parse(text).unwrap();
            assert_eq!((server.endpoint, server.port), (address(ip), port), "{text}");
            assert_eq!(server.protocol, Protocol::Plain);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_text() {
        for text in ["", "dns.example", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:70000", "::1:x"] {
            assert_eq!(Nameserver::parse(text), Err(NameserverError::Address(text.to_owned())));
        }
    }

    #[cfg(feature = "encrypted-dns")]
    #[test]
    fn encrypted_name_servers_are_read() {
        let tls = |name: &str| Protocol::Tls { server_name: name.into() };
        let https = |name: &str, path: &str| Protocol::Https { server_name: name.into(), path: path.into() };
        let cases = [
            ("tls://192.0.2.1", address("192.0.2.1"), 853, tls("192.0.2.1")),
            ("tls://192.0.2.1:8853#DNS.example", address("192.0.2.1"), 8853, tls("dns.example")),
            ("tls://2001:db8::1", address("2001:db8::1"), 853, tls("2001:db8::1")),
            ("tls://[2001:db8::1]:1", address("2001:db8::1"), 1, tls("2001:db8::1")),
            ("tls://dns.example", Endpoint::Name("dns.example".into()), 853, tls("dns.example")),
            ("https://192.0.2.1", address("192.0.2.1"), 443, https("192.0.2.1", "/dns-query")),
            ("https://[2001:db8::1]/q#dns.example", address("2001:db8::1"), 443, https("dns.example", "/q")),
            ("https://dns.example:8443/a/b", Endpoint::Name("dns.example".into()), 8443, https("dns.example", "/a/b")),
        ];
        for (text, endpoint, port, protocol) in cases {
            let expected = Nameserver { text: text.into(), endpoint, port, protocol };
            assert_eq!(Nameserver::parse(text), Ok(expected), "{text}");
        }
        for text in ["quic://192.0.2.1", "tls://", "tls://a/b", "tls://a b", "https://a:x/", "tls://a#", "tls://a:0"] {
            assert_eq!(Nameserver::parse(text), Err(NameserverError::Url(text.into())));
        }
        let text = "https://[2001:db8::1]/q";
        assert_eq!(Nameserver::parse(text), Err(NameserverError::Name(text.into())));
    }

    #[cfg(not(feature = "encrypted-dns"))]
    #[test]
    fn an_encrypted_name_server_needs_the_feature() {
        let text = "tls://192.0.2.1";
        assert_eq!(Nameserver::parse(text), Err(NameserverError::Unencrypted(text.into())));
    }
}
