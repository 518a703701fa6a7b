//! Servers that are generated: days and nights, weekends, levels of their own, and bursts.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};
use tabane_core::pack::{Demand, DemandBuilder};

use super::{bitbrains::CAPACITY, memory_peak_mib, problem, rounded, solved};
use crate::Result;

const BINS: usize = 2_016;
const DAY: usize = 288;
const LIMIT: Duration = Duration::from_secs(60);

pub fn figures() -> Result<Value> {
    let mut figures = serde_json::Map::new();
    let mut first = Vec::new();
    for servers in [1_000, 10_000] {
        let problem = problem(demand(servers), &CAPACITY)?;
        let (_, told) = solved(&problem, LIMIT)?;
        first.extend(told["first_s"].as_f64());
        figures.insert(format!("servers_{servers}"), told);
    }
    if let [few, many] = first[..] {
        figures.insert("first_s_grows_by".into(), rounded(many / few).into());
    }
    figures.insert("memory_peak_mib".into(), memory_peak_mib().into());
    figures.insert("wanted".into(), json!({ "first_s": 5, "looked_s": 60, "memory_peak_mib": 2_000 }));
    Ok(figures.into())
}

fn demand(servers: usize) -> Demand {
    let mut random = SmallRng::seed_from_u64(42);
    let mut builder = DemandBuilder::new(&[BINS; 4], servers);
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
        builder.push(&rows.each_ref().map(Vec::as_slice));
    }
    builder.finish()
}
