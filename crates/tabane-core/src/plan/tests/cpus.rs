//! MHz of different CPUs are different work, and a plan says by what it counted them.

use tabane_model::CpuIndex;

use super::*;

const OLD: &str = "Intel(R) Xeon(R) CPU E5-2690 v3 @ 2.60GHz";

fn table() -> Vec<CpuIndex> {
    let cpu = |name: &str, model: &str, index: f64| CpuIndex {
        name: name.into(),
        models: vec![model.into()],
        index,
        source: String::new(),
    };
    vec![cpu("old", "*E5-* v3*", 0.5), cpu("new", "AMD EPYC 9*", 2.0)]
}

fn old_servers(days: usize) -> Traces {
    let mut traces = traces(days);
    for server in &mut traces.servers {
        server.labels.push(("cpu_model".into(), OLD.into()));
    }
    // One is something else, and one says nothing.
    traces.servers[1].labels[0].1 = "VIA Nano".into();
    traces.servers[2].labels.clear();
    traces
}

/// Of one kind, so that shares of them can be compared.
fn hosts() -> HostTypes {
    let mut hosts = super::hosts();
    hosts.host_type.truncate(1);
    hosts
}

fn made_on(hosts: &HostTypes, traces: &Traces, policy: &PlanPolicy) -> Plan {
    make(traces, request(hosts, policy, None), Timestamp::UNIX_EPOCH, 1, &|turns, _| turns > 500).unwrap()
}

fn made(traces: &Traces, policy: &PlanPolicy) -> Plan {
    made_on(&hosts(), traces, policy)
}

fn note(plan: &Plan) -> Option<&PlanNote> {
    plan.assumptions.notes.iter().find(|note| matches!(note, PlanNote::CpuIndices { .. }))
}

fn peak(plan: &Plan) -> f64 {
    let peaks = plan.hosts.iter().flat_map(|host| &host.peaks).filter(|peak| peak.resource == "cpu_mhz");
    peaks.map(|peak| peak.share).fold(0.0, f64::max)
}

#[test]
fn without_a_table_a_mhz_is_a_mhz() {
    let traces = old_servers(8);
    let plan = made(&traces, &policy());
    assert_eq!(note(&plan), None);
    assert_eq!(peak(&plan), 8_200.0 / 10_000.0);
}

#[test]
fn servers_and_hosts_are_counted_in_mhz_of_the_reference() {
    let traces = old_servers(8);
    let policy = PlanPolicy { cpu: table(), ..policy() };
    let plan = made(&traces, &policy);
    // s1 and s2 count as the reference; the busiest moment is theirs: 6,000, another 200, and ten of 100.
    assert_eq!(peak(&plan), (6_000.0 + 200.0 + 10.0 * 100.0) / 10_000.0);
    let Some(PlanNote::CpuIndices { known, unknown, unnamed, hosts: unrated }) = note(&plan) else {
        panic!("it says nothing of CPUs")
    };
    let is: Vec<(&str, f64, u32)> =
        known.iter().map(|it| (it.model.as_str(), it.index, it.servers)).collect();
    assert_eq!(is, [(OLD, 0.5, 10)]);
    assert_eq!((unknown.as_slice(), *unnamed), (["VIA Nano".to_owned()].as_slice(), 1));
    assert_eq!(unrated, &["small"]);

    let mut newer = hosts();
    newer.host_type[0].cpu_model = Some("AMD EPYC 9354P 32-Core Processor".into());
    let plan = made_on(&newer, &traces, &policy);
    assert_eq!(plan.assumptions.host_types[0].cpu_index, Some(2.0));
    assert_eq!(peak(&plan), 7_200.0 / 20_000.0);
    let faults: Vec<String> = verify(&plan, &traces).iter().map(ToString::to_string).collect();
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn a_plan_with_other_factors_than_it_says_is_not_proved() {
    let traces = old_servers(8);
    let plan = made(&traces, &PlanPolicy { cpu: table(), ..policy() });
    let told = |changed: &Plan| -> String {
        verify(changed, &traces).iter().map(|fault| format!("{fault}\n")).collect()
    };
    assert_eq!(told(&plan), "");
    let mut other = plan.clone();
    other.assumptions.policy.cpu[0].index = 0.6;
    assert!(told(&other).contains("host-001"), "peaks are those of the other index");
    let mut silent = plan.clone();
    silent.assumptions.notes.retain(|note| !matches!(note, PlanNote::CpuIndices { .. }));
    assert!(told(&silent).contains("of which CPUs it knows what they do"));
    let mut wrong = plan.clone();
    wrong.assumptions.policy.cpu[0].index = 0.0;
    assert!(told(&wrong).contains("cpu[0].index"));
    let mut faster = plan;
    faster.assumptions.host_types[0].cpu_index = Some(3.0);
    assert!(!told(&faster).is_empty());
}

#[test]
fn what_is_measured_after_a_move_is_of_the_new_cpu() {
    let planned = old_servers(8);
    let mut hosts = hosts();
    hosts.host_type.iter_mut().for_each(|host| host.cpu_index = Some(2.0));
    let policy = PlanPolicy { cpu: table(), ..policy() };
    let plan = made_on(&hosts, &planned, &policy);
    let (waves, all) = (plan.waves.len(), planned.servers.len());
    // The same work takes a quarter of the MHz where each does four times as much.
    let mut measured = planned.clone();
    for (at, server) in planned.servers.iter().enumerate() {
        let divisor = if server.labels.iter().any(|(_, model)| model == OLD) { 4 } else { 2 };
        let row = &mut measured.series.get_mut(&Metric::CpuMhz).unwrap()[at * planned.grid.bins..];
        row[..planned.grid.bins].iter_mut().for_each(|value| *value /= divisor);
    }
    // What guests say of their CPU is no matter.
    measured.servers.iter_mut().for_each(|server| server.labels = vec![("cpu_model".into(), "QEMU".into())]);
    let moved = moved(&plan, waves, &planned);
    assert_eq!((moved.len(), moved["s0"], moved["s1"]), (all, 4.0, 2.0));
    assert_eq!(since(&planned, &measured, &moved).unwrap(), planned);
    let review = review(&plan, &plan.waves[waves - 1].name, &planned, &measured, &BTreeMap::new()).unwrap();
    for peak in review.hosts.iter().flat_map(|host| &host.peaks).filter(|peak| peak.resource == "cpu_mhz") {
        assert!((peak.planned - peak.measured).abs() < 1e-9, "{peak:?}");
    }
}
