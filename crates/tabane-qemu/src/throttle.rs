//! How much a guest may ask of a disk. QEMU holds requests back that are beyond it; none fails.
//!
//! Limits belong to the disk as the guest sees it: they stay when layers come and go below, and end with the device.

use serde_json::json;

use crate::command;
use crate::qmp::Qmp;
use crate::{Error, Result};

/// 0 is no limit. A limit of all and one of reads or writes exclude each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    pub iops: u64,
    pub read_iops: u64,
    pub write_iops: u64,
    pub bytes_per_s: u64,
    pub read_bytes_per_s: u64,
    pub write_bytes_per_s: u64,
}

/// Sets all limits of a disk. Errors: [`Error::Invalid`] if there is no such disk.
pub async fn set(qmp: &Qmp, disk: &str, limits: Limits) -> Result<()> {
    command::check_id("disk id", disk)?;
    let device = command::disk_device_id(disk);
    // Virtio disks are known by the path of their inner half.
    let found = qmp.query_block().await?.into_iter().find(|info| info.is_of(&device));
    let qdev = found
        .and_then(|info| info.qdev)
        .ok_or_else(|| Error::invalid("disk id", format!("the machine has no disk {disk}")))?;
    let arguments = json!({
        "id": qdev,
        "iops": limits.iops, "iops_rd": limits.read_iops, "iops_wr": limits.write_iops,
        "bps": limits.bytes_per_s, "bps_rd": limits.read_bytes_per_s, "bps_wr": limits.write_bytes_per_s,
    });
    qmp.run("block_set_io_throttle", arguments).await
}
