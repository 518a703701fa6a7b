//! What the agent tells, as types. Whatever an old agent may lack is optional, whatever a new one adds is ignored.

use serde::{Deserialize, Serialize};

use super::bounded::list;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AgentInfo {
    pub version: String,
    #[serde(rename = "supported_commands", default, deserialize_with = "list")]
    pub commands: Vec<CommandInfo>,
}

impl AgentInfo {
    /// Whether the agent knows the command and its administrator allows it.
    pub fn allows(&self, command: &str) -> bool {
        self.commands.iter().any(|known| known.enabled && known.name == command)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CommandInfo {
    pub name: String,
    #[serde(default)]
    pub enabled: bool,
}

/// `guest-get-osinfo`, mostly from the guest's `os-release`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all(deserialize = "kebab-case"))]
pub struct OsInfo {
    /// For example `debian`, `mswindows`.
    pub id: Option<String>,
    pub name: Option<String>,
    pub pretty_name: Option<String>,
    pub version: Option<String>,
    pub version_id: Option<String>,
    pub variant: Option<String>,
    pub variant_id: Option<String>,
    pub kernel_release: Option<String>,
    pub kernel_version: Option<String>,
    /// For example `x86_64`.
    pub machine: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all(deserialize = "kebab-case"))]
pub struct NetworkInterface {
    pub name: String,
    pub hardware_address: Option<String>,
    #[serde(deserialize_with = "list")]
    pub ip_addresses: Vec<IpAddress>,
    pub statistics: Option<NetworkStatistics>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IpAddress {
    /// As the guest says it: not checked to be an address.
    #[serde(rename(deserialize = "ip-address"))]
    pub address: String,
    /// `ipv4` or `ipv6`.
    #[serde(rename(deserialize = "ip-address-type"))]
    pub kind: String,
    #[serde(rename(deserialize = "prefix"))]
    pub prefix_length: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all(deserialize = "kebab-case"))]
pub struct NetworkStatistics {
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errs: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errs: u64,
    pub tx_dropped: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileSystem {
    pub name: String,
    pub mountpoint: String,
    #[serde(rename(deserialize = "type"))]
    pub kind: String,
    #[serde(rename(deserialize = "used-bytes"))]
    pub used_bytes: Option<u64>,
    #[serde(rename(deserialize = "total-bytes"))]
    pub total_bytes: Option<u64>,
    #[serde(rename(deserialize = "disk"), deserialize_with = "list")]
    pub disks: Vec<Disk>,
}

/// A disk under a file system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Disk {
    /// The serial number that the machine gave it.
    pub serial: Option<String>,
    pub dev: Option<String>,
    #[serde(rename(deserialize = "bus-type"))]
    pub bus_type: Option<String>,
    #[serde(rename(deserialize = "pci-controller"))]
    pub pci: Option<PciAddress>,
}

/// Numbers are -1 where the guest does not know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PciAddress {
    pub domain: i64,
    pub bus: i64,
    pub slot: i64,
    pub function: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownMode {
    PowerDown,
    Halt,
    Reboot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FreezeState {
    Thawed,
    Frozen,
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VcpuInfo {
    #[serde(rename(deserialize = "logical-id"))]
    pub logical_id: u64,
    pub online: bool,
    #[serde(rename(deserialize = "can-offline"), default)]
    pub can_offline: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryBlock {
    #[serde(rename(deserialize = "phys-index"))]
    pub index: u64,
    pub online: bool,
    #[serde(rename(deserialize = "can-offline"), default)]
    pub can_offline: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MemoryBlockResult {
    #[serde(rename = "phys-index")]
    pub index: u64,
    /// `success`, `not-found`, `operation-not-supported`, `operation-failed`.
    pub response: String,
    #[serde(rename = "error-code")]
    pub error_code: Option<i64>,
}
