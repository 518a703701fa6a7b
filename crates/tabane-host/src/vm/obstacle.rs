//! What keeps a VM from its next step.

use crate::Error;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// Something has to happen elsewhere first.
    Waiting(String),
    Failure(String),
}

impl Obstacle {
    pub fn of(error: &Error) -> Self {
        match error {
            Error::NotYet(_) => Self::Waiting(error.told()),
            _ => Self::Failure(error.told()),
        }
    }

    pub fn told(&self) -> &str {
        match self {
            Self::Waiting(told) | Self::Failure(told) => told,
        }
    }

    /// The word of a condition for it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Waiting(_) => "waiting",
            Self::Failure(_) => "step_failed",
        }
    }
}
