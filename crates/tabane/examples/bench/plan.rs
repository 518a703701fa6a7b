//! Plans: how few hosts, how soon, how near to what is proved to be possible, and how often they are overloaded by loads
//! that they were not made from. Real traces are read from the folder that `TABANE_BENCH_TRACES` names, with
//! `bitbrains-2013-07` and `azure-packing` in it; without them those figures are `null`.

mod azure;
mod bitbrains;
mod calibration;
mod few;
mod generated;
mod held_out;
mod months;
mod peers;
mod solver;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tabane_core::pack::{
    Demand, Kind, Packing, Problem, check_bound, check_packing, construct, improve, lower_bound,
};

use tabane_model::Traces;

use crate::Result;

const WORKERS: usize = 2;

/// All parts, or those that are named.
pub fn plan(parts: &[&str]) -> Result<Value> {
    let traces = std::env::var_os("TABANE_BENCH_TRACES").map(PathBuf::from);
    let of = |name: &str| traces.as_ref().map(|folder| folder.join(name)).filter(|folder| folder.exists());
    let bitbrains = of("bitbrains-2013-07").map(|folder| bitbrains::read(&folder)).transpose()?;
    let july = |figures: &dyn Fn(&Traces) -> Result<Value>| bitbrains.as_ref().map(figures).transpose();
    let mut figures = serde_json::Map::new();
    let mut part = |name: &str, of: &dyn Fn() -> Result<Option<Value>>| -> Result<()> {
        if parts.is_empty() || parts.contains(&name) {
            figures.insert(name.into(), of()?.into());
        }
        Ok(())
    };
    part("vm_weeks", &|| july(&bitbrains::weeks))?;
    part("held_out", &|| july(&|july| held_out::figures(july, held_out::LIMIT)))?;
    part("months", &|| months::figures().map(Some))?;
    part("calibration", &|| july(&calibration::figures))?;
    part("few", &|| july(&few::figures))?;
    part("solver", &|| july(&solver::figures))?;
    part("azure", &|| of("azure-packing").map(|folder| azure::figures(&folder)).transpose())?;
    part("generated", &|| generated::figures().map(Some))?;
    Ok(figures.into())
}

/// One kind of host, as many as it takes.
fn problem(demand: Demand, capacity: &[u32]) -> Result<Problem> {
    let kind = Kind { capacity: capacity.to_vec(), price: 1.0, count: None };
    Ok(Problem::new(demand, vec![kind])?)
}

/// A plan and what it takes, checked. `limit` is how long better ones are looked for.
fn solved(problem: &Problem, limit: Duration) -> Result<(Packing, Value)> {
    let servers: Vec<usize> = (0..problem.demand().servers()).collect();
    let began = Instant::now();
    let first = construct(problem);
    let first_s = began.elapsed().as_secs_f64();
    let hosts_first = first.hosts.len();
    let began = Instant::now();
    let bound = lower_bound(problem, &servers);
    let bound_s = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let last = std::sync::Mutex::new((hosts_first as f64, 0.0));
    let stop = |_: u64, cost: f64| {
        let now = began.elapsed();
        let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if cost < last.0 {
            *last = (cost, now.as_secs_f64());
        }
        now >= limit
    };
    let outcome = improve(problem, first, bound.cost, 1, WORKERS, &stop);
    let improved_s = began.elapsed().as_secs_f64();
    let last = last.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let breaches =
        check_packing(problem, &outcome.packing).len() + check_bound(problem, &servers, &bound).len();
    if breaches > 0 {
        return Err(format!("{breaches} breaches: this is no plan").into());
    }
    let hosts = outcome.packing.hosts.len();
    let told = json!({
        "hosts": hosts,
        "bound_proved": bound.hosts,
        "above_bound": hosts - bound.hosts,
        "first_hosts": hosts_first,
        "first_s": rounded(first_s),
        "bound_s": rounded(bound_s),
        "last_improved_after_s": rounded(last.1),
        "looked_s": rounded(improved_s),
        "turns": outcome.turns,
    });
    Ok((outcome.packing, told))
}

fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// The most memory that this process has had.
fn memory_peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib >> 10)
}
