//! The leases that a backend keeps time for.
//!
//! ```text
//!   grant ──► alive ──(deadline passed, or revoke)──► commit that removes its keys ──► gone
//!               ▲  │
//!               └──┘ renew
//! ```
//!
//! Invariant: a lease is alive until the commit that removes it. A renewal that comes after the deadline and before that
//! commit still counts, because nobody can have seen the lease end.

use std::collections::HashMap;
use std::time::Duration;

use crate::types::LeaseId;

struct Lease<I> {
    ttl: Duration,
    deadline: I,
}

/// Leases with their deadlines. `I` is the instant of the clock in use.
pub(crate) struct Leases<I>(HashMap<LeaseId, Lease<I>>);

impl<I: Copy + Ord + std::ops::Add<Duration, Output = I>> Leases<I> {
    pub(crate) fn new() -> Self {
        Leases(HashMap::new())
    }

    pub(crate) fn insert(&mut self, id: LeaseId, ttl_ms: u64, now: I) {
        let ttl = Duration::from_millis(ttl_ms);
        self.0.insert(id, Lease { ttl, deadline: now + ttl });
    }

    pub(crate) fn contains(&self, id: LeaseId) -> bool {
        self.0.contains_key(&id)
    }

    /// False when there is no such lease.
    pub(crate) fn renew(&mut self, id: LeaseId, now: I) -> bool {
        let Some(lease) = self.0.get_mut(&id) else { return false };
        lease.deadline = now + lease.ttl;
        true
    }

    pub(crate) fn remove(&mut self, id: LeaseId) {
        self.0.remove(&id);
    }

    pub(crate) fn next_deadline(&self) -> Option<I> {
        self.0.values().map(|lease| lease.deadline).min()
    }

    pub(crate) fn expired(&self, now: I) -> Vec<LeaseId> {
        let mut ids: Vec<_> =
            self.0.iter().filter(|(_, lease)| lease.deadline <= now).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    /// Puts off the end of a lease whose removal could not be committed.
    pub(crate) fn postpone(&mut self, id: LeaseId, until: I) {
        if let Some(lease) = self.0.get_mut(&id) {
            lease.deadline = until;
        }
    }
}

/// A new lease id: 63 random bits, never zero, as etcd's are.
pub(crate) fn random_id() -> LeaseId {
    LeaseId((rand::random::<u64>() >> 1).max(1))
}
