//! The thread that writes, and the way to it.
//!
//! ```text
//!   wait for a command or the next lease deadline
//!     └─► drain what else waits (bounded) ─► batch in one transaction ─► commit ─► announce ─► acknowledge
//! ```
//!
//! Group commit: while one fsync runs, the next batch gathers by itself, so a lone txn never waits for company and many
//! share one fsync.
//!
//! Invariant: the queue is bounded by bytes, and a command gives its share back only when it is answered.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::batch::{self, Batch};
use super::database;
use super::schema::Meta;
use crate::lease::Leases;
use crate::types::{LeaseId, Outcome, Revision, Txn};
use crate::{Error, Result};

/// How much the queue may hold; senders wait beyond it.
const QUEUE_KIB: usize = 64 * 1024;
/// What each command counts at least: its structure and its reply.
const COMMAND_KIB: usize = 4;
/// A batch ends here: it bounds how long the first of it waits for the last.
const BATCH_COMMANDS: usize = 512;
const BATCH_BYTES: usize = 8 << 20;
/// When the end of a lease cannot be committed.
const RETRY: Duration = Duration::from_secs(1);

pub(super) type Reply<T> = oneshot::Sender<Result<T>>;

pub(super) enum Command {
    Txn(Txn, Reply<Outcome>),
    Compact(Revision, Reply<()>),
    Grant(u64, Reply<LeaseId>),
    Renew(LeaseId, Reply<()>),
    Revoke(LeaseId, Reply<()>),
}

struct Queued {
    command: Command,
    size_bytes: usize,
    _share: OwnedSemaphorePermit,
}

/// The way to the writer thread. Dropping it waits for the thread.
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Queued>>,
    room: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// The receiver tells the revision of the last commit.
    pub(super) fn start(connection: Connection) -> Result<(Writer, watch::Receiver<Revision>)> {
        let meta = Meta::load(&connection)?;
        let mut leases = Leases::new();
        let now = Instant::now();
        for (id, ttl_ms) in batch::stored_leases(&connection)? {
            leases.insert(id, ttl_ms, now);
        }
        let (head, receiver) = watch::channel(meta.revision);
        let (queue, commands) = mpsc::channel();
        let mut running = Running { connection, meta, leases, head };
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || running.run(&commands))
            .map_err(|error| Error::file("start a thread for", "the store", error))?;
        let room = Arc::new(Semaphore::new(QUEUE_KIB));
        Ok((Writer { queue: Some(queue), room, thread: Some(thread) }, receiver))
    }

    /// Queues a command and waits for its answer.
    pub(super) async fn send<T>(
        &self,
        size_bytes: usize,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T> {
        let share_kib = (COMMAND_KIB + size_bytes / 1024) as u32;
        let share = self.room.clone().acquire_many_owned(share_kib).await.map_err(|_| Error::Closed)?;
        let (reply, answer) = oneshot::channel();
        let queued = Queued { command: command(reply), size_bytes, _share: share };
        let queue = self.queue.as_ref().ok_or(Error::Closed)?;
        queue.send(queued).map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was reported when it happened.
            let _ = thread.join();
        }
    }
}

struct Running {
    connection: Connection,
    meta: Meta,
    leases: Leases<Instant>,
    head: watch::Sender<Revision>,
}

impl Running {
    fn run(&mut self, commands: &mpsc::Receiver<Queued>) {
        loop {
            let first = match self.leases.next_deadline() {
                None => commands.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(deadline) => commands.recv_timeout(deadline.saturating_duration_since(Instant::now())),
            };
            match first {
                Ok(first) => self.commit(drain(first, commands)),
                Err(RecvTimeoutError::Timeout) => self.commit(Vec::new()),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // A clean end leaves no WAL; if it cannot, the next start recovers it.
        if let Err(error) = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
            tracing::warn!(%error, "the store was closed without a checkpoint");
        }
    }

    /// One transaction for all commands and for the leases that are over. Renewals among the commands come first: what
    /// waited in the queue when a deadline passed was in time.
    fn commit(&mut self, queued: Vec<Queued>) {
        let now = Instant::now();
        let mut shares = Vec::with_capacity(queued.len());
        let mut commands = Vec::with_capacity(queued.len());
        for Queued { command, _share, .. } in queued {
            shares.push(_share);
            commands.push(command);
        }
        let result = Batch::begin(&self.connection, self.meta, &mut self.leases).and_then(|mut batch| {
            for command in &commands {
                batch.run(command, now)?;
            }
            batch.expire(now)?;
            batch.commit()
        });
        match result {
            Ok(done) => {
                self.meta = done.meta;
                for (id, ttl_ms) in done.granted {
                    self.leases.insert(id, ttl_ms, Instant::now());
                }
                for id in done.ended {
                    self.leases.remove(id);
                }
                let revision = self.meta.revision;
                self.head.send_if_modified(|head| std::mem::replace(head, revision) != revision);
                for (command, answer) in commands.into_iter().zip(done.answers) {
                    command.answer(answer);
                }
            }
            Err(error) => {
                self.roll_back();
                for id in self.leases.expired(now) {
                    tracing::warn!(lease = %id, %error, "a lease is over, but its keys cannot be removed yet");
                    self.leases.postpone(id, Instant::now() + RETRY);
                }
                for command in commands {
                    command.fail(error.clone());
                }
            }
        }
        drop(shares);
    }

    /// Some errors (a full disk) have ended the transaction already, others have not.
    fn roll_back(&mut self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK").map_err(database("roll back"))
        {
            tracing::error!(%error, "the store cannot roll back");
        }
    }
}

fn drain(first: Queued, commands: &mpsc::Receiver<Queued>) -> Vec<Queued> {
    let mut size_bytes = first.size_bytes;
    let mut batch = vec![first];
    while batch.len() < BATCH_COMMANDS && size_bytes < BATCH_BYTES {
        let Ok(next) = commands.try_recv() else { break };
        size_bytes += next.size_bytes;
        batch.push(next);
    }
    batch
}

/// What a command will be told when its batch is committed.
pub(super) enum Answer {
    Outcome(Outcome),
    Lease(LeaseId),
    Done,
    Refused(Error),
}

impl Command {
    fn answer(self, answer: Answer) {
        // Whoever asked may have gone.
        match (self, answer) {
            (command, Answer::Refused(error)) => command.fail(error),
            (Command::Txn(_, reply), Answer::Outcome(outcome)) => drop(reply.send(Ok(outcome))),
            (Command::Grant(_, reply), Answer::Lease(lease)) => drop(reply.send(Ok(lease))),
            (
                Command::Compact(_, reply) | Command::Renew(_, reply) | Command::Revoke(_, reply),
                Answer::Done,
            ) => {
                drop(reply.send(Ok(())));
            }
            _ => unreachable!("each kind of command has its kind of answer"),
        }
    }

    fn fail(self, error: Error) {
        match self {
            Command::Txn(_, reply) => drop(reply.send(Err(error))),
            Command::Grant(_, reply) => drop(reply.send(Err(error))),
            Command::Compact(_, reply) | Command::Renew(_, reply) | Command::Revoke(_, reply) => {
                drop(reply.send(Err(error)));
            }
        }
    }
}
