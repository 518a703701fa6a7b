//! The two tasks behind a [`super::Qmp`] and what they share.
//!
//! Invariant: nothing here grows with what QEMU sends: one line at a time, pending calls only as many as callers,
//! events in a ring of fixed length.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::event::{EVENT_BYTES_MAX, EVENTS_MAX, Event, EventStream, Notice};
use super::{LINE_BYTES_MAX, PEER};
use crate::lines::Lines;
use crate::{Error, Result};

/// Commands that wait for the writer.
const QUEUE_MAX: usize = 64;

/// Longest text of QEMU that goes into one of our messages.
const QUOTE_CHARS_MAX: usize = 200;

/// Anything QEMU says after its greeting.
#[derive(Debug, Deserialize)]
struct Message {
    id: Option<u64>,
    /// Some commands answer null, which is an answer all the same.
    #[serde(rename = "return", default, deserialize_with = "present")]
    returned: Option<Value>,
    error: Option<Refusal>,
    event: Option<String>,
    #[serde(default)]
    data: Value,
    #[serde(default)]
    timestamp: super::Timestamp,
}

fn present<'de, D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refusal {
    class: String,
    desc: String,
}

type Answer = std::result::Result<Value, Refusal>;

#[derive(Debug)]
struct Shared {
    pending: Mutex<Pending>,
    /// `None` once the connection is closed, which ends all streams.
    events: Mutex<Option<broadcast::Sender<Notice>>>,
}

#[derive(Debug, Default)]
struct Pending {
    calls: HashMap<u64, oneshot::Sender<Answer>>,
    /// Why the connection is closed, once it is.
    closed: Option<String>,
}

/// A line for QEMU, perhaps with an open handle beside its first byte.
#[derive(Debug)]
struct Outgoing {
    line: Vec<u8>,
    fd: Option<OwnedFd>,
}

#[derive(Debug)]
pub(super) struct Connection {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Outgoing>,
    next_id: AtomicU64,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Connection {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        self.shared.close("we closed it".into());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connection {
    /// Negotiates on a fresh stream. The caller sets the time limit.
    pub(super) async fn open(stream: UnixStream) -> Result<(Connection, EventStream)> {
        let (reader, writer) = stream.into_split();
        let mut lines = Lines::new(reader);
        let greeting = lines
            .next(LINE_BYTES_MAX)
            .await
            .map_err(|error| Error::Closed { peer: PEER, reason: format!("no greeting: {error}") })?;
        let greeting: Value = serde_json::from_slice(&greeting).unwrap_or_default();
        if !greeting["QMP"].is_object() {
            return Err(Error::Protocol { peer: PEER, detail: "there is no greeting".into() });
        }
        let sender = broadcast::Sender::new(EVENTS_MAX);
        // Subscribed before the first event can come.
        let events = EventStream::new(sender.subscribe());
        let shared = Arc::new(Shared { pending: Mutex::default(), events: Mutex::new(Some(sender)) });
        let (queue, queued) = mpsc::channel(QUEUE_MAX);
        let tasks =
            [tokio::spawn(read(lines, shared.clone())), tokio::spawn(write(writer, queued, shared.clone()))];
        let connection = Connection { shared, queue, next_id: AtomicU64::new(1), tasks };
        connection.call("qmp_capabilities", Value::Null, None).await?;
        Ok((connection, events))
    }

    /// One command and its answer. The caller sets the time limit, by dropping this.
    pub(super) async fn call(&self, command: &str, arguments: Value, fd: Option<OwnedFd>) -> Result<Value> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut message = json!({ "execute": command, "id": id });
        if !arguments.is_null() {
            message["arguments"] = arguments;
        }
        let mut line = message.to_string().into_bytes();
        line.push(b'\n');

        let (sender, answer) = oneshot::channel();
        {
            let mut pending = lock(&self.shared.pending);
            if let Some(reason) = &pending.closed {
                return Err(Error::Closed { peer: PEER, reason: reason.clone() });
            }
            pending.calls.insert(id, sender);
        }
        // Whoever gives up takes his entry along.
        let _entry = Entry { shared: &self.shared, id };
        if self.queue.send(Outgoing { line, fd }).await.is_err() {
            return Err(self.shared.closed_error());
        }
        match answer.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(refusal)) => Err(Error::Qmp {
                command: command.to_owned(),
                class: quote(&refusal.class),
                desc: quote(&refusal.desc),
            }),
            Err(_) => Err(self.shared.closed_error()),
        }
    }

    pub(super) fn subscribe(&self) -> EventStream {
        match &*lock(&self.shared.events) {
            Some(sender) => EventStream::new(sender.subscribe()),
            // Already closed: a stream that ends at once.
            None => EventStream::new(broadcast::Sender::new(1).subscribe()),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.shared.pending).closed.is_some()
    }
}

struct Entry<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        lock(&self.shared.pending).calls.remove(&self.id);
    }
}

impl Shared {
    fn close(&self, reason: String) {
        let calls = {
            let mut pending = lock(&self.pending);
            pending.closed.get_or_insert(reason);
            std::mem::take(&mut pending.calls)
        };
        // Dropping the senders wakes the callers.
        drop(calls);
        lock(&self.events).take();
    }

    fn closed_error(&self) -> Error {
        let reason = lock(&self.pending).closed.clone().unwrap_or_else(|| "it was given up".into());
        Error::Closed { peer: PEER, reason }
    }

    /// Takes one line; an error ends the connection.
    fn accept(&self, line: &[u8]) -> std::result::Result<(), String> {
        let message: Message =
            serde_json::from_slice(line).map_err(|error| format!("it said what is not QMP: {error}"))?;
        if let Some(name) = message.event {
            let notice = if line.len() > EVENT_BYTES_MAX {
                Notice::Lagged { lost: 1 }
            } else {
                Notice::Event(Event { name, data: message.data, timestamp: message.timestamp })
            };
            if let Some(sender) = &*lock(&self.events) {
                // Nobody listening is no error.
                let _ = sender.send(notice);
            }
            return Ok(());
        }
        let answer = match (message.returned, message.error) {
            (_, Some(refusal)) => Err(refusal),
            (Some(value), None) => Ok(value),
            (None, None) => return Err("it said neither return, error nor event".into()),
        };
        let waiting = message.id.and_then(|id| lock(&self.pending).calls.remove(&id));
        match waiting {
            Some(caller) => {
                let _ = caller.send(answer);
            }
            None => tracing::debug!(id = message.id, "an answer nobody waits for"),
        }
        Ok(())
    }
}

async fn read(mut lines: Lines<OwnedReadHalf>, shared: Arc<Shared>) {
    let reason = loop {
        match lines.next(LINE_BYTES_MAX).await {
            Ok(line) if line.trim_ascii().is_empty() => {}
            Ok(line) => {
                if let Err(reason) = shared.accept(&line) {
                    break reason;
                }
            }
            Err(error) => break error.to_string(),
        }
    };
    shared.close(reason);
}

async fn write(mut writer: OwnedWriteHalf, mut queued: mpsc::Receiver<Outgoing>, shared: Arc<Shared>) {
    while let Some(Outgoing { line, fd }) = queued.recv().await {
        let written = match fd {
            None => writer.write_all(&line).await,
            Some(fd) => write_with_fd(&mut writer, &line, fd).await,
        };
        if let Err(error) = written {
            // The reader usually sees the end, too, and has more to say about it; but it need not.
            shared.close(error.to_string());
            return;
        }
    }
}

/// The handle rides on the first bytes (unix(7), SCM_RIGHTS); the rest follows as usual.
async fn write_with_fd(writer: &mut OwnedWriteHalf, line: &[u8], fd: OwnedFd) -> std::io::Result<()> {
    let sent = loop {
        writer.writable().await?;
        let stream: &UnixStream = writer.as_ref();
        let result = stream.try_io(tokio::io::Interest::WRITABLE, || {
            let fds = [fd.as_fd()];
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            ancillary.push(SendAncillaryMessage::ScmRights(&fds));
            let parts = [std::io::IoSlice::new(line)];
            Ok(rustix::net::sendmsg(stream, &parts, &mut ancillary, SendFlags::NOSIGNAL)?)
        });
        match result {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            other => break other?,
        }
    };
    writer.write_all(line.get(sent..).unwrap_or_default()).await
}

/// Foreign text for one of our messages: short, on one line.
pub(crate) fn quote(text: &str) -> String {
    text.chars().take(QUOTE_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
