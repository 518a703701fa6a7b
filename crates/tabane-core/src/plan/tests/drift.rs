//! Memory in use that rises for days goes on rising, as far as it can.

use super::*;

pub(super) const DAYS: usize = 8;

/// Each server has 1,000 MiB in use on the first day and 50 more on each one after; it has `most` in all.
pub(super) fn rising(most: u32) -> Traces {
    let mut traces = traces(DAYS);
    let bins = traces.grid.bins;
    for server in &mut traces.servers {
        server.mem_cap_mib = most;
    }
    let memory = (0..traces.servers.len() * bins).map(|at| 1_000 + 50 * (at % bins / DAY) as u32).collect();
    traces.series.insert(Metric::MemMib, memory);
    traces
}

/// Of the small ones alone.
pub(super) fn made(traces: &Traces, policy: &PlanPolicy) -> Plan {
    let mut hosts = hosts();
    hosts.host_type.truncate(1);
    make(traces, request(&hosts, policy, None), Timestamp::UNIX_EPOCH, 1, &|turns, _| turns > 500).unwrap()
}

/// On the last day all twelve of them have 16,200 MiB of 16,384.
fn on_one_host() -> PlanPolicy {
    PlanPolicy { overload_share: 0.9, ..policy() }
}

#[test]
fn what_rose_is_expected_to_rise_on() {
    let traces = rising(4_096);
    let plan = made(&traces, &on_one_host());
    assert_eq!(plan.hosts[0].servers.len(), 12);
    // On the first of as many days again it is as on the last; from the second day on it is too much.
    let after_the_first = (DAYS - 1) as f64 / DAYS as f64;
    assert_eq!(plan.hosts[0].overload_probability, Some(after_the_first));
    assert_eq!(plan.predicted_overload_share, Some(after_the_first));
    assert_eq!(verify(&plan, &traces).len(), 0);

    // Whoever does not accept that gets a margin.
    let careful = made(&traces, &PlanPolicy { overload_share: 0.01, ..policy() });
    assert!(careful.assumptions.fill < 1.0 && careful.lower_bound.hosts == 2, "{:?}", careful.lower_bound);
    let most = careful.hosts.iter().filter(|host| !host.spare).map(|host| host.servers.len()).max();
    // Twelve times 1,700 on the last of them.
    assert!(most <= Some(16_384 / 1_700), "{most:?}");
    assert_eq!(verify(&careful, &traces).len(), 0);
}

#[test]
fn what_is_left_of_a_day_is_no_level() {
    // In the first hours of each day more memory is in use, and the traces end with them.
    let mut traces = traces(DAYS);
    let whole = traces.grid.bins;
    traces.grid.bins += 2;
    for rows in traces.series.values_mut() {
        *rows = rows.chunks(whole).flat_map(|row| row.iter().chain(&row[..2]).copied()).collect();
    }
    let bins = traces.grid.bins;
    let memory = (0..traces.servers.len() * bins).map(|at| if at % bins % DAY < 2 { 1_360 } else { 600 });
    traces.series.insert(Metric::MemMib, memory.collect());
    let plan = made(&traces, &on_one_host());
    assert_eq!((plan.hosts[0].servers.len(), plan.hosts[0].overload_probability), (12, Some(0.0)));
}

#[test]
fn nothing_rises_beyond_what_a_server_has() {
    let traces = rising(1_360);
    let plan = made(&traces, &on_one_host());
    assert_eq!(plan.hosts[0].servers.len(), 12);
    assert_eq!(plan.hosts[0].overload_probability, Some(0.0));
}
