//! `tabane template …`: images that are made of VMs.
//!
//! ```text
//!   VM ─► snapshot ─► copy of a disk ─► generalised by an appliance ─► image ─► snapshot deleted
//! ```

use anyhow::{Context as _, Result, bail};
use tabane_client::{Call, Client};
use tabane_model::{
    Generalise, GeneraliseStep, Image, ImagePhase, ImageSource, ImageSpec, Meta, Name, Resource, Snapshot, Vm,
};

use super::{export, image, objects};
use crate::{
    arguments::{List, TemplateCommand, TemplateCreate},
    context::Context,
    output,
};

pub async fn run(context: &Context, command: TemplateCommand) -> Result<()> {
    match command {
        TemplateCommand::Create(arguments) => create(context, arguments).await,
        TemplateCommand::Steps => steps(GeneraliseStep::ALL.into_iter()),
        TemplateCommand::List(arguments) => list(context, &arguments).await,
        TemplateCommand::Get(named) => objects::get::<Image>(context, &named.name).await,
        TemplateCommand::Delete(named) => objects::delete::<Image>(context, &named).await,
    }
}

fn steps(steps: impl Iterator<Item = GeneraliseStep>) -> Result<()> {
    let rows = steps.map(|step| vec![step.to_string(), step.about().to_owned()]);
    output::say(&output::table(&["STEP", "WHAT IT DOES"], rows))
}

async fn list(context: &Context, list: &List) -> Result<()> {
    let call = Call { labels: list.labels.clone(), fields: list.fields.clone(), ..Call::default() };
    let mut images = context.client().await?.list::<Image>(&call).await?;
    images.retain(|image| image.spec.source.snapshot().is_some());
    output::list(context.form()?, &images)
}

async fn create(context: &Context, create: TemplateCreate) -> Result<()> {
    let client = context.client().await?;
    let vm: Vm = client.get(create.vm.as_str(), &Call::default()).await?;
    let disk = match &create.disk {
        Some(disk) => disk.clone(),
        None => vm.spec.disks.first().map(|d| d.name.clone()).context("the VM has no disk to make it of")?,
    };
    let wish = (!create.no_generalise)
        .then(|| Generalise { skip: create.skip.clone(), remove_users: create.remove_users.clone() });
    let others: Vec<&str> =
        vm.spec.disks.iter().map(|d| d.name.as_str()).filter(|name| *name != disk.as_str()).collect();
    if !others.is_empty() {
        eprintln!("Note: only the disk {disk} becomes part of the template, not: {}", others.join(", "));
    }
    if create.dry_run {
        return match wish {
            Some(wish) => steps(wish.steps()),
            None => output::say("Nothing is taken out: the disk is copied as it is."),
        };
    }
    if let Ok(known) = client.get::<Image>(create.name.as_str(), &Call::default()).await {
        // A try that failed is of no use for this one.
        if known.status.phase != ImagePhase::Failed || known.spec.source.snapshot().is_none() {
            bail!("there is an image {} already; choose another name", create.name);
        }
        client.delete::<Image>(create.name.as_str(), &Call::default()).await?;
    }
    let (snapshot, ours) = match create.snapshot {
        Some(snapshot) => (snapshot, false),
        None => (export::take(&client, create.vm, "template").await?, true),
    };
    let mut spec =
        ImageSpec::new(ImageSource::Snapshot { snapshot: snapshot.clone(), disk, generalise: wish });
    spec.os = create.os;
    spec.default_user = create.default_user;
    let made = make(&client, create.name, spec).await;
    if ours {
        let deleted = client.delete::<Snapshot>(snapshot.as_str(), &Call::default()).await;
        made.as_ref().map_or(Ok(()), |_| deleted.map(drop)).with_context(|| {
            format!("the template is complete, but the snapshot {snapshot} stays for a day")
        })?;
    }
    let image = made?;
    let done = &image.status.generalised;
    if !done.is_empty() {
        let rows = done.iter().map(|done| vec![done.step.to_string(), done.result.clone()]);
        eprintln!("{}\n", output::table(&["STEP", "DONE"], rows));
    }
    output::one(context.form()?, &image)
}

async fn make(client: &Client, name: Name, spec: ImageSpec) -> Result<Image> {
    let image = Image::new(Meta::new(name.clone()), spec);
    let key = uuid::Uuid::now_v7().to_string();
    client.create_once(&image, &Call::default(), &key).await?;
    image::ready(client, name.as_str()).await
}
