//! A host without a QEMU: it joins, follows its watch, reports what was asked for as done, and answers streams.

use std::sync::{Arc, Mutex};

use tabane_client::{Client, HostEvent};
use tabane_model::{
    Disk, DiskPhase, DiskStatus, Host, HostStatus, Image, ImagePhase, ImageStatus, Kind, Name, PackageAnswer,
    PackageOrder, Power, Problem, Resource, Role, Snapshot, SnapshotPhase, SnapshotStatus, Uid, Vm, VmPhase,
    VmStatus,
    api::{Change, HostReport, JoinRequest, StatusReport, StreamKind, StreamOrder},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
};

use crate::world::{GIB, World, name};

pub const PICTURE: &[u8] = b"\x89PNG not really";

#[derive(Clone)]
pub struct Options {
    pub memory_bytes: u64,
    /// Refuse every stream with this.
    pub refusal: Option<Problem>,
    /// Say that images fail, with this message.
    pub image_failure: Option<String>,
    /// Say nothing of images: the test does.
    pub leaves_images: bool,
    /// Do nothing but listen.
    pub idle: bool,
    /// What it says of every package.
    pub plan: Option<PackageAnswer>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            memory_bytes: 64 * GIB,
            refusal: None,
            image_failure: None,
            leaves_images: false,
            idle: false,
            plan: None,
        }
    }
}

pub struct FakeHost {
    pub name: Name,
    pub client: Client,
    pub agent: Uid,
    pub token: String,
    orders: Arc<Mutex<Vec<StreamOrder>>>,
    task: JoinHandle<()>,
}

impl Drop for FakeHost {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeHost {
    pub async fn join(world: &World, host: &str) -> Self {
        Self::join_with(world, host, Options::default()).await
    }

    pub async fn join_with(world: &World, host: &str, options: Options) -> Self {
        let ticket = world.token(&format!("join-{host}"), Role::Join).await;
        let agent = Uid::now_v7();
        let request = JoinRequest { name: name(host), agent };
        let answer = world.client(&ticket).await.join(&request).await.unwrap();
        let client = world.client(&answer.token).await;
        let orders = Arc::new(Mutex::new(Vec::new()));
        let events = client.watch_host(host).await.unwrap();
        report_host(&client, host, options.memory_bytes).await;
        let run = run(client.clone(), name(host), events, options, orders.clone());
        let task = tokio::spawn(run);
        Self { name: name(host), client, agent, token: answer.token, orders, task }
    }

    pub fn orders(&self) -> Vec<StreamKind> {
        self.orders.lock().unwrap().iter().map(|order| order.stream.clone()).collect()
    }

    pub async fn say<R: Resource>(&self, object: &R, status: &R::Status) -> tabane_client::Result<()> {
        self.client.report(self.name.as_str(), &status_report(object, status)).await
    }
}

pub async fn report_host(client: &Client, host: &str, memory_bytes: u64) {
    let card = tabane_model::PciDevice { address: "0000:01:00.0".into(), ..Default::default() };
    let status = HostStatus {
        cpus: 8,
        memory_bytes,
        memory_free_bytes: memory_bytes,
        pci: vec![card],
        ..HostStatus::default()
    };
    client.report(host, &HostReport { host: Some(status), ..HostReport::default() }).await.unwrap();
}

pub fn status_report<R: Resource>(object: &R, status: &R::Status) -> HostReport {
    let status = StatusReport {
        kind: R::KIND,
        name: object.meta().name.clone(),
        uid: object.meta().uid,
        status: serde_json::to_value(status).unwrap(),
    };
    HostReport { statuses: vec![status], ..HostReport::default() }
}

async fn run(
    client: Client,
    host: Name,
    mut events: tabane_client::Events,
    options: Options,
    orders: Arc<Mutex<Vec<StreamOrder>>>,
) {
    while let Ok(Some(event)) = events.next_host().await {
        match event {
            HostEvent::Order(order) => {
                orders.lock().unwrap().push(order.clone());
                if !options.idle {
                    tokio::spawn(answer(client.clone(), host.clone(), order, options.clone()));
                }
            }
            HostEvent::Change(Change::Put { kind: Kind::Image, .. }) if options.leaves_images => {}
            HostEvent::Change(Change::Put { kind, object, .. }) if !options.idle => {
                if let Some(report) = react(kind, object, &host, &options) {
                    // A status that is refused because something changed is said again when that change arrives.
                    let _ = client.report(host.as_str(), &report).await;
                }
            }
            HostEvent::Change(_) => {}
        }
    }
}

fn react(kind: Kind, object: serde_json::Value, host: &Name, options: &Options) -> Option<HostReport> {
    match kind {
        Kind::Vm => {
            let vm: Vm = serde_json::from_value(object).unwrap();
            let phase = match (vm.meta.deleted_at.is_some(), vm.spec.power) {
                (true, _) => VmPhase::Deleted,
                (_, Power::On) => VmPhase::Running,
                (_, Power::Paused) => VmPhase::Paused,
                (_, Power::Off | Power::ForcedOff) => VmPhase::Stopped,
            };
            let status = VmStatus {
                observed_generation: vm.meta.generation,
                phase,
                resets: vm.spec.resets,
                pid: (vm.spec.power == Power::On).then_some(4711),
                reverted: vm.spec.revert.as_ref().map(|r| r.id),
                // What a test has said of the guest stays.
                guest: vm.status.guest.clone(),
                ..VmStatus::default()
            };
            (status != vm.status).then(|| status_report(&vm, &status))
        }
        Kind::Disk => {
            let disk: Disk = serde_json::from_value(object).unwrap();
            let gone = disk.meta.deleted_at.is_some();
            let status = DiskStatus {
                observed_generation: disk.meta.generation,
                phase: if gone { DiskPhase::Deleted } else { DiskPhase::Ready },
                size_bytes: disk.spec.size_bytes.unwrap_or(GIB),
                ..DiskStatus::default()
            };
            (status != disk.status).then(|| status_report(&disk, &status))
        }
        Kind::Image => {
            let image: Image = serde_json::from_value(object).unwrap();
            if image.spec.host.as_ref() != Some(host) {
                return None;
            }
            let mut status = ImageStatus { observed_generation: 1, ..ImageStatus::default() };
            status.phase = ImagePhase::Ready;
            status.virtual_size_bytes = GIB;
            status.cdrom = image.meta.name.as_str().starts_with("cd-");
            status.kernel = image.meta.name.as_str().starts_with("kernel-");
            status.disk = !status.cdrom;
            if let Some(message) = &options.image_failure {
                status.phase = ImagePhase::Failed;
                tabane_model::set_condition(
                    &mut status.conditions,
                    "content",
                    false,
                    "fetch_failed",
                    message,
                    jiff::Timestamp::UNIX_EPOCH,
                );
            }
            (status.phase != image.status.phase).then(|| status_report(&image, &status))
        }
        Kind::Snapshot => {
            let snapshot: Snapshot = serde_json::from_value(object).unwrap();
            let gone = snapshot.meta.deleted_at.is_some();
            let status = SnapshotStatus {
                observed_generation: snapshot.meta.generation,
                phase: if gone { SnapshotPhase::Deleted } else { SnapshotPhase::Ready },
                ..SnapshotStatus::default()
            };
            (status != snapshot.status).then(|| status_report(&snapshot, &status))
        }
        _ => None,
    }
}

async fn answer(client: Client, host: Name, order: StreamOrder, options: Options) {
    if let Some(problem) = options.refusal {
        client.refuse_stream(host.as_str(), order.id, &problem).await.unwrap();
        return;
    }
    let mut stream = client.answer_stream(host.as_str(), order.id).await.unwrap();
    if matches!(order.stream, StreamKind::Screenshot { .. }) {
        stream.write_all(PICTURE).await.unwrap();
        stream.shutdown().await.unwrap();
        return;
    }
    if let Some(plan) = options.plan.filter(|_| matches!(order.stream, StreamKind::PlanPackage)) {
        let mut asked = Vec::new();
        stream.read_to_end(&mut asked).await.unwrap();
        let asked: PackageOrder = serde_json::from_slice(&asked).unwrap();
        assert!(!asked.request.descriptor.is_empty() && asked.networks.contains(&name("default")));
        stream.write_all(&serde_json::to_vec(&plan).unwrap()).await.unwrap();
        stream.shutdown().await.unwrap();
        return;
    }
    // Everything comes back, so that a test sees both ways.
    let mut buffer = vec![0; 64 << 10];
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
    let _ = stream.shutdown().await;
}

/// What the server knows of a host.
pub async fn known(world: &World, host: &str) -> Host {
    world.read(host).await
}
