//! Logs of the Windows performance monitor, as `relog -f csv` writes them: the first line has a counter in each column, by
//! its path, and before them the zone of the times; each further line is a moment.
//!
//! Counters per second, and how busy a processor was, are of the time since the line before; how much memory is available
//! is of the moment, and stands for that time, too.

mod counters;

use jiff::{civil::DateTime, tz::TimeZone};
use tabane_model::Metric;

use self::counters::{Counted, counted, split_path};
use super::{
    Kind,
    lines::{Line, Lines, number},
    stream::{Sample, Stream},
};
use crate::{Result, servers::fields};

const MARK: &str = "(PDH-CSV 4.0)";
/// Of zones: 14 hours are the most that there are.
const OFFSET_MIN_MAX: i64 = 14 * 60;
/// Lines that are further apart than so many times the usual say nothing of what was between.
const APART_MAX: f64 = 1.5;

/// A column that is of use.
struct Column {
    at: usize,
    /// Place of its sum among those of a line.
    sum: usize,
    counted: Counted,
}

/// What columns of a server are added up to.
#[derive(PartialEq, Eq)]
struct Sum {
    server: usize,
    metric: Metric,
    is_all: bool,
}

pub(super) fn read(mut lines: Lines, stream: &mut Stream) -> Result<()> {
    let head = lines.head()?;
    let names = fields(head.text);
    let offset_ms = offset_ms(&names[0], head)?;
    let (columns, sums) = columns_of(&names, head, &lines.stem(), stream)?;
    let is_whole = lines.is_whole();
    let mut last = head.at;
    // The time of the line before, and what is usual between two.
    let mut before: Option<i64> = None;
    let mut usual: Option<i64> = None;
    let mut values: Vec<Option<(f64, usize)>> = vec![None; sums.len()];
    while let Some(line) = lines.next()? {
        last = line.at;
        let row = fields(line.text);
        if row.len() != names.len() {
            let (has, all) = (row.len(), names.len());
            let what =
                format!("the line has {has} fields, the first one has {all}; the file may be cut short");
            return Err(line.at.wrong(what));
        }
        let to_ms = unix_ms(&row[0], offset_ms).map_err(|what| line.at.column(1).wrong(what))?;
        let apart = before.map(|before| to_ms - before).filter(|apart| *apart > 0);
        if let Some(apart) = apart {
            usual = Some(usual.map_or(apart, |usual| usual.min(apart)));
        }
        let length = match (apart, usual) {
            (Some(apart), Some(usual)) if apart as f64 <= APART_MAX * usual as f64 => apart,
            (_, usual) => usual.unwrap_or(0),
        };
        before = Some(to_ms);
        values.fill(None);
        for column in &columns {
            let at = line.at.column(column.at + 1);
            let Some(value) = number(&row[column.at]).map_err(|what| at.wrong(what))? else { continue };
            let server = sums[column.sum].server;
            let value = match column.counted {
                Counted::BusyPercent => value * f64::from(stream.cpu_cap(server)?) / 100.0,
                Counted::AvailableMib(unit) => f64::from(stream.mem_cap(server)?) - value * unit,
                Counted::PerSecond(_, unit) => value * unit,
            };
            let sum = &mut values[column.sum];
            *sum = Some(sum.map_or((value, column.at), |(sum, first)| (sum + value, first)));
        }
        for (sum, value) in sums.iter().zip(&values) {
            let Some((value, column)) = *value else { continue };
            let sample = Sample { metric: sum.metric, from_ms: to_ms - length, to_ms, value };
            stream.take(sum.server, sample, line.at.column(column + 1))?;
        }
    }
    if let Some(sum) = sums.first().filter(|_| !is_whole) {
        stream.note(Kind::Cut, sum.server, last, || "no end of line".into());
    }
    Ok(())
}

/// The columns that are of use, and what they are added up to. Where there is a counter for all disks or processors
/// together, those of each are left out.
fn columns_of(
    names: &[String],
    head: Line,
    stem: &str,
    stream: &mut Stream,
) -> Result<(Vec<Column>, Vec<Sum>)> {
    let mut found = Vec::new();
    for (at, name) in names.iter().enumerate().skip(1) {
        let Some(path) = split_path(name) else { continue };
        let Some((counted, is_all)) = counted(&path) else { continue };
        let host = path.host.unwrap_or(stem);
        found.push((at, stream.server(host, head.at.column(at + 1))?, counted, is_all));
    }
    if found.is_empty() {
        let what = "no column is a counter that is known, such as \\\\HOST\\Processor(_Total)\\% Processor Time; \
                    the documentation of plans lists them";
        return Err(head.at.wrong(what.into()));
    }
    let totals: Vec<(usize, Metric)> = found
        .iter()
        .filter(|(.., is_all)| *is_all)
        .map(|(_, server, counted, _)| (*server, counted.metric()))
        .collect();
    let mut sums: Vec<Sum> = Vec::new();
    let mut columns = Vec::new();
    for (at, server, counted, is_all) in found {
        let metric = counted.metric();
        if !is_all && totals.contains(&(server, metric)) {
            continue;
        }
        // A processor alone says nothing of all; and of two that are all, such as of Processor and Processor Information,
        // one is enough.
        let wanted = Sum { server, metric, is_all };
        let known = sums.iter().position(|sum| *sum == wanted);
        if (counted == Counted::BusyPercent && !is_all) || (known.is_some() && is_all) {
            continue;
        }
        let sum = known.unwrap_or_else(|| {
            sums.push(wanted);
            sums.len() - 1
        });
        columns.push(Column { at, sum, counted });
    }
    Ok((columns, sums))
}

/// What local times are behind those of UTC, of `(PDH-CSV 4.0) (Tokyo Standard Time)(-540)`.
fn offset_ms(field: &str, head: Line) -> Result<i64> {
    let Some(zone) = field.trim().strip_prefix(MARK) else {
        let what =
            format!("the file does not begin with {MARK}; make it with `relog FILE -f csv -o FILE.csv`");
        return Err(head.at.column(1).wrong(what));
    };
    let minutes =
        zone.rsplit_once('(').and_then(|(_, last)| last.trim_end().strip_suffix(')')?.parse::<i64>().ok());
    let minutes = minutes.filter(|minutes| minutes.abs() <= OFFSET_MIN_MAX);
    minutes.map(|minutes| minutes * 60_000).ok_or_else(|| {
        let what = "the first field does not say the zone of the times, as Windows in some languages writes it; \
                    add it there, for Japan as (PDH-CSV 4.0) (Tokyo Standard Time)(-540)";
        head.at.column(1).wrong(what.into())
    })
}

/// `11/25/2026 22:40:01.123`, in whatever language.
fn unix_ms(field: &str, offset_ms: i64) -> std::result::Result<i64, String> {
    let wrong = || {
        format!("{:?} is no time such as 11/25/2026 22:40:01.123", field.chars().take(40).collect::<String>())
    };
    let (date, time) = field.trim().split_once(' ').ok_or_else(wrong)?;
    let mut parts = date.split('/');
    let (Some(month), Some(day), Some(year), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(wrong());
    };
    let civil = format!("{year}-{month:0>2}-{day:0>2}T{}", time.trim());
    let civil: DateTime = civil.parse().map_err(|_| wrong())?;
    let zoned = civil.to_zoned(TimeZone::UTC).map_err(|_| wrong())?;
    Ok(zoned.timestamp().as_millisecond() + offset_ms)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use encoding_rs::SHIFT_JIS;

    use super::{super::rehearse, *};
    use crate::import::{
        Form, Imported,
        hardware::{Assumed, Hardware},
    };

    const LOG: &str = "\"(PDH-CSV 4.0) (東京 (標準時))(-540)\",\"\\\\WEB1\\Processor(_Total)\\% Processor Time\",\
        \"\\\\WEB1\\Memory\\Available MBytes\",\"\\\\WEB1\\PhysicalDisk(0 C:)\\Disk Reads/sec\",\
        \"\\\\WEB1\\PhysicalDisk(_Total)\\Disk Reads/sec\",\"\\\\WEB1\\Network Interface(イーサネット)\\Bytes Received/sec\",\
        \"\\\\WEB1\\Network Interface(vmxnet3 #2)\\Bytes Received/sec\",\"\\\\WEB1\\System\\Threads\"\r\n\
        \"01/02/1970 09:00:00.000\",\" \",\"512\",\" \",\" \",\" \",\" \",\"9\"\r\n\
        \"01/02/1970 09:00:30.000\",\"50.000\",\"256\",\"3.0\",\"4.0\",\"1024\",\"2048\",\"9\"\r\n\
        \"01/02/1970 09:01:00.000\",\"25.000\",\"512\",\"1\",\"1\",\"-1\",\" \",\"9\"\r\n";

    fn read(bytes: &[u8]) -> Result<Imported> {
        rehearse(Form::Perfmon, bytes, Path::new("log.csv"), 60)
    }

    fn rows(metric: Metric) -> Vec<u32> {
        let assumed = Assumed { cores: Some(2), core_mhz: Some(1_000), memory_mib: Some(1_024) };
        let mut stream = Stream::new(60, None, Hardware::read(assumed, None).unwrap());
        stream.begin_file();
        super::read(Lines::new(LOG, Path::new("log.csv"), &|| false), &mut stream).unwrap();
        let binned = stream.finish(true).unwrap();
        assert_eq!((binned.servers[0].name.as_str(), binned.grid.first_bin_unix), ("WEB1", 86_400));
        binned.matrix(metric).values
    }

    #[test]
    fn counters_become_loads() {
        // The last line ends with the first minute.
        assert_eq!(rows(Metric::CpuMhz), [1_000]);
        assert_eq!(rows(Metric::MemMib), [768]);
        assert_eq!(rows(Metric::DiskReadIops), [4]);
        assert_eq!(rows(Metric::NetRxKbs), [3]);
    }

    #[test]
    fn encodings_of_windows_are_understood() {
        let (japanese, ..) = SHIFT_JIS.encode(LOG);
        let mut wide = vec![0xff, 0xfe];
        wide.extend(LOG.encode_utf16().flat_map(u16::to_le_bytes));
        let expected = read(LOG.as_bytes()).unwrap();
        assert_eq!(expected.metrics.len(), 4);
        assert_eq!(read(&japanese).unwrap(), expected);
        assert_eq!(read(&wide).unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let told = |text: &str| read(text.as_bytes()).unwrap_err().to_string();
        assert!(
            told("a,b\n")
                .starts_with("log.csv, line 1, column 1: the file does not begin with (PDH-CSV 4.0)")
        );
        let lost = LOG.replace("(東京 (標準時))(-540)", "(");
        assert!(told(&lost).contains("does not say the zone"), "{}", told(&lost));
        assert!(
            told("\"(PDH-CSV 4.0) (UTC)(0)\",\"\\\\A\\System\\Threads\"\n")
                .contains("no column is a counter")
        );
        let cut = &LOG[..LOG.len() - 20];
        assert!(told(cut).contains("line 4: the line has 4 fields, the first one has 8"), "{}", told(cut));
        let odd = LOG.replace("09:00:30", "9h");
        assert!(told(&odd).contains("line 3, column 1: \"01/02/1970 9h.000\" is no time"), "{}", told(&odd));
        let odd = LOG.replace("25.000", "25%");
        assert!(told(&odd).contains("line 4, column 2: \"25%\" is no number"));
    }
}
