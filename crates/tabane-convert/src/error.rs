//! What can be wrong with a package that somebody else made.

use std::io;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the package")]
    Read(#[from] io::Error),
    /// The tar around the files.
    #[error("the archive is damaged at byte {offset}: {reason}")]
    Archive { offset: u64, reason: &'static str },
    /// A name that would lead out of the package, or a kind of entry that has no place in it.
    #[error("the archive has an entry {name:?} that {reason}; it may be an attack, and is not read further")]
    Entry { name: String, reason: &'static str },
    #[error("the descriptor is not understood: {0}")]
    Descriptor(String),
    /// Understood, and beyond what Tabane does.
    #[error("{what}\n  {hint}")]
    Unsupported { what: String, hint: &'static str },
    #[error("the manifest is not understood: {0}")]
    Manifest(String),
}

pub type Result<T> = std::result::Result<T, Error>;
