//! `tabane vm cd …`, `tabane vm limit` and `tabane host devices`.

use anyhow::{Context as _, Result, bail};
use tabane_client::Call;
use tabane_model::{CdDrive, DiskLimits, Host, Name, NicLimits, VmSpec};

use super::vm::change_lists;
use crate::{
    arguments::{self, CdCommand, CdInsert, Form, Limit, VmLimit},
    context::Context,
    output,
};

pub async fn cd(context: &Context, command: CdCommand) -> Result<()> {
    match command {
        CdCommand::Insert(CdInsert { vm, image, drive, change }) => {
            change_lists(context, &vm, &change, |spec| insert(spec, &image, drive.as_ref())).await
        }
        CdCommand::Eject(arguments::CdDrive { vm, drive, change }) => {
            change_lists(context, &vm, &change, |spec| {
                find(spec, drive.as_ref())?.image = None;
                Ok(())
            })
            .await
        }
        CdCommand::Add(arguments::CdDrive { vm, drive, change }) => {
            change_lists(context, &vm, &change, |spec| {
                let name = drive.clone().unwrap_or_else(|| free_name(spec));
                spec.cdroms.push(CdDrive { name, image: None });
                Ok(())
            })
            .await
        }
        CdCommand::Remove(arguments::CdDrive { vm, drive, change }) => {
            change_lists(context, &vm, &change, |spec| {
                let name = find(spec, drive.as_ref())?.name.clone();
                spec.cdroms.retain(|drive| drive.name != name);
                Ok(())
            })
            .await
        }
    }
}

fn insert(spec: &mut VmSpec, image: &Name, drive: Option<&Name>) -> Result<()> {
    if spec.cdroms.is_empty() && drive.is_none() {
        let name = free_name(spec);
        spec.cdroms.push(CdDrive { name, image: None });
    }
    // Several drives and none named: the first.
    let first = spec.cdroms.first().map(|drive| drive.name.clone());
    find(spec, drive.or(first.as_ref()))?.image = Some(image.clone());
    Ok(())
}

/// The drive of this name; without one the only drive.
fn find<'a>(spec: &'a mut VmSpec, name: Option<&Name>) -> Result<&'a mut CdDrive> {
    let names: Vec<String> = spec.cdroms.iter().map(|drive| drive.name.to_string()).collect();
    if names.is_empty() {
        bail!("the VM has no CD drive; give it one while it is off: `tabane vm cd add`");
    }
    match name {
        Some(name) => spec
            .cdroms
            .iter_mut()
            .find(|drive| drive.name == *name)
            .with_context(|| format!("the VM has no drive {name}; it has: {}", names.join(", "))),
        None if names.len() > 1 => bail!("say which drive by --drive: {}", names.join(", ")),
        None => Ok(&mut spec.cdroms[0]),
    }
}

/// The first of cd0, cd1, … that nothing of the VM is called.
pub fn free_name(spec: &VmSpec) -> Name {
    let taken = |name: &Name| spec.bootable().any(|(other, _)| other == name);
    let mut names = (0..).map_while(|i| Name::new(format!("cd{i}")).ok());
    names.find(|name| !taken(name)).expect("a VM has few devices, and each takes one name")
}

/// The PCI devices of a host.
pub async fn of_host(context: &Context, name: &Name) -> Result<()> {
    let host: Host = context.client().await?.get(name.as_str(), &Call::default()).await?;
    let form = context.form()?;
    if form != Form::Table {
        return output::value(form, &host.status.pci);
    }
    if host.status.pci.is_empty() {
        eprintln!("the host {name} shows no PCI devices");
        return Ok(());
    }
    let rows = host.status.pci.iter().map(|device| {
        vec![
            device.address.clone(),
            device.id.clone(),
            class(&device.class).into(),
            device.iommu_group.map_or_else(|| "no IOMMU".into(), |group| group.to_string()),
            device.driver.clone().unwrap_or_else(|| "-".into()),
        ]
    });
    output::say(&output::table(&["ADDRESS", "ID", "CLASS", "GROUP", "DRIVER"], rows))
}

/// The first two digits of a PCI class (PCI Code and ID Assignment Specification).
fn class(digits: &str) -> &str {
    match digits.get(..2) {
        Some("01") => "storage",
        Some("02") => "network",
        Some("03") => "display",
        Some("04") => "multimedia",
        Some("05") => "memory",
        Some("06") => "bridge",
        Some("07") => "communication",
        Some("08") => "system",
        Some("0c") => "serial bus",
        Some("12") => "accelerator",
        _ => digits,
    }
}

pub async fn limit(context: &Context, limit: VmLimit) -> Result<()> {
    change_lists(context, &limit.vm, &limit.change, |spec| set_limits(spec, &limit)).await
}

fn set_limits(spec: &mut VmSpec, limit: &VmLimit) -> Result<()> {
    let name = &limit.device;
    let of_disk =
        [limit.iops, limit.read_iops, limit.write_iops, limit.read_bandwidth, limit.write_bandwidth];
    let of_nic = [limit.receive, limit.send];
    if of_disk.iter().chain(&of_nic).chain(&[limit.bandwidth]).all(Option::is_none) {
        bail!("say what is limited, for example --iops 500 or --bandwidth 50MiB/s");
    }
    let disk = spec.disks.iter_mut().find(|disk| disk.name == *name);
    let nic = spec.nics.iter_mut().find(|nic| nic.name == *name);
    match (disk, nic) {
        (Some(disk), _) if of_nic.iter().all(Option::is_none) => limit_disk(&mut disk.limits, limit),
        (_, Some(nic)) if of_disk.iter().all(Option::is_none) => limit_nic(&mut nic.limits, limit),
        (Some(_), _) => bail!("{name} is a disk: it has no --receive and --send"),
        (_, Some(_)) => bail!("{name} is a nic: it has --bandwidth, or --receive and --send"),
        (None, None) => {
            let names: Vec<String> = spec.disks.iter().map(|d| d.name.to_string()).collect();
            let nics = spec.nics.iter().map(|n| n.name.to_string());
            bail!("the VM has no disk or nic {name}; it has: {}", [names, nics.collect()].concat().join(", "))
        }
    }
    Ok(())
}

/// A limit of both takes the place of those of each, and the other way round.
fn limit_disk(limits: &mut DiskLimits, limit: &VmLimit) {
    let set = |to: &mut Option<u64>, given: Option<Limit>, others: [&mut Option<u64>; 2]| {
        if let Some(given) = given {
            *to = given;
            if given.is_some() {
                others.into_iter().for_each(|other| *other = None);
            }
        }
    };
    set(&mut limits.iops, limit.iops, [&mut limits.read_iops, &mut limits.write_iops]);
    set(&mut limits.read_iops, limit.read_iops, [&mut limits.iops, &mut None]);
    set(&mut limits.write_iops, limit.write_iops, [&mut limits.iops, &mut None]);
    let (read, write) = (&mut limits.read_bytes_per_s, &mut limits.write_bytes_per_s);
    set(&mut limits.bytes_per_s, limit.bandwidth, [&mut *read, &mut *write]);
    set(read, limit.read_bandwidth, [&mut limits.bytes_per_s, &mut None]);
    set(write, limit.write_bandwidth, [&mut limits.bytes_per_s, &mut None]);
}

fn limit_nic(limits: &mut NicLimits, limit: &VmLimit) {
    for (to, given) in
        [(&mut limits.receive_bytes_per_s, limit.receive), (&mut limits.send_bytes_per_s, limit.send)]
    {
        if let Some(given) = given.or(limit.bandwidth) {
            *to = given;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> VmSpec {
        let mut spec = VmSpec::new(1, 1 << 30);
        spec.disks = vec![serde_json::from_str(r#"{"name":"root","size_bytes":1073741824}"#).unwrap()];
        spec.nics = vec![serde_json::from_str(r#"{"name":"nic0","network":"lan"}"#).unwrap()];
        spec
    }

    fn limit(device: &str) -> VmLimit {
        VmLimit {
            vm: "web".parse().unwrap(),
            device: device.parse().unwrap(),
            iops: None,
            read_iops: None,
            write_iops: None,
            bandwidth: None,
            read_bandwidth: None,
            write_bandwidth: None,
            receive: None,
            send: None,
            change: Default::default(),
        }
    }

    #[test]
    fn limits_of_both_and_of_each_take_turns() {
        let mut spec = spec();
        set_limits(&mut spec, &VmLimit { iops: Some(Some(100)), ..limit("root") }).unwrap();
        let both = DiskLimits { iops: Some(100), ..Default::default() };
        assert_eq!(spec.disks[0].limits, both);
        set_limits(&mut spec, &VmLimit { read_iops: Some(Some(50)), ..limit("root") }).unwrap();
        assert_eq!(spec.disks[0].limits, DiskLimits { read_iops: Some(50), ..Default::default() });
        set_limits(&mut spec, &VmLimit { read_iops: Some(None), ..limit("root") }).unwrap();
        assert!(spec.disks[0].limits.is_none());
        set_limits(&mut spec, &VmLimit { bandwidth: Some(Some(9)), ..limit("nic0") }).unwrap();
        let each = NicLimits { receive_bytes_per_s: Some(9), send_bytes_per_s: Some(9) };
        assert_eq!(spec.nics[0].limits, each);
        for wrong in [
            VmLimit { iops: Some(None), ..limit("nic0") },
            VmLimit { send: Some(None), ..limit("root") },
            VmLimit { send: Some(None), ..limit("none") },
            limit("root"),
        ] {
            assert!(set_limits(&mut spec, &wrong).is_err());
        }
    }

    #[test]
    fn a_drive_is_found_when_it_is_the_only_one_and_added_when_there_is_none() {
        let (mut spec, image): (VmSpec, Name) = (spec(), "setup".parse().unwrap());
        assert!(find(&mut spec, None).is_err());
        insert(&mut spec, &image, None).unwrap();
        assert_eq!(find(&mut spec, None).unwrap().image, Some(image.clone()));
        let name = free_name(&spec);
        assert_eq!(name.as_str(), "cd1");
        spec.cdroms.push(CdDrive { name: name.clone(), image: None });
        assert!(find(&mut spec, None).is_err(), "two drives");
        insert(&mut spec, &image, Some(&name)).unwrap();
        assert_eq!(spec.cdroms[1].image, Some(image));
    }
}
