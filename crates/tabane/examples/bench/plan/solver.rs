//! Beside a solver for anything: CP-SAT of OR-tools, on as many servers as it can take.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};
use serde_json::{Value, json};
use tabane_model::Traces;

use super::{WORKERS, bitbrains, problem, solved};
use crate::Result;

const SCRIPT: &str = include_str!("cp_sat.py");
/// Hosts an eighth of those that the 2,000 weeks go onto, so that few servers need several.
const SMALLER: u32 = 8;
const SIZES: [usize; 2] = [40, 80];
const LIMIT: Duration = Duration::from_secs(30);
const WEEK: usize = 2_016;

/// Both have the same time and as many threads.
pub fn figures(traces: &Traces) -> Result<Value> {
    if !is_there() {
        return Ok(json!("not compared: `pip install ortools`"));
    }
    let capacity = bitbrains::CAPACITY.map(|most| most / SMALLER);
    let fits = |row: &[Vec<u32>; 4]| {
        row.iter().zip(capacity).all(|(values, most)| values.iter().all(|value| *value <= most))
    };
    let all = (0..traces.servers.len()).map(|server| bitbrains::rows(traces, server, 0..WEEK));
    let mut rows: Vec<[Vec<u32>; 4]> = all.filter(fits).collect();
    rows.shuffle(&mut SmallRng::seed_from_u64(1));
    let mut figures = Vec::new();
    for size in SIZES {
        let rows = &rows[..size.min(rows.len())];
        let problem = problem(bitbrains::demand(rows), &capacity)?;
        let (packing, ours) = solved(&problem, LIMIT)?;
        // One host more than ours is enough to find one as good, and makes its work easier.
        let theirs = ask(rows, capacity, packing.hosts.len() + 1)?;
        figures.push(json!({ "servers": rows.len(), "ours": ours, "cp_sat": theirs }));
    }
    Ok(figures.into())
}

fn is_there() -> bool {
    let asked = Command::new("python3").args(["-c", "import ortools"]).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

/// Moments at which all servers together fit one host are left out: they decide nothing.
fn ask(rows: &[[Vec<u32>; 4]], capacity: [u32; 4], hosts: usize) -> Result<Value> {
    let mut columns = Vec::new();
    for (resource, most) in capacity.iter().enumerate() {
        let total = |bin: usize| rows.iter().map(|row| u64::from(row[resource][bin])).sum::<u64>();
        columns.extend((0..WEEK).filter(|bin| total(*bin) > u64::from(*most)).map(|bin| (resource, bin)));
    }
    let of = |row: &[Vec<u32>; 4]| columns.iter().map(|(r, bin)| row[*r][*bin]).collect::<Vec<u32>>();
    let asked = json!({
        "rows": rows.iter().map(of).collect::<Vec<_>>(),
        "capacity": columns.iter().map(|(resource, _)| capacity[*resource]).collect::<Vec<_>>(),
        "hosts": hosts,
        "seconds": LIMIT.as_secs(),
        "workers": WORKERS,
    });
    let mut python = Command::new("python3");
    let mut child = python.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(asked.to_string().as_bytes())?;
    }
    let told = child.wait_with_output()?;
    if !told.status.success() {
        return Err("CP-SAT has failed".into());
    }
    Ok(serde_json::from_slice(&told.stdout)?)
}
