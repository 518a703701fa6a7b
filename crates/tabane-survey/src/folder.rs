//! A folder of traces: `servers.csv`, and a matrix for each metric. Names may begin with anything that ends with `_`
//! (`2013-07_cpu_mhz.csv.gz`), as long as all begin alike.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use tabane_model::{Finding, Grid, Metric, NO_SAMPLE, Traces};

use crate::{Error, Matrix, Result, matrix, servers};

const SUFFIXES: [&str; 2] = [".csv", ".csv.gz"];
pub(crate) const SERVERS: [&str; 2] = ["servers", "vms"];

/// Reads a folder.
pub fn read_folder(folder: &Path) -> Result<Traces> {
    read_folder_within(folder, matrix::FILE_BYTES_MAX)
}

/// Reads a folder whose matrices are unpacked to so many bytes each at most.
pub fn read_folder_within(folder: &Path, limit_bytes: u64) -> Result<Traces> {
    let files = files_of(folder)?;
    let failed = |what: String| Error::Folder { folder: folder.to_owned(), what };
    let servers = SERVERS.iter().find_map(|name| files.get(*name)).ok_or_else(|| {
        failed(
            "there is no servers.csv: name the servers there, with server,cores,cpu_cap_mhz,mem_cap_mib"
                .into(),
        )
    })?;
    let mut traces = Traces {
        grid: Grid { first_bin_unix: 0, step_s: 0, bins: 0 },
        servers: servers::read(servers)?,
        series: BTreeMap::new(),
        findings: Vec::new(),
    };
    for metric in Metric::ALL {
        let Some(path) = files.get(metric.name()) else { continue };
        let matrix = Matrix::read_within(path, limit_bytes)?;
        if traces.series.is_empty() {
            traces.grid = matrix.grid;
        } else if matrix.grid != traces.grid {
            let told =
                |grid: Grid| format!("{} bins of {} s from {}", grid.bins, grid.step_s, grid.first_bin_unix);
            let (is, was) = (told(matrix.grid), told(traces.grid));
            let what =
                format!("{} has another time line: {is}, not {was} as those before it", path.display());
            return Err(failed(what));
        }
        let rows = rows_by_server(&mut traces, metric, &matrix)
            .map_err(|twice| failed(format!("{}: the server {twice} has two rows", path.display())))?;
        traces.series.insert(metric, rows);
    }
    if traces.series.is_empty() {
        return Err(failed("there is no matrix of a metric, such as cpu_mhz.csv".into()));
    }
    find_missing(&mut traces);
    Ok(traces)
}

/// The rows of a matrix in the order of the servers; or the server that has two.
fn rows_by_server(
    traces: &mut Traces,
    metric: Metric,
    matrix: &Matrix,
) -> std::result::Result<Vec<u32>, String> {
    let servers = traces.servers.iter().enumerate();
    let places: HashMap<&str, usize> = servers.map(|(at, server)| (server.name.as_str(), at)).collect();
    let bins = traces.grid.bins;
    let mut rows = vec![NO_SAMPLE; traces.servers.len() * bins];
    let mut seen = vec![false; traces.servers.len()];
    for (at, name) in matrix.servers.iter().enumerate() {
        let Some(place) = places.get(name.as_str()).copied() else {
            traces.findings.push(Finding::TraceWithoutServer { server: name.clone(), metric });
            continue;
        };
        if std::mem::replace(&mut seen[place], true) {
            return Err(name.clone());
        }
        rows[place * bins..(place + 1) * bins].copy_from_slice(matrix.row(at));
    }
    Ok(rows)
}

fn find_missing(traces: &mut Traces) {
    for at in 0..traces.servers.len() {
        let is_missing = |metric: &Metric| {
            traces.of(at, *metric).is_some_and(|row| row.iter().all(|value| *value == NO_SAMPLE))
        };
        let missing: Vec<Metric> = traces.series.keys().copied().filter(is_missing).collect();
        let server = traces.servers[at].name.clone();
        if missing.len() == traces.series.len() {
            traces.findings.push(Finding::ServerWithoutTrace { server });
        } else {
            let missing = missing.into_iter();
            let told = missing.map(|metric| Finding::MetricMissing { server: server.clone(), metric });
            traces.findings.extend(told);
        }
    }
}

/// Files of the folder by what they have, such as `cpu_mhz`.
pub(crate) fn files_of(folder: &Path) -> Result<BTreeMap<&'static str, PathBuf>> {
    let failed = |source| Error::Read { file: folder.to_owned(), source };
    let known: Vec<&'static str> = SERVERS.into_iter().chain(Metric::ALL.map(Metric::name)).collect();
    let mut files: BTreeMap<&'static str, PathBuf> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(stem) = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)) else { continue };
        let has =
            |known: &str| stem.strip_suffix(known).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'));
        let Some(what) = known.iter().copied().find(|known| has(known)) else { continue };
        if let Some(other) = files.insert(what, path.clone()) {
            let what = format!("{} and {} are both {what}; leave one", other.display(), path.display());
            return Err(Error::Folder { folder: folder.to_owned(), what });
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "# first_bin_unix=0 step_s=300 columns=server,v0..v1\n";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| std::fs::write(folder.path().join(name), text).unwrap());
        folder
    }

    const SERVERS: &str =
        "server,cores,cpu_cap_mhz,mem_cap_mib\nweb,1,1000,1024\ndb,2,2000,2048\nold,1,1,1\n";

    #[test]
    fn rows_are_those_of_the_servers_whatever_their_order() {
        let cpu = format!("{HEAD}db,5,6\nweb,1,\nghost,1,1\n");
        let memory = format!("{HEAD}web,7,8\n");
        let folder = folder(&[
            ("may_servers.csv", SERVERS),
            ("may_cpu_mhz.csv", &cpu),
            ("may_mem_mib.csv", &memory),
            ("README.md", "?"),
        ]);
        let traces = read_folder(folder.path()).unwrap();
        assert_eq!(traces.of(0, Metric::CpuMhz).unwrap(), [1, NO_SAMPLE]);
        assert_eq!(traces.of(1, Metric::CpuMhz).unwrap(), [5, 6]);
        assert_eq!(traces.of(1, Metric::NetRxKbs), None);
        assert_eq!(
            traces.findings,
            [
                Finding::TraceWithoutServer { server: "ghost".into(), metric: Metric::CpuMhz },
                Finding::MetricMissing { server: "db".into(), metric: Metric::MemMib },
                Finding::ServerWithoutTrace { server: "old".into() },
            ]
        );
    }

    #[test]
    fn files_that_contradict_each_other_are_refused() {
        let told = |files: &[(&str, &str)]| read_folder(folder(files).path()).unwrap_err().to_string();
        let cpu = format!("{HEAD}web,1,2\n");
        assert!(told(&[("cpu_mhz.csv", &cpu)]).contains("there is no servers.csv"));
        assert!(told(&[("servers.csv", SERVERS)]).contains("no matrix of a metric"));
        let twice = [("servers.csv", SERVERS), ("a_cpu_mhz.csv", &cpu), ("b_cpu_mhz.csv", &cpu)];
        assert!(told(&twice).contains("are both cpu_mhz"));
        let rows = format!("{cpu}web,3,4\n");
        assert!(told(&[("servers.csv", SERVERS), ("cpu_mhz.csv", &rows)]).contains("web has two rows"));
        let later = cpu.replace("unix=0", "unix=300");
        let shifted = [("servers.csv", SERVERS), ("cpu_mhz.csv", &cpu), ("mem_mib.csv", &later)];
        assert!(told(&shifted).contains("another time line"));
    }
}
