//! `tabane vm import`: a package of another system becomes a VM.
//!
//! ```text
//!   package ─► plan ─► digests ─► image of each disk ─► VM with copies of them ─► images deleted
//! ```
//!
//! Each step finds what an earlier run of the same command has done, so an import that broke off goes on when it is
//! called again.

mod package;
mod show;

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use tabane_client::{Call, Client};
use tabane_model::{
    Disk, IMPORTED_FROM, Image, ImagePhase, ImageSource, ImageSpec, Meta, Name, Network, PackageContent,
    PackagePlan, Resource as _, Vm,
};

use self::package::Package;
use super::{image, upload};
use crate::{arguments::VmImport, context::Context, output, progress};

const WAIT_S: u64 = 3600;
/// Copying goes on meanwhile: the server answers each time after at most [`WAIT_S`].
const WAITS_MAX: u32 = 48;

pub async fn run(context: &Context, import: VmImport) -> Result<()> {
    let package = Package::open(&import.file)?;
    let client = context.client().await?;
    let networks: Vec<Network> = client.list(&Call::default()).await?;
    let networks: Vec<Name> = networks.into_iter().map(|network| network.meta.name).collect();
    let plan = tabane_convert::plan::plan(&package.request(show::choices(&import))?, &networks)?;
    show::plan(&plan);
    if !plan.licences.is_empty() && !import.accept_licences {
        show::licences(&plan.licences);
        if !import.dry_run {
            bail!("if you agree to the licence, add --accept-licences");
        }
    }
    if import.dry_run {
        return output::value(context.form()?, &plan.vm);
    }
    let name = plan.vm.meta.name.clone();
    let known = match client.get::<Vm>(name.as_str(), &Call::default()).await {
        Ok(vm) if vm.meta.labels.get(IMPORTED_FROM) == plan.vm.meta.labels.get(IMPORTED_FROM) => Some(vm),
        Ok(_) => bail!("there is a VM {name} already; choose another name with --name"),
        Err(error) if error.code() == Some("not_found") => None,
        Err(error) => return Err(error.into()),
    };
    let vm = match known {
        Some(vm) => vm,
        None => make(&client, Arc::new(package), &plan).await?,
    };
    disks_ready(&client, &vm).await?;
    for content in contents(&plan) {
        forget(&client, &plan, &content.image).await?;
    }
    output::one(context.form()?, &client.get::<Vm>(name.as_str(), &Call::default()).await?)
}

async fn make(client: &Client, package: Arc<Package>, plan: &PackagePlan) -> Result<Vm> {
    let digests = digests(package.clone(), plan).await?;
    for (disk, digest) in contents(plan).zip(digests) {
        let content = package.content(&disk.file)?;
        let mut spec = ImageSpec::new(ImageSource::Upload { size_bytes: content.length });
        spec.sha256 = Some(digest);
        spec.virtual_size_bytes_max = Some(disk.virtual_size_bytes_max);
        let mut meta = Meta::new(disk.image.clone());
        let label = plan.vm.meta.labels.get_key_value(IMPORTED_FROM);
        meta.labels.extend(label.map(|(k, v)| (k.clone(), v.clone())));
        give_up_failed(client, &disk.image).await?;
        upload::create_or_go_on(client, Image::new(meta, spec)).await?;
        let sent = upload::run(client, &disk.image, &content).await;
        sent.with_context(|| {
            format!("the disk {} did not arrive; call the same command again to go on", disk.file)
        })?;
    }
    for disk in contents(plan) {
        let ready = image::ready(client, disk.image.as_str()).await;
        ready.with_context(|| format!("the disk {} cannot be used", disk.file))?;
    }
    // Found by its label if the answer is lost.
    client.create(&plan.vm, &Call::default()).await.context("the disks are there, but the VM cannot be made")
}

/// The disks that come from files of the package.
fn contents(plan: &PackagePlan) -> impl Iterator<Item = &PackageContent> {
    plan.disks.iter().filter_map(|disk| disk.content.as_ref())
}

/// A try that failed is of no use for the next one.
async fn give_up_failed(client: &Client, name: &Name) -> Result<()> {
    match client.get::<Image>(name.as_str(), &Call::default()).await {
        Ok(image)
            if image.status.phase == ImagePhase::Failed && image.meta.labels.contains_key(IMPORTED_FROM) =>
        {
            client.delete::<Image>(name.as_str(), &Call::default()).await?;
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some("not_found") => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Reads all disks once: against the manifest, and for the host to check what arrives.
async fn digests(package: Arc<Package>, plan: &PackagePlan) -> Result<Vec<String>> {
    let files = contents(plan)
        .map(|disk| Ok((disk.file.clone(), package.content(&disk.file)?)))
        .collect::<Result<Vec<_>>>()?;
    let bar = ProgressBar::new(files.iter().map(|(_, content)| content.length).sum());
    bar.set_style(ProgressStyle::with_template(
        "checking  {wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}",
    )?);
    let checked = tokio::task::spawn_blocking(move || {
        let digests = files
            .iter()
            .map(|(name, content)| package.check_file(name, content, &mut |read| bar.inc(read)))
            .collect::<Result<Vec<_>>>();
        bar.finish_and_clear();
        digests
    });
    checked.await.context("checking was cut short")?
}

async fn disks_ready(client: &Client, vm: &Vm) -> Result<()> {
    let call = Call { wait: Some("ready".into()), timeout_s: Some(WAIT_S), ..Call::default() };
    for name in vm.spec.disks.iter().filter_map(|disk| disk.disk.as_ref()) {
        let name = name.as_str();
        for waits_left in (0..WAITS_MAX).rev() {
            match progress::follow::<Disk, _>(client, name, client.get::<Disk>(name, &call)).await {
                Ok(_) => break,
                Err(error) if error.code() == Some("wait_timed_out") && waits_left > 0 => {}
                Err(error) => {
                    return Err(error).with_context(|| {
                        format!("the disk {name} is not made; see `tabane event list --about {name}`")
                    });
                }
            }
        }
    }
    Ok(())
}

/// The image was only the way here: the VM has a copy.
async fn forget(client: &Client, plan: &PackagePlan, name: &Name) -> Result<()> {
    match client.get::<Image>(name.as_str(), &Call::default()).await {
        Ok(image) if image.meta.labels.get(IMPORTED_FROM) == plan.vm.meta.labels.get(IMPORTED_FROM) => {
            client.delete::<Image>(name.as_str(), &Call::default()).await?;
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some("not_found") => Ok(()),
        Err(error) => Err(error.into()),
    }
}
