//! `tabane apply -f FILE`: objects from YAML or JSON, made or changed to what the file says.

use std::io::Read;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, de::DeserializeOwned};
use tabane_client::{Call, Client};
use tabane_model::{
    Disk, Flavor, Host, Image, Kind, Network, Pool, Resource, Snapshot, Survey, Vm,
    planning::{Collection, Plan, Wave},
};

use crate::{arguments::Apply, context::Context};

const FILE_BYTES_MAX: u64 = 16 << 20;

/// An object as it is written in a file: with its kind, without its status.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    kind: String,
    meta: serde_json::Value,
    spec: serde_json::Value,
}

pub async fn run(context: &Context, apply: &Apply) -> Result<()> {
    let text = read(&apply.file)?;
    let client = context.client().await?;
    for (i, document) in serde_yaml_ng::Deserializer::from_str(&text).enumerate() {
        let written =
            Written::deserialize(document).with_context(|| format!("object {} is not understood", i + 1))?;
        let kind: Kind =
            written.kind.parse().map_err(|()| anyhow::anyhow!("{:?} is no kind of object", written.kind))?;
        match kind {
            Kind::Vm => one::<Vm>(&client, written, apply).await?,
            Kind::Image => one::<Image>(&client, written, apply).await?,
            Kind::Disk => one::<Disk>(&client, written, apply).await?,
            Kind::Pool => one::<Pool>(&client, written, apply).await?,
            Kind::Flavor => one::<Flavor>(&client, written, apply).await?,
            Kind::Network => one::<Network>(&client, written, apply).await?,
            Kind::Host => one::<Host>(&client, written, apply).await?,
            Kind::Survey => one::<Survey>(&client, written, apply).await?,
            Kind::Plan => one::<Plan>(&client, written, apply).await?,
            Kind::Wave => one::<Wave>(&client, written, apply).await?,
            Kind::Collection => one::<Collection>(&client, written, apply).await?,
            Kind::Snapshot => one::<Snapshot>(&client, written, apply).await?,
            Kind::Event | Kind::Token => bail!("a {kind} is not made from a file"),
        }
    }
    Ok(())
}

fn read(path: &std::path::Path) -> Result<String> {
    let mut text = String::new();
    let from: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?)
    };
    from.take(FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text)
}

async fn one<R: Resource>(client: &Client, written: Written, apply: &Apply) -> Result<()>
where
    R::Spec: DeserializeOwned,
{
    let document = serde_json::json!({ "meta": written.meta, "spec": written.spec });
    let object: R =
        serde_json::from_value(document).with_context(|| format!("a {} is not understood", R::KIND))?;
    let name = object.meta().name.to_string();
    let call = Call { dry_run: apply.dry_run, ..Call::default() };
    let told = match client.get::<R>(&name, &Call::default()).await {
        Ok(before) => {
            let patch =
                serde_json::json!({ "meta": { "labels": object.meta().labels }, "spec": written.spec });
            let after: R = client.patch(&name, &patch, &call).await?;
            if after.spec() == before.spec() && after.meta().labels == before.meta().labels {
                "unchanged"
            } else {
                "changed"
            }
        }
        Err(error) if error.code() == Some("not_found") => {
            client.create(&object, &call).await?;
            "created"
        }
        Err(error) => return Err(error.into()),
    };
    let dry = if apply.dry_run { " (dry run)" } else { "" };
    println!("{} {name} {told}{dry}", R::KIND);
    Ok(())
}
