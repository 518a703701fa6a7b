//! A watch: a cursor that reads what changed, and sleeps when there is nothing.
//!
//! ```text
//!            ┌────────── head moved ◄──────────┐
//!            ▼                                 │
//!   read (cursor, head] ──► nothing of ours ──► wait
//!            │
//!            └──► a batch; cursor = the batch's revision
//! ```
//!
//! Invariant: nothing is queued for a watcher. It holds a cursor and reads entries and tombstones by revision when it
//! is ready for more, so a slow one costs no memory, delays no writer and loses nothing but values that were overwritten.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch::Receiver;

use crate::types::{Change, Revision};
use crate::{Error, Result};

/// A batch ends, at the end of a revision, when it has this many changes or bytes.
pub(crate) const BATCH_CHANGES: usize = 256;
pub(crate) const BATCH_BYTES: usize = 1 << 20;

/// Changes in the order of revisions; the changes of one txn are never divided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    pub changes: Vec<Change>,
    /// All that the watch covers up to here has been seen: a new watch may go on after it.
    pub revision: Revision,
}

/// Where a watch gets its batches from; one implementation for each kind of backend.
#[async_trait]
pub trait WatchSource: Send {
    /// Waits for the next batch, which is not empty. Must be safe to cancel.
    async fn next(&mut self) -> Result<Batch>;

    /// Up to which revision everything has been delivered or was of no interest.
    fn revision(&self) -> Revision;
}

/// What [`crate::Store::watch`] answers.
pub struct Watch(Box<dyn WatchSource>);

impl Watch {
    pub fn new(source: impl WatchSource + 'static) -> Watch {
        Watch(Box::new(source))
    }

    /// The next changes; waits for them. Safe to cancel. After an error the watch is of no more use.
    pub async fn next(&mut self) -> Result<Batch> {
        self.0.next().await
    }

    /// A new watch after this revision misses nothing that this one has not delivered. It also moves on by changes
    /// outside the prefix, so that keeping it saves a quiet watch from [`Error::Compacted`].
    pub fn revision(&self) -> Revision {
        self.0.revision()
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("revision", &self.revision()).finish()
    }
}

/// Reads the latest states with a revision above `after`, bounded by the batch limits. An empty batch says with its
/// revision how far there was nothing.
#[async_trait]
pub(crate) trait Changes: Send + Sync + 'static {
    async fn changes(self: Arc<Self>, prefix: String, after: Revision) -> Result<Batch>;
}

/// The watch of a backend that can be asked for changes and has a head that moves with every commit.
pub(crate) struct Cursor<C> {
    pub backend: Arc<C>,
    pub head: Receiver<Revision>,
    pub prefix: String,
    pub revision: Revision,
}

#[async_trait]
impl<C: Changes> WatchSource for Cursor<C> {
    async fn next(&mut self) -> Result<Batch> {
        loop {
            // Wait first, then read: a commit between the two moves the head again and is not missed.
            let at = self.revision;
            self.head.wait_for(|head| *head > at).await.map_err(|_| Error::Closed)?;
            let batch = self.backend.clone().changes(self.prefix.clone(), at).await?;
            // The head may be announced before a slow read began; a read never goes back.
            self.revision = batch.revision.max(at);
            if !batch.changes.is_empty() {
                return Ok(batch);
            }
        }
    }

    fn revision(&self) -> Revision {
        self.revision
    }
}

/// Collects changes that come in the order of revisions until the batch is full.
pub(crate) struct Collector {
    changes: Vec<Change>,
    size_bytes: usize,
}

impl Collector {
    pub(crate) fn new() -> Collector {
        Collector { changes: Vec::new(), size_bytes: 0 }
    }

    /// Whether a change of this revision may still be pushed.
    pub(crate) fn takes(&self, revision: Revision) -> bool {
        let full = self.changes.len() >= BATCH_CHANGES || self.size_bytes >= BATCH_BYTES;
        !full || self.changes.last().is_some_and(|last| last.revision == revision)
    }

    pub(crate) fn push(&mut self, change: Change) {
        self.size_bytes += change.key.len() + change.value.as_ref().map_or(0, |value| value.len());
        self.changes.push(change);
    }

    /// `all`: there was no more up to the store's revision `head`.
    pub(crate) fn finish(self, all: bool, head: Revision) -> Batch {
        let revision = match self.changes.last() {
            Some(last) if !all => last.revision,
            _ => head,
        };
        Batch { changes: self.changes, revision }
    }
}
