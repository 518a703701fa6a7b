//! Placement: gives each VM, with its disks, and each image a host.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tabane_core::place::{Room, place};
use tabane_model::{Condition, Disk, Host, HostPhase, Image, Name, Power, Vm, VmSpec, set_condition};

use crate::{Error, Result, app::App, cache::Cached, commit::Change};

/// Txns under way at once: they share the store's commits.
const CONCURRENT: usize = 64;
/// Reasons may go away without any object changing, such as a host that comes back.
const RETRY: Duration = Duration::from_secs(5);

pub async fn run(app: Arc<App>) {
    let mut revisions = app.cache.subscribe();
    loop {
        revisions.mark_unchanged();
        place_all(&app).await;
        let _ = tokio::time::timeout(RETRY, revisions.changed()).await;
    }
}

/// What each host offers and carries. A VM that moves counts on both hosts.
pub(crate) fn rooms(app: &App) -> Vec<Room> {
    let mut load: HashMap<Name, (u64, u32)> = HashMap::new();
    for vm in app.cache.all::<Vm>() {
        for host in vm.spec.host.iter().chain(vm.spec.moving.as_ref().map(|m| &m.to)) {
            let entry = load.entry(host.clone()).or_default();
            entry.1 += 1;
            entry.0 += memory_bytes(&vm.spec);
        }
    }
    app.cache
        .all::<Host>()
        .into_iter()
        .map(|host| {
            let (committed_bytes, vms) = load.get(&host.meta.name).copied().unwrap_or_default();
            Room {
                host: host.meta.name.clone(),
                labels: host.meta.labels.clone(),
                schedulable: host.status.phase == HostPhase::Ready
                    && !host.spec.cordoned
                    && !host.spec.drain
                    && host.meta.deleted_at.is_none(),
                cpus: host.status.cpus,
                memory_bytes: host.status.memory_bytes,
                committed_bytes,
                vms,
                pci: host.status.pci.iter().map(|device| device.address.clone()).collect(),
            }
        })
        .collect()
}

async fn place_all(app: &Arc<App>) {
    let unplaced = |vm: &Vm| vm.spec.host.is_none() && vm.meta.deleted_at.is_none();
    let (vms, _) = app.cache.list::<Vm>(None, usize::MAX, unplaced);
    let waiting = |image: &Image| image.spec.host.is_none() && image.meta.deleted_at.is_none();
    let (images, _) = app.cache.list::<Image>(None, usize::MAX, waiting);
    if vms.is_empty() && images.is_empty() {
        return;
    }
    // A VM that starts where it is must not be judged by the same room meanwhile.
    let _admission = app.admission(false).await;
    let mut rooms = rooms(app);
    let mut work: Vec<futures_util::future::BoxFuture<'_, ()>> = Vec::new();
    for image in images {
        // The emptiest host makes it ready; the others copy it when they need it.
        if let Some(room) = rooms.iter().filter(|r| r.schedulable).min_by_key(|r| (r.vms, r.host.clone())) {
            let host = room.host.clone();
            work.push(Box::pin(async move { report(&image.meta.name, bind_image(app, &image, host).await) }));
        }
    }
    for vm in vms {
        let disks: Vec<Arc<Disk>> =
            vm.spec.disks.iter().filter_map(|d| app.cache.get(d.disk.as_ref()?.as_str())).collect();
        let bound = disks.iter().find_map(|disk| disk.spec.host.clone());
        match place(&vm.spec, bound.as_ref(), &rooms) {
            Ok(host) => {
                carry(&mut rooms, &host, &vm);
                work.push(Box::pin(
                    async move { report(&vm.meta.name, bind_vm(app, &vm, &disks, host).await) },
                ));
            }
            Err(refusal) => {
                let message = format!("no host takes the VM: {refusal}");
                work.push(Box::pin(async move {
                    report(&vm.meta.name, refuse(app, &vm, "no_host", message).await);
                }));
            }
        }
    }
    stream::iter(work).buffer_unordered(CONCURRENT).collect::<()>().await;
}

/// What the VM needs of its host's memory: nothing while it is off.
pub(crate) fn memory_bytes(spec: &VmSpec) -> u64 {
    if matches!(spec.power, Power::On | Power::Paused) { spec.memory_bytes } else { 0 }
}

/// The host has one more to carry.
pub(super) fn carry(rooms: &mut [Room], host: &Name, vm: &Vm) {
    if let Some(room) = rooms.iter_mut().find(|room| room.host == *host) {
        room.vms += 1;
        room.committed_bytes += memory_bytes(&vm.spec);
    }
}

pub(super) fn report(name: &Name, result: Result<()>) {
    match result {
        // Somebody changed it meanwhile: that change wakes us again.
        Ok(()) | Err(Error::Changed { .. } | Error::Missing { .. }) => {}
        Err(error) => tracing::warn!(%name, error = &error as &dyn std::error::Error, "cannot place"),
    }
}

async fn bind_image(app: &Arc<App>, image: &Image, host: Name) -> Result<()> {
    let mut image = image.clone();
    image.spec.host = Some(host);
    write(app, &image).await
}

pub(super) async fn write<R: Cached>(app: &Arc<App>, object: &R) -> Result<()> {
    let mut change = Change::new(app);
    change.update("place", object);
    change.commit_unaudited().await.map(drop)
}

/// VM and disks get their host in one txn: never is one of them somewhere else.
async fn bind_vm(app: &Arc<App>, vm: &Vm, disks: &[Arc<Disk>], host: Name) -> Result<()> {
    let mut change = Change::new(app);
    for disk in disks {
        if disk.spec.host.is_none() {
            let mut disk = Disk::clone(disk);
            disk.spec.host = Some(host.clone());
            change.update("place", &disk);
        }
    }
    let mut vm = vm.clone();
    vm.spec.host = Some(host);
    vm.status.conditions.retain(|c: &Condition| c.kind != "placed");
    change.update("place", &vm);
    change.commit_unaudited().await.map(drop)
}

/// Writes down why the VM has no host, or no other one.
pub(super) async fn refuse(app: &Arc<App>, vm: &Vm, reason: &str, message: String) -> Result<()> {
    let mut refused = vm.clone();
    let known: BTreeMap<&str, &str> =
        vm.status.conditions.iter().map(|c| (c.kind.as_str(), c.message.as_str())).collect();
    if known.get("placed") == Some(&message.as_str()) {
        return Ok(());
    }
    set_condition(&mut refused.status.conditions, "placed", false, reason, message, app.now());
    write(app, &refused).await
}
