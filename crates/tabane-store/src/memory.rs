//! The store in memory: the model that the others are compared with, for tests and simulation.
//!
//! Time is tokio's, so a test with a paused clock decides when a lease ends.
//!
//! Invariant: `by_revision` has one element for each entry and each tombstone, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::lease::{Leases, random_id};
use crate::store::{Store, check_watch};
use crate::types::{
    Change, Entry, LeaseId, Op, Outcome, Page, Revision, Txn, prefix_end, validate_key, validate_ttl,
};
use crate::watch::{Batch, Changes, Collector, Cursor, Watch};
use crate::{Error, Result};

/// How long the task that ends leases may outlive its store.
const IDLE: std::time::Duration = std::time::Duration::from_secs(60);

/// A store that nothing survives. Clones are the same store.
#[derive(Clone)]
pub struct Memory(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    head: watch::Sender<Revision>,
    /// A lease was granted: the task that ends leases looks at the deadlines again.
    granted: Arc<Notify>,
}

struct State {
    entries: BTreeMap<String, Entry>,
    tombstones: BTreeMap<String, Revision>,
    by_revision: BTreeSet<(Revision, String)>,
    revision: Revision,
    compacted: Revision,
    leases: Leases<Instant>,
    /// Whether the task that ends leases was started; it needs a runtime, so only the first grant starts it.
    reaping: bool,
}

impl Default for Memory {
    fn default() -> Self {
        Memory::new()
    }
}

impl Memory {
    pub fn new() -> Memory {
        let state = State {
            entries: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            by_revision: BTreeSet::new(),
            revision: 0,
            compacted: 0,
            leases: Leases::new(),
            reaping: false,
        };
        Memory(Arc::new(Inner {
            state: Mutex::new(state),
            head: watch::Sender::new(0),
            granted: Arc::default(),
        }))
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self, state: &State) {
        self.head.send_if_modified(|head| std::mem::replace(head, state.revision) != state.revision);
    }
}

/// Ends leases when their time is over, for as long as the store lives. It holds the store only while it works.
async fn reap(inner: Weak<Inner>, granted: Arc<Notify>) {
    loop {
        let deadline = {
            let Some(inner) = inner.upgrade() else { return };
            let mut state = inner.lock();
            for lease in state.leases.expired(Instant::now()) {
                state.end_lease(lease);
            }
            inner.announce(&state);
            state.leases.next_deadline()
        };
        let until = deadline.unwrap_or_else(|| Instant::now() + IDLE);
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            // A permit is kept when the grant comes before we wait.
            () = granted.notified() => {}
        }
    }
}

impl State {
    fn modified(&self, key: &str) -> Option<Revision> {
        self.entries.get(key).map(|entry| entry.modified)
    }

    fn forget(&mut self, key: &str) {
        let former = self.modified(key).or_else(|| self.tombstones.remove(key));
        if let Some(revision) = former {
            self.by_revision.remove(&(revision, key.to_owned()));
        }
    }

    fn put(&mut self, revision: Revision, key: String, value: bytes::Bytes, lease: Option<LeaseId>) {
        self.forget(&key);
        let created = self.entries.get(&key).map_or(revision, |entry| entry.created);
        self.by_revision.insert((revision, key.clone()));
        self.entries.insert(key.clone(), Entry { key, value, created, modified: revision, lease });
    }

    /// False when there was no such key.
    fn delete(&mut self, revision: Revision, key: &str) -> bool {
        if !self.entries.contains_key(key) {
            return false;
        }
        self.forget(key);
        self.entries.remove(key);
        self.tombstones.insert(key.to_owned(), revision);
        self.by_revision.insert((revision, key.to_owned()));
        true
    }

    fn txn(&mut self, txn: Txn) -> Result<Outcome> {
        if let Some(failed) = txn.compares.iter().find(|compare| !compare.holds(self.modified(compare.key())))
        {
            let key = failed.key().to_owned();
            return Ok(Outcome::Conflict { current: self.entries.get(&key).cloned(), key });
        }
        for op in &txn.ops {
            if let Op::Put { lease: Some(lease), .. } = op
                && !self.leases.contains(*lease)
            {
                return Err(Error::LeaseNotFound(*lease));
            }
        }
        let revision = self.revision + 1;
        let mut changed = false;
        for op in txn.ops {
            changed |= match op {
                Op::Put { key, value, lease } => {
                    self.put(revision, key, value, lease);
                    true
                }
                Op::Delete(key) => self.delete(revision, &key),
            };
        }
        self.revision += Revision::from(changed);
        Ok(Outcome::Committed(self.revision))
    }

    fn end_lease(&mut self, lease: LeaseId) {
        self.leases.remove(lease);
        let keys: Vec<String> = self
            .entries
            .values()
            .filter(|entry| entry.lease == Some(lease))
            .map(|entry| entry.key.clone())
            .collect();
        let revision = self.revision + 1;
        for key in &keys {
            self.delete(revision, key);
        }
        self.revision += Revision::from(!keys.is_empty());
    }

    fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Page {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let end = prefix_end(prefix);
        let mut entries = Vec::new();
        let mut next = None;
        for (key, entry) in self.entries.range::<str, _>((from, Bound::Unbounded)) {
            if end.as_ref().is_some_and(|end| key >= end) {
                break;
            }
            if entries.len() == limit.max(1) {
                next = entries.last().map(|last: &Entry| last.key.clone());
                break;
            }
            entries.push(entry.clone());
        }
        Page { entries, next, revision: self.revision }
    }

    fn changes(&self, prefix: &str, after: Revision) -> Batch {
        let mut collector = Collector::new();
        let mut all = true;
        for (revision, key) in self.by_revision.range((after + 1, String::new())..) {
            if !key.starts_with(prefix) {
                continue;
            }
            if !collector.takes(*revision) {
                all = false;
                break;
            }
            let value = self.entries.get(key).map(|entry| entry.value.clone());
            collector.push(Change { revision: *revision, key: key.clone(), value });
        }
        collector.finish(all, self.revision)
    }
}

#[async_trait]
impl Changes for Inner {
    async fn changes(self: Arc<Self>, prefix: String, after: Revision) -> Result<Batch> {
        let state = self.lock();
        check_watch(after, state.compacted, state.revision)?;
        Ok(state.changes(&prefix, after))
    }
}

#[async_trait]
impl Store for Memory {
    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        validate_key(key)?;
        Ok(self.0.lock().entries.get(key).cloned())
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page> {
        Ok(self.0.lock().list(prefix, after, limit))
    }

    async fn txn(&self, txn: Txn) -> Result<Outcome> {
        txn.validate()?;
        let mut state = self.0.lock();
        let outcome = state.txn(txn)?;
        self.0.announce(&state);
        Ok(outcome)
    }

    async fn revision(&self) -> Result<Revision> {
        Ok(self.0.lock().revision)
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch> {
        let state = self.0.lock();
        check_watch(after, state.compacted, state.revision)?;
        Ok(Watch::new(Cursor {
            backend: self.0.clone(),
            head: self.0.head.subscribe(),
            prefix: prefix.to_owned(),
            revision: after,
        }))
    }

    async fn compact(&self, before: Revision) -> Result<()> {
        let state = &mut *self.0.lock();
        let before = before.min(state.revision);
        state.compacted = state.compacted.max(before);
        let State { tombstones, by_revision, .. } = state;
        tombstones.retain(|key, revision| {
            let keep = *revision >= before;
            if !keep {
                by_revision.remove(&(*revision, key.clone()));
            }
            keep
        });
        Ok(())
    }

    async fn lease_grant(&self, ttl_ms: u64) -> Result<LeaseId> {
        validate_ttl(ttl_ms)?;
        let id = random_id();
        let mut state = self.0.lock();
        state.leases.insert(id, ttl_ms, Instant::now());
        if !std::mem::replace(&mut state.reaping, true) {
            tokio::spawn(reap(Arc::downgrade(&self.0), self.0.granted.clone()));
        }
        self.0.granted.notify_one();
        Ok(id)
    }

    async fn lease_renew(&self, lease: LeaseId) -> Result<()> {
        if self.0.lock().leases.renew(lease, Instant::now()) {
            Ok(())
        } else {
            Err(Error::LeaseNotFound(lease))
        }
    }

    async fn lease_revoke(&self, lease: LeaseId) -> Result<()> {
        let mut state = self.0.lock();
        if !state.leases.contains(lease) {
            return Err(Error::LeaseNotFound(lease));
        }
        state.end_lease(lease);
        self.0.announce(&state);
        Ok(())
    }
}
