//! Moving images: an upload from a client into this host, and whole images from host to host.
//!
//! Between hosts a stream begins with four bytes of length and a JSON head that names the files and their sizes; the
//! files follow in that order. The receiver believes nothing: what it has at the end must have the digest that the
//! image object states.

use std::{
    io::{Seek, SeekFrom, Write},
    path::PathBuf,
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use tabane_client::Stream;
use tabane_model::{Image, ImagePhase, ImageSource, ImageStatus, Kind, Name};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::store::{About, FILES, Store, Stored};
use crate::{Error, Result, agent::Shared, files};

const HEAD_BYTES_MAX: u32 = 64 << 10;
const CHUNK_BYTES: usize = 1 << 20;

#[derive(Serialize, Deserialize)]
struct Head {
    about: About,
    files: Vec<(String, u64)>,
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::Stream(format!("the transfer broke off: {error}"))
}

pub async fn send_files(store: &Store, stored: &Stored, mut stream: Stream) -> Result<()> {
    let folder = store.folder(&stored.digest);
    let about = About {
        command_line: stored.command_line.clone(),
        os: stored.os.clone(),
        default_user: stored.default_user.clone(),
        generalised: stored.generalised.clone(),
    };
    let present =
        FILES.iter().filter_map(|name| Some((name.to_string(), folder.join(name).metadata().ok()?.len())));
    let head = Head { about, files: present.collect() };
    let text = serde_json::to_vec(&head).expect("has string keys");
    let send = async {
        stream.write_u32(text.len() as u32).await?;
        stream.write_all(&text).await?;
        for (name, _) in &head.files {
            let mut file = tokio::fs::File::open(folder.join(name)).await?;
            tokio::io::copy(&mut file, &mut stream).await?;
        }
        stream.shutdown().await
    };
    send.await.map_err(broken)
}

/// Copies an image from whichever host the server finds.
pub async fn copy(shared: &Arc<Shared>, image: &Image) -> Result<Stored> {
    let digest =
        image.status.digest.as_deref().ok_or_else(|| Error::NotYet("the image has no content yet".into()))?;
    let stream = shared.client()?.image_files(image.meta.name.as_str()).await?;
    receive_files(shared, stream, &image.meta.uid.simple().to_string(), digest).await
}

/// The other end of [`send_files`]. `work` names the workplace: one for each who may do this at the same time.
pub async fn receive_files(shared: &Shared, mut stream: Stream, work: &str, digest: &str) -> Result<Stored> {
    let length = stream.read_u32().await.map_err(broken)?;
    if length > HEAD_BYTES_MAX {
        return Err(broken("its head is too large"));
    }
    let mut text = vec![0; length as usize];
    stream.read_exact(&mut text).await.map_err(broken)?;
    let head: Head = serde_json::from_slice(&text).map_err(broken)?;
    let store = shared.images.store();
    let folder = store.workplace(work)?;
    for (name, size) in &head.files {
        if !FILES.contains(&name.as_str()) {
            return Err(broken(format!("{name:?} is no file of an image")));
        }
        let path = folder.join(name);
        let mut file = tokio::fs::File::create(&path).await.map_err(Error::file("create", &path))?;
        let copied = tokio::io::copy(&mut (&mut stream).take(*size), &mut file).await.map_err(broken)?;
        if copied != *size {
            return Err(broken("a file is shorter than announced"));
        }
        file.sync_all().await.map_err(Error::file("write", &path))?;
    }
    let stored = store.adopt(&folder, head.about)?;
    if stored.digest != digest {
        store.remove(&stored.digest)?;
        return Err(broken("the content is not the one that was announced"));
    }
    Ok(stored)
}

/// Where the content of an upload is kept: `.part` while it comes in, `.full` when all of it is on disk.
pub fn incoming(shared: &Shared, image: &Image, ending: &str) -> PathBuf {
    shared.folders.incoming().join(format!("{}.{ending}", image.meta.uid.simple()))
}

pub fn received_bytes(shared: &Shared, image: &Image) -> u64 {
    incoming(shared, image, "part").metadata().map_or(0, |m| m.len())
}

/// Once the image is made, or cannot be, what it was made from is not needed any more.
pub fn forget_incoming(shared: &Shared, image: &Image) {
    for ending in ["part", "from", "full"] {
        if let Err(error) = files::remove(&incoming(shared, image, ending)) {
            tracing::warn!(image = %image.meta.name, error = error.told(), "cannot remove an upload");
        }
    }
}

/// Removes what came for images that are gone.
pub fn sweep_incoming(shared: &Shared) {
    let known: Vec<String> =
        shared.objects.images().iter().map(|image| image.meta.uid.simple().to_string()).collect();
    for entry in std::fs::read_dir(shared.folders.incoming()).into_iter().flatten().flatten() {
        let path = entry.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if known.iter().any(|uid| uid == stem) {
            continue;
        }
        if let Err(error) = files::remove(&path) {
            tracing::warn!(error = error.told(), "cannot remove what came for an image that is gone");
        }
    }
}

/// An upload that was let in.
pub struct Upload {
    image: Arc<Image>,
    file: std::fs::File,
    received: u64,
    size: u64,
}

pub fn receive_upload(shared: &Shared, name: &Name, offset_bytes: u64) -> Result<Upload> {
    let refused = |why: String| Error::unfit(why, format!("`tabane image get {name}` shows how far it is"));
    let image = shared.objects.image(name).ok_or_else(|| refused(format!("there is no image {name}")))?;
    let ImageSource::Upload { size_bytes: size } = image.spec.source else {
        return Err(refused(format!("the image {name} is not made by an upload")));
    };
    let path = incoming(shared, &image, "part");
    let opened = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let mut file = opened.map_err(Error::file("open", &path))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| refused(format!("another upload of the image {name} is under way")))?;
    let received = file.seek(SeekFrom::End(0)).map_err(Error::file("read", &path))?;
    if offset_bytes != received {
        return Err(refused(format!("the upload goes on at byte {received}, not at {offset_bytes}")));
    }
    Ok(Upload { image, file, received, size })
}

impl Upload {
    /// Takes in bytes until the client ends or all are there. What has arrived is kept for the next try.
    pub async fn receive(mut self, shared: &Arc<Shared>, mut stream: Stream) -> Result<()> {
        let path = incoming(shared, &self.image, "part");
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut told = std::time::Instant::now();
        let mut broken_off = Ok(());
        while self.received < self.size {
            let wanted = (self.size - self.received).min(CHUNK_BYTES as u64) as usize;
            let read = match stream.read(&mut buffer[..wanted]).await {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) => {
                    broken_off = Err(broken(error));
                    break;
                }
            };
            self.file.write_all(&buffer[..read]).map_err(Error::file("write", &path))?;
            self.received += read as u64;
            if told.elapsed() > std::time::Duration::from_secs(1) {
                self.tell(shared);
                told = std::time::Instant::now();
            }
        }
        self.file.sync_all().map_err(Error::file("write", &path))?;
        if self.received == self.size {
            files::rename(&path, &incoming(shared, &self.image, "full"))?;
            shared.objects.changed.notify_waiters();
            // The client's sign that everything is on disk.
            let _ = stream.write_all(b"!").await;
        } else {
            // Whoever goes on has to know where.
            self.tell(shared);
        }
        let _ = stream.shutdown().await;
        broken_off
    }

    fn tell(&self, shared: &Shared) {
        let status = ImageStatus {
            observed_generation: self.image.meta.generation,
            phase: ImagePhase::Uploading,
            received_bytes: self.received,
            ..ImageStatus::default()
        };
        shared.reporter.status(Kind::Image, &self.image.meta.name, self.image.meta.uid, &status);
    }
}
