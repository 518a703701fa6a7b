//! Clones that go on where the memory of a snapshot stands, in place of booting.
//!
//! ```text
//!   snapshot's memory ─► Base, once for all clones ─┬─► QEMU of a clone: maps it, loads the devices, goes on
//!                                                   └─► …
//! ```
//!
//! A base is made of the snapshot when it is wanted, lives in memory, and is nothing that has to be kept: what dies with
//! the agent is made anew. QEMUs that use it hold it for themselves.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tabane_core::vm::Cause;
use tabane_model::{CloneOf, SnapshotPhase, Uid, Vm};
use tabane_qemu::{
    command::{Backend, Firmware, Machine, TapSource},
    memory::{self, Base, Parts},
    process::{Launch, ProcessId, Signal},
    qcow2,
};
use tokio::sync::OnceCell;

use super::{
    driver::Driver,
    record::{self, Record},
    seed,
    snapshots::copy_extras,
    steps::FIRST_HANDLE,
};
use crate::{Error, Result, agent::Shared, config::Folders, files, network, users};

/// A base that nobody has asked for this long goes, and its memory with it.
const KEPT_FOR: Duration = Duration::from_secs(600);
/// The slowest honest storage reads 10 MiB/s.
const MEMORY_BYTES_PER_S: u64 = 10 << 20;
const UEFI_VARIABLES: &str = "uefi-vars.fd";
/// What the host keeps for itself.
const RESERVE_BYTES: u64 = 256 << 20;

struct Entry {
    base: Arc<OnceCell<Arc<Base>>>,
    used_at: Instant,
}

/// The bases of this host, by snapshot.
#[derive(Default)]
pub struct Bases(Mutex<HashMap<Uid, Entry>>);

impl Bases {
    fn entry(&self, snapshot: Uid) -> Arc<OnceCell<Arc<Base>>> {
        let mut bases = self.0.lock().expect("no holder of this lock panics");
        let entry =
            bases.entry(snapshot).or_insert_with(|| Entry { base: Arc::default(), used_at: Instant::now() });
        entry.used_at = Instant::now();
        entry.base.clone()
    }

    fn ready(&self, snapshot: Uid) -> Option<Arc<Base>> {
        self.0.lock().expect("no holder of this lock panics").get(&snapshot)?.base.get().cloned()
    }

    /// Lets go of what is no longer asked for.
    pub fn sweep(&self) {
        let mut bases = self.0.lock().expect("no holder of this lock panics");
        bases.retain(|_, entry| entry.used_at.elapsed() < KEPT_FOR || Arc::strong_count(&entry.base) > 1);
    }
}

/// The folder of one QEMU that makes a base.
struct Work(PathBuf);

impl Work {
    fn new(folders: &Folders, user: u32) -> Result<Self> {
        files::folder(&folders.bases(), 0o711)?;
        let path = folders.bases().join(uuid::Uuid::now_v7().simple().to_string());
        files::folder(&path, 0o700)?;
        users::give(&path, user, user).map_err(Error::file("give away", &path))?;
        Ok(Self(path))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Err(error) = files::remove_folder(&self.0) {
            tracing::warn!(error = error.told(), "what making a base left cannot be removed");
        }
    }
}

/// Ends what an agent that died was making.
pub fn clean(folders: &Folders) -> Result<()> {
    let bases = folders.bases();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(process) = ProcessId::of(pid) else { continue };
        let there = std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&bases));
        if there && let Err(error) = process.kill(Signal::Kill) {
            tracing::warn!(pid, %error, "a QEMU that was making a base");
        }
    }
    files::remove_folder(&bases)
}

impl Driver {
    /// What the VM is to go on from, until it has begun.
    pub(super) fn begins_with<'a>(&mut self, vm: &'a Vm) -> Option<&'a CloneOf> {
        let origin = vm.spec.clone_of.as_ref().filter(|origin| origin.memory)?;
        let state = self.state();
        let loads = state.restore.is_some() && state.restore == state.began_with;
        (state.pinned.is_none() || loads).then_some(origin)
    }

    /// What the machine that this one was copied from boots, and which keys it trusts; not its TPM, whose secrets are its own.
    pub(super) fn inherit_firmware(&mut self, vm: &Vm) -> Result<()> {
        let (folder, user) = (self.folder(), self.state().user);
        let Some(origin) = vm.spec.clone_of.as_ref().filter(|_| self.state().pinned.is_none()) else {
            return Ok(());
        };
        let snapshot = self.shared.objects.snapshot(&origin.snapshot);
        let (Some(source), Some(snapshot)) = (origin.vm, snapshot) else { return Ok(()) };
        if folder.join(UEFI_VARIABLES).exists() {
            return Ok(());
        }
        let from = record::folder(&self.shared.folders, source, snapshot.meta.uid);
        if from.exists() { copy_extras(&from, &folder, &[UEFI_VARIABLES], Some(user)) } else { Ok(()) }
    }

    /// Before the first start of a clone that begins with a memory: it gets the hardware that this fits to.
    pub(super) fn take_over(&mut self, vm: &Vm) -> Result<()> {
        let Some(origin) = self.begins_with(vm) else { return Ok(()) };
        let record = source_record(&self.shared, origin)?;
        if record.status.memory_bytes == 0 {
            return Err(Error::unfit(
                format!("the snapshot {} has no memory", record.name),
                "delete the clone, and make it of a snapshot with memory",
            ));
        }
        let state = self.state();
        (state.pinned, state.ports) = (record.pinned, record.ports);
        state.generation = record.generation.map(|_| uuid::Uuid::now_v7());
        (state.restore, state.began_with) = (Some(record.uid), Some(record.uid));
        Ok(())
    }

    /// What is kept of a snapshot whose memory is to be loaded: one of the VM's own, or of the VM that it was copied from.
    pub(super) fn saved(&mut self, vm: &Vm, snapshot: Uid) -> Option<Record> {
        if let Some(own) = self.records.get(&snapshot) {
            return Some(own.clone());
        }
        let origin = self.begins_with(vm)?;
        source_record(&self.shared, origin).ok().filter(|record| record.uid == snapshot)
    }

    /// The base for a machine that fits to it; made by whoever asks first.
    pub(super) async fn base(&mut self, origin: &CloneOf, machine: &Machine) -> Result<Arc<Base>> {
        let record = source_record(&self.shared, origin)?;
        let user = self.state().user;
        let cell = self.shared.bases.entry(record.uid);
        let base = cell.get_or_try_init(|| prepare(&self.shared, origin, &record, machine, user)).await?;
        Ok(base.clone())
    }

    /// Lets a QEMU that was started with a base load the rest.
    pub(super) async fn load_devices(&mut self, snapshot: Uid) -> Result<()> {
        let Some(base) = self.shared.bases.ready(snapshot) else {
            // An agent that died had started it. Its guest has not run, so another takes its place.
            return self.kill(Cause::Asked).await;
        };
        self.loading = true;
        Ok(memory::begin_to_load(self.qmp()?, Parts::Devices, base.devices()?).await?)
    }
}

fn source_record(shared: &Shared, origin: &CloneOf) -> Result<Record> {
    let waiting = || Error::NotYet(format!("waiting for the snapshot {}", origin.snapshot));
    let snapshot = shared.objects.snapshot(&origin.snapshot).ok_or_else(waiting)?;
    if snapshot.status.phase == SnapshotPhase::Failed {
        return Err(Error::unfit(
            format!("the snapshot {} failed", origin.snapshot),
            "delete the clone, and make it anew when a snapshot can be taken",
        ));
    }
    let vm = origin.vm.ok_or_else(waiting)?;
    Record::all(&shared.folders, vm).remove(&snapshot.meta.uid).ok_or_else(waiting)
}

/// Loads the memory into a machine like that of the clones, with nothing of the host's behind its disks and nics.
async fn prepare(
    shared: &Shared,
    origin: &CloneOf,
    record: &Record,
    machine: &Machine,
    user: u32,
) -> Result<Arc<Base>> {
    let began = Instant::now();
    let available = crate::facts::available_memory_bytes();
    let needed = machine.memory_bytes.saturating_add(RESERVE_BYTES);
    if available.is_some_and(|available| available < needed) {
        return Err(Error::unfit(
            format!(
                "the memory of {} needs {} on the host, which has {}",
                origin.snapshot,
                tabane_model::format_bytes(needed),
                tabane_model::format_bytes(available.unwrap_or_default())
            ),
            "shut VMs down that are not needed, or clone without `--instant`",
        ));
    }
    let folder = record::folder(&shared.folders, origin.vm.unwrap_or_default(), record.uid);
    let path = record::memory(&folder);
    let saved = std::fs::File::open(&path).map_err(Error::file("read", &path))?;
    let timeout = Duration::from_secs(120 + 2 * record.status.memory_bytes / MEMORY_BYTES_PER_S);
    let work = Work::new(&shared.folders, user)?;
    let mut launch = Launch::new(&shared.installation()?.qemu.path, &work.0, work.0.join("log"));
    launch.credentials = users::credentials(user, shared.verdict.kvm);
    let machine = stand_in(machine, &work.0, user, &mut launch)?;
    let base = Base::prepare(launch, machine, saved, timeout).await?;
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(snapshot = %record.name, took_ms, bytes = base.used_bytes(), "a memory is ready for clones");
    Ok(Arc::new(base))
}

/// The same machine to whoever loads a memory into it, with empty disks and unconnected nics.
fn stand_in(machine: &Machine, work: &Path, user: u32, launch: &mut Launch) -> Result<Machine> {
    let mut machine = machine.clone();
    let give = |path: &Path| users::give(path, user, user).map_err(Error::file("give away", path));
    for (i, disk) in machine.disks.iter_mut().enumerate() {
        let path = work.join(format!("{i}.disk"));
        if disk.cdrom {
            files::write_derived(&path, &seed::image(&[]))?;
        } else {
            qcow2::create(&path, qcow2::virtual_size(&disk.path)?, None)?;
        }
        give(&path)?;
        disk.below.clear();
        disk.path = path;
    }
    for (i, nic) in machine.nics.iter_mut().enumerate() {
        match &mut nic.backend {
            Backend::User(user) => {
                user.forwards.clear();
                user.restrict = true;
            }
            Backend::Tap { source, .. } => {
                let number = FIRST_HANDLE + i32::try_from(i).unwrap_or_default();
                launch.inherit_fds.push((network::loose_tap()?, number));
                *source = TapSource::Fd(number);
            }
        }
    }
    if let Firmware::Uefi { vars, .. } = &mut machine.firmware {
        let copy = work.join("uefi-vars.fd");
        std::fs::copy(&*vars, &copy).map_err(Error::file("copy", &*vars))?;
        give(&copy)?;
        *vars = copy;
    }
    Ok(machine)
}
