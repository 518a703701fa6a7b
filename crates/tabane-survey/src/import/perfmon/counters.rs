//! Counters of Windows by their paths: `\\HOST\OBJECT(INSTANCE)\COUNTER`.
//!
//! Japanese Windows, too, calls what is of use here by English names; translations that its documentation has for them
//! are understood besides.

use tabane_model::Metric;

const KIB: f64 = 1.0 / 1_024.0;
const PROCESSOR: [&str; 4] = ["processor", "processor information", "プロセッサ", "プロセッサ情報"];
const BUSY: [&str; 3] = ["% processor time", "% プロセッサ時間", "プロセッサ時間 (%)"];
const MEMORY: [&str; 2] = ["memory", "メモリ"];
/// Network cards that are none, as they begin.
const NO_CARDS: [&str; 5] = ["isatap", "teredo", "6to4", "microsoft isatap", "loopback"];

/// What a path says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Path<'a> {
    pub host: Option<&'a str>,
    pub object: &'a str,
    pub instance: Option<&'a str>,
    pub counter: &'a str,
}

/// What a counter counts, and in which unit of ours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Counted {
    BusyPercent,
    /// Of the memory that there is.
    AvailableMib(f64),
    PerSecond(Metric, f64),
}

impl Counted {
    pub fn metric(self) -> Metric {
        match self {
            Self::BusyPercent => Metric::CpuMhz,
            Self::AvailableMib(_) => Metric::MemMib,
            Self::PerSecond(metric, _) => metric,
        }
    }
}

pub(super) fn split_path(path: &str) -> Option<Path<'_>> {
    let path = path.trim();
    let (host, rest) = match path.strip_prefix(r"\\") {
        Some(rest) => {
            let (host, rest) = rest.split_once('\\')?;
            (Some(host), rest)
        }
        None => (None, path.strip_prefix('\\')?),
    };
    let (object, counter) = rest.rsplit_once('\\')?;
    let (object, instance) = match object.split_once('(') {
        Some((object, instance)) => (object, Some(instance.strip_suffix(')')?)),
        None => (object, None),
    };
    Some(Path { host, object, instance, counter })
}

/// What a path counts if it is of use, and whether it is of all instances together.
pub(super) fn counted(path: &Path) -> Option<(Counted, bool)> {
    let (object, counter) = (path.object.to_lowercase(), path.counter.to_lowercase());
    let instance = path.instance.unwrap_or("_Total").to_lowercase();
    let is_all = instance == "_total";
    let counted = match object.as_str() {
        object if PROCESSOR.contains(&object) && BUSY.contains(&counter.as_str()) => Counted::BusyPercent,
        object if MEMORY.contains(&object) => match counter.as_str() {
            "available mbytes" => Counted::AvailableMib(1.0),
            "available kbytes" => Counted::AvailableMib(KIB),
            "available bytes" => Counted::AvailableMib(KIB * KIB),
            _ => return None,
        },
        "physicaldisk" => match counter.as_str() {
            "disk read bytes/sec" => Counted::PerSecond(Metric::DiskReadKbs, KIB),
            "disk write bytes/sec" => Counted::PerSecond(Metric::DiskWriteKbs, KIB),
            "disk reads/sec" => Counted::PerSecond(Metric::DiskReadIops, 1.0),
            "disk writes/sec" => Counted::PerSecond(Metric::DiskWriteIops, 1.0),
            _ => return None,
        },
        "network interface" if !NO_CARDS.iter().any(|none| instance.starts_with(none)) => {
            match counter.as_str() {
                "bytes received/sec" => Counted::PerSecond(Metric::NetRxKbs, KIB),
                "bytes sent/sec" => Counted::PerSecond(Metric::NetTxKbs, KIB),
                _ => return None,
            }
        }
        _ => return None,
    };
    Some((counted, is_all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart() {
        let path = split_path(r"\\WEB1\PhysicalDisk(0 C:)\Disk Reads/sec").unwrap();
        let expected = Path {
            host: Some("WEB1"),
            object: "PhysicalDisk",
            instance: Some("0 C:"),
            counter: "Disk Reads/sec",
        };
        assert_eq!(path, expected);
        assert_eq!(split_path(r"\Memory\Available MBytes").unwrap().host, None);
        assert_eq!(split_path(r"\\WEB1\Net(Intel(R) 10G #2)\x").unwrap().instance, Some("Intel(R) 10G #2"));
        assert_eq!(split_path("time"), None);
        assert_eq!(split_path(r"\\WEB1"), None);
    }

    #[test]
    fn counters_are_known_whatever_their_language() {
        let of = |path: &str| counted(&split_path(path).unwrap());
        assert_eq!(of(r"\\A\Processor(_Total)\% Processor Time"), Some((Counted::BusyPercent, true)));
        assert_eq!(of(r"\\A\プロセッサ情報(_Total)\% プロセッサ時間"), Some((Counted::BusyPercent, true)));
        assert_eq!(of(r"\\A\Processor(0)\% Processor Time"), Some((Counted::BusyPercent, false)));
        assert_eq!(of(r"\\A\Memory\Available KBytes"), Some((Counted::AvailableMib(KIB), true)));
        assert_eq!(of(r"\\A\Network Interface(isatap.{1})\Bytes Sent/sec"), None);
        assert_eq!(of(r"\\A\System\Threads"), None);
    }
}
