//! What was measured lately and is not in the archives yet, on disk.
//!
//! ```text
//!   record = length u32 │ check u32 │ n × ( owner 16 │ tick u32 │ 8 × f32 )        a segment is a row of records
//! ```
//!
//! Archives are written rarely, each for some minutes at once; between, measurements are appended here. After a crash
//! they are read back. A segment goes when everything in it has been in the archives for a while.
//!
//! Invariant: a record is whole or none; reading stops at the first one that is not, which is the torn end.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use tabane_model::Uid;

use super::slot::{VALUES, Values};

/// A measurement of an owner.
pub type Entry = (Uid, u32, Values);

const ENTRY_BYTES: usize = 16 + 4 + 4 * VALUES;
const RECORD_BYTES_MAX: usize = ENTRY_BYTES * 10_000;
const EXTENSION: &str = "journal";

fn check(payload: &[u8]) -> [u8; 4] {
    let mut check = [0; 4];
    blake3::Hasher::new().update(payload).finalize_xof().fill(&mut check);
    check
}

pub fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + entries.len() * ENTRY_BYTES);
    for record in entries.chunks(RECORD_BYTES_MAX / ENTRY_BYTES) {
        let mut payload = Vec::with_capacity(record.len() * ENTRY_BYTES);
        for (owner, tick, values) in record {
            payload.extend(owner.as_bytes());
            payload.extend(tick.to_le_bytes());
            values.iter().for_each(|v| payload.extend(v.to_le_bytes()));
        }
        bytes.extend((payload.len() as u32).to_le_bytes());
        bytes.extend(check(&payload));
        bytes.extend(payload);
    }
    bytes
}

/// All entries up to the first record that is not whole.
pub fn decode(mut bytes: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(8) {
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if length == 0 || length > RECORD_BYTES_MAX || !length.is_multiple_of(ENTRY_BYTES) {
            break;
        }
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        if head[4..] != check(payload) {
            break;
        }
        entries.extend(payload.chunks_exact(ENTRY_BYTES).filter_map(entry));
        bytes = rest;
    }
    entries
}

fn entry(bytes: &[u8]) -> Option<Entry> {
    let owner = Uid::from_slice(bytes.get(..16)?).ok()?;
    let mut words = bytes.get(16..)?.chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]]);
    let tick = u32::from_le_bytes(words.next()?);
    Some((owner, tick, std::array::from_fn(|_| words.next().map_or(f32::NAN, f32::from_le_bytes))))
}

/// The segments of a folder, and the one that is written to.
pub struct Journal {
    folder: PathBuf,
    segment: Option<(Arc<File>, u32)>,
    /// Segments with something that may not be on disk yet.
    unsynced: Vec<Arc<File>>,
}

impl Journal {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, segment: None, unsynced: Vec::new() }
    }

    /// Segments by the step in which they were begun, oldest first.
    fn segments(&self) -> io::Result<Vec<(u32, PathBuf)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let begun = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            if let Some(begun) = begun.filter(|_| path.extension().is_some_and(|e| e == EXTENSION)) {
                found.push((begun, path));
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Hands everything that is there to `take`, segment by segment.
    pub fn replay(&self, mut take: impl FnMut(Vec<Entry>)) -> io::Result<()> {
        for (_, path) in self.segments()? {
            let mut bytes = Vec::new();
            File::open(&path)?.read_to_end(&mut bytes)?;
            take(decode(&bytes));
        }
        Ok(())
    }

    /// Appends entries; a process that is killed then has them. `now` is the present step.
    pub fn append(&mut self, entries: &[Entry], now: u32) -> io::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let (file, _) = match &mut self.segment {
            Some(segment) => segment,
            none => {
                // Never behind a torn record: what came after it would not be read.
                let mut begun = now;
                let file = loop {
                    let path = segment(&self.folder, begun);
                    match OpenOptions::new().append(true).create_new(true).open(path) {
                        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => begun += 1,
                        opened => break opened?,
                    }
                };
                none.insert((Arc::new(file), now))
            }
        };
        if let Err(error) = (&**file).write_all(&encode(entries)) {
            self.segment = None;
            return Err(error);
        }
        if !self.unsynced.iter().any(|other| Arc::ptr_eq(other, file)) {
            self.unsynced.push(file.clone());
        }
        Ok(())
    }

    /// Segments that were appended to since this was asked last: to be synced by the caller, who then need not hold the
    /// journal meanwhile.
    pub fn unsynced(&mut self) -> Vec<Arc<File>> {
        std::mem::take(&mut self.unsynced)
    }

    /// Begins another segment once this one is a minute old, and removes those begun before `before`.
    pub fn turn(&mut self, now: u32, before: u32) -> io::Result<()> {
        self.segment.take_if(|(_, begun)| now.saturating_sub(*begun) >= 6);
        for (begun, path) in self.segments()? {
            if begun < before {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

fn segment(folder: &Path, begun: u32) -> PathBuf {
    folder.join(format!("{begun}.{EXTENSION}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(n: u32) -> Vec<Entry> {
        (0..n).map(|i| (Uid::from_u128(u128::from(i % 3)), i, [i as f32; VALUES])).collect()
    }

    #[test]
    fn what_was_appended_is_read_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let all = entries(100);
        for (i, chunk) in (0..).zip(all.chunks(7)) {
            // Each time as after a crash: never behind what may be torn.
            let mut journal = Journal::new(folder.path().into());
            journal.append(chunk, 50 + i).unwrap();
            journal.append(chunk, 50 + i).unwrap();
            assert_eq!((journal.unsynced().len(), journal.unsynced().len()), (1, 0));
        }
        let mut journal = Journal::new(folder.path().into());
        let read = |journal: &Journal| {
            let mut read = Vec::new();
            journal.replay(|entries| read.extend(entries)).unwrap();
            read
        };
        assert_eq!(read(&journal).len(), 200);
        journal.turn(100, 55).unwrap();
        assert_eq!(read(&journal).first().unwrap().1, 35);
    }

    #[test]
    fn a_segment_is_a_minute() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::new(folder.path().into());
        for now in 100..120 {
            journal.turn(now, 107).unwrap();
            journal.append(&entries(2), now).unwrap();
        }
        let begun: Vec<u32> = journal.segments().unwrap().into_iter().map(|(begun, _)| begun).collect();
        assert_eq!(begun, [112, 118]);
    }

    proptest! {
        #[test]
        fn a_torn_end_costs_that_record_only(cut in 0usize..2000) {
            let (first, second) = (entries(20), entries(10));
            let mut bytes = encode(&first);
            let whole = bytes.len();
            bytes.extend(encode(&second));
            bytes.truncate(whole + cut.min(bytes.len() - whole - 1));
            prop_assert_eq!(decode(&bytes), first);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&bytes);
        }
    }
}
