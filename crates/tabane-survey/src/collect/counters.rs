//! What a source counts, read from a block of what `sample.sh` writes.

/// Counters since boot, and memory at the moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Since boot, in ms: when it goes back, the source was started anew.
    pub uptime_ms: u64,
    /// In ticks, of all CPUs together.
    pub cpu_busy: u64,
    pub cpu_all: u64,
    pub mem_used_kib: u64,
    pub disk_read_sectors: u64,
    pub disk_reads: u64,
    pub disk_written_sectors: u64,
    pub disk_writes: u64,
    pub net_rx_bytes: u64,
    pub net_tx_bytes: u64,
}

/// Lines of a block at most: a machine with a thousand disks has fewer.
pub(super) const LINES_MAX: usize = 4_096;

impl Counters {
    /// Of the lines between `sample` and `end`, the first one included. `None` if the block lacks what every Linux has.
    ///
    /// Source: proc(5); Documentation/block/stat.rst of Linux for the fields of a disk.
    pub fn parse(lines: &[String]) -> Option<Self> {
        let mut counters = Self::default();
        let (mut memory, mut cpu) = ([None; 5], false);
        for line in lines {
            let mut words = line.split_ascii_whitespace();
            let first = words.next()?;
            let number = |word: Option<&str>| word.and_then(|word| word.parse::<u64>().ok());
            match first {
                "sample" => {
                    let seconds = words.next()?.parse::<f64>().ok()?;
                    counters.uptime_ms = (seconds * 1_000.0) as u64;
                }
                "cpu" => {
                    let ticks: Vec<u64> = words.map_while(|word| number(Some(word))).take(8).collect();
                    // user nice system idle iowait irq softirq steal; those of guests are in user already.
                    let [_, _, _, idle, ..] = ticks[..] else { return None };
                    counters.cpu_all = ticks.iter().fold(0, |sum, value| sum.saturating_add(*value));
                    let waiting = idle.saturating_add(ticks.get(4).copied().unwrap_or(0));
                    counters.cpu_busy = counters.cpu_all.saturating_sub(waiting);
                    cpu = true;
                }
                "mem" => {
                    const KEYS: [&str; 5] = ["MemTotal:", "MemAvailable:", "MemFree:", "Buffers:", "Cached:"];
                    let key = words.next()?;
                    if let Some(at) = KEYS.iter().position(|known| *known == key) {
                        memory[at] = number(words.next());
                    }
                }
                "disk" => {
                    let of: Vec<u64> = words.skip(1).map_while(|word| number(Some(word))).collect();
                    let [reads, _, read_sectors, _, writes, _, written_sectors, ..] = of[..] else {
                        continue;
                    };
                    add(&mut counters.disk_reads, reads);
                    add(&mut counters.disk_read_sectors, read_sectors);
                    add(&mut counters.disk_writes, writes);
                    add(&mut counters.disk_written_sectors, written_sectors);
                }
                "net" => {
                    let of: Vec<u64> = words.skip(1).map_while(|word| number(Some(word))).collect();
                    let [rx, tx] = of[..] else { continue };
                    add(&mut counters.net_rx_bytes, rx);
                    add(&mut counters.net_tx_bytes, tx);
                }
                _ => {}
            }
        }
        let [total, available, free, buffers, cached] = memory;
        // Kernels before 3.14 do not say what is available.
        let available = available.or_else(|| Some(free? + buffers.unwrap_or(0) + cached.unwrap_or(0)))?;
        counters.mem_used_kib = total?.saturating_sub(available);
        cpu.then_some(counters)
    }
}

fn add(sum: &mut u64, value: u64) {
    *sum = sum.saturating_add(value);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BLOCK: &str = "sample 350.25\ncpu 100 1 50 800 20 3 4 2 7 0\nmem MemTotal: 2048000\nmem MemFree: 100\n\
        mem MemAvailable: 1024000\ndisk sda 10 0 80 5 20 0 160 9 0 14 14\ndisk nvme0n1 1 0 8 0 2 0 16 0 0 0 0\n\
        net eth0 1000 2000\nnet eth1 5 6";

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_block_is_read() {
        let counters = Counters::parse(&lines(BLOCK)).unwrap();
        let expected = Counters {
            uptime_ms: 350_250,
            cpu_busy: 160,
            cpu_all: 980,
            mem_used_kib: 1_024_000,
            disk_read_sectors: 88,
            disk_reads: 11,
            disk_written_sectors: 176,
            disk_writes: 22,
            net_rx_bytes: 1_005,
            net_tx_bytes: 2_006,
        };
        assert_eq!(counters, expected);
    }

    #[test]
    fn old_kernels_say_less_of_memory() {
        let old = BLOCK.replace("mem MemAvailable: 1024000", "mem Buffers: 24000\nmem Cached: 999900");
        assert_eq!(Counters::parse(&lines(&old)).unwrap().mem_used_kib, 1_024_000);
        assert_eq!(Counters::parse(&lines(&BLOCK.replace("cpu ", "cpu0 "))), None);
        assert_eq!(Counters::parse(&[]), None);
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(
            text in proptest::collection::vec("(sample|cpu|mem|disk|net)?( [A-Za-z:]{0,9}| [0-9]{1,22}){0,12}", 0..20),
        ) {
            let _ = Counters::parse(&text);
        }
    }
}
