//! QMP: how QEMU is told what to do.
//!
//! ```text
//!  connect ─► greeting ─► qmp_capabilities ─► ready ── end of stream, garbage, an endless line ──► closed
//!                                               │ execute: id 7 ──►            every pending call fails,
//!                                               │ ◄── answer for id 7          every event stream ends
//!                                               │ ◄── event ──► all streams
//! ```
//!
//! One task reads, one writes; callers wait for the answer with their id. The protocol is QEMU's
//! `docs/interop/qmp-spec.txt`.
//!
//! Invariant: every call ends, by its answer, its time-out or the end of the connection; and a late answer to a call
//! that was given up is dropped, never taken for another's.

mod commands;
mod connection;
mod event;

pub use commands::{
    BlockInfo, BlockStats, BlockStatsEntry, InsertedNode, MemoryDevice, MemoryDeviceInfo, NamedBlockNode,
    NodeImage, RunState, Status, Version,
};
pub use event::{BlockIoError, Event, EventStream, Notice, Timestamp};

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, Result};
pub(crate) use commands::path_text;
use connection::Connection;
pub(crate) use connection::quote;

/// Longest line that QEMU may say.
pub const LINE_BYTES_MAX: usize = 16 << 20;

/// How long a command may take unless the caller says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) const PEER: &str = "QMP";

/// A connection to one QEMU's monitor. Clones share it; it closes when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Qmp {
    connection: Arc<Connection>,
}

impl Qmp {
    /// Connects, waits for a socket that is not there yet, and negotiates. All of it within `timeout`.
    ///
    /// QEMU serves one client per monitor: as long as another is connected, this times out.
    pub async fn connect(path: &Path, timeout: Duration) -> Result<(Qmp, EventStream)> {
        let handshake = async {
            let stream = crate::socket::connect_when_ready(path, timeout).await?;
            Connection::open(stream).await
        };
        let (connection, events) = tokio::time::timeout(timeout, handshake)
            .await
            .map_err(|_| Error::timeout(format!("the QMP handshake on {}", path.display()), timeout))??;
        Ok((Qmp { connection: Arc::new(connection) }, events))
    }

    /// Runs a command. `arguments` is an object, or null for none.
    ///
    /// Errors: [`Error::Qmp`] if QEMU refuses, [`Error::Timeout`], [`Error::Closed`], and [`Error::Protocol`] if the
    /// answer is not a `T`.
    pub async fn execute<T: DeserializeOwned>(&self, command: &str, arguments: Value) -> Result<T> {
        self.execute_with_timeout(command, arguments, TIMEOUT).await
    }

    /// As [`Qmp::execute`], with its own time-out. After a time-out the command may still take effect.
    pub async fn execute_with_timeout<T: DeserializeOwned>(
        &self,
        command: &str,
        arguments: Value,
        timeout: Duration,
    ) -> Result<T> {
        let answer = tokio::time::timeout(timeout, self.connection.call(command, arguments, None))
            .await
            .map_err(|_| Error::timeout(format!("the QMP command {command}"), timeout))??;
        serde_json::from_value(answer).map_err(|error| Error::Protocol {
            peer: PEER,
            detail: format!("the answer to {command} is not as expected: {error}"),
        })
    }

    /// A command whose answer says nothing.
    pub(crate) async fn run(&self, command: &str, arguments: Value) -> Result<()> {
        let _: serde::de::IgnoredAny = self.execute(command, arguments).await?;
        Ok(())
    }

    /// Hands an open handle to QEMU, where it is then known by a name: a tap or a vhost device for a nic, a socket for
    /// a migration. A handle of that name that QEMU has not used yet is replaced.
    pub async fn pass_fd(&self, name: &str, fd: OwnedFd) -> Result<()> {
        let arguments = serde_json::json!({ "fdname": crate::command::check_fd_name(name)? });
        tokio::time::timeout(TIMEOUT, self.connection.call("getfd", arguments, Some(fd)))
            .await
            .map_err(|_| Error::timeout("the QMP command getfd", TIMEOUT))?
            .map(drop)
    }

    /// Another stream of events, from now on.
    pub fn subscribe(&self) -> EventStream {
        self.connection.subscribe()
    }

    /// Whether the connection is gone. It never comes back: connect anew.
    pub fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }
}

#[cfg(test)]
mod tests;
