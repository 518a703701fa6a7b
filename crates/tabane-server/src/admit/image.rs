//! Images: their content never changes under those who use it.

use std::sync::Arc;

use tabane_model::{Disk, Image, ImageSpec, Vm};

use super::{Admit, Removal};
use crate::{Error, Result, app::App, commit::Change};

impl Admit for Image {
    fn admit(_: &Arc<App>, old: Option<&Self>, new: &mut Self, _: &mut Change<'_>) -> Result<()> {
        let Some(old) = old else {
            if new.spec.host.is_some() || new.spec.moving_to.is_some() {
                return Err(Error::fault(
                    "spec.host",
                    "is written by the placement controller",
                    "leave it out",
                ));
            }
            new.spec.sha256 = new.spec.sha256.take().map(|digits| digits.to_ascii_lowercase());
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
        // Hosts drop the files when nothing needs them any more.
        Ok(Removal::Now)
    }
}
