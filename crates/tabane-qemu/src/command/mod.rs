//! The command line of one virtual machine.
//!
//! ```text
//!   00.0 host bridge     01.0 VGA            02.0 serial bus (guest agent)   03.0 random numbers   04.0 balloon
//!   05.0 SCSI (cdroms)   06.0 USB (tablet)   10.0–17.7 the ports: port0, port1 … port63            1f.* ICH9 (SATA)
//!                                               └─ every disk and nic sits in a port of its own
//! ```
//!
//! A port (`pcie-root-port`) is a slot that a device can be plugged into and out of. Their number is part of the
//! machine, and every disk and nic may name its port: a device that was plugged in later is given on the next start,
//! or on the other side of a live migration, in the same port.
//!
//! Invariants: equal machines make equal command lines; the guest sees devices at the same addresses whatever else is
//! there; and no value can add an argument or an option, since values are passed as JSON, or escaped, or refused.

mod cd;
mod devices;
mod machine;
mod names;
mod passthrough;
mod text;

pub use cd::{CdDrive, Medium, drive_device, medium_blockdev};
pub use devices::{blockdevs, disk_device, layer_blockdevs, netdev, nic_device};
pub use machine::{
    Accelerator, Backend, DirectBoot, Disk, DiskBus, DiskFormat, Firmware, Forward, Machine, MemoryFile, Nic,
    NicModel, Protocol, Sockets, TapSource, UserNetwork, Vhost,
};
pub use names::{
    PORTS_MAX, disk_device_id, disk_node, drive_device_id, file_node, layer_file_node, layer_node,
    layer_of_file_node, layer_of_node, medium_node, netdev_id, nic_device_id, port_id, port_of_bus,
    tag_of_node,
};
pub(crate) use names::{check_drive, check_fd_name, check_id};
pub use passthrough::{Passthrough, passthrough_device, passthrough_device_id};

#[cfg(test)]
mod tests;
