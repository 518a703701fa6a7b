//! The one way that samples of all forms take: server, metric, time, value. Here it is judged whether a sample can be, and
//! which bins it belongs to.

use std::collections::HashMap;

use jiff::Timestamp;
use tabane_model::{Grid, Metric, NO_SAMPLE, Source};

use super::{
    findings::{Finding, Findings, Kind},
    hardware::Hardware,
    lines::At,
    rows::Row,
};
use crate::{Error, Matrix, Result};

const SERVERS_MAX: usize = 100_000;
const NAME_CHARS_MAX: usize = 200;
/// As a matrix may have.
const BINS_MAX: i64 = 1_600_000;
/// 4 GiB of them.
const CELLS_MAX: usize = 1 << 30;
/// Nobody has measured servers after 2100.
const UNIX_MS_MAX: i64 = 4_102_444_800_000;
/// No sample stands for more: the average of a night in which nobody measured says nothing of its moments.
const INTERVAL_MS_MAX: i64 = 3_600_000;
/// So many times of what a server has cannot be its load. Short bursts over it are real.
const CAPACITY_TIMES_MAX: f64 = 2.0;
/// No disk and no network card does more, in KiB/s or operations per second.
const RATE_MAX: f64 = 1e8;

/// What a form knows of a server's hardware.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Has {
    pub cores: Option<u32>,
    /// All cores together.
    pub cpu_cap_mhz: Option<u32>,
    pub mem_cap_mib: Option<u32>,
}

/// A value of a server; `from_ms` is before `to_ms` if it is of the time between, and the same if it is of that moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub metric: Metric,
    pub from_ms: i64,
    pub to_ms: i64,
    pub value: f64,
}

/// Where samples of a metric of a server are.
#[derive(Debug, Default)]
struct Series {
    row: Row,
    /// The file that is being read, and the times that it has had so far.
    file: usize,
    first_ms: i64,
    last_ms: i64,
    /// The times of files before it.
    spans: Vec<(i64, i64)>,
}

#[derive(Debug)]
struct Server {
    name: String,
    has: Has,
    is_listed: bool,
    is_left_out: bool,
    labels: Vec<(String, String)>,
    series: [Series; Metric::ALL.len()],
}

pub(super) struct Stream {
    step_s: u32,
    first_bin_unix: Option<i64>,
    hardware: Hardware,
    servers: Vec<Server>,
    /// By the names that files have for them.
    known: HashMap<String, usize>,
    /// By the names that they get.
    named: HashMap<String, usize>,
    findings: Findings,
    files: usize,
    chunks: usize,
    /// Bins of the earliest and latest samples.
    span: Option<(i64, i64)>,
}

/// What came of it all.
#[derive(Debug)]
pub(super) struct Binned {
    pub grid: Grid,
    pub servers: Vec<Source>,
    pub findings: Vec<Finding>,
    series: Vec<[Series; Metric::ALL.len()]>,
    first: i64,
}

impl Stream {
    pub fn new(step_s: u32, first_bin_unix: Option<i64>, hardware: Hardware) -> Self {
        let (servers, findings) = (Vec::new(), Findings::default());
        let (known, named) = (HashMap::new(), HashMap::new());
        let (files, chunks, span) = (0, 0, None);
        Self { step_s, first_bin_unix, hardware, servers, known, named, findings, files, chunks, span }
    }

    pub fn begin_file(&mut self) {
        self.files += 1;
    }

    pub fn first_bin_unix(&self) -> Option<i64> {
        self.first_bin_unix
    }

    /// The number of a server. `at` says who names it so.
    pub fn server(&mut self, name: &str, at: At) -> Result<usize> {
        if let Some(known) = self.known.get(name) {
            return Ok(*known);
        }
        let listed = self.hardware.find(name).cloned();
        let plain = listed.as_ref().map_or_else(|| plain(name), |listed| plain(&listed.name));
        if plain.is_empty() {
            return Err(at.wrong("the server has no name".into()));
        }
        if let Some(same) = self.named.get(&plain).copied() {
            // As a list spells it, or a name that was changed to another's.
            if listed.is_none() {
                let what = format!("two servers would be named {plain}; rename one of them");
                return Err(at.wrong(what));
            }
            self.known.insert(name.to_owned(), same);
            return Ok(same);
        }
        if self.servers.len() == SERVERS_MAX {
            return Err(Error::TooLarge { file: at.file.into(), limit: format!("{SERVERS_MAX} servers") });
        }
        let assumed = self.hardware.assumed;
        let has = match &listed {
            Some(it) => Has {
                cores: Some(it.cores),
                cpu_cap_mhz: Some(it.cpu_cap_mhz),
                mem_cap_mib: Some(it.mem_cap_mib),
            },
            None => Has { cores: assumed.cores, cpu_cap_mhz: None, mem_cap_mib: assumed.memory_mib },
        };
        let id = self.servers.len();
        if listed.is_none() && plain != name {
            self.note(Kind::Renamed, id, at, || format!("{:?}", name.chars().take(80).collect::<String>()));
        }
        let is_listed = listed.is_some();
        let labels = listed.map_or_else(Vec::new, |listed| listed.labels);
        self.servers.push(Server {
            name: plain.clone(),
            has,
            is_listed,
            is_left_out: false,
            labels,
            series: Default::default(),
        });
        self.known.insert(name.to_owned(), id);
        self.named.insert(plain, id);
        Ok(id)
    }

    /// The number of a server that an inventory has; each is there once.
    pub fn new_server(&mut self, name: &str, at: At) -> Result<usize> {
        if self.known.contains_key(name) {
            let what = format!("there are two servers named {name}; rename one of them, or leave one out");
            return Err(at.wrong(what));
        }
        self.server(name, at)
    }

    /// It is named, but is no server that is to be virtualized.
    pub fn leave_out(&mut self, server: usize, at: At, what: &str) {
        self.servers[server].is_left_out = true;
        self.note(Kind::LeftOut, server, at, || what.to_owned());
    }

    /// What is known of a server besides, for its line in `servers.csv`.
    pub fn label(&mut self, server: usize, key: &str, value: &str) {
        let value = value.trim();
        let labels = &mut self.servers[server].labels;
        if !value.is_empty() && !labels.iter().any(|(known, _)| known == key) {
            labels.push((key.to_owned(), value.chars().take(NAME_CHARS_MAX).collect()));
        }
    }

    /// What a file says of a server's hardware. A list is believed more, and what is assumed less.
    pub fn has(&mut self, server: usize, has: Has, at: At) {
        if self.servers[server].is_listed {
            return;
        }
        let assumed = self.hardware.assumed;
        let known = &mut self.servers[server].has;
        let mut changed = None;
        let mut learn = |place: &mut Option<u32>, said: Option<u32>, assumed: Option<u32>, what: &str| {
            let Some(said) = said.filter(|said| *said > 0) else { return };
            let before = place.filter(|before| Some(*before) != assumed);
            if let Some(before) = before.filter(|before| *before != said) {
                changed.get_or_insert_with(|| format!("{what}: {before}, then {said}"));
            }
            *place = Some(before.map_or(said, |before| before.max(said)));
        };
        learn(&mut known.cores, has.cores, assumed.cores, "cores");
        learn(&mut known.cpu_cap_mhz, has.cpu_cap_mhz, None, "MHz");
        learn(&mut known.mem_cap_mib, has.mem_cap_mib, assumed.memory_mib, "memory in MiB");
        if let Some(changed) = changed {
            self.note(Kind::HardwareChanged, server, at, || changed);
        }
    }

    /// MHz of all cores together.
    pub fn cpu_cap(&self, server: usize) -> Result<u32> {
        let Server { name, has, .. } = &self.servers[server];
        let cores_and_speed = || Some(has.cores?.saturating_mul(self.hardware.assumed.core_mhz?));
        has.cpu_cap_mhz.or_else(cores_and_speed).filter(|cap| *cap > 0).ok_or_else(|| {
            let what = if has.cores.is_none() {
                "how many cores it has is not known: say --cores and --core-mhz, or name it in a list, --servers FILE"
            } else {
                "how fast its cores are is not known: say --core-mhz, or name it in a list, --servers FILE"
            };
            Error::Unknown { server: name.clone(), what: what.into() }
        })
    }

    pub fn mem_cap(&self, server: usize) -> Result<u32> {
        let Server { name, has, .. } = &self.servers[server];
        has.mem_cap_mib.ok_or_else(|| {
            let what =
                "how much memory it has is not known: say --memory-mib, or name it in a list, --servers FILE";
            Error::Unknown { server: name.clone(), what: what.into() }
        })
    }

    pub fn cores(&self, server: usize) -> u32 {
        self.servers[server].has.cores.unwrap_or(0)
    }

    /// Something odd of a server.
    pub fn note(&mut self, kind: Kind, server: usize, at: At, what: impl FnOnce() -> String) {
        self.findings.add(kind, server, 1, || format!("{}: {}", at.place(), what()));
    }

    pub fn take(&mut self, server: usize, sample: Sample, at: At) -> Result<()> {
        let Sample { metric, from_ms, to_ms, value } = sample;
        if let Some(why) = self.why_not(server, metric, to_ms, value) {
            self.note(Kind::Impossible, server, at, || format!("{metric} is {why}"));
            return Ok(());
        }
        let (from, to) = self.bins(from_ms, to_ms);
        if self.first_bin_unix.is_some() && to < 0 {
            self.note(Kind::Early, server, at, || time(to_ms));
            return Ok(());
        }
        let from = if self.first_bin_unix.is_some() { from.max(0) } else { from };
        self.follow(server, metric, to_ms, at);
        let series = &mut self.servers[server].series[metric as usize];
        for bin in from..=to {
            let took = series.row.take(bin, value.ceil() as u32);
            self.chunks += usize::from(took);
        }
        let (first, last) = self.span.unwrap_or((from, to));
        let (first, last) = (first.min(from), last.max(to));
        if last - first >= BINS_MAX {
            let (first, last) = (self.begin(first), self.begin(last));
            let what = format!(
                "there are samples from {} to {}, more than {BINS_MAX} bins of {} s; a clock was wrong, or take longer bins with --bin",
                time(first * 1_000),
                time(last * 1_000),
                self.step_s
            );
            return Err(at.wrong(what));
        }
        self.span = Some((first, last));
        if self.chunks * Row::CHUNK > CELLS_MAX {
            let limit = format!("{CELLS_MAX} bins with samples; take longer ones with --bin");
            return Err(Error::TooLarge { file: at.file.into(), limit });
        }
        Ok(())
    }

    /// Why a sample cannot be.
    fn why_not(&self, server: usize, metric: Metric, to_ms: i64, value: f64) -> Option<String> {
        if !(1..UNIX_MS_MAX).contains(&to_ms) {
            return Some(format!("measured at {to_ms} ms, which is no time"));
        }
        if !value.is_finite() {
            return Some(format!("{value}"));
        }
        if value < 0.0 {
            return Some(format!("{value}, which is negative"));
        }
        let has = self.servers[server].has;
        let capacity = match metric {
            Metric::CpuMhz => self.cpu_cap(server).ok(),
            Metric::MemMib => has.mem_cap_mib.filter(|mib| *mib > 0),
            _ => None,
        };
        match capacity {
            Some(capacity) if value > CAPACITY_TIMES_MAX * f64::from(capacity) => {
                Some(format!("{value:.0}, and all that it has is {capacity}"))
            }
            Some(_) if value.ceil() < f64::from(NO_SAMPLE) => None,
            _ if value > RATE_MAX => Some(format!("{value:.0}, more than anything can")),
            _ => None,
        }
    }

    /// The first and the last bin that a sample has more than a moment of.
    fn bins(&self, from_ms: i64, to_ms: i64) -> (i64, i64) {
        let step_ms = i64::from(self.step_s) * 1_000;
        let begin_ms = self.first_bin_unix.unwrap_or(0).saturating_mul(1_000);
        let bin = |ms: i64| ms.saturating_sub(begin_ms).div_euclid(step_ms);
        let from_ms = from_ms.max(to_ms - INTERVAL_MS_MAX);
        if from_ms >= to_ms { (bin(to_ms), bin(to_ms)) } else { (bin(from_ms), bin(to_ms - 1)) }
    }

    fn begin(&self, bin: i64) -> i64 {
        self.first_bin_unix.unwrap_or(0) + bin * i64::from(self.step_s)
    }

    /// Whether times go on as they should.
    fn follow(&mut self, server: usize, metric: Metric, to_ms: i64, at: At) {
        let files = self.files;
        let series = &mut self.servers[server].series[metric as usize];
        if series.row.is_empty() || series.file != files {
            if !series.row.is_empty() {
                series.spans.push((series.first_ms, series.last_ms));
            }
            (series.file, series.first_ms, series.last_ms) = (files, to_ms, to_ms);
            return;
        }
        let last_ms = series.last_ms;
        (series.first_ms, series.last_ms) = (series.first_ms.min(to_ms), last_ms.max(to_ms));
        if to_ms == last_ms {
            self.note(Kind::Duplicate, server, at, || format!("{metric} at {}", time(to_ms)));
        } else if to_ms < last_ms {
            let what = || format!("{metric} at {}, after {}", time(to_ms), time(last_ms));
            self.note(Kind::ClockStep, server, at, what);
        }
    }

    /// Everything, on one time line. `traces` says that there have to be loads.
    pub fn finish(mut self, traces: bool) -> Result<Binned> {
        for listed in self.hardware.listed().to_vec() {
            self.server(&listed.name, At { file: "--servers".as_ref(), line: 1, column: 0 })?;
        }
        let (first, last) = match self.span {
            Some((first, last)) => (if self.first_bin_unix.is_some() { 0 } else { first }, last),
            None if traces => return Err(Error::Nothing("sample")),
            None if self.servers.iter().all(|server| server.is_left_out) => {
                return Err(Error::Nothing("server"));
            }
            None => (0, -1),
        };
        if last - first >= BINS_MAX {
            return Err(Error::Unknown {
                server: time(self.begin(first) * 1_000),
                what: format!("the first bin is more than {BINS_MAX} bins before the last sample"),
            });
        }
        let bins = (last - first + 1) as usize;
        if bins.saturating_mul(self.servers.len()) > CELLS_MAX {
            return Err(Error::Unknown {
                server: format!("{} servers in {bins} bins", self.servers.len()),
                what: "this is more than can be written; take longer bins with --bin".into(),
            });
        }
        let grid = Grid { first_bin_unix: self.begin(first), step_s: self.step_s, bins };
        if traces {
            self.find_gaps(grid, first);
            self.find_overlaps();
            // Only named by a file without a line, such as of a VM that was never on: there is nothing to plan with.
            for server in 0..self.servers.len() {
                let it = &self.servers[server];
                let is_measured = it.series.iter().any(|series| !series.row.is_empty());
                self.servers[server].is_left_out =
                    !is_measured && !it.is_listed && self.source(server).is_err();
            }
        }
        let names: Vec<String> = self.servers.iter().map(|server| server.name.clone()).collect();
        let wanted: Vec<usize> =
            (0..self.servers.len()).filter(|server| !self.servers[*server].is_left_out).collect();
        let sources = wanted.iter().map(|server| self.source(*server)).collect::<Result<_>>()?;
        let findings = self.findings.finish(|server| names[server].clone());
        let servers = self.servers.into_iter().filter(|server| !server.is_left_out);
        let series = servers.map(|server| server.series).collect();
        Ok(Binned { grid, servers: sources, findings, series, first })
    }

    fn source(&self, server: usize) -> Result<Source> {
        let Server { name, has, labels, .. } = &self.servers[server];
        Ok(Source {
            name: name.clone(),
            cores: has.cores.unwrap_or(0),
            cpu_cap_mhz: self.cpu_cap(server)?,
            mem_cap_mib: self.mem_cap(server)?,
            labels: labels.clone(),
        })
    }

    /// Of each server by the first metric that was measured of it, as everything else is measured together with it.
    fn find_gaps(&mut self, grid: Grid, first: i64) {
        let mut row = vec![NO_SAMPLE; grid.bins];
        for server in 0..self.servers.len() {
            let measured = Metric::ALL.into_iter().find(|metric| {
                let series = &self.servers[server].series[*metric as usize];
                !series.row.is_empty()
            });
            let Some(metric) = measured else {
                self.findings.add(Kind::NoTrace, server, 1, || "no file has it".into());
                continue;
            };
            self.servers[server].series[metric as usize].row.write(first, &mut row);
            let missing = row.iter().filter(|value| **value == NO_SAMPLE).count();
            if let Some(at) = row.iter().position(|value| *value == NO_SAMPLE) {
                let begin = (grid.first_bin_unix + at as i64 * i64::from(grid.step_s)) * 1_000;
                let example = || format!("{metric} at {}", time(begin));
                self.findings.add(Kind::Gap, server, missing as u64, example);
            }
        }
    }

    fn find_overlaps(&mut self) {
        for server in 0..self.servers.len() {
            for metric in Metric::ALL {
                let series = &mut self.servers[server].series[metric as usize];
                if series.spans.is_empty() {
                    continue;
                }
                series.spans.push((series.first_ms, series.last_ms));
                series.spans.sort_unstable();
                let mut end = i64::MIN;
                let mut overlaps = Vec::new();
                for (first, last) in &series.spans {
                    if *first <= end {
                        overlaps.push(*first);
                    }
                    end = end.max(*last);
                }
                if let Some(first) = overlaps.first() {
                    let example = || format!("{metric} from {} on", time(*first));
                    self.findings.add(Kind::Overlap, server, overlaps.len() as u64, example);
                    break;
                }
            }
        }
    }
}

impl Binned {
    /// What was measured of any server.
    pub fn metrics(&self) -> Vec<Metric> {
        let any = |metric: &Metric| self.series.iter().any(|series| !series[*metric as usize].row.is_empty());
        Metric::ALL.into_iter().filter(any).collect()
    }

    pub fn matrix(&self, metric: Metric) -> Matrix {
        let bins = self.grid.bins;
        let mut values = vec![NO_SAMPLE; bins * self.servers.len()];
        for (at, series) in self.series.iter().enumerate() {
            series[metric as usize].row.write(self.first, &mut values[at * bins..(at + 1) * bins]);
        }
        let servers = self.servers.iter().map(|server| server.name.clone()).collect();
        Matrix { grid: self.grid, servers, values }
    }
}

/// A name that fits into files with commas, and does not look like a comment.
fn plain(name: &str) -> String {
    let name = name.trim();
    let fits = |c: char| if c.is_control() || c == ',' || c == '"' { '_' } else { c };
    let name: String = name.chars().map(fits).take(NAME_CHARS_MAX).collect();
    let mut name = if name.starts_with('#') { name.replacen('#', "_", 1) } else { name };
    // What a matrix accepts is counted in bytes.
    while name.len() > NAME_CHARS_MAX {
        name.pop();
    }
    name.trim().to_owned()
}

fn time(unix_ms: i64) -> String {
    let stamp = Timestamp::from_millisecond(unix_ms);
    stamp.map_or_else(|_| format!("{unix_ms} ms"), |stamp| stamp.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{super::Assumed, *};

    fn at(line: usize) -> At<'static> {
        At { file: Path::new("web.csv"), line, column: 2 }
    }

    fn stream() -> Stream {
        let assumed = Assumed { cores: Some(2), core_mhz: Some(1_000), memory_mib: Some(1_024) };
        let mut stream = Stream::new(60, None, Hardware::read(assumed, None).unwrap());
        stream.begin_file();
        stream
    }

    fn cpu(second: i64, value: f64) -> Sample {
        Sample { metric: Metric::CpuMhz, from_ms: second * 1_000, to_ms: second * 1_000, value }
    }

    fn told(binned: &Binned) -> Vec<(Kind, u64, &str)> {
        binned.findings.iter().map(|f| (f.kind, f.count, f.example.as_str())).collect()
    }

    #[test]
    fn the_most_of_a_bin_counts_and_gaps_stay() {
        let mut stream = stream();
        let web = stream.server("web", at(1)).unwrap();
        for (line, sample) in [cpu(600, 10.2), cpu(659, 3.0), cpu(720, 5.0)].into_iter().enumerate() {
            stream.take(web, sample, at(line + 1)).unwrap();
        }
        let binned = stream.finish(true).unwrap();
        assert_eq!(binned.grid, Grid { first_bin_unix: 600, step_s: 60, bins: 3 });
        assert_eq!(binned.matrix(Metric::CpuMhz).values, [11, NO_SAMPLE, 5]);
        assert_eq!(binned.metrics(), [Metric::CpuMhz]);
        assert_eq!(told(&binned), [(Kind::Gap, 1, "cpu_mhz at 1970-01-01T00:11:00Z")]);
    }

    #[test]
    fn an_interval_counts_in_each_bin_that_it_touches() {
        let mut stream = stream();
        let web = stream.server("web", at(1)).unwrap();
        let sample = Sample { metric: Metric::NetRxKbs, from_ms: 650_000, to_ms: 720_000, value: 7.0 };
        stream.take(web, sample, at(1)).unwrap();
        let binned = stream.finish(true).unwrap();
        assert_eq!(binned.matrix(Metric::NetRxKbs).values, [7, 7]);
    }

    #[test]
    fn a_long_interval_counts_for_its_last_hour() {
        let mut stream = stream();
        let web = stream.server("web", at(1)).unwrap();
        let sample = Sample { metric: Metric::NetRxKbs, from_ms: 0, to_ms: 86_400_000, value: 7.0 };
        stream.take(web, sample, at(1)).unwrap();
        let binned = stream.finish(true).unwrap();
        assert_eq!(binned.grid, Grid { first_bin_unix: 82_800, step_s: 60, bins: 60 });
    }

    #[test]
    fn what_cannot_be_is_left_out_and_told() {
        let mut stream = stream();
        let web = stream.server("web", at(1)).unwrap();
        for value in [-1.0, f64::NAN, f64::INFINITY, 4_001.0] {
            stream.take(web, cpu(600, value), at(3)).unwrap();
        }
        stream.take(web, cpu(0, 1.0), at(3)).unwrap();
        // A burst over what it has can be.
        stream.take(web, cpu(600, 2_500.0), at(4)).unwrap();
        stream.take(web, cpu(600, 1.0), at(5)).unwrap();
        stream.take(web, cpu(540, 1.0), at(6)).unwrap();
        let binned = stream.finish(true).unwrap();
        assert_eq!(binned.matrix(Metric::CpuMhz).values, [1, 2_500]);
        assert_eq!(
            told(&binned),
            [
                (Kind::Duplicate, 1, "web.csv, line 5, column 2: cpu_mhz at 1970-01-01T00:10:00Z"),
                (
                    Kind::ClockStep,
                    1,
                    "web.csv, line 6, column 2: cpu_mhz at 1970-01-01T00:09:00Z, after 1970-01-01T00:10:00Z"
                ),
                (Kind::Impossible, 5, "web.csv, line 3, column 2: cpu_mhz is -1, which is negative"),
            ]
        );
    }

    #[test]
    fn a_clock_that_was_wrong_by_years_is_an_error_with_its_place() {
        let mut stream = stream();
        let web = stream.server("web", at(1)).unwrap();
        stream.take(web, cpu(60, 1.0), at(1)).unwrap();
        let told = stream.take(web, cpu(1_700_000_000, 1.0), at(2)).unwrap_err().to_string();
        assert!(told.starts_with("web.csv, line 2, column 2: there are samples from 1970-01-01"), "{told}");
    }

    #[test]
    fn names_fit_into_files() {
        let mut stream = stream();
        let first = stream.server("#a,\"b\"\n", at(1)).unwrap();
        assert_eq!(stream.server("#a,\"b\"\n", at(1)).unwrap(), first);
        assert!(stream.server("_a__b_", at(2)).unwrap_err().to_string().contains("two servers"));
        assert!(stream.server("  ", at(2)).unwrap_err().to_string().contains("no name"));
        stream.take(first, cpu(60, 1.0), at(1)).unwrap();
        let binned = stream.finish(true).unwrap();
        assert_eq!(binned.servers[0].name, "_a__b_");
        assert_eq!(told(&binned)[0].0, Kind::Renamed);
        assert!(plain(&"サ".repeat(300)).len() <= NAME_CHARS_MAX);
    }

    #[test]
    fn a_list_is_believed_more_than_files_and_files_more_than_assumptions() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("servers.csv");
        std::fs::write(&list, "server,cores,cpu_cap_mhz,mem_cap_mib,os\nWeb,8,16000,4096,x\nold,1,1,1,\n")
            .unwrap();
        let assumed = Assumed { cores: Some(2), core_mhz: Some(1_000), memory_mib: Some(1_024) };
        let mut stream = Stream::new(60, None, Hardware::read(assumed, Some(&list)).unwrap());
        stream.begin_file();
        let web = stream.server("WEB", at(1)).unwrap();
        let db = stream.server("db", at(1)).unwrap();
        for server in [web, db] {
            stream.has(server, Has { cores: Some(4), ..Has::default() }, at(1));
            stream.has(server, Has { cores: Some(3), ..Has::default() }, at(2));
            stream.take(server, cpu(60, 1.0), at(3)).unwrap();
        }
        stream.begin_file();
        stream.take(web, cpu(60, 1.0), at(1)).unwrap();
        let binned = stream.finish(true).unwrap();
        let known: Vec<(&str, u32, u32)> =
            binned.servers.iter().map(|s| (s.name.as_str(), s.cores, s.cpu_cap_mhz)).collect();
        assert_eq!(known, [("Web", 8, 16_000), ("db", 4, 4_000), ("old", 1, 1)]);
        let kinds: Vec<(Kind, &str)> =
            binned.findings.iter().map(|finding| (finding.kind, finding.server.as_str())).collect();
        assert_eq!(kinds, [(Kind::NoTrace, "old"), (Kind::Overlap, "Web"), (Kind::HardwareChanged, "db")]);
    }
}
