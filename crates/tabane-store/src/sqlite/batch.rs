//! One transaction of the writer: many commands, one commit.
//!
//! Invariant: nothing outside the transaction changes before [`Batch::commit`] has returned, but for the deadlines of
//! renewed leases. A command that is refused leaves no trace; a command that meets an error of the database ends the
//! whole batch.

use std::collections::HashSet;
use std::time::Instant;

use rusqlite::{Connection, OptionalExtension, params};

use super::schema::Meta;
use super::writer::{Answer, Command};
use super::{database, reader};
use crate::lease::{Leases, random_id};
use crate::types::{Compare, LeaseId, Op, Outcome, Revision, Txn};
use crate::{Error, Result};

pub(super) struct Batch<'a> {
    connection: &'a Connection,
    before: Meta,
    meta: Meta,
    leases: &'a mut Leases<Instant>,
    answers: Vec<Answer>,
    granted: Vec<(LeaseId, u64)>,
    ended: HashSet<LeaseId>,
    wrote: bool,
}

pub(super) struct Done {
    pub meta: Meta,
    pub answers: Vec<Answer>,
    pub granted: Vec<(LeaseId, u64)>,
    pub ended: HashSet<LeaseId>,
}

pub(super) fn stored_leases(connection: &Connection) -> Result<Vec<(LeaseId, u64)>> {
    let rows = |connection: &Connection| -> rusqlite::Result<Vec<_>> {
        connection
            .prepare("SELECT id, ttl_ms FROM leases")?
            .query_map([], |row| Ok((LeaseId(row.get(0)?), row.get(1)?)))?
            .collect()
    };
    rows(connection).map_err(database("read its leases"))
}

impl<'a> Batch<'a> {
    pub(super) fn begin(
        connection: &'a Connection,
        meta: Meta,
        leases: &'a mut Leases<Instant>,
    ) -> Result<Batch<'a>> {
        connection.execute_batch("BEGIN IMMEDIATE").map_err(database("begin to write"))?;
        Ok(Batch {
            connection,
            before: meta,
            meta,
            leases,
            answers: Vec::new(),
            granted: Vec::new(),
            ended: HashSet::new(),
            wrote: false,
        })
    }

    /// Does a command and keeps its answer. An error ends the batch.
    pub(super) fn run(&mut self, command: &Command, now: Instant) -> Result<()> {
        let answer = match command {
            Command::Txn(txn, _) => self.txn(txn),
            Command::Compact(before, _) => self.compact(*before),
            Command::Grant(ttl_ms, _) => self.grant(*ttl_ms),
            Command::Renew(lease, _) => Ok(self.renew(*lease, now)),
            Command::Revoke(lease, _) => self.revoke(*lease),
        }
        .map_err(database("write"))?;
        self.answers.push(answer);
        Ok(())
    }

    /// Ends the leases whose time is over.
    pub(super) fn expire(&mut self, now: Instant) -> Result<()> {
        for lease in self.leases.expired(now) {
            self.end_lease(lease).map_err(database("end a lease"))?;
        }
        Ok(())
    }

    pub(super) fn commit(self) -> Result<Done> {
        if self.meta.revision != self.before.revision || self.meta.compacted != self.before.compacted {
            self.execute(
                "UPDATE meta SET revision = ?1, compacted = ?2 WHERE id = 1",
                params![self.meta.revision, self.meta.compacted],
            )
            .map_err(database("write its revision"))?;
        }
        let end = if self.wrote { "COMMIT" } else { "ROLLBACK" };
        self.connection.execute_batch(end).map_err(database("commit"))?;
        Ok(Done { meta: self.meta, answers: self.answers, granted: self.granted, ended: self.ended })
    }

    fn execute(&self, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute(params)
    }

    fn txn(&mut self, txn: &Txn) -> rusqlite::Result<Answer> {
        if let Some(conflict) = self.conflict(&txn.compares)? {
            return Ok(Answer::Outcome(conflict));
        }
        if txn.ops.is_empty() {
            return Ok(Answer::Outcome(Outcome::Committed(self.meta.revision)));
        }
        self.execute("SAVEPOINT txn", [])?;
        let mut changed = false;
        for op in &txn.ops {
            match op {
                Op::Put { lease: Some(lease), .. } if !self.lease_exists(*lease)? => {
                    self.execute("ROLLBACK TO txn", [])?;
                    self.execute("RELEASE txn", [])?;
                    return Ok(Answer::Refused(Error::LeaseNotFound(*lease)));
                }
                Op::Put { key, value, lease } => {
                    self.put(key, value, *lease)?;
                    changed = true;
                }
                Op::Delete(key) => changed |= self.delete(key)?,
            }
        }
        self.execute("RELEASE txn", [])?;
        self.advance(changed);
        Ok(Answer::Outcome(Outcome::Committed(self.meta.revision)))
    }

    /// A revision for what was just written, if anything was.
    fn advance(&mut self, changed: bool) {
        self.meta.revision += Revision::from(changed);
        self.wrote |= changed;
    }

    fn conflict(&self, compares: &[Compare]) -> rusqlite::Result<Option<Outcome>> {
        for compare in compares {
            let modified: Option<Revision> = self
                .connection
                .prepare_cached("SELECT modified FROM entries WHERE key = ?1")?
                .query_row([compare.key()], |row| row.get(0))
                .optional()?;
            if !compare.holds(modified) {
                let key = compare.key().to_owned();
                return Ok(Some(Outcome::Conflict {
                    current: reader::entry_of(self.connection, &key)?,
                    key,
                }));
            }
        }
        Ok(None)
    }

    fn put(&self, key: &str, value: &[u8], lease: Option<LeaseId>) -> rusqlite::Result<()> {
        let revision = self.meta.revision + 1;
        let lease = lease.map(|lease| lease.0);
        let updated = self.execute(
            "UPDATE entries SET modified = ?2, lease = ?3, value = ?4 WHERE key = ?1",
            params![key, revision, lease, value],
        )?;
        if updated == 0 {
            self.execute(
                "INSERT INTO entries(key, created, modified, lease, value) VALUES (?1, ?2, ?2, ?3, ?4)",
                params![key, revision, lease, value],
            )?;
            self.execute("DELETE FROM tombstones WHERE key = ?1", [key])?;
        }
        Ok(())
    }

    /// False when there was no such key.
    fn delete(&self, key: &str) -> rusqlite::Result<bool> {
        let deleted = self.execute("DELETE FROM entries WHERE key = ?1", [key])? > 0;
        if deleted {
            self.execute(
                "INSERT INTO tombstones(key, revision) VALUES (?1, ?2)",
                params![key, self.meta.revision + 1],
            )?;
        }
        Ok(deleted)
    }

    fn compact(&mut self, before: Revision) -> rusqlite::Result<Answer> {
        let before = before.min(self.meta.revision);
        if before > self.meta.compacted {
            self.execute("DELETE FROM tombstones WHERE revision < ?1", [before])?;
            self.meta.compacted = before;
            self.wrote = true;
        }
        Ok(Answer::Done)
    }

    fn lease_exists(&self, lease: LeaseId) -> rusqlite::Result<bool> {
        self.connection.prepare_cached("SELECT 1 FROM leases WHERE id = ?1")?.exists([lease.0])
    }

    fn grant(&mut self, ttl_ms: u64) -> rusqlite::Result<Answer> {
        let id = random_id();
        self.execute("INSERT INTO leases(id, ttl_ms) VALUES (?1, ?2)", params![id.0, ttl_ms])?;
        self.wrote = true;
        self.granted.push((id, ttl_ms));
        Ok(Answer::Lease(id))
    }

    fn renew(&mut self, lease: LeaseId, now: Instant) -> Answer {
        if !self.ended.contains(&lease) && self.leases.renew(lease, now) {
            Answer::Done
        } else {
            Answer::Refused(Error::LeaseNotFound(lease))
        }
    }

    fn revoke(&mut self, lease: LeaseId) -> rusqlite::Result<Answer> {
        if !self.lease_exists(lease)? {
            return Ok(Answer::Refused(Error::LeaseNotFound(lease)));
        }
        self.end_lease(lease)?;
        Ok(Answer::Done)
    }

    fn end_lease(&mut self, lease: LeaseId) -> rusqlite::Result<()> {
        let keys: Vec<String> = self
            .connection
            .prepare_cached("SELECT key FROM entries WHERE lease = ?1")?
            .query_map([lease.0], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for key in &keys {
            self.delete(key)?;
        }
        self.advance(!keys.is_empty());
        self.wrote |= self.execute("DELETE FROM leases WHERE id = ?1", [lease.0])? > 0;
        self.ended.insert(lease);
        Ok(())
    }
}
