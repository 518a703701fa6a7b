//! Errors of the API: RFC 9457 `application/problem+json` with a stable code, the field, and the next step.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What kind of failure it is; each class has one HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    Invalid,
    Missing,
    Conflict,
    Denied,
    Unavailable,
    Bug,
}

impl Class {
    pub fn http_status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Missing => 404,
            Self::Conflict => 409,
            Self::Denied => 403,
            Self::Unavailable => 503,
            Self::Bug => 500,
        }
    }
}

/// One thing wrong with one field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Fault {
    pub field: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    /// RFC 9457: a reference that identifies the kind of problem; it ends in the code.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
    /// Stable and for machines, such as `name_taken`.
    pub code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

impl Problem {
    pub fn new(class: Class, code: &str, detail: impl Into<String>) -> Self {
        let title = code.replace('_', " ");
        Self {
            kind: format!("/v1/problems/{code}"),
            title,
            status: class.http_status(),
            detail: detail.into(),
            code: code.into(),
            field: None,
            hint: None,
            faults: Vec::new(),
        }
    }

    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub fn with_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A refused object: the first fault speaks for all, the others are listed.
    pub fn from_faults(faults: Vec<Fault>) -> Self {
        let Some(first) = faults.first().cloned() else {
            return Self::new(Class::Bug, "no_fault", "an object was refused without a reason");
        };
        let more = match faults.len() {
            1 => String::new(),
            n => format!(" (and {} more)", n - 1),
        };
        let mut problem =
            Self::new(Class::Invalid, "invalid_object", format!("{}: {}{more}", first.field, first.message))
                .with_field(first.field);
        problem.hint = Some(first.hint).filter(|h| !h.is_empty());
        problem.faults = faults;
        problem
    }
}
