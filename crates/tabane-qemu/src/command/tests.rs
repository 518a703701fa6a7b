//! The command line as text: whoever changes what a guest sees must change it here, too.

use std::net::Ipv4Addr;

use super::*;

fn uuid() -> uuid::Uuid {
    uuid::Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001)
}

fn nic(id: &str) -> Nic {
    Nic {
        id: id.into(),
        model: NicModel::Virtio,
        mac: "52:54:00:12:34:56".into(),
        backend: Backend::User(UserNetwork::default()),
        mtu: None,
        boot_index: None,
        port: None,
    }
}

/// JSON with sorted keys, however the JSON library keeps them.
fn sorted(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(map) => {
            let mut parts: Vec<String> =
                map.iter().map(|(key, value)| format!("{key:?}:{}", sorted(value))).collect();
            parts.sort();
            format!("{{{}}}", parts.join(","))
        }
        serde_json::Value::Array(list) => {
            format!("[{}]", list.iter().map(sorted).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

/// One line for each flag with its value.
fn lines(machine: &Machine) -> String {
    let mut text = String::new();
    for argument in machine.arguments().unwrap() {
        let argument = argument.into_string().unwrap();
        text.push_str(if argument.starts_with('-') && !text.is_empty() { "\n" } else { " " });
        match serde_json::from_str::<serde_json::Value>(&argument) {
            Ok(value) => text.push_str(&sorted(&value)),
            Err(_) => text.push_str(&argument),
        }
    }
    text.trim_start().to_owned()
}

#[test]
fn the_whole_line() {
    let mut machine = Machine::new("web, the first", uuid(), "pc-q35-7.2", 512 << 20);
    machine.cpus_max = 4;
    machine.memory_bytes_max = 2 << 30;
    machine.memory_slots = 4;
    machine.ports = 3;
    let mut disk = Disk::new("root", "/pool/a,b/root.qcow2", DiskFormat::Qcow2);
    disk.serial = Some("root".into());
    disk.boot_index = Some(1);
    machine.disks = vec![disk];
    let mut nic = nic("lan");
    nic.backend = Backend::User(UserNetwork {
        forwards: vec![Forward {
            protocol: Protocol::Tcp,
            host_address: Ipv4Addr::LOCALHOST.into(),
            host_port: 2222,
            guest_port: 22,
        }],
        ..UserNetwork::default()
    });
    machine.nics = vec![nic];
    machine.vm_generation_id = Some(uuid());
    machine.start_paused = true;
    let expected = include_str!("golden.txt");
    assert_eq!(lines(&machine), expected.trim_end(), "\n{}", lines(&machine));
}

#[test]
fn firmware_tpm_and_kvm() {
    let mut machine = Machine::new("m", uuid(), "pc-q35-7.2", 512 << 20);
    machine.accelerator = Accelerator::Kvm;
    machine.firmware =
        Firmware::Uefi { code: "/f/code,x.fd".into(), vars: "vars.fd".into(), secure_boot: true };
    machine.tpm_socket = Some("/run/tpm,1.sock".into());
    machine.usb_tablet = true;
    let text = lines(&machine);
    for part in [
        "-accel kvm",
        "driftfix=slew",
        "pflash0=firmware-code,pflash1=firmware-vars,smm=on",
        r#"-blockdev {"driver":"raw","file":{"driver":"file","filename":"/f/code,x.fd"},"node-name":"firmware-code","read-only":true}"#,
        "-global driver=cfi.pflash01,property=secure,value=on",
        "-chardev socket,id=tpm,path=/run/tpm,,1.sock",
        "usb-tablet",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn drives_and_disks_share_six_sata_ports() {
    let mut machine = Machine::new("m", uuid(), "pc-q35-7.2", 512 << 20);
    let drive = |id: &str, port: Option<u8>| CdDrive { id: id.into(), medium: None, boot_index: None, port };
    let mut full = drive("cd0", Some(0));
    full.boot_index = Some(2);
    full.medium = Some(Medium { tag: "0123456789ab".into(), path: "/images/a,b/cdrom.iso".into() });
    let mut disk = Disk::new("root", "root.qcow2", DiskFormat::Qcow2);
    disk.bus = DiskBus::Sata;
    machine.disks = vec![disk];
    machine.drives = vec![full, drive("cd1", None)];
    let mut nic = nic("old");
    nic.model = NicModel::E1000e;
    nic.boot_index = Some(1);
    machine.nics = vec![nic];
    let text = lines(&machine);
    for part in [
        r#"-blockdev {"driver":"raw","file":{"aio":"threads","driver":"file","filename":"/images/a,b/cdrom.iso","read-only":true},"node-name":"m-cd0-0123456789ab","read-only":true}"#,
        r#"-device {"bootindex":2,"bus":"ide.0","drive":"m-cd0-0123456789ab","driver":"ide-cd","id":"cd-cd0"}"#,
        r#"-device {"bus":"ide.2","driver":"ide-cd","id":"cd-cd1"}"#,
        r#"{"bus":"ide.1","drive":"d-root","driver":"ide-hd","id":"disk-root""#,
        r#"{"bootindex":1,"bus":"port0","driver":"e1000e","id":"nic-old""#,
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    // With CD drives on SATA there is no SCSI bus, unless something sits there.
    assert!(!text.contains("virtio-scsi"), "{text}");
    machine.drives.extend((2..7).map(|i| drive(&format!("cd{i}"), None)));
    assert!(matches!(machine.arguments(), Err(crate::Error::Exhausted { .. })));
    machine.drives = vec![drive("cd0", Some(3)), drive("cd1", Some(3))];
    assert!(matches!(machine.arguments(), Err(crate::Error::Invalid { .. })));
    machine.drives = vec![drive("cd,0", None)];
    assert!(matches!(machine.arguments(), Err(crate::Error::Invalid { .. })));
}

#[test]
fn devices_of_the_host_sit_in_ports() {
    let mut machine = Machine::new("m", uuid(), "pc-q35-7.2", 512 << 20);
    machine.ports = 3;
    machine.nics = vec![nic("lan")];
    let device = |address: &str, port| Passthrough { id: "card".into(), address: address.into(), port };
    machine.passthroughs = vec![device("0000:01:00.0", Some(2))];
    let expected = include_str!("golden_passthrough.txt");
    assert_eq!(lines(&machine), expected.trim_end(), "\n{}", lines(&machine));
    for wrong in ["0000:01:00.0,x", "01:00.0", "/dev/vfio/12"] {
        machine.passthroughs = vec![device(wrong, None)];
        assert!(matches!(machine.arguments(), Err(crate::Error::Invalid { .. })), "{wrong}");
    }
}

#[test]
fn ports_are_kept_whoever_else_comes() {
    let mut machine = Machine::new("m", uuid(), "pc-q35-7.2", 512 << 20);
    machine.ports = 4;
    let mut fixed = Disk::new("b", "b.raw", DiskFormat::Raw);
    fixed.port = Some(0);
    machine.disks = vec![Disk::new("a", "a.raw", DiskFormat::Raw), fixed];
    machine.nics = vec![nic("n")];
    let text = lines(&machine);
    for part in [
        r#""bus":"port0","drive":"d-b""#,
        r#""bus":"port1","driver":"virtio-net-pci""#,
        r#""bus":"port2","drive":"d-a""#,
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    machine.ports = 2;
    assert!(matches!(machine.arguments(), Err(crate::Error::Exhausted { .. })));
}

#[test]
fn wicked_values_are_refused_or_escaped() {
    let good = || {
        let mut machine = Machine::new("m", uuid(), "pc-q35-7.2", 512 << 20);
        machine.disks = vec![Disk::new("a", "a.raw", DiskFormat::Raw)];
        machine.nics = vec![nic("n")];
        machine
    };
    good().arguments().unwrap();
    type Spoil = fn(&mut Machine);
    let wicked: [(&str, Spoil); 16] = [
        ("name", |m| m.name = "a\n-S".into()),
        ("machine type", |m| m.machine_type = "q35,kernel=/etc/shadow".into()),
        ("cpu model", |m| m.cpu_model = "max\0".into()),
        ("cpus", |m| m.cpus = 2),
        ("memory", |m| m.memory_bytes += 1),
        ("slots", |m| m.memory_slots = 1),
        ("disk id", |m| m.disks[0].id = "a,b".into()),
        ("doubled id", |m| m.disks.push(m.disks[0].clone())),
        ("path", |m| m.disks[0].path = "a\nb".into()),
        ("serial", |m| m.disks[0].serial = Some("x".repeat(21))),
        ("port", |m| m.disks[0].port = Some(99)),
        ("multicast mac", |m| m.nics[0].mac = "53:54:00:12:34:56".into()),
        ("mac", |m| m.nics[0].mac = "52:54:00:12:34".into()),
        ("tap", |m| {
            let source = TapSource::Name("tap0,script=/bin/sh".into());
            m.nics[0].backend = Backend::Tap { source, vhost: Vhost::Off };
        }),
        ("socket", |m| m.sockets.qmp = "/tmp/x".into()),
        ("command line", |m| {
            let command_line = "a\nb".into();
            m.direct_boot = Some(DirectBoot { kernel: "k".into(), initramfs: None, command_line });
        }),
    ];
    for (what, spoil) in wicked {
        let mut machine = good();
        spoil(&mut machine);
        assert!(machine.arguments().is_err(), "{what}");
    }
}
