//! The VMs of July 2013 of a managed hosting provider (Bitbrains; Shen, van Beek, Iosup, CCGrid 2015).

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use tabane_core::pack::{Demand, DemandBuilder};
use tabane_model::{HostType, HostTypes, Metric, NO_SAMPLE, Plan, Traces};

use super::{peers, problem, solved};
use crate::Result;

/// CPU in MHz, active memory in MiB, disk and network each way together in KB/s; CPU and memory to nine tenths.
pub const CAPACITY: [u32; 4] = [74_880, 235_929, 1_000_000, 2_000_000];
const METRICS: [&[Metric]; 4] = [
    &[Metric::CpuMhz],
    &[Metric::MemMib],
    &[Metric::DiskReadKbs, Metric::DiskWriteKbs],
    &[Metric::NetRxKbs, Metric::NetTxKbs],
];
const WEEK: usize = 2_016;
const LIMIT: Duration = Duration::from_secs(60);

pub fn read(folder: &Path) -> Result<Traces> {
    Ok(tabane_survey::read_folder(folder)?)
}

/// The loads of a server in a part of the time line, for each resource; where there is no sample there was no server.
pub fn rows(traces: &Traces, server: usize, bins: std::ops::Range<usize>) -> [Vec<u32>; 4] {
    METRICS.map(|metrics| {
        let mut sum = vec![0; bins.len()];
        for row in metrics.iter().filter_map(|metric| traces.of(server, *metric)) {
            let samples = row[bins.clone()].iter().map(|value| if *value == NO_SAMPLE { 0 } else { *value });
            sum.iter_mut().zip(samples).for_each(|(sum, value)| *sum += value);
        }
        sum
    })
}

/// Of all servers.
pub fn all_rows(traces: &Traces, bins: std::ops::Range<usize>) -> Vec<[Vec<u32>; 4]> {
    (0..traces.servers.len()).map(|server| rows(traces, server, bins.clone())).collect()
}

/// One type of host, of which that much may be used.
pub fn host_types(capacity: [u32; 4]) -> HostTypes {
    let host = HostType {
        name: "host".into(),
        cpu_cores: 32,
        cpu_mhz: capacity[0],
        cpu_model: None,
        cpu_index: None,
        memory_mib: capacity[1],
        disk_gib: None,
        disk_kbs: Some(capacity[2]),
        disk_iops: None,
        net_kbs: None,
        price: 1.0,
        watts: 0.0,
        count: None,
        sockets: 2,
        domain: None,
        cpu_family: "x86".into(),
    };
    HostTypes { host_type: vec![host] }
}

/// Which servers, by their place in the traces, are on each host of a plan.
pub fn places(plan: &Plan, traces: &Traces) -> Vec<Vec<usize>> {
    let place = |name: &String| traces.servers.iter().position(|server| server.name == *name);
    plan.hosts.iter().map(|host| host.servers.iter().filter_map(place).collect()).collect()
}

pub fn demand(rows: &[[Vec<u32>; 4]]) -> Demand {
    let bins: Vec<usize> = rows[0].iter().map(Vec::len).collect();
    let mut builder = DemandBuilder::new(&bins, rows.len());
    for row in rows {
        builder.push(&row.each_ref().map(Vec::as_slice));
    }
    builder.finish()
}

/// Each week of each VM as a server of its own.
pub fn weeks(traces: &Traces) -> Result<Value> {
    let weeks = traces.grid.bins / WEEK;
    let each = (0..weeks).flat_map(|week| (0..traces.servers.len()).map(move |server| (week, server)));
    let rows: Vec<_> =
        each.map(|(week, server)| rows(traces, server, week * WEEK..(week + 1) * WEEK)).collect();
    let problem = problem(demand(&rows), &CAPACITY)?;
    let (_, told) = solved(&problem, LIMIT)?;
    Ok(json!({
        "vm_weeks": rows.len(),
        "ours": told,
        "hosts_wanted": 40,
        // There is a packing onto 38, as annealing from several starts has found: no bound is above that.
        "hosts_known": 38,
        "peers": {
            "sum_of_peaks": peers::hosts(&rows, 1.0, &CAPACITY)?,
            "first_fit_in_time": peers::first_fit_in_time(&rows, &CAPACITY)?.len(),
            "first_fit_by_p99": peers::hosts(&rows, 0.99, &CAPACITY)?,
            "first_fit_by_p95": peers::hosts(&rows, 0.95, &CAPACITY)?,
        },
    }))
}
