//! What can go wrong with an image file.

use std::path::PathBuf;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("{} is not installed: install the package qemu-utils", program.display())]
    NotInstalled { program: PathBuf },

    #[error("cannot start {}", program.display())]
    Start { program: PathBuf, source: std::io::Error },

    #[error("cannot {action} {}", path.display())]
    File { action: &'static str, path: PathBuf, source: std::io::Error },

    /// qemu-img ran and said no.
    #[error("cannot {action} {}: {detail}", path.display())]
    Failed { action: &'static str, path: PathBuf, detail: String },

    /// qemu-img was ended because it needed more than the sandbox gives.
    #[error("cannot {action} {}: qemu-img exceeded its limit of {limit}", path.display())]
    Limit { action: &'static str, path: PathBuf, limit: &'static str },

    #[error("cannot {action} {}: it took longer than {timeout_ms} ms", path.display())]
    Timeout { action: &'static str, path: PathBuf, timeout_ms: u64 },

    /// A running vm, or another tool, has the image open.
    #[error("{} is in use by another process", path.display())]
    InUse { path: PathBuf },

    #[error("no space left to write {}", path.display())]
    NoSpace { path: PathBuf },

    /// The image would make qemu-img read something other than the image.
    #[error("{} is refused: {reason}", path.display())]
    Refused { path: PathBuf, reason: String },

    /// What we were asked to do makes no sense.
    #[error("invalid {field}: {reason}")]
    Invalid { field: &'static str, reason: String },

    #[error("qemu-img's answer about {} is not understood: {detail}", path.display())]
    Answer { path: PathBuf, detail: String },
}
