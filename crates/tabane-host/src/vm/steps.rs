//! The steps that a driver takes. Each may be taken again after it was cut short anywhere.

use std::{
    collections::BTreeMap,
    os::fd::{OwnedFd, RawFd},
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use tabane_core::vm::{Cause, Step};
use tabane_model::{
    BootDevice, CdDrive, Disk, DiskBus, EventLevel, Firmware, Kind, Name, Nic, Pinned, Uid, Vm,
};
use tabane_qemu::{
    agent::ShutdownMode,
    command::{self, DirectBoot, MemoryFile},
    hotplug,
    process::{Credentials, Launch, ProcessId, Signal},
};

use super::{
    driver::Driver,
    layers::Layered,
    machine::{self, DiskPlug, NicPlug, Parts},
    seed,
    state::{Reason, Released, Running, SATA},
};
use crate::{Error, Result, cgroup, disk, files, users};

/// Below it are the standard streams and what the runtime may open.
pub(super) const FIRST_HANDLE: RawFd = 10;
const UNPLUG_TIMEOUT: Duration = Duration::from_secs(20);
const QUIT_TIMEOUT: Duration = Duration::from_secs(5);
const CLOCK_TIMEOUT: Duration = Duration::from_secs(30);
const AGENT_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// What was made ready, and for which wishes.
pub(super) struct Prepared {
    wishes: Wishes,
    pub disks: BTreeMap<Name, disk::Ready>,
    kernel: Option<DirectBoot>,
    seed: Option<PathBuf>,
}

/// Changes when something has to be prepared anew.
#[derive(Debug, Clone, PartialEq)]
struct Wishes {
    disks: Vec<(Name, Option<Name>, Option<u64>)>,
    nics: Vec<Nic>,
    cdroms: Vec<CdDrive>,
    init: tabane_model::Init,
    boot_image: Option<Name>,
}

impl Driver {
    fn wishes(&self, vm: &Vm) -> Wishes {
        let size = |name: &Name| self.shared.objects.disk(name).and_then(|d| d.spec.size_bytes);
        Wishes {
            disks: vm
                .spec
                .disks
                .iter()
                .map(|d| (d.name.clone(), d.disk.clone(), d.disk.as_ref().and_then(size)))
                .collect(),
            nics: vm.spec.nics.clone(),
            cdroms: vm.spec.cdroms.clone(),
            init: vm.spec.init.clone(),
            boot_image: vm.spec.boot_image.clone(),
        }
    }

    pub(super) fn is_prepared(&self, vm: &Vm) -> bool {
        self.prepared.as_ref().is_some_and(|p| p.wishes == self.wishes(vm))
    }

    pub(super) async fn take(&mut self, vm: &Vm, step: Step) -> Result<()> {
        match step {
            Step::Prepare => self.prepare(vm).await,
            Step::Start => self.start(vm).await,
            Step::Resume => self.resume(vm).await,
            Step::Pause => Ok(self.qmp()?.stop().await?),
            Step::Reset => self.reset(vm).await,
            Step::Shutdown => self.shutdown().await,
            Step::Kill(cause) => self.kill(cause).await,
            Step::PlugCpus(cpus) => self.plug_cpus(cpus).await,
            Step::PlugMemory(bytes) => self.plug_memory(bytes).await,
            Step::PlugDisk(name) => self.plug_disk(vm, &name).await,
            Step::UnplugDisk(name) => self.unplug_disk(&name).await,
            Step::PlugNic(name) => self.plug_nic(vm, &name).await,
            Step::UnplugNic(name) => self.unplug_nic(vm, &name).await,
            Step::LimitDisk(name) => self.limit_disk(vm, &name).await,
            Step::ChangeMedium(name) => self.change_medium(vm, &name).await,
            Step::Revert(revert) => self.revert(&revert).await,
            Step::Snapshot(due) => self.snapshot(vm, due).await,
            Step::Tidy => self.tidy().await,
            Step::Renew => self.renew(vm).await,
            Step::Release(id) => self.release(vm, id).await,
            Step::CleanUp => self.clean_up(vm).await,
            Step::Wait(_) => Ok(()),
        }
    }

    pub(super) fn qmp(&self) -> Result<&tabane_qemu::qmp::Qmp> {
        self.connected.as_ref().map(|c| &c.qmp).ok_or_else(|| Error::NotYet("QEMU does not answer".into()))
    }

    pub(super) async fn prepare(&mut self, vm: &Vm) -> Result<()> {
        let folder = self.folder();
        files::folder(&folder, 0o700)?;
        let user = self.state().user;
        users::give(&folder, user, user).map_err(Error::file("give away", &folder))?;
        let mut disks = BTreeMap::new();
        let mut kernel = None;
        let mut default_user = None;
        for entry in &vm.spec.disks {
            let name = entry
                .disk
                .as_ref()
                .ok_or_else(|| Error::NotYet(format!("disk {} has no name", entry.name)))?;
            let ready = self.prepare_disk(&entry.name, name, user).await?;
            if let Some(image) = ready.image.as_ref().filter(|_| disks.is_empty()) {
                kernel = self.shared.images.kernel(image, vm);
                default_user = image.default_user.clone();
            }
            disks.insert(entry.name.clone(), ready);
        }
        if let Some(name) = &vm.spec.boot_image {
            let image = self.shared.images.ensure(&self.shared, name).await?;
            kernel = self.shared.images.kernel(&image, vm);
        }
        self.inherit_firmware(vm)?;
        let seed = self.prepare_seed(vm, &folder, user, default_user.as_deref())?;
        for nic in &vm.spec.nics {
            self.shared.networks.ensure(&self.shared.objects, &nic.network).await?;
        }
        self.prepare_media(vm).await?;
        self.prepared = Some(Prepared { wishes: self.wishes(vm), disks, kernel, seed });
        Ok(())
    }

    /// Makes a disk, or lets it grow, and tells of it.
    async fn prepare_disk(&mut self, inside: &Name, name: &Name, user: u32) -> Result<disk::Ready> {
        let object = self
            .shared
            .objects
            .disk(name)
            .ok_or_else(|| Error::NotYet(format!("waiting for the disk {name}")))?;
        let _turn = self.shared.disk_turns.take(object.meta.uid).await;
        let made = self.ensure_disk(inside, &object).await;
        disk::tell(&self.shared, &object, &made);
        let ready = made?;
        let layered = Layered { place: ready.place.clone(), note: ready.note.clone() };
        self.layered.insert(inside.clone(), layered);
        users::give(&ready.path, user, user).map_err(Error::file("give away", &ready.path))?;
        Ok(ready)
    }

    /// The disk as large as it is to be; one that is in use is grown by its QEMU.
    async fn ensure_disk(&mut self, inside: &Name, object: &Disk) -> Result<disk::Ready> {
        let ready = disk::ensure(&self.shared, object).await?;
        let Some(wanted) = object.spec.size_bytes.filter(|wanted| *wanted > ready.size_bytes) else {
            return Ok(ready);
        };
        match &self.state().process {
            Some(running) if running.disks.contains(inside) => {
                hotplug::resize_disk(self.qmp()?, inside.as_str(), wanted).await?;
            }
            _ => disk::grow(&ready, wanted).await?,
        }
        disk::ensure(&self.shared, object).await
    }

    fn prepare_seed(
        &self,
        vm: &Vm,
        folder: &Path,
        user: u32,
        default_user: Option<&str>,
    ) -> Result<Option<PathBuf>> {
        let path = folder.join("seed.iso");
        let image = seed::image(&seed::files(vm, &seed::Defaults { user: default_user }));
        if std::fs::read(&path).ok().as_deref() != Some(&image) {
            // Secrets such as password hashes are in it: for the VM's own user alone.
            files::write_derived(&path, &image)?;
        }
        users::give(&path, user, user).map_err(Error::file("give away", &path))?;
        Ok(Some(path))
    }

    async fn start(&mut self, vm: &Vm) -> Result<()> {
        self.give_up_merging().await;
        let shared = self.shared.clone();
        let installation = shared.installation()?;
        let kvm = if shared.verdict.kvm { Ok(()) } else { Err(shared.verdict.reason.as_str()) };
        self.take_over(vm)?;
        let earlier = self.state().pinned.clone();
        if earlier.is_none() {
            self.state().generation = Some(uuid::Uuid::now_v7());
        }
        let boots_kernel = self.prepared.as_ref().is_some_and(|p| p.kernel.is_some());
        let pinned = machine::pin(vm, earlier.as_ref(), installation, kvm, boots_kernel)?;
        let mut credentials = users::credentials(self.state().user, pinned.accel == tabane_model::Accel::Kvm);
        if let Some(credentials) = &mut credentials {
            let groups = self.layered.values().flat_map(|disk| disk.note.groups.iter().copied());
            credentials.supplementary_gids.extend(groups);
        }
        let (mut machine, mut inherit) = self.machine(vm, &pinned, credentials.clone()).await?;
        if let Some(origin) = self.begins_with(vm) {
            let base = self.base(origin, &machine).await?;
            let fd = FIRST_HANDLE + inherit.len() as RawFd;
            inherit.push((base.memory()?, fd));
            machine.memory_file = Some(MemoryFile { fd, shared: false });
        }
        let folder = self.folder();
        for socket in ["qmp.sock", "agent.sock", "serial.sock", "vnc.sock"] {
            files::remove(&folder.join(socket))?;
        }
        let log = super::State::log(&shared.folders.vms(), self.uid);
        let mut launch = Launch::new(&installation.qemu.path, &folder, log);
        launch.arguments = machine.arguments()?;
        launch.credentials = credentials;
        launch.inherit_fds = inherit;
        launch.locks_memory = !vm.spec.pci.is_empty();
        launch.cgroups = cgroup::prepare(vm.meta.uid);
        let process = tokio::task::spawn_blocking(move || launch.spawn())
            .await
            .map_err(|e| Error::Stream(format!("starting QEMU was cut short: {e}")))??;
        self.write_down(vm, pinned, process)?;
        self.guest = None;
        self.connect().await;
        if self.state().restore.is_some() && self.connected.is_some() {
            self.load_memory().await?;
        }
        // It has not booted: its agent will make itself heard.
        self.guest_asked_at = Some(std::time::Instant::now());
        if self.connected.is_none() && process.is_alive() {
            return Err(Error::NotYet("QEMU has started and does not answer yet".into()));
        }
        if self.connected.is_some() {
            let message = format!("QEMU runs as process {}", process.pid);
            shared.reporter.event(EventLevel::Info, "started", Kind::Vm, &self.name, message);
        }
        Ok(())
    }

    /// The machine with everything in its place, and the handles that its QEMU inherits.
    async fn machine(
        &mut self,
        vm: &Vm,
        pinned: &Pinned,
        credentials: Option<Credentials>,
    ) -> Result<(command::Machine, Vec<(OwnedFd, RawFd)>)> {
        if self.prepared.as_ref().is_some_and(|p| p.kernel.is_some()) {
            machine::boots_directly(vm)?;
        }
        let shared = self.shared.clone();
        let installation = shared.installation()?;
        let folder = self.folder();
        let firmware = firmware(vm, installation, &folder, self.state().user)?;
        let devices: Vec<String> = vm
            .spec
            .nics
            .iter()
            .map(|n| nic_device(&n.name))
            .chain(vm.spec.disks.iter().map(|d| disk_device(&d.name, d.bus)))
            .chain(vm.spec.cdroms.iter().map(|d| super::media::device(&d.name)))
            .chain(vm.spec.pci.iter().map(|d| super::passthrough::device(&d.name)))
            .collect();
        self.state().ports.retain(|device, _| devices.contains(device));
        let mut inherit = Vec::new();
        let mut nics = Vec::new();
        for nic in &vm.spec.nics {
            let number = FIRST_HANDLE + inherit.len() as RawFd;
            let (plug, handle) = shared.networks.plug(&shared.objects, vm, nic, number).await?;
            inherit.extend(handle);
            let port = self.state().port(nic_device(&nic.name), machine::PORTS);
            let place = vm.spec.boot_place(&nic.name, BootDevice::Nic);
            nics.push(nic_parts(nic, plug, port, place));
        }
        let mut disks = Vec::new();
        for disk in &vm.spec.disks {
            let port = self.state().port(disk_device(&disk.name, disk.bus), ports_of(disk.bus));
            disks.push(self.disk_plug(&disk.name, disk.bus, port)?);
        }
        let drives = self.drives(vm);
        let passthroughs = self.passthroughs(vm)?;
        let tpm_socket =
            if vm.spec.tpm { Some(super::tpm::ensure(installation, &folder, credentials)?) } else { None };
        let (incoming, generation) = (self.state().restore.is_some(), self.state().generation);
        let prepared = self.prepared.as_ref().ok_or_else(|| Error::NotYet("not prepared".into()))?;
        let (kernel, seed) = (prepared.kernel.clone(), prepared.seed.clone());
        let parts = Parts {
            vm,
            pinned,
            disks,
            nics,
            drives,
            passthroughs,
            seed,
            kernel,
            firmware,
            tpm_socket,
            generation,
            incoming,
            sandbox: true,
        };
        Ok((machine::machine(parts), inherit))
    }

    /// A disk that is ready, with all its layers.
    fn disk_plug(&self, name: &Name, bus: DiskBus, port: Option<u8>) -> Result<DiskPlug> {
        let ready = self.prepared.as_ref().is_some_and(|p| p.disks.contains_key(name));
        let disk = self.layered.get(name).filter(|_| ready);
        let disk = disk.ok_or_else(|| Error::NotYet(format!("the disk {name} is not ready")))?;
        Ok(DiskPlug {
            name: name.clone(),
            path: disk.active_path(),
            bus,
            port,
            layer: disk.note.layers.active(),
            below: disk.below(),
        })
    }

    /// Puts on disk who runs. The QEMU waits, paused, until this is done: no guest runs that is not written down.
    fn write_down(&mut self, vm: &Vm, pinned: Pinned, process: ProcessId) -> Result<()> {
        let boot = tabane_qemu::process::boot_id()?;
        let state = self.state();
        let crashed = state.last_exit.as_ref().is_some_and(|e| e.reason == Reason::Crash);
        state.restarts = if crashed && state.starts >= vm.spec.starts { state.restarts + 1 } else { 0 };
        state.starts = vm.spec.starts;
        state.resets = vm.spec.resets;
        state.shutdown_asked_at = None;
        state.pinned = Some(pinned);
        state.released = None;
        state.process = Some(Running {
            process,
            boot,
            started_at: Timestamp::now(),
            cpus: vm.spec.cpus,
            memory_bytes: vm.spec.memory_bytes,
            modules: 0,
            disks: vm.spec.disks.iter().map(|d| d.name.clone()).collect(),
            nics: vm.spec.nics.iter().map(|n| n.name.clone()).collect(),
            media: None,
            limits: BTreeMap::new(),
            ending: None,
        });
        self.save()
    }

    async fn resume(&mut self, vm: &Vm) -> Result<()> {
        self.io_error_since = None;
        self.cut_off(vm).await?;
        self.qmp()?.cont().await?;
        if std::mem::take(&mut self.clock_is_late)
            && let Some(agent) = self.connected.as_ref().map(|c| c.agent.clone())
        {
            let now_ns = i64::try_from(Timestamp::now().as_nanosecond()).ok();
            // A guest that cannot is none the worse for it.
            tokio::spawn(async move { tokio::time::timeout(CLOCK_TIMEOUT, agent.sync_time(now_ns)).await });
        }
        Ok(())
    }

    async fn reset(&mut self, vm: &Vm) -> Result<()> {
        // Written first: a reset that is forgotten is better than one that comes again and again.
        self.state().resets = vm.spec.resets;
        self.save()?;
        self.guest = None;
        self.qmp()?.system_reset().await?;
        self.shared.reporter.event(EventLevel::Info, "reset", Kind::Vm, &self.name, "reset as asked");
        Ok(())
    }

    async fn shutdown(&mut self) -> Result<()> {
        self.state().shutdown_asked_at = Some(Timestamp::now());
        self.ending(Cause::Asked)?;
        let Some(connected) = &self.connected else {
            return Err(Error::NotYet("QEMU does not answer".into()));
        };
        let (agent, qmp) = (connected.agent.clone(), connected.qmp.clone());
        let answers = self.guest.as_ref().is_some_and(|g| g.agent);
        let asked = answers
            && tokio::time::timeout(AGENT_SHUTDOWN_TIMEOUT, agent.shutdown(ShutdownMode::PowerDown))
                .await
                .is_ok_and(|answer| answer.is_ok());
        if !asked {
            qmp.system_powerdown().await?;
        }
        let how = if asked { "by its agent" } else { "by the power button" };
        let message = format!("the guest was asked to shut down, {how}");
        self.shared.reporter.event(EventLevel::Info, "shutting_down", Kind::Vm, &self.name, message);
        Ok(())
    }

    pub(super) async fn kill(&mut self, cause: Cause) -> Result<()> {
        self.ending(cause)?;
        let Some(running) = self.state().process.clone() else { return Ok(()) };
        let process = running.process;
        // QEMU flushes its disks when it is told to quit.
        if let Some(connected) = &self.connected {
            let _ = tokio::time::timeout(Duration::from_secs(2), connected.qmp.quit()).await;
        }
        if tokio::time::timeout(QUIT_TIMEOUT, process.wait()).await.is_err() {
            match process.kill(Signal::Kill) {
                Ok(()) | Err(tabane_qemu::Error::ProcessGone { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            process.wait().await;
        }
        self.ended(cause.into(), String::new())
    }

    pub(super) fn running(&mut self) -> Result<&mut Running> {
        self.state().process.as_mut().ok_or_else(|| Error::NotYet("it does not run".into()))
    }

    async fn plug_cpus(&mut self, cpus: u32) -> Result<()> {
        let now = hotplug::ensure_cpus(self.qmp()?, cpus).await?;
        // Many guests leave new CPUs off line; the agent takes them on line.
        if let Some(agent) = self.connected.as_ref().map(|c| c.agent.clone())
            && self.guest.as_ref().is_some_and(|g| g.agent)
        {
            let wanted: Vec<(u64, bool)> = (0..u64::from(cpus)).map(|cpu| (cpu, true)).collect();
            tokio::time::sleep(Duration::from_millis(300)).await;
            let _ = agent.set_vcpus(&wanted[1..]).await;
        }
        self.running()?.cpus = now;
        self.save()
    }

    async fn plug_memory(&mut self, wanted_bytes: u64) -> Result<()> {
        let running = self.running()?.clone();
        let missing = wanted_bytes.saturating_sub(running.memory_bytes);
        let size = missing.div_ceil(hotplug::MEMORY_BLOCK_BYTES) * hotplug::MEMORY_BLOCK_BYTES;
        hotplug::add_memory(self.qmp()?, &format!("memory{}", running.modules), size).await?;
        if let Some(agent) = self.connected.as_ref().map(|c| c.agent.clone())
            && self.guest.as_ref().is_some_and(|g| g.agent)
        {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let _ = agent.online_memory().await;
        }
        let running = self.running()?;
        running.memory_bytes += size;
        running.modules += 1;
        self.save()
    }

    async fn plug_disk(&mut self, vm: &Vm, name: &Name) -> Result<()> {
        let bus = vm.spec.disks.iter().find(|d| d.name == *name).map_or(DiskBus::Virtio, |d| d.bus);
        if bus == DiskBus::Sata {
            return Err(not_while_running(format!("the disk {name} sits on SATA")));
        }
        self.prepare(vm).await?;
        let port = self.state().port(disk_device(name, bus), machine::PORTS);
        self.save()?;
        let plug = machine::disk_plug(&self.disk_plug(name, bus, port)?, None);
        hotplug::add_disk(self.qmp()?, &plug).await?;
        self.running()?.disks.insert(name.clone());
        self.save()
    }

    async fn unplug_disk(&mut self, name: &Name) -> Result<()> {
        if self.state().ports.contains_key(&disk_device(name, DiskBus::Sata)) {
            return Err(not_while_running(format!("the disk {name} sits on SATA")));
        }
        self.cancel_merging(name).await?;
        hotplug::remove_disk(self.qmp()?, name.as_str(), UNPLUG_TIMEOUT).await?;
        self.state().ports.remove(&disk_device(name, DiskBus::Virtio));
        let running = self.running()?;
        running.disks.remove(name);
        running.limits.remove(name);
        self.layered.remove(name);
        self.save()
    }

    async fn plug_nic(&mut self, vm: &Vm, name: &Name) -> Result<()> {
        let Some(nic) = vm.spec.nics.iter().find(|n| n.name == *name) else { return Ok(()) };
        self.shared.networks.ensure(&self.shared.objects, &nic.network).await?;
        // An agent that died before it had written this down has done it: another tap would take this one's place, and
        // QEMU would hold one that leads nowhere.
        if !hotplug::has_nic(self.qmp()?, name.as_str()).await? {
            self.plug_new_nic(vm, nic).await?;
        }
        self.running()?.nics.insert(name.clone());
        self.save()
    }

    async fn plug_new_nic(&mut self, vm: &Vm, nic: &Nic) -> Result<()> {
        let name = &nic.name;
        let (plug, handle) = self.shared.networks.plug(&self.shared.objects, vm, nic, 0).await?;
        let port = self.state().port(nic_device(name), machine::PORTS);
        self.save()?;
        let qmp = self.qmp()?;
        let plug = match handle {
            Some((handle, _)) => {
                let passed = format!("tap-{name}");
                qmp.pass_fd(&passed, handle).await?;
                crate::network::Plug::TapPassed { name: passed }
            }
            None => plug,
        };
        // Boot ROMs come with a start.
        hotplug::add_nic(qmp, &machine::nic_plug(nic_parts(nic, plug, port, None))).await?;
        Ok(())
    }

    async fn unplug_nic(&mut self, vm: &Vm, name: &Name) -> Result<()> {
        hotplug::remove_nic(self.qmp()?, name.as_str(), UNPLUG_TIMEOUT).await?;
        self.shared.networks.unplug(vm.meta.uid, name).await?;
        self.state().ports.remove(&nic_device(name));
        self.running()?.nics.remove(name);
        self.save()
    }

    /// Lets go of the VM. Once this is written down nothing here starts it for as long as the move lasts.
    async fn release(&mut self, vm: &Vm, id: Uid) -> Result<()> {
        for nic in &vm.spec.nics {
            self.shared.networks.unplug(vm.meta.uid, &nic.name).await?;
        }
        let mut disks = Vec::new();
        for name in vm.spec.disks.iter().filter_map(|d| d.disk.as_ref()) {
            let object = self.shared.objects.disk(name);
            let object = object.ok_or_else(|| Error::NotYet(format!("waiting for the disk {name}")))?;
            disks.push(disk::place(&self.shared, &object)?);
        }
        self.give_up_merging().await;
        self.settle().await?;
        self.prepared = None;
        self.state().released = Some(Released { id, disks });
        self.save()
    }

    async fn clean_up(&mut self, vm: &Vm) -> Result<()> {
        self.give_up_merging().await;
        // Disks that are kept are found by their notes from now on.
        self.settle().await?;
        self.forget_all_snapshots()?;
        for nic in &vm.spec.nics {
            self.shared.networks.unplug(vm.meta.uid, &nic.name).await?;
        }
        cgroup::remove(vm.meta.uid);
        files::remove_folder(&self.folder())?;
        let user = self.state().user;
        self.shared.users.lock().expect("no holder of this lock panics").remove(&user);
        files::remove(&super::State::log(&self.shared.folders.vms(), self.uid))?;
        files::remove(&super::State::path(&self.shared.folders.vms(), self.uid))?;
        for entry in vm.spec.disks.iter().filter_map(|d| d.disk.as_ref()) {
            if let Some(object) = self.shared.objects.disk(entry).filter(|d| d.meta.deleted_at.is_some()) {
                let _turn = self.shared.disk_turns.take(object.meta.uid).await;
                disk::remove(&self.shared, &object)?;
            }
        }
        let status = tabane_model::VmStatus {
            observed_generation: vm.meta.generation,
            phase: tabane_model::VmPhase::Deleted,
            ..Default::default()
        };
        self.shared.reporter.status(Kind::Vm, &vm.meta.name, vm.meta.uid, &status);
        Ok(())
    }
}

fn nic_parts(nic: &Nic, plug: crate::network::Plug, port: Option<u8>, boot_index: Option<u32>) -> NicPlug {
    let mac = nic.mac.map(|m| m.to_string()).unwrap_or_default();
    NicPlug { name: nic.name.clone(), mac, model: nic.model, plug, port, boot_index }
}

fn disk_device(name: &Name, bus: DiskBus) -> String {
    match bus {
        DiskBus::Virtio => format!("disk/{name}"),
        DiskBus::Sata => format!("{SATA}disk/{name}"),
    }
}

fn ports_of(bus: DiskBus) -> u8 {
    match bus {
        DiskBus::Virtio => machine::PORTS,
        DiskBus::Sata => tabane_model::SATA_MAX as u8,
    }
}

fn not_while_running(what: String) -> Error {
    Error::unfit(
        format!("{what}, where nothing can be plugged in or out while the VM runs"),
        "shut the VM down and start it again, or use a virtio disk",
    )
}

fn nic_device(name: &Name) -> String {
    format!("nic/{name}")
}

fn firmware(
    vm: &Vm,
    installation: &tabane_qemu::install::Installation,
    folder: &Path,
    user: u32,
) -> Result<command::Firmware> {
    let Some(found) = machine::firmware(vm.spec.firmware, installation)? else {
        return Ok(command::Firmware::Bios);
    };
    let secure_boot = vm.spec.firmware == Firmware::UefiSecureBoot;
    let vars = folder.join("uefi-vars.fd");
    if !vars.exists() {
        let template =
            std::fs::read(&found.vars_template).map_err(Error::file("read", &found.vars_template))?;
        files::write(&vars, &template)?;
    }
    users::give(&vars, user, user).map_err(Error::file("give away", &vars))?;
    Ok(command::Firmware::Uefi { code: found.code.clone(), vars, secure_boot })
}
