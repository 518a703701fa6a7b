//! Addresses of nics.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// The gateway: the first address of the range.
pub fn gateway(range: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(range.network()) + 1)
}

/// Whether a guest may have this address: inside the range, and neither its network, gateway nor broadcast address.
pub fn is_usable(range: Ipv4Net, address: Ipv4Addr) -> bool {
    range.contains(&address)
        && address != range.network()
        && address != range.broadcast()
        && address != gateway(range)
}

/// A free address of the range, beginning at a place that depends on `seed` and going round once, so that two who
/// allocate at the same time seldom want the same one. `None` when the range is full.
pub fn address(range: Ipv4Net, seed: u64, is_taken: impl Fn(Ipv4Addr) -> bool) -> Option<Ipv4Addr> {
    let size = 1u64 << (32 - range.prefix_len());
    let first = u64::from(u32::from(range.network()));
    (0..size)
        .map(|i| Ipv4Addr::from((first + (seed % size + i) % size) as u32))
        .find(|address| is_usable(range, *address) && !is_taken(*address))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_range_is_used_up_to_the_last_address_and_no_further() {
        let range: Ipv4Net = "10.30.0.0/28".parse().unwrap();
        let mut taken = BTreeSet::new();
        while let Some(address) = address(range, 11, |a| taken.contains(&a)) {
            assert!(taken.insert(address));
        }
        assert_eq!(taken.len(), 13);
        assert!(!taken.contains(&gateway(range)));
        assert!(taken.iter().all(|a| range.contains(a)));
    }
}
