//! One server that nearly fills a host keeps no others from the margin that they need.

use super::{
    drift::{DAYS, made, rising},
    *,
};

const LARGE: &str = "s12";

/// Twelve servers whose memory rises, and one that always uses nearly all of a host's.
fn with_a_large_one() -> Traces {
    let mut traces = rising(4_096);
    let bins = traces.grid.bins;
    let of = |mem_cap_mib: u32| Source { name: LARGE.into(), mem_cap_mib, ..traces.servers[0].clone() };
    let large = of(16_000);
    traces.servers.push(large);
    for (metric, values) in &mut traces.series {
        values.extend(std::iter::repeat_n(if *metric == Metric::MemMib { 16_000 } else { 200 }, bins));
    }
    traces
}

fn careful() -> PlanPolicy {
    PlanPolicy { overload_share: 0.01, ..policy() }
}

fn alone(plan: &Plan) -> usize {
    let has = |host: &tabane_model::PlannedHost| host.servers == [LARGE];
    plan.hosts.iter().position(has).expect("it has a host to itself")
}

#[test]
fn others_get_their_margin_and_it_has_a_host_to_itself() {
    let traces = with_a_large_one();
    assert_eq!(traces.grid.bins, DAYS * DAY);
    let plan = made(&traces, &careful());
    let (fill, servers) = (plan.assumptions.fill, vec![LARGE.to_owned()]);
    assert!(fill < 16_000.0 / 16_384.0, "{fill}");
    assert!(plan.unplaced.is_empty());
    assert!(
        plan.assumptions.notes.contains(&PlanNote::Large { servers, fill }),
        "{:?}",
        plan.assumptions.notes
    );
    let host = &plan.hosts[alone(&plan)];
    // What is told of it is what it needs.
    let memory = host.peaks.iter().find(|peak| peak.resource == "memory_mib").unwrap();
    assert!((memory.share - 16_000.0 / 16_384.0).abs() < 1e-9, "{memory:?}");
    // It never needs more, and nobody else is there.
    assert_eq!(host.overload_probability, Some(0.0));
    assert_eq!(plan.lower_bound.hosts, 3);
    assert_eq!(verify(&plan, &traces).iter().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_plan_that_hides_it_or_puts_others_there_is_none() {
    let traces = with_a_large_one();
    let plan = made(&traces, &careful());
    let rejected = |change: &dyn Fn(&mut Plan)| {
        let mut changed = plan.clone();
        change(&mut changed);
        verify(&changed, &traces).iter().map(|fault| format!("{fault}\n")).collect::<String>()
    };
    let is_large = |note: &PlanNote| matches!(note, PlanNote::Large { .. });
    let hidden = rejected(&|plan| plan.assumptions.notes.retain(|note| !is_large(note)));
    assert!(hidden.contains("too large for its margin"), "{hidden}");
    let other = rejected(&|plan| {
        plan.assumptions.notes.retain(|note| !is_large(note));
        let servers = vec!["s0".to_owned()];
        plan.assumptions.notes.push(PlanNote::Large { servers, fill: plan.assumptions.fill });
    });
    assert!(other.contains("too large for its margin"), "{other}");
    let shared = rejected(&|plan| {
        let from = plan.hosts.iter().position(|host| host.servers.len() > 1).unwrap();
        let moved = plan.hosts[from].servers.pop().unwrap();
        let to = alone(plan);
        plan.hosts[to].servers.push(moved);
    });
    assert!(shared.contains("would have to carry"), "{shared}");
}

#[test]
fn who_does_not_fit_the_policys_own_fill_has_no_host() {
    let traces = with_a_large_one();
    let plan = made(&traces, &PlanPolicy { fill_max: 0.95, ..careful() });
    assert_eq!(plan.unplaced.iter().map(|told| told.server.as_str()).collect::<Vec<_>>(), [LARGE]);
    assert!(!plan.assumptions.notes.iter().any(|note| matches!(note, PlanNote::Large { .. })));
    assert_eq!(verify(&plan, &traces).len(), 0);
}

#[test]
fn one_that_is_left_over_is_told_to_lack_a_host_not_to_be_too_large() {
    let mut traces = with_a_large_one();
    let policy = PlanPolicy { spare_hosts: 0, ..careful() };
    let plan = made(&traces, &policy);
    // Another one like it, and as many hosts as before.
    let at = traces.servers.len() - 1;
    traces.servers.push(Source { name: "another".into(), ..traces.servers[at].clone() });
    let bins = traces.grid.bins;
    traces.series.values_mut().for_each(|values| values.extend_from_within(at * bins..(at + 1) * bins));
    let mut counted = hosts();
    counted.host_type.truncate(1);
    counted.host_type[0].count = Some(plan.hosts.len() as u32);
    let request = request(&counted, &policy, None);
    let plan = replan(&plan, 0, &traces, request, Timestamp::UNIX_EPOCH, &|| false).unwrap();
    assert!(plan.assumptions.fill < 16_000.0 / 16_384.0, "{}", plan.assumptions.fill);
    let told: Vec<_> = plan.unplaced.iter().map(|told| told.cause.clone().unwrap()).collect();
    assert_eq!(told, [tabane_model::UnplacedCause::NoHostLeft], "{:?}", plan.unplaced);
    assert_eq!(verify(&plan, &traces).iter().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
}
