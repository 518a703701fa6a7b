//! Evacuation: VMs, disks and images leave a host that is being drained.
//!
//! ```text
//!   host.spec.drain ──► vm.spec.moving = {to, id} ──► the old host lets go, the new one copies
//!                              │                                   │
//!             called off ◄─────┤                                   ▼
//!        (no longer drained,   └──────────────► vm.spec.host = to, with its disks, in one txn
//!         the new host is away)
//! ```
//!
//! Invariant: a VM gets its new host only when the old one has said that it let go, and the new one that it has everything,
//! both for this very move; and only if nobody has changed the VM in between.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use tabane_core::place::{Room, place};
use tabane_model::{
    Disk, EventLevel, EventSpec, Host, HostPhase, Image, ImageCopy, ImagePhase, Kind, Move, Name, Pool,
    Reference, Uid, Vm,
};

use super::placement::{carry, refuse, report, rooms, write};
use crate::{Result, admit::snapshot::of_vm, api::events::record, app::App, commit::Change};

/// VMs that leave a host at the same time: each is off while it moves, so few at once and soon done.
const LEAVING_AT_ONCE: usize = 2;
const CANNOT_LEAVE: &str = "cannot_leave";
/// Reasons may go away without any object changing.
const RETRY: Duration = Duration::from_secs(5);
/// A host that refused a VM is not asked again before somebody can have mended what was missing.
const REFUSAL: Duration = Duration::from_secs(600);

/// Which hosts cannot take which VMs, when they said so, and why.
type Refusals = HashMap<(Uid, Name), (Instant, String)>;

pub async fn run(app: Arc<App>) {
    let mut revisions = app.cache.subscribe();
    // Moves of before our start may be under way.
    let mut busy = true;
    let mut refusals = Refusals::new();
    loop {
        revisions.mark_unchanged();
        refusals.retain(|_, (at, _)| at.elapsed() < REFUSAL);
        let drained: Vec<Arc<Host>> =
            app.cache.all::<Host>().into_iter().filter(|host| host.spec.drain).collect();
        if busy || !drained.is_empty() {
            busy = look(&app, &drained, &mut refusals).await;
        }
        let _ = tokio::time::timeout(RETRY, revisions.changed()).await;
    }
}

/// One round; whether anything is on its way.
async fn look(app: &Arc<App>, drained: &[Arc<Host>], refusals: &mut Refusals) -> bool {
    let is_drained = |host: Option<&Name>| drained.iter().any(|h| Some(&h.meta.name) == host);
    let moving = |vm: &Vm| vm.spec.moving.is_some();
    let (on_their_way, _) = app.cache.list::<Vm>(None, usize::MAX, moving);
    for vm in &on_their_way {
        report(&vm.meta.name, settle(app, vm, is_drained(vm.spec.host.as_ref()), refusals).await);
    }
    let leaving = |image: &Image| image.spec.moving_to.is_some() || is_drained(image.spec.host.as_ref());
    let (images, _) = app.cache.list::<Image>(None, usize::MAX, leaving);
    for image in &images {
        report(&image.meta.name, lead_out(app, image, is_drained(image.spec.host.as_ref())).await);
    }
    for host in drained {
        empty(app, &host.meta.name, refusals).await;
    }
    let (stuck, _) = app.cache.list::<Vm>(None, usize::MAX, cannot_leave);
    for vm in stuck.iter().filter(|vm| !is_drained(vm.spec.host.as_ref())) {
        let mut vm = Vm::clone(vm);
        vm.status.conditions.retain(|c| c.kind != "placed");
        report(&vm.meta.name, write(app, &vm).await);
    }
    !(on_their_way.is_empty() && stuck.is_empty() && images.is_empty())
}

fn cannot_leave(vm: &Vm) -> bool {
    vm.status.conditions.iter().any(|c| c.kind == "placed" && c.reason == CANNOT_LEAVE)
}

/// Ends a move that is complete, or whose reason has gone.
async fn settle(app: &Arc<App>, vm: &Arc<Vm>, drained: bool, refusals: &mut Refusals) -> Result<()> {
    let Some(moving) = &vm.spec.moving else { return Ok(()) };
    if vm.meta.deleted_at.is_some() {
        // The old host cleans up; then the VM is gone, and the new host forgets it.
        return Ok(());
    }
    let arrival = vm.status.arrival.as_ref().filter(|a| a.id == moving.id);
    let refusal = arrival.filter(|a| a.refused).map(|a| a.message.clone());
    if let Some(why) = &refusal {
        refusals.insert((vm.meta.uid, moving.to.clone()), (Instant::now(), why.clone()));
    }
    if arrival.is_some_and(|a| a.complete) && vm.status.released == Some(moving.id) {
        hand_over(app, vm, Some(moving.to.clone())).await?;
        tell(app, vm, "moved", EventLevel::Info, format!("it is on host {} now", moving.to)).await;
    } else if !drained || refusal.is_some() || !is_open(app, &moving.to) {
        hand_over(app, vm, None).await?;
        let why = match refusal {
            _ if !drained => "it may stay".into(),
            Some(why) => format!("host {} cannot take it: {why}", moving.to),
            None => format!("host {} is away", moving.to),
        };
        tell(app, vm, "move_called_off", EventLevel::Warning, format!("the move is called off: {why}")).await;
    }
    Ok(())
}

/// Whether a host can take what is on its way to it.
fn is_open(app: &App, host: &Name) -> bool {
    app.cache.get::<Host>(host.as_str()).is_some_and(|host| {
        host.status.phase == HostPhase::Ready && !host.spec.drain && host.meta.deleted_at.is_none()
    })
}

/// Ends a move: on the new host, or where it was.
async fn hand_over(app: &Arc<App>, vm: &Vm, to: Option<Name>) -> Result<()> {
    let mut change = Change::new(app);
    let mut vm = vm.clone();
    for mut disk in disks(app, &vm) {
        disk.spec.moving = None;
        disk.spec.host = to.clone().or(disk.spec.host);
        change.update("move", &disk);
    }
    vm.spec.moving = None;
    vm.spec.host = to.or(vm.spec.host);
    vm.status.arrival = None;
    vm.status.released = None;
    change.update("move", &vm);
    change.commit_unaudited().await.map(drop)
}

fn disks(app: &App, vm: &Vm) -> Vec<Disk> {
    let names = vm.spec.disks.iter().filter_map(|entry| entry.disk.as_ref());
    names.filter_map(|name| app.cache.get::<Disk>(name.as_str()).map(|d| Disk::clone(&d))).collect()
}

/// Lets some of a host's VMs leave.
async fn empty(app: &Arc<App>, host: &Name, refusals: &Refusals) {
    let here = |vm: &Vm| vm.spec.host.as_ref() == Some(host) && vm.meta.deleted_at.is_none();
    let (vms, _) = app.cache.list::<Vm>(None, usize::MAX, here);
    let (leaving, staying): (Vec<_>, Vec<_>) = vms.into_iter().partition(|vm| vm.spec.moving.is_some());
    // As for placement: nobody else may take the same room meanwhile.
    let _admission = app.admission(false).await;
    let mut rooms = rooms(app);
    let mut free = LEAVING_AT_ONCE.saturating_sub(leaving.len());
    for vm in staying {
        if free == 0 {
            break;
        }
        if let Some(disk) = disks(app, &vm).iter().find(|disk| disk.needs_snapshot().is_some()) {
            let name = &disk.meta.name;
            let message = format!(
                "it cannot leave host {host}: its disk {name} is a linked clone, which stands on a snapshot there"
            );
            report(&vm.meta.name, refuse(app, &vm, CANNOT_LEAVE, message).await);
            continue;
        }
        if let Some(device) = vm.spec.pci.first() {
            let message = format!(
                "it cannot leave host {host}: it has the PCI device {} of that host; take it out of the VM first",
                device.address
            );
            report(&vm.meta.name, refuse(app, &vm, CANNOT_LEAVE, message).await);
            continue;
        }
        if let Some(snapshot) = of_vm(app, &vm).first() {
            let message = format!(
                "it cannot leave host {host}: snapshots do not travel, and it has {}; delete its snapshots first",
                snapshot.meta.name
            );
            report(&vm.meta.name, refuse(app, &vm, CANNOT_LEAVE, message).await);
            continue;
        }
        let refused = |to: &Name| refusals.get(&(vm.meta.uid, to.clone())).map(|(_, why)| why);
        let (open, closed): (Vec<_>, Vec<_>) =
            rooms.iter().cloned().partition(|room| refused(&room.host).is_none());
        let (wide, narrow): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|room| room.host == *host || has_space(app, &vm, &room.host));
        match place(&vm.spec, None, &wide) {
            Ok(to) => {
                free -= 1;
                carry(&mut rooms, &to, &vm);
                report(&vm.meta.name, begin(app, &vm, to).await);
            }
            Err(refusal) => {
                let mut message = format!("it cannot leave host {host}: {refusal}");
                for room in narrow {
                    message += &format!("; {}: its pools have no room for the disks", room.host);
                }
                for room in closed {
                    message += &format!("; {}: {}", room.host, refused(&room.host).map_or("", |why| why));
                }
                report(&vm.meta.name, refuse(app, &vm, CANNOT_LEAVE, message).await);
            }
        }
    }
}

/// Whether the host's pools can take the VM's disks as they are now. A pool that it has said nothing of is not judged.
fn has_space(app: &App, vm: &Vm, host: &Name) -> bool {
    let mut needed: BTreeMap<Name, u64> = BTreeMap::new();
    for entry in &vm.spec.disks {
        let Some(disk) = entry.disk.as_ref().and_then(|name| app.cache.get::<Disk>(name.as_str())) else {
            continue;
        };
        let told = vm.status.disks.iter().find(|d| d.name == entry.name).map_or(0, |d| d.used_bytes);
        *needed.entry(disk.spec.pool.clone()).or_default() += told.max(disk.status.used_bytes);
    }
    needed.into_iter().all(|(pool, bytes)| {
        let there = app.cache.get::<Pool>(pool.as_str()).and_then(|p| p.status.hosts.get(host).cloned());
        there.is_none_or(|pool| pool.ready && pool.free_bytes > bytes)
    })
}

async fn begin(app: &Arc<App>, vm: &Arc<Vm>, to: Name) -> Result<()> {
    let moving = Move { to: to.clone(), id: Uid::now_v7() };
    let mut change = Change::new(app);
    for mut disk in disks(app, vm) {
        disk.spec.moving = Some(moving.clone());
        change.update("move", &disk);
    }
    let mut moved = Vm::clone(vm);
    moved.spec.moving = Some(moving);
    moved.status.conditions.retain(|c| c.kind != "placed");
    change.update("move", &moved);
    change.commit_unaudited().await?;
    tell(app, vm, "moving", EventLevel::Info, format!("it is shut down and moves to host {to}")).await;
    Ok(())
}

/// An image gets another host to be kept on, once that has a copy.
async fn lead_out(app: &Arc<App>, image: &Image, drained: bool) -> Result<()> {
    let mut image = image.clone();
    let is_there = |host: &Name| image.status.hosts.get(host).is_some_and(|copy| copy.ready);
    match image.spec.moving_to.take() {
        Some(to) if image.status.phase == ImagePhase::Ready && is_there(&to) => {
            image.status.hosts.remove(&to);
            if let Some(old) = image.spec.host.replace(to) {
                image.status.hosts.insert(old, ImageCopy { ready: true, progress: None });
            }
        }
        Some(to) if drained && is_open(app, &to) => return Ok(()),
        // Not wanted any more, or another one is looked for in the next round.
        Some(_) => {}
        None => match (image.status.phase, next_home(&rooms(app), is_there)) {
            (ImagePhase::Ready, Some(to)) => image.spec.moving_to = Some(to),
            // There is nothing of it to be lost.
            (ImagePhase::Failed, Some(to)) => image.spec.host = Some(to),
            _ => return Ok(()),
        },
    }
    write(app, &image).await
}

/// One that has a copy, else the emptiest.
fn next_home(rooms: &[Room], is_there: impl Fn(&Name) -> bool) -> Option<Name> {
    let open = rooms.iter().filter(|room| room.schedulable);
    open.min_by_key(|room| (!is_there(&room.host), room.vms, room.host.clone())).map(|r| r.host.clone())
}

async fn tell(app: &Arc<App>, vm: &Vm, reason: &str, level: EventLevel, message: String) {
    let about = Reference { kind: Kind::Vm, name: vm.meta.name.clone() };
    let host = vm.spec.host.clone();
    let event = EventSpec { at: app.now(), level, reason: reason.into(), about, host, message };
    record(app, vec![event]).await;
}
