//! PCI devices of this host, and whether a VM can have them.
//!
//! ```text
//!   /sys/bus/pci/devices/ADDRESS/  vendor device class  driver ──► vfio-pci   iommu_group ──► /dev/vfio/GROUP
//! ```
//!
//! Invariant: a device is only handed through when all of its IOMMU group is out of the reach of the host's drivers and of
//! other VMs: within a group devices can write into each other, and so into the memory of whoever has them.

use std::path::PathBuf;

use tabane_model::{PciDevice, is_pci_address};

use crate::{Error, Result};

/// More than a host has; what is beyond is not looked at.
const DEVICES_MAX: usize = 512;
const TEXT_LENGTH_MAX: usize = 64;
const DRIVER: &str = "vfio-pci";
/// Bridges stay with the host: they hand on what is meant for the devices behind them.
const BRIDGE_CLASS: &str = "06";

/// Where the kernel shows devices, and where VFIO's handles are.
pub struct Pci {
    devices: PathBuf,
    vfio: PathBuf,
    processors: PathBuf,
}

impl Default for Pci {
    fn default() -> Self {
        Self {
            devices: "/sys/bus/pci/devices".into(),
            vfio: "/dev/vfio".into(),
            processors: "/proc/cpuinfo".into(),
        }
    }
}

impl Pci {
    /// All devices, in order of their addresses.
    pub fn devices(&self) -> Vec<PciDevice> {
        let entries = std::fs::read_dir(&self.devices).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut found: Vec<PciDevice> =
            names.take(DEVICES_MAX).filter_map(|address| self.device(&address)).collect();
        found.sort_by(|a, b| a.address.cmp(&b.address));
        found
    }

    fn device(&self, address: &str) -> Option<PciDevice> {
        if !is_pci_address(address) {
            return None;
        }
        let folder = self.devices.join(address);
        let number = |name: &str| {
            let text = std::fs::read_to_string(folder.join(name)).ok()?;
            let digits = text.trim().strip_prefix("0x")?;
            (digits.len() <= 8 && digits.bytes().all(|b| b.is_ascii_hexdigit())).then(|| digits.to_owned())
        };
        let link = |name: &str| {
            let target = std::fs::read_link(folder.join(name)).ok()?;
            let name: String = target.file_name()?.to_str()?.chars().take(TEXT_LENGTH_MAX).collect();
            Some(name)
        };
        Some(PciDevice {
            address: address.to_owned(),
            id: format!("{}:{}", number("vendor")?, number("device")?),
            class: number("class")?,
            iommu_group: link("iommu_group").and_then(|group| group.parse().ok()),
            driver: link("driver"),
        })
    }

    /// The handle of the device's group, if a VM that has the devices `own` can have it. `user_of` tells which other VM
    /// that runs has a device.
    ///
    /// Errors: [`Error::Unfit`], with what is in the way and how to clear it.
    pub fn group(
        &self,
        address: &str,
        own: &[String],
        user_of: impl Fn(&str) -> Option<String>,
    ) -> Result<PathBuf> {
        let all = self.devices();
        let Some(device) = all.iter().find(|device| device.address == address) else {
            return Err(Error::unfit(
                format!("the host has no PCI device {address}"),
                "choose one that `tabane host devices` shows",
            ));
        };
        let Some(group) = device.iommu_group else {
            return Err(Error::unfit(
                format!("the host has no IOMMU for the PCI device {address}"),
                format!("switch it on in the firmware, and boot the host with {}", self.kernel_option()),
            ));
        };
        if device.driver.as_deref() != Some(DRIVER) {
            let by =
                device.driver.as_deref().map_or("no driver".into(), |driver| format!("the driver {driver}"));
            return Err(Error::unfit(format!("the PCI device {address} is bound to {by}"), bind(address)));
        }
        for other in all.iter().filter(|other| other.iommu_group == Some(group)) {
            if let Some(vm) = user_of(&other.address) {
                return Err(Error::unfit(
                    format!(
                        "the PCI device {} of its IOMMU group {group} is in use by the VM {vm}",
                        other.address
                    ),
                    format!("shut the VM {vm} down first, or take the device out of one of them"),
                ));
            }
            let mine = own.contains(&other.address);
            let harmless = other.class.starts_with(BRIDGE_CLASS) || other.driver.as_deref() == Some(DRIVER);
            if !mine && !harmless && other.driver.is_some() {
                let driver = other.driver.as_deref().unwrap_or_default();
                return Err(Error::unfit(
                    format!(
                        "the PCI device {address} shares the IOMMU group {group} with {}, which the host uses by the \
                         driver {driver}",
                        other.address
                    ),
                    format!("{}; or put the card into another slot", bind(&other.address)),
                ));
            }
        }
        let handle = self.vfio.join(group.to_string());
        if !handle.exists() || !self.vfio.join("vfio").exists() {
            return Err(Error::unfit(
                format!("there is no {}", handle.display()),
                "load the kernel's module: `modprobe vfio-pci`",
            ));
        }
        Ok(handle)
    }

    fn kernel_option(&self) -> &'static str {
        let text = std::fs::read_to_string(&self.processors).unwrap_or_default();
        if text.contains("GenuineIntel") {
            "intel_iommu=on iommu=pt"
        } else if text.contains("AuthenticAMD") {
            "amd_iommu=on iommu=pt"
        } else {
            "the option for its IOMMU"
        }
    }
}

fn bind(address: &str) -> String {
    format!("bind it to vfio-pci: `driverctl set-override {address} vfio-pci`")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Host {
        folder: tempfile::TempDir,
        pci: Pci,
    }

    fn host() -> Host {
        let folder = tempfile::tempdir().unwrap();
        let pci = Pci {
            devices: folder.path().join("devices"),
            vfio: folder.path().join("vfio"),
            processors: folder.path().join("cpuinfo"),
        };
        std::fs::create_dir(&pci.devices).unwrap();
        std::fs::create_dir(&pci.vfio).unwrap();
        std::fs::write(&pci.processors, "vendor_id : GenuineIntel\n").unwrap();
        Host { folder, pci }
    }

    impl Host {
        fn add(&self, address: &str, class: &str, group: Option<u32>, driver: Option<&str>) {
            let place = self.pci.devices.join(address);
            std::fs::create_dir(&place).unwrap();
            for (name, text) in [("vendor", "0x8086"), ("device", "0x10d3"), ("class", class)] {
                std::fs::write(place.join(name), format!("{text}\n")).unwrap();
            }
            if let Some(group) = group {
                symlink(format!("../../groups/{group}"), place.join("iommu_group")).unwrap();
            }
            if let Some(driver) = driver {
                symlink(format!("../../drivers/{driver}"), place.join("driver")).unwrap();
            }
        }

        fn refused(&self, address: &str, own: &[&str], user: Option<&str>) -> String {
            let own: Vec<String> = own.iter().map(|a| a.to_string()).collect();
            let user_of = |_: &str| user.map(str::to_owned);
            self.pci.group(address, &own, user_of).unwrap_err().told()
        }
    }

    const CARD: &str = "0000:01:00.0";
    const TWIN: &str = "0000:01:00.1";

    #[test]
    fn what_is_there_is_told_and_what_is_strange_left_out() {
        let host = host();
        host.add(TWIN, "0x020000", Some(12), Some("vfio-pci"));
        host.add(CARD, "0x020000", None, None);
        host.add("0000:02:00.0", "no number", None, None);
        host.add("strange", "0x020000", None, None);
        let found = host.pci.devices();
        assert_eq!(found.len(), 2, "{found:?}");
        let told =
            (found[1].id.as_str(), found[1].class.as_str(), found[1].iommu_group, found[1].driver.as_deref());
        assert_eq!(told, ("8086:10d3", "020000", Some(12), Some("vfio-pci")));
        assert!(Pci { devices: host.folder.path().join("none"), ..Pci::default() }.devices().is_empty());
    }

    #[test]
    fn each_refusal_says_what_is_in_the_way_and_what_to_do() {
        let host = host();
        assert!(host.refused(CARD, &[CARD], None).contains("no PCI device 0000:01:00.0; choose one"));
        host.add("0000:03:00.0", "0x020000", None, Some("vfio-pci"));
        let told = host.refused("0000:03:00.0", &[], None);
        assert!(told.contains("no IOMMU") && told.contains("intel_iommu=on"), "{told}");
        host.add("0000:04:00.0", "0x020000", Some(4), Some("e1000e"));
        let told = host.refused("0000:04:00.0", &[], None);
        assert!(
            told.contains("driver e1000e") && told.contains("set-override 0000:04:00.0 vfio-pci"),
            "{told}"
        );

        host.add("0000:00:01.0", "0x060400", Some(12), Some("pcieport"));
        host.add(CARD, "0x020000", Some(12), Some("vfio-pci"));
        let told = host.refused(CARD, &[CARD], None);
        assert!(told.contains("no ") && told.contains("modprobe vfio-pci"), "{told}");
        std::fs::write(host.pci.vfio.join("12"), "").unwrap();
        std::fs::write(host.pci.vfio.join("vfio"), "").unwrap();
        let told = host.refused(CARD, &[CARD], Some("db"));
        assert!(told.contains("in use by the VM db"), "{told}");
        let handle = host.pci.group(CARD, &[CARD.into()], |_| None).unwrap();
        assert_eq!(handle, host.pci.vfio.join("12"));

        host.add(TWIN, "0x010802", Some(12), Some("nvme"));
        let told = host.refused(CARD, &[CARD], None);
        assert!(
            told.contains("shares the IOMMU group 12 with 0000:01:00.1") && told.contains("nvme"),
            "{told}"
        );
    }
}
