//! What `sadf -d` writes of the files of sysstat: for each kind of activity a line that names the columns, and then lines of
//! fields between semicolons, each with host, interval and time.

use std::collections::BTreeMap;

use jiff::{civil::DateTime, tz::TimeZone};
use tabane_model::Metric;

use super::{
    Kind,
    devices::{is_disk, is_nic},
    lines::{At, Line, Lines, number},
    stream::{Has, Sample, Stream},
};
use crate::Result;

/// Columns of every activity.
const HOST: usize = 0;
const INTERVAL: usize = 1;
const TIME: usize = 2;
const FIRST: usize = 3;
/// All CPUs together.
const ALL_CPUS: &str = "-1";
const SECTOR_KIB: f64 = 0.5;
const CPUS_MAX: u32 = 16_384;

/// Columns by their names, of the lines that follow.
struct Columns<'a>(Vec<&'a str>);

impl Columns<'_> {
    fn find(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.0.iter().position(|column| column == name))
    }
}

/// Loads of devices of the same moment are added up.
#[derive(Default)]
struct Sums<'a> {
    /// The activity that says it, by its first column. Two that say the same, such as -b and -d, would be samples twice.
    sources: BTreeMap<(usize, Metric), &'a str>,
    moment: Option<Moment>,
    sums: BTreeMap<Metric, f64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Moment {
    server: usize,
    from_ms: i64,
    to_ms: i64,
}

impl<'a> Sums<'a> {
    fn is_source(&mut self, server: usize, metric: Metric, activity: &'a str) -> bool {
        *self.sources.entry((server, metric)).or_insert(activity) == activity
    }

    fn flush(&mut self, stream: &mut Stream, at: At) -> Result<()> {
        let sums = std::mem::take(&mut self.sums);
        let Some(Moment { server, from_ms, to_ms }) = self.moment.take() else { return Ok(()) };
        for (metric, value) in sums {
            stream.take(server, Sample { metric, from_ms, to_ms, value }, at)?;
        }
        Ok(())
    }
}

pub(super) fn read(mut lines: Lines, stream: &mut Stream) -> Result<()> {
    let mut columns: Option<Columns> = None;
    let mut sums = Sums::default();
    let head = lines.head()?;
    let mut next = Some(head);
    let mut last = head.at;
    let mut server = None;
    while let Some(line) = next {
        next = lines.next()?;
        if let Some(names) = line.text.strip_prefix('#') {
            sums.flush(stream, last)?;
            columns = Some(columns_of(names, line)?);
        } else {
            let Some(columns) = &columns else {
                let what = "no line before it names its columns, as `# hostname;interval;timestamp;…` does; write the file with `sadf -d`";
                return Err(line.at.wrong(what.into()));
            };
            server = Some(row(line, columns, &mut sums, stream, last)?);
        }
        last = line.at;
    }
    sums.flush(stream, last)?;
    if let Some(server) = server.filter(|_| !lines.is_whole()) {
        stream.note(Kind::Cut, server, last, || "no end of line".into());
    }
    Ok(())
}

fn columns_of<'a>(names: &'a str, line: Line) -> Result<Columns<'a>> {
    let names: Vec<&str> = names.split(';').map(str::trim).collect();
    if names.get(..FIRST) != Some(&["hostname", "interval", "timestamp"]) {
        return Err(line.at.wrong("these are not the columns of `sadf -d`".into()));
    }
    if names.iter().any(|name| name.ends_with("[...]")) {
        return Err(line.at.wrong("several activities share a line; leave out the option -h of sadf".into()));
    }
    Ok(Columns(names))
}

/// Takes what a line says. `before` is the place of the line before it. Returns the server.
fn row<'a>(
    line: Line,
    columns: &Columns<'a>,
    sums: &mut Sums<'a>,
    stream: &mut Stream,
    before: At,
) -> Result<usize> {
    let at = line.at;
    let fields: Vec<&str> = line.text.split(';').map(str::trim).collect();
    let has = fields.len();
    let cut = |all: usize| {
        at.wrong(format!("the line has {has} fields, its columns are {all}; the file may be cut short"))
    };
    let (Some(host), Some(interval), Some(stamp), Some(first)) =
        (fields.get(HOST), fields.get(INTERVAL), fields.get(TIME), fields.get(FIRST))
    else {
        return Err(cut(columns.0.len()));
    };
    let server = stream.server(host, at.column(HOST + 1))?;
    let to_ms = unix_ms(stamp).map_err(|what| at.column(TIME + 1).wrong(what))?;
    if first.starts_with("LINUX-RESTART") || first.starts_with("COM") {
        let cores = first.split_once('(').and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
        let cores = cores.filter(|cores| (1..=CPUS_MAX).contains(cores));
        stream.has(server, Has { cores, ..Has::default() }, at);
        return Ok(server);
    }
    if has != columns.0.len() {
        return Err(cut(columns.0.len()));
    }
    let seconds: i64 = interval
        .parse()
        .map_err(|_| at.column(INTERVAL + 1).wrong(format!("{interval:?} is no number of seconds")))?;
    let moment = Moment { server, from_ms: to_ms - seconds.clamp(0, 86_400) * 1_000, to_ms };
    if sums.moment.is_some_and(|known| known != moment) {
        sums.flush(stream, before)?;
    }
    let value = |names: &[&str]| -> Result<Option<f64>> {
        let Some(column) = columns.find(names) else { return Ok(None) };
        number(fields[column]).map_err(|what| at.column(column + 1).wrong(what))
    };
    match columns.0[FIRST] {
        "CPU" if *first == ALL_CPUS || *first == "all" => {
            let Some(idle) = value(&["%idle"])? else { return Ok(server) };
            let waiting = value(&["%iowait"])?.unwrap_or(0.0);
            // What another guest took away was asked for all the same.
            let busy = (100.0 - idle - waiting) * f64::from(stream.cpu_cap(server)?) / 100.0;
            // 100.01 in all is how percentages are rounded.
            let busy = if busy < 0.0 && idle + waiting < 100.1 { 0.0 } else { busy };
            let Moment { from_ms, to_ms, .. } = moment;
            stream.take(server, Sample { metric: Metric::CpuMhz, from_ms, to_ms, value: busy }, at)?;
        }
        "kbmemfree" => {
            let Some(used) = memory_used_kib(&value)? else { return Ok(server) };
            let value = used / 1_024.0;
            // Of one moment, which stands for the time since the one before, as everything else does.
            let Moment { from_ms, to_ms, .. } = moment;
            stream.take(server, Sample { metric: Metric::MemMib, from_ms, to_ms, value }, at)?;
        }
        "tps" => {
            let all = [
                (Metric::DiskReadIops, "rtps", 1.0),
                (Metric::DiskWriteIops, "wtps", 1.0),
                (Metric::DiskReadKbs, "bread/s", SECTOR_KIB),
                (Metric::DiskWriteKbs, "bwrtn/s", SECTOR_KIB),
            ];
            for (metric, name, unit) in all {
                let Some(value) = value(&[name])? else { continue };
                if !sums.is_source(server, metric, "tps") {
                    continue;
                }
                let Moment { from_ms, to_ms, .. } = moment;
                stream.take(server, Sample { metric, from_ms, to_ms, value: value * unit }, at)?;
            }
        }
        "DEV" | "IFACE" => {
            let is_disks = columns.0[FIRST] == "DEV";
            if (is_disks && !is_disk(first)) || (!is_disks && !is_nic(first)) {
                return Ok(server);
            }
            let all: &[(Metric, &[&str], f64)] = if is_disks {
                &[
                    (Metric::DiskReadKbs, &["rkB/s"], 1.0),
                    (Metric::DiskReadKbs, &["rd_sec/s"], SECTOR_KIB),
                    (Metric::DiskWriteKbs, &["wkB/s"], 1.0),
                    (Metric::DiskWriteKbs, &["wr_sec/s"], SECTOR_KIB),
                ]
            } else {
                &[(Metric::NetRxKbs, &["rxkB/s"], 1.0), (Metric::NetTxKbs, &["txkB/s"], 1.0)]
            };
            for (metric, names, unit) in all {
                let Some(value) = value(names)? else { continue };
                if !sums.is_source(server, *metric, columns.0[FIRST]) {
                    continue;
                }
                *sums.sums.entry(*metric).or_insert(0.0) += value * unit;
                sums.moment = Some(moment);
            }
        }
        _ => stream
            .note(Kind::LeftOut, server, at, || format!("an activity with the column {}", columns.0[FIRST])),
    }
    Ok(server)
}

/// What is not available to programs. Newer versions count as used only what is neither cache nor buffer, older ones
/// everything that is not free; their percentage tells which.
fn memory_used_kib(value: &impl Fn(&[&str]) -> Result<Option<f64>>) -> Result<Option<f64>> {
    let (Some(free), Some(used)) = (value(&["kbmemfree"])?, value(&["kbmemused"])?) else { return Ok(None) };
    let (share, available) = (value(&["%memused"])?, value(&["kbavail"])?);
    let is_old = share.is_none_or(|share| (used / (free + used) * 100.0 - share).abs() < 0.02);
    let caches = value(&["kbbuffers"])?.unwrap_or(0.0) + value(&["kbcached"])?.unwrap_or(0.0);
    let all = match share {
        _ if is_old => free + used,
        // Rounded to hundredths, a smaller share would say little of the whole.
        Some(share) if share >= 1.0 => used / share * 100.0,
        _ => return Ok(Some(used)),
    };
    let used = if is_old { used - caches } else { used };
    // Caches that cannot be dropped, such as shared memory, are not available either.
    Ok(Some(available.map_or(used, |available| used.max(all - available))))
}

/// `2026-11-25 22:40:01 UTC`, or seconds since 1970 (`-U`).
fn unix_ms(stamp: &str) -> std::result::Result<i64, String> {
    if let Ok(seconds) = stamp.parse::<i64>() {
        return Ok(seconds.saturating_mul(1_000));
    }
    let Some(civil) = stamp.strip_suffix("UTC") else {
        let stamp: String = stamp.chars().take(40).collect();
        return Err(format!(
            "{stamp:?} is no time in UTC; leave out the options -t and -T of sadf, or say -U"
        ));
    };
    let time = civil.trim().parse::<DateTime>().map_err(|_| format!("{:?} is no time", civil.trim()))?;
    let zoned = time.to_zoned(TimeZone::UTC).map_err(|_| format!("{:?} is no time", civil.trim()))?;
    Ok(zoned.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{super::rehearse, *};
    use crate::import::{
        Form, Imported,
        hardware::{Assumed, Hardware},
    };

    fn read(text: &str) -> Result<Imported> {
        rehearse(Form::Sar, text.as_bytes(), Path::new("web.csv"), 60)
    }

    fn row_of(text: &str, metric: Metric) -> Vec<u32> {
        let assumed = Assumed { cores: Some(2), core_mhz: Some(1_000), memory_mib: Some(1_024) };
        let mut stream = Stream::new(60, None, Hardware::read(assumed, None).unwrap());
        stream.begin_file();
        super::read(Lines::new(text, Path::new("web.csv"), &|| false), &mut stream).unwrap();
        stream.finish(true).unwrap().matrix(metric).values
    }

    #[test]
    fn cpu_is_what_is_neither_idle_nor_waiting() {
        let text = "# hostname;interval;timestamp;CPU;%user;%nice;%system;%iowait;%steal;%idle\n\
            web;-1;1970-01-02 00:00:00 UTC;LINUX-RESTART\t(4 CPU)\n\
            web;60;1970-01-02 00:01:00 UTC;-1;10.00;0.00;5.00;25.00;10.00;50.00\n\
            web;60;1970-01-02 00:01:00 UTC;0;99.00;0.00;0.00;0.00;0.00;1.00\n\
            web;60;1970-01-02 00:02:00 UTC;-1;0.00;0.00;0.00;0.01;0.00;100.00\n";
        assert_eq!(row_of(text, Metric::CpuMhz), [1_000, 0]);
    }

    #[test]
    fn disks_and_cards_are_added_up() {
        let text = "# hostname;interval;timestamp;IFACE;rxpck/s;txpck/s;rxkB/s;txkB/s;rxcmp/s;txcmp/s;rxmcst/s;%ifutil\n\
            web;60;86460;lo;0;0;99;99;0;0;0;0\nweb;60;86460;eth0;0;0;1.5;2;0;0;0;0\nweb;60;86460;eth1;0;0;1;2;0;0;0;0\n\
            web;60;86520;eth0;0;0;7;8;0;0;0;0\n\
            # hostname;interval;timestamp;tps;rtps;wtps;dtps;bread/s;bwrtn/s;bdscd/s\n\
            web;60;86460;9;5.2;3;0;100;51;0\n";
        assert_eq!(row_of(text, Metric::NetRxKbs), [3, 7]);
        assert_eq!(row_of(text, Metric::NetTxKbs), [4, 8]);
        assert_eq!(row_of(text, Metric::DiskReadIops)[0], 6);
        assert_eq!(row_of(text, Metric::DiskWriteKbs)[0], 26);
    }

    #[test]
    fn memory_in_use_is_the_same_for_old_and_new_versions() {
        // Of 1,024,000 KiB 300,000 are free and 400,000 cache, of which 100,000 is shared memory.
        let new = "# hostname;interval;timestamp;kbmemfree;kbavail;kbmemused;%memused;kbbuffers;kbcached\n\
            web;60;86460;300000;600000;324000;31.64;0;400000\n";
        let old = "# hostname;interval;timestamp;kbmemfree;kbmemused;%memused;kbbuffers;kbcached\n\
            web;60;86460;300000;724000;70.70;0;400000\n";
        let used = row_of(new, Metric::MemMib)[0];
        assert!((414..=415).contains(&used), "{used}");
        assert_eq!(row_of(old, Metric::MemMib), [317]);
        // Samples of ten minutes fill bins of one.
        let long = old.replace("web;60;86460", "web;600;87000");
        assert_eq!(row_of(&long, Metric::MemMib), [317; 10]);
    }

    #[test]
    fn a_file_of_a_real_machine_is_read() {
        let text = include_str!("samples/sar.csv");
        let imported = read(text).unwrap();
        assert_eq!((imported.servers, imported.metrics.len()), (1, 8));
        assert_eq!(imported.findings, []);
        let cpu = row_of(text, Metric::CpuMhz);
        assert!(cpu.iter().all(|mhz| (1..=2_000).contains(mhz)), "{cpu:?}");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let told = |text: &str| read(text).unwrap_err().to_string();
        let head = "# hostname;interval;timestamp;CPU;%user;%nice;%system;%iowait;%steal;%idle\n";
        assert!(told("web;60;1;-1;1\n").contains("line 1: no line before it names its columns"));
        assert!(
            told(&format!("{head}web;60;86400;-1;1\n"))
                .contains("line 2: the line has 5 fields, its columns are 10")
        );
        assert!(
            told(&format!("{head}web;60;2026-01-01 10:00:00;-1;1;1;1;1;1;1\n"))
                .contains("line 2, column 3: \"2026-01-01 10:00:00\" is no time in UTC")
        );
        assert!(
            told(&format!("{head}web;60;86400;-1;1;1;1;1;1;x\n"))
                .contains("line 2, column 10: \"x\" is no number")
        );
        assert!(
            told("# hostname;interval;timestamp;CPU;%idle[...];kbmemfree\n")
                .contains("leave out the option -h")
        );
    }
}
