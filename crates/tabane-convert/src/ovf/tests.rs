//! Descriptors in the shapes of their writers, written for this test, and our own.

use tabane_model::{Firmware, Mac, Meta, Nic as OurNic, Resource, Vm, VmSpec};

use super::{
    DiskFile, Version, descriptor, machine,
    machine::{Controller, Machine},
};

const VMWARE: &str = include_str!("tests/vmware.ovf");
const VIRTUALBOX: &str = include_str!("tests/virtualbox.ovf");
const OVIRT: &str = include_str!("tests/ovirt.ovf");

fn read(text: &str) -> Machine {
    machine(text, None).unwrap()
}

fn refused(text: &str) -> String {
    machine(text, None).unwrap_err().to_string()
}

#[test]
fn vmware() {
    let m = read(VMWARE);
    assert_eq!(m.name.as_deref(), Some("ERP Server (2019)"));
    assert_eq!(m.os.as_deref(), Some("Microsoft Windows Server 2019 (64-bit)"));
    assert_eq!((m.cpus, m.memory_bytes, m.firmware), (4, 8 << 30, Firmware::UefiSecureBoot));
    assert_eq!(m.configuration.as_deref(), Some("medium"));
    // By their place at the controller, not in the file.
    assert_eq!(
        (m.disks[0].label.as_str(), m.disks[0].file.as_deref()),
        ("Hard disk 1", Some("erp-disk1.vmdk"))
    );
    assert_eq!((m.disks[0].capacity_bytes, m.disks[0].controller), (40 << 30, Controller::Scsi));
    assert_eq!((m.disks[1].capacity_bytes, m.disks[1].file.as_deref()), (100 << 30, None));
    assert_eq!(m.nics[0].network.as_deref(), Some("VM Network"));
    assert_eq!(m.licences, ["Use it well."]);
    assert!(m.left_out.iter().any(|l| l.contains("CD/DVD drive 1")), "{:?}", m.left_out);
    assert!(m.left_out.iter().any(|l| l.contains("vApp properties")), "{:?}", m.left_out);
    assert_eq!(machine(VMWARE, Some("small")).unwrap().cpus, 2);
    let unknown = machine(VMWARE, Some("huge")).unwrap_err().to_string();
    assert!(unknown.contains("small, medium"), "{unknown}");
}

#[test]
fn virtualbox() {
    let m = read(VIRTUALBOX);
    assert_eq!((m.name.as_deref(), m.os.as_deref()), (Some("wiki"), Some("Debian_64")));
    assert_eq!((m.cpus, m.memory_bytes, m.firmware), (2, 2 << 30, Firmware::Uefi));
    assert_eq!(m.disks.len(), 1);
    assert_eq!((m.disks[0].capacity_bytes, m.disks[0].controller), (20 << 30, Controller::Sata));
    assert_eq!(m.disks[0].file.as_deref(), Some("wiki-disk001.vmdk"));
    assert_eq!(m.left_out.len(), 2, "{:?}", m.left_out);
}

#[test]
fn ovirt() {
    let m = read(OVIRT);
    assert_eq!((m.name.as_deref(), m.os.as_deref()), (Some("db"), Some("rhel_8x64")));
    assert_eq!((m.cpus, m.memory_bytes, m.firmware), (4, 4 << 30, Firmware::Uefi));
    let labels: Vec<_> = m.disks.iter().map(|d| (d.label.as_str(), d.capacity_bytes >> 30)).collect();
    assert_eq!(labels, [("db_root", 10), ("db_data", 5)]);
    assert!(m.disks[0].file.as_deref().unwrap().ends_with("11"));
    assert_eq!(m.nics[0].mac.as_deref(), Some("56:6f:1a:2b:00:01"));
}

#[test]
fn what_we_write_we_read() {
    let mut vm = Vm::new(Meta::new("web".parse().unwrap()), VmSpec::new(3, 1536 << 20));
    vm.spec.firmware = Firmware::Uefi;
    let mac: Mac = "52:54:00:12:34:56".parse().unwrap();
    vm.spec.nics.push(OurNic {
        name: "nic0".parse().unwrap(),
        network: "lan".parse().unwrap(),
        mac: Some(mac),
        address: None,
        forwards: Vec::new(),
        model: Default::default(),
        limits: Default::default(),
    });
    let files = [1u64, 2].map(|i| DiskFile {
        href: format!("web-disk{i}.vmdk"),
        file_bytes: 100,
        capacity_bytes: i << 30,
        populated_bytes: 50,
    });
    for version in [Version::V1, Version::V2] {
        let m = read(&descriptor(&vm, &files, version));
        assert_eq!((m.name.as_deref(), m.cpus, m.memory_bytes), (Some("web"), 3, 1536 << 20));
        assert_eq!(m.firmware, Firmware::Uefi);
        let disks: Vec<_> = m.disks.iter().map(|d| (d.file.clone().unwrap(), d.capacity_bytes)).collect();
        assert_eq!(disks, [("web-disk1.vmdk".into(), 1 << 30), ("web-disk2.vmdk".into(), 2 << 30)]);
        assert_eq!(m.nics[0].mac.as_deref(), Some("52:54:00:12:34:56"));
        assert_eq!(m.nics[0].network.as_deref(), Some("lan"));
        assert!(m.left_out.is_empty(), "{:?}", m.left_out);
    }
}

#[test]
fn what_would_do_harm_or_cannot_be_done_is_refused_with_a_reason() {
    let doctype = VIRTUALBOX.replacen(
        "<Envelope",
        "<!DOCTYPE Envelope [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><Envelope",
        1,
    );
    assert!(refused(&doctype).contains("DTD"), "{}", refused(&doctype));
    let out = VIRTUALBOX.replace("wiki-disk001.vmdk", "../../etc/shadow");
    assert!(refused(&out).contains("leads into another folder"));
    let remote = VIRTUALBOX.replace("wiki-disk001.vmdk", "http://evil/x.vmdk");
    assert!(refused(&remote).contains("is elsewhere"));
    let zipped = VIRTUALBOX.replace("ovf:href=\"wiki", "ovf:compression=\"gzip\" ovf:href=\"wiki");
    assert!(refused(&zipped).contains("without compression"));
    let chunked = VIRTUALBOX.replace("ovf:href=\"wiki", "ovf:chunkSize=\"100\" ovf:href=\"wiki");
    assert!(refused(&chunked).contains("chunks"));
    let difference = OVIRT.replace("parentRef=\"\"", "parentRef=\"x\"");
    assert!(refused(&difference).contains("snapshots"));
    let many = VIRTUALBOX.replace("</Envelope>", "<VirtualSystem ovf:id=\"b\"/></Envelope>");
    assert!(refused(&many).contains("2 virtual systems"));
    let lost = VIRTUALBOX.replace("/disk/vmdisk1", "/disk/vmdisk9");
    assert!(refused(&lost).contains("not listed"));
    assert!(refused("<a/>").contains("no Envelope"));
    assert!(refused("nonsense").contains("not understood"));
    let shown = read(&VIRTUALBOX.replace("Debian_64</Description>", "De&#x9b;31mbian</Description>"));
    assert!(!shown.os.unwrap().chars().any(char::is_control));
}

proptest::proptest! {
    /// Each text and attribute may be anything at all.
    #[test]
    fn no_value_makes_it_panic(value in "[ -~]{0,40}|[0-9]{1,25}|byte \\* 2\\^[0-9]{1,5}", nth in 0usize..120) {
        let safe = value.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        for text in [VMWARE, VIRTUALBOX, OVIRT] {
            let quotes: Vec<usize> = text.match_indices('"').map(|(at, _)| at).collect();
            let tags: Vec<(usize, usize)> = text
                .match_indices('>')
                .filter_map(|(at, _)| Some((at + 1, at + 1 + text[at + 1..].find('<')?)))
                .filter(|(from, to)| to > from)
                .collect();
            let pair = (nth * 2 + 1 < quotes.len()).then(|| (quotes[nth * 2] + 1, quotes[nth * 2 + 1]));
            for (from, to) in pair.into_iter().chain([tags[nth % tags.len()]]) {
                let _ = machine(&format!("{}{safe}{}", &text[..from], &text[to..]), None);
            }
        }
    }
}
