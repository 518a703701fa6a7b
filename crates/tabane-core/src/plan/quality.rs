//! What the traces are worth: how much was measured of each server, and whether that is enough.

use tabane_model::{DataQuality, Metric, NO_SAMPLE, PlanPolicy, ThinTrace, Traces};

const DAY_S: f64 = 86_400.0;
/// A week has what most servers do: days of work and days without.
const DAYS_ENOUGH: f64 = 7.0;
/// With more gaps than that, days are as good as unmeasured.
const MISSING_MAX: f64 = 0.2;

/// Days of samples of CPU, and the share of the time line that has none.
pub(super) fn measured(traces: &Traces, server: usize) -> (f64, f64) {
    let row = traces.of(server, Metric::CpuMhz).unwrap_or_default();
    let there = row.iter().filter(|value| **value != NO_SAMPLE).count();
    let days = there as f64 * f64::from(traces.grid.step_s) / DAY_S;
    (days, 1.0 - there as f64 / row.len().max(1) as f64)
}

/// Whether there is as much of a server as the policy asks for.
pub(super) fn suffices(traces: &Traces, policy: &PlanPolicy, server: usize) -> bool {
    // An hour is lost at the ends of a survey more often than not.
    measured(traces, server).0 + 1.0 / 24.0 >= policy.days_min
}

pub(super) fn quality(traces: &Traces) -> DataQuality {
    let known: Vec<usize> = (0..traces.servers.len()).filter(|server| traces.is_measured(*server)).collect();
    let (mut missing, mut all) = (0usize, 0usize);
    for metric in traces.series.keys() {
        for row in known.iter().filter_map(|server| traces.of(*server, *metric)) {
            missing += row.iter().filter(|value| **value == NO_SAMPLE).count();
            all += row.len();
        }
    }
    let thin = known.iter().filter_map(|server| {
        let (days_measured, missing_share) = measured(traces, *server);
        let is_thin = days_measured < DAYS_ENOUGH - 1.0 / 24.0 || missing_share > MISSING_MAX;
        is_thin.then(|| ThinTrace {
            server: traces.servers[*server].name.clone(),
            days_measured,
            missing_share,
            // With gaps as now, it takes longer to have seen a week.
            days_wanted: (DAYS_ENOUGH - days_measured).max(1.0) / (1.0 - missing_share.min(0.9)),
        })
    });
    DataQuality {
        first_bin_unix: traces.grid.first_bin_unix,
        step_s: traces.grid.step_s,
        bins: traces.grid.bins,
        servers: traces.servers.len(),
        servers_measured: known.len(),
        missing_share: missing as f64 / all.max(1) as f64,
        thin: thin.collect(),
        findings: traces.findings.iter().map(ToString::to_string).collect(),
    }
}
