//! Disks made from a disk of a snapshot, linked to it or copied.
//!
//! A linked clone's QEMU reads layers of another VM, which belong to that VM's user: it is of that user's group, and these
//! layers, and nothing else, can be read by that group.

use std::{
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tabane_model::{CloneMode, Disk, SnapshotSource};
use tabane_qemu::{
    img::{Format, Img, Output, Sandbox, Source},
    qcow2,
};

use super::{Note, layer_path, place};
use crate::{Error, Result, agent::Shared, files, users};

/// Where a snapshot's disk is, and what is known of it.
pub struct Held {
    pub path: PathBuf,
    place: PathBuf,
    note: Note,
    layer: tabane_core::layers::Layer,
}

impl Held {
    /// Of the image that the disk was once made from.
    pub fn image_digest(&self) -> Option<&str> {
        self.note.image_digest.as_deref()
    }

    /// To read it as the user that it belongs to: a guest wrote what is in it.
    pub fn sandbox(&self) -> Result<Sandbox> {
        let owner = std::fs::metadata(&self.path).map_err(Error::file("look at", &self.path))?;
        let identity = users::can_switch().then(|| (owner.uid(), owner.gid()));
        let mut groups = self.note.groups.clone();
        groups.push(users::IMAGES_GID);
        if identity.is_none() {
            groups.clear();
        }
        Ok(Sandbox { identity, groups, ..Sandbox::default() })
    }
}

pub fn held(shared: &Shared, from: &SnapshotSource) -> Result<Held> {
    let waiting = || Error::NotYet(format!("waiting for the snapshot {}", from.snapshot));
    let snapshot = shared.objects.snapshot(&from.snapshot).ok_or_else(waiting)?;
    if snapshot.status.phase == tabane_model::SnapshotPhase::Failed {
        return Err(Error::unfit(
            format!("the snapshot {} failed", from.snapshot),
            "delete the clone, and make it anew when a snapshot can be taken",
        ));
    }
    let known = snapshot.spec.hardware.as_ref().and_then(|h| h.disks.iter().find(|d| d.name == from.disk));
    let disk = known.and_then(|d| shared.objects.disk(&d.disk)).ok_or_else(waiting)?;
    let place = place(shared, &disk)?;
    let note = Note::load(&place)?.ok_or_else(waiting)?;
    let layer = note.layers.held_by(snapshot.meta.uid).ok_or_else(waiting)?;
    Ok(Held { path: layer_path(&place, layer), place, note, layer })
}

/// Makes the disk `fresh`, which is going to be at `target`, and writes its note before.
pub(super) async fn make(
    shared: &Shared,
    disk: &Disk,
    from: &SnapshotSource,
    target: &Path,
    fresh: &Path,
) -> Result<()> {
    let held = held(shared, from)?;
    let owner = std::fs::metadata(&held.path).map_err(Error::file("look at", &held.path))?;
    let mut groups = held.note.groups.clone();
    if users::can_switch() && !groups.contains(&owner.gid()) {
        groups.push(owner.gid());
    }
    let linked = disk.spec.clone == CloneMode::Linked;
    let least = qcow2::virtual_size(&held.path)?;
    let size = disk.spec.size_bytes.unwrap_or(least).max(least);
    let image_digest = held.note.image_digest.clone();
    if !linked {
        Note { image_digest, ..Note::default() }.save(target)?;
        let img = Img::new(held.sandbox()?);
        let source = Source::own(&held.path, Format::Qcow2);
        img.convert(&source, fresh, Output::Qcow2 { compress: false }, &|_| {}).await?;
        return if size > least { super::resize(fresh, size).await } else { Ok(()) };
    }
    for layer in held.note.layers.chain(held.layer) {
        let path = layer_path(&held.place, layer);
        // The owner may still merge what nobody reads; the group is the owner's own.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640))
            .map_err(Error::file("protect", &path))?;
    }
    Note { image_digest, linked: true, groups, ..Note::default() }.save(target)?;
    files::remove(fresh)?;
    Ok(qcow2::create(fresh, size, Some(&held.path))?)
}
