//! Samples become loads: what happened between two samples, in bins of a time line.

use tabane_model::{Grid, Metric, NO_SAMPLE, planning::SourceLoad};

use super::{Counters, Sample};

/// Samples that are further apart say nothing of what was between them.
const APART_MS_MAX: i64 = 120_000;
/// Clocks that differ by more than this from one sample to the next were set.
const CLOCK_STEP_MS: i64 = 5_000;
const SECTOR_BYTES: f64 = 512.0;

/// What was odd.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Oddities {
    /// The source was started anew.
    pub restarts: usize,
    /// Our clock went back, or another way than the source's.
    pub clock_steps: usize,
    pub gaps: usize,
    pub duplicates: usize,
}

/// The loads of a source in the bins of the grid, for each metric: the largest of the rates that touch a bin.
///
/// `cpu_cap_mhz` is what all its cores are. Rates are by the source's own clock, which nobody sets.
pub(super) fn loads(samples: &[Sample], grid: Grid, cpu_cap_mhz: u32) -> (Vec<(Metric, Vec<u32>)>, Oddities) {
    let mut loads: Vec<(Metric, Vec<u32>)> =
        Metric::ALL.iter().map(|metric| (*metric, vec![NO_SAMPLE; grid.bins])).collect();
    let mut odd = Oddities::default();
    for (before, after) in samples.iter().zip(samples.iter().skip(1)) {
        let (a, b) = (&before.counters, &after.counters);
        let ours_ms = after.unix_ms.saturating_sub(before.unix_ms);
        let theirs_ms = b.uptime_ms as i64 - a.uptime_ms as i64;
        match () {
            () if theirs_ms < 0 => odd.restarts += 1,
            () if theirs_ms == 0 => odd.duplicates += 1,
            () if ours_ms <= 0 || (ours_ms - theirs_ms).abs() > CLOCK_STEP_MS => odd.clock_steps += 1,
            () if theirs_ms > APART_MS_MAX => odd.gaps += 1,
            () => {
                let seconds = theirs_ms as f64 / 1_000.0;
                let rate = |from: u64, to: u64, unit: f64| to.saturating_sub(from) as f64 * unit / seconds;
                let ticks = b.cpu_all.saturating_sub(a.cpu_all);
                let busy = b.cpu_busy.saturating_sub(a.cpu_busy) as f64 / ticks.max(1) as f64;
                let kib = |from, to, bytes: f64| rate(from, to, bytes / 1_024.0);
                let values = [
                    busy.min(1.0) * f64::from(cpu_cap_mhz),
                    b.mem_used_kib as f64 / 1_024.0,
                    kib(a.disk_read_sectors, b.disk_read_sectors, SECTOR_BYTES),
                    kib(a.disk_written_sectors, b.disk_written_sectors, SECTOR_BYTES),
                    rate(a.disk_reads, b.disk_reads, 1.0),
                    rate(a.disk_writes, b.disk_writes, 1.0),
                    kib(a.net_rx_bytes, b.net_rx_bytes, 1.0),
                    kib(a.net_tx_bytes, b.net_tx_bytes, 1.0),
                ];
                for bin in touched(grid, before.unix_ms, after.unix_ms) {
                    for ((_, row), value) in loads.iter_mut().zip(values) {
                        let value = value.ceil().min(f64::from(NO_SAMPLE - 1)) as u32;
                        row[bin] = if row[bin] == NO_SAMPLE { value } else { row[bin].max(value) };
                    }
                }
            }
        }
    }
    (loads, odd)
}

/// What a source does, by its last two samples; `None` if they are of different boots, or too far apart.
pub(super) fn between(before: &Counters, after: &Counters) -> Option<SourceLoad> {
    let ms =
        after.uptime_ms.checked_sub(before.uptime_ms).filter(|ms| (1..=APART_MS_MAX as u64).contains(ms))?;
    let kbs = |from: [u64; 2], to: [u64; 2], bytes: f64| {
        let moved = from.iter().zip(to).map(|(from, to)| to.saturating_sub(*from) as f64).sum::<f64>();
        (moved * bytes / 1_024.0 / (ms as f64 / 1_000.0)) as u32
    };
    let disk = |c: &Counters| [c.disk_read_sectors, c.disk_written_sectors];
    let net = |c: &Counters| [c.net_rx_bytes, c.net_tx_bytes];
    let ticks = after.cpu_all.saturating_sub(before.cpu_all).max(1) as f64;
    let busy = after.cpu_busy.saturating_sub(before.cpu_busy) as f64;
    Some(SourceLoad {
        cpu_share: (busy / ticks).min(1.0),
        memory_mib: u32::try_from(after.mem_used_kib >> 10).unwrap_or(u32::MAX),
        disk_kbs: kbs(disk(before), disk(after), SECTOR_BYTES),
        net_kbs: kbs(net(before), net(after), 1.0),
    })
}

/// The bins that an interval has more than a moment of.
fn touched(grid: Grid, from_ms: i64, to_ms: i64) -> std::ops::Range<usize> {
    let step_ms = i64::from(grid.step_s) * 1_000;
    let bin = |ms: i64| (ms - grid.first_bin_unix * 1_000).div_euclid(step_ms);
    let most = grid.bins as i64;
    let (first, last) = (bin(from_ms).clamp(0, most), (bin(to_ms - 1) + 1).clamp(0, most));
    first as usize..(last.max(first)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRID: Grid = Grid { first_bin_unix: 0, step_s: 60, bins: 3 };

    fn at(second: i64, uptime_s: u64, busy: u64, sectors: u64) -> Sample {
        let counters = Counters {
            uptime_ms: uptime_s * 1_000,
            cpu_busy: busy,
            cpu_all: uptime_s * 200,
            mem_used_kib: 512 << 10,
            disk_read_sectors: sectors,
            ..Counters::default()
        };
        Sample { unix_ms: second * 1_000, counters }
    }

    fn row(samples: &[Sample], metric: Metric) -> Vec<u32> {
        let (loads, _) = loads(samples, GRID, 4_000);
        loads.into_iter().find(|(known, _)| *known == metric).unwrap().1
    }

    #[test]
    fn a_bin_has_the_most_of_what_touches_it() {
        // A quarter of two CPUs, then all of them, then a gap.
        let samples = [
            at(0, 1_000, 0, 0),
            at(20, 1_020, 1_000, 40_960),
            at(40, 1_040, 5_000, 40_960),
            at(170, 1_170, 5_000, 0),
        ];
        assert_eq!(row(&samples, Metric::CpuMhz), [4_000, NO_SAMPLE, NO_SAMPLE]);
        assert_eq!(row(&samples, Metric::DiskReadKbs), [1_024, NO_SAMPLE, NO_SAMPLE]);
        assert_eq!(row(&samples, Metric::MemMib), [512, NO_SAMPLE, NO_SAMPLE]);
        let (_, odd) = loads(&samples, GRID, 4_000);
        assert_eq!(odd, Oddities { gaps: 1, ..Oddities::default() });
    }

    #[test]
    fn an_interval_over_a_border_counts_on_both_sides() {
        let samples = [at(50, 100, 0, 0), at(70, 120, 2_000, 0)];
        assert_eq!(row(&samples, Metric::CpuMhz), [2_000, 2_000, NO_SAMPLE]);
        let ends_on_it = [at(40, 100, 0, 0), at(60, 120, 2_000, 0)];
        assert_eq!(row(&ends_on_it, Metric::CpuMhz), [2_000, NO_SAMPLE, NO_SAMPLE]);
    }

    #[test]
    fn what_a_source_does_now_is_told_by_two_samples_of_one_boot() {
        let [a, b] = [at(0, 100, 0, 0), at(20, 120, 1_000, 40_960)].map(|sample| sample.counters);
        let load = SourceLoad { cpu_share: 0.25, memory_mib: 512, disk_kbs: 1_024, net_kbs: 0 };
        assert_eq!(between(&a, &b), Some(load));
        assert_eq!(between(&b, &a), None, "it was started anew");
        assert_eq!(between(&a, &a), None);
        assert_eq!(between(&a, &at(0, 221, 0, 0).counters), None, "too far apart");
    }

    #[test]
    fn restarts_clocks_that_are_set_and_duplicates_make_no_load() {
        let samples = [
            at(0, 100, 0, 900),
            at(20, 5, 9, 1),
            at(40, 25, 18, 1),
            at(40, 25, 18, 1),
            at(3_000, 45, 27, 1),
            at(10, 65, 36, 1),
        ];
        let (_, odd) = loads(&samples, GRID, 4_000);
        assert_eq!(odd, Oddities { restarts: 1, clock_steps: 2, gaps: 0, duplicates: 1 });
        assert_eq!(row(&samples, Metric::DiskReadKbs), [0, NO_SAMPLE, NO_SAMPLE]);
    }
}
