//! Loads to go on planning with: those that were planned with, and what was measured of servers since they moved.

use std::collections::BTreeMap;

use tabane_model::{Metric, NO_SAMPLE, Traces};

use super::PlanError;

const WEEK_S: u32 = 7 * 86_400;

/// The traces that were planned with, where servers that have `moved` and were measured since are as busy as the busier of
/// both: of what was planned, and of the most that was measured at the same moment of a week. Nothing becomes less, and
/// what follows keeps the time line, so that servers still meet as they did.
///
/// A planned overhead of the hypervisor comes on top of what was measured, though that has it already: too much rather than
/// too little. `moved` says besides how many MHz of a server's old CPU one of its new one is.
pub fn since(planned: &Traces, measured: &Traces, moved: &BTreeMap<&str, f64>) -> Result<Traces, PlanError> {
    let step_s = planned.grid.step_s;
    if measured.grid.step_s != step_s || !WEEK_S.is_multiple_of(step_s) {
        return Err(PlanError::Steps { planned: step_s, measured: measured.grid.step_s });
    }
    let moments = (WEEK_S / step_s) as usize;
    let moment = |first_bin_unix: i64, bin: usize| {
        let at = first_bin_unix.div_euclid(i64::from(step_s)).rem_euclid(moments as i64) as usize;
        (at + bin) % moments
    };
    let mut combined = planned.clone();
    let bins = planned.grid.bins;
    for (at, server, ratio) in
        planned.servers.iter().enumerate().filter_map(|(at, s)| Some((at, s, *moved.get(s.name.as_str())?)))
    {
        let Some(since) = measured.servers.iter().position(|known| known.name == server.name) else {
            continue;
        };
        for (metric, rows) in &mut combined.series {
            let mut most = vec![None; moments];
            for (bin, value) in measured.of(since, *metric).unwrap_or_default().iter().enumerate() {
                // Rounded up: rather too much than too little.
                let value = match metric {
                    Metric::CpuMhz if *value != NO_SAMPLE => {
                        &((f64::from(*value) * ratio).ceil() as u32).min(NO_SAMPLE - 1)
                    }
                    _ => value,
                };
                let known = &mut most[moment(measured.grid.first_bin_unix, bin)];
                if *value != NO_SAMPLE {
                    *known = Some(known.map_or(*value, |known: u32| known.max(*value)));
                }
            }
            for (bin, value) in rows[at * bins..(at + 1) * bins].iter_mut().enumerate() {
                match most[moment(planned.grid.first_bin_unix, bin)] {
                    Some(most) if *value == NO_SAMPLE || most > *value => *value = most,
                    _ => {}
                }
            }
        }
    }
    Ok(combined)
}
