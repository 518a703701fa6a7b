//! What is asked between waves.

use tabane_model::{Comparison, Gate, GateKind, PlanPolicy, Tco};

pub(in crate::plan) const SAVING: &str = "saving_realised_share";

/// Whether a saving came is asked only where one was promised.
pub(in crate::plan) fn gates(policy: &PlanPolicy, tco: Option<&Tco>) -> Vec<Gate> {
    use Comparison::{Above, AtLeast, AtMost};
    use GateKind::{Pass, RollBack, Stop};
    let overload = policy.overload_share;
    let saves = tco.is_some_and(|tco| tco.after < tco.before);
    // Ten times as much; where that is more than always, half way to it.
    let roll_back = (overload * 10.0).clamp(0.01, (1.0 + overload) / 2.0);
    [
        (Pass, "migrations_failed_share", AtMost, 0.0),
        (Pass, "guests_answering_share", AtLeast, 1.0),
        (Pass, "days_watched", AtLeast, f64::from(policy.phases.watch_days)),
        (Pass, "host_overloaded_share", AtMost, overload),
        (Pass, "cpu_peak_over_planned", AtMost, 1.1),
        (Pass, "memory_peak_over_planned", AtMost, 1.1),
        (Pass, "critical_alerts", AtMost, 0.0),
        (Pass, "backups_failed_share", AtMost, 0.0),
        (Pass, "sources_switched_off_share", AtLeast, 1.0),
        (Pass, SAVING, AtLeast, 0.9),
        (Stop, "migrations_failed_share", Above, 0.1),
        (Stop, "cpu_peak_over_planned", Above, 1.25),
        (Stop, "memory_peak_over_planned", Above, 1.25),
        (RollBack, "host_overloaded_share", Above, roll_back),
        (RollBack, "guests_answering_share", AtMost, 0.9),
    ]
    .into_iter()
    .filter(|(_, metric, ..)| saves || *metric != SAVING)
    .map(|(kind, metric, comparison, threshold)| Gate { kind, metric: metric.into(), comparison, threshold })
    .collect()
}
