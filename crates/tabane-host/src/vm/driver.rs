//! The one task that owns one VM.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tabane_core::vm::{Cause, Machine, Observed, Process, Run, Step, decide};
use tabane_model::{Condition, EventLevel, Guest, Kind, Name, Power, Uid, Vm};
use tabane_qemu::{
    agent::Agent,
    process::{ProcessId, stderr_tail},
    qmp::{BlockIoError, EventStream, Notice, Qmp, RunState},
};
use tokio::sync::Notify;

use super::{
    console::Console,
    layers::{Layered, Offline},
    obstacle::Obstacle,
    record::Record,
    state::{Ended, Reason, Running, State},
};
use crate::{Error, Result, agent::Shared};

const LOG_BYTES_MAX: u64 = 1 << 20;
const QMP_TIMEOUT: Duration = Duration::from_secs(20);
/// How long after an error of the storage the guest may try again.
const IO_RETRY: jiff::SignedDuration = jiff::SignedDuration::from_secs(5);
/// After a failed step: doubling from here.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// How others reach a driver.
#[derive(Clone)]
pub struct Handle {
    pub wake: Arc<Notify>,
    pub live: Arc<Live>,
}

/// What others may use of a VM while it runs.
#[derive(Default)]
pub struct Live {
    parts: Mutex<Option<LiveParts>>,
    /// The QEMU, and its vCPUs, also while it does not answer.
    process: Mutex<Option<(ProcessId, u32)>>,
}

#[derive(Clone)]
pub struct LiveParts {
    pub qmp: Qmp,
    pub agent: Arc<Agent>,
    pub console: Arc<Console>,
    pub folder: PathBuf,
}

impl Live {
    pub fn get(&self) -> Option<LiveParts> {
        self.parts.lock().expect("no holder of this lock panics").clone()
    }

    pub fn process(&self) -> Option<(ProcessId, u32)> {
        *self.process.lock().expect("no holder of this lock panics")
    }

    fn set_process(&self, process: Option<(ProcessId, u32)>) {
        *self.process.lock().expect("no holder of this lock panics") = process;
    }

    fn set(&self, parts: Option<LiveParts>) {
        let before =
            std::mem::replace(&mut *self.parts.lock().expect("no holder of this lock panics"), parts);
        // Whoever still looks at the console holds it: it would go on, and be in the way of the next one.
        if let Some(before) = before {
            before.console.close();
        }
    }
}

/// Starts the driver of a VM.
pub fn spawn(shared: Arc<Shared>, vm: &Vm) -> Handle {
    let handle = Handle { wake: Arc::new(Notify::new()), live: Arc::default() };
    let driver = Driver {
        name: vm.meta.name.clone(),
        uid: vm.meta.uid,
        shared,
        handle: handle.clone(),
        state: None,
        connected: None,
        prepared: None,
        io_error_since: None,
        storage_full: false,
        guest: None,
        guest_asked_at: None,
        conditions: None,
        obstacle: None,
        failures: 0,
        layered: Default::default(),
        records: Default::default(),
        forgotten: Default::default(),
        offline: None,
        tidy_at: None,
        merge_failure: None,
        clock_is_late: false,
        renewal: Default::default(),
        loading: false,
    };
    tokio::spawn(driver.run());
    handle
}

pub(super) struct Connected {
    pub qmp: Qmp,
    pub events: EventStream,
    pub agent: Arc<Agent>,
}

pub(super) struct Driver {
    pub name: Name,
    pub uid: Uid,
    pub shared: Arc<Shared>,
    pub handle: Handle,
    /// Read at the first step, written before each that needs it.
    pub state: Option<State>,
    pub connected: Option<Connected>,
    /// What the disks, the seed and the networks were prepared for.
    pub prepared: Option<super::steps::Prepared>,
    pub io_error_since: Option<Timestamp>,
    pub storage_full: bool,
    pub guest: Option<Guest>,
    pub guest_asked_at: Option<Instant>,
    /// What was told last: the server's view of it comes back late, and would make each look a change.
    pub conditions: Option<Vec<Condition>>,
    /// What the last step met.
    pub obstacle: Option<Obstacle>,
    failures: u32,
    /// Disks with their layers, by their names inside the VM.
    pub layered: BTreeMap<Name, Layered>,
    /// Snapshots that were taken, or could not be.
    pub records: BTreeMap<Uid, Record>,
    /// Snapshots whose end was told.
    pub forgotten: BTreeSet<Uid>,
    pub offline: Option<Offline>,
    /// When to look at a merge again.
    pub tidy_at: Option<Timestamp>,
    pub merge_failure: Option<String>,
    /// The guest was stopped for as long as its snapshot is old.
    pub clock_is_late: bool,
    pub renewal: super::identity::Renewal,
    /// This agent has told QEMU to load a memory.
    pub loading: bool,
}

/// What woke a driver.
enum Woken {
    /// The object changed, the time is over, or somebody asked.
    Look,
    Event(Option<Notice>),
    Ended(tabane_qemu::process::Exit),
    AskGuest,
}

impl Driver {
    async fn run(mut self) {
        loop {
            let wake = self.handle.wake.clone();
            let notified = wake.notified();
            let Some(vm) = self.shared.objects.vm(&self.name).filter(|vm| vm.meta.uid == self.uid) else {
                break;
            };
            let pause = match self.turn(&vm).await {
                Ok(Turn::Again) => continue,
                Ok(Turn::Done) => break,
                Ok(Turn::Rest(until)) => {
                    self.failures = 0;
                    until
                }
                Err(error) => Some(self.failed(&vm, &error)),
            };
            self.publish(&vm);
            let woken = self.sleep(notified, pause).await;
            self.woken(&vm, woken).await;
        }
        self.handle.live.set(None);
        self.shared.drivers.lock().expect("no holder of this lock panics").remove(&self.name);
        tracing::debug!(vm = %self.name, "driver ended");
    }

    /// Looks, decides, and takes one step.
    async fn turn(&mut self, vm: &Vm) -> Result<Turn> {
        self.load()?;
        if vm.spec.moving.is_none() && self.state().released.take().is_some() {
            // The move was called off.
            self.save()?;
        }
        let seen = self.observe(vm).await?;
        let now = Timestamp::now();
        let deleting = vm.meta.deleted_at.is_some();
        let Some(step) = decide(&vm.spec, deleting, &seen, now) else {
            self.publish_snapshots();
            if !self.is_prepared(vm) && matches!(seen.process, Process::Alive(_)) {
                // Disks that are to grow do so while the VM runs.
                self.prepare(vm).await?;
            }
            self.obstacle = None;
            return Ok(Turn::Rest(None));
        };
        if let Step::Wait(until) = step {
            self.obstacle = None;
            let span = until.duration_since(now);
            return Ok(Turn::Rest(Some(
                Duration::try_from(span).unwrap_or_default() + Duration::from_millis(1),
            )));
        }
        tracing::debug!(vm = %self.name, ?step, "step");
        let last = step == Step::CleanUp;
        self.take(vm, step).await?;
        self.obstacle = None;
        if last {
            // Its end is told; nothing may be told after that.
            return Ok(Turn::Done);
        }
        self.publish(vm);
        Ok(Turn::Again)
    }

    fn load(&mut self) -> Result<()> {
        if self.state.is_none() {
            let vms = self.shared.folders.vms();
            let state = match State::load(&vms, self.uid)? {
                Some(state) => state,
                None => State::new(self.uid, self.name.clone(), self.shared.user(self.uid)),
            };
            self.records = Record::all(&self.shared.folders, self.uid);
            self.state = Some(state);
        }
        Ok(())
    }

    pub(super) fn state(&mut self) -> &mut State {
        self.state.as_mut().expect("loaded before the first step")
    }

    pub(super) fn save(&self) -> Result<()> {
        match &self.state {
            Some(state) => state.save(&self.shared.folders.vms()),
            None => Ok(()),
        }
    }

    pub(super) fn folder(&self) -> PathBuf {
        State::folder(&self.shared.folders.vms(), self.uid)
    }

    async fn observe(&mut self, vm: &Vm) -> Result<Observed> {
        self.load_layers(vm)?;
        let process = self.observe_process(vm).await?;
        let prepared = self.is_prepared(vm);
        let (snapshot, layers, renewal) = (self.snapshot_due(), self.layering(), self.renewal_due(vm));
        let state = self.state();
        Ok(Observed {
            prepared,
            process,
            last_exit: state
                .last_exit
                .as_ref()
                .map(|e| tabane_core::vm::Exit { at: e.at, cause: e.reason.into() }),
            restarts: state.restarts,
            starts: state.starts,
            resets: state.resets,
            shutdown_asked_at: state.shutdown_asked_at,
            released: state.released.as_ref().map(|r| r.id),
            reverted: state.reverted,
            snapshot,
            layers,
            renewal,
        })
    }

    async fn observe_process(&mut self, vm: &Vm) -> Result<Process> {
        if self.state().process.is_none() {
            // An agent that died between starting a QEMU and writing that down leaves one that answers here.
            match self.find_orphan().await? {
                Some(running) => {
                    tracing::warn!(vm = %self.name, pid = running.process.pid, "adopting a QEMU that was not written down");
                    self.state().process = Some(running);
                    self.save()?;
                }
                None => return Ok(Process::Absent),
            }
        }
        let Some(running) = self.state().process.clone() else { return Ok(Process::Absent) };
        let boot = tabane_qemu::process::boot_id()?;
        if running.boot != boot {
            self.ended(Reason::HostLost, "the host went down".into())?;
            return Ok(Process::Absent);
        }
        if !running.process.is_alive() {
            let told = stderr_tail(&State::log(&self.shared.folders.vms(), self.uid), 500);
            self.ended(running.ending.unwrap_or(Reason::Crash), told)?;
            return Ok(Process::Absent);
        }
        self.handle.live.set_process(Some((running.process, running.cpus)));
        self.connect().await;
        self.learn_media().await?;
        let cdroms = self.media_seen(vm);
        let machine = |run| {
            Process::Alive(Machine {
                run,
                cpus: running.cpus,
                memory_bytes: running.memory_bytes,
                disks: running.disks.clone(),
                nics: running.nics.clone(),
                cdroms: cdroms.clone(),
                limits: running.limits.clone(),
            })
        };
        let Some(connected) = &self.connected else { return Ok(machine(Run::Busy)) };
        let run = match connected.qmp.query_status().await {
            Err(_) => Run::Busy,
            Ok(status) => match status.state {
                RunState::Running => Run::Running,
                RunState::Prelaunch => Run::Prelaunch,
                RunState::Paused
                | RunState::Suspended
                | RunState::Debug
                | RunState::Watchdog
                | RunState::Postmigrate => Run::Paused,
                RunState::Inmigrate | RunState::FinishMigrate | RunState::SaveVm | RunState::RestoreVm => {
                    Run::Passing
                }
                RunState::IoError => Run::IoError { retry_at: self.io_retry_at() },
                RunState::GuestPanicked | RunState::InternalError => Run::Panicked,
                RunState::Shutdown => Run::Shutdown,
                _ => Run::Busy,
            },
        };
        if !matches!(run, Run::IoError { .. }) {
            self.storage_works_again();
        }
        match run {
            Run::Paused => self.memory_is_loaded()?,
            Run::Passing => self.go_on_loading().await,
            _ => {}
        }
        Ok(machine(run))
    }

    fn io_retry_at(&mut self) -> Timestamp {
        *self.io_error_since.get_or_insert_with(Timestamp::now) + IO_RETRY
    }

    fn storage_works_again(&mut self) {
        self.io_error_since = None;
        if std::mem::take(&mut self.storage_full) {
            let told = "the storage takes writes again; the guest goes on where it stood";
            self.shared.reporter.event(EventLevel::Info, "io_resumed", Kind::Vm, &self.name, told);
        }
    }

    /// A QEMU that listens in the VM's folder, by the kernel's word.
    async fn find_orphan(&self) -> Result<Option<Running>> {
        let path = self.folder().join("qmp.sock");
        if !path.exists() {
            return Ok(None);
        }
        let Ok(stream) = tabane_qemu::socket::connect(&path).await else { return Ok(None) };
        let Some(pid) = stream.peer_cred().ok().and_then(|c| c.pid()) else { return Ok(None) };
        let Ok(process) = ProcessId::of(pid as u32) else { return Ok(None) };
        Ok(Some(Running {
            process,
            boot: tabane_qemu::process::boot_id()?,
            started_at: Timestamp::now(),
            cpus: 0,
            memory_bytes: 0,
            modules: 0,
            disks: Default::default(),
            nics: Default::default(),
            media: None,
            limits: Default::default(),
            ending: None,
        }))
    }

    /// Connects to a QEMU that runs, if we are not.
    pub(super) async fn connect(&mut self) {
        if self.connected.as_ref().is_some_and(|c| !c.qmp.is_closed()) {
            return;
        }
        self.disconnect();
        let folder = self.folder();
        match Qmp::connect(&folder.join("qmp.sock"), QMP_TIMEOUT).await {
            Ok((qmp, events)) => {
                let agent = Arc::new(Agent::new(folder.join("agent.sock")));
                let console = Arc::new(Console::start(folder.clone()));
                let parts = LiveParts { qmp: qmp.clone(), agent: agent.clone(), console, folder };
                self.handle.live.set(Some(parts));
                self.connected = Some(Connected { qmp, events, agent });
                // Whether the agent is there already is known to nobody: ask now. Later QEMU tells.
                self.guest_asked_at = Instant::now().checked_sub(self.guest_poll());
            }
            Err(error) => {
                tracing::warn!(vm = %self.name, error = Error::Qemu(error).told(), "QEMU does not answer")
            }
        }
    }

    fn disconnect(&mut self) {
        self.handle.live.set(None);
        self.connected = None;
        self.guest = None;
    }

    /// Writes down that the process has ended, and why.
    pub(super) fn ended(&mut self, reason: Reason, told: String) -> Result<()> {
        self.disconnect();
        self.handle.live.set_process(None);
        let now = Timestamp::now();
        let state = self.state();
        let ran_for = state.process.take().map(|p| now.duration_since(p.started_at)).unwrap_or_default();
        if ran_for >= tabane_core::vm::STEADY_AFTER || reason != Reason::Crash {
            state.restarts = 0;
        }
        state.shutdown_asked_at = None;
        state.last_exit = Some(Ended { at: now, reason, told: told.clone() });
        self.save()?;
        let (level, word, message) = match reason {
            Reason::Crash => {
                (EventLevel::Error, "crashed", format!("QEMU or the guest failed: {}", last_line(&told)))
            }
            Reason::HostLost => (EventLevel::Warning, "host_lost", told),
            Reason::GuestShutdown => {
                (EventLevel::Info, "guest_shutdown", "the guest shut itself down".into())
            }
            Reason::Asked => (EventLevel::Info, "stopped", "stopped".into()),
        };
        self.shared.reporter.event(level, word, Kind::Vm, &self.name, message);
        Ok(())
    }

    fn failed(&mut self, vm: &Vm, error: &Error) -> Duration {
        let met = Obstacle::of(error);
        if self.obstacle.as_ref() != Some(&met) {
            match &met {
                Obstacle::Waiting(told) => tracing::debug!(vm = %self.name, told, "waiting"),
                Obstacle::Failure(told) => self.shared.reporter.event(
                    EventLevel::Error,
                    "step_failed",
                    Kind::Vm,
                    &vm.meta.name,
                    told.clone(),
                ),
            }
        }
        let pause = match met {
            Obstacle::Waiting(_) => RETRY_MAX,
            Obstacle::Failure(_) => {
                self.failures = self.failures.saturating_add(1);
                RETRY_FIRST.saturating_mul(1 << self.failures.min(6)).min(RETRY_MAX)
            }
        };
        self.obstacle = Some(met);
        pause
    }

    async fn sleep(
        &mut self,
        notified: tokio::sync::futures::Notified<'_>,
        pause: Option<Duration>,
    ) -> Woken {
        let process = self.state.as_ref().and_then(|s| s.process.as_ref()).map(|p| p.process);
        let asks_guest = self.connected.is_some() && self.guest_due().is_some();
        let guest_due = self.guest_due().unwrap_or_default();
        let exit = async {
            match process {
                Some(process) => process.wait().await,
                None => std::future::pending().await,
            }
        };
        let event = async {
            match &mut self.connected {
                Some(connected) => connected.events.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = notified => Woken::Look,
            () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => Woken::Look,
            () = tokio::time::sleep(guest_due), if asks_guest => Woken::AskGuest,
            exit = exit => Woken::Ended(exit),
            event = event => Woken::Event(event),
        }
    }

    /// How long until the guest is to be asked again.
    fn guest_due(&self) -> Option<Duration> {
        let asked_at = self.guest_asked_at?;
        Some(self.guest_poll().saturating_sub(asked_at.elapsed()))
    }

    pub(super) fn guest_poll(&self) -> Duration {
        Duration::from_millis(self.shared.config.guest_poll_ms)
    }

    async fn woken(&mut self, vm: &Vm, woken: Woken) {
        match woken {
            Woken::Look => {}
            Woken::AskGuest => {
                self.bound_log();
                self.ask_guest(vm).await;
            }
            Woken::Ended(exit) => {
                let running = self.state().process.clone();
                let log = stderr_tail(&State::log(&self.shared.folders.vms(), self.uid), 500);
                let told = format!("{exit}. {log}");
                let reason = running.and_then(|r| r.ending).unwrap_or(Reason::Crash);
                if let Err(error) = self.ended(reason, told) {
                    tracing::error!(vm = %self.name, error = error.told(), "cannot write down how a VM ended");
                }
            }
            Woken::Event(None) => self.disconnect(),
            Woken::Event(Some(Notice::Lagged { .. })) => {}
            Woken::Event(Some(Notice::Event(event))) => {
                tracing::debug!(vm = %self.name, event = event.name, "QEMU says");
                if let Some(io) = event.as_block_io_error() {
                    self.io_error(&io);
                } else if event.as_guest_panicked().is_some() {
                    let told = "the guest's kernel panicked; its last words are on the serial console";
                    self.shared.reporter.event(EventLevel::Error, "panicked", Kind::Vm, &self.name, told);
                } else if let Some((port, open)) = event.as_serial_port_change()
                    && port.contains("agent")
                {
                    if open {
                        self.ask_guest(vm).await;
                    } else {
                        self.guest = self.guest.take().map(|g| Guest { agent: false, ..g });
                    }
                } else if event.name == "JOB_STATUS_CHANGE" {
                    self.tidy_at = None;
                } else if event.as_reset().is_some() {
                    self.guest = None;
                }
            }
        }
    }

    /// What QEMU says on its standard error may be up to the guest: it begins anew before it fills the disk.
    fn bound_log(&self) {
        let path = State::log(&self.shared.folders.vms(), self.uid);
        if std::fs::metadata(&path).is_ok_and(|log| log.len() > LOG_BYTES_MAX)
            && let Err(error) =
                std::fs::OpenOptions::new().write(true).open(&path).and_then(|log| log.set_len(0))
        {
            tracing::warn!(vm = %self.name, %error, "the log of QEMU cannot be shortened");
        }
    }

    fn io_error(&mut self, io: &BlockIoError<'_>) {
        self.io_error_since = Some(Timestamp::now());
        if !std::mem::replace(&mut self.storage_full, true) {
            let verb = if io.write { "written" } else { "read" };
            let message = if io.no_space {
                "the pool is full: the guest is stopped and loses nothing; it goes on when there is space again".to_owned()
            } else {
                format!(
                    "a disk cannot be {verb} ({} at {}): the guest is stopped and loses nothing; it is tried again every few seconds",
                    io.reason, io.node_name
                )
            };
            self.shared.reporter.event(EventLevel::Error, "io_error", Kind::Vm, &self.name, message);
        }
    }

    /// Whether the VM is to be on, for those who tell of its state.
    pub(super) fn wants_on(vm: &Vm) -> bool {
        matches!(vm.spec.power, Power::On | Power::Paused)
    }

    pub(super) fn ending(&mut self, cause: Cause) -> Result<()> {
        if let Some(running) = &mut self.state().process {
            running.ending = Some(cause.into());
        }
        self.save()
    }
}

fn last_line(text: &str) -> &str {
    text.lines().rev().map(str::trim).find(|l| !l.is_empty()).unwrap_or("it said nothing")
}

enum Turn {
    Again,
    /// Everything is as it should be, until then at least.
    Rest(Option<Duration>),
    Done,
}
