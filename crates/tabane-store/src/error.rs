//! What can go wrong in a store.

use std::path::PathBuf;
use std::sync::Arc;

use crate::types::{KEY_BYTES_MAX, LEASE_TTL_MS_MAX, LeaseId, Revision, VALUE_BYTES_MAX};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Cloneable, because one failed commit is the answer to every txn that was in it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("key {key:?} is refused: {reason} (1 to {KEY_BYTES_MAX} bytes, no zero byte)")]
    Key { key: String, reason: &'static str },

    #[error("the value of {key:?} has {size_bytes} bytes, more than {VALUE_BYTES_MAX}")]
    ValueTooLarge { key: String, size_bytes: usize },

    #[error("the txn has {found} {what}, more than {max}")]
    TxnTooLarge { what: &'static str, found: usize, max: usize },

    #[error("two ops of one txn name the key {key:?}")]
    DuplicateKey { key: String },

    #[error("lease {0} does not exist or has expired")]
    LeaseNotFound(LeaseId),

    #[error("a lease of {ttl_ms} ms is refused: 1 to {LEASE_TTL_MS_MAX} ms")]
    LeaseTtl { ttl_ms: u64 },

    /// The watcher must list again and watch after the list's revision.
    #[error("deletions after revision {after} are no longer kept: the oldest is {oldest}")]
    Compacted { after: Revision, oldest: Revision },

    /// The watcher must list again: the store was put back to an older state.
    #[error("revision {after} is ahead of the store, which is at {revision}")]
    Future { after: Revision, revision: Revision },

    /// Nothing of the txn was done. The store goes on when there is space.
    #[error("no space left for the store")]
    Full,

    #[error("the store in {} is in use{}", folder.display(), holder(*pid))]
    Locked { folder: PathBuf, pid: Option<u32> },

    #[error("the store has schema version {found}; this program knows versions up to {known}")]
    Newer { found: i64, known: i64 },

    #[error("{} is a database, but not a store of ours", path.display())]
    Foreign { path: PathBuf },

    #[error("the store is damaged: {detail}")]
    Corrupt { detail: String },

    #[error("cannot {action} {}", path.display())]
    File { action: &'static str, path: PathBuf, source: Arc<std::io::Error> },

    /// Whether a txn that failed so was done or not is known only by reading.
    #[error("the database cannot {action}")]
    Database { action: &'static str, source: Arc<rusqlite::Error> },

    #[error("the store is closed")]
    Closed,
}

fn holder(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" by process {pid}")).unwrap_or_default()
}

impl Error {
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Error {
        match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::Full,
            _ => Error::File { action, path: path.into(), source: Arc::new(source) },
        }
    }
}
