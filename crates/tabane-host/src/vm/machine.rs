//! From a VM's spec to a QEMU machine.

use std::path::{Path, PathBuf};

use tabane_model::{Accel, BootDevice, DiskBus, Firmware, Name, NicModel, Pinned, Protocol, Vm};
use tabane_qemu::{
    command::{self, Accelerator, Backend, DirectBoot, DiskFormat, Machine, TapSource, UserNetwork, Vhost},
    install::{Installation, UefiFirmware},
};

use super::tpm;
use crate::{Error, Result, network::Plug};

/// CPU models of new VMs. Both exist everywhere where they are used, so a VM can move; `qemu64` is the fastest under
/// TCG, which interprets newer instructions slowly.
const CPU_MODEL_TCG: &str = "qemu64";
const CPU_MODEL_KVM: &str = "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+aes";
/// As many as there may be disks and nics, and two more.
pub const PORTS: u8 = 26;
const MEMORY_SLOTS: u32 = 16;

/// A disk as the machine needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct DiskPlug {
    pub name: Name,
    /// Of the layer that is written to, and its number.
    pub path: PathBuf,
    pub layer: u32,
    /// The layers below it, from the top.
    pub below: Vec<(u32, PathBuf)>,
    pub bus: DiskBus,
    pub port: Option<u8>,
}

pub struct NicPlug {
    pub name: Name,
    pub mac: String,
    pub model: NicModel,
    pub plug: Plug,
    pub port: Option<u8>,
    /// Its place in the boot order; one that has none has no boot ROM.
    pub boot_index: Option<u32>,
}

/// What is chosen at the first start and kept from then on.
pub fn pin(
    vm: &Vm,
    earlier: Option<&Pinned>,
    installation: &Installation,
    kvm: Result<(), &str>,
    boots_kernel: bool,
) -> Result<Pinned> {
    let accel = match (vm.spec.accel, kvm) {
        (Accel::Tcg, _) | (Accel::Auto, Err(_)) => Accel::Tcg,
        (Accel::Auto | Accel::Kvm, Ok(())) => Accel::Kvm,
        (Accel::Kvm, Err(reason)) => {
            return Err(Error::unfit(
                format!("KVM cannot run guests here: {reason}"),
                "use `--accel auto` to fall back to TCG, which is slow, or another host",
            ));
        }
    };
    let machine = match vm.spec.machine.as_deref().filter(|m| *m != "q35") {
        Some(machine) => machine.to_owned(),
        None => earlier.map_or_else(|| installation.machine_type.clone(), |p| p.machine.clone()),
    };
    if !installation.machine_types.contains(&machine) {
        return Err(Error::unfit(
            format!("QEMU {} has no machine type {machine}", installation.qemu.version),
            format!("it has {} and older; use a newer QEMU, or another host", installation.machine_type),
        ));
    }
    let default = if accel == Accel::Kvm { CPU_MODEL_KVM } else { CPU_MODEL_TCG };
    // A guest that has once seen a CPU finds the same one again, as long as the accelerator is the same.
    let same_accel = earlier.filter(|p| p.accel == accel);
    let kept = same_accel.map_or_else(|| default.to_owned(), |p| p.cpu_model.clone());
    let cpu_model = vm.spec.cpu_model.clone().unwrap_or(kept);
    let tablet = vm.spec.tablet.unwrap_or_else(|| match earlier {
        Some(earlier) => has_tablet(vm, earlier),
        // Whoever looks at its display can point there; a kernel of our own is watched by its serial console.
        None => !boots_kernel,
    });
    let qemu_version = installation.qemu.version.to_string();
    Ok(Pinned { machine, cpu_model, accel, qemu_version, tablet: Some(tablet) })
}

/// Whether a VM has a tablet that was started before.
fn has_tablet(vm: &Vm, pinned: &Pinned) -> bool {
    pinned.tablet.unwrap_or(vm.spec.firmware != Firmware::Bios)
}

/// The host's files for a firmware; BIOS has none.
pub fn firmware(wanted: Firmware, installation: &Installation) -> Result<Option<&UefiFirmware>> {
    let found = match wanted {
        Firmware::Bios => return Ok(None),
        Firmware::Uefi => &installation.uefi,
        Firmware::UefiSecureBoot => &installation.uefi_secure_boot,
    };
    let missing =
        || Error::unfit(format!("the host has no firmware for {wanted}"), "install it: `apt install ovmf`");
    found.as_ref().map(Some).ok_or_else(missing)
}

/// A kernel that QEMU loads itself needs BIOS, which puts a TPM's log where QEMU puts the initramfs: it then overwrites
/// the ACPI tables, and the guest can never switch itself off.
pub fn boots_directly(vm: &Vm) -> Result<()> {
    if vm.spec.firmware == Firmware::Bios && !vm.spec.tpm {
        return Ok(());
    }
    Err(Error::unfit(
        "an image with a kernel of its own starts by BIOS and without a TPM only",
        "leave `--firmware` and `--tpm` out, or use an image with a boot loader, such as debian-13",
    ))
}

/// Whether a VM that was pinned elsewhere can run on this host, as far as can be said without its files.
pub fn fits(
    vm: &Vm,
    pinned: Option<&Pinned>,
    installation: &Installation,
    kvm: Result<(), &str>,
) -> Result<()> {
    pin(vm, pinned, installation, kvm, false)?;
    firmware(vm.spec.firmware, installation)?;
    if vm.spec.tpm {
        tpm::tool(installation)?;
    }
    Ok(())
}

pub struct Parts<'a> {
    pub vm: &'a Vm,
    pub pinned: &'a Pinned,
    pub disks: Vec<DiskPlug>,
    pub nics: Vec<NicPlug>,
    pub drives: Vec<command::CdDrive>,
    pub passthroughs: Vec<command::Passthrough>,
    pub seed: Option<PathBuf>,
    pub kernel: Option<DirectBoot>,
    pub firmware: command::Firmware,
    pub tpm_socket: Option<PathBuf>,
    /// As [`super::State::generation`].
    pub generation: Option<uuid::Uuid>,
    /// Its memory comes from a file.
    pub incoming: bool,
    pub sandbox: bool,
}

pub fn machine(parts: Parts<'_>) -> Machine {
    let Parts {
        vm,
        pinned,
        disks,
        nics,
        drives,
        passthroughs,
        seed,
        kernel,
        firmware,
        tpm_socket,
        generation,
        incoming,
        sandbox,
    } = parts;
    let spec = &vm.spec;
    let mut machine =
        Machine::new(vm.meta.name.as_str(), vm.meta.uid, pinned.machine.as_str(), spec.memory_bytes);
    machine.accelerator = if pinned.accel == Accel::Kvm { Accelerator::Kvm } else { Accelerator::Tcg };
    machine.cpu_model = pinned.cpu_model.clone();
    machine.cpus = spec.cpus;
    machine.cpus_max = spec.cpus_limit();
    // Modules come in blocks of 128 MiB.
    let room = (spec.memory_limit_bytes() - spec.memory_bytes) >> 27 << 27;
    machine.memory_bytes_max = spec.memory_bytes + room;
    machine.memory_slots = if room == 0 { 0 } else { MEMORY_SLOTS };
    machine.firmware = firmware;
    machine.direct_boot = kernel;
    machine.tpm_socket = tpm_socket;
    machine.vm_generation_id = generation;
    machine.ports = PORTS;
    machine.usb_tablet = has_tablet(vm, pinned);
    machine.sandbox = sandbox;
    machine.start_paused = true;
    machine.incoming = incoming;
    // Place 0 in the boot order is that of a kernel that QEMU loads itself.
    let place = |disk: &DiskPlug| spec.boot_place(&disk.name, BootDevice::Disk);
    machine.disks = disks.iter().map(|disk| disk_plug(disk, place(disk))).collect();
    if let Some(seed) = seed {
        machine.disks.push(seed_plug(&seed));
    }
    machine.nics = nics.into_iter().map(nic_plug).collect();
    machine.drives = drives;
    machine.passthroughs = passthroughs;
    machine
}

pub fn disk_plug(disk: &DiskPlug, boot_index: Option<u32>) -> command::Disk {
    let mut plug = command::Disk::new(disk.name.as_str(), &disk.path, DiskFormat::Qcow2);
    plug.serial = Some(disk.name.to_string());
    plug.bus = match disk.bus {
        DiskBus::Virtio => command::DiskBus::Virtio,
        DiskBus::Sata => command::DiskBus::Sata,
    };
    plug.boot_index = boot_index;
    plug.port = disk.port;
    plug.layer = disk.layer;
    plug.below.clone_from(&disk.below);
    plug
}

/// The seed is a read-only medium, so that cloud-init finds it by its label and no disk changes its place.
fn seed_plug(path: &Path) -> command::Disk {
    let mut plug = command::Disk::new("cloud-init-seed", path, DiskFormat::Raw);
    plug.cdrom = true;
    plug.read_only = true;
    plug.discard = false;
    plug
}

/// Each user network of a VM has a range of its own, or the guest could not tell them apart. The first nic's is QEMU's
/// usual 10.0.2.0/24; a port is a device's for as long as that is there, and so is the range.
fn user_network(port: Option<u8>) -> std::net::Ipv4Addr {
    std::net::Ipv4Addr::new(10, 0, 2 + port.unwrap_or(0), 0)
}

pub fn nic_plug(nic: NicPlug) -> command::Nic {
    let backend = match nic.plug {
        Plug::User { forwards } => {
            let forwards = forwards.iter().map(|f| command::Forward {
                protocol: match f.protocol {
                    Protocol::Tcp => command::Protocol::Tcp,
                    Protocol::Udp => command::Protocol::Udp,
                },
                host_address: f.host_address.unwrap_or(std::net::Ipv4Addr::LOCALHOST.into()),
                host_port: f.host_port,
                guest_port: f.guest_port,
            });
            Backend::User(UserNetwork {
                forwards: forwards.collect(),
                network: Some((user_network(nic.port), 24)),
                ..UserNetwork::default()
            })
        }
        Plug::Tap { handle } => Backend::Tap { source: TapSource::Fd(handle), vhost: Vhost::Off },
        Plug::TapPassed { name } => Backend::Tap { source: TapSource::Passed(name), vhost: Vhost::Off },
    };
    command::Nic {
        id: nic.name.to_string(),
        model: match nic.model {
            NicModel::Virtio => command::NicModel::Virtio,
            NicModel::E1000e => command::NicModel::E1000e,
        },
        mac: nic.mac,
        backend,
        mtu: None,
        boot_index: nic.boot_index,
        port: nic.port,
    }
}
