//! Controllers: they watch what is wanted, decide with `tabane-core`, and write down what follows.

pub mod evacuation;
pub mod expiry;
pub mod liveness;
pub mod placement;

use std::{collections::HashMap, sync::Mutex, time::Instant};

use tabane_model::Name;

/// What requests tell controllers without going through the store.
#[derive(Default)]
pub struct Signals {
    heard: Mutex<HashMap<Name, Instant>>,
}

impl Signals {
    /// A host has just said something.
    pub fn heard(&self, host: &Name) {
        self.heard.lock().expect("no holder of this lock panics").insert(host.clone(), Instant::now());
    }

    pub fn heard_at(&self, host: &Name) -> Option<Instant> {
        self.heard.lock().expect("no holder of this lock panics").get(host).copied()
    }
}
