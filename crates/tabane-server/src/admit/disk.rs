//! Disks: they grow and never shrink, and what they were made from stays as it was.

use std::sync::Arc;

use tabane_model::{Disk, DiskSpec, Image, Pool, format_bytes};

use super::{Admit, Removal, referred};
use crate::{Error, Result, app::App, commit::Change};

impl Admit for Disk {
    fn admit(app: &Arc<App>, old: Option<&Self>, new: &mut Self, change: &mut Change<'_>) -> Result<()> {
        let Some(old) = old else {
            referred::<Pool>(app, "spec.pool", &new.spec.pool, change)?;
            if let Some(from) = &new.spec.from {
                let host = super::snapshot::admit_source(app, from, new.spec.size_bytes, change)?;
                match &new.spec.host {
                    Some(other) if *other != host => {
                        return Err(Error::fault(
                            "spec.from.snapshot",
                            format!("{} is on host {host}, and the VM on {other}", from.snapshot),
                            "clones are made where the snapshot is",
                        ));
                    }
                    _ => new.spec.host = Some(host),
                }
            }
            if let Some(image) = &new.spec.image {
                let image = referred::<Image>(app, "spec.image", image, change)?;
                super::devices::admit_disk_image(&image, "spec.image")?;
                let least = image.status.virtual_size_bytes;
                if let Some(size) = new.spec.size_bytes
                    && size < least
                {
                    return Err(Error::fault(
                        "spec.size_bytes",
                        format!("{} is smaller than the image", format_bytes(size)),
                        format!("use at least {}", format_bytes(least)),
                    ));
                }
            }
            return Ok(());
        };
        new.spec.host = new.spec.host.take().or_else(|| old.spec.host.clone());
        new.spec.vm = new.spec.vm.take().or_else(|| old.spec.vm.clone());
        new.spec.moving = new.spec.moving.take().or_else(|| old.spec.moving.clone());
        // Everything but the size.
        let fixed = DiskSpec { size_bytes: new.spec.size_bytes, ..old.spec.clone() };
        if fixed != new.spec {
            return Err(Error::fault(
                "spec",
                "of a disk only the size can be changed",
                "attach and detach it by the VM's list of disks",
            ));
        }
        let before = old.spec.size_bytes.unwrap_or(old.status.size_bytes);
        match new.spec.size_bytes {
            Some(after) if after < before => Err(Error::fault(
                "spec.size_bytes",
                format!("{} is less than the {} that it has", format_bytes(after), format_bytes(before)),
                "a disk cannot shrink: make a smaller one and copy what is needed",
            )),
            None if old.spec.size_bytes.is_some() => {
                new.spec.size_bytes = old.spec.size_bytes;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn check_submitted(spec: &DiskSpec) -> Result<()> {
        if spec.vm.is_some() || spec.host.is_some() || spec.moving.is_some() {
            let field = if spec.vm.is_some() { "spec.vm" } else { "spec.host" };
            return Err(Error::fault(
                field,
                "a disk is attached by its VM, and placed by the server",
                "leave out `vm` and `host`, and attach it: `tabane vm attach VM --disk NAME`",
            ));
        }
        Ok(())
    }

    fn remove(_: &Arc<App>, disk: &Self, _: &mut Change<'_>) -> Result<Removal> {
        if let Some(vm) = &disk.spec.vm {
            return Err(Error::InUse {
                detail: format!("the disk {} is attached to the VM {vm}", disk.meta.name),
                hint: format!("detach it first: `tabane vm detach {vm} {}`", disk.meta.name),
            });
        }
        Ok(if disk.spec.host.is_some() { Removal::AfterHost } else { Removal::Now })
    }
}
