//! The archives of one VM or host: one file of fixed size, a ring of slots for each resolution.
//!
//! ```text
//!   header (64 bytes) │ 2,160 × 10 s │ 2,880 × 1 min │ 4,320 × 10 min │ 8,784 × 1 h      1.5 MB, sparse until used
//! ```
//!
//! A step's place follows from its time alone: nothing points anywhere, so nothing can point to a wrong place. A coarser
//! slot is made anew from the finer ones each time one of these is written; doing it again changes nothing.
//!
//! Invariant: however a write was cut short, the file can be read, and what is lost is the slots of that write.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use tabane_model::Uid;

use super::slot::{LEVELS, Level, Slot, Values, merge, slot_bytes};

const MAGIC: &[u8; 8] = b"TBNMETR1";
const HEADER_BYTES: u64 = 64;

fn header(owner: Uid) -> [u8; HEADER_BYTES as usize] {
    let mut bytes = [0; HEADER_BYTES as usize];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..24].copy_from_slice(owner.as_bytes());
    let check = blake3::hash(&bytes[..24]);
    bytes[24..56].copy_from_slice(check.as_bytes());
    bytes
}

/// Where the ring of a level begins.
fn offset(level: usize) -> u64 {
    let before = LEVELS.iter().enumerate().take(level);
    HEADER_BYTES + before.map(|(i, l)| slot_bytes(i) as u64 * u64::from(l.slots)).sum::<u64>()
}

/// The size of each file.
pub fn file_bytes() -> u64 {
    offset(LEVELS.len())
}

pub struct Archive {
    file: File,
    owner: Uid,
}

impl Archive {
    pub fn path(folder: &Path, owner: Uid) -> PathBuf {
        folder.join(format!("{}.archive", owner.simple()))
    }

    /// The archive of this owner, if there is one. A file that is none is set aside.
    pub fn open(folder: &Path, owner: Uid) -> io::Result<Option<Self>> {
        let path = Self::path(folder, owner);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut found = [0; HEADER_BYTES as usize];
        match file.read_exact_at(&mut found, 0) {
            Ok(()) if found == header(owner) => return Ok(Some(Self { file, owner })),
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(error),
        }
        let aside = path.with_extension("damaged");
        tracing::error!(file = %path.display(), aside = %aside.display(), "this is no archive of metrics; begun anew");
        std::fs::rename(&path, &aside)?;
        Ok(None)
    }

    /// As [`Archive::open`]; makes one if there is none.
    pub fn ensure(folder: &Path, owner: Uid) -> io::Result<Self> {
        if let Some(archive) = Self::open(folder, owner)? {
            return Ok(archive);
        }
        let path = Self::path(folder, owner);
        let new = path.with_extension("new");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&new)?;
        file.set_len(file_bytes())?;
        file.write_all_at(&header(owner), 0)?;
        // The header must not be behind the name, or a power cut leaves a file that is taken for damaged.
        file.sync_data()?;
        std::fs::rename(&new, &path)?;
        Ok(Self { file, owner })
    }

    /// Takes in measurements, in order of time, and makes the coarser slots anew that they fall into.
    pub fn write(&self, samples: &[(u32, Values)]) -> io::Result<()> {
        let slots: Vec<Slot> = samples.iter().map(|(tick, values)| Slot::of(*tick, *values)).collect();
        self.put(0, &slots)?;
        let mut touched: Vec<u32> = slots.iter().map(|slot| slot.tick).collect();
        for level in 1..LEVELS.len() {
            let (ticks, finer) = (LEVELS[level].ticks, LEVELS[level - 1].ticks);
            touched.iter_mut().for_each(|tick| *tick -= *tick % ticks);
            touched.dedup();
            let mut made = Vec::with_capacity(touched.len());
            for tick in &touched {
                made.push(merge(*tick, self.read(level - 1, *tick, ticks / finer)?.into_iter().flatten()));
            }
            self.put(level, &made)?;
        }
        Ok(())
    }

    /// Writes slots; those that lie side by side at once.
    fn put(&self, level: usize, slots: &[Slot]) -> io::Result<()> {
        let place = |slot: &Slot| slot.tick / LEVELS[level].ticks % LEVELS[level].slots;
        for run in slots.chunk_by(|a, b| place(a) + 1 == place(b)) {
            let bytes: Vec<u8> = run.iter().flat_map(|slot| slot.encode(self.owner, level)).collect();
            let at = offset(level) + u64::from(place(&run[0])) * slot_bytes(level) as u64;
            self.file.write_all_at(&bytes, at)?;
        }
        Ok(())
    }

    /// The slots of `steps` steps of a level from `tick` on, which is the beginning of one. What is not there is `None`.
    pub fn read(&self, level: usize, tick: u32, steps: u32) -> io::Result<Vec<Option<Slot>>> {
        let Level { ticks, slots } = LEVELS[level];
        let first = tick / ticks;
        let mut read = Vec::with_capacity(steps.min(slots) as usize);
        let mut bytes = Vec::new();
        while (read.len() as u32) < steps {
            let step = first + read.len() as u32;
            let place = step % slots;
            let run = (slots - place).min(steps - read.len() as u32);
            bytes.clear();
            bytes.resize(run as usize * slot_bytes(level), 0);
            let at = offset(level) + u64::from(place) * slot_bytes(level) as u64;
            read_at_most(&self.file, &mut bytes, at)?;
            for (i, bytes) in (0..).zip(bytes.chunks_exact(slot_bytes(level))) {
                let slot = Slot::decode(bytes, self.owner, level);
                read.push(slot.filter(|slot| slot.tick == (step + i).saturating_mul(ticks)));
            }
        }
        Ok(read)
    }
}

/// What is behind the end of a file that was cut off stays as it is.
fn read_at_most(file: &File, mut bytes: &mut [u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.read_at(bytes, at) {
            Ok(0) => return Ok(()),
            Ok(n) => (bytes, at) = (&mut bytes[n..], at + n as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;
    use crate::metrics::slot::{NOTHING, VALUES};

    const OWNER: Uid = Uid::from_u128(7);

    fn values(cpu: f32) -> Values {
        let mut values = NOTHING;
        values[0] = cpu;
        values
    }

    fn means(archive: &Archive, level: usize, tick: u32, steps: u32) -> Vec<Option<f32>> {
        archive.read(level, tick, steps).unwrap().into_iter().map(|slot| slot.map(|s| s.mean[0])).collect()
    }

    #[test]
    fn a_day_is_kept_in_all_resolutions() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::ensure(folder.path(), OWNER).unwrap();
        let start = 180_000_000 / 360 * 360;
        let day: Vec<(u32, Values)> = (0..8640).map(|i| (start + i, values((i % 6) as f32))).collect();
        for chunk in day.chunks(17) {
            archive.write(chunk).unwrap();
        }
        assert_eq!(means(&archive, 0, start + 8634, 6), (0..6).map(|i| Some(i as f32)).collect::<Vec<_>>());
        assert_eq!(means(&archive, 0, start, 1), [None], "older than what is kept");
        assert_eq!(means(&archive, 1, start, 1440), vec![Some(2.5); 1440]);
        assert_eq!(means(&archive, 3, start, 25), [vec![Some(2.5); 24], vec![None]].concat());
        let hour = archive.read(3, start, 1).unwrap()[0].unwrap();
        assert_eq!((hour.max[0], hour.count[0], hour.count[1]), (5.0, 360, 0));
        assert!(hour.mean[1].is_nan());
        assert_eq!(std::fs::metadata(Archive::path(folder.path(), OWNER)).unwrap().len(), file_bytes());
        // Again, and by whoever opens it next: the same.
        let archive = Archive::open(folder.path(), OWNER).unwrap().unwrap();
        archive.write(&day[8000..]).unwrap();
        assert_eq!(means(&archive, 2, start, 144), vec![Some(2.5); 144]);
    }

    #[test]
    fn a_year_later_nothing_old_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::ensure(folder.path(), OWNER).unwrap();
        archive.write(&[(360_000, values(1.0))]).unwrap();
        // The same place of each ring, later.
        for (level, ring) in LEVELS.iter().enumerate() {
            assert_eq!(means(&archive, level, 360_000, 1), [Some(1.0)]);
            assert_eq!(means(&archive, level, 360_000 + ring.slots * ring.ticks, 1), [None]);
        }
    }

    #[test]
    fn another_ones_file_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        Archive::ensure(folder.path(), Uid::from_u128(8)).unwrap().write(&[(6, values(1.0))]).unwrap();
        let of = |uid| Archive::path(folder.path(), uid);
        std::fs::rename(of(Uid::from_u128(8)), of(OWNER)).unwrap();
        assert!(Archive::open(folder.path(), OWNER).unwrap().is_none());
        assert!(of(OWNER).with_extension("damaged").exists());
        assert_eq!(means(&Archive::ensure(folder.path(), OWNER).unwrap(), 0, 6, 1), [None]);
    }

    fn file(folder: &Path) -> Vec<u8> {
        let mut bytes = Vec::new();
        File::open(Archive::path(folder, OWNER)).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Every write is cut short somewhere: what was there before is there, or what was to be there, or a gap.
        #[test]
        fn a_torn_write_costs_its_own_slots_only(torn in prop::collection::vec((any::<u16>(), any::<u16>()), 1..6)) {
            let folder = tempfile::tempdir().unwrap();
            let start = 3_600_000;
            let archive = Archive::ensure(folder.path(), OWNER).unwrap();
            let all: Vec<(u32, Values)> = (0..90).map(|i| (start + i, values(i as f32))).collect();
            archive.write(&all[..60]).unwrap();
            let before = file(folder.path());
            archive.write(&all[60..]).unwrap();
            let after = file(folder.path());
            // Of each stretch that was written, a part only arrived on disk.
            let mut found = before.clone();
            let changed: Vec<usize> = (0..after.len()).filter(|i| before[*i] != after[*i]).collect();
            for (from, length) in torn {
                let from = usize::from(from) % changed.len();
                for at in changed.iter().skip(from).take(usize::from(length) % 3000) {
                    found[*at] = after[*at];
                }
            }
            std::fs::write(Archive::path(folder.path(), OWNER), &found).unwrap();
            let archive = Archive::open(folder.path(), OWNER).unwrap().unwrap();
            for (level, ring) in LEVELS.iter().enumerate() {
                let steps = 90u32.div_ceil(ring.ticks);
                for (i, slot) in (0..).zip(archive.read(level, start, steps).unwrap()) {
                    let ticks = (i * ring.ticks)..((i + 1) * ring.ticks).min(90);
                    let whole = ticks.clone().map(|t| t as f32).sum::<f32>() / ticks.len() as f32;
                    let old = ticks.start..ticks.end.min(60);
                    let part = old.clone().map(|t| t as f32).sum::<f32>() / old.len() as f32;
                    match slot {
                        Some(slot) => prop_assert!([whole, part].iter().any(|v| (slot.mean[0] - v).abs() < 1e-3)),
                        None => prop_assert!(ticks.end > 60, "level {level} step {i} was lost"),
                    }
                }
            }
            // And it mends itself: what is written again is whole again.
            archive.write(&all).unwrap();
            prop_assert_eq!(means(&archive, 1, start, 15), (0..15).map(|i| Some(i as f32 * 6.0 + 2.5)).collect::<Vec<_>>());
        }

        #[test]
        fn a_file_cut_off_anywhere_is_read(length in 0usize..100_000) {
            let folder = tempfile::tempdir().unwrap();
            let archive = Archive::ensure(folder.path(), OWNER).unwrap();
            archive.write(&[(3_600_000, values(1.0)), (3_600_001, values(2.0))]).unwrap();
            let mut bytes = file(folder.path());
            bytes.truncate(length);
            std::fs::write(Archive::path(folder.path(), OWNER), &bytes).unwrap();
            let archive = Archive::ensure(folder.path(), OWNER).unwrap();
            for level in 0..LEVELS.len() {
                let read = archive.read(level, 3_600_000, 10).unwrap();
                prop_assert_eq!(read.len(), 10);
            }
            archive.write(&[(3_600_002, values(3.0))]).unwrap();
            prop_assert_eq!(means(&archive, 0, 3_600_002, 1), [Some(3.0)]);
        }
    }

    #[test]
    fn it_says_how_large_it_is() {
        assert_eq!((file_bytes(), VALUES), (1_493_056, 8));
    }
}
