//! Servers that are generated: days and nights, weekends, levels of their own, and bursts.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};
use tabane_core::plan::{self, Request};
use tabane_model::{Gaps, Grid, MemoryBasis, Metric, PlanPolicy, Source, Traces};

use super::{
    WORKERS,
    bitbrains::{CAPACITY, all_rows, demand, host_types},
    memory_peak_mib, problem, rounded, solved,
};
use crate::Result;

const BINS: usize = 2_016;
const DAY: usize = 288;
const LIMIT: Duration = Duration::from_secs(60);
const METRICS: [Metric; 4] = [Metric::CpuMhz, Metric::MemMib, Metric::DiskReadKbs, Metric::NetRxKbs];

pub fn figures() -> Result<Value> {
    let mut figures = serde_json::Map::new();
    let mut times: [Vec<f64>; 2] = Default::default();
    for servers in [1_000, 10_000] {
        let traces = traces(servers);
        let whole = whole(&traces)?;
        let problem = problem(demand(&all_rows(&traces, 0..BINS)), &CAPACITY)?;
        drop(traces);
        let (_, mut told) = solved(&problem, LIMIT)?;
        times[0].extend(told["first_s"].as_f64());
        times[1].extend(whole["seconds"].as_f64());
        told["whole_plan"] = whole;
        figures.insert(format!("servers_{servers}"), told);
    }
    for (name, times) in ["first_s_grows_by", "whole_plan_grows_by"].iter().zip(times) {
        if let [few, many] = times[..] {
            figures.insert((*name).into(), rounded(many / few).into());
        }
    }
    figures.insert("memory_peak_mib".into(), memory_peak_mib().into());
    let wanted = json!({ "whole_plan": { "seconds": 5 }, "looked_s": 60, "memory_peak_mib": 2_000 });
    figures.insert("wanted".into(), wanted);
    Ok(figures.into())
}

/// A plan with all that it says, without a search for a better one.
fn whole(traces: &Traces) -> Result<Value> {
    let mut hosts = host_types(CAPACITY);
    hosts.host_type[0].net_kbs = Some(CAPACITY[3]);
    let policy = PlanPolicy { memory: MemoryBasis::Active, gaps: Gaps::Zero, ..PlanPolicy::default() };
    let request = Request { hosts: &hosts, policy: &policy, costs: None, products: &[], support: &[] };
    let begun = Instant::now();
    let plan = plan::make(traces, request, Timestamp::UNIX_EPOCH, WORKERS, &|_, _| true)?;
    let seconds = rounded(begun.elapsed().as_secs_f64());
    Ok(json!({ "seconds": seconds, "hosts": plan.hosts.len(), "fill": plan.assumptions.fill }))
}

fn traces(servers: usize) -> Traces {
    let mut random = SmallRng::seed_from_u64(42);
    let mut series: BTreeMap<Metric, Vec<u32>> = BTreeMap::new();
    for _ in 0..servers {
        // Most are small, a few are large.
        let size = random.random::<f64>().powi(3);
        let (noon, width) = (random.random_range(0..DAY), random.random_range(20..120));
        let weekend = random.random_bool(0.7);
        let shape: Vec<f64> = (0..BINS)
            .map(|bin| {
                let away = (bin % DAY).abs_diff(noon).min(DAY - (bin % DAY).abs_diff(noon));
                let day = (-((away * away) as f64) / (2 * width * width) as f64).exp();
                let rest = if weekend && bin / DAY >= 5 { 0.3 } else { 1.0 };
                (0.1 + day * rest) * random.random_range(0.8..1.0)
            })
            .collect();
        let bursts: Vec<(usize, usize)> = (0..random.random_range(0..6))
            .map(|_| (random.random_range(0..BINS), random.random_range(1..20)))
            .collect();
        let row = |most: f64, flat: f64| -> Vec<u32> {
            let value = |(bin, level): (usize, &f64)| {
                let burst = bursts.iter().any(|(at, long)| (*at..at + long).contains(&bin));
                let level = if burst { 1.2 } else { *level };
                (most * size * (flat + (1.0 - flat) * level)) as u32 + 20
            };
            shape.iter().enumerate().map(value).collect()
        };
        let rows = [row(12_000.0, 0.0), row(24_000.0, 0.7), row(40_000.0, 0.0), row(60_000.0, 0.0)];
        for (metric, row) in METRICS.iter().zip(rows) {
            series.entry(*metric).or_default().extend(row);
        }
    }
    let source = |at: usize| Source {
        name: format!("s{at}"),
        cores: 8,
        cpu_cap_mhz: 24_000,
        mem_cap_mib: 65_536,
        labels: Vec::new(),
    };
    let grid = Grid { first_bin_unix: 1_372_629_600, step_s: 300, bins: BINS };
    Traces { grid, servers: (0..servers).map(source).collect(), series, findings: Vec::new() }
}
