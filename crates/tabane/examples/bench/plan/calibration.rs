//! Whether hosts are overloaded as often as plans state: plans of the earlier part of many overlapping splits of a month,
//! judged by the later part. What counts is the mean over all splits; of a single one it is a matter of a few moments.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use jiff::Timestamp;
use serde_json::{Value, json};
use tabane_core::plan::{self, Request};
use tabane_model::{Gaps, Grid, HostType, HostTypes, MemoryBasis, PlanPolicy, Traces};

use super::{WORKERS, bitbrains, held_out::overloaded, rounded};
use crate::Result;

/// All of a host, without the tenth that other figures leave.
const CAPACITY: [u32; 4] = [83_200, 262_144, 1_000_000, 2_000_000];
const DAY: usize = 288;
/// Days that are planned with, days that judge, and days from one split to the next.
const SPLITS: [(usize, usize, usize); 3] = [(10, 5, 2), (14, 7, 2), (20, 7, 1)];
const SHARES: [f64; 4] = [5e-3, 1e-3, 5e-4, 1e-4];
const TURNS: u64 = 4_000;

struct Case {
    first: usize,
    middle: usize,
    end: usize,
    share: f64,
}

pub fn figures(traces: &Traces) -> Result<Value> {
    let days = traces.grid.bins / DAY;
    let mut cases = Vec::new();
    for (planned, judged, step) in SPLITS {
        for first in (0..=days.saturating_sub(planned + judged)).step_by(step) {
            cases.extend(SHARES.map(|share| Case {
                first: first * DAY,
                middle: (first + planned) * DAY,
                end: (first + planned + judged) * DAY,
                share,
            }));
        }
    }
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = run(traces, case).map_err(|error| error.to_string());
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((case.share, result));
                }
            });
        }
    });
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut figures = Vec::new();
    for share in SHARES {
        let of: Vec<(f64, f64, usize)> = results
            .iter()
            .filter(|(accepted, _)| *accepted == share)
            .map(|(_, result)| result.clone())
            .collect::<std::result::Result<_, String>>()?;
        let mean = |of_one: &dyn Fn(&(f64, f64, usize)) -> f64| {
            of.iter().map(of_one).sum::<f64>() / of.len().max(1) as f64
        };
        let (stated, held_out) = (mean(&|one| one.0), mean(&|one| one.1));
        figures.push(json!({
            "accepted_percent": share * 100.0,
            "splits": of.len(),
            "stated_percent": percent(stated),
            "held_out_percent": percent(held_out),
            "stated_over_held_out": (held_out > 0.0).then(|| rounded(stated / held_out)),
            "splits_without_overload": of.iter().filter(|one| one.1 == 0.0).count(),
            "hosts_mean": rounded(mean(&|one| one.2 as f64)),
        }));
    }
    Ok(json!({ "factor_wanted": 2, "by_accepted_share": figures }))
}

fn percent(share: f64) -> f64 {
    (share * 1e7).round() / 1e5
}

/// What a plan states, what came of it, and its hosts.
fn run(traces: &Traces, case: &Case) -> Result<(f64, f64, usize)> {
    let earlier = part(traces, case.first..case.middle);
    let hosts = HostTypes {
        host_type: vec![HostType {
            name: "host".into(),
            cpu_cores: 32,
            cpu_mhz: CAPACITY[0],
            cpu_model: None,
            cpu_index: None,
            memory_mib: CAPACITY[1],
            disk_gib: None,
            disk_kbs: Some(CAPACITY[2]),
            disk_iops: None,
            net_kbs: None,
            price: 1.0,
            watts: 0.0,
            count: None,
            sockets: 2,
            domain: None,
            cpu_family: "x86".into(),
        }],
    };
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
    let later: Vec<_> = (0..traces.servers.len())
        .map(|server| bitbrains::rows(traces, server, case.middle..case.end))
        .collect();
    let place = |name: &String| traces.servers.iter().position(|server| server.name == *name);
    let packed: Vec<Vec<usize>> =
        plan.hosts.iter().map(|host| host.servers.iter().filter_map(place).collect()).collect();
    let stated = plan.predicted_overload_share.ok_or("the plan states nothing")?;
    Ok((stated, overloaded(&later, &packed, &CAPACITY), packed.len()))
}

fn part(traces: &Traces, bins: std::ops::Range<usize>) -> Traces {
    let of =
        |rows: &Vec<u32>| rows.chunks(traces.grid.bins).flat_map(|row| row[bins.clone()].to_vec()).collect();
    Traces {
        grid: Grid {
            first_bin_unix: traces.grid.first_bin_unix + bins.start as i64 * i64::from(traces.grid.step_s),
            step_s: traces.grid.step_s,
            bins: bins.len(),
        },
        servers: traces.servers.clone(),
        series: traces.series.iter().map(|(metric, rows)| (*metric, of(rows))).collect(),
        findings: Vec::new(),
    }
}
