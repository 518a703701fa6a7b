//! PCI devices of hosts that are handed through to VMs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Faults, Name, VmSpec};

pub const PCI_MAX: usize = 8;

/// A device of the host that the VM gets as its own. Such a VM cannot move, and has no snapshots with memory: what is in
/// the device cannot be saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PciPassthrough {
    pub name: Name,
    /// Domain, bus, slot and function, such as `0000:01:00.0`; see `tabane host devices`.
    pub address: String,
}

/// A PCI device of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PciDevice {
    pub address: String,
    /// Vendor and device, in hexadecimal, such as `8086:10d3`.
    pub id: String,
    /// Class, subclass and interface, in hexadecimal, such as `020000` for a nic.
    pub class: String,
    /// Devices of one group can only be handed through together. Without one the host has no IOMMU for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iommu_group: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
}

/// Whether a text is `0000:01:00.0` or the like.
pub fn is_pci_address(text: &str) -> bool {
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let parts: Vec<&str> = text.split([':', '.']).collect();
    let separators: String = text.chars().filter(|c| matches!(c, ':' | '.')).collect();
    separators == "::."
        && hex(parts[0], 4)
        && hex(parts[1], 2)
        && hex(parts[2], 2)
        && parts[3].len() == 1
        && parts[3].bytes().all(|b| (b'0'..=b'7').contains(&b))
}

impl VmSpec {
    pub(crate) fn validate_pci(&self, faults: &mut Faults) {
        if self.pci.len() > PCI_MAX {
            faults.add("spec.pci", format!("{} devices are too many", self.pci.len()), "use 8 at most");
        }
        for (i, device) in self.pci.iter().enumerate() {
            let field = format!("spec.pci[{i}]");
            if !is_pci_address(&device.address) {
                let shown: String = device.address.chars().take(32).collect();
                faults.add(
                    format!("{field}.address"),
                    format!("{shown:?} is no address of a PCI device"),
                    "write it as `tabane host devices` does, such as 0000:01:00.0",
                );
            }
            if self.pci[..i].iter().any(|d| d.name == device.name || d.address == device.address) {
                faults.add(field, "has the name or address of another device", "name each once");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_whole_and_small() {
        for good in ["0000:01:00.0", "10de:ff:1f.7"] {
            assert!(is_pci_address(good), "{good}");
        }
        for bad in [
            "",
            "01:00.0",
            "0000:01:00.8",
            "0000:01:00",
            "0000.01.00.0",
            "0000:01:00.0,x",
            "0000:0G:00.0",
            "0000:01:00.00",
        ] {
            assert!(!is_pci_address(bad), "{bad}");
        }
    }
}
