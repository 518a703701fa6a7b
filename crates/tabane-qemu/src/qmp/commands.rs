//! The commands that everybody needs, with types.
//!
//! Invariant: a field or word that a newer or older QEMU has differently is no error as long as nobody needs it.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Qmp;
use crate::{Error, Result};

/// QEMU's run states (`qapi/run-state.json`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    Debug,
    Inmigrate,
    InternalError,
    IoError,
    Paused,
    Postmigrate,
    Prelaunch,
    FinishMigrate,
    RestoreVm,
    Running,
    SaveVm,
    Shutdown,
    Suspended,
    Watchdog,
    GuestPanicked,
    Colo,
    /// A state of a QEMU newer than this list.
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// Whether the vCPUs run.
    pub running: bool,
    #[serde(rename = "status")]
    pub state: RunState,
}

/// QEMU's version. The text of the packager is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub micro: u32,
}

impl std::fmt::Display for Version {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{}.{}.{}", self.major, self.minor, self.micro)
    }
}

/// Counters of one disk since QEMU started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct BlockStats {
    #[serde(rename = "rd_bytes")]
    pub read_bytes: u64,
    #[serde(rename = "wr_bytes")]
    pub written_bytes: u64,
    #[serde(rename = "rd_operations")]
    pub reads: u64,
    #[serde(rename = "wr_operations")]
    pub writes: u64,
    #[serde(rename = "flush_operations")]
    pub flushes: u64,
    #[serde(rename = "rd_total_time_ns")]
    pub read_time_ns: u64,
    #[serde(rename = "wr_total_time_ns")]
    pub write_time_ns: u64,
    #[serde(rename = "flush_total_time_ns")]
    pub flush_time_ns: u64,
    #[serde(rename = "failed_rd_operations")]
    pub failed_reads: u64,
    #[serde(rename = "failed_wr_operations")]
    pub failed_writes: u64,
    /// Highest offset written so far.
    #[serde(rename = "wr_highest_offset")]
    pub highest_offset_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BlockStatsEntry {
    /// Path or id of the device in the machine.
    pub qdev: Option<String>,
    #[serde(rename = "node-name")]
    pub node_name: Option<String>,
    pub stats: BlockStats,
}

/// A node of the block graph.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NamedBlockNode {
    #[serde(rename = "node-name")]
    pub node_name: String,
    #[serde(rename = "drv", default)]
    pub driver: String,
    #[serde(rename = "ro", default)]
    pub read_only: bool,
    /// What the node is made from, such as a path.
    #[serde(default)]
    pub file: String,
    /// What the node below it is made from.
    #[serde(default)]
    pub backing_file: Option<String>,
    #[serde(default)]
    pub image: Option<NodeImage>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NodeImage {
    /// What the guest sees.
    #[serde(rename = "virtual-size", default)]
    pub virtual_bytes: u64,
    /// What it takes on the host.
    #[serde(rename = "actual-size", default)]
    pub actual_bytes: u64,
}

/// A disk of the machine and the node that is behind it now.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BlockInfo {
    pub qdev: Option<String>,
    pub inserted: Option<InsertedNode>,
    /// `ok`, `failed` or `nospace`.
    #[serde(rename = "io-status")]
    pub io_status: Option<String>,
    /// Of drives that have a tray.
    pub tray_open: Option<bool>,
}

impl BlockInfo {
    /// Whether it is of the device with this id. Virtio disks are told by the path of their inner half.
    pub fn is_of(&self, device: &str) -> bool {
        let path = format!("/machine/peripheral/{device}");
        self.qdev.as_deref().is_some_and(|qdev| {
            qdev == device
                || qdev.strip_prefix(&path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct InsertedNode {
    #[serde(rename = "node-name")]
    pub node_name: Option<String>,
    #[serde(default)]
    pub file: String,
    pub image: Option<NodeImage>,
}

/// An entry of `query-memory-devices`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MemoryDevice {
    #[serde(rename = "type")]
    pub kind: String,
    pub data: MemoryDeviceInfo,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MemoryDeviceInfo {
    pub id: Option<String>,
    #[serde(rename = "size", default)]
    pub size_bytes: u64,
    /// Path of the backend in the object tree.
    #[serde(default)]
    pub memdev: String,
}

impl Qmp {
    pub async fn query_status(&self) -> Result<Status> {
        self.execute("query-status", Value::Null).await
    }

    pub async fn query_version(&self) -> Result<Version> {
        #[derive(Deserialize)]
        struct Answer {
            qemu: Version,
        }
        Ok(self.execute::<Answer>("query-version", Value::Null).await?.qemu)
    }

    /// Stops the vCPUs.
    pub async fn stop(&self) -> Result<()> {
        self.run("stop", Value::Null).await
    }

    /// Lets the vCPUs run.
    pub async fn cont(&self) -> Result<()> {
        self.run("cont", Value::Null).await
    }

    /// Presses the power button: a polite request that the guest may ignore.
    pub async fn system_powerdown(&self) -> Result<()> {
        self.run("system_powerdown", Value::Null).await
    }

    /// Presses the reset button.
    pub async fn system_reset(&self) -> Result<()> {
        self.run("system_reset", Value::Null).await
    }

    /// Ends QEMU, as pulling the plug does for the guest; QEMU flushes its images. The end of the connection instead
    /// of an answer is success, too.
    pub async fn quit(&self) -> Result<()> {
        match self.run("quit", Value::Null).await {
            Err(Error::Closed { .. }) => Ok(()),
            other => other,
        }
    }

    /// Writes the screen as PNG into a file, which QEMU makes with its own rights; a relative path is in its folder.
    pub async fn screendump(&self, path: &Path) -> Result<()> {
        self.run("screendump", json!({ "filename": path_text("path", path)?, "format": "png" })).await
    }

    pub async fn query_block(&self) -> Result<Vec<BlockInfo>> {
        self.execute("query-block", Value::Null).await
    }

    pub async fn query_block_stats(&self) -> Result<Vec<BlockStatsEntry>> {
        self.execute("query-blockstats", Value::Null).await
    }

    /// All nodes of the block graph, without their backing chains.
    pub async fn query_named_block_nodes(&self) -> Result<Vec<NamedBlockNode>> {
        self.execute("query-named-block-nodes", json!({ "flat": true })).await
    }

    pub async fn query_memory_devices(&self) -> Result<Vec<MemoryDevice>> {
        self.execute("query-memory-devices", Value::Null).await
    }

    /// Sets the size of a node; the guest sees it at once.
    pub async fn block_resize(&self, node_name: &str, size_bytes: u64) -> Result<()> {
        let arguments = json!({ "node-name": node_name, "size": size_bytes });
        // Growing a preallocated image writes all of the new space.
        let _: serde::de::IgnoredAny =
            self.execute_with_timeout("block_resize", arguments, Duration::from_secs(600)).await?;
        Ok(())
    }

    /// Names of the children of an object in QEMU's tree, such as `/machine/peripheral`.
    pub async fn qom_list(&self, path: &str) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Property {
            name: String,
        }
        let list: Vec<Property> = self.execute("qom-list", json!({ "path": path })).await?;
        Ok(list.into_iter().map(|property| property.name).collect())
    }
}

/// QMP is JSON: a path has to be text there.
pub(crate) fn path_text<'a>(field: &'static str, path: &'a Path) -> Result<&'a str> {
    path.to_str()
        .ok_or_else(|| Error::invalid(field, format!("the path {} is not valid UTF-8", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_states_are_tolerated() {
        let state = |word: &str| serde_json::from_value::<RunState>(json!(word)).unwrap();
        assert_eq!(state("prelaunch"), RunState::Prelaunch);
        assert_eq!(state("io-error"), RunState::IoError);
        assert_eq!(state("save-vm"), RunState::SaveVm);
        assert_eq!(state("levitating"), RunState::Unknown);
    }
}
