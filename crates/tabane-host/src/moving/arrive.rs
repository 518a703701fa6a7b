//! The new host's end: gets everything, checks it, and says so.
//!
//! Invariant: a marker is on disk before the first file of an arriving VM. It names the files, so a move that was called
//! off leaves nothing; it goes as soon as the VM is this host's, and from then on nothing here removes them.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tabane_client::Stream;
use tabane_model::{
    Arrival, Disk, Kind, Progress, Uid, Vm, VmStatus,
    api::{LeavingPart, Part},
};
use tokio::io::AsyncReadExt;

use super::{CHUNK_BYTES, DiskHead, HEAD_BYTES_MAX, Luggage, STATE_FILE_BYTES_MAX, STATE_FILES, broken};
use crate::{
    Error, Result,
    agent::Shared,
    disk, files, image, pool, users,
    vm::{self, State},
};

const TELL_EVERY: Duration = Duration::from_millis(500);
const RETRY: Duration = Duration::from_secs(3);
/// Left to others in a pool.
const SPARE_BYTES: u64 = 64 << 20;

/// What is on its way here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Marker {
    vm: Uid,
    /// Of the move.
    id: Uid,
    /// Where its disks will be.
    disks: Vec<PathBuf>,
}

/// The work on VMs that are moving to this host.
#[derive(Default)]
pub struct Arrivals {
    at_work: Mutex<HashMap<Uid, tokio::task::AbortHandle>>,
}

impl Arrivals {
    /// Starts what is to arrive, and forgets what has arrived or does not come any more.
    pub fn sync(&self, shared: &Arc<Shared>) {
        let arriving = shared.objects.arriving_vms();
        let mut at_work = self.at_work.lock().expect("no holder of this lock panics");
        at_work.retain(|id, work| {
            let wanted = arriving.iter().any(|vm| vm.spec.moving.as_ref().is_some_and(|m| m.id == *id));
            if !wanted {
                work.abort();
            }
            wanted && !work.is_finished()
        });
        for vm in arriving {
            let Some(id) = vm.spec.moving.as_ref().map(|m| m.id) else { continue };
            if vm.status.released == Some(id) && !at_work.contains_key(&id) {
                at_work.insert(id, tokio::spawn(run(shared.clone(), vm, id)).abort_handle());
            }
        }
        let busy: Vec<Uid> = at_work.keys().copied().collect();
        drop(at_work);
        if let Err(error) = settle(shared, &busy) {
            tracing::warn!(error = error.told(), "cannot look after VMs that were to arrive");
        }
    }
}

/// Goes through the markers of moves that nobody works on.
fn settle(shared: &Shared, busy: &[Uid]) -> Result<()> {
    let folder = shared.folders.arrivals();
    let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(()) };
    for path in entries.filter_map(|e| e.ok().map(|e| e.path())) {
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let Some(marker) = files::read_json::<Marker>(&path)? else { continue };
        if shared.objects.vms().iter().any(|vm| vm.meta.uid == marker.vm) {
            files::remove(&path)?;
        } else if !busy.contains(&marker.id) {
            let expected = shared.objects.arriving_vms();
            let is_expected =
                expected.iter().any(|vm| vm.spec.moving.as_ref().is_some_and(|m| m.id == marker.id));
            if !is_expected {
                discard(shared, &marker, &path)?;
            }
        }
    }
    Ok(())
}

/// The move was called off: what came so far is a copy of something that lives on elsewhere.
fn discard(shared: &Shared, marker: &Marker, path: &Path) -> Result<()> {
    for disk in &marker.disks {
        files::remove(&arriving(disk))?;
        disk::remove_files(disk)?;
    }
    let vms = shared.folders.vms();
    files::remove_folder(&State::folder(&vms, marker.vm))?;
    if let Some(state) = State::load(&vms, marker.vm)? {
        shared.users.lock().expect("no holder of this lock panics").remove(&state.user);
    }
    files::remove(&State::path(&vms, marker.vm))?;
    files::remove(path)?;
    tracing::info!(vm = %marker.vm, "a VM does not come after all; its copy is removed");
    Ok(())
}

fn arriving(disk: &Path) -> PathBuf {
    disk.with_extension("arriving")
}

async fn run(shared: Arc<Shared>, vm: Arc<Vm>, id: Uid) {
    let work = Work { shared, vm, id, told: Mutex::new(None) };
    loop {
        match work.bring().await {
            Ok(()) => return work.say(Arrival { complete: true, ..work.nothing() }),
            Err(error) => {
                tracing::warn!(vm = %work.vm.meta.name, error = error.told(), "a VM does not come along");
                // What somebody has to mend first is not waited for: the VM is off meanwhile.
                let refused = matches!(error, Error::Unfit { .. });
                work.say(Arrival { refused, message: error.told(), ..work.nothing() });
                if refused {
                    return;
                }
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

struct Work {
    shared: Arc<Shared>,
    vm: Arc<Vm>,
    id: Uid,
    told: Mutex<Option<Instant>>,
}

impl Work {
    fn nothing(&self) -> Arrival {
        Arrival { id: self.id, complete: false, refused: false, progress: None, message: String::new() }
    }

    fn say(&self, arrival: Arrival) {
        let status = VmStatus { arrival: Some(arrival), ..VmStatus::default() };
        self.shared.reporter.status(Kind::Vm, &self.vm.meta.name, self.vm.meta.uid, &status);
    }

    fn progress(&self, disk: &Disk, done: u64, whole: u64) {
        let mut told = self.told.lock().expect("no holder of this lock panics");
        if told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            *told = Some(Instant::now());
            let [so_far, all] = [done, whole].map(tabane_model::format_bytes);
            let fraction = done as f32 / whole.max(1) as f32;
            let detail = format!("{so_far} of {all}");
            let step = format!("disk {}", disk.meta.name);
            self.say(Arrival { progress: Some(Progress { step, fraction, detail }), ..self.nothing() });
        }
    }

    async fn bring(&self) -> Result<()> {
        let mut disks = Vec::new();
        for name in self.vm.spec.disks.iter().filter_map(|d| d.disk.as_ref()) {
            let disk = self.shared.objects.arriving_disk(name);
            let disk = disk.ok_or_else(|| Error::NotYet(format!("waiting for the disk {name}")))?;
            let path = disk::place(&self.shared, &disk)?;
            disks.push((disk, path));
        }
        self.mark(disks.iter().map(|(_, path)| path.clone()).collect())?;
        let state = self.luggage().await?;
        self.check(&state)?;
        for (disk, path) in &disks {
            if !path.exists() {
                self.disk(disk, path).await?;
            }
        }
        // Last: whoever has a state has everything.
        state.save(&self.shared.folders.vms())
    }

    /// Before anything large comes: whether it can run here.
    fn check(&self, state: &State) -> Result<()> {
        let verdict = &self.shared.verdict;
        let kvm = if verdict.kvm { Ok(()) } else { Err(verdict.reason.as_str()) };
        vm::fits(&self.vm, state.pinned.as_ref(), self.shared.installation()?, kvm)
    }

    fn mark(&self, disks: Vec<PathBuf>) -> Result<()> {
        let folder = self.shared.folders.arrivals();
        files::folder(&folder, 0o700)?;
        let path = folder.join(format!("{}.json", self.vm.meta.uid.simple()));
        let marker = Marker { vm: self.vm.meta.uid, id: self.id, disks };
        match files::read_json::<Marker>(&path)? {
            Some(earlier) if earlier == marker => Ok(()),
            Some(earlier) => {
                discard(&self.shared, &earlier, &path)?;
                files::write_json(&path, &marker)
            }
            None => files::write_json(&path, &marker),
        }
    }

    async fn open(&self, part: Part) -> Result<Stream> {
        let wanted = LeavingPart { id: self.id, part };
        Ok(self.shared.client()?.leaving(self.vm.meta.name.as_str(), &wanted).await?)
    }

    /// What its driver will read, with the files that belong in its folder.
    async fn luggage(&self) -> Result<State> {
        let mut stream = self.open(Part::State).await?;
        let luggage: Luggage = read_head(&mut stream).await?;
        let (uid, vms) = (self.vm.meta.uid, self.shared.folders.vms());
        let user = match State::load(&vms, uid)? {
            Some(state) => state.user,
            None => self.shared.user(uid),
        };
        let folder = State::folder(&vms, uid);
        let give = |path: &Path| users::give(path, user, user).map_err(Error::file("give away", path));
        files::folder(&folder, 0o700)?;
        for (name, size) in &luggage.files {
            if !STATE_FILES.contains(&name.as_str()) || *size > STATE_FILE_BYTES_MAX {
                return Err(broken(format!("{name:?} is no file of a VM")));
            }
            let mut content = vec![0; *size as usize];
            stream.read_exact(&mut content).await.map_err(broken)?;
            let path = folder.join(name);
            if let Some(parent) = path.parent().filter(|parent| *parent != folder) {
                files::folder(parent, 0o700)?;
                give(parent)?;
            }
            files::write(&path, &content)?;
            give(&path)?;
        }
        give(&folder)?;
        let mut state = State::new(uid, self.vm.meta.name.clone(), user);
        state.pinned = luggage.pinned;
        state.ports = luggage.ports;
        state.starts = luggage.starts;
        state.resets = luggage.resets;
        state.restarts = luggage.restarts;
        state.reverted = luggage.reverted;
        state.last_exit = luggage.last_exit;
        state.generation = luggage.generation;
        state.renewed = luggage.renewed;
        Ok(state)
    }

    /// Gets a disk, going on where an earlier try stopped.
    async fn disk(&self, disk: &Disk, path: &Path) -> Result<()> {
        let part = arriving(path);
        let opened = OpenOptions::new().create(true).read(true).append(true).open(&part);
        let mut file = opened.map_err(Error::file("open", &part))?;
        let have = file.metadata().map_err(Error::file("read", &part))?.len();
        let mut stream = self.open(Part::Disk { disk: disk.meta.name.clone(), offset_bytes: have }).await?;
        let head: DiskHead = read_head(&mut stream).await?;
        if head.absent {
            return files::remove(&part);
        }
        let folder = part.parent().unwrap_or(Path::new("/"));
        let (_, free) = pool::space(folder).map_err(Error::file("look at", folder))?;
        if head.size_bytes.saturating_sub(have) + SPARE_BYTES > free {
            let [wanted, free] = [head.size_bytes, free].map(tabane_model::format_bytes);
            let told = format!("the disk {} needs {wanted}, and {free} are free", disk.meta.name);
            return Err(Error::unfit(told, format!("make room in the pool {}", disk.spec.pool)));
        }
        let mut hasher = hash_of(&mut file, &part)?;
        let mut done = have;
        let mut buffer = vec![0; CHUNK_BYTES];
        while done < head.size_bytes {
            let wanted = (head.size_bytes - done).min(CHUNK_BYTES as u64) as usize;
            let read = stream.read(&mut buffer[..wanted]).await.map_err(broken)?;
            if read == 0 {
                return Err(broken("it ended early"));
            }
            hasher.update(&buffer[..read]);
            file.write_all(&buffer[..read]).map_err(Error::file("write", &part))?;
            done += read as u64;
            self.progress(disk, done, head.size_bytes);
        }
        let mut digest = [0; blake3::OUT_LEN];
        stream.read_exact(&mut digest).await.map_err(broken)?;
        if hasher.finalize() != digest {
            files::remove(&part)?;
            return Err(broken(format!("what came is not the disk {}", disk.meta.name)));
        }
        file.sync_all().map_err(Error::file("write", &part))?;
        self.adopt(&part, path, &head).await
    }

    /// Gives the disk its place: on the image of this host, if it stands on one.
    async fn adopt(&self, part: &Path, path: &Path, head: &DiskHead) -> Result<()> {
        // Before the image is looked for: nobody may remove it in between.
        disk::protect_image(path, head.image_digest.clone(), head.linked)?;
        let base = match &head.image_digest {
            Some(digest) => self.image(digest).await?,
            None => None,
        };
        tabane_qemu::qcow2::set_backing(part, base.as_deref().filter(|_| head.linked))?;
        files::rename(part, path)
    }

    /// The image's disk on this host, if the image has one.
    async fn image(&self, digest: &str) -> Result<Option<PathBuf>> {
        let store = self.shared.images.store();
        let stored = match store.load(digest) {
            Some(stored) => stored,
            None => {
                let stream = self.open(Part::Image { digest: digest.to_owned() }).await?;
                image::receive_files(&self.shared, stream, &self.id.simple().to_string(), digest).await?
            }
        };
        Ok(stored.disk.then(|| store.folder(digest).join("disk.qcow2")))
    }
}

async fn read_head<T: DeserializeOwned>(stream: &mut Stream) -> Result<T> {
    let length = stream.read_u32().await.map_err(broken)?;
    if length > HEAD_BYTES_MAX {
        return Err(broken("its head is too large"));
    }
    let mut text = vec![0; length as usize];
    stream.read_exact(&mut text).await.map_err(broken)?;
    serde_json::from_slice(&text).map_err(broken)
}

/// Of what is there already.
fn hash_of(file: &mut File, path: &Path) -> Result<blake3::Hasher> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    file.seek(SeekFrom::Start(0)).map_err(Error::file("read", path))?;
    loop {
        match file.read(&mut buffer).map_err(Error::file("read", path))? {
            0 => return Ok(hasher),
            read => drop(hasher.update(&buffer[..read])),
        }
    }
}
