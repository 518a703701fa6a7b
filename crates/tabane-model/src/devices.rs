//! Devices of a VM beside disks and nics, what guests without virtio drivers get in their place, and limits.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Faults, Name, VmSpec, resource::words};

const KIB: u64 = 1 << 10;

/// The SATA controller of q35 has six ports.
pub const SATA_MAX: usize = 6;
pub const CDROMS_MAX: usize = 4;
/// The drive's name is a part of a name of QEMU that has 31 characters at most.
const CDROM_NAME_LENGTH_MAX: usize = 12;
const BOOT_MAX: usize = 32;

words!(
    /// Where a disk sits.
    DiskBus {
        /// Fast, and can be plugged while the VM runs; the guest needs a driver.
        #[default]
        Virtio = "virtio",
        /// Known to every guest; cannot be plugged while the VM runs.
        Sata = "sata",
    }
);

words!(
    /// What a nic looks like to the guest.
    NicModel {
        /// Fast; the guest needs a driver.
        #[default]
        Virtio = "virtio",
        /// An Intel 82574L, which most guests know.
        E1000e = "e1000e",
    }
);

/// A drive for CDs and DVDs, on the SATA controller, where firmware and installers find it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CdDrive {
    pub name: Name,
    /// The image that is in it: an ISO. Without one the drive is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Name>,
}

/// What is in a drive of a VM that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CdDriveStatus {
    pub name: Name,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Name>,
}

/// How much a guest may ask of a disk. A limit of both together and one of each exclude each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskLimits {
    /// Requests a second, reads and writes together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iops: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_iops: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_iops: Option<u64>,
    /// Reads and writes together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_s: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_bytes_per_s: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_bytes_per_s: Option<u64>,
}

impl DiskLimits {
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    fn validate(&self, field: &str, faults: &mut Faults) {
        let both = |total: Option<u64>, parts: [Option<u64>; 2]| {
            total.is_some() && parts.iter().any(Option::is_some)
        };
        if both(self.iops, [self.read_iops, self.write_iops])
            || both(self.bytes_per_s, [self.read_bytes_per_s, self.write_bytes_per_s])
        {
            faults.add(
                field,
                "limits reads and writes together, and one of them as well",
                "give one limit for both, or one for each",
            );
        }
        for (name, value) in
            [("iops", self.iops), ("read_iops", self.read_iops), ("write_iops", self.write_iops)]
        {
            if let Some(value) = value {
                faults.range(&format!("{field}.{name}"), value, 10, 10_000_000, "");
            }
        }
        for (name, value) in [
            ("bytes_per_s", self.bytes_per_s),
            ("read_bytes_per_s", self.read_bytes_per_s),
            ("write_bytes_per_s", self.write_bytes_per_s),
        ] {
            if let Some(value) = value {
                faults.size(&format!("{field}.{name}"), value, 64 * KIB, 1 << 40);
            }
        }
    }
}

/// How much may pass through a nic, as the guest sees it. What is more than that is dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NicLimits {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receive_bytes_per_s: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_bytes_per_s: Option<u64>,
}

impl NicLimits {
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    fn validate(&self, field: &str, faults: &mut Faults) {
        for (name, value) in
            [("receive_bytes_per_s", self.receive_bytes_per_s), ("send_bytes_per_s", self.send_bytes_per_s)]
        {
            if let Some(value) = value {
                faults.size(&format!("{field}.{name}"), value, 16 * KIB, 1 << 40);
            }
        }
    }
}

/// Something that a VM can boot from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootDevice {
    Disk,
    Cdrom,
    /// By its boot ROM, from the network.
    Nic,
}

impl VmSpec {
    /// All that it can boot from, by name, in the order that holds when none is stated: disks, then CD drives.
    pub fn bootable(&self) -> impl Iterator<Item = (&Name, BootDevice)> {
        let disks = self.disks.iter().map(|disk| (&disk.name, BootDevice::Disk));
        let cdroms = self.cdroms.iter().map(|drive| (&drive.name, BootDevice::Cdrom));
        let nics = self.nics.iter().map(|nic| (&nic.name, BootDevice::Nic));
        disks.chain(cdroms).chain(nics)
    }

    /// The place of a device in the order, from 1; `None` if it is not booted from.
    pub fn boot_place(&self, name: &Name, device: BootDevice) -> Option<u32> {
        if !self.boot.is_empty() {
            return self.boot.iter().zip(1..).find(|(other, _)| *other == name).map(|(_, place)| place);
        }
        let all = self.bootable().filter(|(_, other)| *other != BootDevice::Nic);
        all.zip(1..).find(|(is, _)| *is == (name, device)).map(|(_, place)| place)
    }

    /// Nics that have a boot ROM, which is hardware that the guest sees.
    pub fn boot_nics(&self) -> BTreeSet<&Name> {
        let nics = self.nics.iter().map(|nic| &nic.name);
        nics.filter(|name| self.boot_place(name, BootDevice::Nic).is_some()).collect()
    }

    pub(crate) fn validate_devices(&self, faults: &mut Faults) {
        self.validate_cdroms(faults);
        self.validate_boot(faults);
        for (i, disk) in self.disks.iter().enumerate() {
            disk.limits.validate(&format!("spec.disks[{i}].limits"), faults);
        }
        for (i, nic) in self.nics.iter().enumerate() {
            nic.limits.validate(&format!("spec.nics[{i}].limits"), faults);
        }
        let sata = self.disks.iter().filter(|disk| disk.bus == DiskBus::Sata).count();
        if sata + self.cdroms.len() > SATA_MAX {
            faults.add(
                "spec.disks",
                format!("{sata} SATA disks and {} CD drives are too many", self.cdroms.len()),
                "a VM has six SATA ports; use virtio disks",
            );
        }
    }

    fn validate_cdroms(&self, faults: &mut Faults) {
        if self.cdroms.len() > CDROMS_MAX {
            faults.add(
                "spec.cdroms",
                format!("{} CD drives are too many", self.cdroms.len()),
                "use 4 at most",
            );
        }
        for (i, drive) in self.cdroms.iter().enumerate() {
            let field = format!("spec.cdroms[{i}].name");
            let others = self.bootable().filter(|(name, _)| **name == drive.name).count();
            if others > 1 {
                faults.add(
                    field.clone(),
                    format!("{} is the name of another disk, drive or nic", drive.name),
                    "give each its own name",
                );
            }
            if drive.name.as_str().len() > CDROM_NAME_LENGTH_MAX {
                faults.add(field, "is too long", "use 12 characters at most, such as cd0");
            }
        }
    }

    fn validate_boot(&self, faults: &mut Faults) {
        if self.boot.len() > BOOT_MAX {
            faults.add("spec.boot", format!("{} names are too many", self.boot.len()), "use 32 at most");
        }
        for (i, name) in self.boot.iter().enumerate() {
            let field = format!("spec.boot[{i}]");
            match self.bootable().filter(|(other, _)| *other == name).count() {
                0 => {
                    let names: Vec<&str> = self.bootable().map(|(name, _)| name.as_str()).collect();
                    faults.add(
                        field,
                        format!("{name} is no disk, CD drive or nic of the VM"),
                        if names.is_empty() {
                            "give it one first".into()
                        } else {
                            format!("use names of: {}", names.join(", "))
                        },
                    );
                }
                1 if self.boot[..i].contains(name) => {
                    faults.add(field, format!("{name} is there twice"), "name it once");
                }
                1 => {}
                _ => faults.add(
                    field,
                    format!("{name} is the name of more than one device"),
                    "give the others another name, or leave `boot` out",
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Nic, VmDisk};

    fn spec() -> VmSpec {
        let mut spec = VmSpec::new(1, 256 << 20);
        let disk = |name: &str| format!(r#"{{"name":"{name}","size_bytes":1073741824}}"#);
        spec.disks = ["root", "data"]
            .iter()
            .map(|name| serde_json::from_str::<VmDisk>(&disk(name)).unwrap())
            .collect();
        spec.cdroms = vec![CdDrive { name: "cd0".parse().unwrap(), image: None }];
        spec.nics = vec![serde_json::from_str::<Nic>(r#"{"name":"nic0","network":"default"}"#).unwrap()];
        spec
    }

    fn faults(change: impl FnOnce(&mut VmSpec)) -> Vec<String> {
        let mut spec = spec();
        change(&mut spec);
        let mut faults = Faults::default();
        spec.validate_devices(&mut faults);
        faults.0.into_iter().map(|f| format!("{}: {}", f.field, f.message)).collect()
    }

    fn places(spec: &VmSpec) -> Vec<(String, Option<u32>)> {
        spec.bootable().map(|(name, device)| (name.to_string(), spec.boot_place(name, device))).collect()
    }

    #[test]
    fn disks_come_before_drives_and_nics_boot_only_when_asked() {
        let mut spec = spec();
        let is = |spec: &VmSpec| places(spec).into_iter().map(|(_, place)| place).collect::<Vec<_>>();
        assert_eq!(is(&spec), [Some(1), Some(2), Some(3), None]);
        assert!(spec.boot_nics().is_empty());
        spec.boot = ["nic0", "cd0", "root"].map(|name| name.parse().unwrap()).to_vec();
        assert_eq!(is(&spec), [Some(3), None, Some(2), Some(1)]);
        assert_eq!(spec.boot_nics().len(), 1);
    }

    #[test]
    fn boot_names_one_device_each() {
        assert_eq!(faults(|_| {}), Vec::<String>::new());
        let boot = |names: &[&str]| {
            let names: Vec<Name> = names.iter().map(|name| name.parse().unwrap()).collect();
            faults(|spec| spec.boot = names)
        };
        assert_eq!(boot(&["cd0", "root"]), Vec::<String>::new());
        assert_eq!(boot(&["cd1"]), ["spec.boot[0]: cd1 is no disk, CD drive or nic of the VM"]);
        assert_eq!(boot(&["cd0", "cd0"]), ["spec.boot[1]: cd0 is there twice"]);
    }

    #[test]
    fn drives_have_names_of_their_own_and_room() {
        let drive = |name: &str| CdDrive { name: name.parse().unwrap(), image: None };
        assert_eq!(
            faults(|spec| spec.cdroms.push(drive("root"))),
            ["spec.cdroms[1].name: root is the name of another disk, drive or nic"]
        );
        assert_eq!(
            faults(|spec| spec.cdroms.push(drive("a-very-long-name"))),
            ["spec.cdroms[1].name: is too long"]
        );
        let crowded = faults(|spec| {
            spec.cdroms.push(drive("cd1"));
            spec.cdroms.push(drive("cd2"));
            spec.disks.iter_mut().for_each(|disk| disk.bus = DiskBus::Sata);
            let mut more = spec.disks.clone();
            more.iter_mut().for_each(|disk| disk.name = format!("{}2", disk.name).parse().unwrap());
            spec.disks.extend(more);
        });
        assert_eq!(crowded, ["spec.disks: 4 SATA disks and 3 CD drives are too many"]);
    }

    #[test]
    fn limits_are_of_both_or_of_each() {
        let of = |limits: DiskLimits| faults(|spec| spec.disks[0].limits = limits);
        let each = DiskLimits { read_iops: Some(100), bytes_per_s: Some(1 << 20), ..Default::default() };
        assert_eq!(of(each), Vec::<String>::new());
        assert_eq!(
            of(DiskLimits { iops: Some(100), ..each }),
            ["spec.disks[0].limits: limits reads and writes together, and one of them as well"]
        );
        assert_eq!(of(DiskLimits { iops: Some(1), ..Default::default() }).len(), 1);
        assert_eq!(of(DiskLimits { bytes_per_s: Some(1), ..Default::default() }).len(), 1);
    }
}
