//! What is measured of a server over time.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    CpuMhz,
    /// Memory in use, not what the server has.
    MemMib,
    DiskReadKbs,
    DiskWriteKbs,
    DiskReadIops,
    DiskWriteIops,
    NetRxKbs,
    NetTxKbs,
}

impl Metric {
    pub const ALL: [Self; 8] = [
        Self::CpuMhz,
        Self::MemMib,
        Self::DiskReadKbs,
        Self::DiskWriteKbs,
        Self::DiskReadIops,
        Self::DiskWriteIops,
        Self::NetRxKbs,
        Self::NetTxKbs,
    ];

    /// As in names of files.
    pub fn name(self) -> &'static str {
        match self {
            Self::CpuMhz => "cpu_mhz",
            Self::MemMib => "mem_mib",
            Self::DiskReadKbs => "disk_read_kbs",
            Self::DiskWriteKbs => "disk_write_kbs",
            Self::DiskReadIops => "disk_read_iops",
            Self::DiskWriteIops => "disk_write_iops",
            Self::NetRxKbs => "net_rx_kbs",
            Self::NetTxKbs => "net_tx_kbs",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
