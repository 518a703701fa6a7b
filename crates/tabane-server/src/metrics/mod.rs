//! Metrics of VMs and hosts: taken in, kept for a year, and told.
//!
//! ```text
//!   host ──samples──► take ──rates──► journal (at once) ──┐
//!                       │                                 ├─ every 5 min, each owner at its own time ─► archive file
//!                       └──► memory: last sample, what is ─┘
//!                            not in the archive yet
//!                              │                                 archive + memory ──► read (API over time)
//!                              └──► usage, exposition (API now, Prometheus): memory alone, no file, no host is asked
//! ```
//!
//! Invariants: only this module makes rates of counters. An answer to a host means that the journal has it. What is lost
//! at a crash of the machine is what was taken in since the last sync, some seconds ago.

mod archive;
mod exposition;
pub mod format;
mod journal;
mod rates;
mod requests;
mod slot;
mod store;
mod window;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tabane_model::{Host, Kind, Metrics as Answer, Sample, Statistic, Uid, Vm};

pub use exposition::text as exposition;
pub use requests::{Requests, observe};
pub use store::Measured;
pub use window::Window;

use self::{
    archive::Archive,
    journal::Journal,
    slot::{Slot, Values},
};
use crate::{Error, Result, app::App};

const EVERY: Duration = Duration::from_secs(10);
/// Steps that are gathered before they go to the archive: 5 minutes.
const GATHERED: u32 = 30;
/// Where archives cannot be written, this much is kept in memory for when they can.
const GATHERED_MAX: usize = 360;
/// Steps that the journal keeps: those that are gathered, and two minutes for the kernel to write archives out.
const JOURNALED: u32 = GATHERED + 12;
/// What nobody has told of for this long is not told of any more.
const FRESH_MS: i64 = 30_000;
/// By how much a host's clock may differ from ours, and how late a sample may come.
const APART_MS_MAX: i64 = 60_000;
const LATE_MS_MAX: i64 = 5 * 3_600_000;
const WARN_EVERY_MS: i64 = 600_000;

/// What is in memory of one VM or host.
struct Owner {
    last: Sample,
    /// When that one came, by our clock.
    heard_ms: i64,
    /// The values of the last step.
    latest: Values,
    /// Not in the archive yet, in order of time.
    gathered: Vec<(u32, Values)>,
    /// How many steps to gather: the first time fewer, so that not all are written at once.
    wanted: u32,
}

#[derive(Default)]
struct Memory {
    owners: HashMap<Uid, Owner>,
    /// Owners that have an archive.
    archived: HashSet<Uid>,
    /// When it was last said that a host's clock is wrong.
    warned_ms: i64,
}

pub struct Metrics {
    folder: PathBuf,
    memory: Mutex<Memory>,
    journal: Mutex<Journal>,
    /// Held while an archive is read or written: nobody reads what has left memory and not arrived on disk.
    files: Mutex<()>,
    pub requests: Requests,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder of this lock panics")
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// The present step.
fn now_tick() -> u32 {
    rates::tick(now_ms()).unwrap_or(0)
}

impl Metrics {
    /// Opens the folder, and brings into the archives what a server before this one has left in the journal.
    pub fn open(folder: PathBuf, requests: Requests) -> Result<Self> {
        let failed = |action, folder: &PathBuf| {
            let path = folder.clone();
            move |source| Error::File { action, path, source }
        };
        let journal = folder.join("journal");
        std::fs::create_dir_all(&journal).map_err(failed("make", &journal))?;
        let entries = std::fs::read_dir(&folder).map_err(failed("read", &folder))?;
        let names = entries.filter_map(|e| e.ok()?.file_name().into_string().ok());
        let archived = names.filter_map(|n| n.strip_suffix(".archive")?.parse().ok()).collect();
        let metrics = Self {
            folder: folder.clone(),
            memory: Mutex::new(Memory { archived, ..Memory::default() }),
            journal: Mutex::new(Journal::new(journal)),
            files: Mutex::new(()),
            requests,
        };
        if let Err(error) = metrics.replay() {
            // Nobody wants to be without his VMs for some minutes of charts.
            tracing::error!(folder = %folder.display(), %error, "the last minutes of metrics before the start are lost");
        }
        Ok(metrics)
    }

    fn replay(&self) -> std::io::Result<()> {
        let mut all: HashMap<Uid, Vec<(u32, Values)>> = HashMap::new();
        lock(&self.journal).replay(|entries| {
            for (owner, tick, values) in entries {
                all.entry(owner).or_default().push((tick, values));
            }
        })?;
        for (owner, samples) in &mut all {
            samples.sort_by_key(|(tick, _)| *tick);
            samples.dedup_by_key(|(tick, _)| *tick);
            self.write(*owner, samples)?;
        }
        if !all.is_empty() {
            // The journal goes at once, so the archives must be on disk.
            rustix::fs::syncfs(std::fs::File::open(&self.folder)?)?;
        }
        lock(&self.journal).turn(u32::MAX, u32::MAX)
    }

    fn write(&self, owner: Uid, samples: &[(u32, Values)]) -> std::io::Result<()> {
        Archive::ensure(&self.folder, owner)?.write(samples)?;
        lock(&self.memory).archived.insert(owner);
        Ok(())
    }

    /// Takes samples in, in order of time for each owner; those that are known already change nothing. Blocks for the
    /// journal.
    pub fn take(&self, samples: Vec<Sample>) {
        let now = now_ms();
        let mut entries = Vec::with_capacity(samples.len());
        let mut memory = lock(&self.memory);
        for sample in samples {
            if sample.at_ms > now + APART_MS_MAX || sample.at_ms < now - LATE_MS_MAX {
                if now - memory.warned_ms > WARN_EVERY_MS {
                    memory.warned_ms = now;
                    let apart_s = sample.at_ms.saturating_sub(now) / 1000;
                    tracing::warn!(of = %sample.name, apart_s, "what a host measured is left out: see to its clock");
                }
                continue;
            }
            let uid = sample.uid;
            let Some(owner) = memory.owners.get_mut(&uid) else {
                let wanted = 1 + (uid.as_u128() as u32) % GATHERED;
                let latest = slot::NOTHING;
                memory
                    .owners
                    .insert(uid, Owner { last: sample, heard_ms: now, latest, gathered: Vec::new(), wanted });
                continue;
            };
            if sample.at_ms <= owner.last.at_ms {
                continue;
            }
            if let Some((tick, values)) = rates::between(&owner.last, &sample) {
                owner.latest = values;
                owner.gathered.push((tick, values));
                if owner.gathered.len() > GATHERED_MAX {
                    owner.gathered.remove(0);
                }
                entries.push((uid, tick, values));
            }
            (owner.last, owner.heard_ms) = (sample, now);
        }
        drop(memory);
        if let Err(error) = lock(&self.journal).append(&entries, now_tick()) {
            tracing::warn!(%error, "cannot write down metrics; a crash within minutes would lose them");
        }
    }

    /// Brings what was gathered of an owner into its archive. Blocks.
    fn flush(&self, owner: Uid) {
        let _files = lock(&self.files);
        self.flush_while_held(owner);
    }

    fn flush_while_held(&self, uid: Uid) {
        let taken = lock(&self.memory).owners.get_mut(&uid).map(|owner| {
            owner.wanted = GATHERED;
            std::mem::take(&mut owner.gathered)
        });
        let Some(taken) = taken.filter(|taken| !taken.is_empty()) else { return };
        if let Err(error) = self.write(uid, &taken) {
            tracing::warn!(owner = %uid, %error, "cannot write an archive of metrics; it is tried again");
            if let Some(owner) = lock(&self.memory).owners.get_mut(&uid) {
                owner.gathered.splice(0..0, taken);
            }
        }
    }

    /// What was measured of an owner over time. Blocks for its file.
    pub fn read(&self, owner: Uid, window: &Window, statistic: Statistic) -> Result<Answer> {
        let _files = lock(&self.files);
        self.flush_while_held(owner);
        let failed =
            |source| Error::File { action: "read", path: Archive::path(&self.folder, owner), source };
        let steps = match Archive::open(&self.folder, owner).map_err(failed)? {
            Some(archive) => archive.read(window.level, window.tick, window.steps).map_err(failed)?,
            None => vec![None::<Slot>; window.steps as usize],
        };
        Ok(window.answer(&steps, statistic))
    }

    /// The last samples, with the values of the last step, of those that were heard of lately.
    pub fn fresh(&self, kind: Kind) -> Vec<(Sample, Values)> {
        let now = now_ms();
        let is_fresh = |o: &Owner| {
            // What a host brings that was away for long is of another time, though it was heard now.
            now - o.heard_ms <= FRESH_MS && now - o.last.at_ms <= FRESH_MS + APART_MS_MAX
        };
        let memory = lock(&self.memory);
        let fresh = memory.owners.values().filter(|o| o.last.kind == kind && is_fresh(o));
        fresh.map(|owner| (owner.last.clone(), owner.latest)).collect()
    }

    /// What has to be done now and then: archives, the journal, and owners that are gone. Blocks.
    fn tend(&self, present: &HashSet<Uid>) {
        let now = now_tick();
        let due: Vec<Uid> = {
            let mut memory = lock(&self.memory);
            let old = now_ms() - FRESH_MS;
            memory.owners.retain(|uid, owner| {
                present.contains(uid) && !(owner.gathered.is_empty() && owner.heard_ms < old)
            });
            let is_due = |owner: &Owner| {
                owner.gathered.first().is_some_and(|(tick, _)| now.saturating_sub(*tick) >= owner.wanted)
            };
            memory.owners.iter().filter(|(_, owner)| is_due(owner)).map(|(uid, _)| *uid).collect()
        };
        due.into_iter().for_each(|owner| self.flush(owner));
        // Hosts that report wait for the journal, and not for the disk.
        let unsynced = lock(&self.journal).unsynced();
        let synced = unsynced.iter().try_for_each(|segment| segment.sync_data());
        let turned = lock(&self.journal).turn(now, now.saturating_sub(JOURNALED));
        if let Err(error) = synced.and(turned) {
            tracing::warn!(%error, "cannot tend the journal of metrics");
        }
        let gone: Vec<Uid> = lock(&self.memory).archived.difference(present).copied().collect();
        for owner in gone {
            let _files = lock(&self.files);
            match std::fs::remove_file(Archive::path(&self.folder, owner)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(%owner, %error, "cannot remove an archive of metrics");
                }
                _ => drop(lock(&self.memory).archived.remove(&owner)),
            }
        }
    }
}

/// Tends the metrics until the server ends.
pub async fn run(app: Arc<App>) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let app = app.clone();
        let work = tokio::task::spawn_blocking(move || {
            let vms = app.cache.all::<Vm>();
            let hosts = app.cache.all::<Host>();
            let uids = vms.iter().map(|vm| vm.meta.uid).chain(hosts.iter().map(|host| host.meta.uid));
            app.metrics.tend(&uids.collect());
        });
        if let Err(error) = work.await {
            tracing::error!(%error, "tending the metrics failed");
        }
    }
}

/// Samples that this host may send: of itself, and of VMs that are its own.
pub fn owned(app: &App, host: &tabane_model::Name, samples: Vec<Sample>) -> Vec<Sample> {
    let mut strangers = BTreeSet::new();
    let mut own = |sample: &Sample| {
        let is_own = match sample.kind {
            Kind::Host => {
                sample.name == *host
                    && app.cache.get::<Host>(host.as_str()).is_some_and(|h| h.meta.uid == sample.uid)
            }
            Kind::Vm => app
                .cache
                .get::<Vm>(sample.name.as_str())
                .is_some_and(|vm| vm.meta.uid == sample.uid && vm.spec.host.as_ref() == Some(host)),
            _ => false,
        };
        if !is_own {
            strangers.insert(sample.name.clone());
        }
        is_own
    };
    let owned = samples.into_iter().filter(|sample| own(sample)).collect();
    if !strangers.is_empty() {
        tracing::debug!(%host, count = strangers.len(), "samples of what is not this host's are left out");
    }
    owned
}

#[cfg(test)]
mod tests;
