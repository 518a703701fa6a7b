//! What a policy says about certain servers is kept, and proved; what cannot be kept is told.

use proptest::prelude::*;
use tabane_model::{
    Across, DayOfWeek, Dependency, Growth, KeepApart, KeepTogether, MoveWindow, Overhead, Phases, Pin,
    Reserve, ServerPattern,
};

use super::*;

pub(super) fn patterns(names: &[&str]) -> Vec<ServerPattern> {
    names.iter().map(|name| ServerPattern((*name).into())).collect()
}

pub(super) fn apart(names: &[&str], across: Across) -> Vec<KeepApart> {
    vec![KeepApart { name: "a".into(), servers: patterns(names), across }]
}

pub(super) fn together(names: &[&str]) -> Vec<KeepTogether> {
    vec![KeepTogether { name: "t".into(), servers: patterns(names) }]
}

fn told(policy: &PlanPolicy, hosts: &HostTypes) -> String {
    let made =
        make(&traces(8), request(hosts, policy, None), Timestamp::UNIX_EPOCH, 1, &|turns, _| turns > 500);
    made.unwrap_err().to_string()
}

fn host_of<'a>(plan: &'a Plan, server: &str) -> &'a str {
    &plan.hosts.iter().find(|host| host.servers.iter().any(|s| s == server)).expect("it has a place").id
}

#[test]
fn servers_are_kept_apart_and_together() {
    let traces = traces(8);
    let policy = PlanPolicy {
        keep_apart: apart(&["s0", "s1", "s2"], Across::Host),
        keep_together: together(&["s3", "s4"]),
        pin: vec![Pin { servers: patterns(&["s3"]), host_types: vec!["large".into()] }],
        exclude: patterns(&["s11"]),
        ..policy()
    };
    let plan = made(&traces, &policy);
    assert_eq!(verify(&plan, &traces).iter().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
    let [a, b, c] = ["s0", "s1", "s2"].map(|server| host_of(&plan, server));
    assert!(a != b && b != c && a != c);
    assert_eq!(host_of(&plan, "s3"), host_of(&plan, "s4"));
    assert_eq!(plan.unplaced[0].server, "s11");
    assert_eq!((plan.lower_bound.hosts, plan.lower_bound.kind.as_str()), (3, "apart"));

    let rejected = |change: &dyn Fn(&mut Plan)| {
        let mut changed = plan.clone();
        change(&mut changed);
        verify(&changed, &traces).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    // Each server is moved to each other host: what is not allowed is told, by whom it concerns.
    let mv = |server: &str, to: &str| {
        rejected(&|plan| {
            plan.hosts.iter_mut().for_each(|host| host.servers.retain(|known| known != server));
            plan.hosts.iter_mut().find(|host| host.id == to).unwrap().servers.push(server.into());
        })
    };
    assert!(mv("s0", b).contains("are kept apart, and both on"), "{}", mv("s0", b));
    let elsewhere = [a, b, c].into_iter().find(|host| *host != host_of(&plan, "s3")).unwrap();
    assert!(mv("s4", elsewhere).contains("keep_together t is on several hosts"));
    assert!(mv("s11", a).contains("not to be planned for"));
    let small = plan.hosts.iter().find(|host| host.host_type == "small" && !host.spare);
    if let Some(small) = small {
        assert!(mv("s3", &small.id).contains("must not be on a host of type small"));
    }
    assert!(
        rejected(&|plan| {
            plan.hosts[0].spare = true;
        })
        .contains("stands by, and has servers")
    );
    let limited = |plan: &mut Plan| {
        let used =
            plan.hosts.iter().filter(|host| host.host_type == plan.hosts[0].host_type && !host.spare).count();
        let name = plan.hosts[0].host_type.clone();
        plan.hosts.last_mut().unwrap().host_type = name.clone();
        let kind = plan.assumptions.host_types.iter_mut().find(|kind| kind.name == name).unwrap();
        kind.count = Some(used as u32);
    };
    assert!(rejected(&limited).contains("hosts of type"), "{}", rejected(&limited));
    assert!(rejected(&|plan| plan.lower_bound.hosts = 4).contains("proved"));
    assert!(rejected(&|plan| plan.hosts[1].id = plan.hosts[0].id.clone()).contains("two hosts called"));
}

#[test]
fn groups_are_spread_over_domains() {
    let traces = traces(8);
    let mut hosts = hosts();
    let small = hosts.host_type[0].clone();
    let in_domain = |name: &str, domain: &str| HostType {
        name: name.into(),
        domain: Some(domain.into()),
        ..small.clone()
    };
    hosts.host_type = vec![in_domain("a1", "rack-a"), in_domain("a2", "rack-a"), in_domain("b1", "rack-b")];
    let policy = PlanPolicy { keep_apart: apart(&["s5", "s6"], Across::Domain), ..policy() };
    let make = |policy: &PlanPolicy| {
        make(&traces, request(&hosts, policy, None), Timestamp::UNIX_EPOCH, 1, &|turns, _| turns > 500)
    };
    let plan = make(&policy).unwrap();
    assert_eq!(verify(&plan, &traces).len(), 0);
    let kind = |server: &str| {
        let host = host_of(&plan, server);
        plan.hosts.iter().find(|h| h.id == host).unwrap().host_type.chars().next().unwrap()
    };
    assert!(kind("s5") != kind("s6"));
    let mut changed = plan.clone();
    changed.hosts.iter_mut().for_each(|host| host.host_type = "b1".into());
    let faults = verify(&changed, &traces).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    assert!(faults.contains("keep_apart a has two in one domain"), "{faults}");
    // A third has no domain left.
    let policy = PlanPolicy { keep_apart: apart(&["s5", "s6", "s7"], Across::Domain), ..policy };
    let error = make(&policy).unwrap_err().to_string();
    assert!(error.contains("wants 3 servers in domains of their own; there are 2 for them"), "{error}");
}

#[test]
fn rules_that_clash_are_told_and_nothing_is_planned() {
    let clash = |policy: &PlanPolicy| told(policy, &hosts());
    let both = PlanPolicy {
        keep_apart: apart(&["s0", "s1"], Across::Host),
        keep_together: together(&["s*"]),
        ..policy()
    };
    assert_eq!(
        clash(&both),
        "these cannot be kept together: keep_apart a has s0 and s1; keep_together t has both, too"
    );
    // Also where two groups meet in a third server.
    let pair = |name: &str, servers: &[&str]| KeepTogether { name: name.into(), servers: patterns(servers) };
    let chain = PlanPolicy {
        keep_apart: apart(&["s0", "s2"], Across::Host),
        keep_together: vec![pair("t1", &["s0", "s1"]), pair("t2", &["s1", "s2"])],
        ..policy()
    };
    assert!(clash(&chain).contains("keep_together t1 with t2 has both, too"), "{}", clash(&chain));
    let pin = |server: &str, name: &str| Pin { servers: patterns(&[server]), host_types: vec![name.into()] };
    let pinned = PlanPolicy {
        keep_together: together(&["s0", "s1"]),
        pin: vec![pin("s0", "small"), pin("s1", "large")],
        ..policy()
    };
    assert!(clash(&pinned).contains("no type of host in common"), "{}", clash(&pinned));
    let nowhere = PlanPolicy { pin: vec![pin("s0", "small"), pin("s0", "large")], ..policy() };
    assert!(clash(&nowhere).contains("the pins of s0 leave it no type of host"));
    let mut few = hosts();
    few.host_type.iter_mut().for_each(|host| host.count = Some(2));
    let many = PlanPolicy { keep_apart: apart(&["s*"], Across::Host), ..policy() };
    assert!(told(&many, &few).contains("has 12 servers; there are 4 hosts"));
    let heavy = PlanPolicy {
        keep_together: together(&["s*"]),
        memory: tabane_model::MemoryBasis::Configured,
        ..policy()
    };
    assert!(clash(&heavy).contains("no host that they may go to carries all of them"), "{}", clash(&heavy));
    let nobody = PlanPolicy { exclude: patterns(&["web*"]), ..policy() };
    assert!(clash(&nobody).contains("exclude: nobody is meant by web*"));
    let unknown = PlanPolicy { pin: vec![pin("s0", "huge")], ..policy() };
    assert!(clash(&unknown).contains("pin[0]: there is no type of host huge"));
    let domains = PlanPolicy { keep_apart: apart(&["s0", "s1"], Across::Domain), ..policy() };
    assert!(clash(&domains).contains("no type of host says which domain"));
}

#[test]
fn growth_and_overhead_are_planned_for() {
    let traces = traces(8);
    let peak = |policy: &PlanPolicy, resource: usize| {
        let plan = made(&traces, &PlanPolicy { fill_max: 1.0, ..policy.clone() });
        assert_eq!(verify(&plan, &traces).len(), 0);
        let host = &plan.hosts[0];
        let kind = hosts().host_type.into_iter().find(|kind| kind.name == host.host_type).unwrap();
        let has = [kind.cpu_mhz, kind.memory_mib][resource];
        (host.servers.len(), (host.peaks[resource].share * f64::from(has)).round())
    };
    let plain = PlanPolicy { pin: vec![large()], ..policy() };
    assert_eq!((peak(&plain, 0), peak(&plain, 1)), ((12, 8_200.0), (12, 13_000.0)));
    let growth = Growth { cpu_percent: 25.0, memory_percent: 10.0, ..Growth::default() };
    let overhead = vec![
        Overhead { servers: patterns(&["s0"]), cpu_percent: 0.0, memory_mib: 512 },
        Overhead { servers: patterns(&["*"]), cpu_percent: 10.0, memory_mib: 64 },
    ];
    let more = PlanPolicy { growth, overhead, ..plain };
    // A quarter more, and a tenth of that for all but the first: 6,000 MHz are 8,250, ten times 200 are 275 each, and 250.
    assert_eq!(peak(&more, 0), (12, 8_250.0 + 10.0 * 275.0 + 250.0));
    // Of 2,000 and eleven times 1,000 MiB a tenth more, and 512 and eleven times 64 besides.
    assert_eq!(peak(&more, 1), (12, 14_300.0 + 512.0 + 11.0 * 64.0));
}

fn large() -> Pin {
    Pin { servers: patterns(&["*"]), host_types: vec!["large".into()] }
}

#[test]
fn a_shared_reserve_needs_no_host_that_stands_by_where_the_others_have_enough_left() {
    let traces = traces(8);
    let policy = PlanPolicy {
        reserve: Reserve::Shared,
        fill_max: 0.7,
        keep_apart: apart(&["s0", "s1", "s2"], Across::Host),
        ..policy()
    };
    let plan = made(&traces, &policy);
    assert_eq!(verify(&plan, &traces).len(), 0);
    // Three that stay apart do so when a host fails, too: that takes a fourth.
    assert_eq!((plan.hosts.len(), plan.hosts.iter().filter(|host| host.spare).count()), (4, 1));
    // Twelve servers of 4 GiB on three hosts of 32: two have room for those of a third.
    let roomy = PlanPolicy {
        reserve: Reserve::Shared,
        fill_max: 0.7,
        memory: tabane_model::MemoryBasis::Configured,
        ..super::policy()
    };
    let enough = made(&traces, &roomy);
    assert_eq!(verify(&enough, &traces).len(), 0);
    assert_eq!((enough.hosts.len(), enough.hosts.iter().filter(|host| host.spare).count()), (3, 0));
    assert_eq!(
        (plan.failures_absorbed, plan.failover.len()),
        (1, plan.hosts.iter().filter(|h| !h.servers.is_empty()).count())
    );
    let rejected = |change: &dyn Fn(&mut Plan)| {
        let mut changed = plan.clone();
        change(&mut changed);
        verify(&changed, &traces).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    assert!(rejected(&|plan| drop(plan.failover.pop())).contains("nothing is said"));
    assert!(rejected(&|plan| drop(plan.failover[0].takeovers.pop())).contains("0 times"));
    assert!(rejected(&|plan| plan.failures_absorbed = 2).contains("failure of 2"));
    let two = made(&traces, &PlanPolicy { spare_hosts: 2, ..policy });
    assert_eq!((two.failures_absorbed, verify(&two, &traces).len()), (2, 0));
    assert!(two.hosts.iter().any(|host| host.spare));
}

pub(super) fn nights() -> Vec<MoveWindow> {
    let from = jiff::civil::time(22, 0, 0, 0);
    vec![MoveWindow { days: vec![DayOfWeek::Tue, DayOfWeek::Sat], from, hours: 9.0, people: 1 }]
}

fn policies() -> impl Strategy<Value = PlanPolicy> {
    let server = 0usize..12;
    let group = proptest::collection::vec(server, 2..4);
    (
        proptest::option::of(group.clone()),
        proptest::option::of(group.clone()),
        proptest::option::of(group),
        proptest::option::of((0usize..12, any::<bool>())),
        any::<bool>(),
        0u32..3,
        any::<bool>(),
        (0u32..30, 4u32..8, proptest::collection::vec(0usize..12, 1..4), any::<bool>()),
    )
        .prop_map(
            |(
                one,
                joined,
                out,
                pinned,
                shared,
                spare_hosts,
                cost,
                (growth, wave_servers, late, at_night),
            )| {
                let names = |group: Vec<usize>| {
                    let names: Vec<String> = group.iter().map(|at| format!("s{at}")).collect();
                    patterns(&names.iter().map(String::as_str).collect::<Vec<_>>())
                };
                PlanPolicy {
                    keep_apart: one
                        .map(|group| KeepApart {
                            name: "a".into(),
                            servers: names(group),
                            across: Across::Host,
                        })
                        .into_iter()
                        .collect(),
                    keep_together: joined
                        .map(|group| KeepTogether { name: "t".into(), servers: names(group) })
                        .into_iter()
                        .collect(),
                    exclude: out.map(names).unwrap_or_default(),
                    pin: pinned
                        .map(|(server, large)| Pin {
                            servers: names(vec![server]),
                            host_types: vec![if large { "large" } else { "small" }.into()],
                        })
                        .into_iter()
                        .collect(),
                    reserve: if shared { Reserve::Shared } else { Reserve::Spare },
                    spare_hosts,
                    objective: if cost { Objective::Cost } else { Objective::Hosts },
                    growth: Growth { cpu_percent: f64::from(growth), ..Growth::default() },
                    fill_max: 0.9,
                    phases: Phases {
                        pilot_servers: 3,
                        wave_servers,
                        critical: names(late[..1].to_vec()),
                        dependency: vec![Dependency { name: "d".into(), servers: names(late) }],
                        windows: if at_night { nights() } else { Vec::new() },
                        ..Phases::default()
                    },
                    ..policy()
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_the_policy_says_is_kept_and_proved(
        policy in policies(),
        counts in [proptest::option::of(0u32..3), proptest::option::of(0u32..3)],
        at in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
    ) {
        let (traces, mut hosts) = (traces(5), hosts());
        hosts.host_type.iter_mut().zip(counts).for_each(|(kind, count)| kind.count = count);
        let Ok(plan) = make(&traces, request(&hosts, &policy, None), Timestamp::UNIX_EPOCH, 1, &|turns, _| turns > 200) else {
            return Ok(());
        };
        let faults = verify(&plan, &traces).iter().map(ToString::to_string).collect::<Vec<_>>();
        prop_assert_eq!(faults, [""; 0]);
        prop_assert!(plan.lower_bound.hosts as usize <= plan.hosts.iter().filter(|host| !host.spare).count());
        prop_assert!(plan.hosts.is_empty() || plan.failures_absorbed == policy.spare_hosts || plan.assumptions.notes.iter().any(|n| n.to_string().contains("absorb")));
        // A takeover that goes elsewhere is fine or told, never silently one server less.
        if !plan.failover.is_empty() {
            let mut changed = plan.clone();
            let failover = at.get(&plan.failover).host.clone();
            let place = changed.failover.iter_mut().find(|f| f.host == failover).unwrap();
            let moved = place.takeovers[0].servers.pop().unwrap();
            prop_assert!(!verify(&changed, &traces).is_empty(), "{} goes nowhere", moved);
            let host = to.get(&plan.hosts).id.clone();
            let place = changed.failover.iter_mut().find(|f| f.host == failover).unwrap();
            let is_itself = host == failover;
            place.takeovers.push(tabane_model::Takeover { host, servers: vec![moved] });
            prop_assert!(!is_itself || !verify(&changed, &traces).is_empty(), "it goes to the host that failed");
        }
    }
}
