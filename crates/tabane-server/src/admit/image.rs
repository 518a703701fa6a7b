//! Images: their content never changes under those who use it.

use std::sync::Arc;

use tabane_model::{Disk, Image, ImageSpec, Snapshot, SnapshotPhase, SnapshotSource, Vm};

use super::{Admit, Removal, referred};
use crate::{Error, Result, app::App, commit::Change};

impl Admit for Image {
    fn admit(app: &Arc<App>, old: Option<&Self>, new: &mut Self, change: &mut Change<'_>) -> Result<()> {
        let Some(old) = old else {
            if new.spec.host.is_some() || new.spec.moving_to.is_some() {
                return Err(Error::fault(
                    "spec.host",
                    "is written by the placement controller",
                    "leave it out",
                ));
            }
            new.spec.sha256 = new.spec.sha256.take().map(|digits| digits.to_ascii_lowercase());
            if let Some(from) = new.spec.source.snapshot() {
                of_snapshot(app, &from, new, change)?;
            }
            return Ok(());
        };
        new.spec.host = new.spec.host.take().or_else(|| old.spec.host.clone());
        new.spec.moving_to = new.spec.moving_to.take().or_else(|| old.spec.moving_to.clone());
        let fixed = |spec: &ImageSpec| {
            let content = (spec.source.clone(), spec.sha256.clone(), spec.checksums.clone(), spec.format);
            (content, spec.virtual_size_bytes_max, spec.host.clone(), spec.moving_to.clone())
        };
        if fixed(&old.spec) != fixed(&new.spec) {
            return Err(Error::fault(
                "spec.source",
                "the content of an image cannot be changed",
                "import it under a new name, and delete this one when nobody uses it",
            ));
        }
        Ok(())
    }

    fn remove(app: &Arc<App>, image: &Self, _: &mut Change<'_>) -> Result<Removal> {
        let name = &image.meta.name;
        // A disk that is there already keeps the files it stands on; one that is still to be made needs the image.
        let pending = app.cache.all::<Disk>().into_iter().find(|disk| {
            disk.spec.image.as_ref() == Some(name) && disk.status.phase != tabane_model::DiskPhase::Ready
        });
        if let Some(disk) = pending {
            return Err(Error::InUse {
                detail: format!("the disk {} is being made from the image {name}", disk.meta.name),
                hint: "wait until the disk is ready, or delete it".into(),
            });
        }
        let boots = app.cache.all::<Vm>().into_iter().find(|vm| vm.spec.boot_image.as_ref() == Some(name));
        if let Some(vm) = boots {
            return Err(Error::InUse {
                detail: format!("the VM {} boots from the image {name}", vm.meta.name),
                hint: "delete the VM first, or take the image out of its spec".into(),
            });
        }
        let holds = |vm: &Vm| vm.spec.cdroms.iter().any(|drive| drive.image.as_ref() == Some(name));
        if let Some(vm) = app.cache.all::<Vm>().into_iter().find(|vm| holds(vm)) {
            return Err(Error::InUse {
                detail: format!("the image {name} is in a CD drive of the VM {}", vm.meta.name),
                hint: format!("take it out first: `tabane vm cd eject {}`", vm.meta.name),
            });
        }
        // Hosts drop the files when nothing needs them any more.
        Ok(Removal::Now)
    }
}

/// A template is made where the VM is, whose sizes become its own.
fn of_snapshot(app: &App, from: &SnapshotSource, new: &mut Image, change: &mut Change<'_>) -> Result<()> {
    let snapshot = referred::<Snapshot>(app, "spec.source.snapshot.snapshot", &from.snapshot, change)?;
    if snapshot.meta.deleted_at.is_some() || snapshot.status.phase == SnapshotPhase::Failed {
        return Err(Error::fault(
            "spec.source.snapshot.snapshot",
            format!("the snapshot {} is of no use: it failed, or is being deleted", from.snapshot),
            "take another one",
        ));
    }
    let hardware = snapshot.spec.hardware.as_ref();
    if !hardware.is_some_and(|h| h.disks.iter().any(|disk| disk.name == from.disk)) {
        let names = hardware.iter().flat_map(|h| &h.disks).map(|disk| disk.name.to_string());
        return Err(Error::fault(
            "spec.source.snapshot.disk",
            format!("the snapshot {} has no disk {}", from.snapshot, from.disk),
            format!("use one of: {}", names.collect::<Vec<_>>().join(", ")),
        ));
    }
    new.spec.host = snapshot.spec.host.clone();
    if let Some(vm) = app.cache.get::<Vm>(snapshot.spec.vm.as_str()) {
        let defaults = &mut new.spec.defaults;
        defaults.cpus.get_or_insert(vm.spec.cpus);
        defaults.memory_bytes.get_or_insert(vm.spec.memory_bytes);
        defaults.firmware.get_or_insert(vm.spec.firmware);
        new.spec.os = new.spec.os.take().or_else(|| vm.status.guest.as_ref()?.os.clone());
    }
    Ok(())
}
