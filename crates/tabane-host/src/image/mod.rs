//! Images on this host: made ready here, copied from other hosts, kept by content.

pub mod build;
mod checksums;
mod fetch;
mod generalise;
pub mod inspect;
mod make;
mod store;
mod transfer;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tabane_model::{Image, ImageCopy, ImagePhase, ImageStatus, Kind, Name, Uid, Vm};
use tabane_qemu::command::DirectBoot;

pub use store::{Store, Stored};
pub use transfer::{receive_files, receive_upload, send_files};

use crate::{Error, Result, agent::Shared};

/// The images of this host, and the work on them.
pub struct Images {
    store: Store,
    /// Work under way, by name of the image.
    at_work: Mutex<HashMap<Name, tokio::task::AbortHandle>>,
    /// How the work ended on images of which the server may not have heard that yet.
    ended: Mutex<HashMap<Uid, Result<Stored, String>>>,
}

impl Images {
    pub fn new(folders: &crate::config::Folders) -> Self {
        Self { store: Store::new(folders.images()), at_work: Mutex::default(), ended: Mutex::default() }
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The image, if it is on this host; otherwise it is fetched, and whoever asked is woken when it is there.
    pub async fn ensure(&self, shared: &Shared, name: &Name) -> Result<Stored> {
        let image = shared.objects.image(name).ok_or_else(|| {
            Error::unfit(
                format!("there is no image {name}"),
                "it was deleted before the disk was made from it",
            )
        })?;
        if let Some(stored) = image.status.digest.as_ref().and_then(|digest| self.store.load(digest)) {
            return Ok(stored);
        }
        match image.status.phase {
            ImagePhase::Failed => Err(Error::unfit(
                format!("the image {name} is not usable"),
                format!("see why with `tabane image get {name}`, and import it again"),
            )),
            ImagePhase::Ready if image.spec.host.as_ref() != Some(&shared.identity.name) => {
                self.copy(&shared.arc(), &image);
                Err(Error::NotYet(format!("the image {name} is being copied to this host")))
            }
            phase => Err(Error::NotYet(format!("waiting for the image {name}, which is {phase}"))),
        }
    }

    /// How QEMU boots the image's own kernel, if it has one.
    pub fn kernel(&self, image: &Stored, vm: &Vm) -> Option<DirectBoot> {
        let folder = self.store.folder(&image.digest);
        let command_line = image.command_line.as_deref()?;
        let hostname = vm.spec.init.hostname.as_deref().unwrap_or(vm.meta.name.as_str());
        image.kernel.then(|| DirectBoot {
            kernel: folder.join("kernel"),
            initramfs: Some(folder.join("initramfs")),
            command_line: format!("{command_line} tabane.hostname={hostname}"),
        })
    }

    /// Starts the work on one image, unless it is under way.
    fn work(&self, name: &Name, work: impl Future<Output = ()> + Send + 'static) {
        let mut at_work = self.at_work.lock().expect("no holder of this lock panics");
        at_work.retain(|_, handle| !handle.is_finished());
        if !at_work.contains_key(name) {
            at_work.insert(name.clone(), tokio::spawn(work).abort_handle());
        }
    }

    fn end(&self, image: &Image, ended: Result<Stored, String>) {
        self.ended.lock().expect("no holder of this lock panics").insert(image.meta.uid, ended);
    }

    /// Gets the image, to become the host that it is on when the other one leaves.
    fn take_over(&self, shared: &Arc<Shared>, image: &Arc<Image>) {
        let here = image.status.digest.as_ref().is_some_and(|digest| self.store.load(digest).is_some());
        match image.status.phase {
            _ if here => tell_copy(shared, image, ImageCopy { ready: true, progress: None }),
            ImagePhase::Ready => self.copy(shared, image),
            _ => {}
        }
    }

    fn copy(&self, shared: &Arc<Shared>, image: &Arc<Image>) {
        let (shared_for_work, image) = (shared.clone(), image.clone());
        let name = image.meta.name.clone();
        self.work(&name, async move {
            let shared = shared_for_work;
            match transfer::copy(&shared, &image).await {
                Ok(_) => {
                    tell_copy(&shared, &image, ImageCopy { ready: true, progress: None });
                    shared.wake_all_vms();
                }
                Err(error) => {
                    tracing::warn!(image = %image.meta.name, error = error.told(), "cannot copy an image");
                    // Whoever needs it asks again.
                    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
                    shared.wake_all_vms();
                }
            }
        });
    }

    /// Starts what this host has to make ready, ends the work on what is gone, and drops content that nobody needs.
    pub fn sync(&self, shared: &Arc<Shared>) {
        for image in shared.objects.images() {
            let ours = image.spec.host.as_ref() == Some(&shared.identity.name);
            if image.spec.moving_to.as_ref() == Some(&shared.identity.name) {
                self.take_over(shared, &image);
            }
            let finished = matches!(image.status.phase, ImagePhase::Ready | ImagePhase::Failed);
            if !ours {
                continue;
            }
            if finished {
                self.ended.lock().expect("no holder of this lock panics").remove(&image.meta.uid);
                transfer::forget_incoming(shared, &image);
            } else {
                let ended =
                    self.ended.lock().expect("no holder of this lock panics").get(&image.meta.uid).cloned();
                let (shared_for_work, name) = (shared.clone(), image.meta.name.clone());
                match ended {
                    Some(ended) => make::tell_end(shared_for_work, image, &ended),
                    None => self.work(&name, async move { make::run(shared_for_work, image).await }),
                }
            }
        }
        let known: Vec<Name> = shared.objects.images().iter().map(|i| i.meta.name.clone()).collect();
        self.at_work.lock().expect("no holder of this lock panics").retain(|name, handle| {
            let keep = known.contains(name);
            if !keep {
                handle.abort();
            }
            keep
        });
        if shared.objects.is_synced() {
            self.collect_garbage(shared);
            transfer::sweep_incoming(shared);
        }
    }

    /// Content stays while an image object, a disk, or a VM that runs needs it.
    fn collect_garbage(&self, shared: &Arc<Shared>) {
        if !self.at_work.lock().expect("no holder of this lock panics").is_empty() {
            // What is just being made has no object that names it yet.
            return;
        }
        let mut needed: Vec<String> =
            shared.objects.images().iter().filter_map(|i| i.status.digest.clone()).collect();
        for pool in shared.objects.pools() {
            needed.extend(crate::disk::images_in_use(&crate::pool::folder(shared, &pool)));
        }
        needed.extend(crate::disk::images_in_use(&shared.folders.pool()));
        for digest in self.store.digests() {
            if !needed.contains(&digest) {
                tracing::info!(digest, "removing an image's content that nothing needs any more");
                if let Err(error) = self.store.remove(&digest) {
                    tracing::warn!(digest, error = error.told(), "cannot remove an image's content");
                }
            }
        }
    }
}

fn tell_copy(shared: &Shared, image: &Image, copy: ImageCopy) {
    let status =
        ImageStatus { hosts: [(shared.identity.name.clone(), copy)].into(), ..ImageStatus::default() };
    shared.reporter.status(Kind::Image, &image.meta.name, image.meta.uid, &status);
}
