//! A collection as a folder of traces.

use std::path::{Path, PathBuf};

use tabane_model::{Grid, Metric, NO_SAMPLE};

use super::{
    Inventory, Sample,
    rates::{self, Oddities},
    recording,
    session::{INVENTORY, SAMPLES, SERVERS},
};
use crate::{
    Error, Matrix, Result,
    write::{Before, Writing},
};

/// Where a source does not say how fast its cores are.
const CORE_MHZ_UNKNOWN: u32 = 2_000;
const BINS_MAX: i64 = 1_600_000;

/// What became of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    pub servers: usize,
    pub bins: usize,
    /// Sentences on what was odd, each with its server.
    pub findings: Vec<String>,
}

struct Source {
    name: String,
    inventory: Inventory,
    samples: Vec<Sample>,
}

/// Writes `servers.csv` and the matrices of a collection into a folder, on bins of `step_s`. Files that are there are
/// replaced, each at once.
pub fn export(collection: &Path, to: &Path, step_s: u32) -> Result<Exported> {
    let failed = |what: String| Error::Folder { folder: collection.to_owned(), what };
    let mut findings = Vec::new();
    let sources = sources(collection, &mut findings)?;
    let times = sources.iter().flat_map(|source| &source.samples).map(|sample| sample.unix_ms);
    let (Some(first), Some(last)) = (times.clone().min(), times.max()) else {
        return Err(failed("there is no sample yet: let `tabane survey run` work for a while".into()));
    };
    let step_ms = i64::from(step_s) * 1_000;
    let first_bin_unix = first.div_euclid(step_ms) * i64::from(step_s);
    let bins = (last - first_bin_unix * 1_000).div_euclid(step_ms) + 1;
    if bins > BINS_MAX {
        return Err(failed(format!("{bins} bins are more than {BINS_MAX}; take a longer step")));
    }
    let grid = Grid { first_bin_unix, step_s, bins: bins as usize };
    let mut matrices: Vec<(Metric, Matrix)> = Metric::ALL
        .iter()
        .map(|metric| (*metric, Matrix { grid, servers: Vec::new(), values: Vec::new() }))
        .collect();
    let mut servers = Vec::new();
    for source in &sources {
        let inventory = &source.inventory;
        let core_mhz = if inventory.core_mhz > 0 { inventory.core_mhz } else { CORE_MHZ_UNKNOWN };
        if inventory.core_mhz == 0 {
            findings.push(format!(
                "{}: its cores are taken for {CORE_MHZ_UNKNOWN} MHz, since it does not say",
                source.name
            ));
        }
        let cap = inventory.cores.saturating_mul(core_mhz);
        let (loads, odd) = rates::loads(&source.samples, grid, cap);
        tell(&source.name, odd, &loads[0].1, &mut findings);
        for ((_, matrix), (_, row)) in matrices.iter_mut().zip(loads) {
            matrix.servers.push(source.name.clone());
            matrix.values.extend(row);
        }
        servers.push(as_server(&source.name, inventory, cap));
    }
    let mut writing = Writing::begin(to, Before::Replaced)?;
    matrices.iter().try_for_each(|(metric, matrix)| writing.matrix(*metric, matrix))?;
    writing.finish(&servers)?;
    Ok(Exported { servers: sources.len(), bins: grid.bins, findings })
}

fn as_server(name: &str, inventory: &Inventory, cpu_cap_mhz: u32) -> tabane_model::Source {
    let Inventory { cores, mem_mib, os, cpu_model, firmware, vendor, disk_bytes, application, .. } =
        inventory;
    let disk_bytes = disk_bytes.to_string();
    let labels = [
        ("os", os),
        ("application", application),
        ("cpu_model", cpu_model),
        ("firmware", firmware),
        ("vendor", vendor),
        ("disk_bytes", &disk_bytes),
    ];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.clone())).to_vec();
    tabane_model::Source { name: name.to_owned(), cores: *cores, cpu_cap_mhz, mem_cap_mib: *mem_mib, labels }
}

fn sources(collection: &Path, findings: &mut Vec<String>) -> Result<Vec<Source>> {
    let folder = collection.join(SERVERS);
    let failed = |source| Error::Read { file: folder.clone(), source };
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(&folder).map_err(failed)?.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    let mut sources = Vec::new();
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let inventory = std::fs::read_to_string(folder.join(INVENTORY)).ok();
        let Some(inventory) = inventory.as_deref().and_then(Inventory::parse) else {
            findings.push(format!("{name}: left out, it was never reached"));
            continue;
        };
        let samples = recording::read(&folder.join(SAMPLES))?;
        sources.push(Source { name, inventory, samples });
    }
    Ok(sources)
}

fn tell(name: &str, odd: Oddities, row: &[u32], findings: &mut Vec<String>) {
    let missing = row.iter().filter(|value| **value == NO_SAMPLE).count();
    let told = [
        (missing, "bins without a sample"),
        (odd.restarts, "restarts"),
        (odd.gaps, "gaps in the samples"),
        (odd.clock_steps, "times that a clock was set"),
        (odd.duplicates, "samples twice"),
    ];
    let told: Vec<String> =
        told.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if !told.is_empty() {
        findings.push(format!("{name}: {}", told.join(", ")));
    }
}
