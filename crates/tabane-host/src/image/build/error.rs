//! Why an image could not be built.

use std::path::PathBuf;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("there is no recipe {name:?}: known are {known}")]
    Unknown { name: String, known: String },

    #[error("programs are missing on this host: {}", programs.join(", "))]
    Missing { programs: Vec<&'static str>, packages: Vec<&'static str> },

    #[error("cannot start {program}")]
    Start { program: &'static str, source: std::io::Error },

    #[error("{program} failed while the image was built ({status}): {detail}")]
    Tool { program: &'static str, status: std::process::ExitStatus, detail: String },

    #[error("{program} took longer than {timeout_ms} ms")]
    Timeout { program: &'static str, timeout_ms: u64 },

    #[error(
        "the packages of Debian {release} cannot be verified: this host does not know the key that signed them"
    )]
    Key { release: &'static str },

    #[error("cannot reach the package archive {mirror}: {detail}")]
    Archive { mirror: String, detail: String },

    #[error("cannot {action} {}", path.display())]
    File { action: &'static str, path: PathBuf, source: std::io::Error },

    /// A package does not contain what the recipe counts on.
    #[error("{what} is not as expected: {detail}")]
    Content { what: String, detail: String },

    #[error(transparent)]
    Img(#[from] tabane_qemu::img::Error),
}

impl Error {
    /// The next step for the host's administrator, where there is one.
    pub fn hint(&self) -> String {
        match self {
            Error::Missing { packages, .. } => {
                format!("install them: apt-get install {}", packages.join(" "))
            }
            Error::Key { .. } => {
                "update the package debian-archive-keyring on this host, and try again".into()
            }
            Error::Archive { .. } => {
                "check the host's way to the network; set http_proxy if it needs a proxy".into()
            }
            Error::Unknown { .. } => "choose one of them".into(),
            _ => String::new(),
        }
    }

    pub(super) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::File { action, path, source }
    }

    pub(super) fn content(what: impl Into<String>, detail: impl Into<String>) -> Error {
        Error::Content { what: what.into(), detail: detail.into() }
    }
}
