//! How many connections each address has. Owns the count behind `connections_per_ip_max`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

/// Connections by address, shared by the acceptor and the workers; holds at most one entry for each
/// open connection.
#[derive(Debug)]
pub(crate) struct PeerCounts {
    per_ip_max: usize,
    counts: Mutex<HashMap<IpAddr, usize>>,
}

/// The part of an address that one subscriber line owns: IPv6 hands out a /64 to each.
fn line(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

impl PeerCounts {
    /// With 0 nothing is counted and nothing refused.
    pub(crate) fn new(per_ip_max: usize) -> Self {
        Self { per_ip_max, counts: Mutex::new(HashMap::new()) }
    }

    /// Counts one connection more, unless the address has as many as it may.
    pub(crate) fn admit(&self, address: IpAddr) -> bool {
        if self.per_ip_max == 0 {
            return true;
        }
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(line(address)).or_insert(0);
        let free = *count < self.per_ip_max;
        if free {
            *count += 1;
        }
        free
    }

    /// Counts one connection less.
    pub(crate) fn release(&self, address: IpAddr) {
        if self.per_ip_max == 0 {
            return;
        }
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = counts.entry(line(address)) {
            *count.get_mut() = count.get().saturating_sub(1);
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_counts_as_one_peer() {
        let counts = PeerCounts::new(2);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(counts.admit(ip("2001:db8::1")));
        assert!(counts.admit(ip("2001:db8::2")));
        assert!(!counts.admit(ip("2001:db8::3")));
        assert!(counts.admit(ip("2001:db8:0:1::1")));
        counts.release(ip("2001:db8::9"));
        assert!(counts.admit(ip("2001:db8::3")));
    }

    #[test]
    fn a_mapped_address_counts_as_its_ipv4_address() {
        let counts = PeerCounts::new(1);
        assert!(counts.admit("10.0.0.1".parse().unwrap()));
        assert!(!counts.admit("::ffff:10.0.0.1".parse().unwrap()));
    }
}
