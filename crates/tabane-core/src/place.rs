//! Placement: which host takes a VM.

use std::collections::{BTreeMap, BTreeSet};

use tabane_model::{Name, VmSpec};

/// What a host offers and what it already has to carry.
#[derive(Debug, Clone, PartialEq)]
pub struct Room {
    pub host: Name,
    pub labels: BTreeMap<String, String>,
    /// Heard of lately, and neither cordoned, draining nor being deleted.
    pub schedulable: bool,
    pub cpus: u32,
    pub memory_bytes: u64,
    /// Memory of the VMs that are to be on.
    pub committed_bytes: u64,
    /// All VMs placed here, also those that are off.
    pub vms: u32,
    /// Addresses of its PCI devices.
    pub pci: BTreeSet<String>,
}

/// Memory that is left to the host itself: 256 MiB and 2 %.
pub fn reserve_bytes(memory_bytes: u64) -> u64 {
    (256 << 20) + memory_bytes / 50
}

impl Room {
    /// Memory that is left for more VMs.
    pub fn free_bytes(&self) -> u64 {
        self.memory_bytes
            .saturating_sub(reserve_bytes(self.memory_bytes))
            .saturating_sub(self.committed_bytes)
    }
}

/// Why no host takes the VM: one reason for each host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub Vec<(Name, String)>);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("there is no host yet");
        }
        let shown: Vec<String> = self.0.iter().take(5).map(|(host, why)| format!("{host}: {why}")).collect();
        f.write_str(&shown.join("; "))?;
        if self.0.len() > shown.len() {
            write!(f, "; and {} more hosts", self.0.len() - shown.len())
        } else {
            Ok(())
        }
    }
}

/// The host with the largest share of its memory free among those that can take the VM; of equals the one with the
/// fewest VMs, then the first by name. `bound` is the host that its disks are already on.
pub fn place(spec: &VmSpec, bound: Option<&Name>, rooms: &[Room]) -> Result<Name, Refusal> {
    let mut refusals = Vec::new();
    let mut best: Option<&Room> = None;
    for room in rooms {
        match refuse(spec, bound, room) {
            Some(reason) => refusals.push((room.host.clone(), reason)),
            None => {
                if best.is_none_or(|b| is_better(room, b)) {
                    best = Some(room);
                }
            }
        }
    }
    best.map(|room| room.host.clone()).ok_or(Refusal(refusals))
}

fn refuse(spec: &VmSpec, bound: Option<&Name>, room: &Room) -> Option<String> {
    if let Some(bound) = bound
        && *bound != room.host
    {
        return Some(format!("its disks are on {bound}"));
    }
    if let Some(wanted) = &spec.placement.host
        && *wanted != room.host
    {
        return Some(format!("the VM asks for {wanted}"));
    }
    if let Some((key, value)) =
        spec.placement.host_labels.iter().find(|(k, v)| room.labels.get(*k) != Some(v))
    {
        return Some(format!("has no label {key}={value}"));
    }
    if let Some(device) = spec.pci.iter().find(|device| !room.pci.contains(&device.address)) {
        return Some(format!("has no PCI device {}", device.address));
    }
    if !room.schedulable {
        return Some("takes no VMs now".into());
    }
    if spec.memory_bytes > room.free_bytes() {
        let [wanted, free] = [spec.memory_bytes, room.free_bytes()].map(tabane_model::format_bytes);
        return Some(format!("{wanted} of memory wanted, {free} free"));
    }
    None
}

/// Shares of free memory are compared by cross-multiplying, so that no rounding makes two hosts equal.
fn is_better(a: &Room, b: &Room) -> bool {
    let share = |x: &Room, y: &Room| u128::from(x.free_bytes()) * u128::from(y.memory_bytes.max(1));
    let key = |r: &Room, other: &Room| (share(r, other), std::cmp::Reverse(r.vms));
    key(a, b).cmp(&key(b, a)).then_with(|| b.host.cmp(&a.host)).is_gt()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GIB: u64 = 1 << 30;

    fn room(host: &str, memory_bytes: u64, committed_bytes: u64) -> Room {
        Room {
            host: host.parse().unwrap(),
            labels: BTreeMap::new(),
            schedulable: true,
            cpus: 4,
            memory_bytes,
            committed_bytes,
            vms: 0,
            pci: BTreeSet::new(),
        }
    }

    #[test]
    fn the_emptiest_host_wins_and_refusals_name_the_reason() {
        let rooms = [room("h1", 16 * GIB, 8 * GIB), room("h2", 8 * GIB, GIB), room("h3", 8 * GIB, GIB)];
        let mut spec = VmSpec::new(1, 2 * GIB);
        assert_eq!(place(&spec, None, &rooms).unwrap().as_str(), "h2");
        spec.placement.host = Some("h1".parse().unwrap());
        assert_eq!(place(&spec, None, &rooms).unwrap().as_str(), "h1");
        spec.memory_bytes = 12 * GIB;
        let refusal = place(&spec, None, &rooms).unwrap_err().to_string();
        assert!(refusal.contains("h1: 12 GiB of memory wanted"), "{refusal}");
        assert!(refusal.contains("h2: the VM asks for h1"), "{refusal}");
        assert_eq!(place(&spec, None, &[]).unwrap_err().to_string(), "there is no host yet");
    }

    #[test]
    fn a_vm_goes_where_its_devices_are() {
        let mut rooms = [room("h1", 16 * GIB, 0), room("h2", 8 * GIB, 0)];
        rooms[1].pci.insert("0000:01:00.0".into());
        let mut spec = VmSpec::new(1, GIB);
        let device = |address: &str| tabane_model::PciPassthrough {
            name: "card".parse().unwrap(),
            address: address.into(),
        };
        spec.pci = vec![device("0000:01:00.0")];
        assert_eq!(place(&spec, None, &rooms).unwrap().as_str(), "h2");
        spec.pci = vec![device("0000:02:00.0")];
        let refusal = place(&spec, None, &rooms).unwrap_err().to_string();
        assert!(refusal.contains("h2: has no PCI device 0000:02:00.0"), "{refusal}");
    }

    proptest! {
        #[test]
        fn memory_is_never_overcommitted(
            sizes in prop::collection::vec(1u64..8, 1..40),
            hosts in prop::collection::vec(2u64..64, 1..6),
        ) {
            let mut rooms: Vec<Room> =
                hosts.iter().enumerate().map(|(i, g)| room(&format!("h{i}"), g * GIB, 0)).collect();
            for size in sizes {
                if let Ok(host) = place(&VmSpec::new(1, size * GIB), None, &rooms) {
                    let room = rooms.iter_mut().find(|r| r.host == host).unwrap();
                    room.committed_bytes += size * GIB;
                    room.vms += 1;
                }
            }
            for room in &rooms {
                prop_assert!(room.committed_bytes + reserve_bytes(room.memory_bytes) <= room.memory_bytes
                    || room.committed_bytes == 0);
            }
        }
    }
}
