//! What can go wrong between us and a QEMU.
//!
//! Invariant: a message names the thing it is about and never repeats its source; whoever prints the error prints
//! the chain.

use std::path::PathBuf;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file, folder or device of the host.
    #[error("cannot {action} {path}")]
    File { action: &'static str, path: PathBuf, source: std::io::Error },

    /// A request to the host's kernel that is about no single file.
    #[error("cannot {action}")]
    System { action: &'static str, source: std::io::Error },

    /// A program that has to be installed first; `hint` says how.
    #[error("{program} is not installed: {hint}")]
    NotInstalled { program: String, hint: &'static str },

    /// The program handed to [`crate::process::Launch`] does not exist.
    #[error("the program {program} does not exist")]
    ProgramMissing { program: PathBuf },

    /// The child failed in one step between its birth and the program's first instruction.
    #[error("cannot start {program}: the child failed to {step}")]
    Start { program: PathBuf, step: &'static str, source: std::io::Error },

    /// A tool ran and said no.
    #[error("{program} failed: {detail}")]
    Tool { program: String, detail: String },

    /// The process ended, or its number belongs to another process by now.
    #[error("the process {pid} has ended")]
    ProcessGone { pid: u32 },

    #[error("cannot connect to the socket {path}")]
    Connect { path: PathBuf, source: std::io::Error },

    /// Nobody answered in time. The thing asked for may still happen later.
    #[error("{what} did not finish within {timeout_ms} ms")]
    Timeout { what: String, timeout_ms: u64 },

    /// The connection is gone: QEMU ended, or it was cut after a breach of the protocol.
    #[error("the connection to {peer} is closed: {reason}")]
    Closed { peer: &'static str, reason: String },

    /// The other side spoke, but not the protocol.
    #[error("{peer} breaks the protocol: {detail}")]
    Protocol { peer: &'static str, detail: String },

    /// QEMU refused a command.
    #[error("QEMU refused {command}: {desc} ({class})")]
    Qmp { command: String, class: String, desc: String },

    /// The guest agent refused a command.
    #[error("the guest agent refused {command}: {desc} ({class})")]
    Agent { command: String, class: String, desc: String },

    /// What we were asked to do makes no sense.
    #[error("invalid {field}: {reason}")]
    Invalid { field: &'static str, reason: String },

    /// The machine has no place for another device.
    #[error("no free {what}: {hint}")]
    Exhausted { what: &'static str, hint: String },

    /// The thing exists already, but differently from what is asked for.
    #[error("{what} exists already and differs: {detail}")]
    Conflict { what: String, detail: String },

    /// The guest does not give a device back, or QEMU does not let go of it yet. Trying again completes the work.
    #[error(
        "the guest does not release {device} ({detail}): the guest has to be running and to react to hot-unplug"
    )]
    NotReleased { device: String, detail: String },
}

impl Error {
    /// A refused command of this error class, for example `DeviceNotFound`.
    pub fn is_qmp_class(&self, wanted: &str) -> bool {
        matches!(self, Error::Qmp { class, .. } if class == wanted)
    }

    /// Whether the other side, not the request, is the trouble, so that trying again later may help.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Error::Timeout { .. }
                | Error::Closed { .. }
                | Error::Connect { .. }
                | Error::Protocol { .. }
                | Error::NotReleased { .. }
        )
    }

    pub(crate) fn timeout(what: impl Into<String>, timeout: std::time::Duration) -> Self {
        Error::Timeout {
            what: what.into(),
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
        }
    }

    pub(crate) fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Error::Invalid { field, reason: reason.into() }
    }
}
