//! What a source is, of what `inventory.sh` writes.

use std::collections::BTreeMap;

use super::applications;

/// What the plan needs of it, and what people want to see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    pub hostname: String,
    pub os: String,
    pub kernel: String,
    pub cores: u32,
    pub cpu_model: String,
    /// Of one core; 0 where the source does not say.
    pub core_mhz: u32,
    pub mem_mib: u32,
    pub firmware: String,
    pub vendor: String,
    /// Bytes of all disks.
    pub disk_bytes: u64,
    /// What was recognised of what runs on it, with `;` between.
    pub application: String,
}

const TEXT_CHARS_MAX: usize = 200;

impl Inventory {
    /// `None` if the text has no CPU or no memory.
    pub fn parse(text: &str) -> Option<Self> {
        let parts = parts(text);
        let part = |name: &str| parts.get(name).map(Vec::as_slice).unwrap_or_default();
        let value_of = |lines: &[&str], key: &str| -> Option<String> {
            let line =
                lines.iter().find(|line| line.split([':', '=']).next().is_some_and(|k| k.trim() == key))?;
            Some(plain(line.split_once([':', '=']).map_or("", |(_, value)| value)))
        };
        let cpu = part("cpu");
        let cores = cpu.iter().filter(|line| line.starts_with("processor")).count() as u32;
        let mhz = |line: &&str| line.strip_prefix("cpu MHz")?.split_once(':')?.1.trim().parse::<f64>().ok();
        let now = cpu.iter().filter_map(mhz).fold(0.0, f64::max);
        let most =
            part("frequency").first().and_then(|khz| khz.trim().parse::<f64>().ok()).unwrap_or(0.0) / 1_000.0;
        let memory = value_of(part("memory"), "MemTotal")?;
        let mem_kib: u64 = memory.split_whitespace().next()?.parse().ok()?;
        let sectors = part("disks").iter().filter_map(|line| {
            let (name, sectors) = line.split_once(' ')?;
            let virtual_one =
                ["loop", "ram", "zram", "dm-", "md", "sr", "fd"].iter().any(|p| name.starts_with(p));
            if virtual_one { None } else { sectors.trim().parse::<u64>().ok() }
        });
        let inventory = Self {
            hostname: plain(part("hostname").first().unwrap_or(&"")),
            os: value_of(part("os"), "PRETTY_NAME").unwrap_or_default(),
            kernel: plain(part("kernel").first().unwrap_or(&"")),
            cores,
            cpu_model: value_of(cpu, "model name").unwrap_or_default(),
            core_mhz: now.max(most).clamp(0.0, 100_000.0) as u32,
            mem_mib: u32::try_from(mem_kib.div_ceil(1_024)).ok()?,
            firmware: plain(part("firmware").first().unwrap_or(&"")),
            vendor: plain(&part("vendor").join(" ")),
            disk_bytes: sectors.fold(0u64, |sum, sectors| sum.saturating_add(sectors.saturating_mul(512))),
            application: applications::recognise(part("packages"), part("services"), part("listening")),
        };
        (cores > 0).then_some(inventory)
    }
}

/// What is behind each line `part NAME`, by that name.
pub(crate) fn parts(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut parts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut present = "";
    for line in text.lines() {
        match line.strip_prefix("part ") {
            Some(name) => present = name,
            None => parts.entry(present).or_default().push(line),
        }
    }
    parts
}

/// What a source says of itself ends up in tables and files of others.
fn plain(text: &str) -> String {
    let text = text.trim().trim_matches('"');
    text.chars().filter(|c| !c.is_control() && !",\"".contains(*c)).take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inventory_is_read() {
        let text = "part kernel\nLinux 6.1.0 x86_64\npart hostname\nweb1\npart os\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n\
            part cpu\nprocessor\t: 0\nmodel name\t: AMD EPYC\ncpu MHz\t\t: 2400.5\nprocessor\t: 1\ncpu MHz\t\t: 1200\n\
            part memory\nMemTotal:        2048001 kB\npart frequency\n3200000\npart firmware\nuefi\n\
            part disks\nsda 2097152\nloop0 99\n\
            part packages\nmssql-server 16.0\npart end\n";
        let inventory = Inventory::parse(text).unwrap();
        assert_eq!((inventory.cores, inventory.core_mhz, inventory.mem_mib), (2, 3_200, 2_001));
        assert_eq!(inventory.os, "Debian GNU/Linux 12");
        assert_eq!(inventory.application, "Microsoft SQL Server");
        assert_eq!((inventory.firmware.as_str(), inventory.disk_bytes), ("uefi", 1 << 30));
        assert_eq!(Inventory::parse("part cpu\n"), None);
        assert_eq!(Inventory::parse(""), None);
    }
}
