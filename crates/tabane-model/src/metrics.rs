//! Measurements of VMs and hosts: the counters that hosts send, and what the API tells of them.
//!
//! ```text
//!   host: counters every 10 s ──Sample──► server: rates ──► archives ──► Metrics (over time)
//!                                           └─────────────────────────► Usage (now)
//! ```
//!
//! Invariant: hosts send counters as they are, and the server alone makes rates of them. What was not measured is
//! absent, never zero.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Kind, Name, Uid, resource::words};

/// How often hosts measure.
pub const SAMPLE_STEP_S: i64 = 10;
/// Most samples that one report may bring.
pub const SAMPLES_MAX: usize = 1000;

words!(
    /// What is told over time. The order is that of the archives on disk: add at the end, never reorder.
    Series {
        /// Share of its own CPUs, 0 to 1.
        #[default]
        CpuRatio = "cpu_ratio",
        /// Of a VM what its guest uses where the guest tells, else what is resident on the host.
        MemoryUsedBytes = "memory_used_bytes",
        DiskReadBytes = "disk_read_bytes_per_s",
        DiskWriteBytes = "disk_write_bytes_per_s",
        DiskReadOps = "disk_read_ops_per_s",
        DiskWriteOps = "disk_write_ops_per_s",
        /// As the VM sees it. Nics in networks of kind `user` are not counted.
        NetReceiveBytes = "net_receive_bytes_per_s",
        NetTransmitBytes = "net_transmit_bytes_per_s",
    }
);

impl Series {
    pub const ALL: [Self; 8] = [
        Self::CpuRatio,
        Self::MemoryUsedBytes,
        Self::DiskReadBytes,
        Self::DiskWriteBytes,
        Self::DiskReadOps,
        Self::DiskWriteOps,
        Self::NetReceiveBytes,
        Self::NetTransmitBytes,
    ];
}

words!(
    /// What of a step is told that many measurements are in.
    Statistic {
        #[default]
        Mean = "mean",
        Max = "max",
    }
);

/// What a host measured of a VM, or of itself, at one moment. Counters only grow, until the epoch changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sample {
    /// `vm` or `host`.
    pub kind: Kind,
    pub name: Name,
    #[schema(value_type = String)]
    pub uid: Uid,
    /// Milliseconds since 1970, by the host's clock.
    pub at_ms: i64,
    /// Another one means that all counters began anew, as with each start of a QEMU.
    pub epoch: u64,
    /// CPUs that a ratio is the share of.
    pub cpus: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_us: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_used_bytes: Option<u64>,
    /// Of the VM's process on its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_resident_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_read_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_write_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_read_ops: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_write_ops: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_receive_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_transmit_bytes: Option<u64>,
}

impl Sample {
    /// Nothing measured yet.
    pub fn new(kind: Kind, name: Name, uid: Uid, at_ms: i64, epoch: u64, cpus: u32) -> Self {
        Self {
            kind,
            name,
            uid,
            at_ms,
            epoch,
            cpus,
            cpu_us: None,
            memory_used_bytes: None,
            memory_resident_bytes: None,
            disk_read_bytes: None,
            disk_write_bytes: None,
            disk_read_ops: None,
            disk_write_ops: None,
            net_receive_bytes: None,
            net_transmit_bytes: None,
        }
    }
}

/// What was measured of one VM or host, over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Metrics {
    pub step_s: u32,
    /// Where each step begins, in seconds since 1970.
    pub times: Vec<i64>,
    /// By the names of [`Series`]: a value for each step, null where nothing was measured.
    pub series: BTreeMap<String, Vec<Option<f32>>>,
}

/// What a VM or host uses now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    pub name: Name,
    /// Of a VM: where it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Name>,
    /// When it was measured, in seconds since 1970.
    pub at: i64,
    pub cpus: u32,
    /// By the names of [`Series`]; null for what could not be measured.
    pub values: BTreeMap<String, Option<f32>>,
}

/// What all VMs, or all hosts, use now: the busiest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UsageList {
    pub items: Vec<Usage>,
}
