//! Plans that are made are proved; plans that are changed are not.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tabane_model::{
    Gaps, Grid, Growth, HostType, HostTypes, MemoryBasis, Metric, NO_SAMPLE, Objective, Plan, PlanNote,
    PlanPolicy, Source, Traces,
};

use super::*;

mod absurd;
mod cpus;
mod drift;
mod judges;
mod large;
mod licences;
mod mutations;
mod overcommit;
mod replan;
mod review;
mod rules;
mod shortage;
mod supported;
mod tco;
mod trial;
mod waves;

const STEP_S: u32 = 3_600;
const DAY: usize = 24;

fn grid(days: usize) -> Grid {
    Grid { first_bin_unix: 0, step_s: STEP_S, bins: days * DAY }
}

/// Servers that are busy some hours of each day, each at its own.
fn traces(days: usize) -> Traces {
    let grid = grid(days);
    let servers: Vec<Source> = (0..12)
        .map(|at| Source {
            name: format!("s{at}"),
            cores: 4,
            cpu_cap_mhz: 8_000,
            mem_cap_mib: 4_096,
            labels: Vec::new(),
        })
        .collect();
    let of = |busy: u32, idle: u32| -> Vec<u32> {
        let value = |server: usize, bin: usize| if bin % DAY / 2 == server { busy } else { idle };
        (0..servers.len()).flat_map(|server| (0..grid.bins).map(move |bin| value(server, bin))).collect()
    };
    let series = BTreeMap::from([(Metric::CpuMhz, of(6_000, 200)), (Metric::MemMib, of(2_000, 1_000))]);
    Traces { grid, servers, series, findings: Vec::new() }
}

fn hosts() -> HostTypes {
    let kind = |name: &str, cpu_mhz: u32, memory_mib: u32, price: f64| HostType {
        name: name.into(),
        cpu_cores: 8,
        cpu_mhz,
        cpu_model: None,
        cpu_index: None,
        memory_mib,
        disk_gib: None,
        disk_kbs: None,
        disk_iops: None,
        net_kbs: None,
        price,
        watts: 0.0,
        count: None,
        sockets: 1,
        domain: None,
        cpu_family: "x86".into(),
    };
    HostTypes { host_type: vec![kind("small", 10_000, 16_384, 10.0), kind("large", 20_000, 32_768, 30.0)] }
}

fn request<'a>(
    hosts: &'a HostTypes,
    policy: &'a PlanPolicy,
    costs: Option<&'a tabane_model::Costs>,
) -> Request<'a> {
    Request { hosts, policy, costs, products: &[], support: &[] }
}

fn policy() -> PlanPolicy {
    PlanPolicy { memory: MemoryBasis::Active, fill_max: 1.0, ..PlanPolicy::default() }
}

fn made(traces: &Traces, policy: &PlanPolicy) -> Plan {
    make(traces, request(&hosts(), policy, None), Timestamp::UNIX_EPOCH, 1, &|turns, _| turns > 500).unwrap()
}

#[test]
fn servers_that_are_never_busy_together_share_a_host() {
    let traces = traces(8);
    let plan = made(&traces, &policy());
    assert_eq!(verify(&plan, &traces).len(), 0);
    // At each moment one is busy and eleven idle: 8,200 MHz and 13,000 MiB.
    let used: Vec<_> = plan.hosts.iter().filter(|host| !host.spare).collect();
    assert_eq!((used.len(), used[0].servers.len()), (1, 12));
    assert_eq!((plan.lower_bound.hosts, plan.failures_absorbed), (1, 1));
    // Nothing was seen on eight days of a host; half a one more may have an hour of it.
    let expected = plan.predicted_overload_share.unwrap();
    assert!((expected - 0.5 / 24.0 / 9.0).abs() < 1e-12, "{expected}");
    assert!(plan.assumptions.notes.contains(&PlanNote::LittleHistory { expected_share: expected }));
    // Hosts were to be few, and costs are money all the same.
    assert!(plan.lower_bound.cost >= 10.0 && plan.lower_bound.cost <= plan.cost, "{}", plan.lower_bound.cost);
    // Their days are alike, so no shift makes them meet.
    assert_eq!(used[0].overload_probability, Some(0.0));
    for told in [Some(0.5), None] {
        let mut changed = plan.clone();
        changed.hosts[0].overload_probability = told;
        let faults = verify(&changed, &traces);
        assert_eq!(faults[0].to_string(), "host-001 is overloaded more or less often than it says");
    }
}

#[test]
fn no_host_is_much_fuller_than_another() {
    let mut traces = traces(8);
    let all = traces.servers.len() * traces.grid.bins;
    traces.series = BTreeMap::from([(Metric::CpuMhz, vec![1_000; all]), (Metric::MemMib, vec![500; all])]);
    let mut hosts = hosts();
    hosts.host_type.truncate(1);
    let made_within = |turns_max: u64| {
        let policy = policy();
        let stop = |turns: u64, _: f64| turns >= turns_max;
        let plan = make(&traces, request(&hosts, &policy, None), Timestamp::UNIX_EPOCH, 1, &stop).unwrap();
        assert_eq!(verify(&plan, &traces).len(), 0);
        let used = plan.hosts.iter().filter(|host| !host.spare).map(|host| host.servers.len());
        let mut used: Vec<usize> = used.collect();
        used.sort_unstable();
        used
    };
    assert_eq!(made_within(500), [6, 6]);
    // First fit, where there is no time for more.
    assert_eq!(made_within(0), [2, 10]);
}

#[test]
fn configured_memory_counts_where_the_policy_says_so() {
    let traces = traces(8);
    let plan = made(&traces, &PlanPolicy { memory: MemoryBasis::Configured, ..policy() });
    // 12 × 4,096 MiB are more than any host has.
    assert_eq!(plan.lower_bound.hosts, 2);
    assert_eq!(verify(&plan, &traces).len(), 0);
}

#[test]
fn what_is_missing_is_never_taken_for_idle_unless_asked() {
    let mut traces = traces(8);
    let bins = traces.grid.bins;
    // Of the first server only its own busy hours are known, when no other is busy.
    let cpu = traces.series.get_mut(&Metric::CpuMhz).unwrap();
    cpu[..bins].iter_mut().filter(|value| **value < 1_000).for_each(|value| *value = NO_SAMPLE);
    let careful = made(&traces, &policy());
    let bold = made(&traces, &PlanPolicy { gaps: Gaps::Zero, ..policy() });
    assert!(careful.data_quality.missing_share > 0.0);
    let peak = |plan: &Plan| plan.hosts[0].peaks[0].share;
    assert!(peak(&careful) > 1.5 * peak(&bold), "{} and {}", peak(&careful), peak(&bold));
    assert_eq!(verify(&careful, &traces).len(), 0);
    assert_eq!(verify(&bold, &traces).len(), 0);
}

#[test]
fn a_server_without_a_trace_has_no_place_and_a_reason() {
    let mut traces = traces(8);
    traces.servers.push(Source { name: "silent".into(), ..traces.servers[0].clone() });
    let bins = traces.grid.bins;
    traces.series.values_mut().for_each(|rows| rows.extend(vec![NO_SAMPLE; bins]));
    let plan = made(&traces, &policy());
    assert_eq!(plan.unplaced[0].server, "silent");
    assert!(plan.unplaced[0].reason.contains("nothing was measured"));
    assert_eq!(verify(&plan, &traces).len(), 0);
}

#[test]
fn too_short_a_trace_states_no_probability() {
    let traces = traces(2);
    let plan = made(&traces, &policy());
    assert_eq!(plan.predicted_overload_share, None);
    assert!(plan.hosts.iter().all(|host| host.overload_probability.is_none()));
    assert!(plan.assumptions.notes.iter().any(|note| note.to_string().contains("not known")));
}

#[test]
fn the_margin_grows_until_unseen_loads_keep_the_accepted_share() {
    // Who plans with the last days sees nothing new on the others: only a plan of the earlier half tells what came later.
    for days_busier in [2, 4] {
        let mut traces = traces(8);
        let bins = traces.grid.bins;
        let cpu = traces.series.get_mut(&Metric::CpuMhz).unwrap();
        let busier = |row: &mut [u32]| row.iter_mut().for_each(|value| *value = *value * 5 / 4);
        cpu.chunks_mut(bins).for_each(|row| busier(&mut row[bins - days_busier * DAY..]));
        let plan = made(&traces, &PlanPolicy { objective: Objective::Cost, ..policy() });
        assert!(plan.assumptions.fill < 1.0, "a full host was overloaded later: {}", plan.assumptions.fill);
        // Nothing was seen with this fill, and of few days.
        let is_told = |note: &PlanNote| matches!(note, PlanNote::LittleHistory { .. });
        assert!(plan.assumptions.notes.iter().any(is_told), "{:?}", plan.assumptions.notes);
        assert_eq!(verify(&plan, &traces).len(), 0);
    }
}

#[test]
fn a_changed_plan_is_rejected() {
    let traces = traces(8);
    let plan = made(&traces, &PlanPolicy { memory: MemoryBasis::Configured, ..policy() });
    let rejected = |change: &dyn Fn(&mut Plan)| {
        let mut changed = plan.clone();
        change(&mut changed);
        let faults = verify(&changed, &traces);
        assert!(!faults.is_empty());
        faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    assert!(
        rejected(&|p| {
            p.hosts[0].servers.pop();
        })
        .contains("0 times")
    );
    assert!(rejected(&|p| p.hosts[0].servers.push("ghost".into())).contains("no trace of ghost"));
    assert!(
        rejected(&|p| {
            let s = p.hosts[1].servers.clone();
            p.hosts[0].servers.extend(s);
        })
        .contains("carry")
    );
    assert!(rejected(&|p| p.hosts[0].host_type = "none".into()).contains("unknown type none"));
    assert!(rejected(&|p| p.cost -= 1.0).contains("its hosts cost"));
    assert!(rejected(&|p| p.lower_bound.hosts += 1).contains("proved"));
    assert!(rejected(&|p| p.lower_bound.cost += 1.0).contains("proved"));
    assert!(rejected(&|p| p.lower_bound.certificate = None).contains("proved"));
    assert!(rejected(&|p| p.hosts.retain(|host| !host.spare)).contains("failure of 1"));
    assert!(rejected(&|p| p.assumptions.fill = 2.0).contains("fill"));
    assert!(rejected(&|p| p.version = 9).contains("version 9"));
}

#[test]
fn without_cpu_or_the_memory_that_is_asked_for_there_is_no_plan() {
    let mut traces = traces(8);
    traces.series.remove(&Metric::MemMib);
    let error = make(&traces, request(&hosts(), &policy(), None), Timestamp::UNIX_EPOCH, 1, &|_, _| true)
        .unwrap_err();
    assert!(error.to_string().contains("no load of memory_mib"), "{error}");
}

#[test]
fn servers_of_which_little_is_known_are_named_take_more_room_or_are_left_out() {
    let mut traces = traces(8);
    let bins = traces.grid.bins;
    // Two days are known of the first server, among them one busy moment.
    let cpu = traces.series.get_mut(&Metric::CpuMhz).unwrap();
    cpu[2 * DAY..bins].fill(NO_SAMPLE);
    let plan = made(&traces, &policy());
    assert_eq!(verify(&plan, &traces).len(), 0);
    let thin = &plan.data_quality.thin[0];
    assert_eq!((thin.server.as_str(), thin.days_measured, thin.missing_share), ("s0", 2.0, 0.75));
    assert_eq!((plan.data_quality.thin.len(), thin.days_wanted), (1, 20.0));
    assert!(plan.assumptions.notes.contains(&tabane_model::PlanNote::Thin { servers: 1 }));
    // It is as busy as it ever was whenever nothing is known: 6,000 MHz beside another that is busy.
    assert!(
        plan.hosts.iter().any(|host| host.peaks[0].share * 20_000.0 >= 12_000.0 || host.servers == ["s0"])
    );
    let plan = made(&traces, &PlanPolicy { days_min: 7.0, ..policy() });
    assert_eq!(verify(&plan, &traces).len(), 0);
    assert_eq!(plan.unplaced[0].reason, "it was measured for 2.0 days, and the policy asks for 7");
}

#[test]
fn what_a_plan_says_of_itself_is_proved_too() {
    let mut traces = traces(8);
    traces.findings.push(tabane_model::Finding::ServerWithoutTrace { server: "x".into() });
    let cpu = traces.series.get_mut(&Metric::CpuMhz).unwrap();
    cpu[..3 * DAY].fill(NO_SAMPLE);
    let plan = made(&traces, &policy());
    assert_eq!(verify(&plan, &traces).len(), 0);
    let rejected = |change: &dyn Fn(&mut Plan)| {
        let mut changed = plan.clone();
        change(&mut changed);
        verify(&changed, &traces).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    assert!(rejected(&|plan| plan.data_quality.thin.clear()).contains("of the data"));
    assert!(rejected(&|plan| plan.data_quality.findings.clear()).contains("of the data"));
    assert!(rejected(&|plan| plan.data_quality.first_bin_unix += 1).contains("of the data"));
    assert!(rejected(&|plan| plan.assumptions.notes.clear()).contains("too little is known"));
    assert!(rejected(&|plan| plan.predicted_overload_share = None).contains("states no risk"));
    assert!(
        rejected(&|plan| plan.predicted_overload_share = Some(0.5))
            .contains("more overload than is accepted")
    );
    assert!(rejected(&|plan| drop(plan.assumptions.resources.pop())).contains("other resources"));
    let unspared = |plan: &mut Plan| {
        plan.failures_absorbed = 0;
        plan.cost -= 10.0;
        plan.hosts.retain(|host| !host.spare);
        plan.waves[0].new_hosts.retain(|host| !host.starts_with("spare"));
    };
    assert!(
        rejected(&unspared).contains("fewer failures than the policy asks for"),
        "{}",
        rejected(&unspared)
    );
    let forgotten = |plan: &mut Plan| {
        plan.unplaced.push(tabane_model::UnplacedServer {
            server: "s0".into(),
            reason: "?".into(),
            cause: None,
        });
    };
    assert!(rejected(&forgotten).contains("s0 is named 2 times"));
}

#[test]
fn disk_space_is_a_resource_where_it_is_known_and_limited() {
    let mut traces = traces(8);
    let spacious = made(&traces, &policy());
    let mut hosts = hosts();
    hosts.host_type.iter_mut().for_each(|kind| kind.disk_gib = Some(1_000));
    let policy = PlanPolicy { growth: Growth { disk_space_percent: 10.0, ..Growth::default() }, ..policy() };
    let planned = |traces: &Traces| {
        let request = request(&hosts, &policy, None);
        let plan = make(traces, request, Timestamp::UNIX_EPOCH, 1, &|turns, _| turns > 500).unwrap();
        let faults: Vec<String> = verify(&plan, traces).iter().map(ToString::to_string).collect();
        assert!(faults.is_empty(), "{faults:?}");
        plan
    };
    let unknown = |plan: &Plan| {
        plan.assumptions.notes.iter().find_map(|note| match note {
            PlanNote::DiskSpaceUnknown { servers } => Some(*servers),
            _ => None,
        })
    };
    // Nobody knows: it counts as nothing, and the plan says so.
    let plan = planned(&traces);
    assert_eq!((plan.hosts.len(), unknown(&plan)), (spacious.hosts.len(), Some(12)));
    let mut silent = plan.clone();
    silent.assumptions.notes.retain(|note| !matches!(note, PlanNote::DiskSpaceUnknown { .. }));
    assert!(verify(&silent, &traces)[0].to_string().contains("disk space is not known"));

    // Eleven of 220 GiB and a tenth more, four to a host of 1,000; one is unknown.
    for server in &mut traces.servers[..11] {
        server.labels.push(("disk_bytes".into(), (500u64 << 30).to_string()));
        server.labels.push(("disk_gib".into(), "219.2".into()));
    }
    let plan = planned(&traces);
    let used = plan.hosts.iter().filter(|host| !host.spare).count();
    assert_eq!((used, plan.lower_bound.hosts, unknown(&plan)), (3, 3, Some(1)));
    let mut crowded = plan.clone();
    let to = crowded.hosts.iter().position(|host| host.servers.len() == 4).unwrap();
    let from = if to == 0 { 1 } else { 0 };
    let at = crowded.hosts[from].servers.iter().position(|server| server != "s11").unwrap();
    let server = crowded.hosts[from].servers.remove(at);
    crowded.hosts[to].servers.push(server);
    let told: Vec<String> = verify(&crowded, &traces).iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|fault| fault.contains("disk_gib")), "{told:?}");
}
