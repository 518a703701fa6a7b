//! The virtual hardware section: items of CIM_ResourceAllocationSettingData, and the storage and network forms of OVF 2.0.

use std::collections::BTreeMap;

use roxmltree::Node;

use super::{
    machine::{Controller, Disk, Nic},
    read::{Drive, attribute, child, sections, shortened, text},
    units::bytes_per,
};
use crate::{Error, Result};

const MIB: u64 = 1 << 20;
/// VMware's largest machines have some hundreds.
const ITEMS_MAX: usize = 1000;

#[derive(Default)]
pub(super) struct Hardware {
    pub cpus: u32,
    pub memory_bytes: u64,
    pub disks: Vec<Disk>,
    pub nics: Vec<Nic>,
    pub left_out: Vec<String>,
}

struct Item<'a> {
    node: Node<'a, 'a>,
    kind: u32,
    /// Where it is in the descriptor.
    place: usize,
}

impl<'a> Item<'a> {
    fn text(&self, name: &str) -> Option<String> {
        child(self.node, name).and_then(text)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    fn instance(&self) -> Option<String> {
        self.text("InstanceID").or_else(|| self.text("InstanceId"))
    }

    fn label(&self) -> String {
        ["ElementName", "Caption", "Description"].iter().find_map(|name| self.text(name)).unwrap_or_default()
    }

    fn controller(&self) -> Controller {
        let subtype = self.text("ResourceSubType").unwrap_or_default().to_ascii_lowercase();
        match self.kind {
            5 => Controller::Ide,
            6 if subtype.contains("virtio") => Controller::Virtio,
            6 => Controller::Scsi,
            20 if subtype.contains("nvm") => Controller::Nvme,
            20 => Controller::Sata,
            _ => Controller::Unknown,
        }
    }
}

impl Hardware {
    pub fn read(system: Node<'_, '_>, drives: &[Drive], configuration: Option<&str>) -> Result<Self> {
        let section = sections(system, "VirtualHardwareSection")
            .next()
            .ok_or(Error::Descriptor("it describes no virtual hardware".into()))?;
        let items = items(section, configuration);
        if items.len() > ITEMS_MAX {
            return Err(Error::Descriptor(format!(
                "it has {} devices, more than a machine can",
                items.len()
            )));
        }
        let mut hardware = Self { cpus: 1, ..Self::default() };
        let parents: BTreeMap<String, &Item<'_>> =
            items.iter().filter_map(|item| Some((item.instance()?, item))).collect();
        let mut disks = Vec::new();
        for item in &items {
            match item.kind {
                3 => hardware.cpus = cpus(item)?,
                4 => hardware.memory_bytes = memory(item)?,
                10 => hardware.nics.push(nic(item)),
                17 | 31 => disks.push(disk(item, &parents, drives)?),
                14..=16 => hardware.left_out.push(named("the drive for removable media", item)),
                21 | 22 => hardware.left_out.push(named("the port", item)),
                35 => hardware.left_out.push(named("the sound card", item)),
                18 | 19 | 28..=30 => hardware.left_out.push(named("the device", item)),
                // Controllers, graphics and what is not hardware.
                _ => {}
            }
        }
        if hardware.memory_bytes == 0 {
            return Err(Error::Descriptor("it says nothing about the machine's memory".into()));
        }
        disks.sort_by_key(|(place, _)| *place);
        hardware.disks = disks.into_iter().map(|(_, disk)| disk).collect();
        Ok(hardware)
    }
}

fn named(what: &str, item: &Item<'_>) -> String {
    format!("{what} {:?}", item.label())
}

/// The items of this configuration; what is for it alone replaces what is for all.
fn items<'a>(section: Node<'a, 'a>, configuration: Option<&str>) -> Vec<Item<'a>> {
    let mut items: Vec<(Option<String>, bool, Item<'a>)> = Vec::new();
    for (place, node) in section.children().filter(Node::is_element).enumerate() {
        if !matches!(node.tag_name().name(), "Item" | "StorageItem" | "EthernetPortItem") {
            continue;
        }
        // A range that a product may be given, rather than what it has.
        if attribute(node, "bound").is_some_and(|bound| bound != "normal") {
            continue;
        }
        let only_for = attribute(node, "configuration");
        if only_for.is_some_and(|ids| !ids.split_whitespace().any(|id| Some(id) == configuration)) {
            continue;
        }
        let kind = child(node, "ResourceType").and_then(text).and_then(|kind| kind.parse().ok()).unwrap_or(0);
        let item = Item { node, kind, place };
        let id = item.instance();
        let before = items.iter().position(|(known, _, other)| {
            id.is_some() && *known == id && other.kind == item.kind && item.kind != 17
        });
        match before {
            Some(at) if only_for.is_some() || !items[at].1 => items[at] = (id, only_for.is_some(), item),
            Some(_) => {}
            None => items.push((id, only_for.is_some(), item)),
        }
    }
    items.into_iter().map(|(_, _, item)| item).collect()
}

fn cpus(item: &Item<'_>) -> Result<u32> {
    // oVirt counts sockets, cores and threads.
    let counted = ["num_of_sockets", "cpu_per_socket", "threads_per_cpu"]
        .iter()
        .filter_map(|name| item.number(name))
        .try_fold(1u64, |product, number| product.checked_mul(number));
    let cpus = item.number("VirtualQuantity").or(counted).and_then(|cpus| u32::try_from(cpus).ok());
    cpus.filter(|cpus| *cpus > 0).ok_or(Error::Descriptor("the number of CPUs is not understood".into()))
}

/// Rounded up to whole mebibytes.
fn memory(item: &Item<'_>) -> Result<u64> {
    let unit = item.text("AllocationUnits").map_or(Some(MIB), |unit| bytes_per(&unit));
    let bytes = item.number("VirtualQuantity").zip(unit).and_then(|(count, unit)| count.checked_mul(unit));
    bytes
        .and_then(|bytes| bytes.checked_next_multiple_of(MIB))
        .ok_or(Error::Descriptor("the size of the memory is not understood".into()))
}

fn nic(item: &Item<'_>) -> Nic {
    Nic {
        label: item.label(),
        network: item.text("Connection"),
        // oVirt has it in an element of its own.
        mac: item.text("Address").or_else(|| item.text("MACAddress")),
        model: item.text("ResourceSubType"),
    }
}

/// Sorted by: the one to boot from, then controller, then address there, then where it is written.
type Place = (bool, usize, u64, usize);

fn disk(item: &Item<'_>, parents: &BTreeMap<String, &Item<'_>>, drives: &[Drive]) -> Result<(Place, Disk)> {
    let resource = item.text("HostResource").unwrap_or_default();
    let name = resource.rsplit_once("/disk/").map_or(resource.as_str(), |(_, name)| name);
    let by_file = resource.rsplit_once("/file/").map(|(_, name)| name);
    let is_it = |drive: &&Drive| {
        let parts: Vec<&str> = name.split('/').collect();
        drive.id == name
            || drive.file_id.as_deref().is_some_and(|file| file == name || Some(file) == by_file)
            || parts.contains(&drive.id.as_str())
    };
    let drive = drives.iter().find(is_it).ok_or_else(|| {
        Error::Descriptor(format!("the hard disk {:?} names {resource:?}, which is not listed", item.label()))
    })?;
    let parent = item.text("Parent").and_then(|id| parents.get(&id).copied());
    let address = item.number("AddressOnParent").unwrap_or(u64::MAX);
    let place = (!drive.boot, parent.map_or(usize::MAX, |parent| parent.place), address, item.place);
    let controller = match parent.map(Item::controller) {
        Some(controller) => controller,
        None => match attribute(item.node, "disk-interface") {
            Some(interface) if interface.to_ascii_lowercase().starts_with("virtio") => Controller::Virtio,
            _ => Controller::Unknown,
        },
    };
    let label = drive.alias.clone().unwrap_or_else(|| shortened(&item.label()));
    let disk = Disk { label, file: drive.file.clone(), capacity_bytes: drive.capacity_bytes, controller };
    Ok((place, disk))
}
