//! New layers, and merging those that nobody uses.

use std::path::{Path, PathBuf};

use tabane_core::layers::{Layer, Tidy};
use tabane_qemu::{
    img::{Img, Sandbox},
    layers::Below,
    qcow2,
};

use super::note::{Note, layer_path};
use crate::{Error, Result, files, users};

/// Makes the file of a new layer over another, for the user of the VM. One of that number that an interrupted step left
/// is replaced.
pub fn make(place: &Path, new: Layer, over: Layer, user: u32) -> Result<PathBuf> {
    let (path, below) = (layer_path(place, new), layer_path(place, over));
    files::remove(&path)?;
    qcow2::create(&path, qcow2::virtual_size(&below)?, Some(&below))?;
    users::give(&path, user, user).map_err(Error::file("give away", &path))?;
    files::sync_folder(place.parent().unwrap_or(Path::new("/")))?;
    Ok(path)
}

/// What a layer stands on when the one below it is gone.
pub fn below(place: &Path, note: &Note, from: Layer) -> Result<Below> {
    Ok(match note.layers.below(from) {
        Some(layer) => Below::Layer(layer, layer_path(place, layer)),
        None => qcow2::backing(&layer_path(place, from))?.map_or(Below::Nothing, Below::Image),
    })
}

pub fn path_of(below: &Below) -> Option<&Path> {
    match below {
        Below::Nothing => None,
        Below::Layer(_, path) | Below::Image(path) => Some(path),
    }
}

/// A merge is over: makes it durable, and sees that it is what the note is going to say.
pub fn check_streamed(place: &Path, into: Layer, below: &Below) -> Result<()> {
    let path = layer_path(place, into);
    sync(&path)?;
    let told = qcow2::backing(&path)?;
    if told.as_deref() == path_of(below) {
        return Ok(());
    }
    Err(Error::Stream(format!("after the merge {} stands on {told:?}", path.display())))
}

pub fn sync(path: &Path) -> Result<()> {
    std::fs::File::open(path).and_then(|file| file.sync_all()).map_err(Error::file("sync", path))
}

/// Merges layers that nobody uses, as the user of the VM: a guest wrote what is in them.
pub async fn merge(place: &Path, note: &Note, step: Tidy, user: u32) -> Result<()> {
    let identity = users::can_switch().then_some((user, user));
    let mut groups = note.groups.clone();
    groups.push(users::IMAGES_GID);
    if identity.is_none() {
        groups.clear();
    }
    let img = Img::new(Sandbox { identity, groups, ..Sandbox::default() });
    match step {
        Tidy::Drop(_) => Ok(()),
        Tidy::Stream { into, from } => {
            let below = below(place, note, from)?;
            img.rebase(&layer_path(place, into), path_of(&below)).await?;
            check_streamed(place, into, &below)
        }
        Tidy::Commit { from, into } => {
            img.commit(&layer_path(place, from)).await?;
            sync(&layer_path(place, into))
        }
    }
}
