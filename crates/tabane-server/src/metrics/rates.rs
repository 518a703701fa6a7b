//! From two samples of counters to what happened between them.

use tabane_model::{SAMPLE_STEP_S, Sample, Series};

use super::slot::{NOTHING, VALUES, Values};

/// Samples further apart are no neighbours: what happened between them is not known well enough for a step of 10 s.
const APART_MS_MAX: i64 = 25_000;
const STEP_MS: i64 = SAMPLE_STEP_S * 1000;

/// The number of the step that ends at this moment, counted in steps from 1970. `None` for nonsense.
pub fn tick(at_ms: i64) -> Option<u32> {
    u32::try_from(at_ms.checked_add(STEP_MS / 2)? / STEP_MS - 1).ok()
}

/// The step between two neighbouring samples, and its values. `None` if it belongs to no step of its own.
pub fn between(before: &Sample, now: &Sample) -> Option<(u32, Values)> {
    let tick = self::tick(now.at_ms)?;
    let elapsed_ms = now.at_ms.checked_sub(before.at_ms)?;
    if elapsed_ms <= 0 || self::tick(before.at_ms).is_none_or(|other| other >= tick) {
        return None;
    }
    let mut values = NOTHING;
    values[Series::MemoryUsedBytes as usize] =
        now.memory_used_bytes.or(now.memory_resident_bytes).map_or(f32::NAN, |bytes| bytes as f32);
    if elapsed_ms > APART_MS_MAX || before.epoch != now.epoch {
        return Some((tick, values));
    }
    let seconds = elapsed_ms as f64 / 1e3;
    // A counter that went back has begun anew, whatever the reason.
    let per_s = |before: Option<u64>, now: Option<u64>| match (before, now) {
        (Some(before), Some(now)) if now >= before => (now - before) as f64 / seconds,
        _ => f64::NAN,
    };
    let cpu = per_s(before.cpu_us, now.cpu_us) / 1e6 / f64::from(now.cpus.max(1));
    // Not `f64::min`, which takes the other one of a NaN.
    values[Series::CpuRatio as usize] = if cpu > 1.0 { 1.0 } else { cpu as f32 };
    let counters: [(Series, Option<u64>, Option<u64>); VALUES - 2] = [
        (Series::DiskReadBytes, before.disk_read_bytes, now.disk_read_bytes),
        (Series::DiskWriteBytes, before.disk_write_bytes, now.disk_write_bytes),
        (Series::DiskReadOps, before.disk_read_ops, now.disk_read_ops),
        (Series::DiskWriteOps, before.disk_write_ops, now.disk_write_ops),
        (Series::NetReceiveBytes, before.net_receive_bytes, now.net_receive_bytes),
        (Series::NetTransmitBytes, before.net_transmit_bytes, now.net_transmit_bytes),
    ];
    for (series, before, now) in counters {
        values[series as usize] = per_s(before, now) as f32;
    }
    Some((tick, values))
}

#[cfg(test)]
mod tests {
    use tabane_model::{Kind, Uid};

    use super::*;

    fn sample(at_ms: i64) -> Sample {
        Sample::new(Kind::Vm, "a".parse().unwrap(), Uid::nil(), at_ms, 1, 2)
    }

    fn value(values: &Values, series: Series) -> Option<f32> {
        Some(values[series as usize]).filter(|v| !v.is_nan())
    }

    #[test]
    fn counters_become_rates_and_shares() {
        let mut before = sample(1_000_000);
        before.cpu_us = Some(5_000_000);
        before.disk_write_bytes = Some(100);
        let mut now = sample(1_010_400);
        now.cpu_us = Some(15_400_000);
        now.disk_write_bytes = Some(10_500);
        now.net_receive_bytes = Some(7);
        now.memory_resident_bytes = Some(4096);
        let (tick, values) = between(&before, &now).unwrap();
        assert_eq!(tick, 100, "the step that begins at 1000 s");
        assert_eq!(value(&values, Series::CpuRatio), Some(0.5));
        assert_eq!(value(&values, Series::DiskWriteBytes), Some(1000.0));
        assert_eq!(value(&values, Series::NetReceiveBytes), None, "known once is no rate");
        assert_eq!(value(&values, Series::DiskReadBytes), None);
        assert_eq!(value(&values, Series::MemoryUsedBytes), Some(4096.0));
        now.memory_used_bytes = Some(1024);
        let (_, values) = between(&before, &now).unwrap();
        assert_eq!(value(&values, Series::MemoryUsedBytes), Some(1024.0), "the guest knows better");
    }

    #[test]
    fn what_began_anew_or_is_far_away_is_a_gap() {
        let mut before = sample(1_000_000);
        before.cpu_us = Some(5_000_000);
        let mut now = sample(1_010_000);
        now.cpu_us = Some(4_000_000);
        assert_eq!(value(&between(&before, &now).unwrap().1, Series::CpuRatio), None);
        now.cpu_us = Some(6_000_000);
        now.epoch = 2;
        assert_eq!(value(&between(&before, &now).unwrap().1, Series::CpuRatio), None);
        now.epoch = 1;
        now.at_ms = 1_030_000;
        assert_eq!(value(&between(&before, &now).unwrap().1, Series::CpuRatio), None);
        now.at_ms = 1_020_000;
        assert_eq!(value(&between(&before, &now).unwrap().1, Series::CpuRatio), Some(0.025));
        // QEMU's own threads come on top of the vCPUs.
        now.cpu_us = Some(500_000_000);
        assert_eq!(value(&between(&before, &now).unwrap().1, Series::CpuRatio), Some(1.0));
    }

    #[test]
    fn each_step_comes_once() {
        assert!(between(&sample(1_010_000), &sample(1_010_000)).is_none());
        assert!(between(&sample(1_010_000), &sample(1_000_000)).is_none());
        assert!(between(&sample(1_006_000), &sample(1_013_000)).is_none(), "both are nearest to 1010");
        assert!(between(&sample(i64::MIN), &sample(i64::MAX)).is_none());
        assert!(between(&sample(-1), &sample(i64::MAX)).is_none());
        assert!(between(&sample(0), &sample(-5)).is_none());
    }
}
