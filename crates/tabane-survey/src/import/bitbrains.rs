//! The traces of the Grid Workloads Archive, GWA-T-12: a file for each VM, a line for each five minutes. The columns are
//! found by their names; the time is in seconds, although its name says otherwise.

use tabane_model::Metric;

use super::{
    lines::{Lines, number},
    stream::{Has, Sample, Stream},
};
use crate::Result;

/// Columns, as they begin.
const TIME: &str = "timestamp";
const CORES: &str = "cpu cores";
const CPU_CAP: &str = "cpu capacity provisioned";
const MEMORY_CAP: &str = "memory capacity provisioned";
const LOADS: [(Metric, &str, f64); 6] = [
    (Metric::CpuMhz, "cpu usage [mhz]", 1.0),
    // KiB, though the name says KB.
    (Metric::MemMib, "memory usage", 1.0 / 1_024.0),
    (Metric::DiskReadKbs, "disk read throughput", 1.0),
    (Metric::DiskWriteKbs, "disk write throughput", 1.0),
    (Metric::NetRxKbs, "network received throughput", 1.0),
    (Metric::NetTxKbs, "network transmitted throughput", 1.0),
];
/// Later than any time in seconds, earlier than any in milliseconds.
const SECONDS_MAX: f64 = 1e11;

pub(super) fn read(mut lines: Lines, stream: &mut Stream) -> Result<()> {
    let head = lines.head()?;
    let columns: Vec<String> = head.text.split(';').map(|name| name.trim().to_lowercase()).collect();
    let column = |name: &str| {
        columns.iter().position(|column| column.starts_with(name)).ok_or_else(|| {
            head.at.wrong(format!(
                "no column begins with {name:?}; the first line has to name the columns of GWA-T-12, separated by `;`"
            ))
        })
    };
    let time = column(TIME)?;
    let (cores, cpu_cap, memory_cap) = (column(CORES)?, column(CPU_CAP)?, column(MEMORY_CAP)?);
    let mut loads = Vec::new();
    for (metric, name, unit) in LOADS {
        loads.push((metric, column(name)?, unit));
    }
    let server = stream.server(&lines.stem(), head.at)?;
    let mut fields: Vec<Option<f64>> = Vec::new();
    let is_whole = lines.is_whole();
    let mut last = head.at;
    while let Some(line) = lines.next()? {
        last = line.at;
        fields.clear();
        for (at, field) in line.text.split(';').enumerate() {
            fields.push(number(field).map_err(|what| line.at.column(at + 1).wrong(what))?);
        }
        if fields.len() != columns.len() {
            let (has, all) = (fields.len(), columns.len());
            let what =
                format!("the line has {has} fields, the first one has {all}; the file may be cut short");
            return Err(line.at.wrong(what));
        }
        let Some(stamp) = fields[time] else {
            return Err(line.at.column(time + 1).wrong("the line has no time".into()));
        };
        let to_ms = if stamp < SECONDS_MAX { stamp * 1_000.0 } else { stamp } as i64;
        let whole = |column: usize, unit: f64| fields[column].map(|value| (value * unit).ceil() as u32);
        let has = Has {
            cores: whole(cores, 1.0),
            cpu_cap_mhz: whole(cpu_cap, 1.0),
            mem_cap_mib: whole(memory_cap, 1.0 / 1_024.0),
        };
        stream.has(server, has, line.at);
        for (metric, column, unit) in &loads {
            let Some(value) = fields[*column] else { continue };
            let sample = Sample { metric: *metric, from_ms: to_ms, to_ms, value: value * unit };
            stream.take(server, sample, line.at.column(column + 1))?;
        }
    }
    if !is_whole {
        stream.note(super::Kind::Cut, server, last, || "no end of line".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{super::rehearse, *};
    use crate::import::{Form, Imported, Kind};

    const HEAD: &str = "Timestamp [ms];\tCPU cores;\tCPU capacity provisioned [MHZ];\tCPU usage [MHZ];\tCPU usage [%];\t\
        Memory capacity provisioned [KB];\tMemory usage [KB];\tDisk read throughput [KB/s];\t\
        Disk write throughput [KB/s];\tNetwork received throughput [KB/s];\tNetwork transmitted throughput [KB/s]\r\n";

    fn read(rows: &str) -> Result<Imported> {
        rehearse(Form::Bitbrains, format!("{HEAD}{rows}").as_bytes(), Path::new("7.csv"), 86_400)
    }

    #[test]
    fn a_vm_is_read() {
        let rows = "86400;\t2;\t5200.1;\t87.8;\t1.5;\t2097152.0;\t1034592.8;\t160.1;\t0;\t0.2;\t1\r\n\
                    172800;\t2;\t5200.1;\t88.2;\t1.5;\t2097152.0;\t-5;\t160.1;\t0;\t0.2;\tNaN";
        let imported = read(rows).unwrap();
        assert_eq!((imported.servers, imported.bins, imported.metrics.len()), (1, 2, 6));
        let kinds: Vec<Kind> = imported.findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [Kind::Impossible, Kind::Cut]);
    }

    #[test]
    fn a_vm_that_was_never_on_is_left_out() {
        let mut stream = Stream::new(300, None, super::super::hardware::Hardware::default());
        let row = "86400;\t2;\t5200.1;\t87.8;\t1.5;\t2097152.0;\t1034592.8;\t160.1;\t0;\t0.2;\t1\n";
        for (name, text) in [("7.csv", format!("{HEAD}{row}")), ("8.csv", HEAD.to_owned())] {
            stream.begin_file();
            super::read(Lines::new(&text, Path::new(name), &|| false), &mut stream).unwrap();
        }
        let binned = stream.finish(true).unwrap();
        assert_eq!(binned.servers.len(), 1);
        assert_eq!((binned.findings[0].kind, binned.findings[0].server.as_str()), (Kind::NoTrace, "8"));
        assert_eq!(binned.matrix(Metric::CpuMhz).values, [88]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let told = |rows: &str| read(rows).unwrap_err().to_string();
        assert!(
            told("86400;\t2;\t52").starts_with("7.csv, line 2: the line has 3 fields, the first one has 11")
        );
        let odd = "86400;\t2;\tx;\t1;\t1;\t1;\t1;\t1;\t1;\t1;\t1\n";
        assert_eq!(told(odd), "7.csv, line 2, column 3: \"x\" is no number");
        assert_eq!(told(""), "there is no sample in these files");
        let told = rehearse(Form::Bitbrains, b"a;b\n", Path::new("7.csv"), 300).unwrap_err().to_string();
        assert!(told.starts_with("7.csv, line 1: no column begins with \"timestamp\""), "{told}");
        assert!(
            rehearse(Form::Bitbrains, b"", Path::new("7.csv"), 300)
                .unwrap_err()
                .to_string()
                .contains("empty")
        );
    }
}
