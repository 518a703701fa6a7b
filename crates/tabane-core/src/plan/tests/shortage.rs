//! Where there are not enough hosts, the smallest clash is told and proved; where none is proved, that is said.

use tabane_model::{Across, ClashHosts, KeepTogether, Pin};

use super::{
    rules::{apart, patterns},
    *,
};

/// Servers that need so many percent of the one type of hosts each, all the time.
fn even(percents: &[u32]) -> Traces {
    let mut traces = traces(5);
    let bins = traces.grid.bins;
    traces.servers.truncate(percents.len());
    traces.series = [(Metric::CpuMhz, 100), (Metric::MemMib, 1)]
        .map(|(metric, of)| {
            let rows = percents.iter().flat_map(|percent| vec![percent * of; bins]).collect();
            (metric, rows)
        })
        .into();
    traces
}

/// Small ones, so many of each name.
fn limited(types: &[(&str, Option<u32>)]) -> HostTypes {
    let small = hosts().host_type[0].clone();
    let of = |(name, count): &(&str, Option<u32>)| HostType {
        name: (*name).into(),
        count: *count,
        ..small.clone()
    };
    HostTypes { host_type: types.iter().map(of).collect() }
}

fn planned(traces: &Traces, hosts: &HostTypes, policy: &PlanPolicy) -> Plan {
    let plan = make(traces, request(hosts, policy, None), Timestamp::UNIX_EPOCH, 1, &|turns, _| turns > 500)
        .unwrap();
    let faults: Vec<String> = verify(&plan, traces).iter().map(ToString::to_string).collect();
    assert_eq!(faults, [""; 0]);
    plan
}

fn unspared() -> PlanPolicy {
    PlanPolicy { spare_hosts: 0, ..policy() }
}

type Found = (Vec<String>, Vec<String>, Vec<ClashHosts>, (u64, u64));

fn clash(plan: &Plan) -> Option<Found> {
    plan.assumptions.notes.iter().find_map(|note| match note {
        PlanNote::Clash { servers, rules, hosts, needed, there, .. } => {
            Some((servers.clone(), rules.clone(), hosts.clone(), (*needed, *there)))
        }
        _ => None,
    })
}

fn of(host_type: &str, count: u32) -> ClashHosts {
    ClashHosts { host_type: host_type.into(), count }
}

#[test]
fn three_of_sixty_percent_do_not_go_on_two() {
    let traces = even(&[60, 60, 5, 60, 5, 5]);
    let plan = planned(&traces, &limited(&[("r1", Some(2))]), &unspared());
    assert_eq!(plan.unplaced.len(), 1);
    let (servers, rules, hosts, counted) = clash(&plan).unwrap();
    assert_eq!((servers.as_slice(), rules.len()), (&["s0", "s1", "s3"].map(String::from)[..], 0));
    assert_eq!((hosts, counted), (vec![of("r1", 2)], (3, 2)));
    let told = plan.assumptions.notes.iter().map(ToString::to_string).collect::<String>();
    assert!(
        told.contains("s0, s1, s3; 2 of r1. They need 3 hosts, and there are 2. This is proved"),
        "{told}"
    );
    // A third one, or no limit, and nothing clashes.
    assert_eq!(clash(&planned(&traces, &limited(&[("r1", Some(3))]), &unspared())), None);
    assert_eq!(clash(&planned(&traces, &limited(&[("r1", Some(2)), ("r2", None)]), &unspared())), None);
}

#[test]
fn pins_that_overload_a_host_are_part_of_the_clash_and_others_are_not() {
    let traces = even(&[30, 40, 50, 20, 20, 10]);
    let pin = |servers: &[&str], types: &[&str]| Pin {
        servers: patterns(servers),
        host_types: types.iter().map(|name| (*name).into()).collect(),
    };
    let policy = PlanPolicy {
        pin: vec![pin(&["s3"], &["wide"]), pin(&["s0", "s1", "s2", "s4"], &["island"])],
        ..unspared()
    };
    let plan = planned(&traces, &limited(&[("wide", None), ("island", Some(1))]), &policy);
    let (servers, rules, hosts, counted) = clash(&plan).unwrap();
    assert_eq!(servers, ["s0", "s1", "s2"]);
    assert_eq!((rules, hosts, counted), (vec!["pin[1]".to_owned()], vec![of("island", 1)], (12_000, 10_000)));

    let rejected = |change: &dyn Fn(&mut Plan)| {
        let mut changed = plan.clone();
        change(&mut changed);
        verify(&changed, &traces).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    let at = plan.assumptions.notes.iter().position(|note| matches!(note, PlanNote::Clash { .. })).unwrap();
    type Change = fn(&mut Vec<String>, &mut Vec<String>, &mut Vec<ClashHosts>, &mut u64);
    let lies: [(Change, &str); 7] = [
        (|servers, _, _, _| servers.push("s4".into()), "as it says it"),
        (|servers, _, _, _| drop(servers.pop()), "as it says it"),
        (
            |servers, _, _, needed| {
                servers.push("s4".into());
                *needed += 2_000;
            },
            "does so without s0",
        ),
        (|_, rules, _, _| rules.clear(), "as it says it"),
        (|_, rules, _, _| rules.push("pin[0]".into()), "does so without pin[0]"),
        (|_, _, hosts, _| hosts[0].count = 2, "as it says it"),
        (|_, _, _, needed| *needed += 1, "as it says it"),
    ];
    for (lie, told) in lies {
        let said = rejected(&|plan| {
            let PlanNote::Clash { servers, rules, hosts, needed, .. } = &mut plan.assumptions.notes[at]
            else {
                unreachable!()
            };
            lie(servers, rules, hosts, needed);
        });
        assert!(said.contains(told), "{told}: {said}");
    }
    assert!(
        rejected(&|plan| drop(plan.assumptions.notes.remove(at))).contains("why there are not enough hosts")
    );
    let hidden = |plan: &mut Plan| plan.assumptions.notes[at] = PlanNote::NoPlaceFound { servers: 7 };
    assert!(rejected(&hidden).contains("of others that no place was found"));
}

#[test]
fn who_stays_together_or_apart_is_named() {
    // Two pairs of 60 % on one host, and one on another.
    let traces = even(&[30, 30, 30, 30, 30, 30]);
    let pair = |name: &str, servers: &[&str]| KeepTogether { name: name.into(), servers: patterns(servers) };
    let policy = PlanPolicy {
        keep_together: vec![pair("a", &["s0", "s1"]), pair("b", &["s2", "s3"]), pair("c", &["s4", "s5"])],
        ..unspared()
    };
    let plan = planned(&traces, &limited(&[("r1", Some(2))]), &policy);
    let (servers, rules, _, counted) = clash(&plan).unwrap();
    assert_eq!((servers.len(), rules.len(), counted), (6, 3, (3, 2)));
    // Apart: three pinned to two hosts.
    let policy = PlanPolicy {
        keep_apart: apart(&["s0", "s1", "s2"], Across::Host),
        pin: vec![Pin { servers: patterns(&["s*"]), host_types: vec!["r1".into()] }],
        ..unspared()
    };
    let plan = planned(&traces, &limited(&[("r1", Some(2)), ("r2", None)]), &policy);
    let (servers, rules, _, counted) = clash(&plan).unwrap();
    assert_eq!((servers, counted), (vec!["s0".to_owned(), "s1".into(), "s2".into()], (3, 2)));
    assert_eq!(rules, ["keep_apart a", "pin[0]"]);
}

#[test]
fn what_is_not_proved_is_not_said_to_be() {
    let mut traces = even(&[1, 1, 1, 1, 1]);
    let bins = traces.grid.bins;
    // Each is busy together with the next one, and the last with the first: no single moment needs more than two hosts.
    let cpu = traces.series.get_mut(&Metric::CpuMhz).unwrap();
    for (server, row) in cpu.chunks_mut(bins).enumerate() {
        for (bin, value) in row.iter_mut().enumerate() {
            *value = if bin % 5 == server || (bin + 1) % 5 == server { 6_000 } else { 100 };
        }
    }
    let plan = planned(&traces, &limited(&[("r1", Some(2))]), &unspared());
    assert!(!plan.unplaced.is_empty(), "a ring of five pairs that clash needs three");
    assert_eq!(clash(&plan), None);
    let said = PlanNote::NoPlaceFound { servers: plan.unplaced.len() as u32 };
    assert!(plan.assumptions.notes.contains(&said));
}

#[test]
fn a_group_that_no_host_carries_is_told_with_as_few_as_clash() {
    let traces = even(&[30, 30, 30, 10, 50, 5]);
    let policy = PlanPolicy {
        keep_together: vec![KeepTogether { name: "t".into(), servers: patterns(&["s*"]) }],
        ..unspared()
    };
    let told = |hosts: &HostTypes, policy: &PlanPolicy| {
        let made = make(&traces, request(hosts, policy, None), Timestamp::UNIX_EPOCH, 1, &|_, _| true);
        made.unwrap_err().to_string()
    };
    let said = told(&limited(&[("r1", None)]), &policy);
    assert!(
        said.contains("s2, s3, s4, s5 stay together") || said.contains("s1, s2, s4 stay together"),
        "{said}"
    );
    assert!(said.contains("of cpu_mhz they need") && said.contains("10000 of a r1 may be used"), "{said}");
    let mut wide = limited(&[("r1", None), ("r2", None)]);
    (wide.host_type[1].cpu_mhz, wide.host_type[1].memory_mib) = (50_000, 65_536);
    let pinned =
        PlanPolicy { pin: vec![Pin { servers: patterns(&["s0"]), host_types: vec!["r1".into()] }], ..policy };
    assert!(
        told(&wide, &pinned).contains("keep them from r2, which would carry them"),
        "{}",
        told(&wide, &pinned)
    );
}
