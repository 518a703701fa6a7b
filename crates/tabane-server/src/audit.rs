//! The audit log: every change that somebody asked for, chained by hashes.
//!
//! ```text
//!   commit ──one txn──► object + audit/pending/<uuid> ──► writer ──append, fsync──► audit.jsonl
//!                                                           │
//!                                                           └─one txn─► audit/head, pending removed
//! ```
//!
//! A record is born in the same txn as its change, so neither can be without the other. The writer chains the records
//! into the file in order of revisions. If it dies between the append and the txn, it finds at the next start records
//! in the file beyond the head, recognises them by their identity and goes on behind them.
//! Invariant: `hash = BLAKE3(previous hash, record without hash)`.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use tabane_model::{Kind, Uid, api::AuditRecord};
use tabane_store::{Store, Txn};

use crate::{Error, Result, auth::Caller, keys};

const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// A record is a line; longer ones are none of ours.
const LINE_LENGTH_MAX: u64 = 64 << 10;

/// A record before it is chained.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pending {
    pub id: Uid,
    pub at: jiff::Timestamp,
    pub principal: String,
    pub from: String,
    pub verb: String,
    pub kind: Kind,
    pub name: String,
    /// BLAKE3 of the object as written; empty for a deletion.
    pub digest: String,
}

impl Pending {
    pub fn new(
        caller: &Caller,
        verb: &str,
        kind: Kind,
        name: &str,
        written: Option<&[u8]>,
        now: jiff::Timestamp,
    ) -> Self {
        Self {
            id: Uid::now_v7(),
            at: now,
            principal: caller.principal.clone(),
            from: caller.from.clone(),
            verb: verb.into(),
            kind,
            name: name.into(),
            digest: written.map(|bytes| blake3::hash(bytes).to_hex().to_string()).unwrap_or_default(),
        }
    }

    pub fn add_to(&self, txn: Txn) -> Txn {
        txn.put(
            format!("{}{}", keys::AUDIT_PENDING, self.id),
            serde_json::to_vec(self).expect("has string keys"),
        )
    }
}

/// A line of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    id: Uid,
    #[serde(flatten)]
    record: AuditRecord,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub sequence: u64,
    pub hash: String,
}

impl Head {
    fn genesis() -> Self {
        Self { sequence: 0, hash: GENESIS.into() }
    }
}

/// What the store vouches for.
pub async fn head(store: &dyn Store) -> Result<Head> {
    match store.get(keys::AUDIT_HEAD).await? {
        Some(entry) => {
            serde_json::from_slice(&entry.value).map_err(|e| Error::Bug(format!("audit head: {e}")))
        }
        None => Ok(Head::genesis()),
    }
}

fn hash(id: Uid, record: &AuditRecord) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(record.previous.as_bytes());
    hasher.update(id.as_bytes());
    let mut bare = record.clone();
    bare.hash.clear();
    hasher.update(&serde_json::to_vec(&bare).expect("has string keys"));
    hasher.finalize().to_hex().to_string()
}

/// What an offline check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Sound { records: u64, head: String },
    Broken { line: u64, reason: String },
}

/// Checks a log by itself, and against the head that the store keeps if that is given: then a log that was cut short
/// is found as well.
pub fn verify(file: &Path, head: Option<&Head>) -> Result<Verdict> {
    let mut last = Head::genesis();
    let mut seen_head = head.is_none_or(|h| h.sequence == 0);
    let mut number = 0;
    for line in lines(file)? {
        number += 1;
        let broken = |reason: String| Ok(Verdict::Broken { line: number, reason });
        let line: Line = match line.map_err(|e| e.to_string()).and_then(|l| parse(&l)) {
            Ok(line) => line,
            Err(reason) => return broken(reason),
        };
        if line.record.sequence != last.sequence + 1 {
            return broken(format!("record {} follows record {}", line.record.sequence, last.sequence));
        }
        if line.record.previous != last.hash {
            return broken(
                "it does not follow the record before it: one was removed, added or changed".into(),
            );
        }
        if hash(line.id, &line.record) != line.record.hash {
            return broken("it was changed: its hash does not match what it says".into());
        }
        last = Head { sequence: line.record.sequence, hash: line.record.hash };
        if let Some(head) = head
            && head.sequence == last.sequence
        {
            if head.hash != last.hash {
                return broken("the store has another record at this place".into());
            }
            seen_head = true;
        }
    }
    if !seen_head {
        let missing = head.map_or(0, |h| h.sequence) - last.sequence;
        return Ok(Verdict::Broken {
            line: number,
            reason: format!("the last {missing} records are missing"),
        });
    }
    Ok(Verdict::Sound { records: last.sequence, head: last.hash })
}

fn parse(line: &[u8]) -> std::result::Result<Line, String> {
    serde_json::from_slice(line).map_err(|e| format!("it is no record: {e}"))
}

/// The lines of a file; a last one without its end counts as one.
fn lines(file: &Path) -> Result<impl Iterator<Item = std::io::Result<Vec<u8>>>> {
    let opened = match std::fs::File::open(file) {
        Ok(opened) => Some(opened),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(source) => return Err(Error::File { action: "read", path: file.into(), source }),
    };
    let mut reader = opened.map(BufReader::new);
    Ok(std::iter::from_fn(move || {
        let mut line = Vec::new();
        let reader = reader.as_mut()?;
        match std::io::Read::take(&mut *reader, LINE_LENGTH_MAX).read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => {
                if line.last() == Some(&b'\n') {
                    line.pop();
                }
                Some(Ok(line))
            }
            Err(error) => Some(Err(error)),
        }
    }))
}

/// The newest records before a sequence number, the newest first. Reads the file from its end.
pub fn newest(path: &Path, before: Option<u64>, limit: usize) -> Result<Vec<AuditRecord>> {
    use std::io::{Read, Seek, SeekFrom};
    const BLOCK_BYTES: u64 = 256 << 10;
    let failed = |source| Error::File { action: "read", path: path.into(), source };
    let mut file = match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened.map_err(failed)?,
    };
    let mut position = file.metadata().map_err(failed)?.len();
    let mut found = Vec::new();
    // The beginning of a line whose end is in the block behind.
    let mut rest: Vec<u8> = Vec::new();
    while position > 0 && found.len() < limit {
        let length = position.min(BLOCK_BYTES);
        position -= length;
        let mut block = vec![0; length as usize];
        file.seek(SeekFrom::Start(position)).map_err(failed)?;
        file.read_exact(&mut block).map_err(failed)?;
        block.append(&mut rest);
        let begin = match block.iter().position(|b| *b == b'\n') {
            Some(end) if position > 0 => end + 1,
            None if position > 0 => block.len(),
            _ => 0,
        };
        let records = block[begin..].split(|b| *b == b'\n').rev().filter_map(|line| parse(line).ok());
        found.extend(records.map(|line| line.record).filter(|r| before.is_none_or(|b| r.sequence < b)));
        block.truncate(begin);
        rest = block;
    }
    found.truncate(limit);
    Ok(found)
}

/// Chains pending records into the file, one batch after the other.
pub struct Writer {
    store: Arc<dyn Store>,
    file: std::fs::File,
    path: PathBuf,
    head: Head,
    /// Records in the file that the store does not know to be there yet.
    ahead: HashSet<Uid>,
}

impl Writer {
    pub async fn open(store: Arc<dyn Store>, path: PathBuf) -> Result<Self> {
        let kept = match store.get(keys::AUDIT_HEAD).await? {
            Some(entry) => {
                serde_json::from_slice(&entry.value).map_err(|e| Error::Bug(format!("audit head: {e}")))?
            }
            None => Head::genesis(),
        };
        let (head, ahead, length) = Self::recover(&path, &kept)?;
        let open = || {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
            // Half a line at the end was never acknowledged: the power failed while it was written.
            file.set_len(length)?;
            Ok(file)
        };
        let file = open().map_err(|source| Error::File { action: "open", path: path.clone(), source })?;
        Ok(Self { store, file, path, head, ahead })
    }

    /// The last record in the file, those beyond the head, and the length of all whole lines.
    fn recover(path: &Path, kept: &Head) -> Result<(Head, HashSet<Uid>, u64)> {
        let (mut head, mut ahead, mut length) = (Head::genesis(), HashSet::new(), 0);
        for line in lines(path)? {
            let line = line.map_err(|source| Error::File { action: "read", path: path.into(), source })?;
            let Ok(parsed) = parse(&line) else { break };
            length += line.len() as u64 + 1;
            if parsed.record.sequence > kept.sequence {
                ahead.insert(parsed.id);
            }
            head = Head { sequence: parsed.record.sequence, hash: parsed.record.hash };
        }
        let size = std::fs::metadata(path).map_or(0, |m| m.len());
        if head.sequence < kept.sequence {
            tracing::error!(
                file = %path.display(),
                "the audit log has lost records: {} of {} are left", head.sequence, kept.sequence
            );
            // The chain goes on from what the store vouches for; `verify` will show the gap.
            head = kept.clone();
        }
        Ok((head, ahead, length.min(size)))
    }

    /// Chains what is pending. True if there was something.
    pub async fn drain(&mut self) -> Result<bool> {
        const BATCH: usize = 200;
        let page = self.store.list(keys::AUDIT_PENDING, None, BATCH).await?;
        if page.entries.is_empty() {
            return Ok(false);
        }
        let mut entries = page.entries;
        entries.sort_by_key(|entry| entry.created);
        let mut text = Vec::new();
        let (mut head, mut done) = (self.head.clone(), Txn::new());
        for entry in &entries {
            done = done.delete(entry.key.clone());
            let pending: Pending = match serde_json::from_slice(&entry.value) {
                Ok(pending) => pending,
                Err(error) => return Err(Error::Bug(format!("{}: {error}", entry.key))),
            };
            if self.ahead.remove(&pending.id) {
                continue;
            }
            let mut record = AuditRecord {
                sequence: head.sequence + 1,
                at: pending.at,
                principal: pending.principal,
                from: pending.from,
                verb: pending.verb,
                kind: pending.kind,
                name: pending.name,
                revision: entry.created,
                digest: pending.digest,
                previous: head.hash,
                hash: String::new(),
            };
            record.hash = hash(pending.id, &record);
            head = Head { sequence: record.sequence, hash: record.hash.clone() };
            serde_json::to_writer(&mut text, &Line { id: pending.id, record })
                .expect("memory takes every write");
            text.push(b'\n');
        }
        let failed = |source| Error::File { action: "write", path: self.path.clone(), source };
        let before = self.file.metadata().map_err(failed)?.len();
        if let Err(source) = self.file.write_all(&text).and_then(|()| self.file.sync_data()) {
            // A line cut in two must not stay in front of the next try.
            let _ = self.file.set_len(before);
            return Err(failed(source));
        }
        self.head = head;
        let value = serde_json::to_vec(&self.head).expect("has string keys");
        self.store.txn(done.put(keys::AUDIT_HEAD, value)).await?;
        Ok(true)
    }

    /// Runs until the store goes away.
    pub async fn run(mut self) {
        let mut after = 0;
        loop {
            match self.drain().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "cannot write the audit log");
                    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
                    continue;
                }
            }
            let next = async {
                let mut watch = self.store.watch(keys::AUDIT_PENDING, after).await?;
                watch.next().await
            };
            match next.await {
                Ok(batch) => after = batch.revision,
                Err(_) => {
                    // Compacted, or the store is closing: begin at the present.
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                    after = self.store.revision().await.unwrap_or(after);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tabane_store::Memory;

    use super::*;

    fn caller() -> Caller {
        Caller { principal: "x".into(), role: tabane_model::Role::Admin, host: None, from: "-".into() }
    }

    async fn write(store: &Arc<dyn Store>, count: usize) {
        for i in 0..count {
            let pending = Pending::new(
                &caller(),
                "create",
                Kind::Vm,
                &format!("vm{i}"),
                Some(b"x"),
                jiff::Timestamp::UNIX_EPOCH,
            );
            store.txn(pending.add_to(Txn::new())).await.unwrap();
        }
    }

    async fn head(store: &Arc<dyn Store>) -> Head {
        serde_json::from_slice(&store.get(keys::AUDIT_HEAD).await.unwrap().unwrap().value).unwrap()
    }

    #[tokio::test]
    async fn a_log_is_sound_until_somebody_touches_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let store: Arc<dyn Store> = Arc::new(Memory::new());
        write(&store, 5).await;
        let mut writer = Writer::open(store.clone(), path.clone()).await.unwrap();
        while writer.drain().await.unwrap() {}
        let head = head(&store).await;
        assert!(matches!(verify(&path, Some(&head)).unwrap(), Verdict::Sound { records: 5, .. }));

        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let broken = |changed: String, line: u64| {
            std::fs::write(&path, changed).unwrap();
            match verify(&path, Some(&head)).unwrap() {
                Verdict::Broken { line: at, .. } => assert_eq!(at, line),
                sound => panic!("{sound:?}"),
            }
        };
        let sequences = |before, limit| -> Vec<u64> {
            newest(&path, before, limit).unwrap().iter().map(|record| record.sequence).collect()
        };
        assert_eq!(sequences(None, 2), [5, 4]);
        assert_eq!(sequences(Some(4), 10), [3, 2, 1]);
        assert!(sequences(Some(1), 10).is_empty());
        broken(text.replace("vm2", "vm9"), 3);
        broken([&lines[..1], &lines[2..]].concat().join("\n"), 2);
        broken(lines[..3].join("\n"), 3);
        broken(text[..text.len() - 20].to_owned(), 5);
        broken([lines[0], lines[2], lines[1]].join("\n"), 2);
    }

    #[tokio::test]
    async fn a_long_log_is_read_from_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let store: Arc<dyn Store> = Arc::new(Memory::new());
        write(&store, 2500).await;
        let mut writer = Writer::open(store, path.clone()).await.unwrap();
        while writer.drain().await.unwrap() {}
        assert!(std::fs::metadata(&path).unwrap().len() > 2 * (256 << 10), "more than two blocks");
        let all: Vec<u64> = newest(&path, None, 9999).unwrap().iter().map(|r| r.sequence).collect();
        assert_eq!(all, (1..=2500).rev().collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_writer_that_died_before_its_txn_writes_nothing_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let store: Arc<dyn Store> = Arc::new(Memory::new());
        write(&store, 3).await;
        // The same pending records in another store: their txn never came through here.
        let twin: Arc<dyn Store> = Arc::new(Memory::new());
        for entry in store.list("", None, 10).await.unwrap().entries {
            twin.txn(Txn::new().put(entry.key, entry.value)).await.unwrap();
        }
        Writer::open(store, path.clone()).await.unwrap().drain().await.unwrap();
        // Half a line more, as a power failure leaves it.
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"id\":").unwrap();
        let mut writer = Writer::open(twin.clone(), path.clone()).await.unwrap();
        writer.drain().await.unwrap();
        write(&twin, 1).await;
        writer.drain().await.unwrap();
        let head = head(&twin).await;
        assert!(matches!(verify(&path, Some(&head)).unwrap(), Verdict::Sound { records: 4, .. }));
    }
}
