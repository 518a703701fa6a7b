//! What can go wrong between a client and a server.

use tabane_model::Problem;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server's own words.
    #[error("{0}")]
    Problem(Box<Problem>),
    #[error("cannot reach the server at {target}")]
    Unreachable { target: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the server's answer is not understood")]
    Answer { source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the server's authority is not the one expected: {found} instead of {expected}")]
    OtherAuthority { expected: String, found: String },
    #[error("{0:?} names no server")]
    Target(String),
    #[error("cannot make a TLS client")]
    Tls { source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the connection broke off")]
    Broken { source: std::io::Error },
}

impl Error {
    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Problem(problem) => problem.hint.clone(),
            Self::Unreachable { .. } => {
                Some("is the server running? `tabane up` starts one on this machine".into())
            }
            Self::OtherAuthority { .. } => Some(
                "if the server was set up anew, use the address that it printed at its first start".into(),
            ),
            Self::Target(_) => Some(
                "use https://HOST:PORT/#FINGERPRINT, as the server printed it, or a socket's path".into(),
            ),
            _ => None,
        }
    }

    /// The stable code of the server's problem, if it is one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Problem(problem) => Some(&problem.code),
            _ => None,
        }
    }

    /// Whether the same call may well succeed later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Problem(problem) => matches!(problem.status, 502..=504),
            Self::Unreachable { .. } | Self::Broken { .. } => true,
            _ => false,
        }
    }
}
