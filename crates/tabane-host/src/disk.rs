//! Disks on this host: qcow2 files in a pool, named by the disk's identity, so that a new disk of an old name is a new
//! file. Each is a chain of layers; see [`tabane_core::layers`].
//!
//! Invariant: a file that has its final name is complete. A clone's image stays for as long as the clone.

mod clone;
pub use clone::{Held, held};
pub use turns::Turns;
pub mod layers;
mod note;
mod turns;

pub use note::{Note, layer_path, remove_files};

use std::path::{Path, PathBuf};

use tabane_model::{CloneMode, Condition, Disk, DiskPhase, DiskStatus, Kind};
use tabane_qemu::{
    img::{Format, Img, Sandbox},
    qcow2,
};

use crate::{Error, Result, agent::Shared, files, image::Stored, pool};

/// A disk that is there.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Of layer 0, by which the disk is named.
    pub place: PathBuf,
    /// Of the layer that is written to.
    pub path: PathBuf,
    pub note: Note,
    pub size_bytes: u64,
    /// What it was made from.
    pub image: Option<Stored>,
}

impl Ready {
    /// Space that all layers take in the pool.
    pub fn used_bytes(&self) -> u64 {
        self.note.layers.all().map(|layer| used_bytes(&layer_path(&self.place, layer))).sum()
    }
}

fn path(folder: &Path, disk: &Disk) -> PathBuf {
    folder.join(format!("{}.qcow2", disk.meta.uid.simple()))
}

pub fn used_bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |m| std::os::unix::fs::MetadataExt::blocks(&m) * 512)
}

/// Whether the disk was ever ready. What is said of it later keeps its size, also when it fails.
pub fn was_made(disk: &Disk) -> bool {
    disk.status.phase == DiskPhase::Ready || disk.status.size_bytes > 0
}

/// Tells what became of a disk that was looked at.
pub fn tell(shared: &Shared, disk: &Disk, made: &Result<Ready>) {
    let (reporter, meta) = (&shared.reporter, &disk.meta);
    let before: Option<DiskStatus> = reporter.told(Kind::Disk, &meta.name, meta.uid);
    let before = before.map_or_else(|| disk.status.conditions.clone(), |told| told.conditions);
    reporter.status(Kind::Disk, &meta.name, meta.uid, &status(disk, before, made));
}

/// `before` are the conditions that were told last.
fn status(disk: &Disk, before: Vec<Condition>, made: &Result<Ready>) -> DiskStatus {
    let mut status = DiskStatus { observed_generation: disk.meta.generation, ..DiskStatus::default() };
    match made {
        Ok(ready) => {
            status.phase = DiskPhase::Ready;
            status.size_bytes = ready.size_bytes;
            status.used_bytes = ready.used_bytes();
            status.image_digest = ready.image.as_ref().map(|i| i.digest.clone());
        }
        Err(error) => {
            status.size_bytes = disk.status.size_bytes;
            status.image_digest.clone_from(&disk.status.image_digest);
            if !matches!(error, Error::NotYet(_)) {
                status.phase = DiskPhase::Failed;
                // The same failure is told once: what is told changes the object, and that lets us look again.
                status.conditions = before;
                let now = jiff::Timestamp::now();
                let told = error.told();
                tabane_model::set_condition(&mut status.conditions, "ready", false, "failed", told, now);
            }
        }
    }
    status
}

/// Where the disk's file is on this host.
pub fn place(shared: &Shared, disk: &Disk) -> Result<PathBuf> {
    Ok(path(&pool::ensure(shared, &disk.spec.pool)?, disk))
}

/// Makes the disk if it is not there. Growing is left to whoever knows whether it is in use.
pub async fn ensure(shared: &Shared, disk: &Disk) -> Result<Ready> {
    let folder = pool::ensure(shared, &disk.spec.pool)?;
    let place = path(&folder, disk);
    let mut note = Note::load(&place)?.unwrap_or_default();
    let mut path = note.active_path(&place);
    if !path.exists() {
        // To make it anew would give the guest an empty disk in place of its own.
        if was_made(disk) {
            return Err(Error::unfit(
                format!("the file of the disk {} is gone: {}", disk.meta.name, path.display()),
                "if its pool is a file system of its own, mount it; otherwise put the file back",
            ));
        }
        make(shared, disk, &place).await?;
        note = Note::load(&place)?.unwrap_or_default();
        path = note.active_path(&place);
    }
    let image = note.image_digest.as_ref().and_then(|digest| shared.images.store().load(digest));
    let size_bytes = qcow2::virtual_size(&path)?;
    Ok(Ready { place, path, note, size_bytes, image })
}

async fn make(shared: &Shared, disk: &Disk, path: &Path) -> Result<()> {
    let fresh = files::fresh_path(path);
    files::remove(&fresh)?;
    if let Some(from) = &disk.spec.from {
        clone::make(shared, disk, from, path, &fresh).await?;
        return files::rename(&fresh, path);
    }
    let image = match &disk.spec.image {
        Some(name) => Some(shared.images.ensure(shared, name).await?),
        None => None,
    };
    if let (Some(name), Some(image)) = (&disk.spec.image, &image)
        && image.cdrom
    {
        return Err(Error::unfit(
            format!("the image {name} is a CD, and no disk is made from it"),
            format!(
                "make a blank disk, and put the CD into a drive: `tabane vm create NAME --cdrom {name} --disk SIZE`"
            ),
        ));
    }
    let base =
        image.as_ref().filter(|i| i.disk).map(|i| shared.images.store().folder(&i.digest).join("disk.qcow2"));
    let least = image.as_ref().map_or(0, |i| i.virtual_size_bytes);
    let size = disk.spec.size_bytes.unwrap_or(least).max(1 << 20);
    if size < least {
        let [size, least] = [size, least].map(tabane_model::format_bytes);
        return Err(Error::unfit(
            format!("{size} is smaller than the image, which has {least}"),
            "delete the disk and make it larger",
        ));
    }
    let linked = base.is_some() && disk.spec.clone == CloneMode::Linked;
    // The note comes first: a clone without one would not protect its image.
    let image_digest = image.map(|i| i.digest);
    Note { image_digest, linked, ..Note::default() }.save(path)?;
    let target = fresh.clone();
    let made = tokio::task::spawn_blocking(move || match base {
        Some(base) if !linked => copy(&base, &target),
        base => Ok(qcow2::create(&target, size, base.as_deref())?),
    });
    made.await.map_err(|e| Error::Stream(format!("making a disk was cut short: {e}")))??;
    if !linked && qcow2::virtual_size(&fresh)? < size {
        resize(&fresh, size).await?;
    }
    files::rename(&fresh, path)
}

/// A whole copy: shared blocks where the file system can, bytes elsewhere, holes kept.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let source = std::fs::File::open(from).map_err(Error::file("read", from))?;
    let target = std::fs::File::create(to).map_err(Error::file("create", to))?;
    if rustix::fs::ioctl_ficlone(&target, &source).is_err() {
        copy_data(&source, &target).map_err(Error::file("write", to))?;
    }
    target.sync_all().map_err(Error::file("write", to))
}

fn copy_data(source: &std::fs::File, target: &std::fs::File) -> std::io::Result<()> {
    use rustix::fs::SeekFrom;
    let length = source.metadata()?.len();
    target.set_len(length)?;
    let mut at = 0;
    loop {
        let start = match rustix::fs::seek(source, SeekFrom::Data(at)) {
            Ok(start) => start,
            // No data after this point.
            Err(rustix::io::Errno::NXIO) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(source, SeekFrom::Hole(start))?;
        let (mut from, mut to) = (start, start);
        while from < end {
            let wanted = usize::try_from(end - from).unwrap_or(usize::MAX).min(64 << 20);
            let copied = rustix::fs::copy_file_range(source, Some(&mut from), target, Some(&mut to), wanted)?;
            if copied == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        at = end;
    }
}

/// Lets a disk that nobody uses grow.
pub async fn grow(ready: &Ready, size_bytes: u64) -> Result<()> {
    resize(&ready.path, size_bytes).await
}

/// Runs as ourselves: the disk is ours, but a guest wrote its content, so the limits of the sandbox apply.
async fn resize(path: &Path, size_bytes: u64) -> Result<()> {
    Ok(Img::new(Sandbox::default()).resize(path, Format::Qcow2, size_bytes).await?)
}

/// Writes down what the disk at this place stands on, or will: from then on the image stays.
pub fn protect_image(path: &Path, image_digest: Option<String>, linked: bool) -> Result<()> {
    Note { image_digest, linked, ..Note::default() }.save(path)
}

/// Removes a disk's files and tells of it.
pub fn remove(shared: &Shared, disk: &Disk) -> Result<()> {
    if let Ok(path) = place(shared, disk) {
        remove_files(&path)?;
    }
    let status = DiskStatus {
        observed_generation: disk.meta.generation,
        phase: DiskPhase::Deleted,
        ..DiskStatus::default()
    };
    shared.reporter.status(Kind::Disk, &disk.meta.name, disk.meta.uid, &status);
    Ok(())
}

/// Disks that are to go, or that no VM takes care of: their own driver would have nothing else to do.
pub async fn sweep(shared: &Shared) {
    for disk in shared.objects.disks() {
        if is_attended(shared, &disk) {
            continue;
        }
        let _turn = shared.disk_turns.take(disk.meta.uid).await;
        // The disk's VM may have come to be known meanwhile, and its driver has made the disk.
        let Some(disk) = shared.objects.disk(&disk.meta.name).filter(|now| now.meta.uid == disk.meta.uid)
        else {
            continue;
        };
        if !is_attended(shared, &disk) {
            tend(shared, &disk).await;
        }
    }
}

fn is_attended(shared: &Shared, disk: &Disk) -> bool {
    disk.spec.vm.as_ref().is_some_and(|vm| shared.objects.vm(vm).is_some())
}

/// Makes, grows or removes a disk that no VM takes care of.
async fn tend(shared: &Shared, disk: &Disk) {
    if disk.meta.deleted_at.is_some() {
        if let Err(error) = remove(shared, disk) {
            tracing::warn!(disk = %disk.meta.name, error = error.told(), "cannot remove a disk");
        }
        return;
    }
    let result = async {
        let ready = ensure(shared, disk).await?;
        match disk.spec.size_bytes {
            Some(wanted) if wanted > ready.size_bytes => {
                grow(&ready, wanted).await?;
                ensure(shared, disk).await
            }
            _ => Ok(ready),
        }
    };
    let made = result.await;
    if !matches!(made, Err(Error::NotYet(_))) {
        tell(shared, disk, &made);
    }
}

/// Digests of all images that disks in this folder were made from.
pub fn images_in_use(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let notes = entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "json"));
    notes.filter_map(|path| files::read_json::<Note>(&path).ok().flatten()?.image_digest).collect()
}
