//! OVF descriptors: DMTF DSP0243, versions 1.1 and 2.0.

mod hardware;
pub mod machine;
mod read;
#[cfg(test)]
#[path = "ovf/tests.rs"]
mod read_tests;
mod units;

pub use read::{DESCRIPTOR_BYTES_MAX, machine};
use tabane_model::{Firmware, Vm};

/// Numbers of resource types in CIM_ResourceAllocationSettingData.
const PROCESSOR: u32 = 3;
const MEMORY: u32 = 4;
const SCSI_CONTROLLER: u32 = 6;
const ETHERNET: u32 = 10;
const DISK: u32 = 17;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// What VMware, VirtualBox and oVirt read.
    #[default]
    V1,
    V2,
}

/// A disk file of the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskFile {
    /// In the package: a plain name.
    pub href: String,
    pub file_bytes: u64,
    /// As the guest sees it.
    pub capacity_bytes: u64,
    /// That its data takes.
    pub populated_bytes: u64,
}

/// The descriptor of a VM with these disks, which are streamOptimized VMDK files.
pub fn descriptor(vm: &Vm, disks: &[DiskFile], version: Version) -> String {
    let mut xml = Xml::default();
    let envelope = match version {
        Version::V1 => "http://schemas.dmtf.org/ovf/envelope/1",
        Version::V2 => "http://schemas.dmtf.org/ovf/envelope/2",
    };
    xml.raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    xml.open(&format!(
        "Envelope xmlns=\"{envelope}\" xmlns:ovf=\"{envelope}\" \
         xmlns:rasd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData\" \
         xmlns:vssd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\""
    ));
    references(&mut xml, disks);
    disk_section(&mut xml, disks);
    network_section(&mut xml, vm);
    virtual_system(&mut xml, vm, disks);
    xml.close("Envelope");
    xml.text
}

fn references(xml: &mut Xml, disks: &[DiskFile]) {
    xml.open("References");
    for (i, disk) in disks.iter().enumerate() {
        let href = escaped(&disk.href);
        xml.raw(&format!("<File ovf:id=\"file{i}\" ovf:href=\"{href}\" ovf:size=\"{}\"/>", disk.file_bytes));
    }
    xml.close("References");
}

fn disk_section(xml: &mut Xml, disks: &[DiskFile]) {
    const FORMAT: &str = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized";
    xml.open("DiskSection");
    xml.element("Info", "Virtual disks");
    for (i, disk) in disks.iter().enumerate() {
        xml.raw(&format!(
            "<Disk ovf:diskId=\"disk{i}\" ovf:fileRef=\"file{i}\" ovf:capacity=\"{}\" \
             ovf:capacityAllocationUnits=\"byte\" ovf:populatedSize=\"{}\" ovf:format=\"{FORMAT}\"/>",
            disk.capacity_bytes, disk.populated_bytes
        ));
    }
    xml.close("DiskSection");
}

fn network_section(xml: &mut Xml, vm: &Vm) {
    xml.open("NetworkSection");
    xml.element("Info", "Logical networks");
    let mut names: Vec<&str> = vm.spec.nics.iter().map(|n| n.network.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        xml.open(&format!("Network ovf:name=\"{}\"", escaped(name)));
        xml.element("Description", &format!("The network {name}"));
        xml.close("Network");
    }
    xml.close("NetworkSection");
}

fn virtual_system(xml: &mut Xml, vm: &Vm, disks: &[DiskFile]) {
    let name = vm.meta.name.as_str();
    xml.open(&format!("VirtualSystem ovf:id=\"{}\"", escaped(name)));
    xml.element("Info", "A virtual machine");
    xml.element("Name", name);
    // 1 is "other": what is inside is not ours to claim.
    xml.open("OperatingSystemSection ovf:id=\"1\"");
    xml.element("Info", "The guest's operating system");
    let os = vm.status.guest.as_ref().and_then(|g| g.os.as_deref());
    xml.element("Description", os.unwrap_or("unknown"));
    xml.close("OperatingSystemSection");
    xml.open("VirtualHardwareSection");
    xml.element("Info", "Virtual hardware");
    xml.open("System");
    xml.element("vssd:ElementName", "Virtual hardware family");
    xml.element("vssd:InstanceID", "0");
    xml.element("vssd:VirtualSystemIdentifier", name);
    xml.element("vssd:VirtualSystemType", "vmx-13");
    xml.close("System");
    hardware(xml, vm, disks);
    if vm.spec.firmware != Firmware::Bios {
        // As VMware writes it; others ignore what they do not know (`ovf:required="false"`).
        xml.raw(
            "<vmw:Config xmlns:vmw=\"http://www.vmware.com/schema/ovf\" ovf:required=\"false\" \
             vmw:key=\"firmware\" vmw:value=\"efi\"/>",
        );
    }
    xml.close("VirtualHardwareSection");
    xml.close("VirtualSystem");
}

fn hardware(xml: &mut Xml, vm: &Vm, disks: &[DiskFile]) {
    let (cpus, mib) = (vm.spec.cpus, vm.spec.memory_bytes >> 20);
    item(
        xml,
        &[
            ("AllocationUnits", "hertz * 10^6".into()),
            ("Description", "Number of virtual CPUs".into()),
            ("ElementName", format!("{cpus} virtual CPUs")),
            ("InstanceID", "1".into()),
            ("ResourceType", PROCESSOR.to_string()),
            ("VirtualQuantity", cpus.to_string()),
        ],
    );
    item(
        xml,
        &[
            ("AllocationUnits", "byte * 2^20".into()),
            ("Description", "Memory size".into()),
            ("ElementName", format!("{mib} MiB of memory")),
            ("InstanceID", "2".into()),
            ("ResourceType", MEMORY.to_string()),
            ("VirtualQuantity", mib.to_string()),
        ],
    );
    item(
        xml,
        &[
            ("Address", "0".into()),
            ("Description", "SCSI controller".into()),
            ("ElementName", "SCSI controller 0".into()),
            ("InstanceID", "3".into()),
            ("ResourceSubType", "lsilogic".into()),
            ("ResourceType", SCSI_CONTROLLER.to_string()),
        ],
    );
    for i in 0..disks.len() {
        item(
            xml,
            &[
                ("AddressOnParent", i.to_string()),
                ("ElementName", format!("Hard disk {}", i + 1)),
                ("HostResource", format!("ovf:/disk/disk{i}")),
                ("InstanceID", (100 + i).to_string()),
                ("Parent", "3".into()),
                ("ResourceType", DISK.to_string()),
            ],
        );
    }
    for (i, nic) in vm.spec.nics.iter().enumerate() {
        let mut values = Vec::new();
        values.extend(nic.mac.map(|mac| ("Address", mac.to_string())));
        values.extend([
            ("AddressOnParent", i.to_string()),
            ("AutomaticAllocation", "true".into()),
            ("Connection", nic.network.to_string()),
            ("ElementName", format!("Network adapter {}", i + 1)),
            ("InstanceID", (200 + i).to_string()),
            ("ResourceSubType", "E1000".into()),
            ("ResourceType", ETHERNET.to_string()),
        ]);
        item(xml, &values);
    }
}

/// The order of the elements is that of the alphabet: the schema demands it.
fn item(xml: &mut Xml, values: &[(&str, String)]) {
    xml.open("Item");
    for (name, value) in values {
        xml.element(&format!("rasd:{name}"), value);
    }
    xml.close("Item");
}

#[derive(Default)]
struct Xml {
    text: String,
    depth: usize,
}

impl Xml {
    fn raw(&mut self, line: &str) {
        self.text.extend(std::iter::repeat_n("  ", self.depth));
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn open(&mut self, tag: &str) {
        self.raw(&format!("<{tag}>"));
        self.depth += 1;
    }

    fn close(&mut self, name: &str) {
        self.depth -= 1;
        self.raw(&format!("</{name}>"));
    }

    fn element(&mut self, name: &str, value: &str) {
        self.raw(&format!("<{name}>{}</{name}>", escaped(value)));
    }
}

/// Text as it may stand in an element or an attribute. What XML 1.0 cannot say at all is left out.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use tabane_model::{Guest, Meta, Resource, VmSpec};

    use super::*;

    #[test]
    fn a_guest_cannot_write_into_the_descriptor() {
        let mut vm = Vm::new(Meta::new("web".parse().unwrap()), VmSpec::new(2, 512 << 20));
        vm.status.guest =
            Some(Guest { os: Some("</Description><Item/>\u{1}\"&".into()), ..Guest::default() });
        let text = descriptor(&vm, &[], Version::V1);
        assert!(text.contains("&lt;/Description&gt;&lt;Item/&gt;&quot;&amp;"), "{text}");
        assert_eq!(text.matches("<Item>").count(), 3);
    }

    #[test]
    fn disks_and_nics_are_named_once_each() {
        let mut vm = Vm::new(Meta::new("web".parse().unwrap()), VmSpec::new(2, 512 << 20));
        for i in 0..2 {
            vm.spec.nics.push(tabane_model::Nic {
                name: format!("nic{i}").parse().unwrap(),
                network: "lan".parse().unwrap(),
                mac: None,
                address: None,
                forwards: Vec::new(),
                model: Default::default(),
                limits: Default::default(),
            });
        }
        let file = |i: u32| DiskFile {
            href: format!("web-disk{i}.vmdk"),
            file_bytes: 10,
            capacity_bytes: 1 << 30,
            populated_bytes: 5,
        };
        let text = descriptor(&vm, &[file(1), file(2)], Version::V2);
        assert!(text.contains("envelope/2") && text.contains("ovf:capacity=\"1073741824\""));
        assert_eq!(text.matches("<Network ovf:name=\"lan\">").count(), 1);
        assert_eq!(text.matches("<rasd:ResourceType>17<").count(), 2);
        assert_eq!(text.matches("<rasd:ResourceType>10<").count(), 2);
    }
}
