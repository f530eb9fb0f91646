//! Which addresses the public Internet reaches: a name that resolves to any other one asks again.
//!
//! Owns that line and nothing else. An IPv6 address that carries an IPv4 address is judged by what
//! it carries, for that is where the packets go.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 blocks that are not public, each with its prefix length.
const PRIVATE_V4: &[(Ipv4Addr, u32)] = &[
    // "This host on this network", RFC 1122: connecting to 0.0.0.0 reaches this machine.
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    // RFC 1918.
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    // Carrier-grade NAT, RFC 6598; metadata at 100.100.100.200 in one cloud.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Link-local, RFC 3927; metadata at 169.254.169.254 in most clouds, 169.254.170.2 for containers.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    // Protocol assignments, RFC 6890; metadata at 192.0.0.192 in one cloud.
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    // The host agent that every machine of one cloud reaches, metadata and keys included.
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    // Benchmarking, RFC 2544: the sandbox's own stand-ins.
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    // Multicast, RFC 5771; reserved, RFC 1112, with the broadcast address at its end.
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// IPv6 blocks that are not public. What carries an IPv4 address is not among them.
const PRIVATE_V6: &[(Ipv6Addr, u32)] = &[
    (Ipv6Addr::UNSPECIFIED, 128),
    (Ipv6Addr::LOCALHOST, 128),
    // NAT64 for local use, RFC 8215: where its IPv4 address stands is each network's choice.
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48),
    // Discard-only, RFC 6666.
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64),
    // Unique local, RFC 4193; metadata at fd00:ec2::254 and fd20:ce::254.
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    // Link-local, and site-local as it once was (RFC 3879).
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
];

/// Whether `address` is one that the public Internet could hold: neither this machine, nor its
/// networks, nor a metadata service. The documentation ranges count as public.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => {
            // `::` and `::1` before the addresses that look as if they carried 0.0.0.0 or 0.0.0.1.
            let bits = u128::from(v6);
            let listed = PRIVATE_V6.iter().any(|&(block, prefix)| same_prefix_v6(bits, u128::from(block), prefix));
            !listed && carried_v4(v6).is_none_or(is_public_v4)
        }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = u32::from(address);
    !PRIVATE_V4.iter().any(|&(block, prefix)| (bits ^ u32::from(block)) >> (32 - prefix) == 0)
}

fn same_prefix_v6(a: u128, b: u128, prefix: u32) -> bool {
    (a ^ b) >> (128 - prefix) == 0
}

/// The IPv4 address where packets to `address` end up.
fn carried_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let pair = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match [a, b, c, d, e, f] {
        // Mapped and compatible (RFC 4291 §2.5.5), translated (RFC 2765), NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff | 0] | [0, 0, 0, 0, 0xffff, 0] | [0x64, 0xff9b, 0, 0, 0, 0] => Some(pair(g, h)),
        // 6to4, RFC 3056.
        [0x2002, high, low, ..] => Some(pair(high, low)),
        // Teredo, RFC 4380: the client's address, its bits inverted.
        [0x2001, 0, ..] => Some(pair(!g, !h)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_are_public() {
        let public = [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "168.63.129.15",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            // Documentation.
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "2001:db8::1",
            "3fff::1",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "::ffff:1.1.1.1",
            "::1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::1",
            // Teredo for 1.1.1.1.
            "2001:0:c000:201::fefe:fefe",
        ];
        for address in public {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn this_machine_its_networks_and_metadata_services_are_not() {
        let private = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "168.63.129.16",
            "169.254.0.0",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.0.0",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fc00::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fd61:736b:616e:6365::1",
            "fe80::1",
            "febf:ffff::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            // IPv4 addresses in disguise.
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0.0.0.0",
            "::127.0.0.1",
            "::0.0.0.2",
            "::ffff:0:10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1.1.1.1",
            "2002:7f00:1::",
            "2002:c0a8:101::1",
            "2002:a9fe:a9fe::a",
            // Teredo for 10.0.0.1.
            "2001:0:c000:201::f5ff:fffe",
        ];
        for address in private {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }
}
