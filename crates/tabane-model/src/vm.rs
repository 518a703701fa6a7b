//! Virtual machines.

use std::{collections::BTreeMap, net::IpAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Arrival, CdDrive, CdDriveStatus, CloneOf, Condition, DiskBus, DiskLimits, Faults, Kind, Mac, Move, Name,
    NicLimits, NicModel, PciPassthrough, Revert, Uid,
    resource::{resource, words},
};

const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;
/// QEMU's q35 takes 288 vCPUs at most without an interrupt remapping unit; 255 need none at all.
pub const CPUS_MAX: u32 = 255;
pub const DISKS_MAX: usize = 16;
pub const NICS_MAX: usize = 8;
pub const USER_DATA_LENGTH_MAX: usize = 64 << 10;

resource!(
    /// A virtual machine.
    Vm, Kind::Vm, VmSpec, VmStatus,
    validate: VmSpec::validate,
    phase: |vm| if vm.meta.deleted_at.is_some() { "deleting" } else { vm.status.phase.as_str() },
    host: |vm| vm.spec.host.as_ref(),
);

words!(
    /// The power state that is wanted, and kept true.
    Power {
        #[default]
        Off = "off",
        On = "on",
        Paused = "paused",
        /// Off now, without asking the guest.
        ForcedOff = "forced-off",
    }
);

words!(
    /// What to do when the guest or its QEMU ends without being asked to.
    OnCrash {
        #[default]
        Restart = "restart",
        /// Leave it as it is, for somebody to look at.
        Hold = "hold",
    }
);

words!(Accel {
    /// KVM where a probe shows that it really runs guests, TCG elsewhere.
    #[default]
    Auto = "auto",
    Kvm = "kvm",
    Tcg = "tcg",
});

words!(Firmware {
    #[default]
    Bios = "bios",
    Uefi = "uefi",
    UefiSecureBoot = "uefi-secure-boot",
});

words!(Protocol {
    #[default]
    Tcp = "tcp",
    Udp = "udp",
});

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VmSpec {
    #[serde(default)]
    pub power: Power,
    #[serde(default)]
    pub on_crash: OnCrash,
    pub cpus: u32,
    /// How far CPUs can be added while the VM runs; fixed at each start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus_max: Option<u32>,
    pub memory_bytes: u64,
    /// How far memory can be added while the VM runs; fixed at each start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes_max: Option<u64>,
    #[serde(default)]
    pub firmware: Firmware,
    /// A virtual TPM 2.0 (needs swtpm on the host).
    #[serde(default)]
    pub tpm: bool,
    #[serde(default)]
    pub accel: Accel,
    /// A QEMU machine type such as `pc-q35-7.2`; without it the host's newest is taken and pinned at first start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_model: Option<String>,
    /// The image whose kernel is booted directly, for images that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_image: Option<Name>,
    #[serde(default)]
    pub disks: Vec<VmDisk>,
    #[serde(default)]
    pub nics: Vec<Nic>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cdroms: Vec<CdDrive>,
    /// Names of disks, CD drives and nics in the order in which they are booted from, at the next start; others are not.
    /// When left out: disks, then CD drives. A nic boots from the network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boot: Vec<Name>,
    /// Devices of the host that it gets as its own: it is placed where they are, and stays there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pci: Vec<PciPassthrough>,
    /// An absolute pointing device for the display. Unless stated, VMs have one whose kernel QEMU does not boot directly;
    /// kept from the first start on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tablet: Option<bool>,
    #[serde(default)]
    pub init: Init,
    #[serde(default)]
    pub shutdown: Shutdown,
    /// Raising it by one asks for one reset.
    #[serde(default)]
    pub resets: u32,
    /// Raising it by one asks for one start of a VM that ended by itself and is held.
    #[serde(default)]
    pub starts: u32,
    /// What it was copied from, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clone_of: Option<CloneOf>,
    /// The last revert that was asked for. Written by `/v1/vms/NAME/revert`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert: Option<Revert>,
    #[serde(default)]
    pub placement: Placement,
    /// Written by the placement controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Name>,
    /// Where it is moving, with its disks. Written by the evacuation controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving: Option<Move>,
}

/// A disk as the VM sees it. In a create request `disk` may be left out: then one is made from the other fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VmDisk {
    /// The name inside the VM; also the serial number that the guest sees.
    pub name: Name,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Name>,
    /// A disk of a snapshot to clone, in place of an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<crate::SnapshotSource>,
    #[serde(default)]
    pub clone: crate::CloneMode,
    /// Keep the disk when the VM is deleted.
    #[serde(default)]
    pub keep: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub bus: DiskBus,
    #[serde(default, skip_serializing_if = "DiskLimits::is_none")]
    pub limits: DiskLimits,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nic {
    pub name: Name,
    pub network: Name,
    /// Given at creation and stable from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub mac: Option<Mac>,
    /// Allocated at creation from the network's range when the network has one, and stable from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// Ports of the host that lead into the guest; only in networks of kind `user`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forwards: Vec<Forward>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub model: NicModel,
    /// Not in networks of kind `user`.
    #[serde(default, skip_serializing_if = "NicLimits::is_none")]
    pub limits: NicLimits,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Forward {
    #[serde(default)]
    pub protocol: Protocol,
    /// Loopback unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub host_address: Option<IpAddr>,
    pub host_port: u16,
    pub guest_port: u16,
}

/// What cloud-init gets to know in the guest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Init {
    /// The VM's name unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The image's default user unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ssh_keys: Vec<String>,
    /// As in shadow(5), such as the output of `mkpasswd`; never a password itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    /// Own cloud-init user-data, beside what the other fields say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    /// How long the guest may take to shut down after it was asked.
    #[serde(default = "Shutdown::default_timeout")]
    pub timeout_s: u32,
    /// Whether to cut the power when the time is over; otherwise the VM stays up and says so.
    #[serde(default = "yes")]
    pub force: bool,
}

fn yes() -> bool {
    true
}

impl Shutdown {
    fn default_timeout() -> u32 {
        120
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { timeout_s: Self::default_timeout(), force: true }
    }
}

/// Where the VM may be placed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// This host and no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Name>,
    /// Hosts that have all of these labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub host_labels: BTreeMap<String, String>,
}

impl VmSpec {
    /// The smallest VM that makes sense; a start for code that builds specs.
    pub fn new(cpus: u32, memory_bytes: u64) -> Self {
        Self {
            power: Power::Off,
            on_crash: OnCrash::Restart,
            cpus,
            cpus_max: None,
            memory_bytes,
            memory_bytes_max: None,
            firmware: Firmware::Bios,
            tpm: false,
            accel: Accel::Auto,
            machine: None,
            cpu_model: None,
            boot_image: None,
            disks: Vec::new(),
            nics: Vec::new(),
            cdroms: Vec::new(),
            boot: Vec::new(),
            pci: Vec::new(),
            tablet: None,
            init: Init::default(),
            shutdown: Shutdown::default(),
            resets: 0,
            starts: 0,
            clone_of: None,
            revert: None,
            placement: Placement::default(),
            host: None,
            moving: None,
        }
    }

    /// The largest number of CPUs that this start of the VM can grow to.
    pub fn cpus_limit(&self) -> u32 {
        self.cpus_max.unwrap_or_else(|| self.cpus.saturating_mul(4).clamp(8, CPUS_MAX)).max(self.cpus)
    }

    /// The largest memory that this start of the VM can grow to.
    pub fn memory_limit_bytes(&self) -> u64 {
        self.memory_bytes_max.unwrap_or_else(|| self.memory_bytes.saturating_mul(4)).max(self.memory_bytes)
    }

    fn validate(&self, faults: &mut Faults) {
        faults.range("spec.cpus", self.cpus.into(), 1, CPUS_MAX.into(), "");
        if let Some(max) = self.cpus_max {
            faults.range("spec.cpus_max", max.into(), self.cpus.into(), CPUS_MAX.into(), "");
        }
        faults.size("spec.memory_bytes", self.memory_bytes, 32 * MIB, 16 * TIB);
        if !self.memory_bytes.is_multiple_of(MIB) {
            faults.add(
                "spec.memory_bytes",
                "memory is given in whole MiB",
                "round it to a multiple of 1 MiB",
            );
        }
        if let Some(max) = self.memory_bytes_max {
            faults.size("spec.memory_bytes_max", max, self.memory_bytes, 16 * TIB);
        }
        for (field, value) in [("spec.machine", &self.machine), ("spec.cpu_model", &self.cpu_model)] {
            // Both become words of a QEMU option, where ',' begins another option.
            let good = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
            if value.as_ref().is_some_and(|v| v.is_empty() || v.len() > 64 || !v.chars().all(good)) {
                faults.add(field, "is no QEMU name", "use letters, digits, '-', '_', '.' and '+'");
            }
        }
        if self.machine.as_ref().is_some_and(|m| !m.starts_with("pc-q35-") && m != "q35") {
            faults.add(
                "spec.machine",
                "only q35 machines are supported",
                "use for example pc-q35-7.2, or leave it out",
            );
        }
        faults.range("spec.shutdown.timeout_s", self.shutdown.timeout_s.into(), 0, 86_400, " s");
        self.validate_disks(faults);
        self.validate_nics(faults);
        self.validate_devices(faults);
        self.validate_pci(faults);
        self.init.validate(faults);
        if let Some(clone) = &self.clone_of {
            clone.validate(faults);
        }
    }

    fn validate_disks(&self, faults: &mut Faults) {
        if self.disks.len() > DISKS_MAX {
            faults.add("spec.disks", format!("{} disks are too many", self.disks.len()), "use 16 at most");
        }
        for (i, disk) in self.disks.iter().enumerate() {
            let field = format!("spec.disks[{i}]");
            if self.disks[..i].iter().any(|d| d.name == disk.name) {
                faults.add(
                    format!("{field}.name"),
                    format!("{} is there twice", disk.name),
                    "give each its own name",
                );
            }
            if disk.name.as_str().len() > 20 {
                faults.add(
                    format!("{field}.name"),
                    "is longer than a virtio serial number",
                    "use 20 characters at most",
                );
            }
            if disk.disk.is_none() && disk.image.is_none() && disk.from.is_none() && disk.size_bytes.is_none()
            {
                faults.add(
                    field.clone(),
                    "says neither which disk to attach nor how to make one",
                    "give `disk`, or `image`, or `size_bytes`",
                );
            }
            if let Some(size) = disk.size_bytes {
                crate::disk::validate_size(&format!("{field}.size_bytes"), size, faults);
            }
        }
    }

    fn validate_nics(&self, faults: &mut Faults) {
        if self.nics.len() > NICS_MAX {
            faults.add("spec.nics", format!("{} nics are too many", self.nics.len()), "use 8 at most");
        }
        for (i, nic) in self.nics.iter().enumerate() {
            let field = format!("spec.nics[{i}]");
            if self.nics[..i].iter().any(|n| n.name == nic.name || (n.mac.is_some() && n.mac == nic.mac)) {
                faults.add(field.clone(), "has the name or MAC of another nic", "give each its own");
            }
            if nic.forwards.len() > 64 {
                faults.add(format!("{field}.forwards"), "more than 64 forwards", "use a nat network instead");
            }
            for (j, forward) in nic.forwards.iter().enumerate() {
                if forward.host_port == 0 || forward.guest_port == 0 {
                    faults.add(format!("{field}.forwards[{j}]"), "0 is no port", "use 1 to 65535");
                }
            }
        }
    }
}

impl Init {
    fn validate(&self, faults: &mut Faults) {
        if let Some(hostname) = &self.hostname {
            let label = |l: &str| {
                !l.is_empty()
                    && l.len() <= 63
                    && !l.starts_with('-')
                    && !l.ends_with('-')
                    && l.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            };
            if hostname.len() > 253 || !hostname.split('.').all(label) {
                faults.add(
                    "spec.init.hostname",
                    "is no host name",
                    "use labels of letters, digits and '-' (RFC 1123)",
                );
            }
        }
        if let Some(user) = &self.user {
            let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
            let start = user.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
            if !start || user.len() > 32 || !user.chars().all(good) {
                faults.add(
                    "spec.init.user",
                    "is no user name",
                    "use a-z, 0-9, '-' and '_', beginning with a letter",
                );
            }
        }
        if self.ssh_keys.len() > 64 {
            faults.add("spec.init.ssh_keys", "more than 64 keys", "use 64 at most");
        }
        for (i, key) in self.ssh_keys.iter().enumerate() {
            let field = format!("spec.init.ssh_keys[{i}]");
            faults.text(&field, key, 16 << 10);
            let form = key.split_whitespace().take(2).collect::<Vec<_>>();
            let known = form.len() == 2
                && (form[0].starts_with("ssh-") || form[0].contains('@') || form[0].starts_with("ecdsa-"));
            if key.contains("PRIVATE KEY") {
                faults.add(field, "is a private key", "give the public one, the file that ends in .pub");
            } else if !known {
                faults.add(
                    field,
                    "is no OpenSSH public key",
                    "give a line such as `ssh-ed25519 AAAA… you@there`",
                );
            }
        }
        if let Some(hash) = &self.password_hash {
            faults.text("spec.init.password_hash", hash, 512);
            if !hash.starts_with('$') {
                faults.add(
                    "spec.init.password_hash",
                    "is no password hash of crypt(5)",
                    "make one with `mkpasswd --method=yescrypt`; a password itself must not be given",
                );
            }
        }
        if self.user_data.as_ref().is_some_and(|d| d.len() > USER_DATA_LENGTH_MAX) {
            faults.add("spec.init.user_data", "is larger than 64 KiB", "let it fetch the rest by itself");
        }
    }
}

words!(VmPhase {
    /// No host has taken it yet.
    #[default]
    Pending = "pending",
    /// Off, and on its way to another host.
    Moving = "moving",
    /// The host makes disks, seed and network ready.
    Preparing = "preparing",
    Starting = "starting",
    Running = "running",
    Paused = "paused",
    Stopping = "stopping",
    Stopped = "stopped",
    /// It ended by itself and is held, or it waits for its next try.
    Crashed = "crashed",
    /// The host cannot do what the spec asks for; the conditions say why.
    Failed = "failed",
    /// Its host has cleaned up; the object may go.
    Deleted = "deleted",
});

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VmStatus {
    #[serde(default)]
    pub observed_generation: u64,
    #[serde(default)]
    pub phase: VmPhase,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub started_at: Option<Timestamp>,
    /// Chosen at the first start and kept, so that the guest never finds other hardware.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Pinned>,
    /// Restarts after crashes since it was last switched on.
    #[serde(default)]
    pub restarts: u32,
    /// Resets done, of those that the spec asks for.
    #[serde(default)]
    pub resets: u32,
    /// Why it last ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest: Option<Guest>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<VmDiskStatus>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nics: Vec<NicStatus>,
    /// What is in its drives now, which may lag behind the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cdroms: Vec<CdDriveStatus>,
    /// vCPUs and memory as they are now, which may lag behind the spec.
    #[serde(default)]
    pub cpus: u32,
    #[serde(default)]
    pub memory_bytes: u64,
    /// The last revert that was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub reverted: Option<Uid>,
    /// The snapshot that its disks stand on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Name>,
    /// The move for which its host has let go of it: it does not run, and is not started there again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub released: Option<Uid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrival: Option<Arrival>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pinned {
    pub machine: String,
    pub cpu_model: String,
    pub accel: Accel,
    /// The QEMU of the last start.
    pub qemu_version: String,
    /// Whether it has a tablet; VMs that were first started before this was pinned have one with UEFI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tablet: Option<bool>,
}

/// What the guest agent tells. The guest is not trusted: these are claims, bounded in size.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Guest {
    pub agent: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<IpAddr>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub file_systems: Vec<FileSystem>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FileSystem {
    pub mount_point: String,
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VmDiskStatus {
    pub name: Name,
    pub size_bytes: u64,
    /// Space taken in the pool.
    pub used_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NicStatus {
    pub name: Name,
    #[schema(value_type = String)]
    pub mac: Mac,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<IpAddr>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(change: impl FnOnce(&mut VmSpec)) -> Vec<String> {
        let mut spec = VmSpec::new(1, 256 * MIB);
        change(&mut spec);
        let mut faults = Faults::default();
        spec.validate(&mut faults);
        faults.0.into_iter().map(|f| f.field).collect()
    }

    #[test]
    fn a_plain_vm_is_valid() {
        assert_eq!(faults(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn absurd_sizes_are_named() {
        assert_eq!(faults(|s| s.cpus = 0), ["spec.cpus"]);
        assert_eq!(faults(|s| s.cpus = 100_000), ["spec.cpus"]);
        assert_eq!(faults(|s| s.memory_bytes = u64::MAX - 5), ["spec.memory_bytes", "spec.memory_bytes"]);
        assert_eq!(faults(|s| s.machine = Some("pc-q35-7.2,accel=kvm".into())), ["spec.machine"]);
        assert_eq!(faults(|s| s.init.hostname = Some("a b".into())), ["spec.init.hostname"]);
        assert_eq!(faults(|s| s.init.password_hash = Some("secret".into())), ["spec.init.password_hash"]);
        assert_eq!(
            faults(|s| s.init.ssh_keys = vec!["-----BEGIN OPENSSH PRIVATE KEY-----".into()]),
            ["spec.init.ssh_keys[0]"]
        );
    }

    #[test]
    fn unknown_fields_are_refused() {
        let text = r#"{"cpus":1,"memory_bytes":268435456,"memroy":1}"#;
        assert!(serde_json::from_str::<VmSpec>(text).unwrap_err().to_string().contains("memroy"));
    }
}
