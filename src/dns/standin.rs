//! Stand-in addresses: one for each name asked for in a run, never reused.
//!
//! Owns the two reserved blocks and the mapping both ways. It knows nothing of real addresses.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// 198.18.0.0/15, reserved for benchmarks (RFC 2544): never routed, never a service.
const V4_BLOCK: u32 = u32::from_be_bytes([198, 18, 0, 0]);
const V4_PREFIX: u32 = 15;
/// fd61:736b:616e:6365::/64: a unique local block whose bytes after `fd` spell "askance".
const V6_BLOCK: u128 = 0xfd61_736b_616e_6365 << 64;
const V6_PREFIX: u32 = 64;

/// As many names as the IPv4 block has addresses, without its first and last one.
const CAPACITY: usize = (1 << (32 - V4_PREFIX)) - 2;
/// Names are at most 253 bytes; a flood of long ones ends here, long before memory matters.
const NAME_BYTES: usize = 16 << 20;

/// The pair of addresses that stands for one name: its number within both blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct StandIn(u32);

impl StandIn {
    pub(super) fn v4(self) -> Ipv4Addr {
        Ipv4Addr::from(V4_BLOCK + self.0)
    }

    pub(super) fn v6(self) -> Ipv6Addr {
        Ipv6Addr::from(V6_BLOCK + u128::from(self.0))
    }

    fn of_address(address: IpAddr) -> Option<Self> {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let bits = u32::from(v4);
                (bits >> (32 - V4_PREFIX) == V4_BLOCK >> (32 - V4_PREFIX)).then(|| Self(bits - V4_BLOCK))
            }
            IpAddr::V6(v6) => {
                let bits = u128::from(v6);
                if bits >> (128 - V6_PREFIX) != V6_BLOCK >> (128 - V6_PREFIX) {
                    return None;
                }
                // A number beyond u32 lies in the block and was never given out.
                Some(Self(u32::try_from(bits - V6_BLOCK).unwrap_or(0)))
            }
        }
    }
}

/// Whether `address` lies in a stand-in block, given out or not. A v4-mapped address is the IPv4
/// address that it holds.
pub fn is_stand_in(address: IpAddr) -> bool {
    StandIn::of_address(address).is_some()
}

/// The names of a run and their addresses.
#[derive(Debug)]
pub(super) struct StandIns {
    numbers: HashMap<Arc<str>, StandIn>,
    /// The name of stand-in `n` is at `n - 1`: number 0 is never given out.
    names: Vec<Arc<str>>,
    name_bytes: usize,
    capacity: usize,
}

impl StandIns {
    pub(super) fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }

    fn with_capacity(capacity: usize) -> Self {
        Self { numbers: HashMap::new(), names: Vec::new(), name_bytes: 0, capacity }
    }

    /// The stand-in of a normalised name, the same one each time; `None` when the block is full.
    pub(super) fn of(&mut self, name: &str) -> Option<StandIn> {
        if let Some(&known) = self.numbers.get(name) {
            return Some(known);
        }
        if self.names.len() >= self.capacity || self.name_bytes + name.len() > NAME_BYTES {
            return None;
        }
        let name: Arc<str> = Arc::from(name);
        self.name_bytes += name.len();
        self.names.push(Arc::clone(&name));
        let stand_in = StandIn(u32::try_from(self.names.len()).ok()?);
        self.numbers.insert(name, stand_in);
        Some(stand_in)
    }

    /// The name that `address` stands for.
    pub(super) fn name_of(&self, address: IpAddr) -> Option<&str> {
        let StandIn(number) = StandIn::of_address(address)?;
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.names.get(index).map(|name| &**name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_addresses_and_they_name_it() {
        let mut pool = StandIns::new();
        let a = pool.of("a.test").unwrap();
        let b = pool.of("b.test").unwrap();
        assert_ne!(a, b);
        assert_eq!(pool.of("a.test"), Some(a));
        assert_eq!(a.v4(), Ipv4Addr::new(198, 18, 0, 1));
        assert_eq!(a.v6(), "fd61:736b:616e:6365::1".parse::<Ipv6Addr>().unwrap());
        assert_eq!(pool.name_of(a.v4().into()), Some("a.test"));
        assert_eq!(pool.name_of(b.v6().into()), Some("b.test"));
        assert_eq!(pool.name_of(b.v4().to_ipv6_mapped().into()), Some("b.test"));
        assert_eq!(pool.name_of("198.18.0.3".parse().unwrap()), None);
        assert_eq!(pool.name_of("198.18.0.0".parse().unwrap()), None);
        assert_eq!(pool.name_of("fd61:736b:616e:6365:1::1".parse().unwrap()), None);
        assert_eq!(pool.name_of("192.0.2.1".parse().unwrap()), None);
    }

    #[test]
    fn the_last_name_of_the_block_has_an_address_in_it_and_the_next_has_none() {
        let mut pool = StandIns::new();
        let mut last = None;
        for number in 0..CAPACITY {
            last = pool.of(&format!("n{number}.test"));
        }
        assert_eq!(last.unwrap().v4(), Ipv4Addr::new(198, 19, 255, 254));
        assert_eq!(pool.of("one-too-many.test"), None);
        assert_eq!(pool.of("n0.test").unwrap().v4(), Ipv4Addr::new(198, 18, 0, 1));
    }

    #[test]
    fn long_names_fill_the_pool_before_they_fill_memory() {
        let mut pool = StandIns::new();
        let tail = "a".repeat(240);
        let given = (0..CAPACITY).take_while(|n| pool.of(&format!("{n}{tail}")).is_some()).count();
        assert!((60_000..CAPACITY).contains(&given), "{given}");
        assert!(pool.name_bytes <= NAME_BYTES);
    }

    #[test]
    fn only_the_two_blocks_are_stand_ins() {
        let cases = [
            ("198.17.255.255", false),
            ("198.18.0.0", true),
            ("198.19.255.255", true),
            ("198.20.0.0", false),
            ("::ffff:198.18.0.9", true),
            ("fd61:736b:616e:6364:ffff::", false),
            ("fd61:736b:616e:6365::", true),
            ("fd61:736b:616e:6365:ffff:ffff:ffff:ffff", true),
            ("fd61:736b:616e:6366::", false),
        ];
        for (address, expected) in cases {
            assert_eq!(is_stand_in(address.parse().unwrap()), expected, "{address}");
        }
    }
}
