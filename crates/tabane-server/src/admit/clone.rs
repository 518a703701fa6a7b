//! VMs that begin as copies of others.

use std::sync::Arc;

use tabane_model::{CloneMode, CloneOf, Hardware, Name, Resource, Snapshot, Vm, VmDisk, VmSpec};

use super::{referred, snapshot::hardware};
use crate::{Error, Result, app::App, commit::Change};

/// Judges what a VM says that it was copied from, and fills in what its host has to know of that. Its disks have to be
/// as they were asked for.
pub fn admit_origin(app: &Arc<App>, old: Option<&Vm>, new: &mut Vm, change: &mut Change<'_>) -> Result<()> {
    if let Some(old) = old {
        // It happened, so it does not change.
        new.spec.clone_of = new.spec.clone_of.take().or_else(|| old.spec.clone_of.clone());
        if new.spec.clone_of != old.spec.clone_of {
            return Err(Error::fault(
                "spec.clone_of",
                "a VM stays what it began as",
                "leave it out; `tabane vm clone` makes another VM",
            ));
        }
        return Ok(());
    }
    let Some(mut origin) = new.spec.clone_of.take() else { return Ok(()) };
    let snapshot = referred::<Snapshot>(app, "spec.clone_of.snapshot", &origin.snapshot, change)?;
    let source = app.cache.expect::<Vm>(snapshot.spec.vm.as_str())?;
    if origin.memory {
        fits(&origin, &snapshot, &new.spec)?;
    }
    origin.vm = Some(source.meta.uid);
    origin.macs = source.spec.nics.iter().filter_map(|nic| Some((nic.name.clone(), nic.mac?))).collect();
    new.spec.clone_of = Some(origin);
    Ok(())
}

/// A memory goes on in the machine that it was saved from, and in no other.
fn fits(origin: &CloneOf, snapshot: &Snapshot, spec: &VmSpec) -> Result<()> {
    let name = &snapshot.meta.name;
    if !snapshot.spec.memory {
        return Err(Error::fault(
            "spec.clone_of.snapshot",
            format!("the snapshot {name} has no memory"),
            "take one with it: `tabane snapshot create --memory`",
        ));
    }
    let Some(then) = &snapshot.spec.hardware else {
        return Err(Error::fault(
            "spec.clone_of.snapshot",
            format!("of {name} it is not known what it fits to"),
            "take another",
        ));
    };
    if then.tpm {
        return Err(Error::fault(
            "spec.clone_of.memory",
            format!("the VM {} has a TPM, which no other machine can go on with", snapshot.spec.vm),
            "clone it without its memory",
        ));
    }
    let stands_on_it = |disk: &VmDisk| {
        let from = disk.from.as_ref().is_some_and(|from| from.snapshot == origin.snapshot);
        from && disk.clone == CloneMode::Linked && disk.size_bytes.is_none()
    };
    let now = hardware(spec);
    let others = |hardware: &Hardware| Hardware { disks: Vec::new(), ..hardware.clone() };
    let disks: Vec<&Name> = spec.disks.iter().map(|d| &d.name).collect();
    let differs = if !spec.disks.iter().all(stands_on_it)
        || !disks.iter().copied().eq(then.disks.iter().map(|d| &d.name))
    {
        Some("spec.disks")
    } else if now.nics != then.nics {
        Some("spec.nics")
    } else if (now.cpus, now.cpus_max) != (then.cpus, then.cpus_max) {
        Some("spec.cpus")
    } else if (now.memory_bytes, now.memory_bytes_max) != (then.memory_bytes, then.memory_bytes_max) {
        Some("spec.memory_bytes")
    } else if now.firmware != then.firmware || now.tpm {
        Some("spec.firmware")
    } else if others(&now) != others(then) {
        Some("spec")
    } else {
        None
    };
    match differs {
        None => Ok(()),
        Some(field) => Err(Error::fault(
            field,
            format!("differs from what the {} {name} holds", Snapshot::KIND),
            "leave it as it was there, or clone without the memory; change it once the clone runs",
        )),
    }
}
