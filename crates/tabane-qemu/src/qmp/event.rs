//! What QEMU says unasked.
//!
//! Invariant: an event is a hint to look, not the truth: whoever follows events reads the state again after
//! [`Notice::Lagged`], and so loses nothing when events are lost.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::broadcast;
use tokio::time::Instant;

/// Events that wait for a slow listener.
pub(super) const EVENTS_MAX: usize = 256;

/// A longer event is dropped as lost. QEMU's own are below 2 KiB.
pub(super) const EVENT_BYTES_MAX: usize = 64 << 10;

/// The host's clock when the event happened; -1 if QEMU could not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timestamp {
    pub seconds: i64,
    pub microseconds: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// For example `SHUTDOWN`.
    pub name: String,
    pub data: Value,
    pub timestamp: Timestamp,
}

/// What a listener gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    Event(Event),
    /// Events were lost here: read the state again.
    Lagged {
        lost: u64,
    },
}

impl Event {
    /// `SHUTDOWN`: whether the guest wanted it, and QEMU's word for the reason (`guest-shutdown`, `host-qmp-quit` …).
    pub fn as_shutdown(&self) -> Option<(bool, &str)> {
        self.is("SHUTDOWN").then(|| (self.flag("guest"), self.text("reason").unwrap_or("unknown")))
    }

    /// `RESET`: whether the guest wanted it, and the reason.
    pub fn as_reset(&self) -> Option<(bool, &str)> {
        self.is("RESET").then(|| (self.flag("guest"), self.text("reason").unwrap_or("unknown")))
    }

    pub fn is_stop(&self) -> bool {
        self.is("STOP")
    }

    pub fn is_resume(&self) -> bool {
        self.is("RESUME")
    }

    /// `POWERDOWN`: the guest was asked to shut itself down.
    pub fn is_powerdown(&self) -> bool {
        self.is("POWERDOWN")
    }

    /// `BLOCK_IO_ERROR`: where, and whether the storage was full.
    pub fn as_block_io_error(&self) -> Option<BlockIoError<'_>> {
        self.is("BLOCK_IO_ERROR").then(|| BlockIoError {
            node_name: self.text("node-name").unwrap_or(""),
            device: self.text("device").unwrap_or(""),
            write: self.text("operation") == Some("write"),
            stopped: self.text("action") == Some("stop"),
            no_space: self.flag("nospace"),
            reason: self.text("reason").unwrap_or(""),
        })
    }

    /// `DEVICE_DELETED`: id and path of the device. Devices without an id have an empty one.
    pub fn as_device_deleted(&self) -> Option<(&str, &str)> {
        self.is("DEVICE_DELETED")
            .then(|| (self.text("device").unwrap_or(""), self.text("path").unwrap_or("")))
    }

    /// The guest refused to give a device back, by either of QEMU's two events.
    pub fn as_unplug_refused(&self) -> Option<&str> {
        (self.is("DEVICE_UNPLUG_GUEST_ERROR") || self.is("MEM_UNPLUG_ERROR"))
            .then(|| self.text("device").unwrap_or(""))
    }

    /// `GUEST_PANICKED` or `GUEST_CRASHLOADED`: what QEMU did about it (`pause`, `poweroff`, `run`).
    pub fn as_guest_panicked(&self) -> Option<&str> {
        (self.is("GUEST_PANICKED") || self.is("GUEST_CRASHLOADED"))
            .then(|| self.text("action").unwrap_or("unknown"))
    }

    /// `VSERPORT_CHANGE`: id of the port and whether somebody in the guest has it open, such as the guest agent.
    pub fn as_serial_port_change(&self) -> Option<(&str, bool)> {
        self.is("VSERPORT_CHANGE").then(|| (self.text("id").unwrap_or(""), self.flag("open")))
    }

    fn is(&self, name: &str) -> bool {
        self.name == name
    }

    fn flag(&self, key: &str) -> bool {
        self.data.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.data.get(key).and_then(Value::as_str)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockIoError<'a> {
    pub node_name: &'a str,
    /// Path or id of the device; empty for devices of `-blockdev`.
    pub device: &'a str,
    pub write: bool,
    /// The machine was stopped because of it and goes on with `cont`.
    pub stopped: bool,
    /// The storage is full.
    pub no_space: bool,
    /// The system's word for the error.
    pub reason: &'a str,
}

/// Events of one QEMU from the moment of its making.
#[derive(Debug)]
pub struct EventStream {
    receiver: broadcast::Receiver<Notice>,
}

impl EventStream {
    pub(super) fn new(receiver: broadcast::Receiver<Notice>) -> Self {
        EventStream { receiver }
    }

    /// The next notice; `None` when the connection has ended. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Option<Notice> {
        match self.receiver.recv().await {
            Ok(notice) => Some(notice),
            Err(broadcast::error::RecvError::Lagged(lost)) => Some(Notice::Lagged { lost }),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    /// Waits for an event that `wanted` turns into something, or until the deadline or the end of the connection.
    pub async fn find<T>(
        &mut self,
        timeout: Duration,
        mut wanted: impl FnMut(&Event) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + timeout;
        loop {
            match tokio::time::timeout_at(deadline, self.next()).await {
                Ok(Some(Notice::Event(event))) => {
                    if let Some(found) = wanted(&event) {
                        return Some(found);
                    }
                }
                Ok(Some(Notice::Lagged { .. })) => {}
                Ok(None) | Err(_) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: Value) -> Event {
        Event { name: name.into(), data, timestamp: Timestamp::default() }
    }

    #[test]
    fn events_are_understood_and_wrong_ones_do_no_harm() {
        use serde_json::json;
        let shutdown = event("SHUTDOWN", json!({"guest": true, "reason": "guest-shutdown"}));
        assert_eq!(shutdown.as_shutdown(), Some((true, "guest-shutdown")));
        assert_eq!(shutdown.as_reset(), None);
        let full = event(
            "BLOCK_IO_ERROR",
            json!({"operation": "write", "action": "stop", "nospace": true, "node-name": "n", "reason": "No space"}),
        );
        let full = full.as_block_io_error().unwrap();
        assert!(full.no_space && full.write && full.stopped);
        assert_eq!((full.node_name, full.reason), ("n", "No space"));
        assert_eq!(event("DEVICE_DELETED", json!(["not", "an object"])).as_device_deleted(), Some(("", "")));
        assert_eq!(event("VSERPORT_CHANGE", Value::Null).as_serial_port_change(), Some(("", false)));
    }
}
