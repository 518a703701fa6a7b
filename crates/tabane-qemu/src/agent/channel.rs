//! The byte stream to the agent: one call at a time, and finding one's place in it again.
//!
//! Invariant: `synchronized` is true only while no byte of an older answer can be in the stream. It is taken away
//! before a request is sent and given back after its answer was read, so that a dropped call leaves it false.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::Mutex;

use super::PEER;
use crate::lines::{LineError, Lines};
use crate::{Error, Result};

/// The agent puts this byte, which is in no JSON text, before the answer to `guest-sync-delimited`; sent to the
/// agent it makes it forget the beginning of a request.
const DELIMITER: u8 = 0xff;

/// What a guest may make us hold, and for how long we wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// One call, without the waiting for its turn.
    pub timeout: Duration,
    /// The longest usual answer.
    pub line_bytes_max: usize,
    /// The longest answer with contents: output of programs and pieces of files, both in base64.
    pub content_line_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { timeout: Duration::from_secs(10), line_bytes_max: 4 << 20, content_line_bytes_max: 64 << 20 }
    }
}

/// The agent of one guest. Connects when it is needed; costs nothing until then.
///
/// QEMU lets one client at a time have the socket. Calls of several tasks wait for each other.
#[derive(Debug)]
pub struct Agent {
    path: PathBuf,
    limits: Limits,
    connection: Mutex<Option<Connection>>,
    next_sync: AtomicI64,
}

#[derive(Debug)]
struct Connection {
    lines: Lines<UnixStream>,
    synchronized: bool,
}

#[derive(Deserialize)]
struct Answer<T> {
    #[serde(rename = "return")]
    returned: Option<T>,
    error: Option<Refusal>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    class: String,
    desc: String,
}

impl Agent {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Agent::with_limits(path, Limits::default())
    }

    pub fn with_limits(path: impl Into<PathBuf>, limits: Limits) -> Self {
        // A random start keeps the numbers of an earlier client of the same stream from being ours.
        let start = (uuid::Uuid::now_v7().as_u128() & 0x3fff_ffff) as i64;
        Agent {
            path: path.into(),
            limits,
            connection: Mutex::new(None),
            next_sync: AtomicI64::new(start << 20),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Runs a command that this crate has no function for. `arguments` is an object, or null for none.
    ///
    /// Errors: [`Error::Agent`] if the agent refuses, [`Error::Timeout`] if there is no agent or it is busy,
    /// [`Error::Connect`], [`Error::Closed`], [`Error::Protocol`].
    pub async fn execute<T: DeserializeOwned>(&self, command: &str, arguments: Value) -> Result<T> {
        self.call(command, arguments, self.limits.timeout, self.limits.line_bytes_max).await
    }

    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        command: &str,
        arguments: Value,
        timeout: Duration,
        line_bytes_max: usize,
    ) -> Result<T> {
        let mut held = self.connection.lock().await;
        let result = tokio::time::timeout(timeout, async {
            let connection = self.synchronized(&mut held).await?;
            connection.synchronized = false;
            connection.send(command, arguments, false).await?;
            let line = connection.lines.next(line_bytes_max).await.map_err(closed)?;
            connection.synchronized = true;
            understand(command, &line)
        })
        .await;
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                if !matches!(error, Error::Agent { .. }) {
                    *held = None;
                }
                Err(error)
            }
            Err(_) => {
                // Without an agent in the guest every request would stay in QEMU's buffer for a later one to answer,
                // so a connection that never got in step is thrown away.
                held.take_if(|connection| !connection.was_in_step());
                Err(Error::timeout(format!("the guest agent command {command}"), timeout))
            }
        }
    }

    /// Sends a command that has no answer when it works, such as a shutdown. A refusal that comes within the grace
    /// time is an error.
    pub(super) async fn call_without_answer(&self, command: &str, arguments: Value) -> Result<()> {
        const GRACE: Duration = Duration::from_secs(2);
        let limits = self.limits;
        let mut held = self.connection.lock().await;
        let sent = tokio::time::timeout(limits.timeout, async {
            let connection = self.synchronized(&mut held).await?;
            connection.synchronized = false;
            connection.send(command, arguments, false).await
        })
        .await
        .map_err(|_| Error::timeout(format!("the guest agent command {command}"), limits.timeout))
        .flatten();
        if let Err(error) = sent {
            *held = None;
            return Err(error);
        }
        let Some(connection) = held.as_mut() else { return Ok(()) };
        match tokio::time::timeout(GRACE, connection.lines.next(limits.line_bytes_max)).await {
            Ok(Ok(line)) => {
                connection.synchronized = true;
                understand::<serde::de::IgnoredAny>(command, &line).map(drop)
            }
            // The guest went away, which is what was wanted, or says nothing, which is how success looks.
            Ok(Err(_)) | Err(_) => {
                *held = None;
                Ok(())
            }
        }
    }

    async fn synchronized<'a>(&self, held: &'a mut Option<Connection>) -> Result<&'a mut Connection> {
        if held.is_none() {
            let stream = crate::socket::connect(&self.path).await?;
            *held = Some(Connection { lines: Lines::new(stream), synchronized: false });
        }
        let connection = held.as_mut().expect("it was made above");
        if !connection.synchronized {
            let id = self.next_sync.fetch_add(1, Ordering::Relaxed);
            connection.synchronize(id, self.limits.line_bytes_max).await?;
        }
        Ok(connection)
    }
}

impl Connection {
    /// Whether an agent answered on this connection before.
    fn was_in_step(&self) -> bool {
        self.lines.has_read()
    }

    async fn synchronize(&mut self, id: i64, line_bytes_max: usize) -> Result<()> {
        self.send("guest-sync-delimited", json!({ "id": id }), true).await?;
        loop {
            self.lines.skip_past(DELIMITER).await.map_err(closed)?;
            let line = self.lines.next(line_bytes_max).await.map_err(closed)?;
            // An older delimited answer, or a byte of garbage that looked like the delimiter: go on looking.
            let answer = serde_json::from_slice::<Answer<i64>>(&line).ok().and_then(|answer| answer.returned);
            if answer == Some(id) {
                self.synchronized = true;
                return Ok(());
            }
        }
    }

    async fn send(&mut self, command: &str, arguments: Value, delimited: bool) -> Result<()> {
        let mut message = json!({ "execute": command });
        if !arguments.is_null() {
            message["arguments"] = arguments;
        }
        let mut line = Vec::new();
        if delimited {
            line.push(DELIMITER);
        }
        line.extend_from_slice(message.to_string().as_bytes());
        line.push(b'\n');
        self.lines.get_mut().write_all(&line).await.map_err(|error| closed(LineError::Io(error)))
    }
}

fn closed(error: LineError) -> Error {
    match error {
        LineError::TooLong { .. } => Error::Protocol { peer: PEER, detail: error.to_string() },
        _ => Error::Closed { peer: PEER, reason: error.to_string() },
    }
}

fn understand<T: DeserializeOwned>(command: &str, line: &[u8]) -> Result<T> {
    let answer: Answer<T> = serde_json::from_slice(line).map_err(|error| Error::Protocol {
        peer: PEER,
        detail: format!("the answer to {command} is not as expected: {error}"),
    })?;
    match answer {
        Answer { error: Some(refusal), .. } => Err(Error::Agent {
            command: command.to_owned(),
            class: crate::qmp::quote(&refusal.class),
            desc: crate::qmp::quote(&refusal.desc),
        }),
        Answer { returned: Some(value), .. } => Ok(value),
        Answer { .. } => {
            Err(Error::Protocol { peer: PEER, detail: format!("the answer to {command} is empty") })
        }
    }
}
