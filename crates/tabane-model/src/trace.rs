//! Loads of servers over time.

use std::collections::BTreeMap;

/// In a bin that has no sample.
pub const NO_SAMPLE: u32 = u32::MAX;

/// What is measured of a server over time.
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

impl std::fmt::Display for Metric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A time line: bin `i` is `[first_bin_unix + i × step_s, first_bin_unix + (i + 1) × step_s)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    pub first_bin_unix: i64,
    pub step_s: u32,
    pub bins: usize,
}

/// A server that is to be virtualized.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    pub name: String,
    pub cores: u32,
    /// All cores together.
    pub cpu_cap_mhz: u32,
    pub mem_cap_mib: u32,
    /// What else is known of it.
    pub labels: Vec<(String, String)>,
}

impl Source {
    /// Disk space that it takes on a host: the column `disk_gib` of `servers.csv`; without it the size of all its disks, in
    /// `disk_bytes`. `None` if neither is a number.
    pub fn disk_gib(&self) -> Option<u32> {
        let of = |column: &str, unit: f64| {
            let (_, value) = self.labels.iter().find(|(name, _)| name.eq_ignore_ascii_case(column))?;
            let amount = value.trim().parse::<f64>().ok()? / unit;
            // Rounded up: rather too much than too little.
            (0.0..f64::from(u32::MAX)).contains(&amount).then(|| amount.ceil() as u32)
        };
        of("disk_gib", 1.0).or_else(|| of("disk_bytes", f64::from(1 << 30)))
    }
}

/// What is odd about traces without being a reason to stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    #[error("{metric} was measured of {server}, which is not among the servers: left out")]
    TraceWithoutServer { server: String, metric: Metric },
    #[error("nothing was measured of {server}")]
    ServerWithoutTrace { server: String },
    #[error("{metric} was not measured of {server}")]
    MetricMissing { server: String, metric: Metric },
}

/// Servers and their loads on one time line.
#[derive(Debug, Clone, PartialEq)]
pub struct Traces {
    pub grid: Grid,
    pub servers: Vec<Source>,
    /// Of each metric that was measured, the servers' rows one after the other.
    pub series: BTreeMap<Metric, Vec<u32>>,
    pub findings: Vec<Finding>,
}

impl Traces {
    /// The loads of a server, [`NO_SAMPLE`] where there is none; `None` if the metric was not measured at all.
    pub fn of(&self, server: usize, metric: Metric) -> Option<&[u32]> {
        let bins = self.grid.bins;
        self.series.get(&metric).map(|rows| &rows[server * bins..(server + 1) * bins])
    }

    /// Whether anything was measured of the server.
    pub fn is_measured(&self, server: usize) -> bool {
        self.series
            .keys()
            .any(|metric| self.of(server, *metric).is_some_and(|row| row.iter().any(|v| *v != NO_SAMPLE)))
    }
}
