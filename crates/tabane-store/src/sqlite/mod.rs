//! The store in a SQLite database: one server, durable before it answers.
//!
//! ```text
//!   txn ──┐                     ┌────────── writer thread ──────────┐
//!   txn ──┼─► queue (bounded ──►│ drain, each in its own SAVEPOINT, │──► head moves ──► watches read
//!   txn ──┘   by bytes)         │ one COMMIT (one fsync), ack all   │
//!                               └───────────────────────────────────┘
//!   get, list, changes ──► a few read-only connections (WAL: they never wait for the writer)
//! ```
//!
//! Invariants:
//! - One process has the folder: the lock file is locked for as long as the store is open.
//! - One thread writes. The revision in its memory is the one in the database, or the one that the running commit will
//!   put there.
//! - Nothing is acknowledged or announced before the commit that holds it has returned.

mod backup;
mod batch;
mod lock;
mod reader;
mod schema;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch::Receiver;

use crate::store::{Store, check_watch};
use crate::types::{Entry, LeaseId, Outcome, Page, Revision, Txn, validate_key, validate_ttl};
use crate::watch::{Cursor, Watch};
use crate::{Error, Result};
use lock::FolderLock;
use reader::Readers;
use writer::{Command, Writer};

/// The database's name in the store's folder.
pub(crate) const DATABASE: &str = "tabane.db";

/// A store in a folder of its own.
///
/// Dropping it waits for the queue to drain; watches that are still held then end with [`Error::Closed`].
pub struct Sqlite {
    folder: PathBuf,
    // Order of fields is order of dropping: the writer ends, then the readers, and only then the folder is free.
    writer: Writer,
    readers: Arc<Readers>,
    head: Receiver<Revision>,
    _lock: FolderLock,
}

impl Sqlite {
    /// Opens the store in `folder`, and makes both if there are none.
    ///
    /// Errors: [`Error::Locked`] with the holder's pid when another process has it, [`Error::Newer`],
    /// [`Error::Foreign`], [`Error::Corrupt`].
    pub async fn open(folder: impl Into<PathBuf>) -> Result<Sqlite> {
        let folder = folder.into();
        blocking(move || Sqlite::open_now(folder)).await
    }

    fn open_now(folder: PathBuf) -> Result<Sqlite> {
        lock::make_folder(&folder)?;
        let lock = FolderLock::take(&folder)?;
        let path = folder.join(DATABASE);
        let connection = schema::open(&path)?;
        let (writer, head) = Writer::start(connection)?;
        let readers = Arc::new(Readers::new(path));
        Ok(Sqlite { folder, writer, readers, head, _lock: lock })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads the whole database and checks its structure. Errors: [`Error::Corrupt`] with what was found.
    pub async fn verify(&self) -> Result<()> {
        self.readers.clone().read(schema::verify).await
    }

    /// Writes a consistent copy to `path` while the store goes on; the file appears there whole or not at all. To
    /// restore, put it as `tabane.db` into an empty folder.
    pub async fn backup(&self, path: impl Into<PathBuf>) -> Result<()> {
        let path = path.into();
        self.readers.clone().connected(move |connection| backup::backup(connection, &path)).await
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.readers.close();
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        validate_key(key)?;
        let key = key.to_owned();
        self.readers.clone().read(move |connection| reader::get(connection, &key)).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        self.readers
            .clone()
            .read(move |connection| reader::list(connection, &prefix, after.as_deref(), limit))
            .await
    }

    async fn txn(&self, txn: Txn) -> Result<Outcome> {
        txn.validate()?;
        let size_bytes = txn.size_bytes();
        self.writer.send(size_bytes, |reply| Command::Txn(txn, reply)).await
    }

    async fn revision(&self) -> Result<Revision> {
        Ok(*self.head.borrow())
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch> {
        let meta = self.readers.clone().read(schema::Meta::load).await?;
        check_watch(after, meta.compacted, meta.revision)?;
        Ok(Watch::new(Cursor {
            backend: self.readers.clone(),
            head: self.head.clone(),
            prefix: prefix.to_owned(),
            revision: after,
        }))
    }

    async fn compact(&self, before: Revision) -> Result<()> {
        self.writer.send(0, |reply| Command::Compact(before, reply)).await
    }

    async fn lease_grant(&self, ttl_ms: u64) -> Result<LeaseId> {
        validate_ttl(ttl_ms)?;
        self.writer.send(0, |reply| Command::Grant(ttl_ms, reply)).await
    }

    async fn lease_renew(&self, lease: LeaseId) -> Result<()> {
        self.writer.send(0, |reply| Command::Renew(lease, reply)).await
    }

    async fn lease_revoke(&self, lease: LeaseId) -> Result<()> {
        self.writer.send(0, |reply| Command::Revoke(lease, reply)).await
    }
}

/// Runs `work` where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down.
            Err(_) => Err(Error::Closed),
        },
    }
}

/// Turns a database error into ours; `action` completes "the database cannot …".
fn database(action: &'static str) -> impl Fn(rusqlite::Error) -> Error {
    move |error| {
        use rusqlite::ErrorCode::{DatabaseCorrupt, DiskFull, NotADatabase};
        match error.sqlite_error_code() {
            Some(DiskFull) => Error::Full,
            Some(DatabaseCorrupt | NotADatabase) => Error::Corrupt { detail: error.to_string() },
            _ => Error::Database { action, source: Arc::new(error) },
        }
    }
}
