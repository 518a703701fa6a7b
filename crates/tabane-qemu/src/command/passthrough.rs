//! PCI devices of the host that the guest gets as its own, by VFIO.
//!
//! The device must be bound to `vfio-pci`, all of its IOMMU group must be free, and QEMU must be allowed to open the group
//! and to lock the guest's memory: the device reads and writes it at any time.

use serde_json::{Value, json};

use super::{names, port_id};
use crate::{Error, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passthrough {
    pub id: String,
    /// Of the host, such as `0000:01:00.0`.
    pub address: String,
    /// `None` takes the first free port.
    pub port: Option<u8>,
}

pub fn passthrough_device_id(id: &str) -> String {
    format!("pci-{id}")
}

/// The device as the guest sees it: `-device`.
pub fn passthrough_device(device: &Passthrough, port: u8) -> Result<Value> {
    names::check_id("pci id", &device.id)?;
    let address = &device.address;
    if address.len() != 12 || !address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.') {
        return Err(Error::invalid("pci address", format!("{address:?} is not like 0000:01:00.0")));
    }
    Ok(json!({
        "driver": "vfio-pci", "id": passthrough_device_id(&device.id), "bus": port_id(port), "host": address,
    }))
}
