//! Disks and nics as QEMU's JSON, the same for the command line and for plugging in.

use std::path::Path;

use serde_json::{Value, json};

use super::machine::{
    Backend, Disk, DiskBus, DiskFormat, Nic, NicModel, Protocol, TapSource, UserNetwork, Vhost,
};
use super::{disk_device_id, layer_file_node, layer_node, names, netdev_id, nic_device_id, port_id, text};
use crate::{Error, Result};

/// QEMU's limit for the serial of a virtio disk.
const SERIAL_BYTES_MAX: usize = 20;

/// What a disk is made of, from the bottom: the arguments of `-blockdev` and `blockdev-add`.
///
/// Files are nodes of their own. QEMU opens a file that is part of its layer's node anew when the layer is frozen or merged
/// into, and closes the old one under requests of the guest (seen in 7.2: `EBADF`, or whatever has the number by then). A
/// node of its own it leaves alone; so it is open for writing from the start, and the layer decides whether it is written to.
///
/// QEMU also opens the backing file that a qcow2 image names: an image from elsewhere has to be checked before.
pub fn blockdevs(disk: &Disk) -> Result<Vec<Value>> {
    names::check_id("disk id", &disk.id)?;
    let read_only = disk.read_only || disk.cdrom;
    let discard = if disk.discard { "unmap" } else { "ignore" };
    let mut nodes = Vec::new();
    let mut below = None;
    for (layer, path) in disk.below.iter().rev() {
        nodes.push(file(&disk.id, *layer, path, false, "unmap")?);
        let mut frozen = json!({
            "driver": "qcow2",
            "node-name": layer_node(&disk.id, *layer),
            "file": layer_file_node(&disk.id, *layer),
            "read-only": true,
            "discard": "unmap",
        });
        if let Some(node) = below.replace(layer_node(&disk.id, *layer)) {
            frozen["backing"] = node.into();
        }
        nodes.push(frozen);
    }
    nodes.push(file(&disk.id, disk.layer, &disk.path, read_only, discard)?);
    let mut top = json!({
        "driver": match disk.format {
            DiskFormat::Raw => "raw",
            DiskFormat::Qcow2 => "qcow2",
        },
        "node-name": layer_node(&disk.id, disk.layer),
        "file": layer_file_node(&disk.id, disk.layer),
        "read-only": read_only,
        "discard": discard,
    });
    if disk.format == DiskFormat::Qcow2 && !read_only {
        top["lazy-refcounts"] = false.into();
    }
    if let Some(node) = below {
        top["backing"] = node.into();
    }
    nodes.push(top);
    Ok(nodes)
}

fn file(id: &str, layer: u32, path: &Path, read_only: bool, discard: &str) -> Result<Value> {
    Ok(json!({
        "driver": "file",
        "node-name": layer_file_node(id, layer),
        "filename": text::path("path", path)?,
        "read-only": read_only,
        "discard": discard,
        "aio": "threads",
    }))
}

/// A new layer that is going to be put on top of a disk that is in use: `blockdev-add`, from the bottom, before
/// `blockdev-snapshot`.
pub fn layer_blockdevs(id: &str, layer: u32, path: &Path) -> Result<Vec<Value>> {
    let mut disk = Disk::new(id, path, DiskFormat::Qcow2);
    disk.layer = layer;
    let mut nodes = blockdevs(&disk)?;
    if let Some(top) = nodes.last_mut() {
        // What it stands on comes with the snapshot.
        top["backing"] = Value::Null;
    }
    Ok(nodes)
}

/// The disk as the guest sees it: `-device` and `device_add`.
pub fn disk_device(disk: &Disk, bus: &str) -> Result<Value> {
    names::check_id("disk id", &disk.id)?;
    let driver = match (disk.bus, disk.cdrom) {
        (DiskBus::Virtio, false) => "virtio-blk-pci",
        (DiskBus::Virtio, true) => "scsi-cd",
        (DiskBus::Sata, false) => "ide-hd",
        (DiskBus::Sata, true) => "ide-cd",
    };
    let mut device = json!({
        "driver": driver,
        "id": disk_device_id(&disk.id),
        "bus": bus,
        "drive": layer_node(&disk.id, disk.layer),
    });
    if !disk.cdrom {
        // A full or failing storage stops the machine; it goes on when the storage is well again.
        device["werror"] = "stop".into();
        device["rerror"] = "stop".into();
    }
    if let Some(serial) = &disk.serial {
        if serial.is_empty()
            || serial.len() > SERIAL_BYTES_MAX
            || !serial.bytes().all(|b| b.is_ascii_graphic())
        {
            let reason = format!("{serial:?} is not 1 to {SERIAL_BYTES_MAX} printable characters");
            return Err(Error::invalid("serial", reason));
        }
        device["serial"] = serial.as_str().into();
    }
    if let Some(index) = disk.boot_index {
        device["bootindex"] = index.into();
    }
    Ok(device)
}

/// The host's side of a nic: `-netdev` and `netdev_add`.
pub fn netdev(nic: &Nic) -> Result<Value> {
    names::check_id("nic id", &nic.id)?;
    let id = netdev_id(&nic.id);
    match &nic.backend {
        Backend::User(network) => user_netdev(&id, network),
        Backend::Tap { source, vhost } => {
            let mut netdev = json!({"type": "tap", "id": id});
            match source {
                TapSource::Name(name) => {
                    // IFNAMSIZ is 16 with the terminator.
                    if name.len() > 15 {
                        return Err(Error::invalid("tap name", format!("{name:?} is longer than 15 bytes")));
                    }
                    netdev["ifname"] = text::word("tap name", name, "@")?.into();
                    netdev["script"] = "no".into();
                    netdev["downscript"] = "no".into();
                }
                TapSource::Fd(fd) => netdev["fd"] = fd.to_string().into(),
                TapSource::Passed(name) => netdev["fd"] = names::check_fd_name(name)?.into(),
            }
            match vhost {
                Vhost::Off => netdev["vhost"] = false.into(),
                Vhost::On => netdev["vhost"] = true.into(),
                Vhost::Fd(fd) => {
                    netdev["vhost"] = true.into();
                    netdev["vhostfd"] = fd.to_string().into();
                }
                Vhost::Passed(name) => {
                    netdev["vhost"] = true.into();
                    netdev["vhostfd"] = names::check_fd_name(name)?.into();
                }
            }
            Ok(netdev)
        }
    }
}

fn user_netdev(id: &str, network: &UserNetwork) -> Result<Value> {
    let mut netdev = json!({"type": "user", "id": id, "restrict": network.restrict});
    if !network.forwards.is_empty() {
        let forwards = network.forwards.iter().map(|forward| {
            let protocol = match forward.protocol {
                Protocol::Tcp => "tcp",
                Protocol::Udp => "udp",
            };
            let std::net::IpAddr::V4(address) = forward.host_address else {
                return Err(Error::invalid("host_address", "QEMU's user network forwards IPv4 only"));
            };
            let (host_port, guest_port) = (forward.host_port, forward.guest_port);
            Ok(json!({"str": format!("{protocol}:{address}:{host_port}-:{guest_port}")}))
        });
        netdev["hostfwd"] = Value::Array(forwards.collect::<Result<_>>()?);
    }
    if let Some((address, prefix_length)) = network.network {
        if !(8..=30).contains(&prefix_length) {
            return Err(Error::invalid("network", "the prefix length is not between 8 and 30"));
        }
        netdev["net"] = format!("{address}/{prefix_length}").into();
    }
    if let Some(start) = network.dhcp_start {
        netdev["dhcpstart"] = start.to_string().into();
    }
    if let Some(dns) = network.dns {
        netdev["dns"] = dns.to_string().into();
    }
    Ok(netdev)
}

/// The nic as the guest sees it: `-device` and `device_add`.
pub fn nic_device(nic: &Nic, port: u8) -> Result<Value> {
    names::check_id("nic id", &nic.id)?;
    let driver = match nic.model {
        NicModel::Virtio => "virtio-net-pci",
        NicModel::E1000e => "e1000e",
    };
    let mut device = json!({
        "driver": driver,
        "id": nic_device_id(&nic.id),
        "bus": port_id(port),
        "netdev": netdev_id(&nic.id),
        "mac": text::mac(&nic.mac)?,
    });
    if let Some(mtu) = nic.mtu {
        if nic.model != NicModel::Virtio {
            return Err(Error::invalid("mtu", "only virtio nics tell the guest what to use"));
        }
        if mtu < 68 {
            return Err(Error::invalid("mtu", "it is less than 68"));
        }
        device["host_mtu"] = mtu.into();
    }
    match nic.boot_index {
        Some(index) => device["bootindex"] = index.into(),
        // Without a boot ROM the card is no boot device, and the firmware is quicker.
        None => device["romfile"] = "".into(),
    }
    Ok(device)
}
