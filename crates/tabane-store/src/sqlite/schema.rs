//! The tables, their versions, and how a connection is set up.
//!
//! `entries` and `tombstones` together hold each key's latest state once, with its revision: all that a watch needs to
//! resume. There is no history to grow.

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::database;
use crate::types::Revision;
use crate::{Error, Result};

/// "tbne" in the file's header: tells our databases from others.
const APPLICATION_ID: i64 = 0x7462_6e65;

/// One step per schema version; a released step is never changed.
const STEPS: &[&str] = &["
    CREATE TABLE meta(
        id        INTEGER PRIMARY KEY CHECK (id = 1),
        revision  INTEGER NOT NULL,
        compacted INTEGER NOT NULL
    ) STRICT;
    INSERT INTO meta VALUES (1, 0, 0);
    -- The value stands last: a scan of the small columns need not read it.
    CREATE TABLE entries(
        key      TEXT NOT NULL UNIQUE,
        created  INTEGER NOT NULL,
        modified INTEGER NOT NULL,
        lease    INTEGER,
        value    BLOB NOT NULL
    ) STRICT;
    CREATE INDEX entries_by_modified ON entries(modified);
    CREATE INDEX entries_by_lease ON entries(lease) WHERE lease IS NOT NULL;
    CREATE TABLE tombstones(
        key      TEXT NOT NULL PRIMARY KEY,
        revision INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX tombstones_by_revision ON tombstones(revision);
    CREATE TABLE leases(
        id     INTEGER PRIMARY KEY,
        ttl_ms INTEGER NOT NULL
    ) STRICT;
"];

/// The one row of `meta`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meta {
    pub revision: Revision,
    /// The `before` of the last compaction.
    pub compacted: Revision,
}

impl Meta {
    pub(super) fn load(connection: &Connection) -> Result<Meta> {
        connection
            .prepare_cached("SELECT revision, compacted FROM meta WHERE id = 1")
            .and_then(|mut statement| {
                statement.query_row([], |row| Ok(Meta { revision: row.get(0)?, compacted: row.get(1)? }))
            })
            .map_err(database("read its revision"))
    }
}

/// Opens the database for the writer: makes it if there is none, brings its schema up to date, and checks what a crash
/// may have left.
pub(super) fn open(path: &Path) -> Result<Connection> {
    // The file is made before SQLite sees it: its WAL and shared memory take the mode from it.
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| Error::file("open", path, error))?;
    file.set_permissions(Permissions::from_mode(0o600))
        .map_err(|error| Error::file("set the mode of", path, error))?;
    let unclean = std::fs::metadata(wal_of(path)).is_ok_and(|wal| wal.len() > 0);

    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(database("open"))?;
    set_up(&connection).map_err(database("be set up"))?;
    let version = check_version(&connection, path)?;
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA wal_autocheckpoint = 1000;
             PRAGMA journal_size_limit = 67108864;",
        )
        .map_err(database("be set up"))?;
    migrate(&mut connection, version)?;
    if unclean {
        check_recovered(&connection)?;
    }
    Ok(connection)
}

/// Opens the database for reading only. The store must be open for writing.
pub(super) fn open_read_only(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(database("open"))?;
    set_up(&connection).map_err(database("be set up"))?;
    Ok(connection)
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(32);
    // Only a checkpoint at the end of another connection can be in the way, and only for a moment.
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.execute_batch(
        "PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;
         PRAGMA cache_size = -4096;
         PRAGMA temp_store = MEMORY;",
    )
}

fn wal_of(path: &Path) -> std::path::PathBuf {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    wal.into()
}

/// The schema version of a database that may be ours; zero: it is empty.
fn check_version(connection: &Connection, path: &Path) -> Result<i64> {
    let pragma = |name: &str| -> Result<i64> {
        connection
            .query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
            .map_err(database("read its version"))
    };
    let (id, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(database("read its schema"))?;
    if id == 0 && version == 0 && tables == 0 {
        return Ok(0);
    }
    if id != APPLICATION_ID {
        return Err(Error::Foreign { path: path.to_owned() });
    }
    let known = STEPS.len() as i64;
    if version > known {
        return Err(Error::Newer { found: version, known });
    }
    Ok(version)
}

/// Takes the missing steps, each whole or not at all.
fn migrate(connection: &mut Connection, version: i64) -> Result<()> {
    for (step, sql) in STEPS.iter().enumerate().skip(version.max(0) as usize) {
        let transaction = connection.transaction().map_err(database("begin a migration"))?;
        transaction
            .execute_batch(&format!(
                "{sql}; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {};",
                step + 1
            ))
            .and_then(|()| transaction.commit())
            .map_err(database("migrate"))?;
    }
    Ok(())
}

/// After a crash: no key may be newer than the store.
///
/// SQLite's checksums end the recovered part of the WAL at the first damaged frame. If the medium lost frames that had
/// been copied into the database already (which an honest fsync rules out), old pages now cover newer ones. The table
/// itself is scanned, because the index may be one of the old pages.
fn check_recovered(connection: &Connection) -> Result<()> {
    let newest: Option<Revision> = connection
        .query_row(
            "SELECT max(r) FROM (SELECT max(+modified) AS r FROM entries NOT INDEXED
                           UNION ALL SELECT max(+revision) FROM tombstones)",
            [],
            |row| row.get(0),
        )
        .map_err(database("be checked"))?;
    let revision = Meta::load(connection)?.revision;
    match newest {
        Some(newest) if newest > revision => Err(Error::Corrupt {
            detail: format!("after a crash, a key has revision {newest}, but the store is at {revision}"),
        }),
        _ => Ok(()),
    }
}

pub(super) fn verify(connection: &Connection) -> Result<()> {
    let mut statement = connection.prepare("PRAGMA quick_check(10)").map_err(database("be verified"))?;
    let found: Vec<String> = statement
        .query_map([], |row| row.get(0))
        .and_then(|rows| rows.collect())
        .map_err(database("be verified"))?;
    if found == ["ok"] {
        check_recovered(connection)
    } else {
        Err(Error::Corrupt { detail: found.join("; ") })
    }
}
