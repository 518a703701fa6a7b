//! Plans of the first half of the month, judged by the second half: hosts, and the share of host-samples at which a host
//! has less than its servers ask for. Sizes by percentile and by mean and deviation are packed and judged alike.
//! `ours` are packings at a given fill, memory to 1 at most; `plans` are made whole, with the fill that their accepted share
//! allows.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tabane_core::{
    pack::{Kind, Problem, level},
    plan::{self, Request},
};
use tabane_model::{Gaps, MemoryBasis, PlanPolicy, Traces};

use super::{
    WORKERS,
    bitbrains::{CAPACITY, all_rows, demand, host_types, places},
    calibration::part,
    peers, problem, solved,
};
use crate::Result;

/// For each packing.
pub const LIMIT: Duration = Duration::from_secs(5);
pub const SHORT: Duration = Duration::from_secs(1);
/// Attempts at better plans.
const TURNS: u64 = 20_000;
const MEMORY: usize = 1;
/// Shares of overloaded host-samples that plans are made for: as many as there are peers.
const ACCEPTED: [f64; 16] = [
    0.00001, 0.00003, 0.0001, 0.0002, 0.0003, 0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.01, 0.03, 0.05,
    0.1, 0.2,
];
/// Bins of a day.
const DAY: usize = 288;

pub type Rows = Vec<[Vec<u32>; 4]>;

pub fn figures(traces: &Traces, limit: Duration) -> Result<Value> {
    let (half, all) = (traces.grid.bins / 2, traces.grid.bins);
    let (earlier, later) = (all_rows(traces, 0..half), all_rows(traces, half..all));
    let filled = |fill: f64| CAPACITY.map(|most| (f64::from(most) * fill) as u32);
    let kinds = |fill: f64| {
        let mut capacity = filled(fill).to_vec();
        capacity[MEMORY] = capacity[MEMORY].min(CAPACITY[MEMORY]);
        vec![Kind { capacity, price: 1.0, count: None }]
    };
    let mut ours = Vec::new();
    for fill in [1.5, 1.4, 1.3, 1.2, 1.1, 1.0, 0.975, 0.95, 0.925, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.5]
    {
        let problem = Problem::new(demand(&earlier), kinds(fill))?;
        let (packing, _) = solved(&problem, limit)?;
        let packing = level(&problem, packing, fill, &kinds, 1);
        let hosts: Vec<Vec<usize>> = packing.hosts.into_iter().map(|host| host.servers).collect();
        ours.push(told(&later, &hosts, json!({ "fill": fill })));
    }
    let mut theirs = Vec::new();
    for fill in [1.0, 0.9] {
        for share in [0.9, 0.95, 0.99, 1.0] {
            let sizes = sizes(&earlier, |row| peers::percentile(row, share));
            let hosts = peers::first_fit(&sizes, &filled(fill))?;
            theirs.push(told(&later, &hosts, json!({ "fill": fill, "percentile": share * 100.0 })));
        }
        let hosts = peers::first_fit_in_time(&earlier, &filled(fill))?;
        theirs.push(told(&later, &hosts, json!({ "fill": fill, "first_fit": "in time" })));
        for k in [1.0, 2.0, 3.0] {
            let hosts = peers::first_fit(&sizes(&earlier, |row| mean_and(row, k)), &filled(fill))?;
            theirs.push(told(&later, &hosts, json!({ "fill": fill, "mean_and_sigmas": k })));
        }
    }
    // A day is no history: its plan must not look safe.
    let day: Rows = all_rows(traces, half - DAY..half);
    let (packing, _) = solved(&problem(demand(&day), &CAPACITY)?, limit)?;
    let hosts: Vec<Vec<usize>> = packing.hosts.into_iter().map(|host| host.servers).collect();
    let plans = plans(traces, &later)?;
    let not_reached =
        |by: &[Value]| theirs.iter().filter(|peer| !by.iter().any(|our| reaches(our, peer))).count();
    Ok(json!({
        "peers_not_reached": not_reached(&ours),
        "peers_not_reached_by_plans": not_reached(&plans),
        "ours": ours,
        "plans": plans,
        "peers": theirs,
        "of_one_day_alone": told(&later, &hosts, json!({ "fill": 1.0 })),
    }))
}

/// Whether neither is more: hosts nor overload.
fn reaches(our: &Value, peer: &Value) -> bool {
    let number = |of: &Value, name: &str| of[name].as_f64().unwrap_or(f64::INFINITY);
    ["hosts", "overloaded_percent"].iter().all(|name| number(our, name) <= number(peer, name))
}

/// Plans of the first half, for several accepted shares.
fn plans(traces: &Traces, later: &Rows) -> Result<Vec<Value>> {
    let everybody: Vec<usize> = (0..traces.servers.len()).collect();
    let earlier = part(traces, &everybody, 0..traces.grid.bins / 2);
    let hosts = host_types(CAPACITY);
    let of = |overload_share: &f64| {
        let policy = PlanPolicy {
            overload_share: *overload_share,
            memory: MemoryBasis::Active,
            gaps: Gaps::Zero,
            fill_max: 1.5,
            fill_failed: 1.5,
            spare_hosts: 0,
            ..PlanPolicy::default()
        };
        let request = Request { hosts: &hosts, policy: &policy, costs: None, products: &[], support: &[] };
        let plan = plan::make(&earlier, request, Timestamp::UNIX_EPOCH, WORKERS, &|turns, _| turns >= TURNS)?;
        let by = json!({
            "accepted_percent": overload_share * 100.0,
            "fill": plan.assumptions.fill,
            "stated_percent": plan.predicted_overload_share.map(|share| (share * 1e6).round() / 1e4),
        });
        Ok(told(later, &places(&plan, traces), by))
    };
    ACCEPTED.iter().map(of).collect()
}

fn sizes(rows: &Rows, of: impl Fn(&[u32]) -> u32) -> Vec<[u32; 4]> {
    rows.iter().map(|row| row.each_ref().map(|values| of(values))).collect()
}

fn mean_and(values: &[u32], sigmas: f64) -> u32 {
    let count = values.len() as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
    let variance = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / count;
    (mean + sigmas * variance.sqrt()) as u32
}

fn told(rows: &Rows, hosts: &[Vec<usize>], mut by: Value) -> Value {
    by["hosts"] = hosts.len().into();
    by["overloaded_percent"] = ((overloaded(rows, hosts, &CAPACITY) * 1e6).round() / 1e4).into();
    by
}

/// The share of host-samples at which a host has less than its servers ask for.
pub fn overloaded(rows: &Rows, hosts: &[Vec<usize>], capacity: &[u32; 4]) -> f64 {
    let bins = rows[0][0].len();
    let over = |servers: &Vec<usize>| {
        let is_over = |bin: usize| {
            (0..4).any(|r| {
                servers.iter().map(|s| u64::from(rows[*s][r][bin])).sum::<u64>() > u64::from(capacity[r])
            })
        };
        (0..bins).filter(|bin| is_over(*bin)).count()
    };
    hosts.iter().map(over).sum::<usize>() as f64 / (hosts.len() * bins) as f64
}
