//! Snapshots: of VMs that have a host; nothing of one can be changed but its note and its end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tabane_model::{
    Disk, DiskBus, Hardware, Image, ImagePhase, Name, NicModel, Resource, SNAPSHOTS_MAX, Snapshot,
    SnapshotDisk, SnapshotPhase, SnapshotSource, SnapshotSpec, Vm, VmPhase, VmSpec, format_bytes,
};

use super::{Admit, Removal, referred};
use crate::{Error, Result, app::App, commit::Change};

impl Admit for Snapshot {
    /// Their number is bounded.
    fn must_be_alone(old: Option<&Self>, _: &SnapshotSpec) -> bool {
        old.is_none()
    }

    fn admit(app: &Arc<App>, old: Option<&Self>, new: &mut Self, change: &mut Change<'_>) -> Result<()> {
        if let Some(old) = old {
            new.spec.host = new.spec.host.take().or_else(|| old.spec.host.clone());
            new.spec.hardware = new.spec.hardware.take().or_else(|| old.spec.hardware.clone());
            let (note, expires_at) = (new.spec.note.clone(), new.spec.expires_at);
            if new.spec != (SnapshotSpec { note, expires_at, ..old.spec.clone() }) {
                return Err(Error::fault(
                    "spec",
                    "of a snapshot only the note and the expiry can be changed",
                    "take another one",
                ));
            }
            return Ok(());
        }
        let vm = referred::<Vm>(app, "spec.vm", &new.spec.vm, change)?;
        let Some(host) = vm.spec.host.clone() else {
            return Err(Error::Refused {
                code: "not_placed",
                detail: format!(
                    "no host has the VM {} yet, so there is nothing to take a snapshot of",
                    vm.meta.name
                ),
                hint: format!("`tabane vm get {}` says why", vm.meta.name),
            });
        };
        if vm.spec.moving.is_some() {
            return Err(Error::InUse {
                detail: format!("the VM {} is moving to another host", vm.meta.name),
                hint: "take the snapshot when it has arrived".into(),
            });
        }
        let count = of_vm(app, &vm).len();
        if count >= SNAPSHOTS_MAX {
            return Err(Error::Refused {
                code: "too_many_snapshots",
                detail: format!("the VM {} has {count} snapshots, which is the most", vm.meta.name),
                hint: "delete some that are no longer needed: `tabane snapshot list`".into(),
            });
        }
        let runs = matches!(vm.status.phase, VmPhase::Running | VmPhase::Paused);
        if new.spec.memory && !runs {
            return Err(Error::fault(
                "spec.memory",
                format!("the VM {} does not run, so it has no memory", vm.meta.name),
                "start it first, or take the snapshot without memory",
            ));
        }
        if let Some(device) = vm.spec.pci.first().filter(|_| new.spec.memory) {
            return Err(Error::fault(
                "spec.memory",
                format!(
                    "the VM {} has the PCI device {}, whose state cannot be saved",
                    vm.meta.name, device.address
                ),
                "take the snapshot without memory",
            ));
        }
        new.spec.host = Some(host);
        new.spec.hardware = Some(hardware(&vm.spec));
        Ok(())
    }

    fn check_submitted(spec: &SnapshotSpec) -> Result<()> {
        if spec.host.is_some() || spec.hardware.is_some() {
            return Err(Error::fault(
                "spec",
                "host and hardware are written by the server",
                "leave them out",
            ));
        }
        Ok(())
    }

    fn remove(app: &Arc<App>, snapshot: &Self, _: &mut Change<'_>) -> Result<Removal> {
        let Some(vm) = app.cache.get::<Vm>(snapshot.spec.vm.as_str()) else { return Ok(Removal::Now) };
        let wanted = vm.spec.revert.as_ref().is_some_and(|r| r.snapshot == snapshot.meta.uid);
        if wanted && !is_reverted(&vm) {
            return Err(Error::InUse {
                detail: format!("the VM {} is on its way back to this snapshot", vm.meta.name),
                hint: "delete it when that is done".into(),
            });
        }
        stands_alone(app, snapshot)?;
        Ok(Removal::AfterHost)
    }
}

/// Judges a revert that a VM's spec asks for.
pub fn admit_revert(app: &App, old: Option<&Vm>, new: &mut Vm) -> Result<()> {
    let before = old.and_then(|vm| vm.spec.revert.clone());
    new.spec.revert = new.spec.revert.take().or_else(|| before.clone());
    let Some(revert) = new.spec.revert.clone().filter(|revert| Some(revert) != before.as_ref()) else {
        return Ok(());
    };
    let known = app.cache.list::<Snapshot>(None, 1, |s| s.meta.uid == revert.snapshot).0;
    let Some(snapshot) = known.first().filter(|s| s.spec.vm == new.meta.name) else {
        return Err(Error::fault(
            "snapshot",
            format!("it is no snapshot of the VM {}", new.meta.name),
            "`tabane snapshot list` shows which VM has which",
        ));
    };
    let name = &snapshot.meta.name;
    if snapshot.status.phase != SnapshotPhase::Ready || snapshot.meta.deleted_at.is_some() {
        return Err(Error::Refused {
            code: "snapshot_not_ready",
            detail: format!("the snapshot {name} is {}", snapshot.phase()),
            hint: format!("`tabane snapshot get {name} -o yaml` says why; wait, or choose another"),
        });
    }
    let Some(then) = &snapshot.spec.hardware else { return Ok(()) };
    let now = hardware(&new.spec);
    let disks =
        |h: &Hardware| h.disks.iter().map(|d| (d.name.clone(), d.disk.clone())).collect::<BTreeMap<_, _>>();
    let part = if disks(&now) != disks(then) {
        "disks"
    } else if !revert.memory {
        return Ok(());
    } else if now.nics != then.nics {
        "nics"
    } else if !new.spec.pci.is_empty() {
        "PCI devices, whose state is not saved,"
    } else if now.cdroms != then.cdroms {
        "CD drives"
    } else if (&now.boot_nics, &now.sata_disks, &now.e1000e_nics, now.tablet)
        != (&then.boot_nics, &then.sata_disks, &then.e1000e_nics, then.tablet)
    {
        "kinds of disks, nics or tablet"
    } else if (now.firmware, now.tpm) != (then.firmware, then.tpm) {
        "firmware or TPM"
    } else if (now.cpus, now.memory_bytes) != (then.cpus, then.memory_bytes) {
        "CPUs or memory"
    } else {
        return Ok(());
    };
    Err(Error::Refused {
        code: "hardware_differs",
        detail: format!("the VM {} has other {part} than when the snapshot was taken", new.meta.name),
        hint: format!("`tabane snapshot get {name} -o yaml` shows what it had; change the VM to that first"),
    })
}

/// A disk that snapshots hold a layer of stays with its VM: a revert would not find it again.
pub fn admit_detach(app: &App, vm: &Vm, disk: &Name) -> Result<()> {
    let holds =
        |s: &Snapshot| s.spec.hardware.as_ref().is_some_and(|h| h.disks.iter().any(|d| d.disk == *disk));
    match of_vm(app, vm).into_iter().find(|s| holds(s)) {
        Some(snapshot) => Err(Error::InUse {
            detail: format!("the snapshot {} has the disk {disk}", snapshot.meta.name),
            hint: format!("delete the snapshots of {} first: `tabane snapshot list`", vm.meta.name),
        }),
        None => Ok(()),
    }
}

/// Judges a disk that is to be made from a snapshot; answers the host where that can be done.
pub fn admit_source(
    app: &App,
    from: &SnapshotSource,
    size_bytes: Option<u64>,
    change: &mut Change<'_>,
) -> Result<Name> {
    let snapshot = referred::<Snapshot>(app, "spec.from.snapshot", &from.snapshot, change)?;
    let known = snapshot.spec.hardware.as_ref().and_then(|h| h.disks.iter().find(|d| d.name == from.disk));
    let (Some(known), Some(host)) = (known, snapshot.spec.host.clone()) else {
        return Err(Error::fault(
            "spec.from.disk",
            format!("the snapshot {} has no disk {}", from.snapshot, from.disk),
            format!("`tabane snapshot get {} -o yaml` shows which it has", from.snapshot),
        ));
    };
    let least = app.cache.get::<Disk>(known.disk.as_str()).map_or(0, |d| d.status.size_bytes);
    match size_bytes {
        Some(size) if size < least => Err(Error::fault(
            "spec.size_bytes",
            format!("{} is smaller than the disk that it is to be made from", format_bytes(size)),
            format!("use at least {}, or leave it out", format_bytes(least)),
        )),
        _ => Ok(host),
    }
}

/// VMs, and disks of no VM, that cannot do without a snapshot.
pub fn clones_of(app: &App, snapshot: &Snapshot) -> Vec<Name> {
    let name = &snapshot.meta.name;
    let disks = app.cache.list::<Disk>(None, usize::MAX, |d| d.needs_snapshot() == Some(name)).0;
    let names = disks.iter().map(|d| d.spec.vm.clone().unwrap_or_else(|| d.meta.name.clone()));
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

fn stands_alone(app: &App, snapshot: &Snapshot) -> Result<()> {
    let finished = |image: &Image| matches!(image.status.phase, ImagePhase::Ready | ImagePhase::Failed);
    let is_it = |image: &Image| {
        image.spec.source.snapshot().is_some_and(|from| from.snapshot == snapshot.meta.name)
            && image.meta.deleted_at.is_none()
            && !finished(image)
    };
    if let Some(image) = app.cache.list::<Image>(None, 1, is_it).0.first() {
        return Err(Error::InUse {
            detail: format!(
                "the template {} is being made from the snapshot {}",
                image.meta.name, snapshot.meta.name
            ),
            hint: "wait until it is ready, or delete it".into(),
        });
    }
    let clones = clones_of(app, snapshot);
    let Some(first) = clones.first() else { return Ok(()) };
    let more = if clones.len() > 1 { format!(" and {} more", clones.len() - 1) } else { String::new() };
    Err(Error::InUse {
        detail: format!("{first}{more} stand on the snapshot {} of {}", snapshot.meta.name, snapshot.spec.vm),
        hint: "delete these clones first; full clones (`tabane vm clone --full`) need nothing once they are made".into(),
    })
}

/// The snapshots of a VM that goes, go with it.
pub fn remove_all(app: &App, vm: &Vm, change: &mut Change<'_>) -> Result<()> {
    for snapshot in of_vm(app, vm) {
        stands_alone(app, &snapshot)?;
        if snapshot.spec.host.is_none() {
            change.delete(&*snapshot);
        } else if snapshot.meta.deleted_at.is_none() {
            let mut marked = Snapshot::clone(&snapshot);
            marked.meta.deleted_at = Some(app.now());
            marked.meta.generation += 1;
            change.update("delete", &marked);
        }
    }
    Ok(())
}

/// Snapshots of a VM.
pub fn of_vm(app: &App, vm: &Vm) -> Vec<Arc<Snapshot>> {
    app.cache.list::<Snapshot>(None, usize::MAX, |s| s.spec.vm == vm.meta.name).0
}

/// Whether the revert that was asked for last is done, if one ever was.
pub fn is_reverted(vm: &Vm) -> bool {
    vm.spec.revert.as_ref().is_none_or(|revert| vm.status.reverted == Some(revert.id))
}

pub fn hardware(spec: &VmSpec) -> Hardware {
    fn named<'a>(names: impl Iterator<Item = &'a Name>) -> Vec<Name> {
        names.cloned().collect()
    }
    let disk = |d: &tabane_model::VmDisk| Some(SnapshotDisk { name: d.name.clone(), disk: d.disk.clone()? });
    Hardware {
        cpus: spec.cpus,
        cpus_max: spec.cpus_max,
        memory_bytes: spec.memory_bytes,
        memory_bytes_max: spec.memory_bytes_max,
        firmware: spec.firmware,
        tpm: spec.tpm,
        disks: spec.disks.iter().filter_map(disk).collect(),
        nics: spec.nics.iter().map(|n| n.name.clone()).collect(),
        cdroms: spec.cdroms.iter().map(|d| d.name.clone()).collect(),
        boot_nics: spec.boot_nics().into_iter().cloned().collect(),
        sata_disks: named(spec.disks.iter().filter(|d| d.bus == DiskBus::Sata).map(|d| &d.name)),
        e1000e_nics: named(spec.nics.iter().filter(|n| n.model == NicModel::E1000e).map(|n| &n.name)),
        tablet: spec.tablet,
    }
}
