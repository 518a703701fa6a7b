//! A plan goes on with few moves, and what has moved stays.

use std::collections::BTreeSet;

use tabane_model::{Phases, Reserve, planning::MovedServer};

use super::*;

fn waves_of_three() -> PlanPolicy {
    let phases = Phases { pilot_servers: 3, wave_servers: 3, ..Phases::default() };
    PlanPolicy { phases, fill_max: 0.9, ..policy() }
}

fn grown(traces: &Traces, server: &str, percent: u32) -> Traces {
    let mut grown = traces.clone();
    let at = traces.servers.iter().position(|known| known.name == server).unwrap();
    let bins = traces.grid.bins;
    for rows in grown.series.values_mut() {
        rows[at * bins..(at + 1) * bins].iter_mut().for_each(|value| *value = *value * percent / 100);
    }
    grown
}

fn again(plan: &Plan, done: usize, traces: &Traces, policy: &PlanPolicy) -> Plan {
    replan(plan, done, traces, request(&hosts(), policy, None), Timestamp::UNIX_EPOCH, &|| false).unwrap()
}

fn moved(before: &Plan, after: &Plan) -> Vec<MovedServer> {
    compare(("before", before), ("now", after)).moved
}

fn proved(plan: &Plan, traces: &Traces) {
    let faults: Vec<String> = verify(plan, traces).iter().map(ToString::to_string).collect();
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn nobody_moves_if_nothing_has_changed() {
    for reserve in [Reserve::Spare, Reserve::Shared] {
        let (traces, policy) = (traces(8), PlanPolicy { reserve, ..waves_of_three() });
        let plan = made(&traces, &policy);
        let after = again(&plan, 2, &traces, &policy);
        proved(&after, &traces);
        assert_eq!(moved(&plan, &after), []);
        let servers = |plan: &Plan| plan.waves.iter().map(|wave| wave.servers.clone()).collect::<Vec<_>>();
        assert_eq!(servers(&after)[..2], servers(&plan)[..2]);
        assert_eq!(after.assumptions.fill, plan.assumptions.fill);
    }
}

#[test]
fn one_that_has_grown_moves_unless_it_has_moved_already() {
    let (traces, policy) = (traces(8), waves_of_three());
    let plan = made(&traces, &policy);
    let host = |plan: &Plan, server: &str| {
        plan.hosts.iter().find(|host| host.servers.iter().any(|s| s == server)).unwrap().id.clone()
    };
    let pilot = &plan.waves[0].servers[0];
    let pilots: BTreeSet<&String> = plan.waves[0].servers.iter().collect();
    for server in plan.waves.iter().flat_map(|wave| &wave.servers) {
        let busier = grown(&traces, server, 130);
        let after = again(&plan, 1, &busier, &policy);
        proved(&after, &busier);
        let moves = moved(&plan, &after);
        assert!(moves.len() <= 2, "{server}: {moves:?}");
        assert!(moves.iter().all(|change| !pilots.contains(&change.server)), "{server}: {moves:?}");
        if server == pilot {
            assert_eq!(host(&after, pilot), host(&plan, pilot), "what has moved stays");
        }
    }
}

#[test]
fn what_is_gone_or_new_is_told() {
    let (all, policy) = (traces(8), waves_of_three());
    let without = PlanPolicy { exclude: super::rules::patterns(&["s4"]), ..policy.clone() };
    let plan = made(&all, &without);
    // s4 comes in, s9 stays what it is.
    let other = PlanPolicy { exclude: super::rules::patterns(&["s9"]), ..policy };
    let after = again(&plan, 0, &all, &other);
    proved(&after, &all);
    let moves = moved(&plan, &after);
    let of = |server: &str| moves.iter().find(|change| change.server == server).unwrap();
    assert!(matches!(of("s4"), MovedServer { a: None, b: Some(_), .. }));
    assert!(matches!(of("s9"), MovedServer { a: Some(_), b: None, .. }));
    assert_eq!(moves.len(), 2);
}

#[test]
fn hosts_are_compared_by_what_is_on_them() {
    let (traces, policy) = (traces(8), waves_of_three());
    let plan = made(&traces, &policy);
    let mut renamed = plan.clone();
    renamed.hosts.iter_mut().for_each(|host| host.id = format!("other-{}", host.id));
    renamed.hosts.reverse();
    assert_eq!(moved(&plan, &renamed), []);
    let server = renamed.hosts[1].servers.pop().unwrap();
    let to = renamed.hosts[0].id.clone();
    renamed.hosts[0].servers.push(server.clone());
    let moves = moved(&plan, &renamed);
    assert_eq!(moves.len(), 1, "{moves:?}");
    assert_eq!((moves[0].server.as_str(), moves[0].b.as_deref()), (server.as_str(), Some(to.as_str())));
}

#[test]
fn what_was_measured_since_counts_where_it_is_more() {
    let planned = traces(8);
    let mut measured = grown(&traces(10), "s2", 150);
    measured.grid.first_bin_unix = 3 * 86_400;
    let moved = BTreeMap::from([("s2", 1.0), ("s3", 1.0)]);
    let combined = since(&planned, &measured, &moved).unwrap();
    for (at, server) in planned.servers.iter().enumerate() {
        let (before, after) =
            (planned.of(at, Metric::CpuMhz).unwrap(), combined.of(at, Metric::CpuMhz).unwrap());
        let busier = |value: &u32| if server.name == "s2" { value * 3 / 2 } else { *value };
        assert_eq!(after, before.iter().map(busier).collect::<Vec<_>>(), "{}", server.name);
    }
    // Who has not moved was not measured as a VM.
    assert_eq!(since(&planned, &measured, &BTreeMap::from([("s3", 1.0)])).unwrap(), planned);
    measured.grid.step_s = 300;
    assert!(since(&planned, &measured, &moved).is_err());
}
