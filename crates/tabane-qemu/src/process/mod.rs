//! Processes that outlive us.
//!
//! ```text
//!   Launch ──spawn──► running ──exit──► zombie ──reaper──► gone, with its Exit remembered
//!                        │
//!     we end, a new us ──┴─ of the same ProcessId ──► running (adopted) ──exit──► gone, Exit unknown
//! ```
//!
//! Invariant: a process is never addressed by its bare number, which the kernel gives away again, but by number and
//! start time together; a signal goes through a pidfd that was checked after it was opened.

mod child;
mod id;
mod launch;
mod reaper;

pub use id::{Exit, ExitStatus, ProcessId, Signal, boot_id};
pub use launch::{Credentials, Launch};

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// The last lines of a log, at most `bytes_max` bytes: what a dead QEMU said last. Empty if there is no such file.
///
/// Control characters, which could fool a terminal, come out as spaces.
pub fn stderr_tail(path: &Path, bytes_max: usize) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(bytes_max as u64)))?;
        let mut bytes = Vec::new();
        file.take(bytes_max as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text: String = String::from_utf8_lossy(&bytes)
        .chars()
        .map(|c| if c.is_control() && c != '\n' { ' ' } else { c })
        .collect();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_bounded_and_clean() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("log");
        std::fs::write(&path, "first\nsecond \x1b[31mred\n").unwrap();
        assert_eq!(stderr_tail(&path, 100), "first\nsecond  [31mred");
        assert_eq!(stderr_tail(&path, 4), "red");
        assert_eq!(stderr_tail(&root.path().join("none"), 4), "");
    }
}
