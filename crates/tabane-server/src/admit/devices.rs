//! Devices of a VM beside disks and nics: what goes into CD drives, and what is a part of the hardware while it runs.

use std::{collections::BTreeSet, sync::Arc};

use tabane_model::{Disk, DiskBus, Host, Image, ImagePhase, Name, NetworkKind, Nic, Vm, VmSpec};

use super::referred;
use crate::{Error, Result, app::App, commit::Change};

pub fn admit(app: &Arc<App>, old: Option<&Vm>, new: &Vm, change: &mut Change<'_>) -> Result<()> {
    for (i, drive) in new.spec.cdroms.iter().enumerate() {
        let Some(name) = &drive.image else { continue };
        let field = format!("spec.cdroms[{i}].image");
        let image = referred::<Image>(app, &field, name, change)?;
        match image.status.phase {
            ImagePhase::Failed => {
                return Err(Error::fault(
                    field,
                    format!("the image {name} is not usable"),
                    format!("see why with `tabane image get {name}`, and import it again"),
                ));
            }
            ImagePhase::Ready if !image.status.cdrom => {
                return Err(Error::fault(
                    field,
                    format!("the image {name} is no CD"),
                    "put in an ISO; `tabane image list` shows what images are",
                ));
            }
            // What it is, is known when it has come; the host looks then.
            _ => {}
        }
    }
    if let Some(image) = kernel_image(app, &new.spec).filter(|_| !new.spec.boot.is_empty()) {
        return Err(Error::fault(
            "spec.boot",
            format!("the VM starts the kernel of the image {image}, whatever else it has"),
            "leave the order out, or use an image with a boot loader",
        ));
    }
    admit_pci(app, new)?;
    stays_while_running(old, new)
}

/// A VM that is placed gets devices of its host.
fn admit_pci(app: &App, new: &Vm) -> Result<()> {
    let Some(host) = new.spec.host.as_ref().and_then(|name| app.cache.get::<Host>(name.as_str())) else {
        return Ok(());
    };
    let missing = |address: &str| !host.status.pci.iter().any(|known| known.address == address);
    match new.spec.pci.iter().enumerate().find(|(_, device)| missing(&device.address)) {
        Some((i, device)) => Err(Error::fault(
            format!("spec.pci[{i}].address"),
            format!("the host {} of the VM has no PCI device {}", host.meta.name, device.address),
            format!("`tabane host devices {}` shows those it has", host.meta.name),
        )),
        None => Ok(()),
    }
}

/// The image whose kernel QEMU starts in place of a boot loader.
fn kernel_image(app: &App, spec: &VmSpec) -> Option<Name> {
    let of_disk = || {
        let first = spec.disks.first()?;
        let disk = first.disk.as_ref().and_then(|name| app.cache.get::<Disk>(name.as_str()));
        first.image.clone().or_else(|| disk?.spec.image.clone())
    };
    let name = spec.boot_image.clone().or_else(of_disk)?;
    app.cache.get::<Image>(name.as_str()).filter(|image| image.status.kernel).map(|_| name)
}

/// What the guest cannot be given or lose while it runs.
fn stays_while_running(old: Option<&Vm>, new: &Vm) -> Result<()> {
    let Some(old) = old.filter(|vm| vm.status.pid.is_some()) else { return Ok(()) };
    let name = &new.meta.name;
    let fixed = |field: &str, what: &str| {
        Err(Error::fault(
            field,
            format!("{what} cannot be changed while the VM runs"),
            format!("shut it down first: `tabane vm shutdown {name} --wait stopped`"),
        ))
    };
    let drives = |spec: &VmSpec| spec.cdroms.iter().map(|d| d.name.clone()).collect::<BTreeSet<_>>();
    let sata = |spec: &VmSpec| {
        let disks = spec.disks.iter().filter(|d| d.bus == DiskBus::Sata);
        disks.map(|d| d.name.clone()).collect::<BTreeSet<_>>()
    };
    if drives(&old.spec) != drives(&new.spec) {
        return fixed("spec.cdroms", "the drives themselves");
    }
    if sata(&old.spec) != sata(&new.spec) {
        return fixed("spec.disks", "SATA disks are not plugged in or out, and which those are");
    }
    if old.spec.boot_nics() != new.spec.boot_nics() {
        return fixed("spec.boot", "a nic has its boot ROM from the start, and which those are");
    }
    if old.spec.pci != new.spec.pci {
        return fixed("spec.pci", "which devices of the host it has");
    }
    if old.spec.tablet != new.spec.tablet {
        return fixed("spec.tablet", "whether there is a tablet");
    }
    Ok(())
}

/// Limits of a nic are rules at its tap.
pub fn admit_nic_limits(nic: &Nic, kind: NetworkKind, field: &str) -> Result<()> {
    if nic.limits.is_none() || kind != NetworkKind::User {
        return Ok(());
    }
    Err(Error::fault(
        format!("{field}.limits"),
        format!(
            "the network {} is of kind user, which lives inside of QEMU and knows no limits",
            nic.network
        ),
        "plug the nic into a network of kind nat",
    ))
}

/// Whether an image can be a disk.
pub fn admit_disk_image(image: &Image, field: &str) -> Result<()> {
    if !image.status.cdrom {
        return Ok(());
    }
    let name = &image.meta.name;
    Err(Error::fault(
        field,
        format!("the image {name} is a CD, and no disk is made from it"),
        format!("put it into a drive, beside a blank disk: `--cdrom {name} --disk 20GiB`"),
    ))
}
