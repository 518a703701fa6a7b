//! What can be wrong with a package that somebody else made.

use std::io;

use tabane_model::{Class, Problem};

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
    /// It fits here in no way, or not as it was asked for.
    #[error("{what}\n  {hint}")]
    Unfit { field: &'static str, what: String, hint: String },
}

impl Error {
    pub(crate) fn unfit(field: &'static str, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Unfit { field, what: what.into(), hint: hint.into() }
    }

    /// For the API, which has places of their own for the field and for what to do next.
    pub fn problem(&self) -> Problem {
        let problem = |detail: String| Problem::new(Class::Invalid, "package_refused", detail);
        match self {
            Self::Unsupported { what, hint } => problem(what.clone()).with_hint(*hint),
            Self::Unfit { field, what, hint } => problem(what.clone()).with_field(*field).with_hint(hint),
            _ => problem(self.to_string()).with_hint("fetch or export the package again"),
        }
    }
}

pub type Result<T> = std::result::Result<T, Error>;
