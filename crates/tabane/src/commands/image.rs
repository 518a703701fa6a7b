//! `tabane image …`.

use std::{io::SeekFrom, path::Path, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use tabane_client::{Call, Client};
use tabane_model::{
    Image, ImageFormat, ImagePhase, ImageSource, ImageSpec, Meta, Name, Resource, format_bytes,
};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::{
    arguments::{ImageBuild, ImageImport},
    context::Context,
    output, progress,
};

/// Building takes minutes on slow machines; fetching depends on the way.
const WAIT_S: u64 = 3600;
const UPLOAD_TRIES: u32 = 10;

/// Official cloud images, with where their publishers keep the checksums.
const CATALOGUE: &str = include_str!("../../catalogue.toml");

#[derive(Deserialize)]
struct Catalogue {
    image: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    os: String,
    url: String,
    format: ImageFormat,
    default_user: String,
    checksums: String,
}

fn entries() -> Result<Vec<Entry>> {
    Ok(toml::from_str::<Catalogue>(CATALOGUE).context("the catalogue is not understood")?.image)
}

pub fn catalogue() -> Result<()> {
    for entry in entries()? {
        println!("{:<16} {:<28} {}", entry.name, entry.os, entry.url);
        println!("{:<16} checksums: {}", "", entry.checksums);
    }
    println!();
    println!("Import one by its name here; it is checked against its publisher's list:");
    println!("  tabane image import web debian-13");
    Ok(())
}

pub async fn build(context: &Context, build: ImageBuild) -> Result<()> {
    let name = match build.name {
        Some(name) => name,
        None => build.recipe.parse::<Name>().context("the recipe is no name; give one with --name")?,
    };
    make(context, name, source(ImageSource::Build { recipe: build.recipe }), build.no_wait).await
}

fn source(source: ImageSource) -> ImageSpec {
    ImageSpec {
        source,
        sha256: None,
        checksums: None,
        format: None,
        os: None,
        default_user: None,
        host: None,
        moving_to: None,
    }
}

pub async fn import(context: &Context, import: ImageImport) -> Result<()> {
    let listed = entries()?.into_iter().find(|entry| entry.name == import.source);
    let url = listed.as_ref().map(|e| e.url.clone()).or_else(|| {
        Some(import.source.clone()).filter(|s| s.starts_with("https://") || s.starts_with("http://"))
    });
    let file = Path::new(&import.source);
    let from = match &url {
        Some(url) => ImageSource::Url { url: url.clone() },
        None => {
            let metadata =
                std::fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
            if !metadata.is_file() {
                bail!("{} is no file", file.display());
            }
            ImageSource::Upload { size_bytes: metadata.len() }
        }
    };
    let mut spec = source(from);
    spec.sha256 = import.sha256;
    spec.checksums = import.checksums.or_else(|| listed.as_ref().map(|e| e.checksums.clone()));
    spec.format = import.format.or(listed.as_ref().map(|e| e.format));
    spec.os = import.os.or_else(|| listed.as_ref().map(|e| e.os.clone()));
    spec.default_user = import.default_user.or_else(|| listed.as_ref().map(|e| e.default_user.clone()));
    if url.is_some() {
        return make(context, import.name, spec, import.no_wait).await;
    }
    let client = context.client().await?;
    create_or_go_on(&client, &import.name, spec).await?;
    upload(&client, import.name.as_str(), file).await?;
    if import.no_wait { Ok(()) } else { wait(context, &client, import.name.as_str()).await }
}

async fn make(context: &Context, name: Name, spec: ImageSpec, no_wait: bool) -> Result<()> {
    let client = context.client().await?;
    let key = uuid::Uuid::now_v7().to_string();
    let image =
        client.create_once(&Image::new(Meta::new(name.clone()), spec), &Call::default(), &key).await?;
    if no_wait { output::one(context.form()?, &image) } else { wait(context, &client, name.as_str()).await }
}

async fn wait(context: &Context, client: &Client, name: &str) -> Result<()> {
    let call = Call { wait: Some("ready".into()), timeout_s: Some(WAIT_S), ..Call::default() };
    let image = progress::follow::<Image, _>(client, name, client.get::<Image>(name, &call)).await?;
    output::one(context.form()?, &image)
}

/// An import that broke off is taken up again by the same command.
async fn create_or_go_on(client: &Client, name: &Name, spec: ImageSpec) -> Result<()> {
    let image = Image::new(Meta::new(name.clone()), spec);
    match client.create(&image, &Call::default()).await {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some("name_taken") => {
            let known: Image = client.get(name.as_str(), &Call::default()).await?;
            let unfinished = matches!(known.status.phase, ImagePhase::Pending | ImagePhase::Uploading);
            if unfinished && known.spec.source == image.spec.source { Ok(()) } else { Err(error.into()) }
        }
        Err(error) => Err(error.into()),
    }
}

async fn upload(client: &Client, name: &str, file: &Path) -> Result<()> {
    let size = std::fs::metadata(file)?.len();
    let bar = progress::bar(&format!("image {name}"));
    for attempt in 0..UPLOAD_TRIES {
        if attempt > 0 {
            tokio::time::sleep(Duration::from_millis(100 << attempt.min(5))).await;
        }
        let image: Image = client.get(name, &Call::default()).await?;
        match image.status.phase {
            ImagePhase::Pending => continue,
            ImagePhase::Uploading => {}
            // Everything has arrived.
            _ => break,
        }
        let sent = send(client, name, file, image.status.received_bytes, size, &bar).await;
        match sent {
            Ok(true) => break,
            Ok(false) => continue,
            Err(error) if attempt + 1 < UPLOAD_TRIES => {
                bar.println(format!("{error:#}; going on where it stopped"))
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
    name: &str,
    path: &Path,
    offset: u64,
    size: u64,
    bar: &indicatif::ProgressBar,
) -> Result<bool> {
    let mut stream = client.upload(name, offset).await?;
    let mut file = tokio::fs::File::open(path).await?;
    file.seek(SeekFrom::Start(offset)).await?;
    let mut buffer = vec![0; 1 << 20];
    let mut done = offset;
    loop {
        let read = file.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        stream.write_all(&buffer[..read]).await?;
        done += read as u64;
        bar.set_message(format!("sending {} of {}", format_bytes(done), format_bytes(size)));
    }
    stream.flush().await?;
    Ok(stream.read_u8().await.is_ok_and(|sign| sign == b'!'))
}
