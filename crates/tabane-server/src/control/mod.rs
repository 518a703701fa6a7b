//! Controllers: they watch what is wanted, decide with `tabane-core`, and write down what follows.

pub mod collections;
pub mod evacuation;
pub mod expiry;
pub mod liveness;
pub mod placement;
pub mod plans;
pub mod surveys;
pub mod waves;

use std::{collections::HashMap, sync::Mutex, time::Instant};

use tabane_model::{Name, Uid};
use tokio::sync::watch;

/// What requests tell controllers, and those who wait, without going through the store.
#[derive(Default)]
pub struct Signals {
    heard: Mutex<HashMap<Name, Instant>>,
    /// The host that has told how a VM is, since that host's agent connected last. A status from before may be that of
    /// a VM which has died with its host.
    told: Mutex<HashMap<Uid, Name>>,
    told_more: watch::Sender<()>,
}

impl Signals {
    /// A host has just said something.
    pub fn heard(&self, host: &Name) {
        self.heard.lock().expect("no holder of this lock panics").insert(host.clone(), Instant::now());
    }

    pub fn heard_at(&self, host: &Name) -> Option<Instant> {
        self.heard.lock().expect("no holder of this lock panics").get(host).copied()
    }

    /// A host's agent begins anew: what it said before may have changed since.
    pub fn connected(&self, host: &Name) {
        self.told.lock().expect("no holder of this lock panics").retain(|_, by| by != host);
    }

    pub fn told(&self, host: &Name, vm: Uid) {
        let before = self.told.lock().expect("no holder of this lock panics").insert(vm, host.clone());
        if before.as_ref() != Some(host) {
            self.told_more.send_replace(());
        }
    }

    pub fn has_told(&self, host: &Name, vm: Uid) -> bool {
        self.told.lock().expect("no holder of this lock panics").get(&vm) == Some(host)
    }

    pub fn forget(&self, vm: Uid) {
        self.told.lock().expect("no holder of this lock panics").remove(&vm);
    }

    /// Changes with each VM that is told of for the first time.
    pub fn told_more(&self) -> watch::Receiver<()> {
        self.told_more.subscribe()
    }
}
