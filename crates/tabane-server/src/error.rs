//! Errors of the server, and the one place where they become HTTP.

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use tabane_model::{Class, Fault, Kind, Problem};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("there is no {kind} {name:?}")]
    Missing { kind: Kind, name: String },
    #[error("a {kind} {name:?} exists already")]
    NameTaken { kind: Kind, name: String },
    #[error("the {kind} {name:?} has changed since it was read")]
    Changed { kind: Kind, name: String },
    #[error("the object is refused")]
    Faults(Vec<Fault>),
    #[error("the request body is not what is expected here: {0}")]
    Body(String),
    #[error("the query is not what is expected here: {0}")]
    Query(String),
    #[error("there is no such path")]
    NoPath,
    #[error("no valid token came with the request")]
    Unauthenticated,
    #[error("the role {role} may not do this")]
    Denied { role: &'static str },
    #[error("the request comes from a page of another server")]
    ForeignOrigin,
    #[error("too many failed sign-ins from this address")]
    TooManySignIns { seconds: u64 },
    #[error("{detail}")]
    InUse { detail: String, hint: String },
    #[error("{detail}")]
    Refused { code: &'static str, detail: String, hint: String },
    #[error("the resume point {resume} is older than what is kept")]
    ResumeTooOld { resume: u64 },
    #[error("the idempotency key was used for another request")]
    IdempotencyMismatch,
    #[error("{0}")]
    WaitFailed(String),
    #[error("waited {seconds} s for {what}")]
    WaitTimedOut { what: String, seconds: u64 },
    #[error("the host {host} is not connected")]
    HostAway { host: String },
    #[error("the host {host} did not answer in time")]
    HostSilent { host: String },
    /// The host's own words.
    #[error("{0}")]
    Host(Box<Problem>),
    #[error("the store failed")]
    Store(#[from] tabane_store::Error),
    #[error("cannot {action} {path}")]
    File { action: &'static str, path: std::path::PathBuf, source: std::io::Error },
    #[error("cannot listen on {address}")]
    Listen { address: String, source: std::io::Error },
    #[error("the certificate authority in {path} is unusable")]
    Authority { path: std::path::PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("another server uses the data folder {path}")]
    DataFolderInUse { path: std::path::PathBuf },
    #[error("{0}")]
    Bug(String),
}

impl Error {
    pub(crate) fn fault(
        field: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Faults(vec![Fault { field: field.into(), message: message.into(), hint: hint.into() }])
    }

    pub(crate) fn class(&self) -> Class {
        match self {
            Self::Faults(_) | Self::Body(_) | Self::Query(_) => Class::Invalid,
            Self::Missing { .. } | Self::NoPath => Class::Missing,
            Self::NameTaken { .. }
            | Self::Changed { .. }
            | Self::InUse { .. }
            | Self::Refused { .. }
            | Self::IdempotencyMismatch
            | Self::WaitFailed(_) => Class::Conflict,
            Self::Unauthenticated | Self::Denied { .. } | Self::ForeignOrigin => Class::Denied,
            Self::TooManySignIns { .. } => Class::Denied,
            Self::HostAway { .. } | Self::HostSilent { .. } | Self::WaitTimedOut { .. } => Class::Unavailable,
            Self::Store(tabane_store::Error::Full) => Class::Unavailable,
            Self::Host(_) => Class::Unavailable,
            _ => Class::Bug,
        }
    }

    pub fn problem(self) -> Problem {
        let class = self.class();
        let detail = self.to_string();
        let new = |code: &str, hint: &str| Problem::new(class, code, detail.clone()).with_hint(hint);
        match self {
            Self::Faults(faults) => Problem::from_faults(faults),
            // A host's refusal is never a success, whatever status it gives.
            Self::Host(problem) if !(400..600).contains(&problem.status) => {
                problem.with_status(class.http_status())
            }
            Self::Host(problem) => *problem,
            Self::Missing { kind, .. } => {
                new("not_found", &format!("`tabane {kind} list` shows those that exist"))
            }
            Self::NameTaken { .. } => new("name_taken", "choose another name, or delete the other one first"),
            Self::Changed { .. } => new("changed", "read it again and repeat the change").with_status(412),
            Self::Body(_) => new("invalid_body", "see /v1/openapi.json for the form of the body"),
            Self::Query(_) => new("invalid_query", "see /v1/openapi.json for the parameters"),
            Self::NoPath => new("no_such_path", "see /v1/openapi.json for the paths"),
            Self::Unauthenticated => {
                new("unauthenticated", "send `Authorization: Bearer TOKEN`; with the CLI set TABANE_TOKEN")
                    .with_status(401)
            }
            Self::Denied { .. } => new("denied", "ask an administrator for a token with another role"),
            Self::ForeignOrigin => new(
                "foreign_origin",
                "a session's cookie is good for the console's own pages; elsewhere send a token",
            ),
            Self::TooManySignIns { seconds } => {
                new("too_many_sign_ins", &format!("try again in {seconds} s")).with_status(429)
            }
            Self::InUse { hint, .. } => new("in_use", &hint),
            Self::Refused { code, hint, .. } => new(code, &hint),
            Self::ResumeTooOld { .. } => new(
                "resume_too_old",
                "watch without a resume point; the watch then begins with the present state",
            )
            .with_status(410),
            Self::IdempotencyMismatch => {
                new("idempotency_mismatch", "use a new Idempotency-Key for each new request").with_status(422)
            }
            Self::WaitFailed(_) => new("wait_failed", "the object's conditions and events say more"),
            Self::WaitTimedOut { .. } => {
                new("wait_timed_out", "the work goes on; ask again, or wait longer with `timeout_s`")
                    .with_status(504)
            }
            Self::HostAway { .. } => {
                new("host_away", "see whether the host and its agent run: `tabane host list`")
            }
            Self::HostSilent { .. } => {
                new("host_silent", "try again; if it stays so, look at the host agent's log")
            }
            Self::Store(tabane_store::Error::Full) => new(
                "store_full",
                "make room on the file system of the server's data folder; nothing was changed",
            ),
            _ => {
                tracing::error!(error = &self as &dyn std::error::Error, "request failed");
                new("internal", "this is a fault of the server; its log says more")
            }
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let wait_s = if let Self::TooManySignIns { seconds } = self { Some(seconds) } else { None };
        let problem = self.problem();
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (status, kind, Json(problem)).into_response();
        if let Some(seconds) = wait_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
