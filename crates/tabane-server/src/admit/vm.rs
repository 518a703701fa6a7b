//! VMs: disks and addresses come and go with them.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use tabane_model::{
    Disk, DiskSpec, Image, Kind, Mac, Meta, Name, Network, NetworkKind, Nic, Vm, VmDisk, VmSpec,
};

use super::{Admit, Removal, referred};
use crate::{
    Error, Result,
    app::App,
    commit::Change,
    control::placement::{memory_bytes, rooms},
    keys,
};

/// The pool of disks that name none.
pub const DEFAULT_POOL: &str = "local";

impl Admit for Vm {
    /// Two must not take the same free memory of a host.
    fn must_be_alone(old: Option<&Self>, new: &VmSpec) -> bool {
        old.is_some_and(|old| old.spec.host.is_some() && memory_bytes(new) > memory_bytes(&old.spec))
    }

    fn admit(app: &Arc<App>, old: Option<&Self>, new: &mut Self, change: &mut Change<'_>) -> Result<()> {
        let placed = old.and_then(|o| o.spec.host.clone());
        // A manifest that says nothing of it leaves the VM where it is.
        new.spec.host = new.spec.host.take().or_else(|| placed.clone());
        if new.spec.host != placed {
            return Err(Error::fault(
                "spec.host",
                "is written by the placement controller",
                "to ask for a host use spec.placement.host",
            ));
        }
        let moving = old.and_then(|o| o.spec.moving.clone());
        new.spec.moving = new.spec.moving.take().or_else(|| moving.clone());
        if new.spec.moving != moving {
            return Err(Error::fault(
                "spec.moving",
                "is written by the evacuation controller",
                "to move VMs away from a host, drain it",
            ));
        }
        if moving.is_some() && old.is_some_and(|o| o.spec.disks != new.spec.disks) {
            return Err(Error::InUse {
                detail: format!("the VM {} is moving to another host with its disks", new.meta.name),
                hint: "attach and detach disks when it has arrived".into(),
            });
        }
        super::snapshot::admit_revert(app, old, new)?;
        super::clone::admit_origin(app, old, new, change)?;
        admit_memory(app, old, new)?;
        if let Some(image) = &new.spec.boot_image {
            let image = referred::<Image>(app, "spec.boot_image", image, change)?;
            super::devices::admit_disk_image(&image, "spec.boot_image")?;
        }
        super::devices::admit(app, old, new, change)?;
        admit_disks(app, old, new, change)?;
        admit_nics(app, old, new, change)
    }

    fn remove(app: &Arc<App>, vm: &Self, change: &mut Change<'_>) -> Result<Removal> {
        let now = app.now();
        super::snapshot::remove_all(app, vm, change)?;
        for attached in &vm.spec.disks {
            let Some(disk) = attached.disk.as_ref().and_then(|name| app.cache.get::<Disk>(name.as_str()))
            else {
                continue;
            };
            let mut disk = Disk::clone(&disk);
            if attached.keep {
                disk.spec.vm = None;
                disk.meta.generation += 1;
                change.update("detach", &disk);
            } else if disk.spec.host.is_none() {
                change.delete(&disk);
            } else if disk.meta.deleted_at.is_none() {
                disk.meta.deleted_at = Some(now);
                change.update("delete", &disk);
            }
        }
        if vm.spec.host.is_some() {
            return Ok(Removal::AfterHost);
        }
        release_addresses(&vm.spec.nics, change);
        Ok(Removal::Now)
    }
}

/// A VM that was placed while it was off, or grows, has to fit where it is: a host that runs out of memory ends guests.
fn admit_memory(app: &Arc<App>, old: Option<&Vm>, new: &Vm) -> Result<()> {
    let (before, after) = (old.map_or(0, |o| memory_bytes(&o.spec)), memory_bytes(&new.spec));
    let Some(host) = new.spec.host.as_ref().filter(|_| after > before) else { return Ok(()) };
    let Some(room) = rooms(app).into_iter().find(|room| room.host == *host) else { return Ok(()) };
    let free = room.free_bytes() + before;
    // A host that has not said yet how much it has is not judged.
    if after <= free || room.memory_bytes == 0 {
        return Ok(());
    }
    let [wanted, free] = [after, free].map(tabane_model::format_bytes);
    Err(Error::Refused {
        code: "no_room",
        detail: format!("the VM {} wants {wanted} of memory, and host {host} has {free} left", new.meta.name),
        hint: "give it less memory, or stop other VMs of that host".into(),
    })
}

/// Gives back the addresses of nics: when a VM is gone from its host, and not before.
pub fn release_addresses(nics: &[Nic], change: &mut Change<'_>) {
    for nic in nics {
        if let Some(address) = nic.address {
            change.delete_private(keys::address(&nic.network, address));
        }
    }
}

fn admit_disks(app: &Arc<App>, old: Option<&Vm>, new: &mut Vm, change: &mut Change<'_>) -> Result<()> {
    let vm_name = new.meta.name.clone();
    let mut named: BTreeSet<Name> = BTreeSet::new();
    // A VM is where its disks are, so they have to be in one place.
    let mut place = new.spec.host.clone();
    for (i, name) in new.spec.disks.iter().enumerate().filter_map(|(i, d)| Some((i, d.disk.as_ref()?))) {
        let Some(there) = app.cache.get::<Disk>(name.as_str()).and_then(|d| d.spec.host.clone()) else {
            continue;
        };
        let here = place.get_or_insert_with(|| there.clone());
        if *here != there {
            return Err(Error::fault(
                format!("spec.disks[{i}].disk"),
                format!("{name} is on host {there}, and the VM or another of its disks on {here}"),
                "use disks of one host",
            ));
        }
    }
    for (i, entry) in new.spec.disks.iter_mut().enumerate() {
        let field = format!("spec.disks[{i}]");
        match entry.disk.clone() {
            None => make_disk(app, &vm_name, new.spec.host.as_ref(), entry, &field, change)?,
            Some(name) => {
                if entry.image.is_some()
                    || entry.from.is_some()
                    || entry.size_bytes.is_some()
                    || entry.pool.is_some()
                {
                    return Err(Error::fault(
                        field,
                        "names a disk and says how to make one",
                        "leave out `disk` to make a new one; to grow a disk use `tabane disk resize`",
                    ));
                }
                attach(app, &vm_name, new.spec.host.as_ref(), &name, &format!("{field}.disk"), change)?;
            }
        }
        if let Some(name) = &entry.disk
            && !named.insert(name.clone())
        {
            return Err(Error::fault(
                format!("{field}.disk"),
                format!("{name} is there twice"),
                "name it once",
            ));
        }
    }
    // Disks that are no longer named are detached and kept.
    for entry in old.map(|o| o.spec.disks.as_slice()).unwrap_or_default() {
        let Some(name) = entry.disk.as_ref().filter(|name| !named.contains(*name)) else { continue };
        super::snapshot::admit_detach(app, new, name)?;
        if let Some(disk) = app.cache.get::<Disk>(name.as_str())
            && disk.spec.vm.as_ref() == Some(&vm_name)
        {
            let mut disk = Disk::clone(&disk);
            disk.spec.vm = None;
            disk.meta.generation += 1;
            change.update("detach", &disk);
        }
    }
    Ok(())
}

fn make_disk(
    app: &Arc<App>,
    vm: &Name,
    host: Option<&Name>,
    entry: &mut VmDisk,
    field: &str,
    change: &mut Change<'_>,
) -> Result<()> {
    let text = format!("{vm}-{}", entry.name);
    let name = Name::new(text).map_err(|_| {
        Error::fault(format!("{field}.name"), "makes too long a name for the disk", "use a shorter one")
    })?;
    let pool = entry.pool.take().unwrap_or_else(|| DEFAULT_POOL.parse().expect("is a name"));
    let spec = DiskSpec {
        pool,
        size_bytes: entry.size_bytes.take(),
        image: entry.image.take(),
        from: entry.from.take(),
        clone: entry.clone,
        vm: Some(vm.clone()),
        host: host.cloned(),
        moving: None,
    };
    let disk = super::create::<Disk>(app, Meta::new(name.clone()), spec, change)?;
    entry.disk = Some(disk.meta.name);
    Ok(())
}

fn attach(
    app: &Arc<App>,
    vm: &Name,
    host: Option<&Name>,
    name: &Name,
    field: &str,
    change: &mut Change<'_>,
) -> Result<()> {
    let disk = referred::<Disk>(app, field, name, change)?;
    if disk.spec.vm.as_ref() == Some(vm) {
        return Ok(());
    }
    if let Some(other) = &disk.spec.vm {
        return Err(Error::fault(
            field,
            format!("{name} is attached to the VM {other}"),
            "detach it there first",
        ));
    }
    if let (Some(there), Some(here)) = (&disk.spec.host, host)
        && there != here
    {
        return Err(Error::fault(
            field,
            format!("{name} is on host {there}, the VM on {here}"),
            "use a disk on its host",
        ));
    }
    let mut disk = Disk::clone(&disk);
    disk.spec.vm = Some(vm.clone());
    if disk.spec.host.is_none() {
        disk.spec.host = host.cloned();
    }
    disk.meta.generation += 1;
    change.update("attach", &disk);
    Ok(())
}

fn admit_nics(app: &Arc<App>, old: Option<&Vm>, new: &mut Vm, change: &mut Change<'_>) -> Result<()> {
    let had = |nic: &Nic| {
        old.into_iter().flat_map(|o| &o.spec.nics).find(|n| n.name == nic.name && n.network == nic.network)
    };
    let seed = new.meta.uid.as_u128() as u64;
    let own = new.meta.name.clone();
    // Chosen for this VM's nics just now: nobody else knows of them yet.
    let mut chosen: BTreeSet<(Name, Ipv4Addr)> = BTreeSet::new();
    for (i, nic) in new.spec.nics.iter_mut().enumerate() {
        let field = format!("spec.nics[{i}]");
        let network = referred::<Network>(app, &format!("{field}.network"), &nic.network, change)?;
        stays_as_it_is(old, nic, &field)?;
        super::devices::admit_nic_limits(nic, network.spec.kind, &field)?;
        let before = had(nic);
        // What was given once stays when a later request leaves it out.
        nic.mac = nic
            .mac
            .or(before.and_then(|n| n.mac))
            .or_else(|| Some(Mac::from_seed(seed ^ name_seed(&nic.name))));
        nic.address = nic.address.or(before.and_then(|n| n.address));
        match (network.spec.kind, network.spec.cidr) {
            (NetworkKind::Nat, Some(range)) => {
                if !nic.forwards.is_empty() {
                    return Err(Error::fault(
                        format!("{field}.forwards"),
                        "only networks of kind user forward ports",
                        "reach the VM by its address",
                    ));
                }
                if nic.address.is_some() && nic.address == before.and_then(|n| n.address) {
                    continue;
                }
                let mut taken = addresses_of_others(app, &nic.network, &own);
                taken.extend(chosen.iter().filter(|(n, _)| *n == nic.network).map(|(_, address)| *address));
                let address = match nic.address {
                    Some(IpAddr::V4(wanted)) if taken.contains(&wanted) => {
                        return Err(Error::fault(
                            format!("{field}.address"),
                            format!("{wanted} belongs to another nic"),
                            "leave it out to get a free one",
                        ));
                    }
                    Some(IpAddr::V4(wanted)) if tabane_core::allocate::is_usable(range, wanted) => wanted,
                    Some(other) => {
                        return Err(Error::fault(
                            format!("{field}.address"),
                            format!("{other} is no free address of {range}"),
                            "leave it out to get one",
                        ));
                    }
                    None => free_address(&nic.network, range, seed ^ name_seed(&nic.name), &taken)?,
                };
                chosen.insert((nic.network.clone(), address));
                nic.address = Some(IpAddr::V4(address));
                let owner = format!("{}/{}", new.meta.name, nic.name);
                change.claim(keys::address(&nic.network, IpAddr::V4(address)), owner);
            }
            _ => {
                if nic.address.is_some() {
                    return Err(Error::fault(
                        format!("{field}.address"),
                        "networks of kind user give addresses by themselves",
                        "leave it out",
                    ));
                }
            }
        }
    }
    // Nics that left, or whose address changed, give it back.
    for nic in old.map(|o| o.spec.nics.as_slice()).unwrap_or_default() {
        let kept = new.spec.nics.iter().any(|n| n.network == nic.network && n.address == nic.address);
        if let Some(address) = nic.address
            && !kept
        {
            change.delete_private(keys::address(&nic.network, address));
        }
    }
    Ok(())
}

/// The host plugs nics in and out by name: it would leave a changed one as it is, and its guest cut off.
fn stays_as_it_is(old: Option<&Vm>, nic: &Nic, field: &str) -> Result<()> {
    let running = old.filter(|vm| vm.status.pid.is_some());
    let Some(before) = running.and_then(|vm| vm.spec.nics.iter().find(|n| n.name == nic.name)) else {
        return Ok(());
    };
    let moves = nic.network != before.network
        || nic.mac.is_some_and(|mac| Some(mac) != before.mac)
        || nic.address.is_some_and(|address| Some(address) != before.address)
        || nic.forwards != before.forwards
        || nic.model != before.model;
    if moves {
        return Err(Error::fault(
            field,
            format!("{} is plugged into a VM that runs, and cannot be changed there", nic.name),
            "plug in another one (`tabane vm plug`) and take this one out (`tabane vm unplug`), or shut the VM down \
             first",
        ));
    }
    Ok(())
}

fn name_seed(name: &Name) -> u64 {
    let hash = blake3::hash(name.as_str().as_bytes());
    u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("eight bytes"))
}

/// Addresses in a network that nics of other VMs have.
fn addresses_of_others(app: &App, network: &Name, own: &Name) -> BTreeSet<Ipv4Addr> {
    let others = app.cache.all::<Vm>();
    let nics = others.iter().filter(|vm| vm.meta.name != *own).flat_map(|vm| vm.spec.nics.iter());
    nics.filter(|nic| nic.network == *network)
        .filter_map(|nic| match nic.address {
            Some(IpAddr::V4(address)) => Some(address),
            _ => None,
        })
        .collect()
}

fn free_address(
    network: &Name,
    range: ipnet::Ipv4Net,
    seed: u64,
    taken: &BTreeSet<Ipv4Addr>,
) -> Result<Ipv4Addr> {
    tabane_core::allocate::address(range, seed, |a| taken.contains(&a)).ok_or_else(|| Error::Refused {
        code: "network_full",
        detail: format!("the network {network} has no free address in {range}"),
        hint: format!("use another {}, or delete VMs that are no longer needed", Kind::Network),
    })
}
