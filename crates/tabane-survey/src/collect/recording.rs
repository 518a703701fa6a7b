//! What was collected of a source: a file that only grows.
//!
//! A line for each sample: our time in ms, then the counters. Before a line is written the file ends with a whole line; one
//! that a power failure cut short is cut off when the file is opened.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::Counters;
use crate::{Error, Place, Result};

const HEAD: &str = "# tabane samples 1: unix_ms uptime_ms cpu_busy cpu_all mem_used_kib disk_read_sectors disk_reads disk_written_sectors disk_writes net_rx_bytes net_tx_bytes\n";
const LINE_BYTES_MAX: u64 = 1_024;
const TAIL_BYTES: u64 = 64 << 10;
/// So many samples are written before the disk has to have them.
const UNSYNCED_MAX: u32 = 15;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    pub unix_ms: i64,
    pub counters: Counters,
}

/// A recording that is written.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
    file: File,
    unsynced: u32,
}

impl Recording {
    /// Opens or begins one. There is one writer: whoever has it open holds a lock.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |source| Error::Write { file: path.to_owned(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        file.try_lock().map_err(|error| failed(error.into()))?;
        let length = file.seek(SeekFrom::End(0)).map_err(failed)?;
        let begin = length.saturating_sub(TAIL_BYTES);
        file.seek(SeekFrom::Start(begin)).map_err(failed)?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail).map_err(failed)?;
        let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(begin, |at| begin + at as u64 + 1);
        file.set_len(whole).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        let mut recording = Self { path: path.to_owned(), file, unsynced: 0 };
        if whole == 0 {
            recording.write(HEAD)?;
            recording.sync()?;
        }
        Ok(recording)
    }

    pub fn append(&mut self, sample: &Sample) -> Result<()> {
        let c = &sample.counters;
        let fields = [
            c.uptime_ms,
            c.cpu_busy,
            c.cpu_all,
            c.mem_used_kib,
            c.disk_read_sectors,
            c.disk_reads,
            c.disk_written_sectors,
            c.disk_writes,
            c.net_rx_bytes,
            c.net_tx_bytes,
        ];
        let fields: Vec<String> = fields.iter().map(u64::to_string).collect();
        self.write(&format!("{} {}\n", sample.unix_ms, fields.join(" ")))?;
        self.unsynced += 1;
        if self.unsynced >= UNSYNCED_MAX { self.sync() } else { Ok(()) }
    }

    pub fn sync(&mut self) -> Result<()> {
        self.unsynced = 0;
        self.file.sync_data().map_err(|source| Error::Write { file: self.path.clone(), source })
    }

    fn write(&mut self, text: &str) -> Result<()> {
        self.file
            .write_all(text.as_bytes())
            .map_err(|source| Error::Write { file: self.path.clone(), source })
    }
}

/// All samples of a recording, in the order in which they came. A last line that is not whole is left out.
pub(super) fn read(path: &Path) -> Result<Vec<Sample>> {
    let failed = |source| Error::Read { file: path.to_owned(), source };
    let mut reader = BufReader::new(File::open(path).map_err(failed)?);
    let mut samples = Vec::new();
    for line in 1.. {
        let mut text = String::new();
        reader.by_ref().take(LINE_BYTES_MAX).read_line(&mut text).map_err(failed)?;
        if !text.ends_with('\n') {
            break;
        }
        if text.starts_with('#') {
            continue;
        }
        let sample = parse(&text).ok_or_else(|| Error::Malformed {
            place: Place { file: path.to_owned(), line, column: None },
            what: "this is no sample".into(),
        })?;
        samples.push(sample);
    }
    Ok(samples)
}

fn parse(line: &str) -> Option<Sample> {
    let mut words = line.split_ascii_whitespace();
    let unix_ms = words.next()?.parse().ok()?;
    let numbers: Vec<u64> = words.map(str::parse).collect::<std::result::Result<_, _>>().ok()?;
    let [
        uptime_ms,
        cpu_busy,
        cpu_all,
        mem_used_kib,
        disk_read_sectors,
        disk_reads,
        disk_written_sectors,
        disk_writes,
        net_rx_bytes,
        net_tx_bytes,
    ] = numbers[..]
    else {
        return None;
    };
    let counters = Counters {
        uptime_ms,
        cpu_busy,
        cpu_all,
        mem_used_kib,
        disk_read_sectors,
        disk_reads,
        disk_written_sectors,
        disk_writes,
        net_rx_bytes,
        net_tx_bytes,
    };
    Some(Sample { unix_ms, counters })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(unix_ms: i64) -> Sample {
        let counters =
            Counters { uptime_ms: 5, cpu_busy: 1, cpu_all: 2, net_tx_bytes: u64::MAX, ..Counters::default() };
        Sample { unix_ms, counters }
    }

    #[test]
    fn it_goes_on_behind_a_line_that_was_cut_short_anywhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples");
        let mut recording = Recording::open(&path).unwrap();
        recording.append(&sample(1)).unwrap();
        recording.append(&sample(2)).unwrap();
        drop(recording);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let before = read(&path).unwrap();
            let mut recording = Recording::open(&path).unwrap();
            recording.append(&sample(3)).unwrap();
            drop(recording);
            assert_eq!(read(&path).unwrap(), [before, vec![sample(3)]].concat(), "cut at {cut}");
        }
    }

    #[test]
    fn there_is_one_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples");
        let _first = Recording::open(&path).unwrap();
        assert!(Recording::open(&path).is_err());
    }
}
