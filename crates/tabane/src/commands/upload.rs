//! Sending the content of an image. An upload that broke off goes on at the byte that the host has on its disk.

use std::{
    io::SeekFrom,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use indicatif::ProgressBar;
use tabane_client::{Call, Client};
use tabane_model::{Image, ImagePhase, Name, format_bytes};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::progress;

const TRIES: u32 = 10;

/// A range of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub path: PathBuf,
    pub offset: u64,
    pub length: u64,
}

impl Content {
    pub fn whole(path: &Path) -> Result<Self> {
        let metadata = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
        if !metadata.is_file() {
            bail!("{} is no file", path.display());
        }
        Ok(Self { path: path.to_owned(), offset: 0, length: metadata.len() })
    }
}

/// An import that broke off is taken up again by the same command.
pub async fn create_or_go_on(client: &Client, image: Image) -> Result<Image> {
    let name = image.meta.name.as_str();
    match client.create(&image, &Call::default()).await {
        Ok(made) => Ok(made),
        Err(error) if error.code() == Some("name_taken") => {
            let known: Image = client.get(name, &Call::default()).await?;
            let same = known.spec.source == image.spec.source
                && known.spec.sha256 == image.spec.sha256
                && known.meta.labels == image.meta.labels;
            // Without a checksum, what has arrived already may be anything.
            let unfinished = matches!(known.status.phase, ImagePhase::Pending | ImagePhase::Uploading)
                || (image.spec.sha256.is_some() && known.status.phase != ImagePhase::Failed);
            let goes_on = same && unfinished && known.meta.deleted_at.is_none();
            if goes_on { Ok(known) } else { Err(error.into()) }
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns when the host has everything.
pub async fn run(client: &Client, name: &Name, content: &Content) -> Result<()> {
    let bar = progress::bar(&format!("image {name}"));
    for attempt in 0..TRIES {
        if attempt > 0 {
            tokio::time::sleep(Duration::from_millis(100 << attempt.min(5))).await;
        }
        let image: Image = client.get(name.as_str(), &Call::default()).await?;
        match image.status.phase {
            ImagePhase::Pending => continue,
            ImagePhase::Uploading => {}
            // Everything has arrived.
            _ => break,
        }
        match send(client, name, content, image.status.received_bytes, &bar).await {
            Ok(true) => break,
            Ok(false) => continue,
            Err(error) if attempt + 1 < TRIES => {
                bar.println(format!("{error:#}; going on where it stopped"));
            }
            Err(error) => return Err(error),
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// True when the host says that everything is on its disk.
async fn send(
    client: &Client,
    name: &Name,
    content: &Content,
    received: u64,
    bar: &ProgressBar,
) -> Result<bool> {
    let mut stream = client.upload(name.as_str(), received).await?;
    let mut file = tokio::fs::File::open(&content.path).await?;
    file.seek(SeekFrom::Start(content.offset + received)).await?;
    let mut file = file.take(content.length.saturating_sub(received));
    let mut buffer = vec![0; 1 << 20];
    let mut done = received;
    loop {
        let read = file.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        stream.write_all(&buffer[..read]).await?;
        done += read as u64;
        bar.set_message(format!("sending {} of {}", format_bytes(done), format_bytes(content.length)));
    }
    stream.flush().await?;
    Ok(stream.read_u8().await.is_ok_and(|sign| sign == b'!'))
}
