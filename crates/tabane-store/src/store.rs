//! The one interface of every backend.

use async_trait::async_trait;

use crate::types::{Entry, LeaseId, Outcome, Page, Revision, Txn};
use crate::watch::Watch;
use crate::{Error, Result};

/// A key-value store with revisions, shaped so that etcd v3 maps onto it one to one.
///
/// Every future may be dropped at any time. A txn, grant or revoke that was already handed over is then still done,
/// only nobody hears of it.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The entry of a key, if there is one.
    async fn get(&self, key: &str) -> Result<Option<Entry>>;

    /// Up to `limit` entries (at least one) whose keys begin with `prefix` and come after `after`, in key order, all as
    /// of one revision.
    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page>;

    /// Does all ops if all compares hold; durable before it answers.
    ///
    /// Errors: a limit that is broken, [`Error::LeaseNotFound`], [`Error::Full`] (nothing was done),
    /// [`Error::Database`].
    async fn txn(&self, txn: Txn) -> Result<Outcome>;

    /// The revision of the last txn that changed something; zero in a new store.
    async fn revision(&self) -> Result<Revision>;

    /// Every change to keys that begin with `prefix` after the revision `after`: first what has happened since, then
    /// what happens, in the order of revisions. Values that were overwritten meanwhile may be skipped, the latest state
    /// of a key never is.
    ///
    /// Errors: [`Error::Compacted`] when deletions since `after` are no longer kept, here or later from the watch when
    /// it fell too far behind; [`Error::Future`].
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch>;

    /// Forgets deletions older than the revision `before` (bounded by the present revision): a watch after `before - 1`
    /// or later still works, an earlier one does not.
    async fn compact(&self, before: Revision) -> Result<()>;

    /// A new lease. Keys put with it are deleted when it ends: when it was not renewed for `ttl_ms` by the store's own
    /// monotonic clock, or is revoked. After a restart of the store every lease has its full time again. A backend may
    /// round the time up to whole seconds.
    async fn lease_grant(&self, ttl_ms: u64) -> Result<LeaseId>;

    /// Gives the lease its full time again. Errors: [`Error::LeaseNotFound`].
    async fn lease_renew(&self, lease: LeaseId) -> Result<()>;

    /// Ends the lease and deletes its keys in one txn. Errors: [`Error::LeaseNotFound`].
    async fn lease_revoke(&self, lease: LeaseId) -> Result<()>;
}

/// Refuses a watch whose start is behind what is kept or ahead of the store; `compacted` is the `before` of the last
/// compaction.
pub(crate) fn check_watch(after: Revision, compacted: Revision, revision: Revision) -> Result<()> {
    if after > revision {
        return Err(Error::Future { after, revision });
    }
    if after.saturating_add(1) < compacted {
        return Err(Error::Compacted { after, oldest: compacted });
    }
    Ok(())
}
