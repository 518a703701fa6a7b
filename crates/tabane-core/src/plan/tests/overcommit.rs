//! Hosts that are filled to more than they have: only where that is accepted, only of what waits, and never unsaid.

use tabane_model::Reserve;

use super::*;

/// At the first hour of each day servers together want a tenth more CPU than a small host has, and otherwise less.
fn peaky(days: usize, memory: u32) -> Traces {
    let mut traces = traces(days);
    let bins = traces.grid.bins;
    let cpu = traces.series.get_mut(&Metric::CpuMhz).unwrap();
    let is_first = |at: usize| (at % bins).is_multiple_of(DAY);
    cpu.iter_mut()
        .enumerate()
        .filter(|(at, _)| is_first(*at))
        .for_each(|(_, value)| *value = *value * 11 / 8);
    traces.series.get_mut(&Metric::MemMib).unwrap().iter_mut().for_each(|value| *value = memory);
    traces
}

/// Of the days of [`peaky`].
const SHARE: f64 = 1.0 / 24.0;

fn accepting(overload_share: f64) -> PlanPolicy {
    PlanPolicy { overload_share, fill_max: 1.2, fill_failed: 1.2, ..policy() }
}

fn small() -> HostTypes {
    HostTypes { host_type: hosts().host_type.into_iter().take(1).collect() }
}

fn made_on_small(traces: &Traces, policy: &PlanPolicy) -> Plan {
    make(traces, request(&small(), policy, None), Timestamp::UNIX_EPOCH, 1, &|turns, _| turns > 500).unwrap()
}

fn used(plan: &Plan) -> usize {
    plan.hosts.iter().filter(|host| !host.spare).count()
}

fn note_of(plan: &Plan) -> Option<&PlanNote> {
    plan.assumptions.notes.iter().find(|note| matches!(note, PlanNote::Overcommitted { .. }))
}

#[test]
fn hosts_are_overcommitted_as_often_as_is_accepted_and_it_is_told() {
    let traces = peaky(8, 1_000);
    let plan = made_on_small(&traces, &accepting(0.05));
    assert_eq!(verify(&plan, &traces).iter().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
    assert_eq!((used(&plan), plan.assumptions.fill), (1, 1.2));
    let Some(PlanNote::Overcommitted { fill, measured_share, accepted_share }) = note_of(&plan) else {
        panic!("{:?}", plan.assumptions.notes)
    };
    assert_eq!((*fill, *accepted_share), (1.2, 0.05));
    assert!((measured_share - SHARE).abs() < 1e-12, "{measured_share}");
    // Its days are all alike, so no shift makes it more or less.
    assert_eq!(plan.hosts[0].overload_probability, Some(*measured_share));
    // All judges have seen the same days.
    assert!(plan.predicted_overload_share.unwrap() >= SHARE);

    let changed = |change: &dyn Fn(&mut Vec<PlanNote>)| {
        let mut changed = plan.clone();
        change(&mut changed.assumptions.notes);
        verify(&changed, &traces).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    let unsaid = "it does not say, as it is, how hosts are overcommitted";
    let is_meant = |note: &PlanNote| matches!(note, PlanNote::Overcommitted { .. });
    assert_eq!(changed(&|notes| notes.retain(|note| !is_meant(note))), unsaid);
    for (fill, measured_share, accepted_share) in [(1.1, SHARE, 0.05), (1.2, 0.0, 0.05), (1.2, SHARE, 0.06)] {
        let other = PlanNote::Overcommitted { fill, measured_share, accepted_share };
        let told =
            changed(&|notes| notes.iter_mut().filter(|n| is_meant(n)).for_each(|n| *n = other.clone()));
        assert_eq!(told, unsaid);
    }
    assert!(changed(&|notes| notes.extend(note_of(&plan).cloned())).contains(unsaid));
}

#[test]
fn what_meets_once_counts_though_days_that_are_shifted_do_not_meet() {
    // On the fourth day all are busy at once.
    let mut traces = traces(8);
    let (bins, at) = (traces.grid.bins, 3 * DAY);
    let cpu = traces.series.get_mut(&Metric::CpuMhz).unwrap();
    cpu.chunks_mut(bins).for_each(|row| row[at] = 900);
    let plan = made_on_small(&traces, &accepting(0.05));
    assert_eq!((used(&plan), verify(&plan, &traces).len()), (1, 0));
    assert_eq!(plan.hosts[0].overload_probability, Some(1.0 / bins as f64));
}

#[test]
fn what_is_not_accepted_is_not_planned() {
    let traces = peaky(8, 1_000);
    let plan = made_on_small(&traces, &accepting(0.04));
    assert!(plan.assumptions.fill <= 1.1, "{}", plan.assumptions.fill);
    assert_eq!((used(&plan), verify(&plan, &traces).len()), (2, 0));
}

#[test]
fn memory_is_never_overcommitted() {
    // A tenth more than a small host has, together.
    let traces = peaky(8, 1_500);
    let plan = made_on_small(&traces, &accepting(0.05));
    assert_eq!(verify(&plan, &traces).len(), 0);
    assert_eq!((used(&plan), plan.assumptions.fill), (2, 1.2));
    let most = |plan: &Plan, resource: &str| {
        let peaks = plan.hosts.iter().flat_map(|host| &host.peaks).filter(|peak| peak.resource == resource);
        peaks.map(|peak| peak.share).fold(0.0, f64::max)
    };
    assert!(most(&plan, "memory_mib") <= 1.0);

    // Nor while a host has failed.
    let reserve = PlanPolicy { reserve: Reserve::Shared, ..accepting(0.05) };
    let plan = made_on_small(&peaky(8, 1_000), &reserve);
    assert_eq!((plan.failures_absorbed, verify(&plan, &peaky(8, 1_000)).len()), (1, 0));
}

#[test]
fn nothing_is_overcommitted_that_nobody_can_judge() {
    let traces = peaky(3, 1_000);
    let plan = made_on_small(&traces, &accepting(0.05));
    assert_eq!((plan.predicted_overload_share, plan.assumptions.fill), (None, 1.0));
    assert_eq!((used(&plan), verify(&plan, &traces).len()), (2, 0));

    let mut changed = plan.clone();
    changed.assumptions.fill = 1.2;
    let faults: Vec<String> = verify(&changed, &traces).iter().map(ToString::to_string).collect();
    assert!(faults.contains(&"it overcommits hosts, and states no risk".to_owned()), "{faults:?}");
}
