//! What was asked for. The documentation of plans has the queries by these names.

use std::path::Path;

use tabane_model::Metric;

use super::answer::Series;

const KIB: f64 = 1.0 / 1_024.0;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Meaning {
    Cores,
    CoreHertz,
    MemTotalBytes,
    /// The share of all cores, 0 to 1.
    CpuBusy,
    MemUsedBytes,
    MemAvailableBytes,
    PerSecond(Metric, f64),
    /// Only grows.
    Counter(Metric, f64),
    /// Of each CPU and mode; only grows.
    CpuSeconds,
}

/// By the name of a file, which may begin with anything.
const NAMES: [(&str, Meaning); 12] = [
    ("core_hertz", Meaning::CoreHertz),
    ("cores", Meaning::Cores),
    ("mem_total", Meaning::MemTotalBytes),
    ("cpu_busy", Meaning::CpuBusy),
    ("mem_used", Meaning::MemUsedBytes),
    ("mem_available", Meaning::MemAvailableBytes),
    ("disk_read_bytes", Meaning::PerSecond(Metric::DiskReadKbs, KIB)),
    ("disk_write_bytes", Meaning::PerSecond(Metric::DiskWriteKbs, KIB)),
    ("disk_reads", Meaning::PerSecond(Metric::DiskReadIops, 1.0)),
    ("disk_writes", Meaning::PerSecond(Metric::DiskWriteIops, 1.0)),
    ("net_rx_bytes", Meaning::PerSecond(Metric::NetRxKbs, KIB)),
    ("net_tx_bytes", Meaning::PerSecond(Metric::NetTxKbs, KIB)),
];

/// By the name of a metric; series have it only as long as nothing was computed of them.
const METRICS: [(&str, Meaning); 10] = [
    ("node_cpu_frequency_max_hertz", Meaning::CoreHertz),
    ("node_cpu_seconds_total", Meaning::CpuSeconds),
    ("node_memory_MemTotal_bytes", Meaning::MemTotalBytes),
    ("node_memory_MemAvailable_bytes", Meaning::MemAvailableBytes),
    ("node_disk_read_bytes_total", Meaning::Counter(Metric::DiskReadKbs, KIB)),
    ("node_disk_written_bytes_total", Meaning::Counter(Metric::DiskWriteKbs, KIB)),
    ("node_disk_reads_completed_total", Meaning::Counter(Metric::DiskReadIops, 1.0)),
    ("node_disk_writes_completed_total", Meaning::Counter(Metric::DiskWriteIops, 1.0)),
    ("node_network_receive_bytes_total", Meaning::Counter(Metric::NetRxKbs, KIB)),
    ("node_network_transmit_bytes_total", Meaning::Counter(Metric::NetTxKbs, KIB)),
];

pub(super) fn of_name(stem: &str) -> Option<Meaning> {
    let ends = |name: &str| {
        stem.strip_suffix(name).is_some_and(|rest| rest.is_empty() || !rest.ends_with(char::is_alphanumeric))
    };
    NAMES.iter().find(|(name, _)| ends(name)).map(|(_, meaning)| *meaning)
}

pub(super) fn of_series(series: &Series) -> Option<Meaning> {
    let name = series.metric.get("__name__")?;
    METRICS.iter().find(|(known, _)| known == name).map(|(_, meaning)| *meaning)
}

/// What servers have is read before what they do, and how many cores before how fast they are.
pub(in super::super) fn rank(file: &Path) -> u8 {
    let name = file.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let has = |part: &str| name.contains(part);
    match () {
        () if has("cores") || has("memtotal") || has("mem_total") => 0,
        () if has("hertz") => 1,
        () => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_tell_what_was_asked_for() {
        assert_eq!(of_name("cpu_busy"), Some(Meaning::CpuBusy));
        assert_eq!(of_name("2026-11_disk_reads"), Some(Meaning::PerSecond(Metric::DiskReadIops, 1.0)));
        assert_eq!(of_name("scores"), None);
        assert!(rank(Path::new("a/cores.json")) < rank(Path::new("core_hertz.json")));
        assert!(rank(Path::new("core_hertz.json")) < rank(Path::new("cpu_busy.json")));
    }
}
