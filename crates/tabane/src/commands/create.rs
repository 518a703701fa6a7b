//! `tabane vm create`: one VM, or many that are alike.

use std::{net::Ipv4Addr, path::Path};

use anyhow::{Context as _, Result, bail};
use tabane_client::{Call, Client};
use tabane_model::{
    CdDrive, CloneMode, DEFAULT_NETWORK, Flavor, Image, ImageDefaults, Meta, NAME_LENGTH_MAX, Name, Nic,
    PciPassthrough, Power, Resource, Vm, VmDisk, VmSpec,
};

use super::vm::send_and_wait;
use crate::{
    arguments::{Change, VmCreate},
    context::Context,
    output, progress,
};

/// The label of VMs that were made by a flavor.
const FLAVOR: &str = "flavor";
const CPUS: u32 = 1;
const MEMORY_BYTES: u64 = 1 << 30;
/// In a pattern it stands for the number of the VM.
const NUMBER: &str = "{n}";

pub async fn run(context: &Context, mut create: VmCreate) -> Result<()> {
    let client = context.client().await?;
    if let Some(name) = &create.flavor {
        let flavor: Flavor = client.get(name.as_str(), &Call::default()).await?;
        create.cpus = create.cpus.or(Some(flavor.spec.cpus));
        create.memory = create.memory.or(Some(flavor.spec.memory_bytes));
        create.disk = create.disk.or(flavor.spec.disk_bytes);
        create.labels.push((FLAVOR.into(), name.to_string()));
    }
    let defaults = match &create.image {
        // What is wrong with it, the server says better.
        Some(image) => client.get::<Image>(image.as_str(), &Call::default()).await.map(|i| i.spec.defaults),
        None => Ok(ImageDefaults::default()),
    };
    let (change, count, pattern) = (create.change.clone(), create.count, create.hostname.clone());
    let (name, addresses) = (create.name.clone(), create.address);
    let labels = create.labels.iter().cloned().collect();
    let spec = build(create, &defaults.unwrap_or_default())?;
    let mut vms = Vec::new();
    for number in 1..=count.unwrap_or(1) {
        let mut meta = Meta::new(name.clone());
        if count.is_some() {
            meta.name = Name::new(format!("{name}-{number}")).with_context(|| {
                format!("a name is {NAME_LENGTH_MAX} characters long at most; choose a shorter one")
            })?;
        }
        meta.labels = std::collections::BTreeMap::clone(&labels);
        let mut vm = Vm::new(meta, spec.clone());
        vm.spec.init.hostname = hostname(pattern.as_deref(), count.map(|_| number))?;
        if let Some(range) = addresses {
            let nic = vm.spec.nics.first_mut().expect("there is one unless stated");
            nic.address = Some(address(range, number - 1)?.into());
        }
        vms.push(vm);
    }
    match count {
        None => one(context, &client, &vms[0], &change).await,
        Some(_) => many(context, &client, vms, &change).await,
    }
}

async fn one(context: &Context, client: &Client, vm: &Vm, change: &Change) -> Result<()> {
    let key = uuid::Uuid::now_v7().to_string();
    let send = async |call: &Call| client.create_once(vm, call, &key).await;
    let made = send_and_wait(client, vm.meta.name.as_str(), change, send).await?;
    if change.dry_run { output::value(context.form()?, &made) } else { output::one(context.form()?, &made) }
}

/// All are asked for before any is waited for.
async fn many(context: &Context, client: &Client, vms: Vec<Vm>, change: &Change) -> Result<()> {
    let call = Call { dry_run: change.dry_run, ..Call::default() };
    let mut made: Vec<Vm> = Vec::new();
    for vm in &vms {
        let key = uuid::Uuid::now_v7().to_string();
        let created = client.create_once(vm, &call, &key).await;
        made.push(created.with_context(|| match made.last() {
            Some(last) => format!("made up to {}, and not {}", last.meta.name, vm.meta.name),
            None => format!("none was made; {} was the first", vm.meta.name),
        })?);
    }
    if let Some(until) = change.wait.as_ref().filter(|_| !change.dry_run) {
        let call = Call { wait: Some(until.clone()), timeout_s: Some(change.timeout), ..Call::default() };
        for vm in &mut made {
            let name = vm.meta.name.clone();
            let name = name.as_str();
            *vm = progress::follow::<Vm, _>(client, name, client.get::<Vm>(name, &call)).await?;
        }
    }
    output::list(context.form()?, &made)
}

fn hostname(pattern: Option<&str>, number: Option<u32>) -> Result<Option<String>> {
    match (pattern, number) {
        (None, _) => Ok(None),
        (Some(pattern), Some(number)) if pattern.contains(NUMBER) => {
            Ok(Some(pattern.replace(NUMBER, &number.to_string())))
        }
        (Some(pattern), Some(_)) => {
            bail!("{pattern:?} would be the host name of all; put {NUMBER} where the number belongs")
        }
        (Some(pattern), None) => Ok(Some(pattern.to_owned())),
    }
}

fn address((first, last): (Ipv4Addr, Ipv4Addr), at: u32) -> Result<Ipv4Addr> {
    let address = u32::from(first).checked_add(at).map(Ipv4Addr::from).filter(|address| *address <= last);
    address.with_context(|| {
        let count = u32::from(last) - u32::from(first) + 1;
        format!("{first}-{last} has {count} addresses, and more are needed; give FIRST-LAST")
    })
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The VM that all of them are like.
fn build(create: VmCreate, defaults: &ImageDefaults) -> Result<VmSpec> {
    let cpus = create.cpus.or(defaults.cpus).unwrap_or(CPUS);
    let mut spec = VmSpec::new(cpus, create.memory.or(defaults.memory_bytes).unwrap_or(MEMORY_BYTES));
    spec.power = if create.start { Power::On } else { Power::Off };
    spec.on_crash = create.on_crash;
    spec.firmware = create.firmware.or(defaults.firmware).unwrap_or_default();
    spec.tpm = create.tpm;
    spec.accel = create.accel;
    spec.placement.host = create.host;
    if create.image.is_some() || create.disk.is_some() {
        let clone = if create.full_clone { CloneMode::Full } else { CloneMode::Linked };
        spec.disks.push(VmDisk {
            name: "root".parse()?,
            disk: None,
            image: create.image,
            size_bytes: create.disk,
            pool: create.pool,
            from: None,
            clone,
            keep: false,
            bus: create.disk_bus,
            limits: Default::default(),
        });
    }
    for image in create.cdroms {
        let name = super::device::free_name(&spec);
        spec.cdroms.push(CdDrive { name, image: Some(image) });
    }
    for (i, address) in create.pci.into_iter().enumerate() {
        spec.pci.push(PciPassthrough { name: format!("pci{i}").parse()?, address });
    }
    spec.boot = create.boot;
    spec.tablet = create.tablet;
    let networks = if create.networks.is_empty() { vec![DEFAULT_NETWORK.parse()?] } else { create.networks };
    for (i, network) in networks.into_iter().enumerate() {
        let forwards = if i == 0 { create.forwards.clone() } else { Vec::new() };
        spec.nics.push(Nic {
            name: format!("nic{i}").parse()?,
            network,
            mac: None,
            address: None,
            forwards,
            model: create.nic_model,
            limits: Default::default(),
        });
    }
    spec.init.hostname = create.hostname;
    spec.init.user = create.user;
    for file in &create.ssh_keys {
        let text = read(file)?;
        let keys = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
        spec.init.ssh_keys.extend(keys.map(String::from));
    }
    spec.init.password_hash =
        create.password_hash.as_deref().map(read).transpose()?.map(|t| t.trim().to_owned());
    spec.init.user_data = create.user_data.as_deref().map(read).transpose()?;
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_get_names_and_addresses_of_their_own() {
        assert_eq!(hostname(Some("web{n}.example.org"), Some(3)).unwrap().unwrap(), "web3.example.org");
        assert!(hostname(Some("web"), Some(3)).is_err());
        assert_eq!(hostname(Some("web"), None).unwrap().unwrap(), "web");
        let range = (Ipv4Addr::new(10, 0, 0, 254), Ipv4Addr::new(10, 0, 1, 1));
        assert_eq!(address(range, 2).unwrap(), Ipv4Addr::new(10, 0, 1, 0));
        assert!(address(range, 4).unwrap_err().to_string().contains("4 addresses"));
    }
}
