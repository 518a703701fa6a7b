//! Many VMs and hosts, without guests.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tabane_client::{Call, Client, Target};
use tabane_model::{
    HostStatus, Kind, Meta, Name, Resource, TokenSpec, Vm, VmPhase, VmSpec, VmStatus,
    api::{Change, HostReport, JoinRequest, StatusReport},
};

use crate::{Result, spread};

pub const VMS: usize = 10_000;
const HOSTS: usize = 10;
const CLIENTS: usize = 32;

/// A server with simulated hosts.
pub struct World {
    _folder: tempfile::TempDir,
    pub server: tabane_server::Server,
    client: Client,
}

impl World {
    pub async fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tabane-bench-").tempdir_in("/var/tmp")?;
        let store = Arc::new(tabane_store::Sqlite::open(folder.path().join("store")).await?);
        let config = tabane_server::Config {
            folder: folder.path().join("server"),
            listen: "127.0.0.1:0".parse()?,
            names: Vec::new(),
            host_timeout_ms: 600_000,
        };
        let server = tabane_server::Server::start(config, store).await?;
        let client = Client::connect(Target::Local(folder.path().join("server/api.sock")), None).await?;
        let url = format!("https://{}/#{}", server.address, server.fingerprint.0);
        for i in 0..HOSTS {
            join_simulated(&client, url.parse()?, &format!("h{i}")).await?;
        }
        Ok(Self { _folder: folder, server, client })
    }

    /// [`VMS`] small ones, switched off.
    pub async fn create_vms(&self) -> Result<()> {
        let mut tasks = tokio::task::JoinSet::new();
        for worker in 0..CLIENTS {
            let client = self.client.clone();
            tasks.spawn(async move {
                for i in (worker..VMS).step_by(CLIENTS) {
                    let mut spec = VmSpec::new(1, 256 << 20);
                    spec.disks.clear();
                    let name = format!("vm{i:05}").parse::<Name>()?;
                    client.create(&Vm::new(Meta::new(name), spec), &Call::default()).await?;
                }
                Result::Ok(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok(())
    }

    /// Waits until the last VM has its host.
    pub async fn placed(&self) -> Result<()> {
        loop {
            let unplaced = Call { fields: Some("!host".into()), limit: Some(1), ..Call::default() };
            if self.client.page::<Vm>(&unplaced).await?.items.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// 10,000 VMs on simulated hosts: durable creates with placement per second, and pages of the list.
pub async fn scale() -> Result<Value> {
    let world = World::start().await?;
    let began = Instant::now();
    world.create_vms().await?;
    let created = began.elapsed().as_secs_f64();
    // Placement is a part of it.
    world.placed().await?;
    let placed = began.elapsed().as_secs_f64();
    let client = &world.client;
    let mut pages = Vec::new();
    let mut cursor = None;
    for _ in 0..500 {
        let call = Call { cursor: cursor.take(), limit: Some(100), ..Call::default() };
        let began = Instant::now();
        let page = client.page::<Vm>(&call).await?;
        pages.push(began.elapsed().as_secs_f64() * 1e3);
        cursor = page.cursor;
    }
    world.server.stop().await;
    Ok(json!({
        "vms": VMS,
        "hosts": HOSTS,
        "creates_per_s": (VMS as f64 / created).round(),
        "creates_with_placement_per_s": (VMS as f64 / placed).round(),
        "creates_per_s_wanted": 500,
        "list_page_of_100_ms": spread(pages),
        "list_page_p99_ms_wanted": 20,
    }))
}

/// A host that says of every VM that it is stopped; to say more by.
pub async fn join_simulated(admin: &Client, target: Target, name: &str) -> Result<Client> {
    let spec = TokenSpec { role: tabane_model::Role::Join, ..TokenSpec::default() };
    let token = admin.create_token(&format!("join-{name}"), &spec).await?.secret;
    let joiner = Client::connect(target.clone(), Some(token)).await?;
    let answer = joiner.join(&JoinRequest { name: name.parse()?, agent: uuid::Uuid::now_v7() }).await?;
    let client = Client::connect(target, Some(answer.token)).await?;
    let mut events = client.watch_host(name).await?;
    let status = HostStatus { cpus: 128, memory_bytes: 4 << 40, ..HostStatus::default() };
    client.report(name, &HostReport { host: Some(status), ..HostReport::default() }).await?;
    let name = name.to_owned();
    let further = client.clone();
    tokio::spawn(async move {
        while let Ok(Some(change)) = events.next().await {
            let Change::Put { kind: Kind::Vm, object, .. } = change else { continue };
            let Ok(vm) = serde_json::from_value::<Vm>(object) else { continue };
            if vm.status.observed_generation == vm.meta.generation {
                continue;
            }
            let status = VmStatus {
                observed_generation: vm.meta.generation,
                phase: VmPhase::Stopped,
                ..VmStatus::default()
            };
            let status = StatusReport {
                kind: Kind::Vm,
                name: vm.meta.name.clone(),
                uid: vm.meta.uid,
                status: serde_json::to_value(&status).unwrap_or_default(),
            };
            let report = HostReport { statuses: vec![status], ..HostReport::default() };
            let _ = client.report(&name, &report).await;
        }
    });
    Ok(further)
}
