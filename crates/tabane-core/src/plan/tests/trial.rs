//! What is tried is judged as a plan is, and changes nothing.

use tabane_model::{
    Across, KeepApart, KeepTogether, Pin, ServerPattern,
    planning::{BreachKind, Trial, TrialMove},
};

use super::*;

fn to(server: &str, host: &str) -> TrialMove {
    TrialMove { server: server.into(), host: host.into(), host_type: None }
}

fn to_new(server: &str, host: &str, host_type: &str) -> TrialMove {
    TrialMove { host_type: Some(host_type.into()), ..to(server, host) }
}

fn tried(plan: &Plan, traces: &Traces, moves: &[TrialMove]) -> Trial {
    Bench::new(plan, traces).unwrap().attempt(plan, traces, moves).unwrap()
}

#[test]
fn a_server_on_a_host_of_its_own_costs_a_host_and_moving_back_costs_nothing() {
    let traces = traces(8);
    let plan = made(&traces, &policy());
    let trial = tried(&plan, &traces, &[to_new("s3", "new-1", "small")]);
    assert!(trial.fits && trial.breaches.is_empty());
    assert_eq!(trial.cost.hosts_after - trial.cost.hosts_before, 10.0);
    let [old, new] = &trial.hosts[..] else { panic!("{:?}", trial.hosts) };
    assert_eq!((old.id.as_str(), old.servers.len(), new.id.as_str()), ("host-001", 11, "new-1"));
    let cpu = &new.resources[0];
    // It is busy from six to eight o'clock of the first day on.
    assert_eq!(
        (cpu.resource.as_str(), cpu.peak_before, cpu.peak, cpu.at_unix),
        ("cpu_mhz", 0, 6_000, 6 * 3_600)
    );
    assert_eq!((cpu.planned, cpu.capacity), (10_000, 10_000));
    assert_eq!((new.overload_probability_before, new.overload_probability), (None, Some(0.0)));
    // The peak of the old one stays: one of the others is busy at each other moment.
    assert_eq!((old.resources[0].peak_before, old.resources[0].peak), (8_200, 8_000));

    let back = tried(&plan, &traces, &[to_new("s3", "new-1", "small"), to("s3", "host-001")]);
    assert_eq!(back.cost.hosts_after, back.cost.hosts_before);
    assert_eq!((back.hosts[0].servers.len(), back.hosts[1].servers.len()), (12, 0));
}

#[test]
fn each_rule_that_a_move_breaks_is_told() {
    let traces = traces(8);
    let mut policy = policy();
    let named = |names: &[&str]| names.iter().map(|name| ServerPattern((*name).into())).collect::<Vec<_>>();
    let (name, servers) = ("pair".into(), named(&["s1", "s2"]));
    policy.keep_apart.push(KeepApart { name, servers, across: Across::Host });
    policy.keep_together.push(KeepTogether { name: "shop".into(), servers: named(&["s4", "s5"]) });
    policy.pin.push(Pin { servers: named(&["s6"]), host_types: vec!["small".into()] });
    let plan = made(&traces, &policy);
    assert_eq!(verify(&plan, &traces).len(), 0);
    let home =
        |server: &str| plan.hosts.iter().find(|host| host.servers.iter().any(|s| s == server)).unwrap();
    let trial = tried(&plan, &traces, &[to("s1", &home("s2").id)]);
    let told: Vec<_> = trial.hosts.iter().flat_map(|host| &host.breaches).collect();
    assert_eq!(
        (told.len(), told[0].kind, &told[0].names[..]),
        (1, BreachKind::Apart, &["s1".into(), "s2".into()][..])
    );
    assert!(!trial.fits);
    let trial = tried(&plan, &traces, &[to_new("s4", "n", "small")]);
    assert_eq!((trial.fits, trial.breaches[0].kind), (false, BreachKind::Together));
    let trial = tried(&plan, &traces, &[to_new("s6", "n", "large")]);
    let told = &trial.hosts.iter().find(|host| host.id == "n").unwrap().breaches;
    assert_eq!((told.len(), told[0].kind), (1, BreachKind::HostType));
}

#[test]
fn too_much_is_told_with_moment_and_risk_and_spares_have_to_do() {
    // All busy at the same time: two to a small host.
    let mut traces = traces(8);
    traces.series.insert(Metric::CpuMhz, vec![4_000; 12 * 8 * DAY]);
    let mut hosts = hosts();
    hosts.host_type.truncate(1);
    hosts.host_type[0].count = Some(7);
    let policy = policy();
    let plan =
        make(&traces, request(&hosts, &policy, None), Timestamp::UNIX_EPOCH, 1, &|turns, _| turns > 500)
            .unwrap();
    assert_eq!(plan.hosts.len(), 7);
    let (one, other) = (&plan.hosts[0], &plan.hosts[1]);
    let trial = tried(&plan, &traces, &[to(&other.servers[0], &one.id)]);
    let full = trial.hosts.iter().find(|host| host.id == one.id).unwrap();
    assert_eq!((full.fits, full.breaches[0].kind, full.overload_share), (false, BreachKind::Overload, 1.0));
    assert_eq!((full.overload_probability_before, full.overload_probability), (Some(0.0), Some(1.0)));
    assert_eq!((trial.reserve_holds, trial.cost.hosts_after), (Some(false), plan.cost));
    let trial = tried(&plan, &traces, &[to_new(&other.servers[0], "n", "small")]);
    assert_eq!((trial.fits, trial.breaches[0].kind), (false, BreachKind::Count));
    assert_eq!(trial.reserve_holds, Some(true));
}

#[test]
fn what_is_moved_has_to_be_there() {
    let traces = traces(8);
    let plan = made(&traces, &policy());
    let bench = Bench::new(&plan, &traces).unwrap();
    let told = |one: TrialMove| bench.attempt(&plan, &traces, &[one]).unwrap_err().to_string();
    assert!(told(to("nobody", "host-001")).contains("nobody is not among"));
    assert!(told(to("s1", "host-009")).contains("no host host-009"));
    assert!(told(to_new("s1", "spare-001", "small")).contains("no host spare-001"));
    assert!(told(to_new("s1", "n", "huge")).contains("no type of host huge"));
}

#[test]
fn plans_are_compared_by_what_is_on_their_hosts() {
    let traces = traces(8);
    let plan = made(&traces, &policy());
    let mut other = plan.clone();
    other.hosts[0].id = "renamed".into();
    let same = compare(("a", &plan), ("b", &other));
    assert!(same.moved.is_empty(), "{:?}", same.moved);
    assert_eq!((same.hosts.len(), same.hosts[0].same), (1, 12));
    let mut split = other.hosts[0].clone();
    split.id = "second".into();
    split.servers = other.hosts[0].servers.split_off(10);
    let gone = other.hosts[0].servers.pop().unwrap();
    other.hosts.push(split.clone());
    let differ = compare(("a", &plan), ("b", &other));
    assert_eq!((differ.a.hosts, differ.b.hosts, differ.hosts.len(), differ.moved.len()), (1, 2, 2, 3));
    let lost = differ.moved.iter().find(|moved| moved.server == gone).unwrap();
    assert_eq!((lost.a.as_deref(), lost.b.as_deref()), (Some("host-001"), None));
}
