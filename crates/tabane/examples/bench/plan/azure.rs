//! Samples of Azure's packing trace (Hadary and others, OSDI 2020) as temporal bin packing: VMs of one size from one minute
//! to another.

use std::{io::Read, path::Path, time::Duration};

use serde_json::{Value, json};
use tabane_core::pack::{Demand, DemandBuilder};

use super::{problem, solved};
use crate::Result;

const LIMIT: Duration = Duration::from_secs(30);

pub fn figures(folder: &Path) -> Result<Value> {
    let mut figures = serde_json::Map::new();
    let mut files: Vec<_> = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.ends_with(".txt") && !name.ends_with(".txt.gz") {
            continue;
        }
        let (demand, capacity) = read(&path)?;
        let moments = demand.bins(0);
        let problem = problem(demand, &[capacity])?;
        let (_, mut told) = solved(&problem, LIMIT)?;
        told["moments"] = moments.into();
        figures.insert(name, told);
    }
    figures.insert("above_bound_wanted".into(), json!(1));
    Ok(figures.into())
}

/// `n capacity 0 0`, then for each VM `index start end size`. The sum only grows when a VM starts, so starts are all the
/// moments that there are.
fn read(path: &Path) -> Result<(Demand, u32)> {
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    if path.extension().is_some_and(|extension| extension == "gz") {
        flate2::read::GzDecoder::new(file).read_to_string(&mut text)?;
    } else {
        (&file).read_to_string(&mut text)?;
    }
    let numbers = |line: &str| -> Result<Vec<u32>> {
        Ok(line.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>()?)
    };
    let mut lines = text.lines();
    let head = numbers(lines.next().unwrap_or_default())?;
    let vms = lines.map(numbers).collect::<Result<Vec<_>>>()?;
    let mut starts: Vec<u32> = vms.iter().map(|vm| vm[1]).collect();
    starts.sort_unstable();
    starts.dedup();
    let mut builder = DemandBuilder::new(&[starts.len()], vms.len());
    for vm in &vms {
        let row: Vec<u32> =
            starts.iter().map(|at| if (vm[1]..vm[2]).contains(at) { vm[3] } else { 0 }).collect();
        builder.push(&[&row]);
    }
    Ok((builder.finish(), head[1]))
}
