//! A wave passes only on what is known, and is called back on what is.

use tabane_model::{Phases, Verdict};

use super::*;

fn plan_and_traces() -> (Plan, Traces) {
    let traces = traces(20);
    let phases = Phases { pilot_servers: 3, watch_days: 7, ..Phases::default() };
    (made(&traces, &PlanPolicy { phases, ..policy() }), traces)
}

fn facts() -> BTreeMap<String, f64> {
    [
        ("migrations_failed_share", 0.0),
        ("guests_answering_share", 1.0),
        ("critical_alerts", 0.0),
        ("backups_failed_share", 0.0),
        ("sources_switched_off_share", 1.0),
        ("saving_realised_share", 1.0),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// So many days since, each load so many percent of what it was.
fn since(days: usize, percent: u32) -> Traces {
    let mut measured = traces(days);
    measured.series.values_mut().flatten().for_each(|value| *value = *value * percent / 100);
    measured
}

#[test]
fn a_wave_that_went_as_planned_passes() {
    let (plan, traces) = plan_and_traces();
    let passed = review(&plan, "pilot", &traces, &since(8, 100), &facts()).unwrap();
    assert_eq!((passed.verdict, passed.hosts.len(), passed.hosts[0].servers), (Verdict::Pass, 1, 3));
    let peak = &passed.hosts[0].peaks[0];
    assert!(peak.planned > 0.0 && (peak.planned - peak.measured).abs() < 1e-12);
    // Too short a watch, or a fact that nobody has stated, lets wait.
    let short = review(&plan, "pilot", &traces, &since(3, 100), &facts()).unwrap();
    assert_eq!(short.verdict, Verdict::Wait);
    let mut few = facts();
    few.remove("critical_alerts");
    assert_eq!(review(&plan, "pilot", &traces, &since(8, 100), &few).unwrap().verdict, Verdict::Wait);
}

#[test]
fn what_is_busier_than_planned_stops_and_what_is_broken_goes_back() {
    let (plan, traces) = plan_and_traces();
    let verdict = |measured: &Traces, facts: &BTreeMap<String, f64>| {
        review(&plan, "pilot", &traces, measured, facts).unwrap().verdict
    };
    assert_eq!(verdict(&since(8, 115), &facts()), Verdict::Wait);
    assert_eq!(verdict(&since(8, 140), &facts()), Verdict::Stop);
    assert_eq!(verdict(&since(8, 400), &facts()), Verdict::RollBack);
    let mut silent = facts();
    silent.insert("guests_answering_share".into(), 0.5);
    assert_eq!(verdict(&since(8, 100), &silent), Verdict::RollBack);
}

#[test]
fn who_was_not_measured_lets_nothing_pass() {
    let (plan, traces) = plan_and_traces();
    let mut measured = since(8, 100);
    let gone = plan.waves[0].servers[0].clone();
    measured.servers.iter_mut().find(|server| server.name == gone).unwrap().name = "other".into();
    let reviewed = review(&plan, "pilot", &traces, &measured, &facts()).unwrap();
    assert_eq!((reviewed.verdict, reviewed.unmeasured), (Verdict::Wait, vec![gone]));
    // Without samples of memory it was measured no better.
    let mut forgetful = since(8, 100);
    let bins = forgetful.grid.bins;
    let at = forgetful.servers.iter().position(|server| server.name == plan.waves[0].servers[0]).unwrap();
    forgetful.series.get_mut(&Metric::MemMib).unwrap()[at * bins..(at + 1) * bins].fill(NO_SAMPLE);
    assert_eq!(review(&plan, "pilot", &traces, &forgetful, &facts()).unwrap().unmeasured.len(), 1);
    let mut elsewhere = traces.clone();
    elsewhere.servers.iter_mut().for_each(|server| server.name += "x");
    let error = review(&plan, "pilot", &elsewhere, &since(8, 100), &facts()).unwrap_err().to_string();
    assert!(error.contains("not in the traces that the plan was made from"), "{error}");
    let asked_nothing = Plan { gates: Vec::new(), ..plan.clone() };
    let reviewed = review(&asked_nothing, "pilot", &traces, &since(8, 100), &BTreeMap::new()).unwrap();
    assert_eq!(reviewed.verdict, Verdict::Wait);
    let told = |wave: &str, facts: &BTreeMap<String, f64>| {
        review(&plan, wave, &traces, &since(8, 100), facts).unwrap_err().to_string()
    };
    assert!(told("wave-9", &facts()).contains("there is no wave wave-9; there are pilot"));
    let mut odd = facts();
    odd.insert("host_overloaded_share".into(), 0.0);
    assert!(told("pilot", &odd).contains("host_overloaded_share"));
}
