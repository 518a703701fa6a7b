//! Reading a descriptor of OVF 0.9 to 2.0, as VMware, VirtualBox, oVirt and others write it.
//!
//! Elements and attributes are known by their local names, for writers disagree on name spaces: oVirt has sections of one
//! name with types, and each version has its own address.

use std::collections::BTreeMap;

use roxmltree::{Document, Node, ParsingOptions};
use tabane_model::Firmware;
pub use tabane_model::package_bounds::DESCRIPTOR_BYTES_MAX;

use super::{
    hardware::Hardware,
    machine::{Configuration, Machine},
    units::bytes_per,
};
use crate::{Error, Result, ova::index::plain};

const NODES_MAX: u32 = 200_000;
const TEXT_LENGTH_MAX: usize = 200;

/// The machine of a descriptor, in the configuration `wanted` or the packer's default.
pub fn machine(descriptor: &str, wanted: Option<&str>) -> Result<Machine> {
    // No document type: entities could name files of ours, or grow without end.
    let options = ParsingOptions { allow_dtd: false, nodes_limit: NODES_MAX, ..ParsingOptions::default() };
    let descriptor = descriptor.strip_prefix('\u{feff}').unwrap_or(descriptor);
    let document = Document::parse_with_options(descriptor, options)
        .map_err(|error| Error::Descriptor(error.to_string()))?;
    let envelope = document.root_element();
    if envelope.tag_name().name() != "Envelope" {
        return Err(Error::Descriptor("it has no Envelope".into()));
    }
    let system = system(envelope)?;
    let (configurations, chosen) = configurations(envelope, wanted)?;
    let files = files(envelope)?;
    let drives = drives(envelope, &files)?;
    let hardware = Hardware::read(system, &drives, chosen.as_deref())?;
    let text_of = |name| child(system, name).and_then(text);
    let mut left_out = hardware.left_out;
    if let Some(count) = count(descendants(envelope, "Property")) {
        left_out.push(format!("settings for the guest, as VMware hands them on (vApp properties): {count}"));
    }
    Ok(Machine {
        name: text_of("Name").or_else(|| attribute(system, "id").map(shortened)),
        os: os(system),
        cpus: hardware.cpus,
        memory_bytes: hardware.memory_bytes,
        firmware: firmware(envelope),
        disks: hardware.disks,
        nics: hardware.nics,
        configuration: chosen,
        configurations,
        licences: sections(envelope, "EulaSection")
            .filter_map(|eula| child(eula, "License").or_else(|| child(eula, "Licence")))
            .filter_map(|licence| licence.text().map(str::trim).filter(|t| !t.is_empty()).map(String::from))
            .collect(),
        left_out,
    })
}

fn system<'a>(envelope: Node<'a, 'a>) -> Result<Node<'a, 'a>> {
    // oVirt calls it Content, with a type.
    let mut systems = envelope.descendants().filter(|node| {
        node.has_tag_name_local("VirtualSystem")
            || (node.has_tag_name_local("Content")
                && attribute(*node, "type").is_some_and(|t| t.ends_with("VirtualSystem_Type")))
    });
    let first = systems.next().ok_or(Error::Descriptor("it describes no virtual system".into()))?;
    match systems.count() {
        0 => Ok(first),
        more => Err(Error::Unsupported {
            what: format!("the package has {} virtual systems", more + 1),
            hint: "export each VM into a package of its own",
        }),
    }
}

fn configurations(
    envelope: Node<'_, '_>,
    wanted: Option<&str>,
) -> Result<(Vec<Configuration>, Option<String>)> {
    let mut known = Vec::new();
    let mut default = None;
    let listed = sections(envelope, "DeploymentOptionSection").flat_map(|section| section.children());
    for node in listed.filter(|node| node.has_tag_name_local("Configuration")) {
        let Some(id) = attribute(node, "id") else { continue };
        if default.is_none() && matches!(attribute(node, "default"), Some("true" | "1")) {
            default = Some(id.to_owned());
        }
        let label = child(node, "Label").and_then(text).unwrap_or_default();
        known.push(Configuration { id: id.to_owned(), label });
    }
    let chosen = match wanted {
        Some(wanted) if known.iter().any(|configuration| configuration.id == wanted) => {
            Some(wanted.to_owned())
        }
        Some(wanted) => {
            let ids: Vec<&str> = known.iter().map(|configuration| configuration.id.as_str()).collect();
            return Err(Error::Descriptor(match ids.is_empty() {
                true => format!("it has no configurations, so none is called {wanted}"),
                false => format!("it has no configuration {wanted}; it has: {}", ids.join(", ")),
            }));
        }
        None => default.or_else(|| known.first().map(|configuration| configuration.id.clone())),
    };
    Ok((known, chosen))
}

/// Names in the package by identifier.
fn files(envelope: Node<'_, '_>) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    let references = child(envelope, "References").into_iter().flat_map(|node| node.children());
    for node in references.filter(|node| node.has_tag_name_local("File")) {
        let (Some(id), Some(href)) = (attribute(node, "id"), attribute(node, "href")) else { continue };
        if href.contains("://") {
            return Err(Error::Unsupported {
                what: format!("the file {:?} is elsewhere", shortened(href)),
                hint: "download it, and pack it with the descriptor",
            });
        }
        if attribute(node, "chunkSize").is_some() {
            return Err(Error::Unsupported {
                what: format!("the file {:?} is cut into chunks", shortened(href)),
                hint: "export the VM again without chunks",
            });
        }
        if attribute(node, "compression").is_some_and(|c| !matches!(c, "" | "identity")) {
            return Err(Error::Unsupported {
                what: format!("the file {:?} is compressed as a whole", shortened(href)),
                hint: "export the VM again without compression: its disks are compressed inside",
            });
        }
        files.insert(id.to_owned(), plain(href.to_owned())?);
    }
    Ok(files)
}

/// An entry of the disk section.
pub(super) struct Drive {
    pub id: String,
    /// By which else it may be named: oVirt's `IMAGE/VOLUME`.
    pub file_id: Option<String>,
    pub file: Option<String>,
    pub capacity_bytes: u64,
    pub boot: bool,
    pub alias: Option<String>,
}

fn drives(envelope: Node<'_, '_>, files: &BTreeMap<String, String>) -> Result<Vec<Drive>> {
    let mut drives = Vec::new();
    for node in sections(envelope, "DiskSection")
        .flat_map(|section| section.children().filter(|node| node.has_tag_name_local("Disk")))
    {
        let id = attribute(node, "diskId").ok_or(Error::Descriptor("a disk has no diskId".into()))?;
        if attribute(node, "parentRef").is_some_and(|parent| !parent.is_empty()) {
            return Err(Error::Unsupported {
                what: format!("the disk {:?} is a difference to another", shortened(id)),
                hint: "delete the VM's snapshots there, and export it again",
            });
        }
        let file_id = attribute(node, "fileRef").filter(|id| !id.is_empty());
        let file = match file_id {
            None => None,
            Some(file_id) => Some(
                files
                    .get(file_id)
                    // oVirt: the reference has the volume, the file the image or the other way round.
                    .or_else(|| file_id.split('/').find_map(|part| files.get(part)))
                    .cloned()
                    .ok_or_else(|| {
                        let (disk, file) = (shortened(id), shortened(file_id));
                        Error::Descriptor(format!(
                            "the disk {disk:?} names the file {file:?}, which is not listed"
                        ))
                    })?,
            ),
        };
        drives.push(Drive {
            id: id.to_owned(),
            file_id: file_id.map(String::from),
            file,
            capacity_bytes: capacity(node).ok_or_else(|| {
                Error::Descriptor(format!("the capacity of the disk {:?} is not understood", shortened(id)))
            })?,
            boot: attribute(node, "boot") == Some("true"),
            alias: attribute(node, "disk-alias").filter(|alias| !alias.is_empty()).map(shortened),
        });
    }
    Ok(drives)
}

fn capacity(disk: Node<'_, '_>) -> Option<u64> {
    match (attribute(disk, "capacity"), attribute(disk, "capacityAllocationUnits")) {
        (Some(capacity), unit) => {
            let unit = unit.filter(|unit| !unit.trim().is_empty()).map_or(Some(1), bytes_per)?;
            capacity.trim().parse::<u64>().ok()?.checked_mul(unit)
        }
        // oVirt: whole gibibytes.
        (None, _) => attribute(disk, "size")?.trim().parse::<u64>().ok()?.checked_mul(1 << 30),
    }
}

fn os(system: Node<'_, '_>) -> Option<String> {
    let section = sections(system, "OperatingSystemSection").next()?;
    ["Description", "OSType"]
        .iter()
        .find_map(|name| child(section, name).and_then(text))
        .or_else(|| attribute(section, "osType").map(shortened))
}

/// VMware's, VirtualBox's and oVirt's ways to say so; the standard has none.
fn firmware(envelope: Node<'_, '_>) -> Firmware {
    let (mut uefi, mut secure) = (false, false);
    for node in envelope.descendants() {
        match node.tag_name().name() {
            "Config" | "ExtraConfig" => {
                let value = attribute(node, "value").unwrap_or_default();
                match attribute(node, "key").unwrap_or_default() {
                    "firmware" => uefi |= value.eq_ignore_ascii_case("efi"),
                    "bootOptions.efiSecureBootEnabled" | "uefi.secureBoot.enabled" => {
                        secure |= value.eq_ignore_ascii_case("true");
                    }
                    _ => {}
                }
            }
            "Firmware" => uefi |= attribute(node, "type").is_some_and(|t| t.starts_with("EFI")),
            "BiosType" => match text(node).as_deref() {
                Some("3") => uefi = true,
                Some("4") => (uefi, secure) = (true, true),
                _ => {}
            },
            _ => {}
        }
    }
    match (uefi, secure) {
        (true, true) => Firmware::UefiSecureBoot,
        (true, false) => Firmware::Uefi,
        _ => Firmware::Bios,
    }
}

trait LocalName {
    fn has_tag_name_local(&self, name: &str) -> bool;
}

impl LocalName for Node<'_, '_> {
    fn has_tag_name_local(&self, name: &str) -> bool {
        self.is_element() && self.tag_name().name() == name
    }
}

fn descendants<'a>(node: Node<'a, 'a>, name: &'static str) -> impl Iterator<Item = Node<'a, 'a>> {
    node.descendants().filter(move |node| node.has_tag_name_local(name))
}

fn count(nodes: impl Iterator) -> Option<usize> {
    Some(nodes.count()).filter(|count| *count > 0)
}

/// Sections by name, or by type as oVirt writes them.
pub(super) fn sections<'a>(node: Node<'a, 'a>, name: &'static str) -> impl Iterator<Item = Node<'a, 'a>> {
    node.descendants().filter(move |node| {
        let typed = || attribute(*node, "type").and_then(|t| t.strip_suffix("_Type"));
        node.has_tag_name_local(name)
            || (node.has_tag_name_local("Section")
                && typed().is_some_and(|t| t.rsplit(':').next() == Some(name)))
    })
}

pub(super) fn child<'a>(node: Node<'a, 'a>, name: &str) -> Option<Node<'a, 'a>> {
    node.children().find(|child| child.has_tag_name_local(name))
}

pub(super) fn attribute<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    node.attributes().find(|attribute| attribute.name() == name).map(|attribute| attribute.value())
}

/// The text of an element, if there is any, fit to be shown.
pub(super) fn text(node: Node<'_, '_>) -> Option<String> {
    node.text().map(shortened).filter(|text| !text.is_empty())
}

/// What a stranger wrote is shown on terminals: no control characters, and not for ever.
pub(super) fn shortened(text: &str) -> String {
    let shown: String =
        text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(TEXT_LENGTH_MAX).collect();
    shown.trim().to_owned()
}
