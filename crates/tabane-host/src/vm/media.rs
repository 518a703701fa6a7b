//! CD drives and what is in them.
//!
//! ```text
//!   spec.cdroms ──► images, here ──► at a start: on the command line
//!        │                      └──► while it runs: tray open, medium out, medium in, tray closed
//!        └── compared with what state.json says is in (core::vm::decide)
//! ```
//!
//! A medium is known by its tag, the beginning of its image's digest: an image that was made anew under the same name is
//! another medium. What is in is written down after it was changed; a change that was cut short is done again, and the
//! second one finds what the first has left.

use std::collections::BTreeMap;

use tabane_core::vm::Medium as Seen;
use tabane_model::{BootDevice, CdDriveStatus, EventLevel, Image, Kind, Name, SATA_MAX, Vm};
use tabane_qemu::{
    command::{self, Medium},
    media,
};

use super::{driver::Driver, state::SATA};
use crate::{Error, Result, agent::Shared, image::Stored};

const TAG_LENGTH: usize = 12;

/// What a drive is called among those that have ports.
pub(super) fn device(name: &Name) -> String {
    format!("{SATA}cd/{name}")
}

fn tag(digest: &str) -> Option<&str> {
    digest.get(..TAG_LENGTH)
}

/// What an image is as a medium, if it is here.
fn medium_here(shared: &Shared, image: &Name) -> Option<Medium> {
    let digest = shared.objects.image(image)?.status.digest.clone()?;
    let tag = tag(&digest)?;
    Some(Medium { tag: tag.into(), path: shared.images.store().medium(tag)? })
}

impl Driver {
    /// Sees to it that the media for the next start are here. While the VM runs each drive is seen to by itself: an image
    /// that is not there yet keeps no disk from being plugged in.
    pub(super) async fn prepare_media(&mut self, vm: &Vm) -> Result<()> {
        if self.state().process.is_none() {
            for image in vm.spec.cdroms.iter().filter_map(|drive| drive.image.as_ref()) {
                self.medium(image).await?;
            }
        }
        Ok(())
    }

    async fn medium(&self, name: &Name) -> Result<Medium> {
        let stored: Stored = self.shared.images.ensure(&self.shared, name).await?;
        let store = self.shared.images.store();
        let medium = tag(&stored.digest)
            .filter(|_| stored.cdrom)
            .and_then(|tag| Some(Medium { tag: tag.into(), path: store.medium(tag)? }));
        medium.ok_or_else(|| {
            Error::unfit(
                format!("the image {name} is no CD, and cannot be put into a drive"),
                "import an ISO: `tabane image import NAME FILE.iso`",
            )
        })
    }

    /// The drives of a machine that is about to be started. A guest whose memory is loaded finds what was in them then, if
    /// that is still here, and empty drives otherwise; what is wanted now is put in when it has gone on.
    pub(super) fn drives(&mut self, vm: &Vm) -> Vec<command::CdDrive> {
        let restored = self.state().restore;
        let restored = restored.map(|uid| self.saved(vm, uid).map(|record| record.media).unwrap_or_default());
        let shared = self.shared.clone();
        let mut drives = Vec::new();
        for drive in &vm.spec.cdroms {
            let port = self.state().port(device(&drive.name), SATA_MAX as u8);
            let medium = match &restored {
                None => drive.image.as_ref().and_then(|image| medium_here(&shared, image)),
                Some(media) => media.get(&drive.name).and_then(|tag| {
                    Some(Medium { tag: tag.clone(), path: shared.images.store().medium(tag)? })
                }),
            };
            let boot_index = vm.spec.boot_place(&drive.name, BootDevice::Cdrom);
            drives.push(command::CdDrive { id: drive.name.to_string(), medium, boot_index, port });
        }
        drives
    }

    pub(super) async fn change_medium(&mut self, vm: &Vm, name: &Name) -> Result<()> {
        let Some(drive) = vm.spec.cdroms.iter().find(|drive| drive.name == *name) else { return Ok(()) };
        let medium = match &drive.image {
            Some(image) => Some(self.medium(image).await?),
            None => None,
        };
        media::change(self.qmp()?, name.as_str(), medium.as_ref()).await?;
        let tag = medium.map(|medium| medium.tag);
        self.running()?.media.get_or_insert_default().insert(name.clone(), tag);
        self.save()?;
        let told = match &drive.image {
            Some(image) => format!("{image} is in the drive {name}"),
            None => format!("the drive {name} is empty"),
        };
        self.shared.reporter.event(EventLevel::Info, "medium_changed", Kind::Vm, &self.name, told);
        Ok(())
    }

    /// Asks a QEMU of which it is not written down what is in its drives.
    pub(super) async fn learn_media(&mut self) -> Result<()> {
        let unknown = self.state().process.as_ref().is_some_and(|running| running.media.is_none());
        let Some(qmp) = self.connected.as_ref().map(|c| c.qmp.clone()).filter(|_| unknown) else {
            return Ok(());
        };
        // One that does not answer now is asked again.
        let Ok(found) = media::all(&qmp).await else { return Ok(()) };
        let named = found.into_iter().filter_map(|(drive, tag)| Some((Name::new(drive).ok()?, tag)));
        self.running()?.media = Some(named.collect());
        self.save()
    }

    /// What is in the drives, by tag.
    pub(super) fn media_now(&mut self) -> BTreeMap<Name, String> {
        let media = self.state().process.as_ref().and_then(|running| running.media.clone());
        media.unwrap_or_default().into_iter().filter_map(|(name, tag)| Some((name, tag?))).collect()
    }

    /// What is in the drives, by the images that stand for it.
    pub(super) fn media_seen(&mut self, vm: &Vm) -> BTreeMap<Name, Seen> {
        let media = self.state().process.as_ref().and_then(|running| running.media.clone());
        let seen = media.unwrap_or_default().into_iter().map(|(name, tag)| {
            let seen = match tag {
                None => Seen::Nothing,
                Some(tag) => self.image_of(vm, &name, &tag).map_or(Seen::Other, Seen::Image),
            };
            (name, seen)
        });
        seen.collect()
    }

    pub(super) fn media_told(&mut self, vm: &Vm) -> Vec<CdDriveStatus> {
        let seen = self.media_seen(vm).into_iter().map(|(name, seen)| {
            let image = if let Seen::Image(image) = seen { Some(image) } else { None };
            CdDriveStatus { name, image }
        });
        seen.collect()
    }

    /// Several images may have the same content: the one that is wanted in this drive comes first.
    fn image_of(&self, vm: &Vm, drive: &Name, tag: &str) -> Option<Name> {
        let is_it =
            |image: &Image| image.status.digest.as_ref().is_some_and(|digest| digest.starts_with(tag));
        let wanted = vm.spec.cdroms.iter().find(|d| d.name == *drive).and_then(|d| d.image.as_ref());
        let wanted = wanted.and_then(|name| self.shared.objects.image(name)).filter(|image| is_it(image));
        let found = wanted.or_else(|| self.shared.objects.images().into_iter().find(|image| is_it(image)));
        found.map(|image| image.meta.name.clone())
    }
}
