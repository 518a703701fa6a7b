//! `tabane vm …`.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use tabane_client::{Call, Client};
use tabane_model::{CloneMode, Identity, Name, Nic, Vm, VmDisk, VmSpec, api::CloneRequest};

use super::{DONE, console, exec, metrics, objects};
use crate::{
    arguments::{Change, NamedChange, VmAttach, VmClone, VmCommand, VmDetach, VmPlug, VmSet, VmUnplug},
    context::Context,
    output, progress,
};

/// How often a change is tried when others change the same VM meanwhile.
const CHANGE_TRIES: u32 = 20;

pub async fn run(context: &Context, command: VmCommand) -> Result<ExitCode> {
    match command {
        VmCommand::Create(arguments) => super::create::run(context, *arguments).await?,
        VmCommand::List(list) => objects::list::<Vm>(context, &list).await?,
        VmCommand::Get(named) => objects::get::<Vm>(context, &named.name).await?,
        VmCommand::Start(named) => act(context, &named, "start").await?,
        VmCommand::Shutdown(named) => act(context, &named, "shutdown").await?,
        VmCommand::ForceOff(named) => act(context, &named, "force-off").await?,
        VmCommand::Pause(named) => act(context, &named, "pause").await?,
        VmCommand::Resume(named) => act(context, &named, "resume").await?,
        VmCommand::Reset(named) => act(context, &named, "reset").await?,
        VmCommand::Clone(arguments) => clone(context, arguments).await?,
        VmCommand::Export(arguments) => super::export::run(context, arguments).await?,
        VmCommand::Import(arguments) => super::import::run(context, *arguments).await?,
        VmCommand::Set(change) => set(context, *change).await?,
        VmCommand::Attach(change) => attach(context, change).await?,
        VmCommand::Detach(change) => detach(context, change).await?,
        VmCommand::Plug(change) => plug(context, change).await?,
        VmCommand::Unplug(change) => unplug(context, change).await?,
        VmCommand::Cd(command) => super::device::cd(context, command).await?,
        VmCommand::Limit(limit) => super::device::limit(context, limit).await?,
        VmCommand::Delete(named) => objects::delete::<Vm>(context, &named).await?,
        VmCommand::Console(arguments) => return console::run(context, &arguments).await,
        VmCommand::Exec(arguments) => return exec::run(context, &arguments).await,
        VmCommand::Top(top) => metrics::top::<Vm>(context, &top).await?,
        VmCommand::Metrics(of) => metrics::over_time::<Vm>(context, &of).await?,
        VmCommand::Screenshot(named) => {
            let Some(to) = &context.global.output else { bail!("say where to: -o FILE.png") };
            let picture = context.client().await?.screenshot(named.name.as_str()).await?;
            std::fs::write(to, &picture).with_context(|| format!("cannot write {to}"))?;
            eprintln!("{to}: {}", tabane_model::format_bytes(picture.len() as u64));
        }
        VmCommand::Vnc(named) => {
            let ticket = context.client().await?.vnc_ticket(named.name.as_str()).await?;
            output::value(context.form()?, &ticket)?;
        }
    }
    Ok(DONE)
}

/// Sends a change, then waits with progress if that is asked for.
pub(super) async fn send_and_wait(
    client: &Client,
    name: &str,
    change: &Change,
    send: impl AsyncFnOnce(&Call) -> tabane_client::Result<Vm>,
) -> Result<Vm> {
    // The change is acknowledged before the waiting begins: if that is interrupted, it is known to be made.
    let sent = send(&Call { dry_run: change.dry_run, ..Call::default() }).await?;
    let Some(until) = change.wait.as_ref().filter(|_| !change.dry_run) else { return Ok(sent) };
    let call = Call { wait: Some(until.clone()), timeout_s: Some(change.timeout), ..Call::default() };
    let waited = progress::follow::<Vm, _>(client, name, client.get::<Vm>(name, &call)).await;
    Ok(waited?)
}

async fn act(context: &Context, named: &NamedChange, verb: &str) -> Result<()> {
    let client = context.client().await?;
    let mut done = Vec::new();
    for name in &named.names {
        let send = async |call: &Call| client.act::<Vm>(name.as_str(), verb, call).await;
        done.push(send_and_wait(&client, name.as_str(), &named.change, send).await?);
    }
    output::list(context.form()?, &done)
}

async fn clone(context: &Context, clone: VmClone) -> Result<()> {
    let client = context.client().await?;
    let names = match clone.count {
        None => vec![clone.name],
        Some(count) => (1..=count)
            .map(|i| format!("{}-{i}", clone.name).parse::<Name>().map_err(anyhow::Error::from))
            .collect::<Result<_>>()?,
    };
    let request = CloneRequest {
        names,
        clone: if clone.full { CloneMode::Full } else { CloneMode::Linked },
        snapshot: clone.snapshot,
        instant: clone.instant,
        identity: if clone.keep_identity { Identity::Keep } else { Identity::Renew },
        start: clone.start || clone.instant,
    };
    let call = Call { dry_run: clone.change.dry_run, ..Call::default() };
    let mut made = client.clone_vm(clone.vm.as_str(), &request, &call).await?;
    if let Some(until) = clone.change.wait.as_ref().filter(|_| !clone.change.dry_run) {
        let call =
            Call { wait: Some(until.clone()), timeout_s: Some(clone.change.timeout), ..Call::default() };
        for vm in &mut made {
            let name = vm.meta.name.clone();
            *vm = progress::follow::<Vm, _>(&client, name.as_str(), client.get::<Vm>(name.as_str(), &call))
                .await?;
        }
    }
    output::list(context.form()?, &made)
}

async fn set(context: &Context, set: VmSet) -> Result<()> {
    let client = context.client().await?;
    let mut spec = serde_json::Map::new();
    let mut put = |key: &str, value: Option<serde_json::Value>| {
        if let Some(value) = value {
            spec.insert(key.into(), value);
        }
    };
    put("cpus", set.cpus.map(Into::into));
    put("memory_bytes", set.memory.map(Into::into));
    put("on_crash", set.on_crash.map(|o| o.as_str().into()));
    put("boot", set.boot.map(|boot| serde_json::json!(boot.0)));
    put("tablet", set.tablet.map(Into::into));
    let labels: BTreeMap<String, Option<String>> =
        set.labels.into_iter().map(|(key, value)| (key, Some(value).filter(|v| !v.is_empty()))).collect();
    let patch = serde_json::json!({ "meta": { "labels": labels }, "spec": spec });
    let send = async |call: &Call| client.patch::<Vm>(set.name.as_str(), &patch, call).await;
    let changed = send_and_wait(&client, set.name.as_str(), &set.change, send).await?;
    output::one(context.form()?, &changed)
}

/// Lists in a merge patch are replaced whole, so the VM is read, changed and sent back with its revision: of two who do
/// so at once, the one who comes second begins anew.
pub(super) async fn change_lists(
    context: &Context,
    name: &Name,
    change: &Change,
    edit: impl Fn(&mut VmSpec) -> Result<()>,
) -> Result<()> {
    let client = context.client().await?;
    for tries_left in (0..CHANGE_TRIES).rev() {
        let mut vm: Vm = client.get(name.as_str(), &Call::default()).await?;
        edit(&mut vm.spec)?;
        let send = async |call: &Call| client.put::<Vm>(&vm, call).await;
        match send_and_wait(&client, name.as_str(), change, send).await {
            Ok(changed) => return output::one(context.form()?, &changed),
            Err(error) if tries_left > 0 && was_changed(&error) => {}
            Err(error) => return Err(error),
        }
    }
    unreachable!("the last try returns")
}

fn was_changed(error: &anyhow::Error) -> bool {
    error.downcast_ref::<tabane_client::Error>().and_then(|e| e.code()) == Some("changed")
}

async fn attach(context: &Context, attach: VmAttach) -> Result<()> {
    let VmAttach { vm, r#as: inside, disk, size, change } = attach;
    change_lists(context, &vm, &change, |spec| {
        spec.disks.push(VmDisk {
            name: inside.clone(),
            disk: disk.clone(),
            image: None,
            size_bytes: size,
            pool: None,
            from: None,
            clone: Default::default(),
            keep: false,
            bus: Default::default(),
            limits: Default::default(),
        });
        Ok(())
    })
    .await
}

async fn detach(context: &Context, detach: VmDetach) -> Result<()> {
    let is_it = |disk: &VmDisk| {
        disk.name.as_str() == detach.disk || disk.disk.as_ref().map(Name::as_str) == Some(&detach.disk)
    };
    change_lists(context, &detach.vm, &detach.change, |spec| {
        let before = spec.disks.len();
        spec.disks.retain(|disk| !is_it(disk));
        if spec.disks.len() == before {
            bail!("the VM {} has no disk {}", detach.vm, detach.disk);
        }
        Ok(())
    })
    .await
}

async fn plug(context: &Context, plug: VmPlug) -> Result<()> {
    let VmPlug { vm, network, r#as: name, forwards, change } = plug;
    change_lists(context, &vm, &change, |spec| {
        let taken = |name: &Name| spec.nics.iter().any(|nic| nic.name == *name);
        let mut names = (0..).map_while(|i| Name::new(format!("nic{i}")).ok());
        let name = name.clone().or_else(|| names.find(|name| !taken(name)));
        spec.nics.push(Nic {
            name: name.expect("a VM has few nics, and each takes one name"),
            network: network.clone(),
            mac: None,
            address: None,
            forwards: forwards.clone(),
            model: Default::default(),
            limits: Default::default(),
        });
        Ok(())
    })
    .await
}

async fn unplug(context: &Context, unplug: VmUnplug) -> Result<()> {
    change_lists(context, &unplug.vm, &unplug.change, |spec| {
        let before = spec.nics.len();
        spec.nics.retain(|nic| nic.name != unplug.nic);
        if spec.nics.len() == before {
            let names: Vec<&str> = spec.nics.iter().map(|nic| nic.name.as_str()).collect();
            bail!("the VM {} has no nic {}; it has: {}", unplug.vm, unplug.nic, names.join(", "));
        }
        Ok(())
    })
    .await
}
