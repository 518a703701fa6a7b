//! The server: API, authentication, controllers and audit log.
//!
//! ```text
//!   client ──► api ──► admit ──► commit ──► store ──► cache ──► api (reads, watches)
//!                                                       │
//!   host ◄── watch of its own objects ◄─────────────────┼──► control (placement, liveness)
//!   host ──► report of statuses ──► commit              │
//! ```
//!
//! The server never sees a QEMU: it writes down what is wanted and lets hosts say what is. Handlers are thin; all
//! changes go through [`commit`], which writes the object and its audit record in one txn.

mod admit;
mod api;
mod app;
mod audit;
mod auth;
mod cache;
mod commit;
mod console;
mod control;
mod error;
mod keys;
mod listen;
mod metrics;
mod planning;
mod session;
mod streams;
mod tls;
mod wait;

pub use api::openapi::document as openapi;
pub use app::{Config, Server};
pub use audit::{Head as AuditHead, Verdict, head as audit_head, verify as verify_audit};
pub use auth::ADMIN_TOKEN;
pub use error::{Error, Result};
#[doc(hidden)]
pub use metrics::format as metrics_format;
pub use tls::CaFingerprint;
