//! The agent as a whole: starts, follows the server, gives each VM its driver, and tells what is.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use tabane_client::{Client, HostEvent};
use tabane_model::{AccelVerdict, Condition, set_condition};
use tabane_qemu::install::Installation;
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Error, Identity, Result,
    config::Folders,
    facts, files,
    image::Images,
    metrics,
    moving::{self, Arrivals},
    network::Networks,
    objects::{Objects, Wake},
    pool,
    report::Reporter,
    streams, vm,
    vm::Handle,
};

const RECONNECT: Duration = Duration::from_secs(1);
const LOCKED_FOR_AT_MOST: Duration = Duration::from_secs(5);
/// Reasons to look again may come from outside, such as space that somebody has freed.
const SWEEP: Duration = Duration::from_secs(10);

/// What all parts of the agent share.
pub struct Shared {
    pub config: Config,
    pub folders: Folders,
    pub identity: Identity,
    pub objects: Objects,
    pub reporter: Arc<Reporter>,
    pub installation: Result<Installation, String>,
    pub verdict: AccelVerdict,
    pub host_conditions: Vec<Condition>,
    pub images: Images,
    pub networks: Networks,
    pub arrivals: Arrivals,
    pub bases: vm::Bases,
    pub turns: vm::Turns,
    pub disk_turns: crate::disk::Turns,
    pub drivers: Mutex<HashMap<tabane_model::Name, Handle>>,
    /// Users of VMs on this host.
    pub users: Mutex<HashSet<u32>>,
    reflinks: Mutex<HashMap<PathBuf, bool>>,
    client: Mutex<Option<Client>>,
    this: Weak<Shared>,
}

impl Shared {
    pub fn installation(&self) -> Result<&Installation> {
        let hint = "install it: `apt install qemu-system-x86 qemu-utils`; then restart the agent";
        self.installation.as_ref().map_err(|detail| Error::unfit(detail.clone(), hint))
    }

    pub fn arc(&self) -> Arc<Self> {
        self.this.upgrade().expect("whoever calls a method holds it")
    }

    /// Finds out once for each folder.
    pub fn reflink(&self, folder: &Path, find_out: impl Fn(&Path) -> bool) -> bool {
        let mut known = self.reflinks.lock().expect("no holder of this lock panics");
        *known.entry(folder.to_path_buf()).or_insert_with(|| find_out(folder))
    }

    /// The connection to the server, if there is one now.
    pub fn client(&self) -> Result<Client> {
        let client = self.client.lock().expect("no holder of this lock panics").clone();
        client.ok_or_else(|| Error::NotYet("not connected to the server".into()))
    }

    /// The number of the user that a VM new to this host runs as.
    pub fn user(&self, vm: tabane_model::Uid) -> u32 {
        let mut taken = self.users.lock().expect("no holder of this lock panics");
        let user = crate::users::number(vm, |n| taken.contains(&n));
        taken.insert(user);
        user
    }

    pub fn wake_all_vms(&self) {
        for handle in self.drivers.lock().expect("no holder of this lock panics").values() {
            handle.wake.notify_one();
        }
    }

    pub fn handle(&self, vm: &tabane_model::Name) -> Option<Handle> {
        self.drivers.lock().expect("no holder of this lock panics").get(vm).cloned()
    }
}

/// A running agent.
pub struct Agent {
    shared: Arc<Shared>,
    stop: CancellationToken,
    work: tokio::task::JoinHandle<()>,
    /// Held for as long as the agent runs.
    _lock: std::fs::File,
}

impl Agent {
    /// Starts the agent of this folder. Its QEMUs of before are found and adopted.
    pub async fn start(config: Config, identity: Identity) -> Result<Self> {
        let folders = config.folders();
        let lock = lock(&folders).await?;
        for (folder, mode) in [
            (folders.vms(), 0o711),
            (folders.images(), 0o711),
            (folders.incoming(), 0o700),
            (folders.networks(), 0o711),
        ] {
            files::folder(&folder, mode)?;
        }
        let installation = Installation::discover().await.map_err(|error| Error::Qemu(error).told());
        let verdict = facts::probe_kvm().await;
        tracing::info!(kvm = verdict.kvm, reason = verdict.reason, "acceleration");
        let mut host_conditions = Vec::new();
        let now = jiff::Timestamp::now();
        if let Err(told) = &installation {
            set_condition(&mut host_conditions, "qemu", false, "missing", told.clone(), now);
        }
        if let Some(told) = crate::doctor::unreachable_folder(folders.root()) {
            set_condition(&mut host_conditions, "folder", false, "unreachable", told, now);
        }
        let users = vm::State::all(&folders.vms()).into_iter().map(|state| state.user).collect();
        let shared = Arc::new_cyclic(|this| Shared {
            folders: folders.clone(),
            images: Images::new(&folders),
            networks: Networks::new(&folders, identity.agent),
            arrivals: Arrivals::default(),
            bases: vm::Bases::default(),
            turns: vm::Turns::default(),
            disk_turns: crate::disk::Turns::default(),
            identity,
            objects: Objects::default(),
            reporter: Arc::default(),
            installation,
            verdict,
            host_conditions,
            drivers: Mutex::default(),
            users: Mutex::new(users),
            reflinks: Mutex::default(),
            client: Mutex::default(),
            this: this.clone(),
            config,
        });
        crate::export::clean(&shared)?;
        vm::clean_bases(&shared.folders)?;
        let stop = CancellationToken::new();
        let (worker, stopped) = (shared.clone(), stop.clone());
        let work = tokio::spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = follow(&worker) => {}
                () = sweep(&worker) => {}
                () = heartbeat(&worker) => {}
                () = metrics::run(&worker) => {}
            }
        });
        Ok(Self { shared, stop, work, _lock: lock })
    }

    pub fn name(&self) -> &tabane_model::Name {
        &self.shared.identity.name
    }

    /// Stops the agent. The VMs run on.
    pub async fn stop(self) {
        self.stop.cancel();
        let _ = self.work.await;
    }
}

/// One agent at a time: the kernel gives the lock back however the agent ends.
async fn lock(folders: &Folders) -> Result<std::fs::File> {
    files::folder(folders.root(), 0o711)?;
    let path = folders.lock();
    let file = std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .map_err(Error::file("open", &path))?;
    let began = std::time::Instant::now();
    loop {
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            // What a killed agent was about to start has its open files until it runs.
            Err(rustix::io::Errno::WOULDBLOCK) if began.elapsed() < LOCKED_FOR_AT_MOST => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(Error::FolderInUse { path: folders.root().to_path_buf() });
            }
            Err(error) => return Err(Error::file("lock", &path)(error.into())),
        }
    }
}

/// Follows the server for ever; when the connection breaks, from the beginning.
async fn follow(shared: &Arc<Shared>) {
    loop {
        if let Err(error) = follow_once(shared).await {
            tracing::warn!(error = error.told(), "the connection to the server is lost; VMs run on");
        }
        *shared.client.lock().expect("no holder of this lock panics") = None;
        tokio::time::sleep(RECONNECT).await;
    }
}

async fn follow_once(shared: &Arc<Shared>) -> Result<()> {
    let client = shared.identity.connect().await?;
    let name = shared.identity.name.clone();
    let mut events = client.watch_host(name.as_str()).await?;
    *shared.client.lock().expect("no holder of this lock panics") = Some(client.clone());
    shared.objects.reset();
    shared.reporter.host(facts::status(shared));
    shared.reporter.say_all_again();
    let reporter = tokio::spawn(shared.reporter.clone().run(client.clone(), name));
    let _reporter = AbortOnDrop(reporter.abort_handle());
    tracing::info!(server = %client.target(), "connected");
    while let Some(event) = events.next_host().await? {
        match event {
            HostEvent::Change(change) => match shared.objects.apply(change, &shared.identity.name) {
                Ok(wake) => self::wake(shared, wake),
                Err(error) => tracing::error!(%error, "an object from the server is not understood"),
            },
            HostEvent::Order(order) => {
                tokio::spawn(streams::serve(shared.clone(), client.clone(), order));
            }
        }
    }
    Ok(())
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Wakes the drivers that a change concerns; gives a VM that has none its driver.
fn wake(shared: &Arc<Shared>, wake: Wake) {
    // Before everything was said, a VM's disks and images may not be known yet.
    if !shared.objects.is_synced() {
        return;
    }
    let vms = match wake {
        Wake::Nobody => return,
        Wake::Vm(name) => vec![name],
        Wake::AllVms => shared.objects.vms().iter().map(|vm| vm.meta.name.clone()).collect(),
    };
    for name in vms {
        let mut drivers = shared.drivers.lock().expect("no holder of this lock panics");
        match (drivers.get(&name), shared.objects.vm(&name)) {
            (Some(handle), _) => handle.wake.notify_one(),
            (None, Some(object)) => drop(drivers.insert(name, vm::spawn(shared.clone(), &object))),
            (None, None) => shared.reporter.forget(tabane_model::Kind::Vm, &name),
        }
    }
}

/// Everything that is not a VM's own: images, networks, pools, disks of nobody.
async fn sweep(shared: &Arc<Shared>) {
    loop {
        let changed = shared.objects.changed.notified();
        if shared.objects.is_synced() {
            shared.images.sync(shared);
            pool::report(shared);
            crate::disk::sweep(shared).await;
            shared.arrivals.sync(shared);
            moving::clean(shared);
            shared.bases.sweep();
            shared.networks.sync(&shared.objects, &shared.reporter, &shared.identity.name).await;
        }
        let _ = tokio::time::timeout(SWEEP, changed).await;
        // Changes come in swarms.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn heartbeat(shared: &Arc<Shared>) {
    let mut tick = tokio::time::interval(Duration::from_millis(shared.config.heartbeat_ms));
    loop {
        tick.tick().await;
        if shared.client().is_ok() {
            shared.reporter.host(facts::status(shared));
        }
    }
}
