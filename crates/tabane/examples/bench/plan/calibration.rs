//! Whether hosts are overloaded as often as plans state: plans of the earlier part of many overlapping splits of a month,
//! judged by the later part, of all servers and of each half of them. What counts is the mean over all splits; of a single
//! one, and even of those of the same servers, it is a matter of a few moments.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use jiff::Timestamp;
use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::SliceRandom};
use serde_json::{Value, json};
use tabane_core::plan::{self, Request};
use tabane_model::{Gaps, Grid, MemoryBasis, PlanPolicy, Traces};

use super::{WORKERS, bitbrains, held_out::overloaded, rounded};
use crate::Result;

/// All of a host, without the tenth that other figures leave.
const CAPACITY: [u32; 4] = [83_200, 262_144, 1_000_000, 2_000_000];
const DAY: usize = 288;
/// Days that are planned with, days that judge, and days from one split to the next.
const SPLITS: [(usize, usize, usize); 3] = [(10, 5, 2), (14, 7, 2), (20, 7, 1)];
const SHARES: [f64; 4] = [5e-3, 1e-3, 5e-4, 1e-4];
const TURNS: u64 = 4_000;

/// Who is planned for: all servers, and two halves of them that are drawn at random.
const POPULATIONS: [&str; 3] = ["all", "one_half", "other_half"];

struct Case {
    population: usize,
    first: usize,
    middle: usize,
    end: usize,
    share: f64,
}

/// What a plan states, what came of it, and its hosts.
#[derive(Clone, Copy)]
struct Told {
    population: usize,
    share: f64,
    stated: f64,
    held_out: f64,
    hosts: usize,
}

pub fn figures(traces: &Traces) -> Result<Value> {
    let populations = populations(traces);
    let cases = cases(traces.grid.bins / DAY);
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = run(&populations[case.population], case).map_err(|error| error.to_string());
                    results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                }
            });
        }
    });
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    let told: Vec<Told> = results.into_iter().collect::<std::result::Result<_, String>>()?;
    let of = |population: Option<usize>| -> Vec<Value> {
        let each = SHARES.iter().map(|share| {
            let is_meant = |told: &&Told| {
                told.share == *share && population.is_none_or(|population| told.population == population)
            };
            mean(*share, &told.iter().filter(is_meant).copied().collect::<Vec<_>>())
        });
        each.collect()
    };
    let by_population =
        POPULATIONS.iter().enumerate().map(|(at, name)| ((*name).to_owned(), of(Some(at)).into()));
    Ok(json!({
        "factor_wanted": 2,
        "by_accepted_share": of(None),
        "by_servers": by_population.collect::<serde_json::Map<_, _>>(),
    }))
}

fn populations(traces: &Traces) -> [Traces; 3] {
    let mut order: Vec<usize> = (0..traces.servers.len()).collect();
    let all = part(traces, &order, 0..traces.grid.bins);
    order.shuffle(&mut SmallRng::seed_from_u64(1));
    let (one, other) = order.split_at(order.len() / 2);
    [all, part(traces, one, 0..traces.grid.bins), part(traces, other, 0..traces.grid.bins)]
}

fn cases(days: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for population in 0..POPULATIONS.len() {
        for (planned, judged, step) in SPLITS {
            for first in (0..=days.saturating_sub(planned + judged)).step_by(step) {
                cases.extend(SHARES.map(|share| Case {
                    population,
                    first: first * DAY,
                    middle: (first + planned) * DAY,
                    end: (first + planned + judged) * DAY,
                    share,
                }));
            }
        }
    }
    cases
}

fn mean(accepted: f64, of: &[Told]) -> Value {
    let mean = |of_one: &dyn Fn(&Told) -> f64| of.iter().map(of_one).sum::<f64>() / of.len().max(1) as f64;
    let (stated, held_out) = (mean(&|one| one.stated), mean(&|one| one.held_out));
    json!({
        "accepted_percent": accepted * 100.0,
        "splits": of.len(),
        "stated_percent": percent(stated),
        "held_out_percent": percent(held_out),
        "stated_over_held_out": (held_out > 0.0).then(|| rounded(stated / held_out)),
        "nine_of_ten_times_within": interval(of),
        "splits_without_overload": of.iter().filter(|one| one.held_out == 0.0).count(),
        "hosts_mean": rounded(mean(&|one| one.hosts as f64)),
    })
}

/// Stated over held-out, of splits that are drawn again with repetitions: where nine of ten such means lie. Splits overlap: what
/// is true of others may lie farther away.
fn interval(of: &[Told]) -> Option<[f64; 2]> {
    const DRAWS: usize = 2_000;
    let mut random = SmallRng::seed_from_u64(1);
    let ratio = |_| {
        let drawn = (0..of.len()).map(|_| of[random.random_range(0..of.len())]);
        let (stated, held_out) =
            drawn.fold((0.0, 0.0), |sums, one| (sums.0 + one.stated, sums.1 + one.held_out));
        if held_out > 0.0 { stated / held_out } else { f64::INFINITY }
    };
    let mut ratios: Vec<f64> = (0..DRAWS).map(ratio).collect();
    ratios.sort_by(f64::total_cmp);
    let at = |share: f64| ratios.get((share * DRAWS as f64) as usize).copied().map(rounded);
    Some([at(0.05)?, at(0.95)?])
}

fn percent(share: f64) -> f64 {
    (share * 1e7).round() / 1e5
}

fn run(traces: &Traces, case: &Case) -> Result<Told> {
    let everybody: Vec<usize> = (0..traces.servers.len()).collect();
    let earlier = part(traces, &everybody, case.first..case.middle);
    let hosts = bitbrains::host_types(CAPACITY);
    let policy = PlanPolicy {
        overload_share: case.share,
        memory: MemoryBasis::Active,
        gaps: Gaps::Zero,
        fill_max: 1.0,
        spare_hosts: 0,
        ..PlanPolicy::default()
    };
    let request = Request { hosts: &hosts, policy: &policy, costs: None, products: &[], support: &[] };
    let plan = plan::make(&earlier, request, Timestamp::UNIX_EPOCH, 1, &|turns, _| turns >= TURNS)?;
    let later = bitbrains::all_rows(traces, case.middle..case.end);
    let packed = bitbrains::places(&plan, traces);
    let stated = plan.predicted_overload_share.ok_or("the plan states nothing")?;
    Ok(Told {
        population: case.population,
        share: case.share,
        stated,
        held_out: overloaded(&later, &packed, &CAPACITY),
        hosts: packed.len(),
    })
}

/// What these servers did in these bins.
pub fn part(traces: &Traces, servers: &[usize], bins: std::ops::Range<usize>) -> Traces {
    let of = |rows: &Vec<u32>| {
        let row = |server: &usize| rows[server * traces.grid.bins..][bins.clone()].to_vec();
        servers.iter().flat_map(row).collect()
    };
    Traces {
        grid: Grid {
            first_bin_unix: traces.grid.first_bin_unix + bins.start as i64 * i64::from(traces.grid.step_s),
            step_s: traces.grid.step_s,
            bins: bins.len(),
        },
        servers: servers.iter().map(|server| traces.servers[*server].clone()).collect(),
        series: traces.series.iter().map(|(metric, rows)| (*metric, of(rows))).collect(),
        findings: Vec::new(),
    }
}
