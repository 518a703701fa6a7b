//! Who a process is, for longer than we live.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::process::{Pid, PidfdFlags};
use serde::{Deserialize, Serialize};
use tokio::io::unix::AsyncFd;

use super::reaper;
use crate::{Error, Result};

/// A process, told apart from any other that gets the same number later in this boot.
///
/// Start times begin anew when the host boots: whoever keeps a `ProcessId` on disk keeps [`boot_id`] beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    pub pid: u32,
    /// Clock ticks from the boot to the process's birth: field 22 of `/proc/<pid>/stat`, see proc(5).
    pub start_time: u64,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitStatus {
    Code(i32),
    Signal(i32),
}

/// The end of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Unknown if the process was not our child: the kernel tells the status to the parent only.
    pub status: Option<ExitStatus>,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.status {
            Some(ExitStatus::Code(code)) => write!(to, "ended with code {code}"),
            Some(ExitStatus::Signal(signal)) => write!(to, "was killed by signal {signal}"),
            None => to.write_str("ended"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Asks QEMU to end; it flushes its disks first.
    Terminate,
    /// Ends the process at once.
    Kill,
    Stop,
    Continue,
}

impl From<Signal> for rustix::process::Signal {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Terminate => Self::TERM,
            Signal::Kill => Self::KILL,
            Signal::Stop => Self::STOP,
            Signal::Continue => Self::CONT,
        }
    }
}

impl ProcessId {
    /// The process that has this number now. Errors: [`Error::ProcessGone`].
    pub fn of(pid: u32) -> Result<Self> {
        match read_stat(pid) {
            Some(stat) if stat.lives() => Ok(ProcessId { pid, start_time: stat.start_time }),
            _ => Err(Error::ProcessGone { pid }),
        }
    }

    /// As [`ProcessId::of`], for a child that may be dead already but is not reaped yet.
    pub(super) fn of_child(pid: u32) -> Result<Self> {
        let stat = read_stat(pid).ok_or(Error::ProcessGone { pid })?;
        Ok(ProcessId { pid, start_time: stat.start_time })
    }

    /// Whether this very process still runs. A zombie does not.
    pub fn is_alive(&self) -> bool {
        read_stat(self.pid).is_some_and(|stat| stat.start_time == self.start_time && stat.lives())
    }

    /// Waits until the process has ended; returns at once if it has already. Needs a tokio runtime with IO.
    pub async fn wait(&self) -> Exit {
        if let Some(status) = reaper::status_of_child(*self).await {
            return Exit { status: Some(status) };
        }
        // Adopted: the pidfd becomes readable when the process ends.
        if let Ok(Some(pidfd)) = self.open() {
            // SAFETY: the pidfd is owned by the AsyncFd and stays the same until both are dropped.
            let watched = unsafe { AsyncFd::register_with_interest(pidfd, tokio::io::Interest::READABLE) };
            if let Ok(watched) = watched
                && watched.readable().await.is_ok()
            {
                return Exit { status: None };
            }
        }
        // Without a pidfd (out of handles) there is still the slow way.
        while self.is_alive() {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        Exit { status: None }
    }

    /// Sends a signal to this very process. Errors: [`Error::ProcessGone`].
    pub fn kill(&self, signal: Signal) -> Result<()> {
        let pidfd = self.open()?.ok_or(Error::ProcessGone { pid: self.pid })?;
        match rustix::process::pidfd_send_signal(&pidfd, signal.into()) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::SRCH) => Err(Error::ProcessGone { pid: self.pid }),
            Err(source) => Err(Error::System { action: "send a signal", source: source.into() }),
        }
    }

    /// A pidfd of this very process, or `None` if it has ended.
    fn open(&self) -> Result<Option<OwnedFd>> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        let pidfd = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(source) => return Err(Error::System { action: "open a pidfd", source: source.into() }),
        };
        // Checked after opening: from here on the handle cannot come to mean another process.
        Ok(self.is_alive().then_some(pidfd))
    }
}

/// The random name that the kernel gave to this boot of the host.
pub fn boot_id() -> Result<uuid::Uuid> {
    let path = PathBuf::from("/proc/sys/kernel/random/boot_id");
    let text = std::fs::read_to_string(&path).map_err(|source| Error::File {
        action: "read",
        path: path.clone(),
        source,
    })?;
    uuid::Uuid::parse_str(text.trim()).map_err(|error| Error::File {
        action: "understand",
        path,
        source: std::io::Error::new(std::io::ErrorKind::InvalidData, error),
    })
}

struct Stat {
    state: u8,
    start_time: u64,
}

impl Stat {
    fn lives(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }
}

fn read_stat(pid: u32) -> Option<Stat> {
    parse_stat(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Field 2 is the program's name in parentheses and may itself hold spaces and parentheses: the fields after it are
/// counted from the last closing one.
fn parse_stat(line: &[u8]) -> Option<Stat> {
    let end = line.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(line.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    // The state was field 3, so field 22 is 18 fields further on.
    let start_time = fields.nth(18)?.parse().ok()?;
    Some(Stat { state, start_time })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_parentheses_do_not_confuse() {
        let line = b"42 (a) Z (b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 987654 20";
        let stat = parse_stat(line).unwrap();
        assert_eq!((stat.state, stat.start_time), (b'S', 987_654));
        assert!(parse_stat(b"42 (x) S 1").is_none());
        assert!(parse_stat(b"").is_none());
    }

    #[test]
    fn another_start_time_is_another_process() {
        let me = ProcessId::of(std::process::id()).unwrap();
        assert!(me.is_alive());
        let other = ProcessId { start_time: me.start_time + 1, ..me };
        assert!(!other.is_alive());
        assert!(matches!(other.kill(Signal::Kill), Err(Error::ProcessGone { .. })));
        assert!(matches!(ProcessId::of(u32::MAX), Err(Error::ProcessGone { .. })));
    }

    #[test]
    fn the_boot_has_a_name() {
        assert_eq!(boot_id().unwrap(), boot_id().unwrap());
    }

    #[tokio::test]
    async fn a_foreign_process_is_waited_for_without_status() {
        let mut child = std::process::Command::new("sleep").arg("0.1").spawn().unwrap();
        let id = ProcessId::of(child.id()).unwrap();
        assert_eq!(id.wait().await, Exit { status: None });
        child.wait().unwrap();
        assert_eq!(id.wait().await, Exit { status: None });
    }
}
