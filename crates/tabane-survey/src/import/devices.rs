//! Disks and network cards that are counted: those that stand on others would count what goes through them twice.

const DISKS_ON_DISKS: [&str; 8] = ["dm-", "md", "loop", "ram", "zram", "sr", "fd", "nbd"];
const NICS_ON_NICS: [&str; 18] = [
    "lo", "bond", "team", "br", "virbr", "veth", "docker", "tun", "tap", "ifb", "dummy", "wg", "cni",
    "flannel", "cali", "vnet", "vxlan", "sit",
];

/// Of Linux, by its name.
pub(super) fn is_disk(name: &str) -> bool {
    !name.is_empty() && !DISKS_ON_DISKS.iter().any(|prefix| name.starts_with(prefix))
}

/// Of Linux, by its name; `eth0.7` is a VLAN of `eth0`.
pub(super) fn is_nic(name: &str) -> bool {
    !name.is_empty() && !name.contains('.') && !NICS_ON_NICS.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_on_others_is_not_counted() {
        assert!(["sda", "vda", "nvme0n1", "dev8-0"].into_iter().all(is_disk));
        assert!(!["dm-0", "md127", "loop3", ""].into_iter().any(is_disk));
        assert!(["eth0", "ens192", "enp3s0f0", "eno1"].into_iter().all(is_nic));
        assert!(!["lo", "bond0", "eth0.7", "veth12ab", "br-lan"].into_iter().any(is_nic));
    }
}
