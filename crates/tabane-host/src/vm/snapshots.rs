//! Taking snapshots, letting go of them, and going back to them.
//!
//! ```text
//!   announce ─► new files ─► freeze guest | save memory ─► QEMU: all disks at once ─► thaw ─► notes ─► record
//!      └─ cut short here or later: the layers are settled, and the snapshot is taken anew
//! ```
//!
//! Invariant: a snapshot is ready when its record is there, which comes last.

use std::{
    fs::OpenOptions,
    io::Read,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tabane_core::vm::Due;
use tabane_model::{
    Consistency, EventLevel, Kind, Name, Quiesce, Revert, Snapshot, SnapshotPhase, SnapshotStatus, Uid, Vm,
    set_condition,
};
use tabane_qemu::{
    layers,
    layers::NewLayer,
    memory::{self, Parts},
};

use super::{
    driver::Driver,
    record::{self, Record},
};
use crate::{
    Error, Result,
    disk::{self, layer_path},
    files,
    moving::{STATE_FILE_BYTES_MAX, STATE_FILES},
    users,
};

/// How long the guest may take to bring its file systems to rest. Its own services stand still meanwhile.
const FREEZE_TIMEOUT: Duration = Duration::from_secs(10);
/// The slowest honest storage writes 10 MiB/s.
const MEMORY_BYTES_PER_S: u64 = 10 << 20;

/// What came of a snapshot that was taken.
struct Taken {
    consistency: Consistency,
    paused: Duration,
    memory_bytes: u64,
}

impl Driver {
    /// What is to be done about snapshots next.
    pub(super) fn snapshot_due(&self) -> Option<Due> {
        let known = self.shared.objects.snapshots(&self.name);
        let unwanted =
            known.iter().find(|s| s.meta.deleted_at.is_some() && !self.forgotten.contains(&s.meta.uid));
        if let Some(snapshot) = unwanted {
            return Some(Due::Forget(snapshot.meta.uid));
        }
        let new =
            known.iter().find(|s| s.meta.deleted_at.is_none() && !self.records.contains_key(&s.meta.uid));
        new.map(|snapshot| Due::Take(snapshot.meta.uid))
    }

    pub(super) async fn snapshot(&mut self, vm: &Vm, due: Due) -> Result<()> {
        self.give_up_merging().await;
        let (Due::Take(uid) | Due::Forget(uid)) = due;
        let known = self.shared.objects.snapshots(&self.name);
        let Some(snapshot) = known.into_iter().find(|s| s.meta.uid == uid) else { return Ok(()) };
        if matches!(due, Due::Forget(_)) {
            return self.forget(&snapshot);
        }
        let (level, told) = match self.take_snapshot(vm, &snapshot).await {
            Ok(taken) => {
                let told = format!("taken of the VM {}, {}", self.name, taken.consistency);
                self.keep_record(&snapshot, Ok(taken))?;
                (EventLevel::Info, told)
            }
            Err(error @ Error::NotYet(_)) => return Err(error),
            Err(error) => {
                let told = error.told();
                self.settle().await?;
                self.keep_record(&snapshot, Err(&told))?;
                (EventLevel::Error, told)
            }
        };
        let reason = if level == EventLevel::Info { "snapshot_taken" } else { "snapshot_failed" };
        self.shared.reporter.event(level, reason, Kind::Snapshot, &snapshot.meta.name, told);
        Ok(())
    }

    fn keep_record(&mut self, snapshot: &Snapshot, taken: Result<Taken, &str>) -> Result<()> {
        let now = Timestamp::now();
        let mut status =
            SnapshotStatus { observed_generation: snapshot.meta.generation, ..Default::default() };
        match taken {
            Ok(taken) => {
                status.phase = SnapshotPhase::Ready;
                status.taken_at = Some(now);
                status.consistency = taken.consistency;
                status.paused_ms = u64::try_from(taken.paused.as_millis()).unwrap_or(u64::MAX);
                status.memory_bytes = taken.memory_bytes;
            }
            Err(told) => {
                status.phase = SnapshotPhase::Failed;
                set_condition(&mut status.conditions, "ready", false, "failed", told, now);
            }
        }
        let (uid, name) = (snapshot.meta.uid, snapshot.meta.name.clone());
        let (pinned, ports) = (self.state().pinned.clone(), self.state().ports.clone());
        let generation = self.state().generation;
        let media = self.media_now();
        let record = Record { uid, name, status, pinned, ports, generation, media };
        // A snapshot that failed has no folder yet.
        let folder = record::folder(&self.shared.folders, self.uid, uid);
        if record.status.phase == SnapshotPhase::Failed || !folder.exists() {
            record::make(&self.shared.folders, self.uid, uid)?;
        }
        record.save(&self.shared.folders, self.uid)?;
        self.records.insert(uid, record);
        Ok(())
    }

    async fn take_snapshot(&mut self, vm: &Vm, snapshot: &Snapshot) -> Result<Taken> {
        let uid = snapshot.meta.uid;
        let running = self.state().process.clone();
        if snapshot.spec.memory {
            let Some(running) = &running else {
                return Err(Error::unfit(
                    "the VM does not run, so it has no memory",
                    "take the snapshot without memory",
                ));
            };
            if running.modules > 0 {
                return Err(Error::unfit(
                    "memory was plugged in since the VM was started, which a saved memory does not fit to",
                    "restart the VM first, or take the snapshot without memory",
                ));
            }
        }
        for entry in &vm.spec.disks {
            if !self.layered.contains_key(&entry.name) {
                return Err(Error::NotYet(format!("the disk {} is not ready", entry.name)));
            }
        }
        if running.is_some() {
            self.clear_the_way().await?;
        }
        let folder = record::make(&self.shared.folders, self.uid, uid)?;
        let new = self.new_layers()?;
        let taken = match running {
            None => {
                self.copy_extras(&folder)?;
                Taken { consistency: Consistency::Off, paused: Duration::ZERO, memory_bytes: 0 }
            }
            Some(_) if snapshot.spec.memory => self.take_with_memory(&folder, &new).await?,
            Some(_) => self.take_of_disks(snapshot.spec.quiesce, &folder, &new).await?,
        };
        for disk in self.layered.values_mut() {
            disk.note.layers.freeze(Some(uid));
            disk.save()?;
        }
        Ok(taken)
    }

    /// A new layer for each disk, written down before it is there.
    fn new_layers(&mut self) -> Result<Vec<NewLayer>> {
        let user = self.state().user;
        let mut new = Vec::new();
        for (name, disk) in &mut self.layered {
            let layer = disk.note.layers.announce();
            disk.save()?;
            let path = disk::layers::make(&disk.place, layer, disk.note.layers.active(), user)?;
            new.push(NewLayer { id: name.to_string(), layer, path });
        }
        Ok(new)
    }

    async fn take_of_disks(&mut self, quiesce: Quiesce, folder: &Path, new: &[NewLayer]) -> Result<Taken> {
        let qmp = self.qmp()?.clone();
        let frozen = match quiesce {
            Quiesce::Off => false,
            Quiesce::Auto | Quiesce::Required => match self.freeze().await {
                Ok(()) => true,
                Err(error) if quiesce == Quiesce::Required => {
                    self.thaw().await?;
                    return Err(error);
                }
                Err(error) => {
                    tracing::info!(vm = %self.name, error = error.told(), "a snapshot without frozen file systems");
                    false
                }
            },
        };
        let begun = Instant::now();
        // What is beside the disks is copied while nothing changes it.
        let stops = self.has_extras() && qmp.query_status().await?.running;
        if stops {
            qmp.stop().await?;
        }
        let taken = async {
            self.copy_extras(folder)?;
            Ok::<_, Error>(layers::snapshot(&qmp, new).await?)
        }
        .await;
        if stops {
            qmp.cont().await?;
        }
        let paused = begun.elapsed();
        if self.state().frozen {
            self.thaw().await?;
        }
        taken?;
        let consistency = if frozen { Consistency::FileSystem } else { Consistency::Crash };
        Ok(Taken { consistency, paused, memory_bytes: 0 })
    }

    /// Brings the guest's file systems to rest.
    async fn freeze(&mut self) -> Result<()> {
        let silent =
            || Error::unfit("the guest agent does not answer", "use `--quiesce auto`, or mend the agent");
        if !self.guest.as_ref().is_some_and(|g| g.agent) {
            return Err(silent());
        }
        let agent = self.connected.as_ref().map(|c| c.agent.clone()).ok_or_else(silent)?;
        // Written first: whoever comes after us lets the guest go on.
        self.state().frozen = true;
        self.save()?;
        match tokio::time::timeout(FREEZE_TIMEOUT, agent.fsfreeze_freeze()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Error::Stream("the guest's file systems did not come to rest in time".into())),
        }
    }

    async fn take_with_memory(&mut self, folder: &Path, new: &[NewLayer]) -> Result<Taken> {
        let qmp = self.qmp()?.clone();
        let path = record::memory(folder);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(Error::file("create", &path))?;
        let copy = file.try_clone().map_err(Error::file("open", &path))?;
        let running = qmp.query_status().await?.running;
        let size_bytes = self.state().process.as_ref().map_or(0, |p| p.memory_bytes);
        let mut events = qmp.subscribe();
        let timeout = Duration::from_secs(120 + 2 * size_bytes / MEMORY_BYTES_PER_S);
        let watch = tokio::spawn(async move {
            events.find(timeout, |event| (event.name == "STOP").then(Instant::now)).await
        });
        let saved = memory::save(&qmp, Parts::All, copy, timeout).await;
        let taken = match saved {
            Ok(()) => {
                async {
                    self.copy_extras(folder)?;
                    Ok::<_, Error>(layers::snapshot(&qmp, new).await?)
                }
                .await
            }
            Err(error) => Err(error.into()),
        };
        if running {
            qmp.cont().await?;
        }
        let resumed = Instant::now();
        watch.abort();
        let stopped = watch.await.ok().flatten().unwrap_or(resumed);
        taken?;
        let (synced, path) = (file, path.clone());
        let memory_bytes = tokio::task::spawn_blocking(move || {
            synced
                .sync_all()
                .and_then(|()| synced.metadata())
                .map(|m| m.len())
                .map_err(Error::file("sync", &path))
        });
        let memory_bytes = memory_bytes.await.map_err(|e| Error::Stream(e.to_string()))??;
        files::sync_folder(folder)?;
        Ok(Taken { consistency: Consistency::Memory, paused: resumed - stopped, memory_bytes })
    }

    fn has_extras(&self) -> bool {
        STATE_FILES.iter().any(|name| self.folder().join(name).exists())
    }

    /// Copies what the VM has beside its disks.
    fn copy_extras(&self, to: &Path) -> Result<()> {
        copy_extras(&self.folder(), to, &STATE_FILES, None)
    }

    fn forget(&mut self, snapshot: &Snapshot) -> Result<()> {
        let uid = snapshot.meta.uid;
        for disk in self.layered.values_mut() {
            if disk.note.layers.release(uid) {
                disk.save()?;
            }
        }
        record::remove(&self.shared.folders, self.uid, uid)?;
        self.records.remove(&uid);
        self.forgotten.insert(uid);
        self.tidy_at = None;
        let status = SnapshotStatus {
            observed_generation: snapshot.meta.generation,
            phase: SnapshotPhase::Deleted,
            ..Default::default()
        };
        self.shared.reporter.status(Kind::Snapshot, &snapshot.meta.name, uid, &status);
        Ok(())
    }

    pub(super) async fn revert(&mut self, revert: &Revert) -> Result<()> {
        self.give_up_merging().await;
        let uid = revert.snapshot;
        let Some(record) = self.records.get(&uid).filter(|r| r.status.phase == SnapshotPhase::Ready).cloned()
        else {
            return Err(Error::unfit(
                "the snapshot is not on this host",
                "choose another: `tabane snapshot list`",
            ));
        };
        if let Some((name, _)) = self.layered.iter().find(|(_, disk)| disk.note.layers.held_by(uid).is_none())
        {
            return Err(Error::unfit(
                format!("the snapshot does not have the disk {name}"),
                format!("detach it first: `tabane vm detach {} {name}`", self.name),
            ));
        }
        let user = self.state().user;
        for disk in self.layered.values_mut() {
            if disk.note.layers.reverted() == Some(revert.id) {
                continue;
            }
            let Some(held) = disk.note.layers.held_by(uid) else { continue };
            let new = disk.note.layers.reserve();
            disk.save()?;
            disk::layers::make(&disk.place, new, held, user)?;
            disk.note.layers.revert(revert.id, uid, new);
            disk.save()?;
        }
        let from = record::folder(&self.shared.folders, self.uid, uid);
        copy_extras(&from, &self.folder(), &STATE_FILES, Some(user))?;
        let with_memory = revert.memory && record.status.memory_bytes > 0;
        let state = self.state();
        if with_memory {
            state.pinned = record.pinned;
            state.ports = record.ports;
            state.generation = record.generation;
        }
        state.generation = state.generation.map(|_| uuid::Uuid::now_v7());
        state.restore = with_memory.then_some(uid);
        state.reverted = Some(revert.id);
        state.last_exit = None;
        state.restarts = 0;
        self.save()?;
        self.tidy_at = None;
        // Sizes may be other ones.
        self.prepared = None;
        let how = if with_memory { ", with its memory" } else { "" };
        let told = format!("back at the snapshot {}{how}", record.name);
        self.shared.reporter.event(EventLevel::Info, "reverted", Kind::Vm, &self.name, told);
        Ok(())
    }

    /// Lets a QEMU that waits for it load the memory of the snapshot that the VM goes back to.
    pub(super) async fn load_memory(&mut self) -> Result<()> {
        let Some(uid) = self.state().restore else { return Ok(()) };
        if self.state().began_with == Some(uid) {
            return self.load_devices(uid).await;
        }
        self.loading = true;
        let path = record::memory(&record::folder(&self.shared.folders, self.uid, uid));
        let file = std::fs::File::open(&path).map_err(Error::file("read", &path))?;
        Ok(memory::begin_to_load(self.qmp()?, Parts::All, file).await?)
    }

    /// An agent that ended between starting a QEMU and telling it what to load leaves one that waits.
    pub(super) async fn go_on_loading(&mut self) {
        if self.state().restore.is_some() && !self.loading {
            // One that was told already says so, and goes on.
            if let Err(error) = self.load_memory().await {
                tracing::debug!(vm = %self.name, error = error.told(), "loading the memory");
            }
        }
    }

    /// The memory is loaded and the guest has not gone on yet: from here on the disks are no longer those of the snapshot,
    /// and it must not be loaded a second time.
    pub(super) fn memory_is_loaded(&mut self) -> Result<()> {
        if self.state().restore.take().is_some() {
            self.clock_is_late = true;
            self.guest_asked_at = Instant::now().checked_sub(self.guest_poll());
            self.save()?;
        }
        Ok(())
    }

    /// Tells of all snapshots of the VM.
    pub(super) fn publish_snapshots(&mut self) {
        for snapshot in self.shared.objects.snapshots(&self.name) {
            let Some(record) = self.records.get(&snapshot.meta.uid) else { continue };
            if snapshot.meta.deleted_at.is_some() {
                continue;
            }
            let mut status = record.status.clone();
            status.observed_generation = snapshot.meta.generation;
            status.used_bytes = status.memory_bytes;
            for disk in self.layered.values() {
                if let Some(held) = disk.note.layers.held_by(record.uid) {
                    status.used_bytes += disk::used_bytes(&layer_path(&disk.place, held));
                }
            }
            let origin = self.layered.values().find_map(|disk| {
                let held = disk.note.layers.held_by(record.uid)?;
                disk.note.layers.origin(held)
            });
            status.parent = origin.and_then(|uid| self.snapshot_name(uid));
            self.shared.reporter.status(Kind::Snapshot, &record.name, record.uid, &status);
        }
    }

    fn snapshot_name(&self, uid: Uid) -> Option<Name> {
        self.records.get(&uid).map(|record| record.name.clone())
    }

    /// The snapshot that the disks stand on.
    pub(super) fn current_snapshot(&self) -> Option<Name> {
        let layers = self.layered.values().next().map(|disk| &disk.note.layers)?;
        layers.origin(layers.active()).and_then(|uid| self.snapshot_name(uid))
    }

    /// The VM goes, and its snapshots with it.
    pub(super) fn forget_all_snapshots(&mut self) -> Result<()> {
        record::remove_all(&self.shared.folders, self.uid)?;
        for snapshot in self.shared.objects.snapshots(&self.name) {
            if snapshot.meta.deleted_at.is_some() {
                self.forget(&snapshot)?;
            }
        }
        Ok(())
    }
}

/// Firmware variables and TPM, or some of that, from a VM's folder or into it. The folder belongs to the VM's QEMU, which
/// may have put links there.
pub(super) fn copy_extras(from: &Path, to: &Path, names: &[&str], user: Option<u32>) -> Result<()> {
    let mut tpm = false;
    for name in names {
        let Ok(file) = files::open_beneath(from, name) else { continue };
        let mut content = Vec::new();
        file.take(STATE_FILE_BYTES_MAX)
            .read_to_end(&mut content)
            .map_err(Error::file("read", &from.join(name)))?;
        let target = to.join(name);
        let folder = target.parent().unwrap_or(to);
        if folder != to && !std::mem::replace(&mut tpm, true) {
            // An older state beside a newer one would be taken for a part of it.
            files::remove_folder(folder)?;
            files::folder(folder, 0o700)?;
        }
        files::write(&target, &content)?;
        if let Some(user) = user {
            for path in [folder, &target] {
                users::give(path, user, user).map_err(Error::file("give away", path))?;
            }
        }
    }
    Ok(())
}
