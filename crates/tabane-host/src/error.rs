//! What can go wrong on a host.

use std::path::PathBuf;

use tabane_model::{Class, Problem};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot {action} {path}")]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("another agent uses the data folder {path}")]
    FolderInUse { path: PathBuf },
    #[error("{path} is not understood")]
    Form { path: PathBuf, source: serde_json::Error },
    #[error(transparent)]
    Qemu(#[from] tabane_qemu::Error),
    #[error(transparent)]
    Img(#[from] tabane_qemu::img::Error),
    #[error(transparent)]
    Build(#[from] crate::image::build::Error),
    #[error(transparent)]
    Client(#[from] tabane_client::Error),
    /// Something has to happen elsewhere first; the driver is woken when it has.
    #[error("{0}")]
    NotYet(String),
    /// The spec cannot be made true on this host.
    #[error("{detail}")]
    Unfit { detail: String, hint: String },
    #[error("{tool} failed: {detail}")]
    Tool { tool: String, detail: String },
    #[error("{0}")]
    Stream(String),
}

/// An error with all that is behind it, on one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = error.source();
    }
    text
}

impl Error {
    pub fn unfit(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Unfit { detail: detail.into(), hint: hint.into() }
    }

    /// The whole chain on one line, and what to do next when that is known.
    pub fn told(&self) -> String {
        let mut text = chain(self);
        let hint = self.hint();
        if !hint.is_empty() {
            text.push_str("; ");
            text.push_str(&hint);
        }
        text
    }

    /// What to do next; empty when that is not known.
    fn hint(&self) -> String {
        match self {
            Self::Unfit { hint, .. } => hint.clone(),
            Self::Build(error) => error.hint(),
            _ => String::new(),
        }
    }

    pub fn problem(&self) -> Problem {
        let (class, code) = match self {
            Self::NotYet(_) => (Class::Unavailable, "not_yet"),
            Self::Unfit { .. } => (Class::Conflict, "unfit"),
            Self::Stream(_) => (Class::Conflict, "stream_refused"),
            Self::Qemu(tabane_qemu::Error::Agent { .. }) => (Class::Conflict, "guest_agent"),
            _ => (Class::Unavailable, "host_failed"),
        };
        let problem = Problem::new(class, code, chain(self));
        match self.hint() {
            hint if hint.is_empty() => problem,
            hint => problem.with_hint(hint),
        }
    }

    pub fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    /// No space left: the one failure of a disk that mends itself when others go.
    pub fn is_full(&self) -> bool {
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = source {
            if let Some(io) = error.downcast_ref::<std::io::Error>()
                && io.kind() == std::io::ErrorKind::StorageFull
            {
                return true;
            }
            source = error.source();
        }
        false
    }
}
