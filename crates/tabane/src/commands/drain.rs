//! Draining a host, until it is empty.

use std::time::Duration;

use anyhow::{Result, bail};
use tabane_client::{Call, Client};
use tabane_model::{Disk, Host, HostPhase, Image, Resource, Vm};

use crate::{
    arguments::HostDrain,
    context::Context,
    progress::{self, Watched},
};

const LOOK_EVERY: Duration = Duration::from_millis(300);

pub async fn drain(context: &Context, drain: &HostDrain) -> Result<()> {
    let client = context.client().await?;
    let host = drain.name.as_str();
    if drain.dry_run {
        client.get::<Host>(host, &Call::default()).await?;
        for vm in on::<Vm>(&client, host).await? {
            println!("vm {} would be shut down, moved and, if it is to be on, started", vm.meta.name);
        }
        return Ok(());
    }
    let patch = serde_json::json!({ "spec": { "drain": true } });
    client.patch::<Host>(host, &patch, &Call::default()).await?;
    if drain.no_wait {
        eprintln!("host {host} is being drained; `tabane vm list --fields host={host}` shows what is left");
        return Ok(());
    }
    let bar = progress::bar(&format!("host {host}"));
    let plain = bar.is_hidden();
    let mut last = String::new();
    loop {
        if client.get::<Host>(host, &Call::default()).await?.status.phase == HostPhase::Unreachable {
            bar.finish_and_clear();
            bail!(
                "host {host} is silent, so nobody can say that its VMs do not run there: none is moved\nhint: start its agent \
                 again, and it empties; `tabane host uncordon {host}` calls the drain off"
            );
        }
        let (vms, images) = (on::<Vm>(&client, host).await?, on::<Image>(&client, host).await?);
        let Some(told) = left(&vms, &images) else { break };
        // Without a terminal only what is new is worth a line.
        let head = told.split('(').next().unwrap_or_default().to_owned();
        if plain && head != last {
            eprintln!("host {host}: {told}");
        }
        last = head;
        bar.set_message(told);
        if let Some(why) = stuck(&vms) {
            bar.finish_and_clear();
            bail!(
                "{why}\nhint: it leaves as soon as it can; `tabane host uncordon {host}` calls the drain off"
            );
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    bar.finish_and_clear();
    let disks = on::<Disk>(&client, host).await?;
    if let Some(disk) = disks.first() {
        eprintln!(
            "host {host} has no VMs any more, and {} disks of no VM, such as {}; they stay until you attach or delete them",
            disks.len(),
            disk.meta.name
        );
    } else {
        eprintln!("host {host} is empty; `tabane host remove {host}` takes it out of the pool");
    }
    Ok(())
}

async fn on<R: Resource>(client: &Client, host: &str) -> Result<Vec<R>> {
    let call = Call { fields: Some(format!("host={host}")), ..Call::default() };
    Ok(client.list::<R>(&call).await?)
}

/// What is still there, and how far the first of them is.
fn left(vms: &[Vm], images: &[Image]) -> Option<String> {
    let next = vms.iter().find(|vm| vm.spec.moving.is_some()).or(vms.first());
    match (next, images.first()) {
        (Some(vm), _) => Some(format!("{} VMs left; {} is {}", vms.len(), vm.meta.name, vm.told())),
        (None, Some(image)) => Some(format!("{} images left; {}", images.len(), image.meta.name)),
        (None, None) => None,
    }
}

/// Why nothing goes on, if nothing does.
fn stuck(vms: &[Vm]) -> Option<String> {
    let reason = |vm: &Vm| {
        let refused =
            vm.status.conditions.iter().find(|c| c.kind == "placed" && c.reason == "cannot_leave")?;
        Some(format!("the VM {} stays: {}", vm.meta.name, refused.message))
    };
    if vms.is_empty() || vms.iter().any(|vm| vm.spec.moving.is_some()) {
        return None;
    }
    let reasons: Option<Vec<String>> = vms.iter().map(reason).collect();
    reasons.map(|reasons| reasons.join("\n"))
}
