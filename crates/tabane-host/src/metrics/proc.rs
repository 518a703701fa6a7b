//! What the kernel counts, from `/proc` and `/sys`: see proc(5).
//!
//! The texts are parsed by functions without IO, so that they can be tested. What is missing or odd is `None`.

use std::{collections::BTreeMap, path::Path};

/// A sector of `/proc/diskstats`, whatever the disk's own are.
const SECTOR_BYTES: u64 = 512;

/// Length of a clock tick and of a page, which the kernel fixes at its start.
#[derive(Debug, Clone, Copy)]
pub struct Units {
    pub tick_us: u64,
    pub page_bytes: u64,
}

impl Units {
    pub fn of_this_system() -> Self {
        let per_s = rustix::param::clock_ticks_per_second().max(1);
        Self { tick_us: 1_000_000 / per_s, page_bytes: rustix::param::page_size() as u64 }
    }
}

/// CPU time of a process with all its threads, if it is still the one that started at `start_time`.
pub fn process_cpu_us(stat: &str, start_time: u64, units: Units) -> Option<u64> {
    // The name may hold spaces and parentheses: fields are counted from behind its last one.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // Fields 14, 15 and 22; the first behind the name is 3.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    if field(22)? != start_time {
        return None;
    }
    field(14)?.checked_add(field(15)?)?.checked_mul(units.tick_us)
}

/// Resident memory of a process.
pub fn process_resident_bytes(statm: &str, units: Units) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()?.checked_mul(units.page_bytes)
}

/// Time that all CPUs together were busy.
pub fn busy_us(stat: &str, units: Units) -> Option<u64> {
    let line = stat.lines().find(|line| line.starts_with("cpu "))?;
    let numbers: Vec<u64> = line.split_ascii_whitespace().skip(1).map_while(|n| n.parse().ok()).collect();
    // user, nice, system, (idle, iowait,) irq, softirq, steal; guests are in user already.
    let busy = [0, 1, 2, 5, 6, 7].into_iter().filter_map(|i| numbers.get(i)).sum::<u64>();
    (numbers.len() >= 4).then(|| busy.saturating_mul(units.tick_us))
}

/// Memory that is not available for anything new.
pub fn memory_used_bytes(meminfo: &str) -> Option<u64> {
    let value = |key: &str| {
        let line = meminfo.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':'))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    value("MemTotal")?.checked_sub(value("MemAvailable")?)?.checked_mul(1024)
}

/// Counters of disks or of nics, each pair in and out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    pub in_bytes: u64,
    pub in_operations: u64,
    pub out_bytes: u64,
    pub out_operations: u64,
}

impl Traffic {
    pub fn add(self, other: Self) -> Self {
        Self {
            in_bytes: self.in_bytes.saturating_add(other.in_bytes),
            in_operations: self.in_operations.saturating_add(other.in_operations),
            out_bytes: self.out_bytes.saturating_add(other.out_bytes),
            out_operations: self.out_operations.saturating_add(other.out_operations),
        }
    }
}

/// What was read (in) and written (out), by device.
pub fn disks(diskstats: &str) -> BTreeMap<String, Traffic> {
    let each = diskstats.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let number = |i: usize| fields.get(i)?.parse::<u64>().ok();
        let traffic = Traffic {
            in_operations: number(3)?,
            in_bytes: number(5)?.saturating_mul(SECTOR_BYTES),
            out_operations: number(7)?,
            out_bytes: number(9)?.saturating_mul(SECTOR_BYTES),
        };
        Some(((*fields.get(2)?).to_owned(), traffic))
    });
    each.collect()
}

/// What was received (in) and sent (out), by device.
pub fn nics(dev: &str) -> BTreeMap<String, Traffic> {
    let each = dev.lines().filter_map(|line| {
        let (name, rest) = line.split_once(':')?;
        let numbers: Vec<u64> = rest.split_ascii_whitespace().map_while(|n| n.parse().ok()).collect();
        let traffic = Traffic {
            in_bytes: *numbers.first()?,
            in_operations: *numbers.get(1)?,
            out_bytes: *numbers.get(8)?,
            out_operations: *numbers.get(9)?,
        };
        Some((name.trim().to_owned(), traffic))
    });
    each.collect()
}

/// A whole disk of the machine: no part of one, and nothing that is itself made of disks or files.
pub fn is_disk(name: &str, sys: &Path) -> bool {
    const MADE: [&str; 8] = ["loop", "ram", "zram", "dm-", "md", "sr", "nbd", "fd"];
    !MADE.iter().any(|prefix| name.starts_with(prefix)) && sys.join("block").join(name).exists()
}

/// A nic that leads out of the machine. Inside of a container none has hardware behind it: there it is every one that
/// is neither a bridge nor on one, nor a tap.
pub fn uplinks(names: &[String], sys: &Path) -> Vec<String> {
    let has = |name: &String, what: &str| sys.join("class/net").join(name).join(what).exists();
    let hardware: Vec<String> = names.iter().filter(|name| has(name, "device")).cloned().collect();
    if !hardware.is_empty() {
        return hardware;
    }
    let plain = |name: &&String| {
        *name != "lo" && !["bridge", "tun_flags", "master"].iter().any(|what| has(name, what))
    };
    names.iter().filter(plain).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNITS: Units = Units { tick_us: 10_000, page_bytes: 4096 };

    #[test]
    fn a_process_is_measured_and_told_from_a_later_one() {
        let stat = "42 (qemu) x) S 1 2 3 4 5 6 7 8 9 10 150 50 13 14 15 16 17 18 987654 20 21";
        assert_eq!(process_cpu_us(stat, 987_654, UNITS), Some(2_000_000));
        assert_eq!(process_cpu_us(stat, 1, UNITS), None);
        assert_eq!(process_cpu_us("42 (x) S 1", 1, UNITS), None);
        assert_eq!(process_resident_bytes("100 25 3 4 0 6 0\n", UNITS), Some(102_400));
        assert_eq!(process_resident_bytes("", UNITS), None);
        // And the real thing: ourselves.
        let id = tabane_qemu::process::ProcessId::of(std::process::id()).unwrap();
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        assert!(process_cpu_us(&stat, id.start_time, Units::of_this_system()).is_some());
    }

    #[test]
    fn the_host_is_measured() {
        let stat = "cpu  100 20 30 5000 60 7 8 9 1000 0\ncpu0 1 2 3\n";
        assert_eq!(busy_us(stat, UNITS), Some(1_740_000));
        assert_eq!(busy_us("intr 5", UNITS), None);
        let meminfo = "MemTotal:       1000 kB\nMemFree:  5 kB\nMemAvailable:    400 kB\n";
        assert_eq!(memory_used_bytes(meminfo), Some(600 << 10));
        assert!(memory_used_bytes(&std::fs::read_to_string("/proc/meminfo").unwrap()).is_some());
    }

    #[test]
    fn disks_and_nics_are_measured() {
        let found = disks(" 254 0 vda 10 1 80 5 20 2 160 6 0 7 8 9\n 254 1 vda1 x\n");
        let vda = Traffic { in_operations: 10, in_bytes: 40_960, out_operations: 20, out_bytes: 81_920 };
        assert_eq!(found, BTreeMap::from([("vda".to_owned(), vda)]));
        let text = "Inter-|   Receive  |  Transmit\n face |bytes packets errs\n  \
                    eth0: 1000 10 0 0 0 0 0 0 2000 20 0 0 0 0 0 0\n lo:1 2 0 0 0 0 0 0 3 4 0 0 0 0 0 0\n";
        let found = nics(text);
        assert_eq!(found.len(), 2);
        let eth0 = Traffic { in_bytes: 1000, in_operations: 10, out_bytes: 2000, out_operations: 20 };
        assert_eq!(found["eth0"], eth0);
        assert!(nics(&std::fs::read_to_string("/proc/net/dev").unwrap()).contains_key("lo"));
    }

    #[test]
    fn what_is_made_of_others_is_not_counted_twice() {
        let folder = tempfile::tempdir().unwrap();
        let sys = folder.path();
        for path in
            ["block/sda", "block/dm-0", "block/loop0", "class/net/eth0/device", "class/net/br0/bridge"]
        {
            std::fs::create_dir_all(sys.join(path)).unwrap();
        }
        let disks: Vec<&str> =
            ["sda", "sda1", "dm-0", "loop0"].into_iter().filter(|n| is_disk(n, sys)).collect();
        assert_eq!(disks, ["sda"]);
        let names = ["lo", "eth0", "br0", "eth1"].map(String::from);
        assert_eq!(uplinks(&names, sys), ["eth0"]);
        std::fs::remove_dir(sys.join("class/net/eth0/device")).unwrap();
        assert_eq!(uplinks(&names, sys), ["eth0", "eth1"]);
    }
}
