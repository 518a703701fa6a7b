//! Reading: a few read-only connections, each used by one reader at a time.
//!
//! Invariant: every answer comes from one read transaction, so its entries and its revision belong together.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::sync::Semaphore;

use super::schema::Meta;
use super::{blocking, database, schema};
use crate::store::check_watch;
use crate::types::{Change, Entry, LeaseId, Page, Revision, prefix_end};
use crate::watch::{Batch, Changes, Collector};
use crate::{Error, Result};

/// Each connection costs its page cache, and reads are short.
const CONNECTIONS: usize = 4;

pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    turns: Arc<Semaphore>,
    closed: AtomicBool,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Readers {
        Readers {
            path,
            idle: Mutex::default(),
            turns: Arc::new(Semaphore::new(CONNECTIONS)),
            closed: AtomicBool::new(false),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No reader begins after this, and no connection is kept.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.turns.close();
        self.idle().clear();
    }

    /// Runs `work` in one read transaction.
    pub(super) async fn read<T: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.connected(move |connection| {
            let transaction = connection.unchecked_transaction().map_err(database("begin to read"))?;
            work(&transaction)
        })
        .await
    }

    /// Runs `work` with a connection of its own and no transaction.
    pub(super) async fn connected<T: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| Error::Closed)?;
        blocking(move || {
            // The turn belongs to the work: a reader that is no longer waited for still uses its connection.
            let _turn = turn;
            let idle = self.idle().pop();
            let connection = match idle {
                Some(connection) => connection,
                None => schema::open_read_only(&self.path)?,
            };
            let result = work(&connection);
            // One that could not end its transaction would read the past for ever.
            if connection.is_autocommit() {
                self.keep(connection);
            }
            result
        })
        .await
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle();
        // Looked at under the lock, so that `close` either sees the connection or is seen here.
        if !self.closed.load(Ordering::SeqCst) {
            idle.push(connection);
        }
    }
}

const COLUMNS: &str = "key, value, created, modified, lease";

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        key: row.get(0)?,
        value: Bytes::from(row.get::<_, Vec<u8>>(1)?),
        created: row.get(2)?,
        modified: row.get(3)?,
        lease: row.get::<_, Option<u64>>(4)?.map(LeaseId),
    })
}

/// The entry of a key, in whatever transaction the connection has.
pub(super) fn entry_of(connection: &Connection, key: &str) -> rusqlite::Result<Option<Entry>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM entries WHERE key = ?1"))?
        .query_row([key], entry)
        .optional()
}

pub(super) fn get(connection: &Connection, key: &str) -> Result<Option<Entry>> {
    entry_of(connection, key).map_err(database("read"))
}

pub(super) fn list(connection: &Connection, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page> {
    let limit = limit.max(1);
    let end = prefix_end(prefix);
    // A cursor from before the prefix is the prefix itself. One entry more than asked tells whether there is more.
    let (from, comparison) = match after {
        Some(after) if after >= prefix => (after, ">"),
        _ => (prefix, ">="),
    };
    let more = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let bound = if end.is_some() { "AND key < ?2" } else { "AND ?2 IS NULL" };
    let sql =
        format!("SELECT {COLUMNS} FROM entries WHERE key {comparison} ?1 {bound} ORDER BY key LIMIT ?3");
    let mut entries: Vec<Entry> = connection
        .prepare_cached(&sql)
        .and_then(|mut statement| statement.query_map(params![from, end, more], entry)?.collect())
        .map_err(database("list"))?;
    let mut next = None;
    if entries.len() > limit {
        entries.truncate(limit);
        next = entries.last().map(|last| last.key.clone());
    }
    Ok(Page { entries, next, revision: Meta::load(connection)?.revision })
}

/// The latest states after a revision, in the order of revisions: entries and tombstones, merged by their indexes.
fn changes(connection: &Connection, prefix: &str, after: Revision) -> Result<Batch> {
    let meta = Meta::load(connection)?;
    check_watch(after, meta.compacted, meta.revision)?;
    let end = prefix_end(prefix);
    let bound = if end.is_some() { "AND key < ?3" } else { "AND ?3 IS NULL" };
    // Two cursors rather than a UNION: each walks its index and stops where the batch is full, without a sort. The
    // unary plus keeps the planner from choosing the index on the key, which would sort.
    let entries = format!(
        "SELECT modified, key, value FROM entries INDEXED BY entries_by_modified
         WHERE modified > ?1 AND +key >= ?2 {} ORDER BY modified",
        bound.replace("key", "+key")
    );
    let tombstones = format!(
        "SELECT revision, key, NULL FROM tombstones INDEXED BY tombstones_by_revision
         WHERE revision > ?1 AND +key >= ?2 {} ORDER BY revision",
        bound.replace("key", "+key")
    );
    let work = || -> rusqlite::Result<Batch> {
        let mut entries = connection.prepare_cached(&entries)?;
        let mut tombstones = connection.prepare_cached(&tombstones)?;
        let mut entries = entries.query_map(params![after, prefix, end], change)?;
        let mut tombstones = tombstones.query_map(params![after, prefix, end], change)?;
        let (mut put, mut deleted) = (entries.next().transpose()?, tombstones.next().transpose()?);
        let mut collector = Collector::new();
        loop {
            let put_first = match (&put, &deleted) {
                (None, None) => return Ok(collector.finish(true, meta.revision)),
                (Some(put), Some(deleted)) => put.revision < deleted.revision,
                (put, _) => put.is_some(),
            };
            let (slot, rows) =
                if put_first { (&mut put, &mut entries) } else { (&mut deleted, &mut tombstones) };
            let Some(change) = slot.take() else { continue };
            if !collector.takes(change.revision) {
                return Ok(collector.finish(false, meta.revision));
            }
            collector.push(change);
            *slot = rows.next().transpose()?;
        }
    };
    work().map_err(database("read changes"))
}

fn change(row: &Row<'_>) -> rusqlite::Result<Change> {
    let value: Option<Vec<u8>> = row.get(2)?;
    Ok(Change { revision: row.get(0)?, key: row.get(1)?, value: value.map(Bytes::from) })
}

#[async_trait]
impl Changes for Readers {
    async fn changes(self: Arc<Self>, prefix: String, after: Revision) -> Result<Batch> {
        self.read(move |connection| changes(connection, &prefix, after)).await
    }
}
