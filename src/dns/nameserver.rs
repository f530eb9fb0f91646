//! How a setting names a name server: `192.0.2.1`, `127.0.0.1:5353`, `[2001:db8::1]:53`,
//! `tls://192.0.2.1#dns.example`, `https://192.0.2.1/dns-query`.

use std::net::{IpAddr, SocketAddr};

use hickory_resolver::config::{ConnectionConfig, NameServerConfig};
use thiserror::Error;

const DNS_PORT: u16 = 53;

/// Why a name server cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameserverError {
    #[error("name server {0:?} is not an address with an optional port")]
    Address(String),
    #[error("name server {0:?} has an unknown scheme: tls:// and https:// are known")]
    Scheme(String),
}

/// One configured name server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nameserver {
    address: IpAddr,
    port: u16,
}

impl Nameserver {
    /// Reads one entry of `sandbox.network.nameservers`.
    pub fn parse(text: &str) -> Result<Self, NameserverError> {
        if text.contains("://") {
            return Err(NameserverError::Scheme(text.to_owned()));
        }
        let (address, port) =
            endpoint(text, DNS_PORT).ok_or_else(|| NameserverError::Address(text.to_owned()))?;
        Ok(Self { address, port })
    }

    pub(super) fn config(&self) -> NameServerConfig {
        let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
        for connection in &mut connections {
            connection.port = self.port;
        }
        NameServerConfig::new(self.address, true, connections)
    }
}

/// `address`, `address:port`, `[address]` or `[address]:port`.
fn endpoint(text: &str, port: u16) -> Option<(IpAddr, u16)> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return (address.port() != 0).then(|| (address.ip(), address.port()));
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().map(|address| (address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_and_without_ports_are_read() {
        let cases = [
            ("192.0.2.1", "192.0.2.1", 53),
            ("127.0.0.1:5353", "127.0.0.1", 5353),
            ("2001:db8::1", "2001:db8::1", 53),
            ("[2001:db8::1]", "2001:db8::1", 53),
            ("[2001:db8::1]:5353", "2001:db8::1", 5353),
        ];
        for (text, address, port) in cases {
            let expected = Nameserver { address: address.parse().unwrap(), port };
            assert_eq!(Nameserver::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_text() {
        for text in ["", "dns.example", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:70000", "::1:x"] {
            assert_eq!(Nameserver::parse(text), Err(NameserverError::Address(text.to_owned())));
        }
        let text = "quic://192.0.2.1".to_owned();
        assert_eq!(Nameserver::parse(&text), Err(NameserverError::Scheme(text)));
    }
}
