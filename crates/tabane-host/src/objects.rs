//! What the server has said about this host, and who is to be woken when it changes.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};

use tabane_model::{Disk, Host, Image, Kind, Move, Name, Network, Pool, Snapshot, Uid, Vm, api::Change};
use tokio::sync::Notify;

#[derive(Default)]
struct Tables {
    vms: HashMap<Name, Arc<Vm>>,
    disks: HashMap<Name, Arc<Disk>>,
    images: HashMap<Name, Arc<Image>>,
    pools: HashMap<Name, Arc<Pool>>,
    networks: HashMap<Name, Arc<Network>>,
    snapshots: HashMap<Name, Arc<Snapshot>>,
    /// VMs and disks that are on their way to this host, and still another's.
    arriving_vms: HashMap<Name, Arc<Vm>>,
    arriving_disks: HashMap<Name, Arc<Disk>>,
    host: Option<Arc<Host>>,
    /// Everything was said at least once.
    synced: bool,
}

#[derive(Default)]
pub struct Objects {
    tables: Mutex<Tables>,
    /// Woken at every change: for those who look at everything.
    pub changed: Notify,
}

/// Which objects a change may matter to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wake {
    Vm(Name),
    AllVms,
    Nobody,
}

impl Objects {
    fn tables(&self) -> std::sync::MutexGuard<'_, Tables> {
        self.tables.lock().expect("no holder of this lock panics")
    }

    /// Takes in a change, as the host `own`; says whom it concerns.
    pub fn apply(&self, change: Change, own: &Name) -> serde_json::Result<Wake> {
        let mut tables = self.tables();
        let wake = match change {
            Change::Put { kind, object, .. } => tables.put(kind, object, own)?,
            Change::Gone { kind, name, .. } => tables.remove(kind, &name),
            Change::Synced { .. } => {
                tables.synced = true;
                Wake::AllVms
            }
        };
        drop(tables);
        self.changed.notify_waiters();
        Ok(wake)
    }

    /// Before a new watch: what it does not name any more is gone.
    pub fn reset(&self) {
        *self.tables() = Tables::default();
    }

    pub fn is_synced(&self) -> bool {
        self.tables().synced
    }

    pub fn arriving_vms(&self) -> Vec<Arc<Vm>> {
        self.tables().arriving_vms.values().cloned().collect()
    }

    pub fn arriving_disk(&self, name: &Name) -> Option<Arc<Disk>> {
        self.tables().arriving_disks.get(name).cloned()
    }

    /// This host itself.
    pub fn host(&self) -> Option<Arc<Host>> {
        self.tables().host.clone()
    }

    pub fn vm(&self, name: &Name) -> Option<Arc<Vm>> {
        self.tables().vms.get(name).cloned()
    }

    pub fn vms(&self) -> Vec<Arc<Vm>> {
        self.tables().vms.values().cloned().collect()
    }

    pub fn disk(&self, name: &Name) -> Option<Arc<Disk>> {
        self.tables().disks.get(name).cloned()
    }

    pub fn disks(&self) -> Vec<Arc<Disk>> {
        self.tables().disks.values().cloned().collect()
    }

    /// Of a VM, in the order in which they were asked for.
    pub fn snapshots(&self, vm: &Name) -> Vec<Arc<Snapshot>> {
        let mut own: Vec<_> =
            self.tables().snapshots.values().filter(|s| s.spec.vm == *vm).cloned().collect();
        own.sort_by_key(|s| s.meta.uid);
        own
    }

    pub fn snapshot(&self, name: &Name) -> Option<Arc<Snapshot>> {
        self.tables().snapshots.get(name).cloned()
    }

    /// Identities of the snapshots of a VM that linked clones stand on.
    pub fn shared_snapshots(&self, vm: &Name) -> HashSet<Uid> {
        let tables = self.tables();
        let linked = tables.disks.values().filter_map(|d| d.needs_snapshot());
        let snapshots = linked.filter_map(|name| tables.snapshots.get(name));
        snapshots.filter(|s| s.spec.vm == *vm).map(|s| s.meta.uid).collect()
    }

    pub fn image(&self, name: &Name) -> Option<Arc<Image>> {
        self.tables().images.get(name).cloned()
    }

    pub fn images(&self) -> Vec<Arc<Image>> {
        self.tables().images.values().cloned().collect()
    }

    pub fn pool(&self, name: &Name) -> Option<Arc<Pool>> {
        self.tables().pools.get(name).cloned()
    }

    pub fn pools(&self) -> Vec<Arc<Pool>> {
        self.tables().pools.values().cloned().collect()
    }

    pub fn network(&self, name: &Name) -> Option<Arc<Network>> {
        self.tables().networks.get(name).cloned()
    }

    pub fn networks(&self) -> Vec<Arc<Network>> {
        self.tables().networks.values().cloned().collect()
    }
}

impl Tables {
    fn put(&mut self, kind: Kind, object: serde_json::Value, own: &Name) -> serde_json::Result<Wake> {
        let arrives = |moving: &Option<Move>, host: &Option<Name>| {
            host.as_ref() != Some(own) && moving.as_ref().is_some_and(|m| m.to == *own)
        };
        Ok(match kind {
            Kind::Vm => {
                let vm: Vm = serde_json::from_value(object)?;
                let name = vm.meta.name.clone();
                if arrives(&vm.spec.moving, &vm.spec.host) {
                    self.arriving_vms.insert(name, Arc::new(vm));
                    return Ok(Wake::Nobody);
                }
                self.arriving_vms.remove(&name);
                self.vms.insert(name.clone(), Arc::new(vm));
                Wake::Vm(name)
            }
            Kind::Disk => {
                let disk: Disk = serde_json::from_value(object)?;
                if arrives(&disk.spec.moving, &disk.spec.host) {
                    self.arriving_disks.insert(disk.meta.name.clone(), Arc::new(disk));
                    return Ok(Wake::Nobody);
                }
                self.arriving_disks.remove(&disk.meta.name);
                let wake = disk.spec.vm.clone().map_or(Wake::Nobody, Wake::Vm);
                self.disks.insert(disk.meta.name.clone(), Arc::new(disk));
                wake
            }
            Kind::Image => {
                let image: Image = serde_json::from_value(object)?;
                let key = |i: &Image| (i.status.phase, i.status.hosts.len(), i.status.digest.clone());
                let before = self.images.insert(image.meta.name.clone(), Arc::new(image.clone()));
                // Progress alone wakes nobody.
                let same = before.is_some_and(|old| key(&old) == key(&image));
                if same { Wake::Nobody } else { Wake::AllVms }
            }
            Kind::Pool => {
                let pool: Pool = serde_json::from_value(object)?;
                self.pools.insert(pool.meta.name.clone(), Arc::new(pool));
                Wake::Nobody
            }
            Kind::Network => {
                let network: Network = serde_json::from_value(object)?;
                self.networks.insert(network.meta.name.clone(), Arc::new(network));
                Wake::Nobody
            }
            Kind::Snapshot => {
                let snapshot: Snapshot = serde_json::from_value(object)?;
                let vm = snapshot.spec.vm.clone();
                let before = self.snapshots.insert(snapshot.meta.name.clone(), Arc::new(snapshot.clone()));
                // Statuses are our own words, come back; but clones wait for the one that says that it is taken.
                let (phase, waited_for) = (snapshot.status.phase, &snapshot.meta.name);
                let same = before.as_ref().is_some_and(|old| {
                    old.spec == snapshot.spec && old.meta.deleted_at == snapshot.meta.deleted_at
                });
                let taken = before.is_none_or(|old| old.status.phase != phase)
                    && self.disks.values().any(|d| d.needs_snapshot() == Some(waited_for));
                match (taken, same) {
                    (true, _) => Wake::AllVms,
                    (false, true) => Wake::Nobody,
                    (false, false) => Wake::Vm(vm),
                }
            }
            Kind::Host => {
                self.host = Some(Arc::new(serde_json::from_value(object)?));
                Wake::Nobody
            }
            Kind::Event
            | Kind::Token
            | Kind::Flavor
            | Kind::Survey
            | Kind::Plan
            | Kind::Wave
            | Kind::Collection => Wake::Nobody,
        })
    }

    fn remove(&mut self, kind: Kind, name: &Name) -> Wake {
        match kind {
            Kind::Vm => {
                self.vms.remove(name);
                self.arriving_vms.remove(name);
                return Wake::Vm(name.clone());
            }
            Kind::Disk => drop((self.disks.remove(name), self.arriving_disks.remove(name))),
            Kind::Image => drop(self.images.remove(name)),
            Kind::Pool => drop(self.pools.remove(name)),
            Kind::Network => drop(self.networks.remove(name)),
            Kind::Snapshot => {
                // Others may have had it for their parent.
                return self.snapshots.remove(name).map_or(Wake::Nobody, |s| Wake::Vm(s.spec.vm.clone()));
            }
            Kind::Host
            | Kind::Event
            | Kind::Token
            | Kind::Flavor
            | Kind::Survey
            | Kind::Plan
            | Kind::Wave
            | Kind::Collection => {}
        }
        Wake::Nobody
    }
}
