//! The layers of a VM's disks: settling what was cut short, and merging what nobody needs.
//!
//! ```text
//!   running   job of QEMU: begin ─► look ─► … ─► ready ─► stop, flush, note, swap ─► go on    (commit)
//!                                              └─► concluded ─► note                          (stream)
//!   off       qemu-img in the background, given up when the VM is to start
//! ```
//!
//! Invariant: the note names, at each moment, the layer that is right to start with if QEMU is gone the next.

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tabane_core::{
    layers::{Layer, Tidy},
    vm::Layering,
};
use tabane_model::{EventLevel, Kind, Name, Uid, Vm};
use tabane_qemu::{layers, qmp::Qmp};
use tokio::task::JoinHandle;

use super::driver::Driver;
use crate::{
    Error, Result,
    disk::{self, Note, layer_path},
    files,
};

/// How often to look at a merge that is under way.
const LOOK: SignedDuration = SignedDuration::from_millis(200);
/// After one that failed.
const RETRY: SignedDuration = SignedDuration::from_secs(60);
/// A swap is a moment's work once everything is written.
const SWAP_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the guest may stand still until the last writes are merged.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
const THAW_TIMEOUT: Duration = Duration::from_secs(10);

/// A disk of the VM with its note, which this driver alone changes.
pub(super) struct Layered {
    pub place: PathBuf,
    pub note: Note,
}

impl Layered {
    pub fn active_path(&self) -> PathBuf {
        self.note.active_path(&self.place)
    }

    pub fn save(&self) -> Result<()> {
        self.note.save(&self.place)
    }

    /// `shared` are the snapshots that clones stand on.
    fn next(&self, shared: &HashSet<Uid>) -> Option<Tidy> {
        let used = |layer| disk::used_bytes(&layer_path(&self.place, layer));
        self.note.layers.tidy(used, |snapshot| shared.contains(&snapshot))
    }

    /// The layers below the active one, from the top.
    pub fn below(&self) -> Vec<(Layer, PathBuf)> {
        let chain = self.note.layers.chain(self.note.layers.active());
        chain.into_iter().skip(1).map(|layer| (layer, layer_path(&self.place, layer))).collect()
    }
}

/// Merging while the VM is off.
pub(super) struct Offline {
    disk: Name,
    step: Tidy,
    work: JoinHandle<Result<()>>,
}

/// What a job of QEMU is doing is told by its name: it outlives us.
fn job_name(step: Tidy, id: &str) -> String {
    match step {
        Tidy::Drop(layer) => format!("drop.{layer}.{layer}.{id}"),
        Tidy::Stream { into, from } => format!("stream.{into}.{from}.{id}"),
        Tidy::Commit { from, into } => format!("commit.{into}.{from}.{id}"),
    }
}

fn step_of(job: &str, id: &str) -> Option<Tidy> {
    let mut words = job.splitn(4, '.');
    let (kind, into, from) = (words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    match (kind, words.next()? == id) {
        ("stream", true) => Some(Tidy::Stream { into, from }),
        ("commit", true) => Some(Tidy::Commit { from, into }),
        _ => None,
    }
}

impl Driver {
    /// Reads the notes of disks whose note is not known yet.
    pub(super) fn load_layers(&mut self, vm: &Vm) -> Result<()> {
        for entry in &vm.spec.disks {
            if self.layered.contains_key(&entry.name) {
                continue;
            }
            let Some(object) = entry.disk.as_ref().and_then(|name| self.shared.objects.disk(name)) else {
                continue;
            };
            let place = disk::place(&self.shared, &object)?;
            if let Some(note) = Note::load(&place)? {
                self.layered.insert(entry.name.clone(), Layered { place, note });
            }
        }
        let attached: Vec<&Name> = vm.spec.disks.iter().map(|d| &d.name).collect();
        self.layered.retain(|name, _| attached.contains(&name));
        Ok(())
    }

    pub(super) fn layering(&self) -> Layering {
        let frozen = self.state.as_ref().is_some_and(|s| s.frozen);
        let cut_short = |l: &Layered| l.note.layers.taking().is_some() || l.note.layers.pivot().is_some();
        if frozen || self.layered.values().any(cut_short) {
            return Layering::Unsettled;
        }
        let shared = self.shared.objects.shared_snapshots(&self.name);
        if self.offline.is_some() || self.layered.values().any(|l| l.next(&shared).is_some()) {
            return Layering::Tidy { at: self.tidy_at.unwrap_or(Timestamp::UNIX_EPOCH) };
        }
        Layering::Settled
    }

    fn is_alive(&self) -> bool {
        self.state.as_ref().is_some_and(|s| s.process.is_some())
    }

    pub(super) async fn tidy(&mut self) -> Result<()> {
        if self.layering() == Layering::Unsettled {
            return self.settle().await;
        }
        let tidied = if self.is_alive() { self.tidy_online().await } else { self.tidy_offline().await };
        if let Err(error) = tidied {
            self.tidy_at = Some(Timestamp::now() + RETRY);
            let told = format!(
                "layers of a deleted snapshot cannot be merged, and take space until they are: {}",
                error.told()
            );
            if self.merge_failure.replace(told.clone()).as_ref() != Some(&told) {
                self.shared.reporter.event(EventLevel::Warning, "merge_failed", Kind::Vm, &self.name, told);
            }
        } else {
            self.merge_failure = None;
        }
        Ok(())
    }

    /// Finds out how far a step came that was cut short.
    pub(super) async fn settle(&mut self) -> Result<()> {
        let alive = self.is_alive();
        let qmp = if alive { Some(self.qmp()?.clone()) } else { None };
        if self.state().frozen {
            self.thaw().await?;
        }
        let user = self.state().user;
        for (name, disk) in &mut self.layered {
            let layers = disk.note.layers.clone();
            let top = match &qmp {
                Some(qmp) => layers::top(qmp, name.as_str()).await?,
                None => None,
            };
            if let Some(new) = layers.taking() {
                let path = layer_path(&disk.place, new);
                let taken = top.map_or(path.exists(), |top| top == new);
                if taken {
                    disk.note.layers.freeze(None);
                } else {
                    if let Some(qmp) = &qmp {
                        layers::forget(qmp, name.as_str(), new).await?;
                    }
                    files::remove(&path)?;
                    disk.note.layers.call_off();
                }
                disk.save()?;
            }
            if let Some(into) = layers.pivot() {
                match (&qmp, top) {
                    (Some(qmp), Some(top)) if top != into => swap(qmp, name, disk, top, into, user).await?,
                    _ => {
                        if let Some(qmp) = &qmp {
                            dismiss(qmp, name).await?;
                        }
                        disk.note.layers.pivoted();
                    }
                }
                disk.save()?;
            }
        }
        Ok(())
    }

    /// Lets the guest's file systems be written to again.
    pub(super) async fn thaw(&mut self) -> Result<()> {
        if let Some(agent) = self.connected.as_ref().map(|c| c.agent.clone()) {
            let thawed = tokio::time::timeout(THAW_TIMEOUT, agent.fsfreeze_thaw()).await;
            match thawed {
                Ok(Ok(_)) => {}
                // The guest thaws by itself when its agent ends.
                Ok(Err(error @ tabane_qemu::Error::Agent { .. })) => {
                    tracing::warn!(vm = %self.name, %error, "thaw")
                }
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => return Err(Error::Stream("the guest agent does not answer to a thaw".into())),
            }
        }
        self.state().frozen = false;
        self.save()
    }

    async fn tidy_online(&mut self) -> Result<()> {
        let qmp = self.qmp()?.clone();
        let jobs = layers::jobs(&qmp).await?;
        let under_way = self.layered.keys().find_map(|name| {
            jobs.iter().find_map(|job| Some((name.clone(), step_of(&job.id, name.as_str())?, job.clone())))
        });
        if let Some((name, step, job)) = under_way {
            return self.advance(&qmp, &name, step, &job).await;
        }
        let shared = self.shared.objects.shared_snapshots(&self.name);
        let next = self.layered.iter().find_map(|(name, disk)| Some((name.clone(), disk.next(&shared)?)));
        let Some((name, step)) = next else { return Ok(()) };
        let disk = self.layered.get_mut(&name).expect("just found there");
        let id = name.as_str();
        match step {
            Tidy::Drop(layer) => {
                layers::forget(&qmp, id, layer).await?;
                drop_layer(disk, layer)
            }
            Tidy::Stream { into, .. } if !layers::has(&qmp, id, into).await? => self.tidy_offline().await,
            Tidy::Stream { into, from } => {
                let below = disk::layers::below(&disk.place, &disk.note, from)?;
                layers::stream(&qmp, &job_name(step, id), id, into, &below).await?;
                self.look_soon();
                Ok(())
            }
            Tidy::Commit { from, into } => {
                layers::commit(&qmp, &job_name(step, id), id, from, into).await?;
                self.look_soon();
                Ok(())
            }
        }
    }

    fn look_soon(&mut self) {
        self.tidy_at = Some(Timestamp::now() + LOOK);
    }

    /// Looks at a job of QEMU and does what it waits for.
    async fn advance(&mut self, qmp: &Qmp, name: &Name, step: Tidy, job: &layers::Job) -> Result<()> {
        let user = self.state().user;
        let disk = self.layered.get_mut(name).ok_or_else(|| Error::NotYet(format!("disk {name} is gone")))?;
        match (job.status.as_str(), step) {
            ("concluded", _) if job.error.is_some() => {
                layers::dismiss(qmp, &job.id).await?;
                Err(Error::Stream(job.error.clone().unwrap_or_default()))
            }
            ("concluded", Tidy::Stream { into, from }) => {
                let below = disk::layers::below(&disk.place, &disk.note, from)?;
                disk::layers::check_streamed(&disk.place, into, &below)?;
                disk.note.layers.streamed(into, from);
                disk.save()?;
                self.tidy_at = None;
                Ok(layers::dismiss(qmp, &job.id).await?)
            }
            ("concluded", _) => Ok(layers::dismiss(qmp, &job.id).await?),
            ("ready", Tidy::Commit { from, into }) => {
                let running = qmp.query_status().await?.running;
                let swapped = swap(qmp, name, disk, from, into, user).await;
                if running && disk.note.layers.pivot().is_none() {
                    qmp.cont().await?;
                }
                self.tidy_at = None;
                swapped
            }
            _ => {
                self.look_soon();
                Ok(())
            }
        }
    }

    async fn tidy_offline(&mut self) -> Result<()> {
        if let Some(offline) = &self.offline
            && !offline.work.is_finished()
        {
            self.tidy_at = Some(Timestamp::now() + SignedDuration::from_secs(1));
            return Ok(());
        }
        if let Some(Offline { disk, step, work }) = self.offline.take() {
            work.await.map_err(|e| Error::Stream(format!("merging layers was cut short: {e}")))??;
            if let Some(layered) = self.layered.get_mut(&disk) {
                match step {
                    Tidy::Drop(_) => {}
                    Tidy::Stream { into, from } => layered.note.layers.streamed(into, from),
                    Tidy::Commit { into, .. } => {
                        layered.note.layers.announce_pivot(into);
                        layered.note.layers.pivoted();
                    }
                }
                layered.save()?;
            }
            self.tidy_at = None;
            return Ok(());
        }
        let user = self.state().user;
        let shared = self.shared.objects.shared_snapshots(&self.name);
        let next =
            self.layered.iter_mut().find_map(|(name, disk)| Some((name.clone(), disk.next(&shared)?, disk)));
        let Some((name, step, disk)) = next else { return Ok(()) };
        if let Tidy::Drop(layer) = step {
            return drop_layer(disk, layer);
        }
        let (place, note, wake) = (disk.place.clone(), disk.note.clone(), self.handle.wake.clone());
        let work = tokio::spawn(async move {
            let merged = disk::layers::merge(&place, &note, step, user).await;
            wake.notify_one();
            merged
        });
        self.offline = Some(Offline { disk: name, step, work });
        self.look_soon();
        Ok(())
    }

    /// Gives up a merge that is under way, so that QEMU finds the disks free. What it did is not lost.
    pub(super) async fn give_up_merging(&mut self) {
        if let Some(offline) = self.offline.take() {
            offline.work.abort();
            let _ = offline.work.await;
            self.tidy_at = None;
        }
    }

    /// Ends what is in the way of a new layer: merging that is under way, layers that QEMU has open on top of one that took their
    /// place, and its right to write to those that clones are going to read.
    pub(super) async fn clear_the_way(&mut self) -> Result<()> {
        let names: Vec<Name> = self.layered.keys().cloned().collect();
        for name in names {
            self.cancel_merging(&name).await?;
            let Some(disk) = self.layered.get(&name) else { continue };
            let chain = disk.note.layers.chain(disk.note.layers.active());
            layers::keep_only(self.qmp()?, name.as_str(), &chain).await?;
            layers::seal(self.qmp()?, name.as_str(), &chain[1..]).await?;
        }
        Ok(())
    }

    /// Ends the merging of a disk that is going to be unplugged. What it did is not lost.
    pub(super) async fn cancel_merging(&mut self, name: &Name) -> Result<()> {
        let qmp = self.qmp()?.clone();
        let deadline = tokio::time::Instant::now() + SWAP_TIMEOUT;
        loop {
            let jobs = layers::jobs(&qmp).await?;
            let own: Vec<_> = jobs.into_iter().filter(|j| step_of(&j.id, name.as_str()).is_some()).collect();
            if own.is_empty() {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                return Err(Error::NotYet(format!("the merging of layers of {name} does not end")));
            }
            for job in own {
                match job.status.as_str() {
                    "concluded" => layers::dismiss(&qmp, &job.id).await?,
                    // Asked again it refuses, which does no harm.
                    _ => drop(layers::cancel(&qmp, &job.id).await),
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What the layers look like, for whoever wants to know.
    pub(super) fn layered_used_bytes(&self) -> BTreeMap<Name, u64> {
        let used =
            |l: &Layered| l.note.layers.all().map(|n| disk::used_bytes(&layer_path(&l.place, n))).sum();
        self.layered.iter().map(|(name, layered)| (name.clone(), used(layered))).collect()
    }
}

/// The file goes before the note forgets it: in between there is one more to be dropped, and nothing is left over.
fn drop_layer(disk: &mut Layered, layer: Layer) -> Result<()> {
    files::remove(&layer_path(&disk.place, layer))?;
    disk.note.layers.dropped(layer);
    disk.save()
}

/// Ends a job whose work is done.
async fn dismiss(qmp: &Qmp, name: &Name) -> Result<()> {
    for job in layers::jobs(qmp).await? {
        if job.status == "concluded" && step_of(&job.id, name.as_str()).is_some() {
            layers::dismiss(qmp, &job.id).await?;
        }
    }
    Ok(())
}

/// Lets the layer below take the place of the active one, which has been written into it but for the last moment.
///
/// The guest stands still from before the note says so until QEMU has done it: nothing is written in between, so both
/// layers are right to start with. On return the guest stands still.
async fn swap(qmp: &Qmp, name: &Name, disk: &mut Layered, from: Layer, into: Layer, user: u32) -> Result<()> {
    let id = name.as_str();
    let wanted = job_name(Tidy::Commit { from, into }, id);
    qmp.stop().await?;
    let deadline = tokio::time::Instant::now() + DRAIN_TIMEOUT;
    loop {
        match layers::job(qmp, &wanted).await? {
            Some(job) if job.status == "ready" && job.done == job.total => break,
            Some(job) if job.status == "ready" && tokio::time::Instant::now() < deadline => {}
            // It ended without us, or is not done in time: QEMU goes on with the layer that it has.
            _ => {
                disk.note.layers.stays();
                return disk.save();
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // To stop what stands still already lets QEMU write out everything that it holds back.
    qmp.stop().await?;
    disk::layers::sync(&layer_path(&disk.place, into))?;
    let path = layer_path(&disk.place, into);
    crate::users::give(&path, user, user).map_err(Error::file("give away", &path))?;
    disk.note.layers.announce_pivot(into);
    disk.save()?;
    layers::complete(qmp, &wanted).await?;
    let deadline = tokio::time::Instant::now() + SWAP_TIMEOUT;
    loop {
        match layers::job(qmp, &wanted).await? {
            Some(job) if job.status == "concluded" => break,
            None => break,
            Some(_) if tokio::time::Instant::now() < deadline => {}
            Some(job) => return Err(Error::NotYet(format!("QEMU's job is {} for long", job.status))),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    if layers::top(qmp, id).await? == Some(into) {
        disk.note.layers.pivoted();
    } else {
        disk.note.layers.stays();
    }
    disk.save()?;
    dismiss(qmp, name).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_tells_its_step_by_its_name() {
        for step in [Tidy::Stream { into: 3, from: 1 }, Tidy::Commit { from: 12, into: 0 }] {
            assert_eq!(step_of(&job_name(step, "root-1"), "root-1"), Some(step));
            assert_eq!(step_of(&job_name(step, "root-1"), "root"), None);
        }
        for other in ["", "stream", "stream.1.2", "stream.x.2.root", "mirror.1.2.root"] {
            assert_eq!(step_of(other, "root"), None);
        }
    }
}
