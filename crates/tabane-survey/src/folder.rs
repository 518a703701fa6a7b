//! A folder of traces: `servers.csv`, and a matrix for each metric. Names may begin with anything that ends with `_`
//! (`2013-07_cpu_mhz.csv.gz`), as long as all begin alike.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use crate::{Error, Grid, Matrix, Metric, NO_SAMPLE, Result, Server, servers};

const SUFFIXES: [&str; 2] = [".csv", ".csv.gz"];
const SERVERS: [&str; 2] = ["servers", "vms"];

/// What is odd about traces without being a reason to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Of a server that `servers.csv` does not have: left out.
    TraceWithoutServer {
        server: String,
        metric: Metric,
    },
    /// Nothing was measured of it.
    ServerWithoutTrace {
        server: String,
    },
    MetricMissing {
        server: String,
        metric: Metric,
    },
}

/// Servers and their loads on one time line.
#[derive(Debug, Clone, PartialEq)]
pub struct Traces {
    pub grid: Grid,
    pub servers: Vec<Server>,
    /// Of each metric that was measured, the servers' rows one after the other.
    pub series: BTreeMap<Metric, Vec<u32>>,
    pub findings: Vec<Finding>,
}

impl Traces {
    pub fn read(folder: &Path) -> Result<Self> {
        let files = files_of(folder)?;
        let failed = |what: String| Error::Folder { folder: folder.to_owned(), what };
        let servers = SERVERS.iter().find_map(|name| files.get(*name)).ok_or_else(|| {
            failed(
                "there is no servers.csv: name the servers there, with server,cores,cpu_cap_mhz,mem_cap_mib"
                    .into(),
            )
        })?;
        let mut traces = Self {
            grid: Grid { first_bin_unix: 0, step_s: 0, bins: 0 },
            servers: servers::read(servers)?,
            series: BTreeMap::new(),
            findings: Vec::new(),
        };
        for metric in Metric::ALL {
            let Some(path) = files.get(metric.name()) else { continue };
            let matrix = Matrix::read(path)?;
            if traces.series.is_empty() {
                traces.grid = matrix.grid;
            } else if matrix.grid != traces.grid {
                return Err(failed(format!(
                    "{} has another time line than the metrics before it: {} bins of {} s from {}, not {} of {} s from {}",
                    path.display(),
                    matrix.grid.bins,
                    matrix.grid.step_s,
                    matrix.grid.first_bin_unix,
                    traces.grid.bins,
                    traces.grid.step_s,
                    traces.grid.first_bin_unix,
                )));
            }
            traces.add(metric, &matrix, path)?;
        }
        if traces.series.is_empty() {
            return Err(failed("there is no matrix of a metric, such as cpu_mhz.csv".into()));
        }
        traces.find_missing();
        Ok(traces)
    }

    /// The loads of a server, [`NO_SAMPLE`] where there is none; `None` if the metric was not measured at all.
    pub fn of(&self, server: usize, metric: Metric) -> Option<&[u32]> {
        let bins = self.grid.bins;
        self.series.get(&metric).map(|rows| &rows[server * bins..(server + 1) * bins])
    }

    fn add(&mut self, metric: Metric, matrix: &Matrix, path: &Path) -> Result<()> {
        let places: HashMap<&str, usize> =
            self.servers.iter().enumerate().map(|(at, server)| (server.name.as_str(), at)).collect();
        let bins = self.grid.bins;
        let mut rows = vec![NO_SAMPLE; self.servers.len() * bins];
        let mut seen = vec![false; self.servers.len()];
        for (at, name) in matrix.servers.iter().enumerate() {
            let Some(place) = places.get(name.as_str()).copied() else {
                self.findings.push(Finding::TraceWithoutServer { server: name.clone(), metric });
                continue;
            };
            if std::mem::replace(&mut seen[place], true) {
                let what = format!("{}: the server {name} has two rows", path.display());
                return Err(Error::Folder { folder: path.parent().unwrap_or(path).to_owned(), what });
            }
            rows[place * bins..(place + 1) * bins].copy_from_slice(matrix.row(at));
        }
        self.series.insert(metric, rows);
        Ok(())
    }

    fn find_missing(&mut self) {
        for (at, server) in self.servers.iter().enumerate() {
            let is_missing = |rows: &[u32]| {
                rows[at * self.grid.bins..(at + 1) * self.grid.bins].iter().all(|value| *value == NO_SAMPLE)
            };
            let missing: Vec<Metric> =
                self.series.iter().filter(|(_, rows)| is_missing(rows)).map(|(metric, _)| *metric).collect();
            let server = server.name.clone();
            if missing.len() == self.series.len() {
                self.findings.push(Finding::ServerWithoutTrace { server });
            } else {
                let missing = missing.into_iter();
                self.findings
                    .extend(missing.map(|metric| Finding::MetricMissing { server: server.clone(), metric }));
            }
        }
    }
}

/// Files of the folder by what they have, such as `cpu_mhz`.
fn files_of(folder: &Path) -> Result<BTreeMap<&'static str, PathBuf>> {
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
        let traces = Traces::read(folder.path()).unwrap();
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
        let told = |files: &[(&str, &str)]| Traces::read(folder(files).path()).unwrap_err().to_string();
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
