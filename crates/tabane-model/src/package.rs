//! What is asked about a package of another system, and what would become of it here. Nothing of it is stored: client,
//! server and host share these forms.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Name, Problem, Vm, resource::words};

/// Carries the package's digest, on the VM and on the images on the way to it.
pub const IMPORTED_FROM: &str = "imported-from";

/// The small texts of a package and the names of its files; the disks stay where they are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PackageRequest {
    /// The descriptor's name in the package.
    pub descriptor_name: String,
    /// OVF, as it is in the package.
    pub descriptor: String,
    /// As it is in the package; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    pub files: Vec<PackageFile>,
    #[serde(default)]
    pub choices: PackageChoices,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PackageFile {
    pub name: String,
    pub size_bytes: u64,
}

/// What is up to whoever imports.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PackageChoices {
    /// Of the VM; made from the package's unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Of the disks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Name>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<NetworkChoice>,
    /// Which of the sizes that the package offers; its default unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
    /// Keep the MAC addresses that the package states.
    #[serde(default)]
    pub keep_macs: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Name>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub start: bool,
}

/// Where nics of a network of theirs go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkChoice {
    /// The packer's name of it; all of them unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theirs: Option<String>,
    pub network: Name,
}

/// What would be made of a package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PackagePlan {
    /// To be created when the images of its disks are ready.
    pub vm: Vm,
    /// What the packer says of the operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    pub disks: Vec<PackageDisk>,
    pub nics: Vec<PackageNic>,
    /// Which of the packer's sizes this is, and all that there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub configurations: Vec<PackageConfiguration>,
    /// Texts that the packer wants to be agreed to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licences: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<PackageNote>,
    /// What is in the package and not in this machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// A disk of the plan, in the order of the VM's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PackageDisk {
    /// Inside the VM.
    pub name: Name,
    pub capacity_bytes: u64,
    /// What the packer called it, and the bus that it was at.
    pub label: String,
    pub bus: PackageBus,
    /// Absent for a blank disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<PackageContent>,
}

/// A file of the package that becomes an image on the way to a disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PackageContent {
    /// In the package.
    pub file: String,
    pub file_bytes: u64,
    pub image: Name,
    /// More than this inside is refused.
    pub virtual_size_bytes_max: u64,
    /// What the manifest says of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<PackageDigest>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PackageDigest {
    pub algorithm: DigestAlgorithm,
    /// In lower case.
    pub hexadecimal: String,
}

words!(DigestAlgorithm {
    /// What VMware wrote until 6.5, and VirtualBox writes still. It finds damage, and no attack.
    Sha1 = "sha1",
    #[default]
    Sha256 = "sha256",
    Sha512 = "sha512",
});

words!(PackageBus {
    Ide = "IDE",
    Sata = "SATA",
    Scsi = "SCSI",
    Nvme = "NVMe",
    Virtio = "virtio",
    #[default]
    Unknown = "unknown",
});

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PackageNic {
    /// Inside the VM.
    pub name: Name,
    pub network: Name,
    /// The packer's name of its network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theirs: Option<String>,
    /// Its MAC address and model in the package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Nobody chose a network, and there is none of that name here.
    #[serde(default)]
    pub by_default: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PackageConfiguration {
    pub id: String,
    pub label: String,
}

words!(
    /// What whoever imports should know before.
    PackageNote {
        /// Windows gets SATA disks and e1000e nics, which it has drivers for.
        WindowsDrivers = "windows_drivers",
        /// Disks and nics are virtio here, so their names may change in the guest.
        #[default]
        VirtioNames = "virtio_names",
        FirmwareSettings = "firmware_settings",
        NoManifest = "no_manifest",
    }
);

/// What the server asks a host for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PackageOrder {
    pub request: PackageRequest,
    /// Those that there are.
    pub networks: Vec<Name>,
}

/// What a host answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackageAnswer {
    Plan(Box<PackagePlan>),
    Refused(Box<Problem>),
}

/// Bounds of what is sent for a plan.
pub mod package_bounds {
    pub const DESCRIPTOR_BYTES_MAX: u64 = 4 << 20;
    pub const MANIFEST_BYTES_MAX: u64 = 1 << 20;
    /// A package has a descriptor, a manifest, a certificate, and disks: many less than this.
    pub const FILES_MAX: usize = 1024;
    /// As JSON, with what its escapes add.
    pub const ORDER_BYTES_MAX: usize = 16 << 20;
    pub const PLAN_BYTES_MAX: usize = 16 << 20;
}
