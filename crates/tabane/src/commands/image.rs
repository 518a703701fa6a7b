//! `tabane image …`.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use tabane_client::{Call, Client};
use tabane_model::{Image, ImageFormat, ImageSource, ImageSpec, Meta, Name, Resource};

use super::upload::{self, Content};
use crate::{
    arguments::{ImageBuild, ImageImport},
    context::Context,
    output, progress,
};

/// Building takes minutes on slow machines; fetching depends on the way.
const WAIT_S: u64 = 3600;

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
    make(context, name, ImageSpec::new(ImageSource::Build { recipe: build.recipe }), build.no_wait).await
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
    let mut spec = ImageSpec::new(from);
    spec.sha256 = import.sha256;
    spec.checksums = import.checksums.or_else(|| listed.as_ref().map(|e| e.checksums.clone()));
    spec.format = import.format.or(listed.as_ref().map(|e| e.format));
    spec.os = import.os.or_else(|| listed.as_ref().map(|e| e.os.clone()));
    spec.default_user = import.default_user.or_else(|| listed.as_ref().map(|e| e.default_user.clone()));
    if url.is_some() {
        return make(context, import.name, spec, import.no_wait).await;
    }
    let client = context.client().await?;
    upload::create_or_go_on(&client, Image::new(Meta::new(import.name.clone()), spec)).await?;
    upload::run(&client, &import.name, &Content::whole(file)?).await?;
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
    output::one(context.form()?, &ready(client, name).await?)
}

/// Shows how it comes along until it is ready.
pub(super) async fn ready(client: &Client, name: &str) -> Result<Image> {
    let call = Call { wait: Some("ready".into()), timeout_s: Some(WAIT_S), ..Call::default() };
    Ok(progress::follow::<Image, _>(client, name, client.get::<Image>(name, &call)).await?)
}
